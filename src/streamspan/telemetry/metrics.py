"""From the summary of a stream to metrics: one record of each at the stream's end, and two gauges of those still open.

Every record is made in the context of the stream's span, sampled or not, so that exemplars lead to its trace.

A counter that is born at its first event is invisible to `increase()`. So the label sets that are likely to follow are
added 0 beforehand: when the first call to a model starts, and again when the model that answers it is known.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Span

from streamspan import guard, semconv
from streamspan.config import Config
from streamspan.core.model import Outcome, Summary, Usage
from streamspan.guard import contained
from streamspan.semconv import Metric
from streamspan.semconv.latest import CONVENTIONS

from .gauges import OpenStream, OpenStreamGauges
from .instruments import Instruments, meter_of, observe
from .labels import ANOMALIES, BoundedValues, Expected, Labels, expected_of_answers, expected_of_calls
from .series import CallLabels, LabelSets, Series
from .token_metrics import TokenMetrics
from .totals import TOTALS, Total, add_to_totals, totals_of

_SLOWER_THAN_READING = 0.05  # the share of the time for which a person would wait
_CLOSE_DELAY = 0.01  # seconds; a shorter one is that of the last bytes
_RATE_LIMITS: Mapping[str, str] = {
    semconv.RATE_LIMIT_REQUESTS_REMAINING: "requests",
    semconv.RATE_LIMIT_INPUT_TOKENS_REMAINING: "input_tokens",
    semconv.RATE_LIMIT_OUTPUT_TOKENS_REMAINING: "output_tokens",
    semconv.RATE_LIMIT_TOKENS_REMAINING: "tokens",
}
"""What the gauge of rate limits shows, by the attribute that has it."""
_KEPT_SECONDS = 300.0  # the limits are by the minute: what is older says nothing any more


class Metrics:
    """The metrics of one `instrument()`; `open_streams` gives all that are open in the process."""

    def __init__(
        self,
        meter_provider: MeterProvider | None,
        version: str,
        open_streams: Callable[[], Iterable[OpenStream]],
        expected: Expected,
        config: Config,
    ) -> None:
        conventions = CONVENTIONS[config.semconv_stability_opt_in]
        self._given_provider = meter_provider
        self._values = BoundedValues()
        self._totals = totals_of(meter_provider)
        self._expected_of_calls = tuple(expected_of_calls(expected))
        self._expected_of_answers = tuple(expected_of_answers(expected))
        self._label_sets = LabelSets(
            self._values,
            self._totals,
            on_first_call=lambda labels: self._add_zeros(labels, self._expected_of_calls),
            on_first_answer=self._add_zeros_of_answers,
        )
        self._gauges = OpenStreamGauges(
            open_streams, lambda: self.provider, config.silence_seconds, self._totals.labels_of_streams
        )
        meter = meter_of(meter_provider, version)
        self._instruments = Instruments(meter, conventions)
        # The gauges come first: to ask for the open streams is to wait for the ends that the totals count.
        observe(meter, semconv.ACTIVE, self._gauges.active)
        observe(meter, semconv.SILENCE, self._gauges.silence)
        observe(meter, semconv.LINE_SILENCE, self._gauges.line_silence)
        observe(meter, semconv.SILENT, self._gauges.silent)
        for metric in TOTALS:
            observe(meter, metric, partial(self._totals.observe, metric))
        self._token_metrics = TokenMetrics(meter, self._totals) if conventions.latest else None
        observe(meter, semconv.INSTRUMENTATION_FAILURES, _failures)
        self._count_dropped(0, Context())

    @property
    def provider(self) -> MeterProvider:
        """The global one may be set after `instrument()`."""
        return self._given_provider or metrics.get_meter_provider()

    def labels(self, attributes: Mapping[str, object]) -> CallLabels:
        """Those of a call's attributes that every metric of its stream has."""
        return self._label_sets.of_call(attributes)

    @contained
    def rate_limits_seen(self, attributes: Mapping[str, object], labels: Labels) -> None:
        """A response has come. `attributes`: of its span; `labels`: of the call."""
        for name in _RATE_LIMITS.keys() & attributes.keys():
            remaining = attributes[name]
            if isinstance(remaining, int):
                self._totals.set_for(
                    _KEPT_SECONDS,
                    semconv.RATE_LIMIT_REMAINING,
                    {**labels, semconv.RATE_LIMIT_RESOURCE: _RATE_LIMITS[name]},
                    remaining,
                )

    @contained
    def retried(self, error_type: str, call_labels: CallLabels, span: Span) -> None:
        """The SDK tries a call again, after this."""
        labels = {**call_labels.labels, semconv.ERROR_TYPE: self._values.bounded(semconv.ERROR_TYPE, error_type)}
        self._instruments.retries.add(1, labels, trace.set_span_in_context(span, Context()))

    @contained
    def answered(self, call_labels: CallLabels, model: str) -> None:
        """The model that answers is known."""
        self._label_sets.of_response(call_labels, model)

    @contained
    def record_chunk(self, seconds: float, call_labels: CallLabels, model: str | None, span: Span) -> None:
        labels = self._label_sets.of_response(call_labels, model).labels
        self._instruments.time_per_output_chunk.record(seconds, labels, trace.set_span_in_context(span, Context()))

    @contained
    def record_body_end(
        self, delay: float, error_type: str | None, call_labels: CallLabels, model: str | None, span: Span
    ) -> None:
        """The body has ended so long after the provider's own end, by this error or none."""
        labels = self._label_sets.of_response(call_labels, model).labels
        context = trace.set_span_in_context(span, Context())
        if delay >= _CLOSE_DELAY:
            self._instruments.close_delay.record(delay, labels, context)
        if error_type is not None:
            labels = {**labels, semconv.ERROR_TYPE: self._values.bounded(semconv.ERROR_TYPE, error_type)}
            self._instruments.late_errors.add(1, labels, context)

    @contained
    def record(
        self, summary: Summary, call_labels: CallLabels, span: Span, events_dropped: int, retry_time: float = 0.0
    ) -> None:
        """Record all of a stream that has ended.

        call_labels  as `labels()` gave them at the call
        retry_time   seconds from the call to the start of the last attempt
        """
        context = trace.set_span_in_context(span, Context())
        self._gauges.remember(call_labels.labels)
        series = self._label_sets.of_response(call_labels, summary.model)
        self._instruments.duration.record(summary.duration, self._error_labels(summary, series), context)
        additions: list[tuple[Total, float | None]] = [(self._ending(summary, series), 1)]
        if summary.outcome is not None:
            self._record_times(summary, series, context)
            if summary.time_to_headers is not None:
                seconds = max(summary.time_to_headers - retry_time, 0.0)
                self._instruments.time_to_headers.record(seconds, series.labels, context)
            self._record_tokens(summary.usage, series, context)
            if self._token_metrics is not None:
                self._token_metrics.record(summary.usage, series.labels, self._error_labels(summary, series), context)
            self._record_incidents(summary, series, context)
            additions += _additions(summary, summary.outcome, series)
        add_to_totals(additions)
        if events_dropped:
            self._count_dropped(events_dropped, context)

    @contained
    def _count_dropped(self, count: int, context: Context) -> None:
        self._instruments.events_dropped.add(count, None, context)

    def _ending(self, summary: Summary, series: Series) -> Total:
        """The count of the streams that ended like this one. The order of its labels is that of `labels.py`."""
        bounded, labels = self._values.bounded, dict(series.labels)
        if summary.outcome is not None:
            labels[semconv.OUTCOME] = summary.outcome
            if summary.outcome != "complete":
                labels[semconv.PHASE] = summary.phase
            elif summary.stop_reason is not None:
                labels[semconv.STOP_REASON] = bounded(semconv.STOP_REASON, summary.stop_reason)
            if summary.abort_reason is not None:
                labels[semconv.ABORT_REASON] = bounded(semconv.ABORT_REASON, summary.abort_reason)
        if summary.error_type is not None:
            labels[semconv.ERROR_TYPE] = bounded(semconv.ERROR_TYPE, summary.error_type)
        return self._totals.total(semconv.STREAMS, labels)

    def _error_labels(self, summary: Summary, series: Series) -> Labels:
        if summary.error_type is None:
            return series.labels
        return {**series.labels, semconv.ERROR_TYPE: self._values.bounded(semconv.ERROR_TYPE, summary.error_type)}

    def _record_times(self, summary: Summary, series: Series, context: Context) -> None:
        instruments, labels, pace = self._instruments, series.labels, summary.pace
        if summary.time_to_first_chunk is not None:
            first_labels, cache_read_tokens = labels, summary.usage.cache_read_tokens
            if cache_read_tokens is not None:
                first_labels = series.with_cache_hit if cache_read_tokens > 0 else series.without_cache_hit
            instruments.time_to_first_chunk.record(summary.time_to_first_chunk, first_labels, context)
        if summary.time_to_first_text is not None:
            instruments.time_to_first_text.record(summary.time_to_first_text, labels, context)
        if pace.gap_max is not None:
            instruments.longest_gap.record(pace.gap_max, labels, context)
        if summary.time_per_output_token is not None:
            instruments.time_per_output_token.record(summary.time_per_output_token, labels, context)
        if summary.thinking_time is not None:
            instruments.thinking.record(summary.thinking_time, labels, context)
        if pace.tool_call_pause is not None:
            instruments.tool_call_pause.record(pace.tool_call_pause, labels, context)

    def _record_tokens(self, usage: Usage, series: Series, context: Context) -> None:
        input_tokens = usage.all_input_tokens
        if input_tokens is not None:
            self._instruments.tokens.record(input_tokens, series.of_input, context)
        if usage.output_tokens is not None:
            self._instruments.tokens.record(usage.output_tokens, series.of_output, context)
        if usage.iterations:
            self._record_iterations(usage, series, context)

    def _record_iterations(self, usage: Usage, series: Series, context: Context) -> None:
        bounded, add = self._values.bounded, self._instruments.iteration_tokens.add
        for entry in usage.iterations:
            labels: Labels = {**series.labels, semconv.ITERATION_TYPE: bounded(semconv.ITERATION_TYPE, entry.type)}
            if entry.model is not None:
                labels[semconv.ITERATION_MODEL] = bounded(semconv.ITERATION_MODEL, entry.model)
            add(entry.input_tokens, {**labels, semconv.TOKEN_TYPE: "input"}, context)
            add(entry.output_tokens, {**labels, semconv.TOKEN_TYPE: "output"}, context)

    def _record_incidents(self, summary: Summary, series: Series, context: Context) -> None:
        instruments, outcome = self._instruments, summary.outcome or "complete"
        if outcome != "complete":
            labels = {**series.labels, semconv.OUTCOME: outcome}
            instruments.incomplete_duration.record(summary.duration, labels, context)
        if summary.tool_call_count:
            not_completed = summary.tool_calls_incomplete + summary.tool_calls_invalid
            for completed, count in ((True, summary.tool_calls_completed), (False, not_completed)):
                if count:
                    labels = {**series.labels, semconv.OUTCOME: outcome, semconv.TOOL_CALL_COMPLETED: completed}
                    instruments.tool_calls.add(count, labels, context)
        for anomaly, count in zip(ANOMALIES, _anomaly_counts(summary), strict=True):
            if count:
                instruments.anomalies.add(count, {**series.labels, semconv.ANOMALY: anomaly}, context)

    @contained
    def _add_zeros_of_answers(self, labels: Labels) -> None:
        self._add_zeros(labels, self._expected_of_answers)
        if self._token_metrics is not None:
            self._token_metrics.add_zeros(labels)

    @contained
    def _add_zeros(self, labels: Labels, expected: Iterable[tuple[Metric, Labels]]) -> None:
        instruments = self._instruments
        counters = {
            semconv.ANOMALIES: instruments.anomalies,
            semconv.TOOL_CALLS: instruments.tool_calls,
            semconv.RETRIES: instruments.retries,
        }
        for metric, more in expected:
            if metric in counters:
                counters[metric].add(0, {**labels, **more}, Context())
            else:
                self._totals.total(metric, {**labels, **more})


def _additions(summary: Summary, outcome: Outcome, series: Series) -> list[tuple[Total, float | None]]:
    """What the stream adds to the sums of its kind."""
    pace, usage, rebuffer = summary.pace, summary.usage, summary.rebuffer
    additions: list[tuple[Total, float | None]] = [
        (series.provider_time, pace.provider_time),
        (series.transit_time, pace.transit_time),
        (series.blocked_time, summary.blocked_time),
        (series.consumer_time, pace.consumer_time),
        (series.cache_read_tokens, usage.cache_read_tokens),
        (series.cache_write_tokens, usage.cache_write_tokens),
    ]
    if rebuffer is not None:
        additions.append((series.reading_time, rebuffer.reading_time))
        additions.append((series.rebuffer_time, rebuffer.waiting_time))
    input_tokens = usage.all_input_tokens
    if input_tokens is not None or usage.output_tokens is not None:
        additions += zip(series.tokens(outcome), (input_tokens, usage.output_tokens), strict=True)
    if chars := sum(summary.chars.values()):
        has_repetition = summary.loop is not None if summary.looks_for_loops else None
        additions.append((series.output_chars(outcome, has_repetition=has_repetition), chars))
    return additions


def _anomaly_counts(summary: Summary) -> tuple[int, ...]:
    """How many of each of `ANOMALIES`."""
    return (
        summary.pace.stall_count,
        int(summary.loop is not None),
        int(summary.rumination is not None),
        int(summary.pace.buffered is True),
        summary.tool_calls_incomplete,
        summary.tool_calls_invalid,
        int(summary.refusal is not None),
        int(summary.rebuffer is not None and summary.rebuffer.ratio > _SLOWER_THAN_READING),
    )


def _failures(_: CallbackOptions) -> Iterator[Observation]:
    yield Observation(0)
    for where, count in list(guard.failures.items()):
        yield Observation(count, {semconv.FAILURE_WHERE: where})
