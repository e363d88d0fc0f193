"""`on_repetition` and `on_stall`: the application is told in its own thread, and may end the stream in there."""

import asyncio
import gc
import inspect
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from streamspan import Config, Loop, Stall, StreamHandle, guard, stream_of
from streamspan.cli.demo.script import Ending, Pause, Script, paced
from streamspan.cli.demo.server import MessagesServer
from streamspan.cli.demo.stories import LOOPING_ADVICE, TENT_ADVICE
from streamspan.runtime import open_streams
from tests.stainless.api import TEXT, Api, body_of
from tests.stainless.apis import first_apis
from tests.stainless.paths import Path, event_paths
from tests.stainless.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

WITHOUT_A_BLOCK = {"create_for", "create_next", "create_mixed", "beta_create", "post", "raw_parse", "raw_parse_twice"}


def loops(api: Api) -> Script:
    return list(paced(api.says(TENT_ADVICE + LOOPING_ADVICE * 6), 0.02))


def loops_at_once(api: Api) -> Script:
    return [body_of(loops(api))]


def stalls(api: Api) -> Script:
    pieces = api.says(TEXT, size=8)
    at = api.at_text
    silence = Pause(0.4, never_shorter=True), Pause(0.08, never_shorter=True)
    return [*pieces[:at], silence[0], pieces[at], silence[1], *pieces[at + 1 :]]


Callback = Callable[[StreamHandle, Any], object]


class LoopError(Exception):
    """Raised by a callback of the application."""


class Application:
    """What an application is told, and what it does then."""

    def __init__(self, act: Callback = lambda stream, fact: None) -> None:
        self.told: list[Loop | Stall] = []
        self.threads: set[int] = set()
        self._act = act

    def __call__(self, stream: StreamHandle, fact: Loop | Stall) -> None:
        self.told.append(fact)
        self.threads.add(threading.get_ident())
        self._act(stream, fact)


def gives_up(stream: StreamHandle, fact: Loop | Stall) -> None:
    stream.abort_reason("loop")
    raise LoopError("it says the same again")


@pytest.fixture
def started(api: Api, tracer_provider: TracerProvider) -> Iterator[Callable[[Config], None]]:
    """Starts the instrumentation with a configuration."""
    instrumentor = api.sdk.instrumentor()
    yield lambda config: instrumentor.instrument(tracer_provider=tracer_provider, config=config)
    instrumentor.uninstrument()


@pytest.fixture(autouse=True)
def nothing_failed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a callback raises is no failure of ours, and reaches the reader where ours would not."""
    monkeypatch.setattr(guard, "reraises", False)
    guard.failures.clear()
    yield
    assert (guard.failures, open_streams()) == ({}, [])


@pytest.fixture
def server() -> Iterator[MessagesServer]:
    with MessagesServer(speed=20) as running:
        yield running


# --- what is told --------------------------------------------------------------------------------------------------


def test_a_loop(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """A loop is told once, when it is found, in the thread that reads; the reader gets every event all the same."""
    application = Application()
    started(Config(on_repetition=application, on_stall=application))
    said = "".join(map(api.text_of, api.opened(client, server, loops(api))))
    (span,) = ended_spans(exporter)
    (loop,) = application.told

    assert isinstance(loop, Loop)
    assert (loop.channel, loop.period) == ("text", len(LOOPING_ADVICE))
    assert application.threads == {threading.get_ident()}
    assert said == TENT_ADVICE + LOOPING_ADVICE * 6
    assert attributes(span)["llm_stream.outcome"] == "complete"


def test_a_stall(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """A stall is told once it is known what it ended with, after its event."""
    application = Application(lambda stream, stall: stream.event("app.saw_it"))
    started(Config(stall_seconds=0.1, on_repetition=application, on_stall=application))
    list(api.opened(client, server, stalls(api)))
    (span,) = ended_spans(exporter)
    stall = application.told[0]
    names = [event.name for event in span.events]

    assert isinstance(stall, Stall)
    assert stall.phase == "text"
    assert stall.gap >= 0.1
    assert names[names.index("llm_stream.stall") + 1] == "app.saw_it"


def test_what_only_the_end_shows(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """A silence that ends with the stream is on the span, but nobody is called: it is too late to act."""
    application = Application()
    started(Config(stall_seconds=0.1, on_stall=application))
    with suppress(Exception):
        list(api.opened(client, server, [*api.hangs[:-1], Pause(0.4, never_shorter=True), Ending.RESET]))
    (span,) = ended_spans(exporter)

    assert attributes(span)["llm_stream.stall.count"] == 1
    assert application.told == []


def test_sampled_out(api: Api, client: Any, server: MessagesServer) -> None:
    """The application is told of a stream whose span is not sampled, too."""
    application = Application()
    instrumentor = api.sdk.instrumentor()
    meter_provider = MeterProvider([InMemoryMetricReader()])
    instrumentor.instrument(
        tracer_provider=TracerProvider(ALWAYS_OFF),
        meter_provider=meter_provider,
        config=Config(on_repetition=application),
    )
    list(api.opened(client, server, loops(api)))
    instrumentor.uninstrument()
    meter_provider.shutdown()

    assert len(application.told) == 1


def test_no_lock_is_held(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """While a callback runs, other threads may use the handle, and the callback may wait for them."""

    def lets_another_thread_act(stream: StreamHandle, fact: Loop) -> None:
        done: list[str] = []

        def act() -> None:
            stream.event("app.elsewhere")
            stream.abort_reason("elsewhere")
            done.append(str(stream.snapshot()))

        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        thread.join(60)
        assert len(done) == 1

    started(Config(on_repetition=lets_another_thread_act))
    list(api.opened(client, server, loops(api)))
    (span,) = ended_spans(exporter)

    assert "app.elsewhere" in [event.name for event in span.events]


# --- what it raises ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "path"),
    [pytest.param(api, path, id=f"{api.name}-{path.name}") for api in first_apis() for path in event_paths(api)],
)
def test_every_reader_gets_what_a_callback_raises(
    api: Api, path: Path, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """However it is read: the reader gets the exception, and the SDK or a `with` block closes the connection."""
    started(Config(on_repetition=gives_up))
    server.scripts.append(loops(api))
    seen = path.run(server.url)
    (span,) = ended_spans(exporter)

    assert seen[-1] == ("LoopError", "it says the same again")
    assert abort_of(span) == ("aborted", "loop", "text")
    closes_after_exceptions = "finally" in inspect.getsource(api.sdk.module.Stream.__stream__)
    is_closed = closes_after_exceptions or path.name.removesuffix("_async") not in WITHOUT_A_BLOCK
    assert attributes(span)["llm_stream.abort.connection_closed"] is is_closed


def test_without_a_declared_reason(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """An exception of the application is a `consumer_error`, and it arrives as it was raised."""

    def fails(stream: StreamHandle, fact: Loop) -> None:
        raise LoopError from KeyError("a cause")

    started(Config(on_repetition=fails))
    with pytest.raises(LoopError) as raised:
        list(api.opened(client, server, loops(api)))
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "consumer_error", "text")
    assert (repr(raised.value.__cause__), raised.value.__context__) == ("KeyError('a cause')", None)


@pytest.mark.parametrize("error", [KeyError, AttributeError])
@pytest.mark.parametrize("script", [loops, loops_at_once], ids=["chunks that come apart", "chunks that come together"])
def test_an_exception_of_a_kind_that_we_expect(
    api: Api,
    script: Callable[[Api], Script],
    error: type[Exception],
    client: Any,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    started: Callable[[Config], None],
) -> None:
    """Whatever the type, it is not taken for what a malformed event raises, wherever the loop is found."""

    def fails(stream: StreamHandle, fact: Loop) -> None:
        raise error("a mistake of the application")

    started(Config(on_repetition=fails))
    with pytest.raises(error, match="a mistake of the application"):
        list(api.opened(client, server, script(api)))
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "consumer_error", "text")


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
def test_an_exception_that_would_end_a_generator(
    api: Api,
    error: type[Exception],
    client: Any,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    started: Callable[[Config], None],
) -> None:
    """It is not taken for the end of the stream: as from a generator, it comes out as a RuntimeError."""

    def fails(stream: StreamHandle, fact: Loop) -> None:
        raise error

    started(Config(on_repetition=fails))
    with pytest.raises(RuntimeError, match=f"a callback raised {error.__name__}"):
        list(api.opened(client, server, loops(api)))
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "consumer_error", "text")


def test_a_callback_is_interrupted(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """Ctrl-C in a callback cancels the stream."""

    def is_interrupted(stream: StreamHandle, fact: Loop) -> None:
        raise KeyboardInterrupt

    started(Config(on_repetition=is_interrupted))
    with pytest.raises(KeyboardInterrupt):
        list(api.opened(client, server, loops(api)))
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "cancelled", "text")


def test_what_a_stall_callback_raises(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """The same for `on_stall`."""
    started(Config(stall_seconds=0.1, on_stall=gives_up))
    with pytest.raises(LoopError):
        list(api.opened(client, server, stalls(api)))
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "loop", "text")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="contextlib makes a reference cycle of the exception")
def test_what_was_raised_holds_nothing(
    api: Api, client: Any, server: MessagesServer, started: Callable[[Config], None]
) -> None:
    """Once the exception is handled, the response goes with its last reference, without the garbage collector."""
    if "_iterator" not in vars(api.sdk.module.Stream):
        pytest.skip("this SDK's stream is a reference cycle")
    started(Config(on_repetition=gives_up))
    stream = api.opened(client, server, loops(api))
    response = weakref.ref(stream.response)
    gc.disable()
    with suppress(LoopError):
        list(stream)
    del stream
    is_gone = response() is None
    gc.enable()

    assert is_gone


# --- what it closes ------------------------------------------------------------------------------------------------


def close_the_stream(stream: Any) -> None:
    stream.close()


def close_the_response(stream: Any) -> None:
    stream.response.close()


@pytest.mark.parametrize("close", [close_the_stream, close_the_response])
def test_a_callback_closes_the_stream(
    api: Api,
    close: Callable[[Any], None],
    client: Any,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    started: Callable[[Config], None],
) -> None:
    """Closed inside its own read, a stream ends aborted with the declared reason, and has one span."""
    reading: list[Any] = []

    def stops(stream: StreamHandle, loop: Loop) -> None:
        stream.abort_reason("loop")
        close(reading[0])

    started(Config(on_repetition=stops))
    with api.helped(client, server, loops(api)) as stream:
        reading.append(stream)
        with suppress(Exception):  # what the HTTP library makes of a read from a closed connection
            stream.until_done()
    (span,) = ended_spans(exporter)
    snapshot = stream_of(stream).snapshot()

    assert abort_of(span) == ("aborted", "loop", "text")
    assert attributes(span)["llm_stream.abort.connection_closed"] is True
    assert snapshot is not None
    assert snapshot.loop is not None


def test_a_reader_that_looks_at_a_flag(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """The reader gets the event at which the loop was found, and leaves after it."""
    stop = threading.Event()

    def sets_the_flag(stream: StreamHandle, loop: Loop) -> None:
        stream.abort_reason("loop")
        stop.set()

    started(Config(on_repetition=sets_the_flag))
    said = ""
    with api.opened(client, server, loops(api)) as stream:
        for event in stream:
            said += api.text_of(event)
            if stop.is_set():
                break
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "loop", "text")
    assert attributes(span)["llm_stream.text.chars"] == len(said)


def test_a_callback_cancels_its_task(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """In a task, a callback may cancel the task that it runs in, which is the one that reads."""

    def cancels(stream: StreamHandle, loop: Loop) -> None:
        stream.abort_reason("loop")
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client, api.helped(client, server, loops(api)) as stream:
            await stream.until_done()

    started(Config(on_repetition=cancels))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "loop", "text")


# --- configuration -------------------------------------------------------------------------------------------------


async def a_coroutine_function(stream: StreamHandle, loop: Loop) -> None:
    pass


@pytest.mark.parametrize("name", ["on_repetition", "on_rumination", "on_stall"])
@pytest.mark.parametrize("given", ["print", 1, a_coroutine_function])
def test_a_wrong_callback(name: str, given: object) -> None:
    """What cannot be called, or would never be awaited, is an error at once."""
    settings: dict[str, Any] = {name: given}
    with pytest.raises(ValueError, match="must be a function, and no coroutine function"):
        Config(**settings)
