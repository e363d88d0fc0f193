"""One stream, read to its end over a socket with everything on: what its span, its events and its metrics say."""

import gc
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anthropic
from anthropic import Anthropic
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config
from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.paths import REQUEST
from tests.anthropic.readers import sync_client
from tests.stainless.spans import attributes, ended_spans

Values = list[tuple[Mapping[str, object], float]]


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one stream."""

    span: ReadableSpan
    metrics: InMemoryMetricReader

    def has(self, *names: str) -> dict[str, object]:
        """The attributes of the span with these names, those that are there."""
        return {name: attributes(self.span)[name] for name in names if name in attributes(self.span)}

    def under(self, prefix: str) -> dict[str, object]:
        """The attributes of the span whose names begin so."""
        return {name: value for name, value in attributes(self.span).items() if name.startswith(prefix)}

    def events(self, name: str) -> list[dict[str, object]]:
        return [dict(event.attributes or {}) for event in self.span.events if event.name == name]

    def values(self, name: str, *labels: str) -> Values:
        """The points of a metric that are not 0, each with these of its labels."""
        data: Any = self.metrics.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        points = [
            point
            for scope in scopes
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]
        return [
            ({label: point.attributes[label] for label in labels if label in point.attributes}, point.value)
            for point in points
            if point.value
        ]


class OneStream:
    """The application: instrumented, with a client of its own."""

    def __init__(
        self, client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, metrics: InMemoryMetricReader
    ) -> None:
        self.client = client
        self._server = server
        self._exporter = exporter
        self._metrics = metrics

    def read(self, script: Script, **request: Any) -> Told:
        """Reads it as the beta API gives it, to its end or its error."""
        self._server.scripts.append(script)
        self._exporter.clear()
        with suppress(anthropic.APIError, ValueError):
            for _ in self.client.beta.messages.create(stream=True, **{**REQUEST, **request}):
                pass
        gc.collect()
        [span] = ended_spans(self._exporter)
        return Told(span, self._metrics)


@contextmanager
def one_stream(
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    config: Config | None = None,
) -> Generator[OneStream]:
    metrics = InMemoryMetricReader()
    meter_provider = MeterProvider([metrics], shutdown_on_exit=False)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meter_provider, config=config)
    with sync_client(server.url) as client:
        yield OneStream(client, server, exporter, metrics)
    instrumentor.uninstrument()
    meter_provider.shutdown()
