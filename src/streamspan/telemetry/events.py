"""What happens in a stream, as events: on its span, as log records, as both, or not at all.

An event has the same name, attributes and time in either form. A log record is an event by its event name; it has the
context of the stream's span, and it is emitted before that span ends. It follows the sampler as the span does: the
events of a stream that is not recorded go nowhere, unless there are only logs.

Sources
    https://opentelemetry.io/docs/specs/otel/logs/data-model/#events
"""

import sys
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from opentelemetry import _logs as api_logs
from opentelemetry import trace
from opentelemetry._logs import Logger, LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from streamspan import semconv
from streamspan.config import Config
from streamspan.core.model import ContentBlock, FirstToken, Loop, Note, Stall, Summary, ToolCall
from streamspan.guard import contained

Attributes = Mapping[str, AttributeValue | None]
"""None: not known, and so not written."""

Told = FirstToken | Stall | Loop | ContentBlock | ToolCall | Note | Summary
"""What an event tells of. A Summary: that the stream ended otherwise than complete."""


class Events:
    """Where the events of one `instrument()` go.

    on_span, as_logs  where they go
    have_content      there is one with the content of the stream, which is a log record wherever the others go
    provider          of the logs; None: nothing goes there. One may be set after `instrument()`
    """

    def __init__(self, config: Config, logger_provider: LoggerProvider | None, version: str) -> None:
        self.on_span = config.events in {"span", "both"}
        self.as_logs = config.events in {"log", "both"}
        self.have_content = config.capture_content in {"EVENT_ONLY", "SPAN_AND_EVENT"}
        self._given_provider = logger_provider
        self._version = version
        self._emitter: tuple[LoggerProvider, Callable[..., object]] | None = None

    @property
    def provider(self) -> LoggerProvider | None:
        if not self.as_logs and not self.have_content:
            return None
        return self._given_provider or api_logs.get_logger_provider()

    def are_logged(self) -> bool:
        """Whether any goes to logs, and there is an SDK behind the API."""
        provider = self.provider
        return provider is not None and not type(provider).__module__.startswith(api_logs.__name__)

    def add(self, span: Span, told: Told, timestamp_ns: int) -> None:
        if self.on_span:
            name, attributes = _event(told)
            span.add_event(name, attributes, timestamp_ns)

    def log(self, span: Span, told: Told, timestamp_ns: int) -> None:
        if self.as_logs:
            name, attributes = _event(told)
            self._log(span, name, attributes, timestamp_ns)

    def add_details(self, span: Span, attributes: Mapping[str, object], timestamp_ns: int) -> None:
        """The event that has the content."""
        self._log(span, semconv.EVENT_OPERATION_DETAILS, attributes, timestamp_ns)

    @contained
    def _log(self, span: Span, name: str, attributes: Mapping[str, object], timestamp_ns: int) -> None:
        """Code of the application's own may run in here, and fail: its processors."""
        provider = self.provider
        if provider is None:
            return
        if self._emitter is None or self._emitter[0] is not provider:
            logger = api_logs.get_logger(semconv.SCOPE, self._version, provider, schema_url=semconv.SCHEMA_URL)
            self._emitter = provider, _emitter(logger)
        self._emitter[1](
            timestamp=timestamp_ns,
            context=trace.set_span_in_context(span, Context()),
            severity_number=SeverityNumber.ERROR if name in _ERRORS else SeverityNumber.INFO,
            attributes=attributes,
            event_name=name,
        )


def _emitter(logger: Logger) -> Callable[..., object]:
    """What emits a record by its fields, as from API 1.37 on: until then it took records, and the SDK only its own."""
    if "event_name" in signature(logger.emit).parameters:
        return logger.emit
    record: Callable[..., LogRecord] = vars(sys.modules[type(logger).__module__])["LogRecord"]

    def emit(**fields: object) -> None:
        logger.emit(record(resource=getattr(logger, "resource", None), **fields))

    return emit


def _event(told: Told) -> tuple[str, dict[str, AttributeValue]]:
    name, attributes = _EVENTS[type(told)](told)
    return name, known(attributes)


def known(attributes: Attributes) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None}


# --- what they say -------------------------------------------------------------------------------------------------


def _first_token(first: FirstToken) -> tuple[str, Attributes]:
    return semconv.EVENT_FIRST_TOKEN, {semconv.FIRST_TOKEN_KIND: first.kind, semconv.FIRST_TOKEN_TIME: first.time}


def _stall(stall: Stall) -> tuple[str, Attributes]:
    return semconv.EVENT_STALL, {
        semconv.STALL_GAP: stall.gap,
        semconv.OFFSET: stall.start,
        semconv.PHASE: stall.phase,
    }


def _repetition(loop: Loop) -> tuple[str, Attributes]:
    return semconv.EVENT_REPETITION, loop_attributes(loop)


def loop_attributes(loop: Loop) -> Attributes:
    return {
        semconv.REPETITION_KIND: loop.kind,
        semconv.REPETITION_CHANNEL: loop.channel,
        semconv.REPETITION_START: loop.start,
        semconv.REPETITION_PERIOD: loop.period,
        semconv.REPETITION_COUNT: loop.count,
        semconv.REPETITION_CHARS: loop.chars,
        semconv.REPETITION_TIME: loop.time,
    }


def _content_block(block: ContentBlock) -> tuple[str, Attributes]:
    return semconv.EVENT_CONTENT_BLOCK, {
        semconv.BLOCK_INDEX: block.index,
        semconv.BLOCK_TYPE: block.type,
        semconv.BLOCK_START: block.start,
        semconv.BLOCK_DURATION: block.duration,
        semconv.BLOCK_CHARS: block.chars,
        semconv.BLOCK_CHUNK_COUNT: block.chunk_count,
        semconv.BLOCK_COMPLETE: block.complete,
    }


def _tool_call(call: ToolCall) -> tuple[str, Attributes]:
    return semconv.EVENT_TOOL_CALL, {
        semconv.TOOL_NAME: call.name,
        semconv.TOOL_CALL_ID: call.id,
        semconv.TOOL_CALL_TYPE: call.type,
        semconv.TOOL_CALL_INPUT_CHARS: call.input_chars,
        semconv.TOOL_CALL_COMPLETE: call.complete,
        semconv.TOOL_CALL_VALID_JSON: call.valid_json,
    }


def _note(note: Note) -> tuple[str, Attributes]:
    return note.name, {
        **note.attributes,
        semconv.OFFSET: note.offset,
        semconv.CHARS_DELIVERED: note.chars_delivered,
    }


def _end(summary: Summary) -> tuple[str, Attributes]:
    attributes: Attributes = {
        semconv.PHASE: summary.phase,
        semconv.OFFSET: summary.duration,
        semconv.CHARS_DELIVERED: sum(summary.chars.values()),
    }
    if summary.outcome == "aborted":
        return semconv.EVENT_ABORT, {
            **attributes,
            semconv.ABORT_REASON: summary.abort_reason,
            semconv.ABORT_TOOL_CALLS_COMPLETED: summary.tool_calls_completed,
        }
    if summary.outcome == "truncated":
        return semconv.EVENT_TRUNCATED, attributes
    return semconv.EVENT_ERROR, {**attributes, semconv.ERROR_TYPE: summary.error_type}


_EVENTS: Mapping[type, Callable[[Any], tuple[str, Attributes]]] = {
    FirstToken: _first_token,
    Stall: _stall,
    Loop: _repetition,
    ContentBlock: _content_block,
    ToolCall: _tool_call,
    Note: _note,
    Summary: _end,
}

_ERRORS = frozenset({semconv.EVENT_ERROR, semconv.EVENT_TRUNCATED})
