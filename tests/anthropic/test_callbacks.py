"""`on_repetition`, `on_rumination` and `on_stall`: the application is told in its own thread.

It may end the stream in there.
"""

import asyncio
import gc
import inspect
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from streamspan import AnthropicStreamInstrumentor, Config, Loop, Rumination, Stall, StreamHandle, guard, stream_of
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Pause, Script
from streamspan.cli.demo.server import MessagesServer
from streamspan.cli.demo.stories import ITEM, LOOPING_ADVICE, STORIES
from streamspan.runtime import open_streams
from tests.anthropic.paths import EVENT_PATHS, REQUEST, Path
from tests.anthropic.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

STREAM: Any = anthropic.Stream
SDK = tuple(int(number) for number in anthropic.__version__.split(".")[:2])
CLOSES_AFTER_EXCEPTIONS = "finally" in inspect.getsource(STREAM.__stream__)
WITHOUT_A_BLOCK = {"create_for", "create_next", "create_mixed", "beta_create", "post", "raw_parse", "raw_parse_twice"}
SCRIPTS: Mapping[str, Script] = {story.name: story.scripts[0] for story in STORIES}
LOOPS, LOOPS_IN_TOOL_INPUT = SCRIPTS["loops"], SCRIPTS["loops-in-tool-input"]
AT_ONCE = [b"".join(step.encoded() for step in LOOPS if isinstance(step, wire.Event))]
TEXT = list(wire.whole_message(wire.text_block(0, "Some text to begin with.")))
PIECES = list(wire.whole_message(wire.text_block(0, "Some text to begin with.", size=8)))
STALLS: Script = [*PIECES[:4], Pause(0.4, never_shorter=True), PIECES[4], Pause(0.08, never_shorter=True), *PIECES[5:]]

Callback = Callable[[StreamHandle, Any], object]


class LoopError(Exception):
    """Raised by a callback of the application."""


class Application:
    """What an application is told, and what it does then."""

    def __init__(self, act: Callback = lambda stream, fact: None) -> None:
        self.told: list[Loop | Rumination | Stall] = []
        self.threads: set[int] = set()
        self._act = act

    def __call__(self, stream: StreamHandle, fact: Loop | Rumination | Stall) -> None:
        self.told.append(fact)
        self.threads.add(threading.get_ident())
        self._act(stream, fact)


def gives_up(stream: StreamHandle, fact: Loop | Stall) -> None:
    stream.abort_reason("loop")
    raise LoopError("it says the same again")


@pytest.fixture
def started(tracer_provider: TracerProvider) -> Iterator[Callable[[Config], None]]:
    """Starts the instrumentation with a configuration."""
    instrumentor = AnthropicStreamInstrumentor()
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


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


def opened(client: Any, server: MessagesServer, script: Script) -> Any:
    server.scripts.append(script)
    return client.messages.create(stream=True, **REQUEST)


# --- what is told --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "channel", "period"),
    [(LOOPS, "text", len(LOOPING_ADVICE)), (LOOPS_IN_TOOL_INPUT, "tool_input", len(ITEM))],
    ids=["text", "tool input"],
)
def test_a_loop(
    script: Script,
    channel: str,
    period: int,
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    started: Callable[[Config], None],
) -> None:
    """A loop is told once, when it is found, in the thread that reads; the reader gets every event all the same."""
    application = Application()
    started(Config(on_repetition=application, on_stall=application))
    types = [event.type for event in opened(client, server, script)]
    (span,) = ended_spans(exporter)
    (loop,) = application.told

    assert isinstance(loop, Loop)
    assert (loop.channel, loop.period) == (channel, period)
    assert application.threads == {threading.get_ident()}
    assert types[-1] == "message_stop"
    assert attributes(span)["llm_stream.outcome"] == "complete"


SEARCH = '{"query":"weather in Bern"}'
THE_SAME_WORDS: Script = [
    *wire.whole_message(*[wire.text_block(index, "I will run the check again and report. ") for index in range(60)])
]
THE_SAME_CALL: Script = [*wire.whole_message(*[wire.tool_block(index, "search", SEARCH) for index in range(25)])]


@pytest.mark.parametrize(
    ("script", "described"),
    [
        pytest.param(
            THE_SAME_WORDS,
            {"kind": "exact", "channel": "text", "start": 0, "period": 39, "count": 60, "chars": 60 * 39},
            id="words",
        ),
        pytest.param(
            THE_SAME_CALL,
            {"kind": "tool_call", "channel": "tool_input", "start": 0, "period": 27, "count": 25, "chars": 25 * 27},
            id="tool call",
        ),
    ],
)
def test_a_loop_over_many_blocks(
    script: Script,
    described: Mapping[str, object],
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    tracer_provider: TracerProvider,
) -> None:
    """It is told once, has one event, is one anomaly, and the span has it as it ended."""
    application = Application()
    metrics = InMemoryMetricReader()
    instrumentor = AnthropicStreamInstrumentor()
    meters = MeterProvider([metrics], shutdown_on_exit=False)
    config = Config(on_repetition=application)
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meters, config=config)
    list(opened(client, server, script))
    instrumentor.uninstrument()
    (span,) = ended_spans(exporter)
    prefix = "llm_stream.repetition."
    names = [event.name for event in span.events]

    assert len(application.told) == 1
    assert names.count("llm_stream.repetition") == 1
    assert {name: attributes(span)[prefix + name] for name in described} == described
    assert anomalies(metrics) == {"repetition": 1}


THOUGHTS = [
    f"{who} {what} {where}"
    for who in ("the cache", "its owner", "a test")
    for what in ("keeps", "drops")
    for where in ("one row", "the last row", "no row")
]
CHANCE = random.Random(5)
CIRCLES = "".join(
    CHANCE.choice(THOUGHTS) + CHANCE.choice([", so ", ", and ", ". Or "]) + CHANCE.choice(THOUGHTS) + ". "
    for _ in range(300)
)
THINKS_IN_CIRCLES: Script = [
    *wire.whole_message(wire.thinking_block(0, CIRCLES, size=40), wire.text_block(1, "I do not know."))
]


def test_rumination(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """Thinking that says nothing new is told once, has one event, is one anomaly, and is on the span."""
    application = Application()
    metrics = InMemoryMetricReader()
    instrumentor = AnthropicStreamInstrumentor()
    meters = MeterProvider([metrics], shutdown_on_exit=False)
    config = Config(rumination="thinking", on_rumination=application)
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meters, config=config)
    list(opened(client, server, THINKS_IN_CIRCLES))
    instrumentor.uninstrument()
    (span,) = ended_spans(exporter)
    (told,) = application.told
    (event,) = [event for event in span.events if event.name == "llm_stream.rumination"]
    described = {name: value for name, value in attributes(span).items() if name.startswith("llm_stream.rumination.")}

    assert isinstance(told, Rumination)
    assert described == {
        "llm_stream.rumination.detected": True,
        "llm_stream.rumination.channel": "thinking",
        "llm_stream.rumination.start": told.start,
        "llm_stream.rumination.chars": told.chars,
        "llm_stream.rumination.share": told.share,
        "llm_stream.rumination.time": told.time,
    }
    assert {**(event.attributes or {}), "llm_stream.rumination.detected": True} == described
    assert anomalies(metrics) == {"rumination": 1}


def anomalies(reader: InMemoryMetricReader) -> dict[object, int]:
    """How many of each, without those of which there were none."""
    data: Any = reader.get_metrics_data()
    (scope,) = data.resource_metrics[0].scope_metrics
    points = [
        point for metric in scope.metrics if metric.name == "llm_stream.anomalies" for point in metric.data.data_points
    ]
    return {point.attributes["llm_stream.anomaly"]: point.value for point in points if point.value}


def test_a_stall(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """A stall is told once it is known what it ended with, after its event."""
    application = Application(lambda stream, stall: stream.event("app.saw_it"))
    started(Config(stall_seconds=0.1, on_repetition=application, on_stall=application))
    list(opened(client, server, STALLS))
    (span,) = ended_spans(exporter)
    stall = application.told[0]
    names = [event.name for event in span.events]

    assert isinstance(stall, Stall)
    assert stall.phase == "text"
    assert stall.gap >= 0.1
    assert names[names.index("llm_stream.stall") + 1] == "app.saw_it"


def test_what_only_the_end_shows(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """A silence that ends with the stream is on the span, but nobody is called: it is too late to act."""
    application = Application()
    started(Config(stall_seconds=0.1, on_stall=application))
    with suppress(Exception):
        list(opened(client, server, [*TEXT[:4], Pause(0.4, never_shorter=True), Ending.RESET]))
    (span,) = ended_spans(exporter)

    assert attributes(span)["llm_stream.stall.count"] == 1
    assert application.told == []


def test_sampled_out(client: Anthropic, server: MessagesServer) -> None:
    """The application is told of a stream whose span is not sampled, too."""
    application = Application()
    instrumentor = AnthropicStreamInstrumentor()
    meter_provider = MeterProvider([InMemoryMetricReader()])
    instrumentor.instrument(
        tracer_provider=TracerProvider(ALWAYS_OFF),
        meter_provider=meter_provider,
        config=Config(on_repetition=application),
    )
    list(opened(client, server, LOOPS))
    instrumentor.uninstrument()
    meter_provider.shutdown()

    assert len(application.told) == 1


def test_no_lock_is_held(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
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
    list(opened(client, server, LOOPS))
    (span,) = ended_spans(exporter)

    assert "app.elsewhere" in [event.name for event in span.events]


# --- what it raises ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVENT_PATHS, ids=lambda path: path.name)
def test_every_reader_gets_what_a_callback_raises(
    path: Path, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """However it is read: the reader gets the exception, and the SDK or a `with` block closes the connection."""
    started(Config(on_repetition=gives_up))
    server.scripts.append(LOOPS)
    seen = path.run(server.url)
    (span,) = ended_spans(exporter)

    assert seen[-1] == ("LoopError", "it says the same again")
    assert abort_of(span) == ("aborted", "loop", "text")
    is_closed = CLOSES_AFTER_EXCEPTIONS or path.name.removesuffix("_async") not in WITHOUT_A_BLOCK
    assert attributes(span)["llm_stream.abort.connection_closed"] is is_closed


def test_without_a_declared_reason(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """An exception of the application is a `consumer_error`, and it arrives as it was raised."""

    def fails(stream: StreamHandle, fact: Loop) -> None:
        raise LoopError from KeyError("a cause")

    started(Config(on_repetition=fails))
    with pytest.raises(LoopError) as raised:
        list(opened(client, server, LOOPS))
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "consumer_error", "text")
    assert (repr(raised.value.__cause__), raised.value.__context__) == ("KeyError('a cause')", None)


@pytest.mark.parametrize("error", [KeyError, AttributeError])
@pytest.mark.parametrize("script", [LOOPS, AT_ONCE], ids=["chunks that come apart", "chunks that come together"])
def test_an_exception_of_a_kind_that_we_expect(
    script: Script,
    error: type[Exception],
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    started: Callable[[Config], None],
) -> None:
    """Whatever the type, it is not taken for what a malformed event raises, wherever the loop is found."""

    def fails(stream: StreamHandle, fact: Loop) -> None:
        raise error("a mistake of the application")

    started(Config(on_repetition=fails))
    with pytest.raises(error, match="a mistake of the application"):
        list(opened(client, server, script))
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "consumer_error", "text")


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
def test_an_exception_that_would_end_a_generator(
    error: type[Exception],
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    started: Callable[[Config], None],
) -> None:
    """It is not taken for the end of the stream: as from a generator, it comes out as a RuntimeError."""

    def fails(stream: StreamHandle, fact: Loop) -> None:
        raise error

    started(Config(on_repetition=fails))
    with pytest.raises(RuntimeError, match=f"a callback raised {error.__name__}"):
        list(opened(client, server, LOOPS))
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "consumer_error", "text")


def test_a_callback_is_interrupted(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """Ctrl-C in a callback cancels the stream."""

    def is_interrupted(stream: StreamHandle, fact: Loop) -> None:
        raise KeyboardInterrupt

    started(Config(on_repetition=is_interrupted))
    with pytest.raises(KeyboardInterrupt):
        list(opened(client, server, LOOPS))
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "cancelled", "text")


def test_what_a_stall_callback_raises(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """The same for `on_stall`."""
    started(Config(stall_seconds=0.1, on_stall=gives_up))
    with pytest.raises(LoopError):
        list(opened(client, server, STALLS))
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "loop", "text")


@pytest.mark.skipif(SDK < (1, 14), reason="this SDK's stream is a reference cycle")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="contextlib makes a reference cycle of the exception")
def test_what_was_raised_holds_nothing(
    client: Anthropic, server: MessagesServer, started: Callable[[Config], None]
) -> None:
    """Once the exception is handled, the response goes with its last reference, without the garbage collector."""
    started(Config(on_repetition=gives_up))
    stream = opened(client, server, LOOPS)
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
    close: Callable[[Any], None],
    client: Anthropic,
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
    server.scripts.append(LOOPS)
    with client.messages.stream(**REQUEST) as stream:
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
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """The reader gets the event at which the loop was found, and leaves after it."""
    stop = threading.Event()

    def sets_the_flag(stream: StreamHandle, loop: Loop) -> None:
        stream.abort_reason("loop")
        stop.set()

    started(Config(on_repetition=sets_the_flag))
    chars = 0
    with opened(client, server, LOOPS) as stream:
        for event in stream:
            chars += len(event.delta.text) if event.type == "content_block_delta" else 0
            if stop.is_set():
                break
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "loop", "text")
    assert attributes(span)["llm_stream.text.chars"] == chars


def test_a_callback_cancels_its_task(
    server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[[Config], None]
) -> None:
    """In a task, a callback may cancel the task that it runs in, which is the one that reads."""

    def cancels(stream: StreamHandle, loop: Loop) -> None:
        stream.abort_reason("loop")
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def main() -> None:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        async with (
            AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client,
            client.messages.stream(**REQUEST) as stream,
        ):
            await stream.until_done()

    started(Config(on_repetition=cancels))
    server.scripts.append(LOOPS)
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
