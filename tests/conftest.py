"""What the tests share: a tracer provider that keeps its spans, the instrumentation, the scripted server."""

import gc
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, guard, runtime
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.one_stream import OneStream, one_stream
from tests.schema.checker import CHECKER, listen
from tests.stainless.logs import LogExporter

pytest_plugins = ["tests.schema.whole_run"]

listen(CHECKER)
# A busy machine is no failure; and the first text that is ever drawn takes seconds under coverage.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def all_telemetry_is_of_the_schema() -> Iterator[None]:
    """No name, type or unit outside it, on anything of the scope `streamspan`, whoever made the provider."""
    yield
    assert CHECKER.problems() == []


@pytest.fixture
def others_write_on_ours() -> Iterator[None]:
    """For a test in which somebody else writes on a span of the scope `streamspan`: that is not of the schema."""
    yield
    CHECKER.problems()


@pytest.fixture(scope="module")
def quick_collection() -> Iterator[None]:
    """For tests that collect garbage: leaves out what the imports made, which would take 0.1 s each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns after 10 us instead of 5 ms."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture(autouse=True)
def failures_of_ours_are_errors() -> Iterator[None]:
    guard.reraises = True
    yield
    guard.reraises = False


@pytest.fixture(autouse=True)
def each_test_has_its_own_streams() -> Iterator[None]:
    """What a failing test leaves open is not the next one's."""
    yield
    runtime.finish_ends()
    for stream in runtime.open_streams():
        stream.forget()
        runtime.closed(stream)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """The spans that have ended."""
    return InMemorySpanExporter()


@pytest.fixture
def tracer_provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
def log_exporter() -> Any:
    """The log records that were emitted."""
    return LogExporter()


@pytest.fixture
def logger_provider(log_exporter: Any) -> Iterator[LoggerProvider]:
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(log_exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
def instrumented(tracer_provider: TracerProvider) -> Iterator[AnthropicStreamInstrumentor]:
    """The SDK is instrumented while the test runs."""
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture
def app(server: MessagesServer, tracer_provider: TracerProvider, exporter: InMemorySpanExporter) -> Iterator[OneStream]:
    """An application that is instrumented and reads one stream at a time."""
    with one_stream(server, tracer_provider, exporter) as app:
        yield app


@pytest.fixture
def server() -> Iterator[MessagesServer]:
    """The loopback Messages API; a test appends to `server.scripts` what each request is answered with."""
    with MessagesServer() as running:
        yield running
