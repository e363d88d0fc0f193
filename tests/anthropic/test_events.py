"""Events on the span, as log records, on both, or not at all: over a real socket, with a real logs SDK."""

import gc
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import anthropic
import opentelemetry.sdk._logs.export as logs_export
import pytest
from anthropic import Anthropic
from opentelemetry import trace
from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

from streamspan import AnthropicStreamInstrumentor, Config, guard, runtime, stream_of
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import MessagesServer
from streamspan.config import EventSignal
from tests.anthropic.paths import REQUEST
from tests.stainless.logs import LogExporter, records
from tests.stainless.spans import ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

MESSAGE: Script = list(wire.whole_message(wire.text_block(0, "Some text."), wire.tool_block(1, "get", "{}")))
CUT: Script = [wire.message_start(), *list(wire.text_block(0, "Some text."))[:-1]]
NAMES_OF_MESSAGE = ["first_token", "content_block", "content_block", "tool_call"]

Event = tuple[str, int, Mapping[str, object]]


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


def read(
    client: Any, server: MessagesServer, script: Script = MESSAGE, config: Config | None = None, **to: Any
) -> list[str]:
    """The types of the events that the application got of a stream, observed as configured."""
    server.scripts.append(script)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(config=config, **{"meter_provider": NoOpMeterProvider(), **to})
    try:
        return [event.type for event in client.messages.create(stream=True, **REQUEST)]
    finally:
        instrumentor.uninstrument()
        gc.collect()


def on_spans(exporter: InMemorySpanExporter) -> list[Event]:
    return [
        (event.name, event.timestamp, dict(event.attributes or {}))
        for span in exporter.get_finished_spans()
        for event in span.events
    ]


def as_logs(log_exporter: Any) -> list[Event]:
    runtime.finish_ends()
    return [(record.event_name, record.timestamp, dict(record.attributes)) for record in records(log_exporter)]


def short_names(events: list[Event]) -> list[str]:
    return [name.removeprefix("llm_stream.") for name, _, _ in events]


@pytest.mark.parametrize(
    ("signal", "on_span", "logged"),
    [
        ("span", NAMES_OF_MESSAGE, []),
        ("log", [], NAMES_OF_MESSAGE),
        ("both", NAMES_OF_MESSAGE, NAMES_OF_MESSAGE),
        ("none", [], []),
    ],
)
def test_where_events_go(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    tracer_provider: TracerProvider,
    log_exporter: Any,
    logger_provider: LoggerProvider,
    signal: EventSignal,
    on_span: list[str],
    logged: list[str],
) -> None:
    """Each event goes where the configuration says, and nowhere else."""
    read(client, server, config=Config(events=signal), tracer_provider=tracer_provider, logger_provider=logger_provider)

    assert (short_names(on_spans(exporter)), short_names(as_logs(log_exporter))) == (on_span, logged)


@pytest.mark.parametrize(("script", "last"), [(MESSAGE, "tool_call"), (CUT, "truncated")], ids=["complete", "cut"])
def test_both_forms_say_the_same(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    tracer_provider: TracerProvider,
    log_exporter: Any,
    logger_provider: LoggerProvider,
    script: Script,
    last: str,
) -> None:
    """A log record has the name, the time and the attributes of the span event, and the context of its span."""
    read(
        client,
        server,
        script,
        config=Config(events="both"),
        tracer_provider=tracer_provider,
        logger_provider=logger_provider,
    )
    (span,) = exporter.get_finished_spans()
    context: Any = span.get_span_context()
    logged = records(log_exporter)

    assert as_logs(log_exporter) == on_spans(exporter)
    assert short_names(as_logs(log_exporter))[-1] == last
    assert {(record.trace_id, record.span_id) for record in logged} == {(context.trace_id, context.span_id)}
    assert [record.severity_number.name for record in logged][-1] == ("ERROR" if last == "truncated" else "INFO")


def test_they_come_before_the_span_ends(
    client: Anthropic, server: MessagesServer, tracer_provider: TracerProvider, logger_provider: LoggerProvider
) -> None:
    """A processor finds the span of each record in its context, still recording, as a bridge to span events needs."""
    were_recording: list[bool] = []

    class Bridge(logs_export.SimpleLogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            were_recording.append(trace.get_current_span(log_record.log_record.context).is_recording())

    logger_provider.add_log_record_processor(Bridge(LogExporter()))
    read(
        client,
        server,
        CUT,
        config=Config(events="log"),
        tracer_provider=tracer_provider,
        logger_provider=logger_provider,
    )

    assert were_recording == [True] * 3


def test_an_exporter_takes_them(
    client: Anthropic,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    log_exporter: Any,
    logger_provider: LoggerProvider,
) -> None:
    """OTLP carries the event name, the scope and its schema."""
    read(client, server, config=Config(events="log"), tracer_provider=tracer_provider, logger_provider=logger_provider)
    (resource_logs,) = encode_logs(log_exporter.get_finished_logs()).resource_logs
    (scope_logs,) = resource_logs.scope_logs

    assert (scope_logs.scope.name, scope_logs.schema_url) == ("streamspan", "https://opentelemetry.io/schemas/1.41.0")
    assert [record.event_name for record in scope_logs.log_records] == [f"llm_stream.{x}" for x in NAMES_OF_MESSAGE]
    assert resource_logs.resource.attributes != []


def test_the_applications_own(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    tracer_provider: TracerProvider,
    log_exporter: Any,
    logger_provider: LoggerProvider,
) -> None:
    """What the application tells of its stream goes the same ways."""
    server.scripts.append(MESSAGE)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(
        config=Config(events="both"),
        tracer_provider=tracer_provider,
        logger_provider=logger_provider,
        meter_provider=NoOpMeterProvider(),
    )
    stream = client.messages.create(stream=True, **REQUEST)
    next(stream)
    stream_of(stream).event("guardrail.triggered", {"rule": "no-price"})
    stream.close()
    instrumentor.uninstrument()

    assert as_logs(log_exporter) == on_spans(exporter)
    assert short_names(as_logs(log_exporter)) == ["guardrail.triggered", "abort"]


def test_the_cap_counts_an_event_once(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    tracer_provider: TracerProvider,
    log_exporter: Any,
    logger_provider: LoggerProvider,
) -> None:
    """`max_events` holds for either form, and what is beyond is counted on the span."""
    read(
        client,
        server,
        config=Config(events="both", max_events=7),
        tracer_provider=tracer_provider,
        logger_provider=logger_provider,
    )
    (span,) = exporter.get_finished_spans()

    assert short_names(as_logs(log_exporter)) == short_names(on_spans(exporter)) == ["first_token", "content_block"]
    assert (span.attributes or {})["llm_stream.events_dropped"] == 2


# --- who hears them ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("signal", "heard"), [("log", NAMES_OF_MESSAGE), ("span", [])])
def test_logs_alone_are_enough(
    client: Anthropic,
    server: MessagesServer,
    log_exporter: Any,
    logger_provider: LoggerProvider,
    signal: EventSignal,
    heard: list[str],
) -> None:
    """A stream is watched where only logs have an SDK, if that is where its events go."""
    read(
        client,
        server,
        config=Config(events=signal),
        tracer_provider=NoOpTracerProvider(),
        logger_provider=logger_provider,
    )

    assert short_names(as_logs(log_exporter)) == heard


def test_without_a_logs_sdk(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """Events that nobody hears are not made, and not counted as dropped."""
    read(
        client,
        server,
        config=Config(events="log", max_events=0),
        tracer_provider=tracer_provider,
        logger_provider=NoOpLoggerProvider(),
    )
    (span,) = exporter.get_finished_spans()

    assert "llm_stream.events_dropped" not in (span.attributes or {})


def test_a_stream_that_is_not_sampled_logs_nothing(
    client: Anthropic, server: MessagesServer, log_exporter: Any, logger_provider: LoggerProvider
) -> None:
    """Log records follow the sampler, as events on spans do."""
    read(
        client,
        server,
        config=Config(events="log"),
        tracer_provider=TracerProvider(sampler=ALWAYS_OFF),
        logger_provider=logger_provider,
    )

    assert as_logs(log_exporter) == []


def test_a_processor_that_fails(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    tracer_provider: TracerProvider,
    logger_provider: LoggerProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the application's own processor raises stays with us, is counted, and costs the stream nothing."""

    class Failing(logs_export.SimpleLogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            raise ZeroDivisionError

    logger_provider.add_log_record_processor(Failing(LogExporter()))
    monkeypatch.setattr(guard, "reraises", False)
    guard.failures.clear()
    seen = read(
        client, server, config=Config(events="log"), tracer_provider=tracer_provider, logger_provider=logger_provider
    )
    (span,) = exporter.get_finished_spans()

    assert seen[-1] == "message_stop"
    assert guard.failures == {"EventLog.emit": 4}
    assert (span.attributes or {})["llm_stream.outcome"] == "complete"


def test_a_processor_that_waits_for_whoever_closes(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    tracer_provider: TracerProvider,
    logger_provider: LoggerProvider,
) -> None:
    """Another thread closes the stream while it holds a lock of the application's that a processor needs."""
    a_lock, emitting = threading.RLock(), threading.Event()

    class Locking(logs_export.SimpleLogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            emitting.set()
            assert closing.wait(60)
            with a_lock:
                pass

    closing = threading.Event()

    def close() -> None:
        assert emitting.wait(60)
        with a_lock:
            closing.set()
            stream.close()

    logger_provider.add_log_record_processor(Locking(LogExporter()))
    server.scripts.append(MESSAGE)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(
        config=Config(events="log"), tracer_provider=tracer_provider, logger_provider=logger_provider
    )
    stream: Any = client.messages.create(stream=True, **REQUEST)
    closer = threading.Thread(target=close)
    closer.start()
    with suppress(Exception):  # the reader meets what the other thread left
        list(stream)
    closer.join(60)
    instrumentor.uninstrument()

    assert not closer.is_alive()
    assert [(span.attributes or {})["llm_stream.outcome"] for span in ended_spans(exporter)] == ["aborted"]
