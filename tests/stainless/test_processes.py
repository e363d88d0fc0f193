"""Forks, exits, signals, collections of garbage and threads that come at a bad moment. Each in a process of its own."""

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import stream_of
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import open_streams
from tests.stainless.api import Api
from tests.stainless.apis import api_named
from tests.stainless.programs import instrumented_process, report, report_of, run
from tests.stainless.spans import abort_of, ended_spans

needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this platform has no SIGUSR1")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    """A server in this process, for the program in the other."""
    with MessagesServer(choose=lambda _: api.text) as server:
        yield server.url


def stream_from(api: Api, client: Any) -> Any:
    """A stream that was read to the middle."""
    stream = api.create(client)
    api.read_to_text(stream)
    return stream


class Printing(SpanProcessor):
    """A line for each span, as it ends: in which process, and how its stream ended."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def on_end(self, span: ReadableSpan) -> None:
        process = "parent" if os.getpid() == self._parent else "child"
        os.write(1, json.dumps([process, *abort_of(span)]).encode() + b"\n")


def printed(program: Callable[..., None], api: Api, url: str) -> list[object]:
    """The lines that the program printed, once it has ended well."""
    done = run(program, api.name, url)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def print_spans(api: Api) -> None:
    """Instruments as an application does, for the life of the process."""
    provider = TracerProvider()
    provider.add_span_processor(Printing(os.getpid()))
    api.sdk.instrumentor().instrument(tracer_provider=provider)


# --- a fork, an exit -----------------------------------------------------------------------------------------------


def fork_in_a_stream(name: str, url: str) -> None:
    """The child has a stream of its own and exits; then the parent reads on."""
    api = api_named(name)
    print_spans(api)
    with api.sdk.opened(url) as client:
        stream = stream_from(api, client)
        child = os.fork()
        if child == 0:
            with api.sdk.opened(url) as own_client:
                list(api.create(own_client))
            sys.exit()
        os.waitpid(child, 0)
        list(stream)


def fork_and_drop(name: str, url: str) -> None:
    """The child lets go of the parent's stream, collects it and exits."""
    api = api_named(name)
    print_spans(api)
    with api.sdk.opened(url) as client:
        cycle: list[Any] = [stream_from(api, client)]
        cycle.append(cycle)
        child = os.fork()
        if child == 0:
            del cycle
            gc.collect()
            sys.exit()
        os.waitpid(child, 0)
        list(cycle[0])


@needs_fork
def test_a_fork_in_the_middle_of_a_stream(api: Api, url: str) -> None:
    """The parent's stream has one span, the parent's; what the child streams itself has one, too."""
    assert printed(fork_in_a_stream, api, url) == [
        ["child", "complete", None, None],
        ["parent", "complete", None, None],
    ]


@needs_fork
def test_a_child_drops_the_parents_stream(api: Api, url: str) -> None:
    """A child that collects the stream that it got from its parent writes nothing of it."""
    assert printed(fork_and_drop, api, url) == [["parent", "complete", None, None]]


held: list[Any] = []


def exit_in_a_stream(name: str, url: str) -> None:
    api = api_named(name)
    print_spans(api)
    client = api.sdk.opened(url)
    held.append(client)
    held.append(stream_from(api, client.__enter__()))
    sys.exit()


def exit_beside_a_stream_in_a_cycle(name: str, url: str) -> None:
    api = api_named(name)
    print_spans(api)
    client = api.sdk.opened(url)
    cycle: list[Any] = [client, stream_from(api, client.__enter__())]
    cycle.append(cycle)
    sys.exit()


@pytest.mark.parametrize("program", [exit_in_a_stream, exit_beside_a_stream_in_a_cycle])
def test_a_process_exits_in_the_middle_of_a_stream(api: Api, url: str, program: Any) -> None:
    """A stream that is open when the process exits has its span, before the provider shuts down."""
    assert printed(program, api, url) == [["parent", "aborted", "shutdown", "text"]]


# --- in the middle of somebody's lock ------------------------------------------------------------------------------


class Locking(SpanProcessor):
    """Holds a lock that is not reentrant while it handles a span, as exporters do; then `inside` is called once."""

    def __init__(self, inside: Callable[[], object]) -> None:
        self._lock = threading.Lock()
        self._inside: Callable[[], object] | None = inside

    def on_end(self, span: ReadableSpan) -> None:
        self.flush()

    def flush(self) -> None:
        """Called by `on_end`, and by the application without the OpenTelemetry SDK between."""
        with self._lock:
            inside, self._inside = self._inside, None
            if inside is not None:
                inside()


def end_a_span(_: Locking, provider: TracerProvider, __: Api, ___: Any) -> None:
    provider.get_tracer("another").start_span("another").end()


def end_a_stream(_: Locking, __: TracerProvider, api: Api, client: Any) -> None:
    list(api.create(client))


def flush(processor: Locking, _: TracerProvider, __: Api, ___: Any) -> None:
    processor.flush()


WAYS = {way.__name__: way for way in (end_a_span, end_a_stream, flush)}
WAY_NAMES = list(WAYS)


def facts_of(exporter: InMemorySpanExporter, spans_before: int) -> dict[str, object]:
    """What arrived of the first stream."""
    streams = [span for span in ended_spans(exporter) if span.name.startswith("chat")]
    first = min(streams, key=lambda span: span.start_time or 0)
    events = [event.name for event in first.events if event.name.startswith("said.")]
    return {"before": spans_before, "abort": abort_of(first), "events": events, "open": len(open_streams())}


def close_in_a_signal_handler(name: str, url: str, way: str) -> None:
    api = api_named(name)
    exporter = InMemorySpanExporter()
    streams: list[Any] = []

    def close(*_: object) -> None:
        streams[0].close()

    signal.signal(signal.SIGUSR1, close)
    processor = Locking(lambda: signal.raise_signal(signal.SIGUSR1))
    with instrumented_process(api.sdk, exporter, processor) as provider, api.sdk.opened(url) as client:
        streams.append(stream_from(api, client))
        WAYS[way](processor, provider, api, client)
        report(facts_of(exporter, 0))


@needs_signals
@pytest.mark.parametrize("way", WAY_NAMES)
def test_a_signal_handler_closes_a_stream_inside_a_lock(api: Api, url: str, way: str) -> None:
    """A stream that a signal handler closes while its thread holds a processor's lock ends, and nothing locks up."""
    facts = report_of(close_in_a_signal_handler, api.name, url, way, timeout=30)

    assert facts == {"before": 0, "abort": ["aborted", "closed", "text"], "events": [], "open": 0}


def say_in_a_signal_handler(name: str, url: str, way: str) -> None:
    api = api_named(name)
    exporter = InMemorySpanExporter()
    streams: list[Any] = []

    def say(*_: object) -> None:
        stream_of(streams[0]).event("said.inside")

    signal.signal(signal.SIGUSR1, say)
    processor = Locking(lambda: signal.raise_signal(signal.SIGUSR1))
    with instrumented_process(api.sdk, exporter, processor) as provider, api.sdk.opened(url) as client:
        streams.append(stream_from(api, client))
        WAYS[way](processor, provider, api, client)
        list(streams[0])
        report(facts_of(exporter, 0))


@needs_signals
@pytest.mark.parametrize("way", WAY_NAMES)
def test_a_signal_handler_says_something_inside_a_lock(api: Api, url: str, way: str) -> None:
    """An event that a signal handler says while its thread holds a processor's lock arrives, and nothing locks up."""
    facts = report_of(say_in_a_signal_handler, api.name, url, way, timeout=30)

    assert facts == {"before": 0, "abort": ["complete", None, None], "events": ["said.inside"], "open": 0}


def collect_inside(name: str, url: str, way: str) -> None:
    api = api_named(name)
    exporter = InMemorySpanExporter()
    processor = Locking(gc.collect)
    with instrumented_process(api.sdk, exporter, processor) as provider, api.sdk.opened(url) as client:
        gc.disable()
        cycle: list[Any] = [stream_from(api, client)]
        cycle.append(cycle)
        del cycle
        before = len(exporter.get_finished_spans())
        WAYS[way](processor, provider, api, client)
        report(facts_of(exporter, before))


@pytest.mark.parametrize("way", WAY_NAMES)
def test_the_collector_finds_a_stream_inside_a_lock(api: Api, url: str, way: str) -> None:
    """A stream that the collector finds while its thread holds a processor's lock ends, and nothing locks up."""
    facts = report_of(collect_inside, api.name, url, way, timeout=30)

    assert facts == {"before": 0, "abort": ["aborted", "dropped", "text"], "events": [], "open": 0}


# --- threads that instrument at once -------------------------------------------------------------------------------

TRIES = 200


def functions(api: Api) -> list[object]:
    """What is patched, as the SDK has it now."""
    base: Any = api.sdk.module._base_client
    stream: Any = api.sdk.module.Stream
    stream_async: Any = api.sdk.module.AsyncStream
    owners = [base.SyncAPIClient, base.AsyncAPIClient]
    return [
        *(vars(owner)["request"] for owner in owners),
        *(vars(owner)[name] for owner in (stream, stream_async) for name in ("__stream__", "close")),
        getattr(base, "start_api_call_span", None),
    ]


def instrument_at_once(api: Api, provider: TracerProvider) -> None:
    """In two threads."""
    barrier = threading.Barrier(2)

    def instrument() -> None:
        barrier.wait()
        api.sdk.instrumentor().instrument(tracer_provider=provider)

    threads = [threading.Thread(target=instrument) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def report_tries(name: str, url: str) -> None:
    """The program of the next test: stops where the call has more spans than one, or the functions are others."""
    api = api_named(name)
    sys.setswitchinterval(1e-6)
    gc.freeze()
    originals = functions(api)
    spans, restored = 1, True
    tries = 0
    with api.sdk.opened(url) as client:
        while spans == 1 and restored and tries < TRIES:
            tries += 1
            exporter = InMemorySpanExporter()
            provider = TracerProvider(shutdown_on_exit=False)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            instrument_at_once(api, provider)
            list(api.create(client))
            spans = len(ended_spans(exporter))
            api.sdk.instrumentor().uninstrument()
            restored = functions(api) == originals
    report({"tries": tries, "spans of a call": spans, "restored": restored})


def test_two_threads_instrument_at_once(api: Api, url: str) -> None:
    """A call has one span, and the SDK's own functions are back after `uninstrument()`, whichever thread was first."""
    done = run(report_tries, api.name, url, timeout=100)

    assert json.loads(done.stdout) == {"tries": TRIES, "spans of a call": 1, "restored": True}
