"""How a person who reads the text as it comes gets on: the rules at the head of `core/rebuffer.py`."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.model import BlockStart, DeltaKind, Ending, Rebuffer, Report, Summary, Verdict
from streamspan.core.rebuffer import ReadingBuffer
from streamspan.core.stream import StreamState
from tests.core.reading import Reader

CHARS_PER_SECOND = 10.0
EXACT_CHARS_PER_SECOND = 32.0  # a power of two, so that no sum of such times is rounded


def read(texts: Sequence[tuple[float, int]]) -> Rebuffer | None:
    """`texts`: when each comes, and how many chars it has."""
    buffer = ReadingBuffer(CHARS_PER_SECOND)
    for at, chars in texts:
        buffer.add(chars, at)
    return buffer.rebuffer


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param([], None, id="no text"),
        pytest.param([(100.0, 20)], Rebuffer(2.0, 0.0, 0), id="one"),
        pytest.param([(0.0, 20), (1.0, 20), (3.0, 20)], Rebuffer(6.0, 0.0, 0), id="always in time"),
        pytest.param([(0.0, 20), (2.0, 20)], Rebuffer(4.0, 0.0, 0), id="just in time"),
        pytest.param([(0.0, 20), (3.0, 20)], Rebuffer(4.0, 1.0, 1), id="a second too late"),
        pytest.param([(0.0, 10), (3.0, 10), (7.0, 10)], Rebuffer(3.0, 5.0, 2), id="twice too late"),
        pytest.param([(0.0, 100), (9.0, 1), (15.0, 1)], Rebuffer(10.2, 4.9, 1), id="a reserve is read first"),
        pytest.param([(0.0, 10), (9.0, 1), (9.0, 1)], Rebuffer(1.2, 8.0, 1), id="two at once end one wait"),
    ],
)
def test_whether_the_person_waits(texts: Sequence[tuple[float, int]], expected: Rebuffer | None) -> None:
    """From the first text on, whenever all that has come is read."""
    assert read(texts) == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("rebuffer", "expected"),
    [(Rebuffer(9.0, 1.0, 1), 0.1), (Rebuffer(4.0, 0.0, 0), 0.0), (Rebuffer(0.0, 0.0, 0), 0.0)],
)
def test_the_ratio(rebuffer: Rebuffer, expected: float) -> None:
    """Waiting, of the time that the person needs in all."""
    assert rebuffer.ratio == expected


# --- in a stream ---------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """A delta: how long the reader was busy before it and then waited for it, and what came in the wait."""

    kind: DeltaKind
    chars: int
    busy: float = 0.0
    wait: float = 0.0
    keepalives: int = 0


def stream(parts: Sequence[Part], *, speed: float = CHARS_PER_SECOND) -> tuple[StreamState, float]:
    """Handed over one by one, and the time of the last."""
    state, _ = begun(speed)
    now = 0.0
    for part in parts:
        now += part.busy + part.wait
        state.delta(part.kind, INDEXES[part.kind], "x" * part.chars, now, part.wait)
    return state, now


INDEXES: dict[DeltaKind, int] = {"text": 0, "thinking": 1, "tool_input": 2}


def begun(speed: float) -> tuple[StreamState, Reader]:
    state = StreamState(0.0, reading_speed=speed, stall_seconds=1.0)
    state.opened(0.0)
    state.block_started(BlockStart(2, "call", "tool_call"), 0.0)
    state.block_started(BlockStart(1, "thinking", "thinking"), 0.0)
    state.block_started(BlockStart(0, "text", "text"), 0.0)
    return state, Reader(state, 1.0)


def test_only_text_is_read() -> None:
    """Thinking and tool input are nothing to read, and nobody reads before the first text."""
    state, now = stream([Part("thinking", 500, wait=20.0), Part("text", 20), Part("tool_input", 500)])

    assert state.ended(Ending("complete", now)).rebuffer == Rebuffer(2.0, 0.0, 0)


@pytest.mark.parametrize("verdict", ["truncated", "error", "closed"])
def test_a_stream_that_is_cut_in_its_text(verdict: Verdict) -> None:
    """The person has waited for more until the end."""
    state, now = stream([Part("text", 20)])

    assert state.ended(Ending(verdict, now + 9.0), now).rebuffer == Rebuffer(2.0, 7.0, 1)


def test_a_stream_that_is_cut_while_there_is_text_to_read() -> None:
    """The person has not waited yet."""
    state, now = stream([Part("text", 200)])

    assert state.ended(Ending("closed", now + 9.0), now).rebuffer == Rebuffer(20.0, 0.0, 0)


def test_nobody_waits_for_more_after_the_text() -> None:
    """Its block has stopped, so no more was to come when the stream ended."""
    state, now = stream([Part("text", 20)])
    state.block_stopped(0, now)
    state.block_stopped(1, now)

    assert state.ended(Ending("closed", now + 9.0), now).rebuffer == Rebuffer(2.0, 0.0, 0)


def test_a_dropped_stream_ends_with_its_last_text() -> None:
    """Whenever the collector comes."""
    state, _ = stream([Part("text", 20), Part("text", 20, wait=5.0)])

    assert state.ended(Ending("dropped")).rebuffer == Rebuffer(4.0, 3.0, 1)


def one_by_one(parts: Sequence[Part], ending_after: float) -> tuple[list[Report], Summary]:
    state, _ = begun(EXACT_CHARS_PER_SECOND)
    now, facts = 0.0, list[Report]()
    for part in parts:
        now += part.busy + part.wait
        state.kept_alive(part.keepalives)
        facts += state.delta(part.kind, INDEXES[part.kind], "x" * part.chars, now, part.wait)
    return facts, state.ended(Ending("truncated", now + ending_after), now)


def in_batches(parts: Sequence[Part], ending_after: float) -> tuple[list[Report], Summary]:
    _, reader = begun(EXACT_CHARS_PER_SECOND)
    now, facts = 0.0, list[Report]()
    for part in parts:
        now += part.busy + part.wait
        for _ in range(part.keepalives):
            reader.kept_alive()
        facts += reader.chunk(part.kind, INDEXES[part.kind], "x" * part.chars, part.wait, now)
    return facts, reader.ended(Ending("truncated", now + ending_after), now)


SECONDS = st.sampled_from([0.0, 0.0, 2**-12, 2**-8, 2**-5, 2**-3, 0.5, 2.0])
KINDS: list[DeltaKind] = ["text", "text", "text", "thinking", "tool_input"]
PARTS = st.lists(
    st.builds(
        Part, st.sampled_from(KINDS), st.sampled_from([0, 1, 1, 2, 7, 40, 200]), SECONDS, SECONDS, st.integers(0, 1)
    )
    | st.builds(Part, st.just("text"), st.just(1), st.just(0.0), st.sampled_from([0.0, 2**-12, 2**-5]), st.just(0)),
    max_size=80,
)


@given(PARTS, SECONDS)
def test_batches_do_not_matter(parts: list[Part], ending_after: float) -> None:
    """Text that waits until `hand_over_by` gives the very same waits as text that is handed over at once.

    And so do all other waits: who was waited for, what is told, and when.
    """
    assert in_batches(parts, ending_after) == one_by_one(parts, ending_after)
