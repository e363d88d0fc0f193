"""Loops in the content of a stream: one detector for each block, told with offsets and counts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.model import DeltaKind, Ending, Loop, Summary
from streamspan.core.stream import LoopSearch, StreamState
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
BLOCK_TYPES: dict[DeltaKind, str] = {"text": "text", "thinking": "thinking", "tool_input": "tool_use"}


def streamed(
    *contents: str, kind: DeltaKind = "text", loops: LoopSearch = "exact", size: int = 15, together: bool = False
) -> tuple[list[Loop], Summary]:
    """The loops told, and the summary of a stream with a block for each content. Chunks come 0.1 s apart."""
    state = StreamState(0.0, loops=loops)
    state.opened(0.0)
    reader = Reader(state)
    now = 1.0
    told: list[Any] = []
    for index, content in enumerate(contents):
        told += state.block_started(index, BLOCK_TYPES[kind], now)
        for start in range(0, len(content), size):
            since, now = now, now + 1 / CHUNKS_PER_SECOND
            told += reader.chunk(kind, index, content[start : start + size], now if together else since, now)
        told += state.block_stopped(index, now)
    summary = state.ended(Ending("message_stop", now))
    return [fact for fact in (*told, *summary.at_the_end) if isinstance(fact, Loop)], summary


@pytest.mark.parametrize("kind", BLOCK_TYPES)
@pytest.mark.parametrize("together", [False, True])
def test_a_loop_is_told_once_and_summed_up_at_the_end(kind: DeltaKind, together: bool) -> None:
    """Told when it is one, with what is known then; the summary has the final count, chars and time."""
    [told], summary = streamed(LEAD + SENTENCES * 10, kind=kind, together=together)
    period = len(SENTENCES)

    assert (told.channel, told.kind, told.start, told.period) == (kind, "exact", len(LEAD), period)
    assert 3 <= told.count < 5
    assert summary.loop is not None
    assert (summary.loop.start, summary.loop.period, summary.loop.count) == (len(LEAD), period, 10)
    assert (summary.loop.chars, summary.loop.recovered) == (10 * period, False)
    # Of chunks that are taken together, one time is known for all.
    assert summary.loop.time == pytest.approx(10 * period / 15 / CHUNKS_PER_SECOND, abs=6.5 if together else 0.9)
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
    """It is told with the end of its block."""
    [told], summary = streamed("Yes. " * 33, size=200)

    assert (told.period, summary.loop is not None) == (5, True)


def test_the_end_cuts_a_loop() -> None:
    """A stream that is left in a loop has it in its summary."""
    state = StreamState(0.0, loops="exact")
    state.opened(0.0)
    state.block_started(0, "text", 1.0)
    for n in range(300):
        state.delta("text", 0, "and again and again ", 1.0 + n)

    summary = state.ended(Ending("reader_left", 400.0, "closed"))

    assert summary.loop is not None
    assert (summary.loop.chars, summary.loop.time) == (6000, pytest.approx(299.0, abs=17))


@pytest.mark.parametrize(("loops", "kinds"), [("off", []), ("exact", []), ("drift", ["drift"])])
def test_drift_is_looked_for_where_asked(loops: LoopSearch, kinds: list[str]) -> None:
    """A counter in each copy makes it no exact loop; `looks_for_loops` says whether any was looked for."""
    counting = "".join(f"Attempt {n}: the build fails because the linker cannot find the library.\n" for n in range(30))

    told, summary = streamed(counting, loops=loops)

    assert [loop.kind for loop in told] == kinds
    assert summary.looks_for_loops == (loops != "off")


@given(st.integers(1, 400), st.booleans())
def test_the_cuts_do_not_change_the_verdict(size: int, together: bool) -> None:
    """However the text is cut, and however its chunks come, the loop starts where it starts."""
    [told], summary = streamed(LEAD + SENTENCES * 8, size=size, together=together)
    assert summary.loop is not None

    assert (told.start, told.period) == (len(LEAD), len(SENTENCES))
    assert summary.loop.chars == 8 * len(SENTENCES)


def test_few_blocks_are_watched_at_once() -> None:
    """A stream that writes into many open blocks at once does not get a detector for each."""
    state = StreamState(0.0, loops="exact")
    state.opened(0.0)
    for index in range(60):
        state.block_started(index, "text", 1.0)
        state.delta("text", index, "x", 1.0)

    assert sum(block.is_watched for block in state._open_blocks.values()) == 2


def test_a_take_inside_a_take_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that interrupts a take, from another thread or a signal, does not feed the detector a second time."""
    state = StreamState(0.0, loops="exact")
    state.opened(0.0)
    state.block_started(0, "text", 1.0)
    summaries: list[Summary] = []

    def interrupted(*_: object) -> None:
        summaries.append(state.ended(Ending("reader_left", 2.0, "closed")))

    state.delta("text", 0, "first ", 1.0)
    block = state._open_blocks[0]
    assert block._watch is not None
    monkeypatch.setattr("streamspan.core.blocks.RepetitionDetector.feed", interrupted)
    state.delta("text", 0, "second", 1.6)

    assert [summary.chars["text"] for summary in summaries] == [12]


def test_what_is_no_text_is_left_out() -> None:
    """A server may send anything where its API says text, and nobody looks at what is put aside until it is taken."""
    state = StreamState(0.0, loops="exact")
    state.opened(0.0)
    state.block_started(0, "text", 1.0)
    state.delta("text", 0, "first ", 1.0)
    state.aside.append(["no text"])  # type: ignore[arg-type]
    so_far = state.so_far(1.0)
    state.delta("text", 0, "second", 1.0)

    summary = state.ended(Ending("message_stop", 1.0))

    assert (so_far.chunk_count, so_far.chars["text"]) == (1, 6)
    assert (summary.chunk_count, summary.chars["text"]) == (2, 12)


def test_a_silence_behind_a_loop_is_no_time_of_it() -> None:
    """The loop lasts to its last chunk, however late its block stops."""
    state = StreamState(0.0, loops="exact")
    state.opened(0.0)
    state.block_started(0, "text", 1.0)
    for n in range(300):
        state.delta("text", 0, "and again and again ", 1.0 + n / 100)
    state.block_stopped(0, 60.0)

    summary = state.ended(Ending("message_stop", 60.0))

    assert summary.loop is not None
    assert summary.loop.time == pytest.approx(2.99, abs=0.17)
