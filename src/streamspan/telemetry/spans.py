"""The telemetry of one `instrument()`: where it goes, and how a stream's begins. The rest: `stream_telemetry.py`."""

from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

from opentelemetry import _logs as api_logs
from opentelemetry import metrics as api_metrics
from opentelemetry import trace
from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Tracer, TracerProvider
from opentelemetry.util.types import AttributeValue

from streamspan import semconv
from streamspan.config import Config
from streamspan.guard import contained
from streamspan.semconv import latest

from . import latest_form
from .attributes import Attributes, Written, without_unknown
from .content import Content, Form, is_redacting
from .current import Current, StandIn, stand_in, suppressed
from .events import StreamEvents, StreamFact
from .flush import write_before_flush
from .gauges import OpenStream
from .labels import Expected
from .logs import EventLog
from .metrics import Metrics
from .series import NO_LABELS
from .stream_telemetry import StreamTelemetry

__all__ = [
    "AttributeValue",
    "Attributes",
    "Call",
    "Current",
    "Expected",
    "Span",
    "StandIn",
    "StreamFact",
    "StreamTelemetry",
    "Telemetry",
    "stand_in",
    "suppressed",
]


class Call(NamedTuple):
    """A streamed call as it is issued: what its span starts with.

    is_compacted  whether its conversation has a compaction; it is asked only where that is written
    """

    operation: str
    model: str | None
    attributes: Attributes
    is_compacted: Callable[[], bool | None] = bool


class Telemetry:
    """Where the spans, the events, the content and the metrics of one `instrument()` go.

    providers  of spans, of metrics and of the logs that something goes to, as `has_sdk` found them last
    had_sdk    what `has_sdk` said last
    """

    def __init__(  # noqa: PLR0913, PLR0917  # three of them are providers
        self,
        config: Config,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        logger_provider: LoggerProvider | None,
        open_streams: Callable[[], Iterable[OpenStream]],
        expected: Expected,
        write_ends: Callable[[], None] | None = None,
    ) -> None:
        our_version = version("streamspan")
        self._config = config
        self._write_ends = write_ends
        self._given_provider = tracer_provider
        self._log = EventLog(logger_provider, our_version)
        self._tracer = _tracer(tracer_provider, our_version) or trace.NoOpTracer()
        conventions = latest.CONVENTIONS[config.semconv_stability_opt_in]
        self._conventions = conventions
        in_latest_form = partial(latest_form.messages, keeps_finish_reason=conventions.released)
        self._content_form: Form | None = in_latest_form if conventions.latest else None
        self.metrics = Metrics(meter_provider, our_version, open_streams, expected, config)
        self.providers: tuple[object, ...] = ()
        self._may_log = config.events in {"log", "both"} or config.capture_content in {"EVENT_ONLY", "SPAN_AND_EVENT"}
        self._traces = self._counts = self._logs = self.had_sdk = False
        self.has_sdk()

    def has_sdk(self) -> bool:
        """Whether there is an SDK behind the API for any signal that we write. One may be set after `instrument()`."""
        tracer_provider = self._given_provider or trace.get_tracer_provider()
        meter_provider = self.metrics.provider
        logger_provider = self._log.provider if self._may_log else None
        providers = tracer_provider, meter_provider, logger_provider
        if providers == self.providers:
            return self.had_sdk
        self.providers = providers
        if self._write_ends is not None:
            write_before_flush(tracer_provider, self._write_ends)
        self._traces = type(tracer_provider).__module__ != trace.__name__
        self._counts = not type(meter_provider).__module__.startswith(api_metrics.__name__)
        self._logs = logger_provider is not None and not type(logger_provider).__module__.startswith(api_logs.__name__)
        self.had_sdk = self._traces or self._counts or self._logs
        return self.had_sdk

    def stream(self, call: Call) -> StreamTelemetry:
        """The telemetry of a call, whose span `start` starts."""
        labels = self.metrics.labels(call.attributes) if self._counts else NO_LABELS
        return StreamTelemetry(
            self.metrics,
            labels,
            self._log,
            has_metrics=self._counts,
            has_spans=self._traces,
            has_latest=self._conventions.latest,
        )

    def start(self, stream: StreamTelemetry, call: Call, start_ns: int) -> None:
        """Start the span, whose parent is the current one. It is not made current."""
        stream.start(partial(self._start_span, call, start_ns))
        span, is_recording = stream.span, stream.is_recording
        events = self._events(span, is_recording=is_recording)
        stream.attach(events, self._content(call, is_recording=is_recording))

    def _start_span(self, call: Call, start_ns: int) -> Span:
        return self._tracer.start_span(
            f"{call.operation} {call.model}" if call.model else call.operation,
            kind=SpanKind.CLIENT,
            attributes=self._start_attributes(call) if self._traces else None,
            start_time=start_ns,
        )

    def _start_attributes(self, call: Call) -> Written:
        attributes = without_unknown(dict(call.attributes))
        return latest_form.start_attributes(attributes, call.is_compacted) if self._conventions.latest else attributes

    def _events(self, span: Span, *, is_recording: bool) -> StreamEvents | None:
        """None: they go nowhere."""
        config = self._config
        on_span = is_recording and config.events in {"span", "both"}
        in_log = config.events in {"log", "both"} and self._writes_logs(is_recording=is_recording)
        if not on_span and not in_log:
            return None
        return StreamEvents(span, config.max_events, self._log if in_log else None, on_span=on_span)

    def _content(self, call: Call, *, is_recording: bool) -> Content | None:
        """What to capture the content of a stream with. None: it is not asked for, or goes nowhere."""
        config = self._config
        if config.capture_content == "NO_CONTENT":
            return None
        on_span = is_recording and config.capture_content in {"SPAN_ONLY", "SPAN_AND_EVENT"}
        in_log = config.capture_content in {"EVENT_ONLY", "SPAN_AND_EVENT"}
        in_log = in_log and self._writes_logs(is_recording=is_recording)
        if is_redacting() or not (on_span or in_log):
            return None
        attributes = self._start_attributes(call)
        chars, redact = config.content_chars, config.redact
        return Content(attributes, chars, redact, on_span=on_span, in_log=in_log, form=self._content_form)

    def _writes_logs(self, *, is_recording: bool) -> bool:
        """The logs follow the sampler, if there is one."""
        return self._logs and (is_recording or not self._traces)


@contained
def _tracer(provider: TracerProvider | None, our_version: str) -> Tracer:
    return trace.get_tracer(semconv.SCOPE, our_version, provider, schema_url=semconv.SCHEMA_URL)
