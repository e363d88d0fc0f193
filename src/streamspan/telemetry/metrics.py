"""From the summary of a stream to metrics: one record of each at the stream's end, and two gauges of those still open.

Every record is made in the context of the stream's span, sampled or not, so that exemplars lead to its trace.

A counter that is born at its first event is invisible to `increase()`. So when the first stream of a model ends, the
label sets that are likely to follow are added 0.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Span

from streamspan import guard, semconv
from streamspan.core.model import Summary
from streamspan.guard import contained
from streamspan.semconv import Metric

from .gauges import OpenStream, OpenStreamGauges
from .instruments import Instruments, meter_of, observe
from .labels import ANOMALIES, BoundedValues, Expected, Labels, expected_series
from .totals import TOTALS, totals_of

_BEGUN_AT_MOST = 50  # sets of models and servers that are added 0: each makes 72 series


class Metrics:
    """The metrics of one `instrument()`; `open_streams` gives all that are open in the process."""

    def __init__(
        self,
        meter_provider: MeterProvider | None,
        version: str,
        open_streams: Callable[[], Iterable[OpenStream]],
        expected: Expected,
    ) -> None:
        self._given_provider = meter_provider
        self._values = BoundedValues()
        self._expected_series = tuple(expected_series(expected))
        self._begun: set[tuple[object, ...]] = set()
        self._gauges = OpenStreamGauges(open_streams, lambda: self.provider)
        self._totals = totals_of(meter_provider)
        meter = meter_of(meter_provider, version)
        self._instruments = Instruments(meter)
        for metric in TOTALS:
            observe(meter, metric, partial(self._totals.observe, metric))
        observe(meter, semconv.ACTIVE, self._gauges.active)
        observe(meter, semconv.SILENCE, self._gauges.silence)
        observe(meter, semconv.INSTRUMENTATION_FAILURES, _failures)
        self._count_dropped(0, Context())

    @property
    def provider(self) -> MeterProvider:
        """The global one may be set after `instrument()`."""
        return self._given_provider or metrics.get_meter_provider()

    def labels(self, attributes: Mapping[str, object]) -> Labels:
        """Those of a call's attributes that every metric of its stream has."""
        return self._values.of_call(attributes)

    @contained
    def record_chunk(self, seconds: float, labels: Labels, model: str | None, span: Span) -> None:
        context = trace.set_span_in_context(span, Context())
        self._instruments.time_per_output_chunk.record(seconds, self._with_model(labels, model), context)

    @contained
    def record(self, summary: Summary, labels: Labels, span: Span, events_dropped: int) -> None:
        """Record all of a stream that has ended. `labels`: as `labels()` gave them at the call."""
        context = trace.set_span_in_context(span, Context())
        labels = self._with_model(labels, summary.model)
        self._record_ending(summary, labels, context)
        if summary.outcome is not None:
            outcome_labels: Labels = {**labels, semconv.OUTCOME: summary.outcome}
            self._record_times(summary, labels, context)
            self._record_tokens(summary, labels, context)
            self._record_incidents(summary, labels, outcome_labels, context)
            self._totals.add(_additions(summary, labels, outcome_labels))
        if events_dropped:
            self._count_dropped(events_dropped, context)

    @contained
    def _count_dropped(self, count: int, context: Context) -> None:
        self._instruments.events_dropped.add(count, None, context)

    def _record_ending(self, summary: Summary, labels: Labels, context: Context) -> None:
        bounded = self._values.bounded
        ending = dict(labels)
        if summary.error_type is not None:
            error_type = bounded(semconv.ERROR_TYPE, summary.error_type)
            labels = {**labels, semconv.ERROR_TYPE: error_type}
            ending[semconv.ERROR_TYPE] = error_type
        if summary.outcome is not None:
            ending[semconv.OUTCOME] = summary.outcome
        if summary.outcome == "complete":
            if summary.stop_reason is not None:
                ending[semconv.STOP_REASON] = bounded(semconv.STOP_REASON, summary.stop_reason)
        elif summary.outcome is not None:
            ending[semconv.PHASE] = summary.phase
            if summary.abort_reason is not None:
                ending[semconv.ABORT_REASON] = bounded(semconv.ABORT_REASON, summary.abort_reason)
        self._instruments.duration.record(summary.duration, labels, context)
        self._instruments.streams.add(1, ending, context)

    def _record_times(self, summary: Summary, labels: Labels, context: Context) -> None:
        instruments, pace, cache_read_tokens = self._instruments, summary.pace, summary.usage.cache_read_tokens
        if summary.time_to_first_chunk is not None:
            first_labels = labels
            if cache_read_tokens is not None:
                first_labels = {**labels, semconv.CACHE_HIT: cache_read_tokens > 0}
            instruments.time_to_first_chunk.record(summary.time_to_first_chunk, first_labels, context)
        if summary.time_to_first_text is not None:
            instruments.time_to_first_text.record(summary.time_to_first_text, labels, context)
        if pace.gap_max is not None:
            instruments.longest_gap.record(pace.gap_max, labels, context)
        if summary.time_per_output_token is not None:
            instruments.time_per_output_token.record(summary.time_per_output_token, labels, context)
        if pace.tool_call_pause is not None:
            instruments.tool_call_pause.record(pace.tool_call_pause, labels, context)

    def _record_tokens(self, summary: Summary, labels: Labels, context: Context) -> None:
        input_tokens, output_tokens = summary.usage.all_input_tokens, summary.usage.output_tokens
        if input_tokens is not None:
            self._instruments.tokens.record(input_tokens, {**labels, semconv.TOKEN_TYPE: "input"}, context)
        if output_tokens is not None:
            self._instruments.tokens.record(output_tokens, {**labels, semconv.TOKEN_TYPE: "output"}, context)

    def _record_incidents(self, summary: Summary, labels: Labels, outcome_labels: Labels, context: Context) -> None:
        instruments = self._instruments
        if summary.outcome != "complete":
            instruments.incomplete_duration.record(summary.duration, outcome_labels, context)
        not_completed = summary.tool_calls_incomplete + summary.tool_calls_invalid
        for completed, count in ((True, summary.tool_calls_completed), (False, not_completed)):
            if count:
                tool_labels = {**outcome_labels, semconv.TOOL_CALL_COMPLETED: completed}
                instruments.tool_calls.add(count, tool_labels, context)
        for anomaly, count in zip(ANOMALIES, _anomaly_counts(summary), strict=True):
            if count:
                instruments.anomalies.add(count, {**labels, semconv.ANOMALY: anomaly}, context)

    def _with_model(self, labels: Labels, model: str | None) -> Labels:
        """With the response model. The first time, add 0 where streams with these labels may be counted."""
        self._gauges.remember(labels)
        if model is not None:
            labels = {**labels, semconv.RESPONSE_MODEL: self._values.bounded(semconv.RESPONSE_MODEL, model)}
        key = tuple(labels.values())
        if key not in self._begun and len(self._begun) < _BEGUN_AT_MOST:
            self._begun.add(key)
            self._add_zeros(labels)
        return labels

    def _add_zeros(self, labels: Labels) -> None:
        instruments = self._instruments
        counters = {
            semconv.STREAMS: instruments.streams,
            semconv.ANOMALIES: instruments.anomalies,
            semconv.TOOL_CALLS: instruments.tool_calls,
        }
        for metric, more in self._expected_series:
            if metric in counters:
                counters[metric].add(0, {**labels, **more}, Context())
            else:
                self._totals.add(((metric, 0, {**labels, **more}),))


def _additions(
    summary: Summary, labels: Labels, outcome_labels: Labels
) -> Iterator[tuple[Metric, float | None, Labels]]:
    """What one stream adds to the totals."""
    pace, usage = summary.pace, summary.usage
    yield semconv.WAITED_FOR_PROVIDER, pace.provider_time, labels
    yield semconv.WAITED_FOR_CONSUMER, pace.consumer_time, labels
    yield semconv.CACHE_TOKENS, usage.cache_read_tokens, {**labels, semconv.CACHE_USE: "read"}
    yield semconv.CACHE_TOKENS, usage.cache_write_tokens, {**labels, semconv.CACHE_USE: "write"}
    if summary.looks_for_loops:
        outcome_labels = {**outcome_labels, semconv.REPETITION_DETECTED: summary.loop is not None}
    yield semconv.OUTPUT_CHARS, sum(summary.chars.values()) or None, outcome_labels


def _anomaly_counts(summary: Summary) -> tuple[int, ...]:
    """How many of each of `ANOMALIES`."""
    return (
        summary.pace.stall_count,
        int(summary.loop is not None),
        int(summary.pace.buffered is True),
        summary.tool_calls_incomplete,
        summary.tool_calls_invalid,
    )


def _failures(_: CallbackOptions) -> Iterator[Observation]:
    yield Observation(0)
    for where, count in tuple(guard.failures.items()):
        yield Observation(count, {semconv.FAILURE_WHERE: where})
