"""The labels of streams of one kind, made once: a stream that ends looks them up instead of building them again.

    CallLabels  of the calls to one model on one server
    Series      of those of them that one model answered

Both are kept for a bounded number of kinds. The others make theirs anew, which costs time and no memory.
"""

from collections.abc import Callable, Mapping

from streamspan import semconv
from streamspan.core.model import Outcome

from .labels import OTHER, BoundedValues, Labels
from .totals import Total, Totals

_CALLS_AT_MOST = 200
_SERIES_AT_MOST = 50  # each has 76 sums and counters that begin with 0


class Series:
    """The labels and the totals of the streams that one model answered. The dicts are shared: nobody changes them."""

    __slots__ = (
        "_output_chars",
        "_tokens",
        "_totals",
        "blocked_time",
        "cache_read_tokens",
        "cache_write_tokens",
        "consumer_time",
        "labels",
        "of_input",
        "of_output",
        "provider_time",
        "reading_time",
        "rebuffer_time",
        "transit_time",
        "with_cache_hit",
        "without_cache_hit",
    )

    def __init__(self, labels: Labels, totals: Totals) -> None:
        self.labels = labels
        self.of_input: Labels = {**labels, semconv.TOKEN_TYPE: "input"}
        self.of_output: Labels = {**labels, semconv.TOKEN_TYPE: "output"}
        self.with_cache_hit: Labels = {**labels, semconv.CACHE_HIT: True}
        self.without_cache_hit: Labels = {**labels, semconv.CACHE_HIT: False}
        self.provider_time = totals.total(semconv.WAITED_FOR_PROVIDER, labels)
        self.transit_time = totals.total(semconv.WAITED_FOR_TRANSIT, labels)
        self.blocked_time = totals.total(semconv.WAITED_FOR_EVENT_LOOP, labels)
        self.reading_time = totals.total(semconv.READING_TIME, labels)
        self.rebuffer_time = totals.total(semconv.REBUFFERING_TIME, labels)
        self.consumer_time = totals.total(semconv.WAITED_FOR_CONSUMER, labels)
        self.cache_read_tokens = totals.total(semconv.CACHE_TOKENS, {**labels, semconv.CACHE_USE: "read"})
        self.cache_write_tokens = totals.total(semconv.CACHE_TOKENS, {**labels, semconv.CACHE_USE: "write"})
        self._totals = totals
        self._output_chars: dict[tuple[Outcome, bool | None], Total] = {}
        self._tokens: dict[Outcome, tuple[Total, Total]] = {}

    def tokens(self, outcome: Outcome) -> tuple[Total, Total]:
        """Of the input and of the output."""
        totals = self._tokens.get(outcome)
        if totals is None:
            of_input, of_output = [
                self._totals.total(semconv.TOKENS, {**labels, semconv.OUTCOME: outcome})
                for labels in (self.of_input, self.of_output)
            ]
            totals = self._tokens[outcome] = of_input, of_output
        return totals

    def output_chars(self, outcome: Outcome, *, has_repetition: bool | None) -> Total:
        """None: repetition is not looked for."""
        total = self._output_chars.get((outcome, has_repetition))
        if total is None:
            labels: Labels = {**self.labels, semconv.OUTCOME: outcome}
            if has_repetition is not None:
                labels[semconv.REPETITION_DETECTED] = has_repetition
            total = self._output_chars[outcome, has_repetition] = self._totals.total(semconv.OUTPUT_CHARS, labels)
        return total


class CallLabels:
    """labels  what all metrics of a stream have but the response model
    series  by the response model, as the server gave it.
    """

    __slots__ = ("labels", "series")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.series: dict[str | None, Series] = {}


NO_LABELS = CallLabels({})
"""Of a stream that records no metrics."""


class LabelSets:
    """The labels of one `instrument()`.

    on_first_call    is called with the labels of a call, which has no response yet, when the first such call starts
    on_first_answer  is called with the labels of a series when the first such model begins to answer
    """

    def __init__(
        self,
        values: BoundedValues,
        totals: Totals,
        on_first_call: Callable[[Labels], None],
        on_first_answer: Callable[[Labels], None],
    ) -> None:
        self._values = values
        self._totals = totals
        self._on_first_call = on_first_call
        self._on_first_answer = on_first_answer
        self._calls: dict[tuple[object, ...], CallLabels] = {}
        self._begun: set[tuple[object, ...]] = set()

    def of_call(self, attributes: Mapping[str, object]) -> CallLabels:
        values = tuple([attributes.get(name) for name in semconv.STREAM_METRIC_ATTRIBUTES])
        return self._calls.get(values) or self._new_call_labels(values)

    def of_response(self, call_labels: CallLabels, model: str | None) -> Series:
        """`model`: as the server gave it."""
        return call_labels.series.get(model) or self._new_series(call_labels, model)

    def _new_call_labels(self, values: tuple[object, ...]) -> CallLabels:
        call_labels = CallLabels(self._values.labels(semconv.STREAM_METRIC_ATTRIBUTES, values))
        if len(self._calls) < _CALLS_AT_MOST and OTHER not in call_labels.labels.values():
            self._calls[values] = call_labels
            self._on_first_call(call_labels.labels)
        return call_labels

    def _new_series(self, call_labels: CallLabels, model: str | None) -> Series:
        labels = dict(call_labels.labels)
        if model is not None:
            labels[semconv.RESPONSE_MODEL] = self._values.bounded(semconv.RESPONSE_MODEL, model)
        key = tuple(labels.values())
        if key not in self._begun and len(self._begun) < _SERIES_AT_MOST:
            self._begun.add(key)
            if model is not None:
                self._on_first_answer(labels)
        series = Series(labels, self._totals)
        if key in self._begun and OTHER not in key:
            call_labels.series[model] = series
        return series
