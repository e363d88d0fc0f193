"""The rules at the head of `core/pacing.py`, on a clock of the test's own."""

import random
from collections.abc import Sequence
from math import ceil, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.model import BlockKind, Ending, Pace, Stall, Usage, Verdict
from tests.core.clocked import CALLED_AT, Clocked, stalls

RELATIVE_ERROR = 0.1


def pace(waits: Sequence[float]) -> Pace:
    stream = Clocked().chunk()
    for wait in waits:
        stream.chunk(wait)
    return stream.ended().pace


# --- gaps ----------------------------------------------------------------------------------------------------------


def test_who_was_waited_for() -> None:
    """What the reader waits for is the provider's time, what it does between two reads is its own."""
    stream = Clocked().chunk()
    for _ in range(4):
        stream.chunk(wait=0.25, busy=1.5)

    pace = stream.ended().pace

    assert (pace.provider_time, pace.consumer_time) == (pytest.approx(1.0), pytest.approx(6.0))
    assert (pace.gap_max, pace.stall_count) == (0.25, 0)


def test_the_wait_for_the_first_chunk_is_no_gap() -> None:
    """However long: `time_to_first_chunk` tells of it."""
    stream = Clocked(first_wait=60.0).chunk().chunk(0.25)

    summary = stream.ended()

    assert (summary.time_to_first_chunk, summary.pace.gap_max, summary.pace.provider_time) == (60.0, 0.25, 0.25)
    assert summary.pace.stall_count == 0


def test_a_stream_without_a_second_event_has_no_gap() -> None:
    """Nothing was waited for after the first chunk, so nothing is known of gaps."""
    pace = Clocked().chunk().ended().pace

    assert (pace.gap_p50, pace.gap_p95, pace.gap_max) == (None, None, None)


def test_a_stream_without_a_chunk_has_no_pace() -> None:
    """Before the first chunk there is no pace."""
    assert Clocked(first_wait=30.0).ended().pace == Pace()


@given(st.lists(st.floats(0.00051, 40_000.0), min_size=1, max_size=300))
def test_percentiles_are_within_their_error(waits: list[float]) -> None:
    """The median and the 95th percentile are within 10 % of the gap of that rank; the maximum is exact."""
    ranked = sorted(waits)
    found = pace(waits)

    assert found.gap_p50 == pytest.approx(ranked[ceil(0.5 * len(waits)) - 1], rel=RELATIVE_ERROR)
    assert found.gap_p95 == pytest.approx(ranked[ceil(0.95 * len(waits)) - 1], rel=RELATIVE_ERROR)
    assert found.gap_max == pytest.approx(ranked[-1])


def test_chunks_that_come_together_have_no_gap() -> None:
    """Nine of ten chunks come with the one before: the median is 0, the 95th percentile is the real gap."""
    found = pace([0.3 if n % 10 == 0 else 0.00002 for n in range(100)])

    assert (found.gap_p50, found.gap_p95) == (0.0, pytest.approx(0.3, rel=RELATIVE_ERROR))
    assert found.provider_time == pytest.approx(3.0)


@pytest.mark.parametrize(("wait", "expected"), [(0.0005, 0.0005), (0.00049, 0.0)])
def test_the_shortest_gap(wait: float, expected: float) -> None:
    """Less than half a millisecond is nobody's silence."""
    assert (pace([wait]).gap_max, pace([wait]).provider_time) == (expected, expected)


@pytest.mark.parametrize("wait", [inf, 1e9, 36_000.0])
def test_an_absurd_gap_is_a_gap(wait: float) -> None:
    """Beyond the histogram, too: a clock may jump, and a connection may hang for a day."""
    assert pace([0.02, wait]).gap_max == pytest.approx(wait)


# --- stalls --------------------------------------------------------------------------------------------------------


def test_a_stall_is_told_when_it_is_over() -> None:
    """Its gap, where it began, and the phase of the stream; a shorter gap is none."""
    stream = Clocked().chunk().chunk(4.99).chunk(5.0).chunk(7.5)

    told = stalls(stream.facts)
    summary = stream.ended()
    told += stalls(summary.at_the_end)

    assert [(stall.start, stall.gap) for stall in told] == [pytest.approx((5.99, 5.0)), pytest.approx((10.99, 7.5))]
    assert {(stall.phase, stall.waited_for, stall.released) for stall in told} == {("text", "provider", 1)}
    assert (summary.pace.stall_count, summary.pace.stall_time) == (2, pytest.approx(12.5))


def test_a_stall_may_end_with_any_event() -> None:
    """Here with a block's stop; the phase is that before it, and no chunk is released by it."""
    stream = Clocked().chunk()
    stream.other(6.0)
    stream.other(1.0)

    assert stream.facts[-1] == Stall(start=1.0, gap=6.0, phase="text", released=0)


@pytest.mark.parametrize(("until_next", "expected"), [(0.05, 0), (0.051, 1)])
def test_a_stall_is_told_when_it_is_known_what_it_ended_with(until_next: float, expected: int) -> None:
    """With the first event that comes later than 50 ms after it, because what comes before that ended it too."""
    stream = Clocked().chunk().chunk(6.0)

    stream.chunk(until_next)

    assert len(stalls(stream.facts)) == expected


@pytest.mark.parametrize("verdict", ["closed", "error", "truncated"])
def test_a_stream_that_ends_during_a_stall(verdict: Verdict) -> None:
    """The stall is told at the end, before the end itself, and counted."""
    stream = Clocked().chunk()

    summary = stream.ended(Ending(verdict, stream.now + 9.0), stream.now + 1.0)

    assert summary.at_the_end[0] == Stall(start=2.0, gap=8.0, phase="text")
    assert (summary.pace.stall_count, summary.pace.stall_time, summary.pace.gap_max) == (1, 8.0, 8.0)
    assert (summary.pace.provider_time, summary.pace.consumer_time) == (8.0, 1.0)


def test_batches_of_chunks_have_the_pace_of_their_chunks() -> None:
    """Gaps are counted one by one, though the core gets a few chunks at a time, and the last comes before the end."""
    stream = Clocked(first_wait=0.5).chunk()
    for wait in (0.05, 0.0, 0.1, 0.0001, 0.04):
        stream.chunk(wait)
    waiting = len(stream.reader.texts)

    summary = stream.ended(Ending("dropped"))

    assert waiting == 5
    assert (summary.chunk_count, summary.duration) == (6, pytest.approx(0.6901))
    assert (summary.pace.gap_max, summary.pace.provider_time, summary.pace.gap_p50) == (
        0.1,
        pytest.approx(0.19),
        pytest.approx(0.04, rel=RELATIVE_ERROR),
    )


def test_a_reader_that_is_not_waiting_ends_no_stall() -> None:
    """Nobody waited for the provider while the reader was busy."""
    summary = Clocked().chunk().ended(Ending("closed", CALLED_AT + 100.0))

    assert summary.pace.stall_count == 0
    assert not any(isinstance(fact, Stall) for fact in summary.at_the_end)
    assert summary.pace.consumer_time == 99.0


@pytest.mark.parametrize("waiting_for", [-1.0, 0.5])
def test_a_stream_that_was_dropped_has_no_stall_at_its_end(waiting_for: float) -> None:
    """Its end is its last activity, whenever the collector comes."""
    stream = Clocked().chunk()

    summary = stream.ended(Ending("dropped"), stream.now - waiting_for)

    assert (summary.duration, summary.pace.stall_count, summary.pace.gap_max) == (1.0, 0, None)


def test_a_read_that_began_after_the_end_is_no_gap() -> None:
    """The body had been closed before, which is when the stream ended."""
    stream = Clocked().chunk()

    summary = stream.ended(Ending("closed", stream.now + 1.0), stream.now + 2.0)

    assert (summary.duration, summary.pace.gap_max) == (2.0, None)


# --- pauses, tokens, buffering -------------------------------------------------------------------------------------


def test_the_longest_silence_before_a_tool_call() -> None:
    """From the last chunk to the start of the block; what comes between does not end the silence."""
    stream = Clocked().chunk()
    stream.other(0.5)
    stream.tool_call(1, 1.5)
    stream.chunk(index=1, kind="tool_input").chunk(3.0, index=1, kind="tool_input")
    stream.tool_call(2, 0.5)

    assert stream.ended().pace.tool_call_pause == pytest.approx(2.0)


def test_events_that_come_together_are_no_pause() -> None:
    """Less than half a millisecond is nobody's silence."""
    stream = Clocked().chunk()
    stream.other(0.0004)
    stream.tool_call(1, 0.0004)

    assert stream.ended().pace.tool_call_pause == 0.0


@pytest.mark.parametrize("first_chunk", [True, False])
def test_without_a_tool_call_after_a_chunk_there_is_no_pause(first_chunk: bool) -> None:
    """A wait before the first chunk is told by `time_to_first_chunk`."""
    stream = Clocked()
    if first_chunk:
        stream.chunk(1.0)
    else:
        stream.tool_call(1, 3.0)

    assert stream.ended().pace.tool_call_pause is None


@pytest.mark.parametrize(
    ("tokens", "waits", "expected"),
    [
        (11, [0.5] * 4, 0.2),
        (11, [], None),
        (1, [0.5], None),
        (0, [0.5], None),
        (None, [0.5], None),
    ],
)
def test_time_per_output_token(tokens: int | None, waits: list[float], expected: float | None) -> None:
    """From the first chunk to the last over the tokens after the first; unknown without tokens or a second chunk."""
    stream = Clocked().chunk()
    for wait in waits:
        stream.chunk(wait)
    stream.other(5.0)
    stream.state.reported(Usage(output_tokens=tokens))

    assert stream.ended().time_per_output_token == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("kind", ["thinking", "hidden_thinking"])
@pytest.mark.parametrize(("thinking_tokens", "expected"), [(900, 1.0), (None, None)])
def test_thinking_that_is_not_sent_is_not_timed(
    kind: BlockKind, thinking_tokens: int | None, expected: float | None
) -> None:
    """Its tokens are written before the first chunk comes; where nobody says how many, the time is not known."""
    stream = Clocked()
    stream.block(1, kind)
    stream.other(10.0)
    stream.state.block_stopped(1, stream.now)
    stream.chunk()
    stream.chunk(99.0)
    stream.state.reported(Usage(output_tokens=1000, reasoning_tokens=thinking_tokens))

    assert stream.ended().time_per_output_token == expected


def test_thinking_after_the_first_chunk_is_timed() -> None:
    """Sent or not, its tokens are written between the first chunk and the last."""
    stream = Clocked().chunk()
    stream.block(1, "hidden_thinking")
    stream.chunk(99.0)
    stream.state.reported(Usage(output_tokens=100))

    assert stream.ended().time_per_output_token == 1.0


def test_thinking_that_is_sent_is_timed() -> None:
    """Its tokens are written between the first chunk and the last, as those of the text."""
    stream = Clocked()
    stream.block(1, "thinking")
    stream.chunk(index=1, kind="thinking").chunk(99.0, index=1, kind="thinking")
    stream.state.reported(Usage(output_tokens=100, reasoning_tokens=90))

    assert stream.ended().time_per_output_token == 1.0


@pytest.mark.parametrize(
    ("chunks", "first_wait", "busy_before", "wait", "busy", "expected"),
    [
        pytest.param(200, 4.0, 0.0, 0.0001, 0.0, True, id="held back, then all at once"),
        pytest.param(200, 4.0, 0.0, 0.0, 0.0005, True, id="the reader forwards each chunk"),
        pytest.param(200, 0.4, 0.0, 0.0001, 0.0, False, id="a quick answer"),
        pytest.param(200, 4.0, 0.0, 0.02, 0.0, False, id="as a model writes"),
        pytest.param(200, 0.4, 4.0, 0.0, 0.0, False, id="the reader was busy before its first read"),
        pytest.param(200, 4.0, 0.0, 0.0, 0.03, False, id="the reader is slow"),
        pytest.param(19, 4.0, 0.0, 0.0001, 0.0, None, id="too few chunks to tell"),
    ],
)
def test_buffered(
    chunks: int, first_wait: float, busy_before: float, wait: float, busy: float, expected: bool | None
) -> None:
    """Many chunks, denser than a model writes, after a long wait, and not because the reader was slow."""
    stream = Clocked(first_wait=first_wait, busy=busy_before)
    for _ in range(chunks):
        stream.chunk(wait, busy)

    assert stream.ended().pace.buffered is expected


def test_a_wait_for_the_headers_counts_as_one_for_the_first_chunk() -> None:
    """A proxy that holds a stream back may hold back its headers too."""
    stream = Clocked(opening=4.0, first_wait=0.0)
    for _ in range(20):
        stream.chunk()

    assert stream.ended().pace.buffered is True


def test_pace_is_bounded() -> None:
    """A million gaps take no more room than a thousand."""
    chance = random.Random(1)
    stream = Clocked().chunk()
    for _ in range(20_000):
        stream.chunk(chance.expovariate(50.0))
    buckets = stream.state._pacing._buckets

    assert (len(buckets), sum(buckets) <= 20_000) == (100, True)
