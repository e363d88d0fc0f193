"""What interrupts a stream: signal handlers, other threads, the end of an event loop, failures of ours at its end."""

import asyncio
import inspect
import json
import logging
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, guard, runtime, stream_of
from streamspan.anthropic import native
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.paths import REQUEST
from tests.stainless.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

ROOT = Path(__file__).parents[2]
SDK = tuple(int(number) for number in anthropic.__version__.split(".")[:2])
STREAM: Any = anthropic.AsyncStream
SDK_CLOSES = "finally" in inspect.getsource(STREAM.__stream__)
HAS_NATIVE_SPANS = SDK >= (1, 14)

MESSAGE: Script = list(wire.whole_message(wire.text_block(0, "Some text to begin with.")))
MIDDLE_OF_TEXT = 3  # events up to the first text delta
LONG: Script = list(wire.whole_message(*(wire.text_block(index, "ab", size=1) for index in range(40))))


@pytest.fixture
def client(server: MessagesServer, tracer_provider: TracerProvider) -> Iterator[Anthropic]:
    """The SDK's own spans, where it makes some, are exported too."""
    options: dict[str, Any] = {"open_telemetry": {"tracer_provider": tracer_provider}} if HAS_NATIVE_SPANS else {}
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client, **options) as client:
        yield client


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Failures of ours are counted here, as in an application."""
    monkeypatch.setattr(guard, "reraises", False)
    guard.failures.clear()
    return guard.failures


def opened(client: Any, server: MessagesServer, script: Script = MESSAGE) -> Any:
    server.scripts.append(script)
    return client.messages.create(stream=True, **REQUEST)


def read_events(stream: Any, count: int) -> None:
    for _ in range(count):
        next(stream)


# --- signals -----------------------------------------------------------------------------------------------------

ROUNDS = 100


def report_streams_closed_by_signals() -> None:
    """The program of the next test: reads streams in the main thread, whose signal handler closes them."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    AnthropicStreamInstrumentor().instrument(tracer_provider=provider)
    delays = random.Random(20261121)
    open_stream: list[Any] = []

    def close(*_: object) -> None:
        with suppress(Exception):
            open_stream[0].close()

    signal.signal(signal.SIGALRM, close)
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with (
        MessagesServer(choose=lambda _: LONG) as server,
        Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client,
    ):
        for _ in range(ROUNDS):
            open_stream[:] = [client.messages.create(stream=True, **REQUEST)]
            signal.setitimer(signal.ITIMER_REAL, delays.uniform(1e-5, 0.004))
            with suppress(Exception):
                read_events(open_stream[0], 1000)
            signal.setitimer(signal.ITIMER_REAL, 0)
    open_stream.clear()
    spans = ended_spans(exporter)
    runtime.finish_ends()
    report = {
        "spans": len(spans),
        "span ids": len({span.context.span_id for span in spans if span.context}),
        "closed by a signal": any(attributes(span)["llm_stream.outcome"] == "aborted" for span in spans),
        "open": len(runtime.open_streams()),
        "failures": guard.failures,
    }
    sys.stdout.write(json.dumps(report))


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this platform has no SIGALRM")
@pytest.mark.timeout(90)
def test_a_signal_handler_closes_the_stream() -> None:
    """Whenever a signal handler closes the stream that it interrupts, nothing locks up, and the stream has one span."""
    program = f"import {__name__} as program; program.report_streams_closed_by_signals()"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, timeout=240)

    assert json.loads(run.stdout) == {
        "spans": ROUNDS,
        "span ids": ROUNDS,
        "closed by a signal": True,
        "open": 0,
        "failures": {},
    }


# --- threads -----------------------------------------------------------------------------------------------------


def closes(stream: Any, delays: random.Random) -> list[threading.Timer]:
    """Four threads that close one stream at about the same time, each in one of two ways."""
    ways: list[Callable[[], None]] = [stream.close, stream.response.close] * 2

    def close(way: Callable[[], None]) -> None:
        with suppress(Exception):  # the HTTP library's own races
            way()

    return [threading.Timer(delays.uniform(0, 0.01), close, (way,)) for way in ways]


@pytest.mark.usefixtures("instrumented", "quick_switches")
def test_four_threads_close_one_stream(
    server: MessagesServer,
    client: Anthropic,
    exporter: InMemorySpanExporter,
    failures: dict[str, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However many threads close a stream that is being read, it has one span, and nobody complains."""
    delays = random.Random(20261121)
    for _ in range(100):
        stream = opened(client, server, LONG)
        threads = closes(stream, delays)
        for thread in threads:
            thread.start()
        with suppress(Exception):
            read_events(stream, 1000)
        for thread in threads:
            thread.join()
        del stream, threads
    spans = ended_spans(exporter)
    complaints = [
        record.message
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith(("streamspan", "opentelemetry"))
    ]

    assert (len(spans), len({span.context.span_id for span in spans if span.context})) == (100, 100)
    assert {abort_of(span)[0] for span in spans} - {"complete"} == {"aborted"}
    assert (complaints, failures, runtime.open_streams()) == ([], {}, [])


# --- the end of an event loop ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_streams_half_read_when_the_loop_ends(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Every stream that is half read, and still held, when `asyncio.run` closes its generators was dropped."""

    async def main() -> list[Any]:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        client = AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client)
        streams = [await opened(client, server) for _ in range(20)]
        for stream in streams:
            for _ in range(MIDDLE_OF_TEXT):
                await stream.__anext__()
        return streams

    streams = asyncio.run(main())
    if not SDK_CLOSES:  # nothing says then that the generators were closed: see docs/limits.md
        streams.clear()
    spans = ended_spans(exporter)
    streams.clear()

    assert [abort_of(span) for span in spans] == [("aborted", "dropped", "text")] * 20
    assert runtime.open_streams() == []


@pytest.mark.usefixtures("instrumented")
def test_streams_of_the_main_task_when_the_loop_ends(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The same for streams that only the main task held: the loop cancels the tasks in which they are closed."""

    async def main() -> None:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        client = AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client)
        streams = [await opened(client, server) for _ in range(20)]
        for stream in streams:
            for _ in range(MIDDLE_OF_TEXT):
                await stream.__anext__()

    asyncio.run(main())

    assert [abort_of(span) for span in ended_spans(exporter)] == [("aborted", "dropped", "text")] * 20


# --- failures of ours --------------------------------------------------------------------------------------------


def fails(*_: object, **__: object) -> Any:
    raise LookupError("a failure of ours")


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("telemetry.events.StreamEvents.close", "StreamTelemetry._describe"),
        ("telemetry.stream_telemetry.end_attributes", "StreamTelemetry._describe"),
        ("core.stream.StreamState.ended", "Observer.write"),
    ],
)
def test_a_failing_end_is_an_end(
    name: str,
    where: str,
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    failures: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever fails while a stream that was left tells of itself, its span ends and nothing holds it any longer."""
    stream = opened(client, server)
    read_events(stream, MIDDLE_OF_TEXT)
    monkeypatch.setattr(f"streamspan.{name}", fails)
    stream.close()

    assert [span.name for span in ended_spans(exporter)] == ["chat claude-sonnet-5-5"]
    assert runtime.open_streams() == []
    assert failures == {where: 1}


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (native, "stand_in"),
        pytest.param(
            native, "copy", marks=pytest.mark.skipif(not HAS_NATIVE_SPANS, reason="this SDK has no span to take over")
        ),
    ],
    ids=["stand_in", "copy"],
)
def test_the_sdks_span_cannot_be_taken_over(
    module: Any,
    name: str,
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    failures: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stream is observed all the same; the SDK's own span, where it makes one, is beside ours."""
    monkeypatch.setattr(module, name, fails)
    events = [event.type for event in opened(client, server)]
    spans = {span.instrumentation_scope.name: span for span in ended_spans(exporter) if span.instrumentation_scope}
    native = {"com.anthropic.sdk.python"} if HAS_NATIVE_SPANS else set[str]()

    assert events[-1] == "message_stop"
    assert spans.keys() == {"streamspan", *native}
    assert attributes(spans["streamspan"])["llm_stream.outcome"] == "complete"
    assert (failures, runtime.open_streams()) == ({"replace_span": 1}, [])


@pytest.mark.usefixtures("instrumented")
def test_ctrl_c_while_we_look_at_an_event(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on to the reader, and the stream was cancelled, not dropped."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    stream = opened(client, server)
    read_events(stream, MIDDLE_OF_TEXT)
    monkeypatch.setattr("streamspan.anthropic.events.Translator.translate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "cancelled", "text")


@pytest.mark.usefixtures("instrumented")
def test_an_event_inside_the_opentelemetry_sdk(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """One that a signal handler says there, where a lock may be held, is written later, and at its own time."""
    stream = opened(client, server)
    watched = stream_of(stream)

    class Saying(SpanProcessor):
        def on_start(self, span: object, parent_context: object = None) -> None:
            watched.event("said.inside")

    tracer_provider.add_span_processor(Saying())
    tracer_provider.get_tracer("another").start_span("another").end()
    watched.event("said.outside")
    list(stream)
    span = next(span for span in ended_spans(exporter) if span.name.startswith("chat"))

    assert [event.name for event in span.events if event.name.startswith("said.")] == ["said.inside", "said.outside"]
    assert "llm_stream.events_dropped" not in attributes(span)
