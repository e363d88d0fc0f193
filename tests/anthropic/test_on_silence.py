"""`on_silence`: the application is told of a silence while it goes on, on the loop that reads or on a thread."""

import asyncio
import logging
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config, StreamHandle
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script, Wait
from streamspan.cli.demo.server import MessagesServer
from streamspan.silence import SilenceHook
from tests.anthropic.paths import REQUEST
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

SECONDS = 30.0  # for which a test waits for what must happen
THREAD = "streamspan silence"
FIRST, LAST = 0.3, 0.6
MESSAGE = list(wire.whole_message(wire.text_block(0, "Your order left our warehouse this morning.", size=8)))


# --- when ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silences", "expected"),
    [
        pytest.param([0.0, 5.0, 9.9], [], id="too short"),
        pytest.param([9.9, 10.0, 10.1, 59.0], [10.0], id="once"),
        pytest.param([10.0, 30.0, 60.0, 61.0], [10.0, 60.0], id="each once"),
        pytest.param([0.1, 75.0, 76.0], [75.0], id="two between two looks are told once"),
    ],
)
def test_each_threshold_is_told_once_in_one_silence(silences: Sequence[float], expected: Sequence[float]) -> None:
    """At the first look at which the silence has reached it."""
    hook = SilenceHook((10.0, 60.0))

    assert [silence for silence in silences if hook.is_due(silence, 1)] == expected


def test_the_next_wait_has_thresholds_of_its_own() -> None:
    """However short the time between two looks: the silence may be as long as that of the wait before."""
    hook = SilenceHook((10.0, 60.0))

    assert [
        hook.is_due(silence, wait) for silence, wait in [(60.0, 1), (60.0, 1), (60.0, 2), (12.0, 3), (60.0, 3)]
    ] == [
        True,
        False,
        True,
        True,
        True,
    ]


@given(st.lists(st.floats(0.0, 100.0)).map(sorted), st.lists(st.floats(0.1, 100.0), min_size=1, max_size=5).map(sorted))
def test_one_silence_is_told_no_more_often_than_it_has_thresholds(
    silences: list[float], thresholds: list[float]
) -> None:
    """However often somebody looks; and what is told has reached a threshold."""
    hook = SilenceHook(thresholds)
    told = [silence for silence in silences if hook.is_due(silence, 1)]

    assert len(told) <= sum(threshold <= (silences or [0.0])[-1] for threshold in thresholds)
    assert min(told, default=100.0) >= thresholds[0]


# --- where ---------------------------------------------------------------------------------------------------------


class Application:
    """Has the server go on when it is told of a silence that has reached the last threshold."""

    def __init__(self, *goes_on: threading.Event, raises: Exception | None = None) -> None:
        self.told: list[tuple[str, float]] = []
        self.threads: set[str] = set()
        self._goes_on = iter(goes_on)
        self._raises = raises

    def __call__(self, stream: StreamHandle, seconds: float) -> None:
        snapshot = stream.snapshot()
        assert snapshot is not None
        self.told.append((snapshot.phase, seconds))
        self.threads.add(threading.current_thread().name)
        if seconds >= LAST:
            next(self._goes_on).set()
        if self._raises is not None:
            raise self._raises


@contextmanager
def answered(server: MessagesServer, script: Script, goes_on: Sequence[threading.Event]) -> Generator[None]:
    """A call gets this answer, which goes on in the end also if the application is told of nothing."""

    def go_on() -> None:
        for event in goes_on:
            event.set()

    server.scripts.append(script)
    timer = threading.Timer(SECONDS, go_on)
    timer.start()
    yield
    timer.cancel()
    timer.join()


def read_in_thread(url: str) -> None:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=url, api_key="none", max_retries=0, http_client=http_client) as client:
        list(client.messages.create(**REQUEST, stream=True))


def read_on_loop(url: str) -> None:
    async def read() -> None:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        async with AsyncAnthropic(base_url=url, api_key="none", max_retries=0, http_client=http_client) as client:
            async for _ in await client.messages.create(**REQUEST, stream=True):
                pass

    asyncio.run(read())


READERS = [
    pytest.param(read_in_thread, True, THREAD, id="a thread"),
    pytest.param(read_on_loop, True, "MainThread", id="a loop"),
    pytest.param(read_on_loop, False, THREAD, id="a loop that is not watched"),
]


@pytest.fixture
def started(tracer_provider: TracerProvider) -> Iterator[Callable[..., None]]:
    instrumentor = AnthropicStreamInstrumentor()

    def start(application: Application, *, watch_event_loop: bool = True) -> None:
        config = Config(on_silence=application, silence_seconds=(FIRST, LAST), watch_event_loop=watch_event_loop)
        instrumentor.instrument(tracer_provider=tracer_provider, config=config)

    yield start
    instrumentor.uninstrument()


def silent_at(*places: int) -> tuple[Script, list[threading.Event]]:
    """A message whose server waits before these of its events, until each is set."""
    script, events = list[Any](MESSAGE), list[threading.Event]()
    for place in reversed(places):
        events.insert(0, threading.Event())
        script.insert(place, Wait(events[0]))
    return script, events


@pytest.mark.parametrize(("read", "watch_event_loop", "thread"), READERS)
def test_a_silence_in_the_middle_of_a_stream(
    read: Callable[[str], None],
    watch_event_loop: bool,
    thread: str,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    started: Callable[..., None],
) -> None:
    """The application is told where the stream is, at each threshold at most once, and the stream goes on."""
    script, goes_on = silent_at(5)
    application = Application(*goes_on)
    started(application, watch_event_loop=watch_event_loop)

    with answered(server, script, goes_on):
        read(server.url)
    [span] = ended_spans(exporter)

    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert application.threads == {thread}
    assert [phase for phase, _ in application.told] in (["text"], ["text", "text"])
    assert application.told[-1][1] >= LAST


@pytest.mark.parametrize(("read", "watch_event_loop", "thread"), READERS)
def test_each_silence_is_told_anew(
    read: Callable[[str], None],
    watch_event_loop: bool,
    thread: str,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    started: Callable[..., None],
) -> None:
    """Before the headers, before the first chunk, and in the text: the server goes on only if it is."""
    script, goes_on = silent_at(0, 3, 6)
    application = Application(*goes_on)
    started(application, watch_event_loop=watch_event_loop)

    with answered(server, script, goes_on):
        read(server.url)
    [span] = ended_spans(exporter)

    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert application.threads == {thread}
    assert [phase for phase, seconds in application.told if seconds >= LAST] == ["opening", "waiting", "text"]


@pytest.mark.parametrize(("read", "watch_event_loop", "thread"), READERS)
def test_what_it_raises_changes_nothing(
    read: Callable[[str], None],
    watch_event_loop: bool,
    thread: str,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    started: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged with its type, not with its words, and the next silence is told all the same."""
    script, goes_on = silent_at(5, 7)
    application = Application(*goes_on, raises=ZeroDivisionError("a secret"))
    started(application, watch_event_loop=watch_event_loop)
    with caplog.at_level(logging.WARNING), answered(server, script, goes_on):
        read(server.url)
    [span] = ended_spans(exporter)

    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert application.threads == {thread}
    assert {record.getMessage() for record in caplog.records if record.name == "streamspan.observer"} == {
        "on_silence raised ZeroDivisionError, which is ignored"
    }
    assert "a secret" not in caplog.text


def test_the_thread_ends_with_the_last_stream(server: MessagesServer, started: Callable[..., None]) -> None:
    """It is a daemon, there is one, and it is there while a stream is open that no loop drives."""
    script, goes_on = silent_at(5)
    while_open: list[tuple[str, bool]] = []

    class Looks(Application):
        def __call__(self, stream: StreamHandle, seconds: float) -> None:
            while_open.extend((thread.name, thread.daemon) for thread in silence_threads())
            super().__call__(stream, seconds)

    started(Looks(*goes_on))
    with answered(server, script, goes_on):
        read_in_thread(server.url)
    join_silence_threads()

    assert set(while_open) == {(THREAD, True)}
    assert silence_threads() == []


def silence_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def join_silence_threads() -> None:
    for thread in silence_threads():
        thread.join(SECONDS)


def test_without_the_hook_there_is_no_thread(server: MessagesServer, instrumented: AnthropicStreamInstrumentor) -> None:
    """Nothing of ours runs while a reader waits."""
    del instrumented
    join_silence_threads()  # of the tests before
    server.scripts.append(MESSAGE)
    read_in_thread(server.url)

    assert silence_threads() == []
