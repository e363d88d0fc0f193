"""Whether an asyncio loop was blocked, on real loops. A block's length is a lower bound: the machine may be slower."""

import asyncio
import contextvars
import gc
import time
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from math import inf
from time import perf_counter

import pytest

from streamspan import event_loop, guard
from streamspan.event_loop import INTERVAL, EventLoopWatch, watched

BLOCK = 0.4
SEEN = BLOCK - INTERVAL - 0.01  # of it, at the least: it may begin just after the timer was set
VARIABLE: ContextVar[object] = ContextVar("variable", default=None)


class Stream:
    """What the watch knows of a stream."""

    def __init__(self) -> None:
        self.is_live = True
        self.asked = 0
        self.variable: object = None

    def tell_of_silence(self) -> None:
        self.asked += 1
        self.variable = VARIABLE.get()


class Value:
    """Something of the application's."""


def sleep() -> None:
    time.sleep(BLOCK)


def compute() -> None:
    until = perf_counter() + BLOCK
    while perf_counter() < until:
        sum(range(1000))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for happens in a timer
        await asyncio.sleep(0.005)


def watch_of(stream: Stream) -> EventLoopWatch:
    watch = watched(stream)
    assert watch is not None
    return watch


@pytest.mark.parametrize("block", [sleep, compute])
def test_a_loop_that_another_task_blocks(block: Callable[[], None]) -> None:
    """The time for which nothing else ran on it, but for the part before the timer was due."""

    async def blocks() -> None:
        block()

    async def main() -> tuple[float, float]:
        stream = Stream()
        watch, since = watch_of(stream), perf_counter()
        await asyncio.create_task(blocks())
        await until(lambda: stream.asked > 0)
        now = perf_counter()
        return watch.blocked_time(since, now), now - since

    blocked, waited = asyncio.run(main())

    assert SEEN <= blocked <= waited


def test_a_block_that_the_timer_has_not_seen_yet() -> None:
    """The reader may get the control before the timer does."""

    async def main() -> tuple[float, float, float]:
        stream = Stream()
        watch, since = watch_of(stream), perf_counter()
        sleep()
        now = perf_counter()
        return watch.blocked_time(since, now), watch.blocked_time(now - 0.01, now), now - since

    blocked, at_the_end, waited = asyncio.run(main())

    assert SEEN <= blocked <= waited
    assert at_the_end == pytest.approx(0.01)


def test_a_block_counts_in_the_interval_only() -> None:
    """What was before the read began is none of its time."""

    async def main() -> float:
        stream = Stream()
        before, watch = perf_counter(), watch_of(stream)
        sleep()
        await until(lambda: stream.asked > 0)
        return watch.blocked_time(before - 5.0, before)

    assert asyncio.run(main()) == 0.0


def test_one_timer_for_all_streams_of_a_loop() -> None:
    """They share the watch, and a second stream starts nothing."""

    async def main() -> tuple[bool, bool]:
        streams = [Stream(), Stream()]
        first = watch_of(streams[0])
        due_at = first._due_at
        second = watch_of(streams[1])
        return first is second, second._due_at == due_at

    assert asyncio.run(main()) == (True, True)


def test_the_timer_stops_with_the_last_stream() -> None:
    """And starts again with the next."""

    async def main() -> tuple[float, int, float]:
        streams = [Stream(), Stream()]
        watch = watch_of(streams[0])
        watch_of(streams[1])
        watch.remove(streams[0])
        await until(lambda: streams[1].asked > 1)
        watch.remove(streams[1])
        await until(lambda: watch._due_at == inf)
        stopped_at = watch._due_at
        watch_of(streams[0])
        return stopped_at, streams[0].asked, watch._due_at

    stopped_at, asked, due_at = asyncio.run(main())

    assert (stopped_at, asked, due_at < inf) == (inf, 0, True)


def test_the_watch_keeps_nothing_alive() -> None:
    """Neither a loop that has ended, though its stream is still open, nor a stream that nobody holds."""
    stream, loops, streams = Stream(), list[weakref.ref[object]](), list[weakref.ref[object]]()

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        watch_of(stream)
        dropped = Stream()
        watch_of(dropped)
        streams.append(weakref.ref(dropped))

    asyncio.run(main())
    gc.collect()

    assert [loop() for loop in loops + streams] == [None, None]


def test_the_context_of_the_application_is_not_kept() -> None:
    """The timer runs in one of its own: nothing that the application has set is held by it, or seen in it."""

    async def main() -> tuple[object, object]:
        stream, value = Stream(), Value()
        gone = weakref.ref(value)
        context = contextvars.copy_context()
        context.run(VARIABLE.set, value)
        context.run(watched, stream)
        del context, value
        is_kept = gone()
        await until(lambda: stream.asked > 0)
        return is_kept, stream.variable

    assert asyncio.run(main()) == (None, None)


def test_a_stream_that_has_ended_keeps_no_timer() -> None:
    """However long the application still holds it."""

    async def main() -> int:
        stream, other = Stream(), Stream()
        watch = watch_of(stream)
        watch_of(other)
        stream.is_live = False
        await until(lambda: other.asked > 1)
        watch.remove(other)
        await until(lambda: watch._due_at == inf)
        return stream.asked

    assert asyncio.run(main()) == 0


class OddLoop(asyncio.SelectorEventLoop):
    """Does not say whether it runs, once it is asked to keep that to itself."""

    is_silent = False

    def is_running(self) -> bool:
        if self.is_silent:
            raise NotImplementedError
        return super().is_running()


def test_a_loop_that_does_not_say_whether_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as one that does not: nothing is raised, as the reader of a stream would get it."""
    monkeypatch.setattr(guard, "reraises", False)
    loop = OddLoop()

    async def main() -> float:
        watch, since = watch_of(Stream()), perf_counter()
        sleep()
        loop.is_silent = True
        blocked = watch.blocked_time(since, perf_counter())
        loop.is_silent = False
        return blocked

    blocked = loop.run_until_complete(main())
    loop.close()

    assert blocked == 0.0


def test_a_loop_that_is_stopped_and_resumed() -> None:
    """A wait that goes on while nobody runs the loop is the application's. The timer goes on with the loop."""
    stream = Stream()
    loop = asyncio.new_event_loop()

    async def begin() -> EventLoopWatch:
        return watch_of(stream)

    since = perf_counter()
    watch = loop.run_until_complete(begin())
    sleep()
    loop.run_until_complete(until(lambda: stream.asked > 1))
    blocked = watch.blocked_time(since, perf_counter())
    loop.close()

    assert blocked >= SEEN


def test_without_a_loop_there_is_no_watch() -> None:
    """A thread has none."""
    before = len(event_loop._watches)

    assert (watched(Stream()), len(event_loop._watches)) == (None, before)
