"""Who is blamed for a wait: each row of the table in docs/pace.md, played on a fake clock.

A world says when each chunk reaches the machine, when code that does not give way runs there, and what the reader does
between two reads. The event loop's timer is the real one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan import event_loop
from streamspan.core.model import BlockStart, Ending, Report, Stall, Summary
from streamspan.core.stream import StreamState
from streamspan.event_loop import EventLoopWatch
from tests.core.reading import Reader, never

PAGE = Path(__file__).parents[2] / "docs" / "pace.md"
STALL_SECONDS = 2.5
DECODING = 0.00001  # seconds for which a reader "waits" for what is there already
CLUMP = 65  # chunks

Times = Sequence[float]
Interval = tuple[float, float]
Said = Literal["provider", "transit", "event_loop", "reader"]


@dataclass(frozen=True, slots=True)
class World:
    """What happens to one stream; the times are seconds from the call.

    chunks      when each reaches the machine
    keepalives  when each does
    busy        for how long the reader does something else after each chunk
    busy_once   the same, after the chunks with these numbers
    stands      intervals in which no code of the reader can run, because other code does not give way
    in_loop     the reader is a task on an asyncio loop, and its loop is watched
    ends_at     the read is given up then, if it is not over
    """

    chunks: Times
    keepalives: Times = ()
    busy: float = 0.0
    busy_once: Mapping[int, float] = field(default_factory=dict[int, float])
    stands: Sequence[Interval] = ()
    in_loop: bool = True
    ends_at: float = inf


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Loop:
    """An event loop that has nothing but the timer of the watch."""

    def __init__(self, clock: Clock, stands: Sequence[Interval]) -> None:
        self._clock = clock
        self._stands = stands
        self._due_at = inf
        self._tick: Callable[[], object] = dict

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any, context: object) -> None:
        del context
        self._due_at = self._clock.now + delay
        self._tick = lambda: callback(*arguments)

    def is_running(self) -> bool:
        return True

    def runs(self, since: float, until: float) -> None:
        """It has had the control from then on, wherever nothing stands in its way."""
        while (fires_at := free(max(self._due_at, since), self._stands)) <= until:
            self._clock.now = fires_at
            self._tick()
        self._clock.now = until


def free(at: float, stands: Sequence[Interval]) -> float:
    """When code can run that is to run at this time."""
    return next((end for start, end in stands if start <= at < end), at)


class Stream:
    is_live = True

    def tell_of_silence(self) -> None:
        """Nobody asks."""


def told(world: World) -> tuple[Summary, list[Stall]]:
    """The summary and the stalls."""
    clock, stream = Clock(), Stream()
    loop, watch = Loop(clock, world.stands), EventLoopWatch()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(event_loop, "perf_counter", clock)
        watch.add(stream, loop)  # pyright: ignore[reportArgumentType]  # as much of a loop as the watch needs
        state = StreamState(0.0, stall_seconds=STALL_SECONDS)
        reader = Reader(state, STALL_SECONDS, watch.blocked_time if world.in_loop else never)
        facts = played(world, reader, clock, loop)
        is_cut = world.ends_at < inf
        since, at = clock.now, world.ends_at if is_cut else clock.now
        loop.runs(since, at)
        summary = reader.ended(Ending("error" if is_cut else "complete", at), since if is_cut else None)
    return summary, [fact for fact in (*facts, *summary.at_the_end) if isinstance(fact, Stall)]


def played(world: World, reader: Reader, clock: Clock, loop: Loop) -> list[Report]:
    reader.state.opened(0.0)
    facts: list[Report] = [*reader.state.block_started(BlockStart(0, "text", "text"), 0.0)]
    for number, arrives_at in enumerate(world.chunks):
        since = clock.now
        reader.waiting_since = since
        if arrives_at > since:
            at = free(arrives_at, world.stands)
            loop.runs(since, at)
        else:
            clock.now = at = since + DECODING
        for keepalive_at in world.keepalives:
            if since < keepalive_at <= at:
                reader.kept_alive()
        facts += reader.chunk("text", 0, "word ", at - since, at)
        clock.now += world.busy + world.busy_once.get(number, 0.0)
    for keepalive_at in world.keepalives:
        if clock.now < keepalive_at:
            reader.kept_alive()
    return facts


# --- the cases -----------------------------------------------------------------------------------------------------

PACES = st.floats(0.01, 0.03)
BOTH = st.booleans()
SILENCES = st.floats(3.0, 60.0)
QUICK = st.floats(0.0, 0.0007)  # seconds for each chunk


def written(count: int, pace: float, since: float = 0.2) -> list[float]:
    """By a model, evenly."""
    return [since + number * pace for number in range(count)]


def delayed(chunks: Times, interval: Interval) -> list[float]:
    """What would have come in the interval comes at its end."""
    return [free(at, [interval]) for at in chunks]


@st.composite
def silent_model(draw: st.DrawFn, *, keeps_alive: bool) -> World:
    pace, silence = draw(PACES), draw(SILENCES)
    before = written(30, pace)
    since = before[-1]
    keepalives = [since + silence * part for part in (0.2, 0.5, 0.9)] if keeps_alive else []
    return World([*before, *written(30, pace, since + silence)], keepalives, in_loop=draw(BOTH))


@st.composite
def dead_line(draw: st.DrawFn) -> World:
    chunks = written(30, draw(PACES))
    return World(chunks, ends_at=chunks[-1] + draw(SILENCES), in_loop=draw(BOTH))


@st.composite
def gateway(draw: st.DrawFn, seconds: float, busy: st.SearchStrategy[float] = QUICK) -> World:
    """It lets 65 chunks go at a time."""
    clumps = draw(st.integers(3, 8))
    chunks = [number * seconds for number in range(1, clumps + 1) for _ in range(CLUMP)]
    return World(chunks, busy=draw(busy), in_loop=draw(BOTH))


@st.composite
def stalled_line(draw: st.DrawFn) -> World:
    chunks, start = written(1000, draw(st.floats(0.01, 0.02))), draw(st.floats(0.5, 1.5))
    end = start + draw(st.floats(3.0, 6.0))
    return World([at for at in delayed(chunks, (start, end)) if at < end + 0.5], busy=0.0001, in_loop=draw(BOTH))


@st.composite
def standing(draw: st.DrawFn, *, in_loop: bool) -> World:
    """Other code runs for 3 s while the model writes on. What has come meanwhile is there at its end."""
    start = draw(st.floats(0.3, 1.0))
    pace = draw(PACES)
    chunks = written(int((start + 3.0) / pace), pace)
    return World(chunks, stands=[(start, start + 3.0)], busy=0.0001, in_loop=in_loop)


@st.composite
def busy_once(draw: st.DrawFn, in_loop: st.SearchStrategy[bool]) -> World:
    return World(written(60, draw(PACES)), busy_once={draw(st.integers(5, 20)): 3.0}, in_loop=draw(in_loop))


@st.composite
def slow_reader(draw: st.DrawFn) -> World:
    return World(written(60, 0.01), busy=draw(st.floats(0.05, 0.5)), in_loop=draw(BOTH))


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the table.

    stall      what each stall event of such a stream says, by attribute; empty: there is none
    attribute  of the span: the longest of the times
    """

    what: str
    worlds: st.SearchStrategy[World]
    said: Said
    attribute: str
    why: str
    stall: Mapping[str, str] = field(default_factory=dict[str, str])


def stall(waited_for: str, keepalives: str, released: str) -> Mapping[str, str]:
    return {"waited_for": waited_for, "keepalives": keepalives, "released": released}


FEW, MANY, SOME = "1 to 19", "20 or more", "1 or more"
LOOP_STALL = stall("event_loop", "0", "0")

CASES = [
    Case(
        "the model is silent, and keep-alives come",
        silent_model(keeps_alive=True),
        "provider",
        "provider.time",
        "The line lives, and the model goes on with one chunk after the other.",
        stall("provider", SOME, FEW),
    ),
    Case(
        "the model is silent, and nothing comes",
        silent_model(keeps_alive=False),
        "provider",
        "provider.time",
        "Nothing had been held back, so it was the model, or a line that was dead while the model was silent.",
        stall("provider", "0", FEW),
    ),
    Case(
        "the line is dead until the read times out",
        dead_line(),
        "provider",
        "provider.time",
        "This cannot be known: no byte comes of a dead line, nor of a silent model without keep-alives.",
        stall("provider", "0", "0"),
    ),
    Case(
        "a gateway lets 65 chunks go every 16 s",
        gateway(16.0),
        "transit",
        "transit.time",
        "No model writes 20 chunks at once. `llm_stream.buffered` is true as well.",
        stall("transit", "0", MANY),
    ),
    Case(
        "a gateway lets 65 chunks go every 2 s",
        gateway(2.0),
        "transit",
        "transit.time",
        "The same. Each wait is shorter than `stall_seconds`, so there is no event.",
    ),
    Case(
        "the line stalls for seconds, and all that was written meanwhile comes at once",
        stalled_line(),
        "transit",
        "transit.time",
        "The same, for one wait.",
        stall("transit", "0", MANY),
    ),
    Case(
        "another task blocks the event loop for 3 s, by computing or by `time.sleep(3)`",
        standing(in_loop=True),
        "event_loop",
        "event_loop.blocked_time",
        "A timer on the loop was late. Up to 0.1 s at the beginning of the block is taken for the provider's.",
        LOOP_STALL,
    ),
    Case(
        "a thread holds the GIL for 3 s while a task reads",
        standing(in_loop=True),
        "event_loop",
        "event_loop.blocked_time",
        "The loop could not run. Which thread was the cause is not known.",
        LOOP_STALL,
    ),
    Case(
        "a thread holds the GIL for 3 s while another thread reads",
        standing(in_loop=False),
        "transit",
        "transit.time",
        "This cannot be known: a thread has no timer, and all that came meanwhile is there at once. Where fewer than "
        "20 chunks came, it is the provider.",
        stall("transit", "0", MANY),
    ),
    Case(
        "the event loop is blocked, and it is none of asyncio's, or `watch_event_loop` is false",
        standing(in_loop=False),
        "transit",
        "transit.time",
        "The same: nothing measures the loop.",
        stall("transit", "0", MANY),
    ),
    Case(
        "the task that reads blocks its loop for 3 s between two reads",
        busy_once(st.just(True)),
        "reader",
        "consumer.time",
        "It waits for nobody then.",
    ),
    Case(
        "the thread that reads is busy for 3 s between two reads",
        busy_once(st.just(False)),
        "reader",
        "consumer.time",
        "It waits for nobody then.",
    ),
    Case(
        "the reader takes longer for each chunk than the model",
        slow_reader(),
        "reader",
        "consumer.time",
        "The next chunk is there when it asks for it.",
    ),
    Case(
        "a reader that takes 10 to 50 ms for a chunk, and a gateway that lets 65 go every 16 s",
        gateway(16.0, st.floats(0.01, 0.05)),
        "provider",
        "provider.time",
        "This cannot be known: the reader's own time between the chunks hides that they came at once.",
        stall("provider", "0", FEW),
    ),
]

SAID_BY: Mapping[str, Said] = {
    "provider.time": "provider",
    "transit.time": "transit",
    "event_loop.blocked_time": "event_loop",
    "consumer.time": "reader",
}


def longest(summary: Summary) -> str:
    """The name of the longest of the four times."""
    times = {
        "provider.time": summary.pace.provider_time or 0.0,
        "transit.time": summary.pace.transit_time or 0.0,
        "event_loop.blocked_time": summary.blocked_time,
        "consumer.time": summary.pace.consumer_time or 0.0,
    }
    return max(times, key=lambda name: times[name])


def described(stall: Stall) -> Mapping[str, str]:
    """In the words of the table."""
    released = "0" if not stall.released else MANY if stall.released >= 20 else FEW
    return {"waited_for": stall.waited_for, "keepalives": SOME if stall.keepalives else "0", "released": released}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
@given(st.data())
def test_who_is_blamed(case: Case, data: st.DataObject) -> None:
    """The longest of the four times, and each stall, say what the table says."""
    summary, stalls = told(data.draw(case.worlds))

    assert (longest(summary), SAID_BY[case.attribute]) == (case.attribute, case.said)
    assert [described(stall) for stall in stalls] == [case.stall] * len(stalls)
    assert bool(stalls) == bool(case.stall)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
@given(st.data())
def test_every_second_is_somebodys(case: Case, data: st.DataObject) -> None:
    """From the first chunk to the end, the four times add up to the duration."""
    summary, _ = told(data.draw(case.worlds))
    pace = summary.pace
    waited = (pace.provider_time or 0.0) + (pace.transit_time or 0.0) + (pace.consumer_time or 0.0)

    assert waited + summary.blocked_time == pytest.approx(summary.duration - (summary.time_to_first_chunk or 0.0))


@pytest.mark.parametrize("case", [case for case in CASES if case.said != "provider"], ids=lambda case: case.what)
@given(st.data())
def test_only_the_provider_has_stalls_that_count(case: Case, data: st.DataObject) -> None:
    """`llm_stream.stall.count` is 0 where somebody else is blamed."""
    assert told(data.draw(case.worlds))[0].pace.stall_count == 0


def row(case: Case) -> str:
    stall = ", ".join(f"`{name}` {value}" for name, value in case.stall.items())
    return f"| {case.what} | {case.said} | `llm_stream.{case.attribute}` | {stall or 'no event'} | {case.why} |"


def test_the_page_has_the_table() -> None:
    """docs/pace.md says what is tested here, row by row, and nothing else in the table."""
    page = PAGE.read_text(encoding="utf-8")
    _, _, table = page.partition("| what happens | who is blamed |")

    assert table.partition("\n\n")[0].splitlines()[2:] == [row(case) for case in CASES]
