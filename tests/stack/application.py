"""An application with an OpenTelemetry SDK, which sends its spans to a collector by OTLP/HTTP."""

import random
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span

from streamspan import AnthropicStreamInstrumentor, Config
from streamspan.cli.demo.anthropic.provider import PROVIDER
from streamspan.cli.demo.anthropic.sdk import request, sync_sdk
from streamspan.cli.demo.applications import Api
from streamspan.cli.demo.stories import STALL_SECONDS, Story, play

if TYPE_CHECKING:
    from typing_extensions import Self

SPEED = 20.0  # of the stories that are not about pace
WORKERS = 12  # most of which sleep


def reads_bytes(_: Api, url: str) -> None:
    with sync_sdk(url) as client, client.messages.with_streaming_response.create(**request(), stream=True) as response:
        for _line in response.iter_lines():
            pass


CLEAN = next(story for story in PROVIDER.stories if story.name == "clean")
AS_BYTES = replace(CLEAN, name="as-bytes", application=reads_bytes)
"""Nothing is known of its events: neither good nor bad."""


class Application:
    """Exports each span when it ends, or in batches, or to nowhere; its metrics stay with it."""

    def __init__(self, endpoint: str | None, *, in_batches: bool = False) -> None:
        resource = Resource.create({"service.name": "chat", "service.instance.id": "chat-1"})
        self._memory = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._memory))
        if endpoint is not None:
            exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
            self.tracer_provider.add_span_processor(
                BatchSpanProcessor(exporter, max_queue_size=65_536, schedule_delay_millis=200)
                if in_batches
                else SimpleSpanProcessor(exporter)
            )
        self.tracer = self.tracer_provider.get_tracer("chat")
        self.metrics = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.metrics], resource, shutdown_on_exit=False)

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._memory.get_finished_spans()

    @property
    def traces(self) -> dict[str, list[ReadableSpan]]:
        """The spans that have ended, by trace id in hex."""
        traces: dict[str, list[ReadableSpan]] = {}
        for span in self.spans:
            traces.setdefault(trace_id_of(span), []).append(span)
        return traces

    @contextmanager
    def request(self) -> Generator[Span]:
        """A root with two siblings around what happens inside. Gives the root."""
        with self.tracer.start_as_current_span("POST /chat") as root:
            self.sibling("retrieve")
            yield root
            self.sibling("render")

    def sibling(self, name: str) -> None:
        self.tracer.start_span(name).end()

    def play(self, stories: Sequence[Story]) -> None:
        """Plays the stories through the real SDK, some at once, each in a request of its own."""
        instrumentor = AnthropicStreamInstrumentor()
        instrumentor.instrument(
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            config=Config(stall_seconds=STALL_SECONDS),
        )
        try:
            with ThreadPoolExecutor(WORKERS) as workers:
                list(workers.map(self._play_in_a_request, stories))
        finally:
            instrumentor.uninstrument()
        assert self.tracer_provider.force_flush(60_000)

    def _play_in_a_request(self, story: Story) -> None:
        with self.request():
            play(story, PROVIDER.api_of(story), speed=1.0 if story.findings else SPEED)


def chosen_stories(count: int, seed: int) -> list[Story]:
    """That many of all the stories that there are, the same for the same seed."""
    return random.Random(seed).choices((*PROVIDER.stories, AS_BYTES), k=count)


def trace_id_of(span: ReadableSpan) -> str:
    context = span.context
    assert context is not None
    return f"{context.trace_id:032x}"


def span_ids(spans: Sequence[ReadableSpan]) -> Counter[str]:
    """Each id once, as the backend must have them."""
    return Counter(f"{span.context.span_id:016x}" for span in spans if span.context is not None)
