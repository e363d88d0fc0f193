"""Both SDKs instrumented in one process."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, OpenAIStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic import readers
from tests.anthropic.paths import REQUEST as MESSAGES_REQUEST
from tests.openai.chunks import HELLO
from tests.openai.reading import REQUEST, create, sync_client
from tests.stainless.spans import attributes, ended_spans

MESSAGE = list(wire.whole_message(wire.text_block(0, "Hello")))


@pytest.fixture
def metrics() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def instrumentors(tracer_provider: TracerProvider, metrics: InMemoryMetricReader) -> Iterator[list[Any]]:
    meter_provider = MeterProvider([metrics], shutdown_on_exit=False)
    both = [AnthropicStreamInstrumentor(), OpenAIStreamInstrumentor()]
    for instrumentor in both:
        instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
    yield both
    for instrumentor in both:
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()


def read_both(server: MessagesServer) -> None:
    server.scripts.append(MESSAGE)
    with readers.sync_client(server.url) as client:
        for _ in client.messages.create(stream=True, **MESSAGES_REQUEST):
            pass
    server.scripts.append(HELLO)
    create(server.url, REQUEST)


def points(metrics: InMemoryMetricReader, name: str) -> dict[object, list[float]]:
    """The values of a metric, by provider, that are there now."""
    data: Any = metrics.get_metrics_data()
    found: dict[object, list[float]] = {}
    for scope in data.resource_metrics[0].scope_metrics:
        for metric in scope.metrics:
            for point in metric.data.data_points if metric.name == name else ():
                found.setdefault(point.attributes["gen_ai.provider.name"], []).append(point.value)
    return found


def providers(exporter: InMemorySpanExporter) -> list[object]:
    return [attributes(span)["gen_ai.provider.name"] for span in ended_spans(exporter)]


@pytest.mark.usefixtures("instrumentors")
def test_each_stream_has_one_span(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """It is that of its own provider."""
    read_both(server)

    assert providers(exporter) == ["anthropic", "openai"]


@pytest.mark.parametrize(("first", "left"), [(0, "openai"), (1, "anthropic")])
def test_uninstrumenting_one_leaves_the_other(
    server: MessagesServer, exporter: InMemorySpanExporter, instrumentors: list[Any], first: int, left: str
) -> None:
    """The other one's streams have their spans as before."""
    instrumentors[first].uninstrument()

    read_both(server)

    assert providers(exporter) == [left]


@pytest.mark.usefixtures("instrumentors")
def test_the_totals_and_the_gauges_count_each_stream_once(
    server: MessagesServer, metrics: InMemoryMetricReader, caplog: pytest.LogCaptureFixture
) -> None:
    """There is one gauge and one total for both, which know the streams of both; nothing is warned of."""
    read_both(server)
    server.scripts.append(HELLO)
    with sync_client(server.url) as client:
        stream = client.chat.completions.create(stream=True, **REQUEST)
        next(iter(stream))
        while_open = points(metrics, "llm_stream.active")
        stream.close()

    assert while_open == {"anthropic": [0], "openai": [1]}
    assert points(metrics, "llm_stream.active") == {"anthropic": [0], "openai": [0]}
    assert {name: sum(values) for name, values in points(metrics, "llm_stream.output.chars").items()} == {
        "anthropic": 5,
        "openai": 5,
    }
    assert caplog.messages == []
