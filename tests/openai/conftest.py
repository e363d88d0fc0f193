"""The OpenAI SDK instrumented, and an application that reads one stream after the other."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import OpenAIStreamInstrumentor
from streamspan.cli.demo.server import MessagesServer
from tests.openai.reading import OneStream


@pytest.fixture
def openai_instrumented(tracer_provider: TracerProvider) -> Iterator[OpenAIStreamInstrumentor]:
    instrumentor = OpenAIStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture
def openai_app(
    server: MessagesServer, exporter: InMemorySpanExporter, openai_instrumented: OpenAIStreamInstrumentor
) -> OneStream:
    return OneStream(server, exporter)
