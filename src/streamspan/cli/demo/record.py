"""Plays stories with the SDK instrumented, and keeps the spans of each in memory.

All stories are played at one server: its port is a label of the metrics, which go on from story to story.
"""

import uuid
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from streamspan import Config, semconv
from streamspan.cli.drawing.finished import FinishedStream, finished_stream
from streamspan.runtime import finish_ends

from .provider import Provider
from .server import LoopbackServer
from .stories import STALL_SECONDS, Story, play_at

if TYPE_CHECKING:
    from typing_extensions import Self

SERVICE_NAME = "streamspan-demo"


class Recorder:
    """Instruments the provider's SDK for a `with` block, for stories at this speed. `reader` gets the metrics.

    `spans` has the span of each stream that the last story left.
    """

    def __init__(self, provider: Provider, *, speed: float = 1.0, reader: MetricReader | None = None) -> None:
        self._speed = speed
        self._api_of = provider.api_of
        self._server = LoopbackServer(speed=speed, headers=provider.headers)
        self.spans: list[ReadableSpan] = []
        self._memory = InMemorySpanExporter()
        resource = Resource.create({"service.name": SERVICE_NAME, "service.instance.id": str(uuid.uuid4())})
        self._tracers = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._tracers.add_span_processor(SimpleSpanProcessor(self._memory))
        readers = [] if reader is None else [reader]
        self._meters = MeterProvider(readers, resource, shutdown_on_exit=False)
        self._instrumentor = provider.instrumentor()

    def __enter__(self) -> "Self":
        config = Config(stall_seconds=STALL_SECONDS / min(self._speed, 1.0), repetition="exact")
        self._instrumentor.instrument(tracer_provider=self._tracers, meter_provider=self._meters, config=config)
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__(None, None, None)
        self._instrumentor.uninstrument()
        self._tracers.shutdown()
        self._meters.shutdown()

    def streams_of(self, story: Story) -> list[FinishedStream]:
        """Plays the story. The streams that it left: one, unless the instrumentation is broken."""
        self._memory.clear()
        play_at(self._server, story, self._api_of(story))
        finish_ends()
        self._meters.force_flush()
        self.spans = [span for span in self._memory.get_finished_spans() if _is_of_a_stream(span)]
        return [stream_of(span) for span in self.spans]


def stream_of(span: ReadableSpan) -> FinishedStream:
    """The stream of a span that has ended."""
    start = span.start_time or 0
    events = [(event.name, event.timestamp, dict(event.attributes or {})) for event in span.events]
    span_ns = start, span.end_time or start
    return finished_stream(span.name, span_ns, span.status.status_code.name, dict(span.attributes or {}), events)


def _is_of_a_stream(span: ReadableSpan) -> bool:
    """Not a span that the SDK itself makes, as it does where the configuration keeps those."""
    return span.instrumentation_scope is not None and span.instrumentation_scope.name == semconv.SCOPE
