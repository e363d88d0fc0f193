"""What interrupts a stream: signal handlers, other threads, the end of an event loop, failures of ours at its end."""

import asyncio
import inspect
import logging
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import guard, runtime, stream_of
from streamspan.cli.demo.server import MessagesServer
from tests.stainless.api import Api
from tests.stainless.apis import api_named
from tests.stainless.programs import report, report_of
from tests.stainless.readers import read_events
from tests.stainless.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

LONG = 80 * "a"
"""In deltas of one character: a reader takes a while."""


# --- signals -----------------------------------------------------------------------------------------------------

ROUNDS = 100


def report_streams_closed_by_signals(name: str) -> None:
    """The program of the next test: reads streams in the main thread, whose signal handler closes them."""
    api = api_named(name)
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    api.sdk.instrumentor().instrument(tracer_provider=provider)
    delays = random.Random(20261121)
    open_stream: list[Any] = []

    def close(*_: object) -> None:
        with suppress(Exception):
            open_stream[0].close()

    signal.signal(signal.SIGALRM, close)
    with MessagesServer(choose=lambda _: api.says(LONG, size=1)) as server, api.sdk.opened(server.url) as client:
        for _ in range(ROUNDS):
            open_stream[:] = [api.create(client)]
            signal.setitimer(signal.ITIMER_REAL, delays.uniform(1e-5, 0.004))
            with suppress(Exception):
                read_events(open_stream[0], 1000)
            signal.setitimer(signal.ITIMER_REAL, 0)
    open_stream.clear()
    spans = ended_spans(exporter)
    runtime.finish_ends()
    facts = {
        "spans": len(spans),
        "span ids": len({span.context.span_id for span in spans if span.context}),
        "closed by a signal": any(attributes(span)["llm_stream.outcome"] == "aborted" for span in spans),
        "open": len(runtime.open_streams()),
        "failures": guard.failures,
    }
    report(facts)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this platform has no SIGALRM")
@pytest.mark.timeout(90)
def test_a_signal_handler_closes_the_stream(api: Api) -> None:
    """Whenever a signal handler closes the stream that it interrupts, nothing locks up, and the stream has one span."""
    facts = report_of(report_streams_closed_by_signals, api.name, timeout=80)

    assert facts == {
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
    api: Api,
    server: MessagesServer,
    client: Any,
    exporter: InMemorySpanExporter,
    failures: dict[str, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However many threads close a stream that is being read, it has one span, and nobody complains."""
    delays = random.Random(20261121)
    for _ in range(100):
        stream = api.opened(client, server, api.says(LONG, size=1))
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
def test_streams_half_read_when_the_loop_ends(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Every stream that is half read, and still held, when `asyncio.run` closes its generators was dropped."""

    async def main() -> list[Any]:
        client = api.sdk.unclosed_async(server.url)
        streams = [await api.opened(client, server) for _ in range(20)]
        for stream in streams:
            await api.read_to_text_async(stream)
        return streams

    streams = asyncio.run(main())
    if "finally" not in inspect.getsource(
        api.sdk.module.AsyncStream.__stream__
    ):  # nothing says then that the generators were closed: see docs/limits.md
        streams.clear()
    spans = ended_spans(exporter)
    streams.clear()

    assert [abort_of(span) for span in spans] == [("aborted", "dropped", "text")] * 20
    assert runtime.open_streams() == []


@pytest.mark.usefixtures("instrumented")
def test_streams_of_the_main_task_when_the_loop_ends(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The same for streams that only the main task held: the loop cancels the tasks in which they are closed."""

    async def main() -> None:
        client = api.sdk.unclosed_async(server.url)
        streams = [await api.opened(client, server) for _ in range(20)]
        for stream in streams:
            await api.read_to_text_async(stream)

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
    api: Api,
    name: str,
    where: str,
    client: Any,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    failures: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever fails while a stream that was left tells of itself, its span ends and nothing holds it any longer."""
    stream = api.opened(client, server)
    api.read_to_text(stream)
    monkeypatch.setattr(f"streamspan.{name}", fails)
    stream.close()

    assert [span.name for span in ended_spans(exporter)] == [f"chat {api.request['model']}"]
    assert runtime.open_streams() == []
    assert failures == {where: 1}


@pytest.mark.usefixtures("instrumented")
def test_ctrl_c_while_we_look_at_an_event(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on to the reader, and the stream was cancelled, not dropped."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    stream = api.opened(client, server)
    api.read_to_text(stream)
    monkeypatch.setattr(api.translator, "translate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "cancelled", "text")


@pytest.mark.usefixtures("instrumented")
def test_an_event_inside_the_opentelemetry_sdk(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """One that a signal handler says there, where a lock may be held, is written later, and at its own time."""
    stream = api.opened(client, server)
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
