"""From facts to OpenTelemetry: this module writes spans, `events.py` events, `metrics.py` metrics, and no other does.

A stream's attributes are written once, at its end, beside those that samplers see at its start. Its span is never
current while the application's code runs; only around the HTTP request.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass

from opentelemetry import context, trace
from opentelemetry import metrics as api_metrics
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from streamspan import semconv
from streamspan.config import Config
from streamspan.core.model import Summary
from streamspan.guard import contained

from .content import Content, as_json
from .events import Attributes, Events, known, loop_attributes
from .metrics import Metrics

_redacting: ContextVar[bool] = ContextVar("streamspan_redacting", default=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A streamed call as it is issued: what its span starts with."""

    operation: str
    model: str | None
    attributes: Attributes


class Telemetry:
    """Where the spans, the events and the metrics of one `instrument()` go.

    providers  of spans, of metrics and of the logs that events go to, as `is_heard` found them last
    counts     whether the second keeps anything
    """

    def __init__(self, tracer_provider: TracerProvider | None, metrics: Metrics, events: Events, version: str) -> None:
        self.metrics = metrics
        self.events = events
        self._given_provider = tracer_provider
        self.providers: tuple[object, ...] = ()
        self.counts = True
        self._traces = True
        self._logs = True
        self._tracer = trace.get_tracer(semconv.SCOPE, version, tracer_provider, schema_url=semconv.SCHEMA_URL)

    def is_heard(self) -> bool:
        """Whether there is an SDK behind the API for any signal that we write. One may be set after `instrument()`."""
        tracer_provider = self._given_provider or trace.get_tracer_provider()
        meter_provider = self.metrics.provider
        self.providers = tracer_provider, meter_provider, self.events.provider
        self.counts = not type(meter_provider).__module__.startswith(api_metrics.__name__)
        self._traces = type(tracer_provider).__module__ != trace.__name__
        self._logs = self.events.are_logged()
        return self._traces or self.counts or self._logs

    def hears_events(self, span: Span) -> bool:
        """Whether somebody hears those of a stream with this span."""
        return (self.events.on_span and span.is_recording()) or (self.events.as_logs and self._hears_logs(span))

    def _hears_logs(self, span: Span) -> bool:
        """The logs follow the sampler, if there is one."""
        return self._logs and (span.is_recording() or not self._traces)

    def content(self, call: Call, span: Span, config: Config) -> Content | None:
        """What to capture the content of a stream with. None: it is not asked for, or nobody hears it."""
        on_span = config.capture_content in {"SPAN_ONLY", "SPAN_AND_EVENT"} and span.is_recording()
        in_log = self.events.have_content and self._hears_logs(span)
        if not on_span and not in_log:
            return None
        if _redacting.get():  # a redaction that streams would have its own streams redacted, without end
            return None
        return Content(known(call.attributes), config.content_chars, config.redact, on_span=on_span, in_log=in_log)

    @contained
    def tell_content(self, span: Span, content: Content, summary: Summary, timestamp_ns: int) -> None:
        """The application's redaction runs in here."""
        token = _redacting.set(True)
        try:
            written = content.attributes(summary)
        finally:
            _redacting.reset(token)
        if not written:
            return
        if content.on_span:
            span.set_attributes({name: as_json(value) for name, value in written.items()})
            span.set_attribute(semconv.CONTENT_TRUNCATED, content.truncated)
        if content.in_log:
            facts = {**content.facts, **known({**_stream_attributes(summary), **_response_attributes(summary)})}
            details = {name: facts[name] for name in semconv.OPERATION_DETAILS if name in facts}
            details |= {semconv.CONTENT_TRUNCATED: content.truncated, **written}
            self.events.add_details(span, details, timestamp_ns)

    def span(self, call: Call, start_ns: int) -> Span:
        """A started span whose parent is the current one. Not made current."""
        return self._tracer.start_span(
            f"{call.operation} {call.model}" if call.model else call.operation,
            kind=SpanKind.CLIENT,
            attributes=known(call.attributes),
            start_time=start_ns,
        )

    def identity(self, span: Span) -> tuple[str | None, str | None]:
        """The ids of its trace and of itself, in hexadecimal digits. None: it has none of its own."""
        if type(self.providers[0]).__module__ == trace.__name__:
            return None, None  # without an SDK the API hands on the span around it
        context = span.get_span_context()
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)


def suppressed() -> bool:
    """Whether the application has switched instrumentation off for this context."""
    return not is_instrumentation_enabled()


class Current:
    """Makes `span` current for a `with` block, in the context that the block started in.

    Never complains: a coroutine that is closed from another context leaves its own context as it is, which dies with
    the coroutine, instead of detaching a token that is not of this context.
    """

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._token: Token[Context] = context.attach(trace.set_span_in_context(self._span))

    def __exit__(self, *_: object) -> None:
        if trace.get_current_span() is self._span:
            context.detach(self._token)


class StandIn(NonRecordingSpan):
    """`span` for somebody who would record on it and end it: to them it is a span that does not record.

    What others write on the current span (a hook of the HTTP client, a middleware) reaches `span`.
    """

    def __init__(self, span: Span) -> None:
        super().__init__(span.get_span_context())
        self._span = span

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        self._span.set_attributes(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        self._span.set_attribute(key, value)

    def add_event(
        self, name: str, attributes: Mapping[str, AttributeValue] | None = None, timestamp: int | None = None
    ) -> None:
        self._span.add_event(name, attributes, timestamp)

    def update_name(self, name: str) -> None:
        self._span.update_name(name)


def stand_in(span: Span) -> StandIn | None:
    """None: `span` is not a span of its own. A tracer without an SDK hands on the span around it."""
    identity = span.get_span_context()
    around = trace.get_current_span().get_span_context()
    return StandIn(span) if identity.is_valid and identity.span_id != around.span_id else None


# --- the end -------------------------------------------------------------------------------------------------------


def set_summary(span: Span, summary: Summary, more: Attributes) -> None:
    """Write the summary and `more` on the span."""
    attributes = {**more, **_stream_attributes(summary), **_response_attributes(summary)}
    if summary.time_to_headers is not None and summary.outcome is not None:
        attributes |= {**_content_attributes(summary), **_pace_attributes(summary)}
    span.set_attributes(known(attributes))
    if summary.outcome in {"error", "truncated"}:
        span.set_status(Status(StatusCode.ERROR))


def set_events_dropped(span: Span, count: int) -> None:
    span.set_attribute(semconv.EVENTS_DROPPED, count)


def end(span: Span, end_ns: int) -> None:
    span.end(end_ns)


def _stream_attributes(summary: Summary) -> Attributes:
    if summary.outcome is None:
        return {semconv.OBSERVED: False, semconv.TIME_TO_HEADERS: summary.time_to_headers}
    ended_early = summary.outcome != "complete"
    aborted = summary.outcome == "aborted"
    return {
        semconv.OUTCOME: summary.outcome,
        semconv.PARTIAL: summary.partial,
        semconv.PHASE: summary.phase if ended_early else None,
        semconv.ABORT_REASON: summary.abort_reason,
        semconv.ABORT_TOOL_CALLS_COMPLETED: summary.tool_calls_completed if aborted else None,
        semconv.ABORT_CONNECTION_CLOSED: summary.connection_closed if aborted else None,
        semconv.ERROR_TYPE: summary.error_type,
        semconv.TIME_TO_HEADERS: summary.time_to_headers,
        semconv.RESPONSE_TIME_TO_FIRST_CHUNK: summary.time_to_first_chunk,
        semconv.TIME_TO_FIRST_TEXT: summary.time_to_first_text,
        **_loop_attributes(summary),
    }


def _content_attributes(summary: Summary) -> Attributes:
    return {
        semconv.CHUNK_COUNT: summary.chunk_count,
        semconv.CONTENT_BLOCK_COUNT: summary.block_count,
        semconv.TEXT_CHARS: summary.chars["text"],
        semconv.THINKING_CHARS: summary.chars["thinking"],
        semconv.TOOL_INPUT_CHARS: summary.chars["tool_input"],
        semconv.TOOL_CALL_COUNT: summary.tool_call_count,
        semconv.TOOL_CALL_INCOMPLETE: summary.tool_calls_incomplete,
        semconv.TOOL_CALL_INVALID_JSON: summary.tool_calls_invalid,
    }


def _pace_attributes(summary: Summary) -> Attributes:
    pace = summary.pace
    return {
        semconv.CHUNK_GAP_P50: pace.gap_p50,
        semconv.CHUNK_GAP_P95: pace.gap_p95,
        semconv.CHUNK_GAP_MAX: pace.gap_max,
        semconv.TIME_PER_OUTPUT_TOKEN: summary.time_per_output_token,
        semconv.PROVIDER_TIME: pace.provider_time,
        semconv.CONSUMER_TIME: pace.consumer_time,
        semconv.STALL_COUNT: pace.stall_count,
        semconv.STALL_TIME: pace.stall_time,
        semconv.TOOL_CALL_PAUSE: pace.tool_call_pause,
        semconv.BUFFERED: pace.buffered,
    }


def _loop_attributes(summary: Summary) -> Attributes:
    loop = summary.loop
    if loop is None:
        return {semconv.REPETITION_DETECTED: False if summary.looks_for_loops else None}
    return {
        semconv.REPETITION_DETECTED: True,
        **loop_attributes(loop),
        semconv.REPETITION_RECOVERED: loop.recovered,
    }


def _response_attributes(summary: Summary) -> Attributes:
    usage = summary.usage
    return {
        semconv.RESPONSE_ID: summary.message_id,
        semconv.RESPONSE_MODEL: summary.model,
        semconv.RESPONSE_FINISH_REASONS: _finish_reasons(summary),
        semconv.USAGE_INPUT_TOKENS: usage.all_input_tokens,
        semconv.USAGE_OUTPUT_TOKENS: usage.output_tokens,
        semconv.USAGE_CACHE_READ_INPUT_TOKENS: usage.cache_read_tokens,
        semconv.USAGE_CACHE_WRITE_INPUT_TOKENS: usage.cache_write_tokens,
        semconv.USAGE_REASONING_OUTPUT_TOKENS: usage.reasoning_tokens,
        **usage.more,
    }


def _finish_reasons(summary: Summary) -> tuple[str, ...] | None:
    """The convention's word for "expected but not received" is `error`."""
    if summary.outcome == "complete":
        return None if summary.stop_reason is None else (summary.stop_reason,)
    return None if summary.outcome is None else ("error",)
