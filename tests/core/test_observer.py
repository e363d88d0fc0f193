"""One stream, one span: the first end wins, from whichever thread, and nothing is written where it is not safe."""

import gc
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from itertools import combinations_with_replacement
from threading import Barrier, Event, Lock, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import guard, handle, observer, runtime
from streamspan.config import Config
from streamspan.core.lifecycle import Cause, Signal
from streamspan.core.model import BlockStart, Report, Usage
from streamspan.core.stream import StreamState
from streamspan.observer import Observer
from streamspan.telemetry.spans import Call, Expected, Telemetry
from tests.core.reading import Reader, Step, done

THREADS = 8
SECONDS = 30.0  # for which a test waits for what must happen

STEPS: list[Step] = [
    ("opened", 0.0),
    ("started", "resp_1", "model-x", Usage(), 1.0),
    ("block_started", BlockStart(0, "text", "text"), 2.0),
    ("delta", "text", 0, "Hello", 3.0),
    ("block_stopped", 0, 4.0),
    ("block_started", BlockStart(1, "call", "tool_call"), 5.0),
    ("block_stopped", 1, 6.0),
    ("stopped", "done", False, 7.0),
    ("finished", 8.0),
]
"""An answer with a text and a tool call; the times are seconds from the call."""

End = tuple[Signal, Cause]
OUTCOMES: dict[End, str | None] = {
    ("finished", "none"): "complete",
    ("exhausted", "none"): "truncated",
    ("body_closed", "none"): "aborted",
    ("raised", "error"): "error",
    ("raised", "closed"): "aborted",
    ("raised", "cancelled"): "aborted",
    ("interrupted", "error"): "aborted",
    ("closed", "none"): "aborted",
    ("closed", "sdk_error"): "error",
    ("dropped", "none"): "aborted",
    ("shutdown", "none"): "aborted",
    ("unobservable", "none"): None,
}
"""Ends of a stream whose stop reason has not come. All but the first three end a stream in any state."""
BY_THE_READER: list[End] = [("exhausted", "none"), ("raised", "error"), ("unobservable", "none"), ("finished", "none")]
BY_ANYBODY: list[End] = [
    ("raised", "closed"),
    ("raised", "cancelled"),
    ("interrupted", "error"),
    ("closed", "none"),
    ("closed", "sdk_error"),
    ("body_closed", "none"),
    ("dropped", "none"),
    ("shutdown", "none"),
]
"""Ends that may come from any thread, from a finalizer and from a signal handler."""


def observed(*processors: SpanProcessor, max_events: int = 100) -> tuple[Observer, InMemorySpanExporter]:
    """A stream that has just been called, and where its span will be."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for processor in processors:
        provider.add_span_processor(processor)
    config = Config(native_span="replace", max_events=max_events)
    telemetry = Telemetry(config, provider, NoOpMeterProvider(), None, tuple, Expected((), (), ()))
    return Observer(Call("chat", "model-x", {}), telemetry, config), exporter


def read(stream: Observer, step_count: int, *, first: int = 0) -> None:
    """Steps of the answer, as a reader takes them."""
    for verb, *arguments, seconds in STEPS[first:step_count]:
        at = stream.state.started_at + float(str(seconds))
        if verb == "opened":
            stream.opened()
        else:
            stream.lifecycle.state = "between_reads"
            stream.take(partial(done, step=(verb, *arguments, at)), at)


def being_read(*processors: SpanProcessor) -> tuple[Observer, InMemorySpanExporter]:
    """A stream in the middle of its text."""
    stream, exporter = observed(*processors)
    read(stream, 4)
    return stream, exporter


def finished_outcomes(exporter: InMemorySpanExporter) -> list[object]:
    runtime.finish_ends()
    return [attribute(span, "outcome") for span in exporter.get_finished_spans()]


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(f"llm_stream.{name}")


def event_names(spans: Sequence[ReadableSpan]) -> list[str]:
    return [event.name.removeprefix("llm_stream.") for span in spans for event in span.events]


class Watches(SpanProcessor):
    """Notes in which thread a span ends. `lock`: held by others, as a lock of the OpenTelemetry SDK may be."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.had_lock = False
        self.threads: list[int] = []
        self.ended = Event()

    def on_end(self, span: ReadableSpan) -> None:
        self.threads.append(threading.get_ident())
        self.had_lock = self.lock.acquire(timeout=SECONDS)
        self.lock.release()
        self.ended.set()


@pytest.fixture
def ends_wait() -> Iterator[None]:
    """No other thread writes an end while the test runs."""
    with runtime._writing:
        yield


@pytest.fixture
def failures_are_contained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of ours are counted, as in an application."""
    monkeypatch.setattr(guard, "reraises", False)
    guard.failures.clear()


# --- one end -------------------------------------------------------------------------------------------------------

READ_AND_ENDS = st.tuples(
    st.integers(1, len(STEPS)), st.lists(st.sampled_from(list(OUTCOMES)), min_size=1, max_size=4)
) | st.tuples(st.just(0), st.lists(st.sampled_from(list(OUTCOMES)[3:]), min_size=1, max_size=4))


@given(READ_AND_ENDS, st.booleans())
def test_any_start_of_an_answer_ends_exactly_once(read_and_ends: tuple[int, list[End]], goes_on: bool) -> None:
    """Whatever ends a stream, however often, and whatever still arrives: one span, which tells of the first end."""
    step_count, ends = read_and_ends
    stream, exporter = observed()
    read(stream, step_count)
    expected = OUTCOMES[ends[0]]
    expected = "complete" if expected == "aborted" and step_count >= len(STEPS) - 1 else expected
    expected = "complete" if step_count == len(STEPS) else expected

    for signal, cause in ends:
        stream.signal(signal, cause, error_type="api_error" if cause in {"error", "sdk_error"} else None)
    is_open = stream in runtime.open_streams()
    outcomes = finished_outcomes(exporter)
    at_its_end = [span.to_json() for span in exporter.get_finished_spans()]
    read(stream, len(STEPS) if goes_on else 0)

    assert (outcomes, is_open) == ([expected], False)
    assert finished_outcomes(exporter) == [expected]
    assert [span.to_json() for span in exporter.get_finished_spans()] == at_its_end


@pytest.mark.parametrize("step_count", range(len(STEPS) - 1))
def test_the_first_of_many_threads_ends_the_stream(step_count: int) -> None:
    """Ends from many threads at one moment make one span with one event that says how it ended."""
    stream, exporter = observed()
    read(stream, step_count)
    together = Barrier(THREADS)

    def end(_: int) -> bool:
        together.wait()
        return stream.signal("raised", "error", error_type="api_error")

    with ThreadPoolExecutor(THREADS) as threads:
        ended = list(threads.map(end, range(THREADS)))

    assert ended.count(True) == 1
    assert finished_outcomes(exporter) == ["error"]
    assert event_names(exporter.get_finished_spans()).count("error") == 1


@pytest.mark.parametrize(("one", "other"), list(combinations_with_replacement(OUTCOMES, 2)))
@pytest.mark.usefixtures("quick_switches")
def test_the_first_of_two_ends_wins(one: End, other: End) -> None:
    """Two ends that come at one moment from many threads make one span, which tells of the one that came first."""
    stream, exporter = being_read()
    together = Barrier(THREADS)

    def end(number: int) -> str | None:
        signal, cause = (one, other)[number % 2]
        together.wait()
        return str(OUTCOMES[signal, cause]) if stream.signal(signal, cause) else None

    with ThreadPoolExecutor(THREADS) as threads:
        winners = [outcome for outcome in threads.map(end, range(THREADS)) if outcome is not None]

    assert len(winners) == 1
    assert [str(outcome) for outcome in finished_outcomes(exporter)] == winners


def test_the_last_event_ends_the_stream() -> None:
    """The reader has it when the span has ended, and is not told of an end after that."""
    stream, exporter = observed()
    read(stream, len(STEPS))
    spans = exporter.get_finished_spans()

    assert [attribute(span, "outcome") for span in spans] == ["complete"]
    assert not stream.signal("exhausted")


@pytest.mark.usefixtures("ends_wait")
def test_what_comes_after_the_end_does_not_count() -> None:
    """A stream that was left, and is read on before its end is written, is as it was when it was left."""
    stream, exporter = being_read()
    stream.signal("closed")
    read(stream, len(STEPS), first=4)
    stream.note("guard.too_late", {})
    outcomes = finished_outcomes(exporter)

    [span] = exporter.get_finished_spans()
    assert (outcomes, attribute(span, "content_block.count")) == (["aborted"], 1)
    assert event_names([span]) == ["first_token", "content_block", "abort"]


def test_a_note_of_the_application() -> None:
    """It is written with the next event, or with the end, at the time at which it came."""
    stream, exporter = being_read()
    stream.note("guard.one", {"score": 1})
    read(stream, 5, first=4)
    stream.note("guard.two", {})
    stream.signal("exhausted")

    assert event_names(exporter.get_finished_spans()) == [
        "first_token",
        "guard.one",
        "content_block",
        "guard.two",
        "truncated",
    ]


def test_the_chunks_that_wait_are_in_the_end() -> None:
    """The core gets them before it sums up, and what they show is told."""
    stream, exporter = being_read()
    reader = Reader(stream.state)
    for _ in range(40):
        reader.chunk("text", 0, "Yes. ", 0.0, stream.state.started_at + 3)
    stream.incoming = reader
    stream.signal("exhausted")

    [span] = exporter.get_finished_spans()
    assert attribute(span, "text.chars") == 205
    assert event_names([span]) == ["first_token", "repetition", "content_block", "truncated"]


@pytest.mark.parametrize(("is_reading", "stalls"), [(True, 1), (False, 0)])
def test_a_silence_at_the_end(is_reading: bool, stalls: int) -> None:
    """It is a stall of the provider where the reader was waiting, and nothing where the reader was busy."""
    stream, exporter = being_read()
    stream.incoming = Reader(stream.state)
    stream.incoming.waiting_since = stream.state.started_at + 3.0
    stream.lifecycle.state = "reading" if is_reading else "between_reads"
    stream.signal("raised", "error", at=stream.state.started_at + 10.0, error_type="api_error")

    assert event_names(exporter.get_finished_spans()).count("stall") == stalls


def test_a_signal_that_ends_nothing() -> None:
    """The body is closed in the middle of a read: the stream is open until the read tells why."""
    stream, exporter = being_read()
    stream.lifecycle.state = "reading"

    assert not stream.signal("body_closed")
    assert finished_outcomes(exporter) == []
    assert stream in runtime.open_streams()


def test_an_end_inside_an_event() -> None:
    """An end that comes in the middle of an event, and is written by another thread, has the event whole."""
    stream, exporter = being_read()

    def two_deltas(state: StreamState) -> tuple[Report, ...]:
        facts = state.delta("text", 0, " to", state.started_at + 4)
        stream.signal("dropped")
        writer = Thread(target=runtime.finish_ends, daemon=True)
        writer.start()
        writer.join(0.05)
        return facts + state.delta("text", 0, " all", state.started_at + 4)

    stream.take(two_deltas, stream.state.started_at + 4)

    assert finished_outcomes(exporter) == ["aborted"]
    assert [attribute(span, "text.chars") for span in exporter.get_finished_spans()] == [12]


# --- who writes an end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("signal", "cause"), BY_ANYBODY)
def test_an_end_writes_nothing_where_it_is_noticed(signal: Signal, cause: Cause) -> None:
    """Whoever notices it may hold a lock that a span processor needs: another thread writes it, by itself."""
    watches = Watches()
    stream, exporter = being_read(watches)
    with watches.lock:
        stream.signal(signal, cause)
        while_locked = exporter.get_finished_spans(), watches.ended.is_set()

    ended = watches.ended.wait(SECONDS)

    assert while_locked[1] is False
    assert (ended, watches.had_lock, len(exporter.get_finished_spans())) == (True, True, 1)
    assert watches.threads != [threading.get_ident()]


def test_a_dropped_stream_needs_no_further_call() -> None:
    """The thread writes its end at once, and all others that wait, although no other stream comes."""
    watches = Watches(), Watches()
    streams = [being_read(watching)[0] for watching in watches]
    for stream in streams:
        stream.signal("dropped")

    assert [watching.ended.wait(SECONDS) for watching in watches] == [True, True]


@pytest.mark.parametrize(("signal", "cause"), BY_THE_READER)
def test_an_end_that_a_read_brings_is_written_in_it(signal: Signal, cause: Cause) -> None:
    """When the reader has its last event, the span has ended."""
    watches = Watches()
    stream, exporter = being_read(watches)

    stream.signal(signal, cause)

    assert len(exporter.get_finished_spans()) == 1
    assert watches.threads == [threading.get_ident()]


SET_BY_A_PROCESSOR: ContextVar[str] = ContextVar("set_by_a_processor", default="nothing")


class SetsAVariable(Watches):
    """As the OpenTelemetry SDK's own do around an export."""

    def on_end(self, span: ReadableSpan) -> None:
        SET_BY_A_PROCESSOR.set("something")
        super().on_end(span)


def test_an_end_leaves_the_context_alone() -> None:
    """Whoever is interrupted by a finalizer that ends a stream finds the context as it was.

    Up to Python 3.11 that may be in the middle of a `ContextVar.set`, which crashes the process otherwise.
    """
    watches = SetsAVariable()
    stream, _ = being_read(watches)
    stream.signal("dropped")

    assert watches.ended.wait(SECONDS)
    assert SET_BY_A_PROCESSOR.get() == "nothing"


def test_a_stream_that_nobody_holds_ends() -> None:
    """An observer that is lost in the middle of a stream ends its span, although nobody has said how it ended."""
    watches = Watches()
    stream, exporter = being_read(watches)
    del stream
    gc.collect()

    assert watches.ended.wait(SECONDS)
    assert [attribute(span, "abort.reason") for span in exporter.get_finished_spans()] == ["dropped"]
    assert runtime._open == {}


def test_an_end_that_is_interrupted_before_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may come between the decision and the queue: the end that was decided is written all the same."""
    watches = Watches()
    stream, exporter = being_read(watches)

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(runtime, "write_later", interrupted)
        stream.signal("closed")
    del stream
    gc.collect()

    assert watches.ended.wait(SECONDS)
    assert [attribute(span, "abort.reason") for span in exporter.get_finished_spans()] == ["closed"]


@pytest.mark.usefixtures("ends_wait")
def test_a_stream_whose_end_waits_is_held() -> None:
    """Its end was decided before the last reference went, and counts."""
    stream, exporter = being_read()
    stream.signal("closed")
    del stream
    gc.collect()

    assert finished_outcomes(exporter) == ["aborted"]
    assert [attribute(span, "abort.reason") for span in exporter.get_finished_spans()] == ["closed"]


# --- the queue -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ends_wait")
def test_an_end_waits_until_it_is_due() -> None:
    """The reader has a moment to say why it leaves."""
    stream, exporter = being_read()
    stream.signal("closed")
    runtime._write_due(stream.due_at - 0.001)
    too_early = exporter.get_finished_spans()
    runtime._write_due(stream.due_at)

    assert too_early == ()
    assert len(exporter.get_finished_spans()) == 1


@pytest.mark.usefixtures("ends_wait")
def test_when_an_end_is_due() -> None:
    """At once where nobody is left who could say why; else after a moment, which begins when the close is over."""
    dropped, _ = being_read()
    dropped.signal("dropped")
    closed, _ = being_read()
    before = time.perf_counter()
    closed.signal("closed")
    due_times = [closed.due_at - before]
    closed.close_begins()
    due_times.append(closed.due_at - before)
    closed.close_ends()
    due_times.append(closed.due_at - before)
    closed.gone()

    assert (dropped.due_at, closed.due_at) == (0.0, 0.0)
    assert due_times == [
        pytest.approx(runtime.GRACE, abs=5.0),
        pytest.approx(observer._CLOSING_SECONDS, abs=5.0),
        pytest.approx(runtime.GRACE, abs=5.0),
    ]
    assert min(due_times) >= runtime.GRACE


class PutsOneAtTheLastLook(deque[Any]):
    """A queue in which another thread puts an end just when it was found empty."""

    def __init__(self, late: Observer) -> None:
        super().__init__()
        self.late: list[Observer] = [late]

    def __bool__(self) -> bool:
        is_empty = len(self) == 0
        if is_empty and self.late:
            self.late.pop().signal("dropped")
        return not is_empty


def test_an_end_that_comes_when_the_thread_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread has seen that nothing waits and has not stopped yet: another one writes the end."""
    watches = Watches()
    stream, _ = being_read(watches)
    runtime._thread_runs.acquire()
    monkeypatch.setattr(runtime, "_waiting", PutsOneAtTheLastLook(stream))
    runtime._write_until_none_waits()

    assert watches.ended.wait(SECONDS)


def test_an_end_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, the end waits for the next one that needs a thread, or for the exit."""
    watches = Watches()
    stream, _ = being_read(watches)

    def cannot_start(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, runtime._writing:
        patch.setattr("_thread.start_new_thread", cannot_start)
        stream.signal("dropped")
    without_a_thread = watches.ended.is_set()
    being_read()[0].signal("dropped")

    assert without_a_thread is False
    assert watches.ended.wait(SECONDS)


def test_the_exit_writes_everything() -> None:
    """Ends that wait are written as they were decided, and the streams that are open end by it."""
    (left, left_spans), (_open, open_spans) = being_read(), being_read()
    left.signal("closed")
    runtime._shut_down()

    assert [
        attribute(span, "abort.reason")
        for exporter in (left_spans, open_spans)
        for span in exporter.get_finished_spans()
    ] == ["closed", "shutdown"]


# --- when it ended, and why ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ends_wait")
def test_a_word_between_the_end_and_its_writing_counts() -> None:
    """The reader says why while it unwinds; the stream has ended when it was left."""
    stream, exporter = being_read()
    stream.signal("closed", at=stream.state.started_at + 5.0)
    stream.abort_declared("user_stop")

    outcomes = finished_outcomes(exporter)

    [span] = exporter.get_finished_spans()
    assert (outcomes, attribute(span, "abort.reason")) == (["aborted"], "user_stop")
    assert (span.end_time or 0) - (span.start_time or 0) == pytest.approx(5e9, abs=1000)


def test_a_word_after_the_writing_is_too_late(caplog: pytest.LogCaptureFixture) -> None:
    """It changes nothing, and one warning says so however often it happens."""
    handle._warn_once.cache_clear()
    stream, exporter = being_read()
    stream.signal("closed")
    outcomes = finished_outcomes(exporter)
    with caplog.at_level(logging.WARNING):
        handle.StreamHandle(stream).abort_reason("user_stop")
        handle.StreamHandle(stream).abort_reason("user_stop")

    assert outcomes == ["aborted"]
    assert [attribute(span, "abort.reason") for span in exporter.get_finished_spans()] == ["closed"]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("signal", "cause", "expected"),
    [
        ("closed", "none", "user_stop"),
        ("raised", "cancelled", "user_stop"),
        ("dropped", "none", "user_stop"),
        ("raised", "error", None),
        ("exhausted", "none", None),
    ],
)
def test_the_word_of_the_application(signal: Signal, cause: Cause, expected: str | None) -> None:
    """What the application declares is the reason of an aborted stream, in place of ours, and of no other."""
    stream, exporter = being_read()
    stream.abort_declared("user_stop")
    stream.signal(signal, cause)
    runtime.finish_ends()

    [span] = exporter.get_finished_spans()
    assert attribute(span, "abort.reason") == expected


@pytest.mark.parametrize(
    ("signal", "cause", "seconds"),
    [
        ("dropped", "none", 3.0),
        ("dropped", "cancelled", 3.0),
        ("shutdown", "none", 3.0),
        ("closed", "generator", 3.0),
    ],
)
def test_the_end_is_the_last_activity_where_nobody_knows_it(signal: Signal, cause: Cause, seconds: float) -> None:
    """A finalizer, the closing of a generator and the exit come at any time after the stream was left."""
    stream, exporter = being_read()
    stream.state.event(0.0, stream.state.started_at + seconds)
    stream.signal(signal, cause)
    runtime.finish_ends()

    [span] = exporter.get_finished_spans()
    assert (span.end_time or 0) - (span.start_time or 0) == pytest.approx(seconds * 1e9, abs=1000)


def test_what_a_snapshot_says_before_and_after_the_end() -> None:
    """Without an outcome while the stream is open, and as the span says once its end is written."""
    stream, _ = being_read()
    is_open = stream.facts()
    stream.signal("exhausted")
    has_ended = stream.facts()

    assert (is_open[0].outcome, is_open[1]) == (None, False)
    assert (has_ended[0].outcome, has_ended[1]) == ("truncated", True)


# --- other threads while it is read --------------------------------------------------------------------------------


class AsksAtTheStart(SpanProcessor):
    """As a metric reader that collects in another thread just then."""

    def __init__(self) -> None:
        self.labels: list[object] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.labels += [stream.labels for stream in runtime.open_streams()]


def test_a_stream_is_open_only_once_it_is_whole() -> None:
    """The gauges may ask for all open streams at any time, also while the span of a new one starts."""
    asks = AsksAtTheStart()
    stream, _ = observed(asks)

    assert asks.labels == []
    assert runtime.open_streams() == [stream]


def test_no_thread_sees_a_char_twice() -> None:
    """Another thread that asks in the middle of a delta of another kind is told what was there before it or after."""
    stream, _ = being_read()
    reader = Reader(stream.state)
    reader.chunk("text", 0, "", 0.0, stream.state.started_at + 3)
    reader.chunk("text", 0, " again", 0.0, stream.state.started_at + 3)
    stream.incoming = reader
    seen: list[int] = []

    def ask() -> None:
        seen.append(sum(stream.facts()[0].chars.values()))

    threads: list[Thread] = []

    def at_each_call(*_: object) -> None:
        threads.append(Thread(target=ask))
        threads[-1].start()
        threads[-1].join(0.01)

    at = stream.state.started_at + 3
    sys.setprofile(at_each_call)
    stream.take(lambda state: state.delta("thinking", 0, "to the world", at), at)
    sys.setprofile(None)
    for thread in threads:
        thread.join()
    stream.signal("closed")

    assert set(seen) == {11, 23}
    assert len(seen) > 10


# --- failures of ours ----------------------------------------------------------------------------------------------


class Fails(Reader):
    def hand_over(self, state: StreamState) -> tuple[()]:
        raise LookupError


@pytest.mark.usefixtures("failures_are_contained")
def test_a_stream_whose_observation_fails_is_left_alone() -> None:
    """After three failures its span ends, without an outcome; the reader sees nothing of it."""
    stream, exporter = being_read()

    def fails(_: StreamState) -> tuple[()]:
        raise LookupError

    stream.take(fails, stream.state.started_at)
    stream.take(fails, stream.state.started_at)
    after_two = exporter.get_finished_spans()
    stream.take(fails, stream.state.started_at)

    assert after_two == ()
    assert [attribute(span, "observed") for span in exporter.get_finished_spans()] == [False]
    assert guard.failures == {"observe": 3}


@pytest.mark.usefixtures("failures_are_contained")
def test_a_span_ends_although_its_end_cannot_be_told() -> None:
    """Whatever fails while the end is put together, the span ends, once, and the stream is no longer held."""
    stream, exporter = being_read()
    stream.incoming = Fails(stream.state)
    stream.signal("exhausted")
    stream.write()

    assert len(exporter.get_finished_spans()) == 1
    assert stream.incoming is None
    assert guard.failures.total() == 1


# --- events --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_events", "expected", "dropped"),
    [
        (100, ["first_token", *["content_block", "tool_call"] * 6, "abort"], None),
        (18, ["first_token", *["content_block", "tool_call"] * 6, "abort"], None),
        (16, ["first_token", *["content_block", "tool_call"] * 5, "abort"], 2),
        (8, ["first_token", *["content_block", "tool_call"], "abort"], 10),
        (6, ["first_token", "abort"], 12),
        (2, ["first_token", "abort"], 12),
        (1, ["first_token"], 13),
        (0, [], 14),
    ],
)
def test_the_events_stay_under_their_cap(max_events: int, expected: list[str], dropped: int | None) -> None:
    """Blocks and tool calls leave the last places to what matters most; what is left out is counted."""
    stream, exporter = observed(max_events=max_events)
    read(stream, 1)
    at = stream.state.started_at
    for index in range(6):
        for step in (
            ("block_started", BlockStart(index, "call", "tool_call"), at),
            ("delta", "tool_input", index, "{}", at),
            ("block_stopped", index, at),
        ):
            stream.take(partial(done, step=step), at)

    stream.signal("closed")
    runtime.finish_ends()

    [span] = exporter.get_finished_spans()
    assert event_names([span]) == expected
    assert attribute(span, "events_dropped") == dropped
