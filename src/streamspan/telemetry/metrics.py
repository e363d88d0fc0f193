"""From the summary of a stream to metrics: one record of each at the stream's end, and two gauges of those still open.

Every record is made in the context of the stream's span, sampled or not, so that exemplars lead to its trace. The
values of attributes come from the application or the server, so each attribute has a bounded number of them; what comes
later is `_OTHER`, the conventions' word for it.

A counter that is born at its first event is invisible to `increase()`. So when the first stream of a model ends, the
label sets that are likely to follow are added 0.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, get_args

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Span

from streamspan import guard, semconv
from streamspan.core.model import AbortReason, Summary
from streamspan.semconv import Metric

Labels = dict[str, str | bool | int]

_lock = threading.RLock()  # a finalizer may end a stream in the middle of the end of another
_VALUES_AT_MOST = 200  # of one attribute
_CHARS_AT_MOST = 128
_BEGUN_AT_MOST = 50  # sets of models and servers that are added 0: each makes 72 series
_OTHER = "_OTHER"

_STOP_REASONS = ("end_turn", "tool_use", "max_tokens", "stop_sequence", "pause_turn", "refusal")
_WRITING = ("waiting", "thinking", "text", "tool_input")
_OUTCOMES = ("complete", "truncated", "error", "aborted")
_ANOMALIES = ("stall", "repetition", "buffered", "incomplete_tool_call", "invalid_tool_json")


class OpenStream(Protocol):
    """What the gauges ask of a stream that has not ended. `silence`: in seconds, 0.0 where nobody waits."""

    @property
    def metrics(self) -> "Metrics": ...
    @property
    def labels(self) -> Labels: ...
    def silence(self) -> float: ...


@dataclass(slots=True)
class _Total:
    labels: Labels
    amount: float = 0


_Totals = dict[Metric, dict[tuple[object, ...], _Total]]
_totals: list[tuple[Callable[[], MeterProvider | None], _Totals]] = []
"""Those of each provider that there still is."""


def _totals_of(given_provider: MeterProvider | None) -> _Totals:
    """Those of all `instrument()`s with this provider: it has one counter of a name, and asks the first of them."""
    _totals[:] = [(provider, totals) for provider, totals in _totals if provider is _global or provider() is not None]
    for provider, totals in _totals:
        if provider() is given_provider:
            return totals
    counters = [metric for metric in semconv.METRICS if metric.kind == "observable counter"]
    totals: _Totals = {metric: {} for metric in counters if metric is not semconv.INSTRUMENTATION_FAILURES}
    _totals.append((_reference(given_provider), totals))
    return totals


def _reference(given_provider: MeterProvider | None) -> Callable[[], MeterProvider | None]:
    if given_provider is None:
        return _global
    try:
        return weakref.ref(given_provider)
    except TypeError:  # it has slots
        return lambda: given_provider


def _global() -> None:
    """The global provider, whichever that is."""


class Metrics:
    """The instruments of one `instrument()`; `open_streams` gives all that are open in the process."""

    def __init__(
        self, meter_provider: MeterProvider | None, version: str, open_streams: Callable[[], Iterable[OpenStream]]
    ) -> None:
        self._given_provider = meter_provider
        active, silence, failures = semconv.ACTIVE, semconv.SILENCE, semconv.INSTRUMENTATION_FAILURES
        self._open_streams = open_streams
        self._values: dict[str, set[str]] = {semconv.ABORT_REASON: set(get_args(AbortReason))}
        self._begun: set[tuple[object, ...]] = set()
        self._seen_open: dict[tuple[object, ...], Labels] = {}
        meter = metrics.get_meter(semconv.SCOPE, version, meter_provider, schema_url=semconv.SCHEMA_URL)
        self._histograms = {
            metric: meter.create_histogram(
                metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=metric.buckets
            )
            for metric in semconv.METRICS
            if metric.kind == "histogram"
        }
        self._counters = {
            metric: meter.create_counter(metric.name, metric.unit, metric.description)
            for metric in semconv.METRICS
            if metric.kind == "counter"
        }
        self._totals = _totals_of(meter_provider)
        for metric in self._totals:
            callback = partial(self._total, metric)
            meter.create_observable_counter(metric.name, [callback], metric.unit, metric.description)
        meter.create_observable_up_down_counter(active.name, [self._active], active.unit, active.description)
        meter.create_observable_gauge(silence.name, [self._silence], silence.unit, silence.description)
        meter.create_observable_counter(failures.name, [_failures], failures.unit, failures.description)
        self._counters[semconv.INSTRUMENTATION_EVENTS_DROPPED].add(0)

    @property
    def provider(self) -> MeterProvider:
        """The global one may be set after `instrument()`."""
        return self._given_provider or metrics.get_meter_provider()

    def labels(self, attributes: Mapping[str, object]) -> Labels:
        """Those of a call's attributes that every metric of its stream has."""
        names = (name for name in semconv.STREAM_METRIC_ATTRIBUTES if attributes.get(name) is not None)
        return {name: self._bounded(name, attributes[name]) for name in names}

    # --- a stream that has ended ---------------------------------------------------------------------------------

    def record(self, summary: Summary, labels: Labels, span: Span, events_dropped: int) -> None:
        """Record all of it. `labels`: as `labels()` gave them at the call."""
        context = trace.set_span_in_context(span, Context())
        labels = self._with_model(labels, summary.model)
        for metric, amount, more in _amounts(summary):
            if amount is not None:
                bounded = {name: self._bounded(name, value) for name, value in more.items()}
                self._write(metric, amount, {**labels, **bounded}, context)
        if events_dropped:
            self._counters[semconv.INSTRUMENTATION_EVENTS_DROPPED].add(events_dropped, None, context)

    def record_chunk(self, seconds: float, labels: Labels, model: str | None, span: Span) -> None:
        context = trace.set_span_in_context(span, Context())
        self._histograms[semconv.TIME_PER_OUTPUT_CHUNK].record(seconds, self._with_model(labels, model), context)

    def _write(self, metric: Metric, amount: float, labels: Labels, context: Context) -> None:
        if metric in self._histograms:
            self._histograms[metric].record(amount, labels, context)
        elif metric in self._counters:
            self._counters[metric].add(amount, labels, context)
        else:
            with _lock:
                total = self._totals[metric].setdefault(tuple(labels.values()), _Total(labels))
                total.amount += amount

    def _with_model(self, labels: Labels, model: str | None) -> Labels:
        """With the response model. The first time, add 0 where streams with these labels may be counted."""
        known = labels
        if model is not None:
            known = {**labels, semconv.RESPONSE_MODEL: self._bounded(semconv.RESPONSE_MODEL, model)}
        self._seen_open.setdefault(tuple(labels.values()), labels)
        key = tuple(known.values())
        if key not in self._begun:
            if len(self._begun) >= _BEGUN_AT_MOST:
                return known
            self._begun.add(key)
            for metric, more in _LIKELY:
                self._write(metric, 0, {**known, **more}, Context())
        return known

    def _bounded(self, name: str, value: object) -> str | bool | int:
        if not isinstance(value, str):
            return value if isinstance(value, (bool, int)) else _OTHER
        values = self._values.setdefault(name, set())
        if value not in values:
            if len(values) >= _VALUES_AT_MOST or len(value) > _CHARS_AT_MOST:
                return _OTHER
            values.add(value)
        return value

    def _total(self, metric: Metric, _: CallbackOptions) -> Iterator[Observation]:
        for total in tuple(self._totals[metric].values()):
            yield Observation(total.amount, total.labels)

    # --- streams that are open -----------------------------------------------------------------------------------

    def _active(self, _: CallbackOptions) -> Iterator[Observation]:
        return self._observed(len)

    def _silence(self, _: CallbackOptions) -> Iterator[Observation]:
        return self._observed(lambda streams: max((stream.silence() for stream in streams), default=0.0))

    def _observed(self, value_of: Callable[[list[OpenStream]], float]) -> Iterator[Observation]:
        """One for each set of labels that has had an open stream: 0 where there is none now.

        The greatest comes last: it is what a gauge keeps where a View drops the attributes that tell them apart.
        """
        # A copy, because a stream may end meanwhile in another thread.
        streams: dict[tuple[object, ...], list[OpenStream]] = {key: [] for key in tuple(self._seen_open)}
        provider = self.provider
        for stream in self._open_streams():
            if stream.metrics.provider is provider:
                key = tuple(stream.labels.values())
                self._seen_open.setdefault(key, stream.labels)
                streams.setdefault(key, []).append(stream)
        values = {key: value_of(alike) for key, alike in streams.items()}
        for key in sorted(values, key=values.__getitem__):
            yield Observation(values[key], self._seen_open[key])


def _failures(_: CallbackOptions) -> Iterator[Observation]:
    yield Observation(0)
    for where, count in tuple(guard.failures.items()):
        yield Observation(count, {semconv.FAILURE_WHERE: where})


def _amounts(summary: Summary) -> Iterator[tuple[Metric, float | None, Mapping[str, object]]]:
    """What one stream adds to each metric; None: nothing."""
    outcome = {} if summary.outcome is None else {semconv.OUTCOME: summary.outcome}
    error = {} if summary.error_type is None else {semconv.ERROR_TYPE: summary.error_type}
    pace, usage = summary.pace, summary.usage
    yield semconv.OPERATION_DURATION, summary.duration, error
    yield semconv.STREAMS, 1, _known({**outcome, **error, **_how_it_ended(summary)})
    if summary.outcome is None:
        return
    if summary.outcome != "complete":
        yield semconv.INCOMPLETE_DURATION, summary.duration, outcome
    cache_hit = {} if usage.cache_read_tokens is None else {semconv.CACHE_HIT: usage.cache_read_tokens > 0}
    yield semconv.TIME_TO_FIRST_CHUNK, summary.time_to_first_chunk, cache_hit
    yield semconv.FIRST_TEXT, summary.time_to_first_text, {}
    yield semconv.GAP_MAX, pace.gap_max, {}
    yield semconv.PER_OUTPUT_TOKEN, summary.time_per_output_token, {}
    yield semconv.PAUSE_BEFORE_TOOL_CALL, pace.tool_call_pause, {}
    yield semconv.WAITED_FOR_PROVIDER, pace.provider_time, {}
    yield semconv.WAITED_FOR_CONSUMER, pace.consumer_time, {}
    yield semconv.TOKEN_USAGE, usage.all_input_tokens, {semconv.TOKEN_TYPE: "input"}
    yield semconv.TOKEN_USAGE, usage.output_tokens, {semconv.TOKEN_TYPE: "output"}
    yield semconv.CACHE_TOKENS, usage.cache_read_tokens, {semconv.CACHE_USE: "read"}
    yield semconv.CACHE_TOKENS, usage.cache_write_tokens, {semconv.CACHE_USE: "write"}
    chars = sum(summary.chars.values())
    looping = {} if not summary.looks_for_loops else {semconv.REPETITION_DETECTED: summary.loop is not None}
    yield semconv.OUTPUT_CHARS, chars or None, {**outcome, **looping}
    for completed, count in ((True, summary.tool_calls_completed), (False, _not_completed(summary))):
        yield semconv.TOOL_CALLS, count or None, {**outcome, semconv.TOOL_CALL_COMPLETED: completed}
    for anomaly, count in zip(_ANOMALIES, _anomalies(summary), strict=True):
        yield semconv.ANOMALIES, count or None, {semconv.ANOMALY: anomaly}


def _how_it_ended(summary: Summary) -> Mapping[str, object]:
    if summary.outcome == "complete":
        return {semconv.STOP_REASON: summary.stop_reason}
    if summary.outcome is None:
        return {}
    return {semconv.PHASE: summary.phase, semconv.ABORT_REASON: summary.abort_reason}


def _not_completed(summary: Summary) -> int:
    return summary.tool_calls_incomplete + summary.tool_calls_invalid


def _anomalies(summary: Summary) -> tuple[int, ...]:
    """How many of each of `_ANOMALIES`."""
    return (
        summary.pace.stall_count,
        int(summary.loop is not None),
        int(summary.pace.buffered is True),
        summary.tool_calls_incomplete,
        summary.tool_calls_invalid,
    )


def _known(attributes: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in attributes.items() if value is not None}


def _likely() -> Iterator[tuple[Metric, Labels]]:
    """The label sets of counters that are to be there before they count."""
    for stop_reason in _STOP_REASONS:
        yield semconv.STREAMS, {semconv.OUTCOME: "complete", semconv.STOP_REASON: stop_reason}
    for phase in _WRITING:
        for reason in ("closed", "cancelled", "dropped"):
            yield semconv.STREAMS, _how("aborted", phase, semconv.ABORT_REASON, reason)
        yield semconv.STREAMS, _how("truncated", phase, semconv.ERROR_TYPE, "api_error")
        yield semconv.STREAMS, _how("error", phase, semconv.ERROR_TYPE, "overloaded_error")
        yield semconv.STREAMS, _how("error", phase, semconv.ERROR_TYPE, "connection_error")
        yield semconv.STREAMS, _how("error", phase, semconv.ERROR_TYPE, "client_timeout_error")
    for error_type in ("overloaded_error", "rate_limit_error", "api_error", "connection_error", "client_timeout_error"):
        yield semconv.STREAMS, _how("error", "opening", semconv.ERROR_TYPE, error_type)
    yield semconv.STREAMS, _how("aborted", "waiting", semconv.ABORT_REASON, "never_read")
    for anomaly in _ANOMALIES:
        yield semconv.ANOMALIES, {semconv.ANOMALY: anomaly}
    for outcome in _OUTCOMES:
        for truth in (True, False):
            yield semconv.TOOL_CALLS, {semconv.OUTCOME: outcome, semconv.TOOL_CALL_COMPLETED: truth}
            yield semconv.OUTPUT_CHARS, {semconv.OUTCOME: outcome, semconv.REPETITION_DETECTED: truth}
    for use in ("read", "write"):
        yield semconv.CACHE_TOKENS, {semconv.CACHE_USE: use}
    yield semconv.WAITED_FOR_PROVIDER, {}
    yield semconv.WAITED_FOR_CONSUMER, {}


def _how(outcome: str, phase: str, name: str, value: str) -> Labels:
    return {semconv.OUTCOME: outcome, semconv.PHASE: phase, name: value}


_LIKELY = tuple(_likely())


def _renew_lock() -> None:
    """In a child process: the old one may be held by a thread that the child does not have."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
