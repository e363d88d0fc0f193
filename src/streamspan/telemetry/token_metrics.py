"""The metrics of tokens that the latest GenAI conventions have instead of one histogram: see `semconv/latest.py`."""

from functools import partial

from opentelemetry.context import Context
from opentelemetry.metrics import Meter

from streamspan.core.model import Usage
from streamspan.semconv import latest

from .instruments import histogram, observe
from .labels import Labels
from .totals import Totals, add_to_totals


class TokenMetrics:
    """Counters, which we add up ourselves, and two histograms."""

    def __init__(self, meter: Meter, totals: Totals) -> None:
        self._totals = totals
        self._input_tokens = histogram(meter, latest.INPUT_TOKENS_PER_STREAM)
        self._output_tokens = histogram(meter, latest.OUTPUT_TOKENS_PER_STREAM)
        for metric in latest.COUNTERS:
            observe(meter, metric, partial(totals.observe, metric))

    def add_zeros(self, labels: Labels) -> None:
        """Have the counters of these labels be there."""
        of_modality = _of_modality(labels)
        for metric in latest.COUNTERS:
            self._totals.total(metric, of_modality)

    def record(self, usage: Usage, labels: Labels, error_labels: Labels, context: Context) -> None:
        """`error_labels`: those of the histograms, which have the type of an error, too."""
        counts = (
            usage.all_input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
        )
        of_modality = _of_modality(labels)
        totals = [self._totals.total(metric, of_modality) for metric in latest.COUNTERS]
        add_to_totals(zip(totals, counts, strict=True))
        for tokens, count in ((self._input_tokens, counts[0]), (self._output_tokens, counts[1])):
            if count is not None:
                tokens.record(count, error_labels, context)


def _of_modality(labels: Labels) -> Labels:
    return {**labels, latest.TOKEN_MODALITY: latest.MODALITY_UNKNOWN}
