"""Loops in the content of a stream: one detector for each channel, told with offsets and counts."""

import sys
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


@pytest.mark.parametrize("kind", ["text", "thinking"])
def test_a_loop_over_many_blocks(kind: DeltaKind) -> None:
    """A sentence that comes again block after block is one loop of its channel, from the first of them on."""
    [told], summary = streamed(LEAD, *[SENTENCES] * 20, kind=kind)

    assert (told.channel, told.kind, told.start, told.period) == (kind, "exact", len(LEAD), len(SENTENCES))
    assert told.count == 3
    assert summary.loop is not None
    assert (summary.loop.start, summary.loop.count, summary.loop.recovered) == (len(LEAD), 20, False)


def test_three_blocks_are_no_loop() -> None:
    """As three copies in one block are none."""
    assert streamed(SENTENCES, SENTENCES, SENTENCES, OTHER)[0] == []


def test_other_channels_between_the_blocks_do_not_hide_a_loop() -> None:
    """The same sentences before each of many tool calls, which differ, are a loop of the text."""
    state = StreamState(0.0, loops="exact")
    facts: list[Report] = []
    for index in range(0, 40, 2):
        facts += state.block_started(block(index), 1.0)
        facts += state.delta("text", index, SENTENCES, 1.0)
        facts += state.block_stopped(index, 1.0)
        facts += state.block_started(block(index + 1, "tool_input"), 1.0)
        facts += state.delta("tool_input", index + 1, f'{{"page":{index}}}', 1.0)
        facts += state.block_stopped(index + 1, 1.0)
    loops = [fact for fact in facts if isinstance(fact, Loop)]

    assert [(loop.channel, loop.kind, loop.start, loop.count) for loop in loops] == [("text", "exact", 0, 3)]


def test_a_loop_after_the_one_that_a_block_ended_with() -> None:
    """It is told of, too; the first is summed up."""
    told, summary = streamed(SENTENCES * 6, LEAD + OTHER + LEAD, "Yes. " * 94)

    assert [loop.channel for loop in told] == ["text", "text"]
    assert told[0].start == 0
    assert told[1].period == len("Yes. ")
    assert summary.loop is not None
    assert (summary.loop.count, summary.loop.recovered) == (6, True)


def test_a_loop_that_begins_in_the_block_after_another() -> None:
    """The text has to leave the first before the second is looked for."""
    told, _ = streamed(SENTENCES * 6, OTHER + LEAD + "Yes. " * 94)

    assert [loop.period for loop in told] == [len(SENTENCES), len("Yes. ")]


def test_a_block_beside_another_is_watched_on_its_own() -> None:
    """Two blocks of text that are open at once and take turns to say the same are no loop, nor part of one later."""
    state = StreamState(0.0, loops="exact")
    for index in (0, 1):
        state.block_started(block(index), 1.0)
    facts: list[Report] = []
    for _ in range(2):
        for index in (0, 1):
            facts += state.delta("text", index, SENTENCES, 1.0)
    for index in (0, 1):
        facts += state.block_stopped(index, 1.0)
    facts += state.block_started(block(2), 1.0)
    facts += state.delta("text", 2, SENTENCES * 2, 1.0)
    facts += state.block_stopped(2, 1.0)

    assert [fact for fact in facts if isinstance(fact, Loop)] == []


def test_blocks_that_end_in_the_middle_of_a_step_change_no_verdict() -> None:
    """A loop is found wherever blocks cut it."""
    pieces = [(SENTENCES * 12)[start : start + 37] for start in range(0, 12 * len(SENTENCES), 37)]
    [told], summary = streamed(LEAD, *pieces)

    assert (told.start, told.period) == (len(LEAD), len(SENTENCES))
    assert summary.loop is not None
    assert summary.loop.count == 12


@pytest.mark.parametrize("content", ["Yes. " * 31 + "Y", LEAD + "_S_S_S_SIZE_S_S_S_S" * 19], ids=["words", "signs"])
@pytest.mark.parametrize("size", [1, 20, 50, 119])
def test_a_loop_in_small_blocks(content: str, size: int) -> None:
    """It is told once, at the end of the stream at the latest, though not every end of a block is looked at."""
    told, summary = streamed(*[content[start : start + size] for start in range(0, len(content), size)])

    assert len(told) == 1
    assert summary.loop is not None
    assert summary.loop.start == told[0].start


def test_a_channel_that_rests_holds_little() -> None:
    """While another channel is watched, the window of the first is cut, and it still finds its loop."""
    state = StreamState(0.0, loops="exact")
    state.block_started(block(0), 1.0)
    for number in range(2000):
        state.delta("text", 0, f"\U0001f600 {number * number}, ", 1.0)
    state.block_stopped(0, 1.0)
    state.block_started(block(1, "thinking"), 1.0)
    state.delta("thinking", 1, "x", 1.0)
    detector = state._blocks._watches["text"]._detector
    held = sys.getsizeof(detector._text)
    state.block_stopped(1, 1.0)
    state.block_started(block(2), 1.0)
    loops = [fact for _ in range(5) for fact in state.delta("text", 2, SENTENCES, 1.0) if isinstance(fact, Loop)]

    assert held < 5 * 1024
    assert [loop.period for loop in loops] == [len(SENTENCES)]


# --- tool calls ----------------------------------------------------------------------------------------------------


def called(
    *calls: tuple[str | None, str], loops: LoopSearch = "exact", stops: bool = True
) -> tuple[list[Loop], Summary]:
    """The loops told, and the summary of a stream that makes these calls, each in 0.5 s and in two chunks."""
    state = StreamState(0.0, loops=loops)
    state.opened(0.0)
    facts: list[Report] = []
    for index, (name, text) in enumerate(calls):
        at = float(index)
        facts += state.block_started(BlockStart(index, "tool_use", "tool_call", name, f"id {index}"), at)
        facts += state.delta("tool_input", index, text[:3], at + 0.1)
        facts += state.delta("tool_input", index, text[3:], at + 0.4)
        facts += state.block_stopped(index, at + 0.5) if stops else ()
    summary = state.ended(Ending("complete", float(len(calls))))
    return [fact for fact in (*facts, *summary.at_the_end) if isinstance(fact, Loop)], summary


def test_the_same_tool_call_again_and_again() -> None:
    """Told once, at the fifth; the summary counts them all."""
    input_text = '{"q":"Bern"}'
    [told], summary = called(("other", '{"a":1}'), *[("search", input_text)] * 25)
    size = len(input_text)

    assert told == Loop("tool_input", "tool_call", 7, size, 5, 5 * size, 4.5, recovered=False)
    assert summary.loop == Loop("tool_input", "tool_call", 7, size, 25, 25 * size, 24.5, recovered=False)


def test_other_calls_between_equal_ones() -> None:
    """They do not hide the loop; one after it says that the stream has left it."""
    calls = [call for page in range(5) for call in (("search", '{"q":"Bern"}'), ("open", f'{{"page":{page}}}'))]
    [told], summary = called(*calls)

    assert told.count == 5
    assert summary.loop is not None
    assert (summary.loop.count, summary.loop.recovered) == (5, True)


@pytest.mark.parametrize("text", ["", "{}"])
def test_a_call_without_input_may_come_more_often(text: str) -> None:
    """It may ask how far something has come."""
    assert called(*[("status", text)] * 9)[0] == []
    assert [loop.count for loop in called(*[("status", text)] * 10)[0]] == [10]


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([("search", '{"q":"Bern"}')] * 4, id="four"),
        pytest.param([("search", f'{{"q":{number}}}') for number in range(100, 200)], id="other inputs"),
        pytest.param([(f"search_{number}", '{"q":1}') for number in range(100)], id="other names"),
        pytest.param([("search", f'{{"q":{number % 70}}}') for number in range(400)], id="too many kinds to remember"),
    ],
)
def test_calls_that_differ_are_no_loop(calls: list[tuple[str | None, str]]) -> None:
    """Name and input must be equal, and it takes five."""
    told, summary = called(*calls)

    assert (told, summary.loop) == ([], None)


def test_calls_that_were_cut_are_not_counted() -> None:
    """What they would have said is not known."""
    assert called(*[("search", '{"q":"Be')] * 20, stops=False)[0] == []


def test_tool_calls_are_not_compared_where_no_loops_are_looked_for() -> None:
    """`repetition` is `off`."""
    assert called(*[("search", '{"q":"Bern"}')] * 20, loops="off")[0] == []


def test_the_first_loop_counts() -> None:
    """Of a loop of calls and one of text, in either order, the summary has the one that was told first."""
    state = StreamState(0.0, loops="exact")
    for index in range(6):
        state.block_started(BlockStart(index, "tool_use", "tool_call", "search"), 1.0)
        state.delta("tool_input", index, '{"q":"Bern"}', 1.0)
        state.block_stopped(index, 1.0)
    state.block_started(block(6), 2.0)
    state.delta("text", 6, SENTENCES * 9, 2.0)
    summary = state.ended(Ending("complete", 3.0))

    assert summary.loop is not None
    assert summary.loop.kind == "tool_call"


def test_names_and_inputs_of_any_size_hold_little() -> None:
    """A name of a megabyte, one that is missing, and lone surrogates."""
    state = StreamState(0.0, loops="exact")
    for index in range(200):
        state.block_started(BlockStart(index, "tool_use", "tool_call", f"{index}" + "n" * 1_000_000), 1.0)
        state.delta("tool_input", index, '"\ud800' + "x" * 1000, 1.0)
        state.block_stopped(index, 1.0)
    equal = state._blocks._tool_call_loop

    assert equal is not None
    assert len(equal._kinds) == 32
    assert max(equal._kinds).bit_length() < 64
    assert [loop.count for loop in called(*[(None, '{"q":"\ud800"}')] * 5)[0]] == [5]


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
    return [index for index, open_block in state._blocks._open.items() if open_block.watch is not None]


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
    watch = state._blocks._open[0].watch

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
