"""Loops in the content of a stream: one detector for each block, told with offsets and counts."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.blocks import LoopSearch
from streamspan.core.model import BlockKind, BlockStart, DeltaKind, Ending, Loop, Report, Summary
from streamspan.core.stream import StreamState
from tests.core.reading import Reader

CHUNKS_PER_SECOND = 10
LEAD = "The tests were green yesterday evening, and nobody has touched the parser since then.\n"
SENTENCES = (
    "I should look at the failing test first. It expects two rows and the query returns three. "
    "So the join must be wrong somewhere, and I will read it again. "
)
OTHER = (
    "Then the reviewer asked for a changelog entry, which took another afternoon to agree upon. Nothing else in the "
    "release was held up by it, and the tag was pushed before supper. On Monday the first report came in: somebody "
    "with an old kernel saw the watcher stop after a rename. "
)
SHORT_LOOP = "Yes. " * 31 + "Y"
BLOCK_KINDS: dict[DeltaKind, BlockKind] = {"text": "text", "thinking": "thinking", "tool_input": "tool_call"}
Arrival = Literal["alone", "after waits", "together"]
"""How the core gets the chunks: one by one, a few at a time because each was waited for, or in whole batches."""
ARRIVALS: list[Arrival] = ["alone", "after waits", "together"]


def block(index: int, kind: DeltaKind = "text") -> BlockStart:
    return BlockStart(index, "a type", BLOCK_KINDS[kind])


def streamed(
    *contents: str, kind: DeltaKind = "text", loops: LoopSearch = "exact", size: int = 15, arrival: Arrival = "alone"
) -> tuple[list[Loop], Summary]:
    """The loops told, and the summary of a stream with a block for each content. Chunks come 0.1 s apart."""
    state = StreamState(0.0, loops=loops)
    state.opened(0.0)
    reader = Reader(state, stall_seconds=0.0 if arrival == "alone" else 5.0)
    gap = 0.0 if arrival == "together" else 1 / CHUNKS_PER_SECOND
    now = 1.0
    facts: list[Report] = []
    for index, content in enumerate(contents):
        facts += (*reader.event(0.0, now), *state.block_started(block(index, kind), now))
        for start in range(0, len(content), size):
            now += 1 / CHUNKS_PER_SECOND
            facts += reader.chunk(kind, index, content[start : start + size], gap, now)
        facts += (*reader.event(0.0, now), *state.block_stopped(index, now))
    summary = reader.ended(Ending("complete", now))
    return [fact for fact in (*facts, *summary.at_the_end) if isinstance(fact, Loop)], summary


def left_open(*chunk_times: float) -> StreamState:
    """A stream that says the same again and again in one block, which has not stopped."""
    state = StreamState(0.0, loops="exact")
    state.opened(0.0)
    state.block_started(block(0), 1.0)
    for at in chunk_times:
        state.delta("text", 0, "and again and again ", at)
    return state


@pytest.mark.parametrize("kind", BLOCK_KINDS)
@pytest.mark.parametrize(("arrival", "inexact_by"), [("alone", 0.2), ("after waits", 0.9), ("together", 6.5)])
def test_a_loop_is_told_once_and_summed_up_at_the_end(kind: DeltaKind, arrival: Arrival, inexact_by: float) -> None:
    """Told when it is one, with what is known then; the summary has the final count, chars and time."""
    [told], summary = streamed(LEAD + SENTENCES * 10, kind=kind, arrival=arrival)
    period = len(SENTENCES)

    assert (told.channel, told.kind, told.start, told.period) == (kind, "exact", len(LEAD), period)
    assert 3 <= told.count < 5
    assert summary.loop is not None
    assert (summary.loop.start, summary.loop.period, summary.loop.count) == (len(LEAD), period, 10)
    assert (summary.loop.chars, summary.loop.recovered) == (10 * period, False)
    # Of chunks that are handed over together, one time is known for all.
    assert summary.loop.time == pytest.approx(10 * period / 15 / CHUNKS_PER_SECOND, abs=inexact_by)
    assert told.time < summary.loop.time


def test_a_text_that_recovers_says_so() -> None:
    """The loop stops growing where the text goes on."""
    _, summary = streamed(LEAD + SENTENCES * 6 + OTHER * 1)
    assert summary.loop is not None
    in_the_loop = 6 * len(SENTENCES) / 15 / CHUNKS_PER_SECOND

    assert (summary.loop.recovered, summary.loop.count) == (True, 6)
    assert summary.loop.time == pytest.approx(in_the_loop, rel=0.2)


def test_the_start_counts_from_the_start_of_the_channel() -> None:
    """The text of earlier blocks is before it."""
    [told], _ = streamed(OTHER, LEAD + SENTENCES * 6)

    assert told.start == len(OTHER) + len(LEAD)


def test_blocks_are_watched_on_their_own() -> None:
    """Three blocks that say the same are no loop; two blocks that loop are told of, and the first is summed up."""
    assert streamed(SENTENCES, SENTENCES, SENTENCES, SENTENCES)[0] == []

    told, summary = streamed(SENTENCES * 6, LEAD + SENTENCES * 9)

    assert [loop.start for loop in told] == [0, 6 * len(SENTENCES) + len(LEAD)]
    assert summary.loop is not None
    assert summary.loop.count == 6


def test_a_loop_that_only_its_last_chars_make_one() -> None:
    """It is told with the end of its block: the detector looks at every 160th char only."""
    [told], summary = streamed(SHORT_LOOP, size=200)

    assert (told.period, told.chars, summary.loop) == (5, 156, told)


@pytest.mark.parametrize("stops", [True, False])
def test_a_loop_that_the_end_of_the_stream_shows(stops: bool) -> None:
    """It is told once: at the stop of its block, or at the end of the stream if that cuts the block."""
    state = StreamState(0.0, loops="exact")
    state.opened(0.0)
    state.block_started(block(0), 1.0)
    state.delta("text", 0, SHORT_LOOP, 2.0)
    at_the_stop = state.block_stopped(0, 3.0) if stops else ()
    summary = state.ended(Ending("complete", 4.0))

    assert [isinstance(fact, Loop) for fact in (*at_the_stop, *summary.at_the_end)] == [True, False]


def test_the_end_cuts_a_loop() -> None:
    """A stream that is left in a loop has it in its summary."""
    summary = left_open(*(1.0 + n for n in range(300))).ended(Ending("closed", 400.0))

    assert summary.loop is not None
    assert (summary.loop.chars, summary.loop.time) == (6000, pytest.approx(299.0, abs=17))


@pytest.mark.parametrize(("loops", "kinds"), [("off", []), ("exact", []), ("drift", ["drift"])])
def test_drift_is_looked_for_where_asked(loops: LoopSearch, kinds: list[str]) -> None:
    """A counter in each copy makes it no exact loop; `looks_for_loops` says whether any was looked for."""
    counting = "".join(f"Attempt {n}: the build fails because the linker cannot find the library.\n" for n in range(30))

    told, summary = streamed(counting, loops=loops)

    assert [loop.kind for loop in told] == kinds
    assert summary.looks_for_loops == (loops != "off")


@given(st.integers(1, 400), st.sampled_from(ARRIVALS))
def test_the_cuts_do_not_change_the_verdict(size: int, arrival: Arrival) -> None:
    """However the text is cut, and however its chunks come, the loop starts where it starts."""
    [told], summary = streamed(LEAD + SENTENCES * 8, size=size, arrival=arrival)
    assert summary.loop is not None

    assert (told.start, told.period) == (len(LEAD), len(SENTENCES))
    assert summary.loop.chars == 8 * len(SENTENCES)


def writing(block_count: int) -> StreamState:
    """A stream that has written into that many blocks, all of them open."""
    state = StreamState(0.0, loops="exact")
    state.opened(0.0)
    for index in range(block_count):
        state.block_started(block(index), 1.0)
        state.delta("text", index, "x", 1.0)
    return state


def watched(state: StreamState) -> list[int]:
    return [index for index, open_block in state._blocks._open.items() if open_block.is_watched]


def test_few_blocks_are_watched_at_once() -> None:
    """A stream that writes into many open blocks at once does not get a detector for each."""
    assert watched(writing(60)) == [0, 1]


def test_a_watched_block_stays_watched() -> None:
    """Also when the kind of its deltas changes: it does not count against itself."""
    state = writing(2)
    state.delta("thinking", 1, "x", 2.0)

    assert watched(state) == [0, 1]


def test_deltas_of_no_block_are_not_watched() -> None:
    """They may belong to any."""
    state = StreamState(0.0, loops="exact")
    state.opened(0.0)
    facts = state.delta("text", 0, "Yes. " * 100, 1.0)

    assert [isinstance(fact, Loop) for fact in facts] == [False]
    assert state.ended(Ending("complete", 2.0)).loop is None


def test_the_marks_of_a_watch_are_bounded() -> None:
    """A text without a loop takes no more memory the longer it is."""
    state = writing(1)
    for n in range(1000):
        state.delta("text", 0, f"{n} ", 2.0 + n)
    watch = state._blocks._open[0]._watch

    assert watch is not None
    assert len(watch._marks) == 2 * 96


def test_a_silence_after_a_loop_is_no_time_of_it() -> None:
    """The loop lasts to its last chunk, however late its block stops."""
    state = left_open(*(1.0 + n / 100 for n in range(300)))
    state.block_stopped(0, 60.0)

    summary = state.ended(Ending("complete", 60.0))

    assert summary.loop is not None
    assert summary.loop.time == pytest.approx(2.99, abs=0.17)


def test_a_delta_of_another_kind_ends_the_search() -> None:
    """A block that turns from text to thinking tells then what its text has come to, and keeps it to the end."""
    state = StreamState(0.0, loops="exact")
    state.opened(0.0)
    state.block_started(block(0), 1.0)
    before = state.delta("text", 0, SHORT_LOOP, 2.0)
    at_the_change = state.delta("thinking", 0, "No.", 3.0)
    at_the_stop = state.block_stopped(0, 4.0)
    summary = state.ended(Ending("complete", 5.0))

    assert [
        [isinstance(fact, Loop) for fact in facts] for facts in (before, at_the_change, at_the_stop, summary.at_the_end)
    ] == [[False], [True], [False], []]
    assert summary.loop is not None
    assert (summary.loop.channel, summary.loop.period) == ("text", 5)
