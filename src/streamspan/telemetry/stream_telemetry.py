"""The telemetry of one stream: a span, its events, its content, its metrics.

A stream's attributes are written once, at its end, beside those that samplers see at its start. Its span is never
current while the application's code runs; only around the HTTP request, see `current.py`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from streamspan import semconv
from streamspan.core.model import Summary
from streamspan.guard import contained

from . import latest_form
from .attributes import Attributes, Written, end_attributes
from .content import Content, as_json
from .events import StreamEvents, StreamFact
from .labels import Labels
from .logs import EventLog
from .metrics import Metrics
from .series import CallLabels

_ERROR = Status(StatusCode.ERROR)


class StreamTelemetry:
    """The telemetry of one stream, from its call to its end.

    content      what is captured of it; None: nothing is
    from_others  attributes that others have written on the span while it was current
    has_metrics  whether there is a metrics SDK
    labels       what all its metrics have; empty where nothing is recorded
    retry_time   seconds from the call to the start of the SDK's last attempt; None: it has not retried
    """

    __slots__ = (
        "_call_labels",
        "_events",
        "_has_latest",
        "_has_spans",
        "_log",
        "content",
        "from_others",
        "has_metrics",
        "is_recording",
        "labels",
        "metrics",
        "retry_time",
        "span",
    )

    def __init__(  # noqa: PLR0913  # three of them are switches
        self,
        metrics: Metrics,
        call_labels: CallLabels,
        log: EventLog,
        *,
        has_metrics: bool,
        has_spans: bool,
        has_latest: bool = False,
    ) -> None:
        self.span: Span = trace.INVALID_SPAN
        self.is_recording = False
        self.metrics = metrics
        self.labels: Labels = call_labels.labels
        self.content: Content | None = None
        self.from_others: dict[str, AttributeValue] = {}
        self.retry_time: float | None = None
        self._call_labels = call_labels
        self._events: StreamEvents | None = None
        self._log = log
        self.has_metrics = has_metrics
        self._has_spans = has_spans
        self._has_latest = has_latest

    def start(self, start_span: Callable[[], Span]) -> None:
        """In one line, so that no interrupt leaves a span that started and that nobody holds."""
        self.span = start_span()
        self.is_recording = self.span.is_recording()

    def attach(self, events: StreamEvents | None, content: Content | None) -> None:
        """None: events go nowhere, content is not captured."""
        self._events = events
        self.content = content

    def identity(self) -> tuple[str | None, str | None]:
        """The ids of its trace and of its span, in hexadecimal digits. None: it has no span of its own."""
        if not self._has_spans:
            return None, None  # without an SDK the API hands on the span around it
        context = self.span.get_span_context()
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)

    def event(self, fact: StreamFact, timestamp_ns: int) -> None:
        """After the end it does nothing."""
        if self._events is not None:
            self._events.add(fact, timestamp_ns)

    def retried(self, error_type: str) -> None:
        """The SDK tries the call again, after this."""
        if self.has_metrics:
            self.metrics.retried(error_type, self._call_labels, self.span)

    def answered(self, model: str) -> None:
        """The model that answers is known."""
        if self.has_metrics:
            self.metrics.answered(self._call_labels, model)

    def chunk(self, seconds: float, model: str | None) -> None:
        """A chunk has come, `seconds` after the one before it."""
        if self.has_metrics:
            self.metrics.record_chunk(seconds, self._call_labels, model, self.span)

    def response_came(self, attributes: Attributes) -> None:
        """The headers of a response have come, which these attributes tell of."""
        if self.has_metrics:
            self.metrics.rate_limits_seen(attributes, self.labels)

    def failed_with(self, message: str) -> None:
        """The text of the error that ends the stream, which is content."""
        if self.content is not None:
            self.content.capture_error(message)

    def end(self, summary: Summary, attributes: dict[str, AttributeValue | None], end_ns: int) -> None:
        """Write all that the end tells, and end the span, whatever fails before that.

        May be called again if it was interrupted.

        attributes  what else the span gets; the rest is added to it
        """
        if self.is_recording and not self.span.is_recording():
            return
        retry_time = self.retry_time
        try:
            if retry_time is not None:
                attributes[semconv.RETRY_TIME] = retry_time
            self._describe(summary, attributes, end_ns)
            if self.has_metrics:
                dropped = 0 if self._events is None else self._events.dropped
                self.metrics.record(summary, self._call_labels, self.span, dropped, retry_time or 0.0)
        finally:
            self.span.end(end_ns)

    def body_ended(self, delay: float, error_type: str | None, model: str | None) -> None:
        """The body has ended so many seconds after the provider's own end, by this error or none."""
        if self.has_metrics:
            self.metrics.record_body_end(delay, error_type, self._call_labels, model, self.span)

    def abandon(self, end_ns: int) -> None:
        """End the span without a word, unless it has ended."""
        if not self._has_spans or self.span.is_recording():
            self.span.end(end_ns)

    @contained
    def _describe(self, summary: Summary, others: dict[str, AttributeValue | None], end_ns: int) -> None:
        """Write all but the metrics. The application's redaction and its log processors run in here."""
        events, content = self._events, self.content
        last_events = () if events is None else events.close(summary)
        captured = None if content is None else _captured(content, summary)
        attributes: Written = {}
        if self.is_recording or captured is not None:
            attributes = end_attributes(summary, others, 0 if events is None else events.dropped)
            if self._has_latest:
                latest_form.add_to_end(attributes)
        if self.is_recording:
            self.span.set_attributes(attributes if captured is None else {**attributes, **captured.on_span})
            if summary.outcome in {"error", "truncated"}:
                self.span.set_status(_ERROR)
        if events is not None:
            events.add_last(last_events, end_ns)
        if captured is not None and captured.in_log:
            details = _operation_details(captured, attributes)
            self._log.emit(self.span, semconv.EVENT_OPERATION_DETAILS, details, end_ns)


class _Captured(NamedTuple):
    """The content of a stream that has ended, as attributes of its span and of its log record; empty: nothing."""

    call_attributes: Mapping[str, object]
    on_span: Written
    in_log: Mapping[str, object]


@contained
def _captured(content: Content, summary: Summary) -> _Captured | None:
    """Runs the application's redaction. None: the stream has no content."""
    written = content.written(summary)
    if not written:
        return None
    truncated = content.truncated
    on_span: Written = {}
    if content.on_span:
        on_span.update({name: as_json(value) for name, value in written.items()})
        if isinstance(message := written.get(semconv.ERROR_MESSAGE), str):
            on_span[semconv.ERROR_MESSAGE] = message
        on_span[semconv.CONTENT_TRUNCATED] = truncated
    in_log = {semconv.CONTENT_TRUNCATED: truncated, **written} if content.in_log else {}
    return _Captured(content.call_attributes, on_span, in_log)


def _operation_details(captured: _Captured, attributes: Written) -> dict[str, object]:
    """The attributes of the event that has the content."""
    everything = {**captured.call_attributes, **attributes}
    details: dict[str, object] = {name: everything[name] for name in semconv.OPERATION_DETAILS if name in everything}
    details.update(captured.in_log)
    return details
