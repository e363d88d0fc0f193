"""What a wait ended with, and what came in it: clumps, keep-alives, a blocked loop. The rules of `core/pacing.py`."""

import pytest

from streamspan.core.model import BlockKind, Ending, Pace, Phase, Stall
from streamspan.core.stream import StreamState
from tests.core.clocked import CALLED_AT, Clocked, stalls

# --- clumps ----------------------------------------------------------------------------------------------------------


def test_one_burst() -> None:
    """The wait before it is that for the first chunk, which is no time of the way."""
    pace = Clocked(first_wait=4.0).clump(200, wait=0.0, busy=0.0002).ended().pace

    assert (pace.buffered, pace.transit_time, pace.provider_time, pace.stall_count) == (True, 0.0, 0.0, 0)


@pytest.mark.parametrize(("wait", "told"), [(16.5, 6), (2.0, 0)])
def test_a_gateway_that_lets_chunks_go_in_clumps(wait: float, told: int) -> None:
    """Every 16.5 s or every 2 s: all is time of the way, and no stall of the provider. A long wait is told."""
    stream = Clocked(first_wait=wait).clump(65, wait=0.0, busy=0.0002)
    for _ in range(6):
        stream.clump(65, wait, busy=0.0002)

    summary = stream.ended()
    pace = summary.pace

    assert (pace.transit_time, pace.provider_time) == (pytest.approx(6 * wait), pytest.approx(0.0, abs=1e-9))
    assert (pace.buffered, pace.stall_count, pace.stall_time) == (True, 0, 0.0)
    assert [(stall.waited_for, stall.released) for stall in stalls([*stream.facts, *summary.at_the_end])] == [
        ("transit", 65)
    ] * told


def test_a_stalled_line_that_lets_all_go_at_once() -> None:
    """As TCP does after a loss: that wait is the way's, and the others are the provider's. Most chunks came evenly.

    The model's next chunk comes within 50 ms, too.
    """
    stream = Clocked().chunk()
    for _ in range(150):
        stream.chunk(0.02)
    stream.clump(200, 6.0, busy=0.0001)
    for _ in range(150):
        stream.chunk(0.02)

    pace = stream.ended().pace

    assert [(stall.waited_for, stall.released) for stall in stalls(stream.facts)] == [("transit", 201)]
    assert (pace.transit_time, pace.provider_time) == (pytest.approx(6.0), pytest.approx(6.0))
    assert (pace.stall_count, pace.buffered) == (0, False)


@pytest.mark.parametrize(
    ("chunks", "busy", "waited_for", "released"),
    [
        pytest.param(65, 0.0005, "transit", 65, id="a clump"),
        pytest.param(20, 0.0, "transit", 20, id="the smallest clump"),
        pytest.param(19, 0.0, "provider", 19, id="too few"),
        pytest.param(65, 0.004, "transit", 13, id="the reader takes less than 5 ms for a chunk"),
        pytest.param(65, 0.006, "provider", 9, id="the reader takes more than 5 ms for a chunk"),
        pytest.param(1, 0.0, "provider", 1, id="a model goes on"),
        pytest.param(2, 0.06, "provider", 1, id="the next one comes later than 50 ms"),
    ],
)
def test_what_a_wait_ends_with(chunks: int, busy: float, waited_for: str, released: int) -> None:
    """Many chunks at once have been held back by something on the way, if the reader is quick enough to tell."""
    stream = Clocked().chunk().clump(chunks, 6.0, busy)

    summary = stream.ended()

    assert [
        (stall.waited_for, stall.released, stall.gap) for stall in stalls([*stream.facts, *summary.at_the_end])
    ] == [(waited_for, released, 6.0)]
    assert summary.pace.stall_count == int(waited_for == "provider")


def test_two_waits_within_50_ms_of_one_another_end_with_their_own() -> None:
    """A long wait begins a new count of what it released."""
    stream = Clocked().chunk().chunk(6.0).clump(30, 7.0)

    summary = stream.ended()

    assert [
        (stall.gap, stall.waited_for, stall.released) for stall in stalls([*stream.facts, *summary.at_the_end])
    ] == [
        (6.0, "provider", 1),
        (7.0, "transit", 30),
    ]


# --- keep-alives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 3])
def test_keep_alives_in_a_stall(count: int) -> None:
    """They end no wait, and are counted in it: without any the line was dead."""
    stream = Clocked().chunk().keepalives(count).chunk(8.0)

    summary = stream.ended()

    assert stalls(summary.at_the_end) == [Stall(1.0, 8.0, "text", keepalives=count, released=1)]
    assert (summary.keepalive_count, summary.pace.gap_max, summary.pace.provider_time) == (count, 8.0, 8.0)


def test_keep_alives_belong_to_their_own_wait() -> None:
    """The next wait begins without any."""
    stream = Clocked().chunk().keepalives(2).chunk(6.0).keepalives(1).chunk(7.0).chunk(8.0)

    summary = stream.ended()

    assert [stall.keepalives for stall in stalls([*stream.facts, *summary.at_the_end])] == [2, 1, 0]
    assert summary.keepalive_count == 3


def test_keep_alives_in_the_wait_in_which_a_stream_ends() -> None:
    """They are told by the stall at the end."""
    stream = Clocked().chunk().keepalives(4)

    summary = stream.ended(Ending("error", stream.now + 9.0), stream.now)

    assert stalls(summary.at_the_end) == [Stall(1.0, 9.0, "text", keepalives=4)]
    assert summary.keepalive_count == 4


def test_keep_alives_before_the_first_chunk() -> None:
    """They count, although nothing there is a stall."""
    stream = Clocked().keepalives(2).chunk(30.0)

    summary = stream.ended()

    assert (summary.keepalive_count, summary.time_to_first_chunk, summary.pace.stall_count) == (2, 31.0, 0)


def test_a_chunk_after_a_keep_alive_is_taken_by_itself() -> None:
    """The wait that ends with it has a keep-alive, and that of the chunks which wait had none."""
    stream = Clocked(first_wait=0.5).chunk(text="some text").chunk(0.01).keepalives().chunk(0.2)

    assert (stream.reader.texts, stream.state.so_far(stream.now).chunk_count) == ((), 3)
    assert stream.ended().keepalive_count == 1


# --- deltas without content ------------------------------------------------------------------------------------------


def test_the_first_delta_of_a_block_may_be_empty() -> None:
    """That is how a provider begins it: no keep-alive, no chunk, and no end of the wait."""
    stream = Clocked().chunk()
    stream.tool_call(1, 0.1)
    stream.chunk(3.0, index=1, kind="tool_input", text="").chunk(4.0, index=1, kind="tool_input", text="{}")

    summary = stream.ended()

    assert [(stall.gap, stall.keepalives, stall.phase) for stall in stalls(summary.at_the_end)] == [
        (7.0, 0, "tool_input")
    ]
    assert (summary.keepalive_count, summary.chunk_count) == (0, 2)


def test_any_other_empty_delta_is_a_keep_alive() -> None:
    """The second of a block, and one after content has come."""
    stream = Clocked()
    stream.chunk(1.0, text="").chunk(1.0, text="").chunk(1.0).chunk(3.0, text="").chunk(4.0)

    summary = stream.ended()

    assert [(stall.gap, stall.keepalives) for stall in stalls(summary.at_the_end)] == [(7.0, 1)]
    assert (summary.keepalive_count, summary.chunk_count) == (2, 2)
    assert (summary.time_to_first_chunk, summary.time_to_first_text) == (4.0, 4.0)


def test_an_answer_of_empty_deltas_has_no_first_chunk() -> None:
    """Nothing has come that anybody could read."""
    summary = Clocked().chunk(1.0, text="").chunk(1.0, text="").ended(Ending("truncated", CALLED_AT + 3.0))

    assert (summary.time_to_first_chunk, summary.chunk_count, summary.pace) == (None, 0, Pace())
    assert (summary.keepalive_count, summary.rebuffer, summary.phase) == (1, None, "waiting")


# --- thinking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["thinking", "hidden_thinking"])
def test_thinking_is_a_phase_of_its_own(kind: BlockKind) -> None:
    """Whether or not its content is sent, also before the first chunk. Its time is that of its blocks."""
    stream = Clocked()
    stream.block(1, kind)
    phases = stream.state.phase, stream.state.live_phase
    stream.other(12.0)
    stream.state.block_stopped(1, stream.now)
    stream.block(2, kind)
    stream.other(3.0)
    stream.state.block_stopped(2, stream.now)

    summary = stream.chunk().ended()

    assert phases == ("thinking", "thinking")
    assert (summary.thinking_time, summary.time_to_first_chunk) == (15.0, 16.0)


def test_thinking_that_the_end_cuts_off() -> None:
    """Its time lasts until then."""
    stream = Clocked()
    stream.block(1, "hidden_thinking")

    summary = stream.ended(Ending("truncated", stream.now + 8.0), stream.now)

    assert (summary.phase, summary.thinking_time) == ("thinking", 8.0)


def test_without_thinking_there_is_no_time_of_it() -> None:
    """Unknown is absent."""
    assert Clocked().chunk().ended().thinking_time is None


@pytest.mark.parametrize(
    ("kind", "phase"),
    [("text", "waiting"), ("tool_call", "waiting"), ("other", "waiting"), ("hidden_thinking", "thinking")],
)
def test_the_phase_before_the_first_chunk(kind: BlockKind, phase: Phase) -> None:
    """It waits, unless the model is known to think."""
    state = StreamState(CALLED_AT)
    before = state.live_phase
    stream = Clocked()
    stream.block(1, kind)

    assert (before, stream.state.phase, stream.state.live_phase) == ("opening", phase, phase)


# --- a blocked event loop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wait", "blocked", "expected"),
    [
        pytest.param(6.0, 5.5, [("event_loop", 5.5)], id="all but a moment"),
        pytest.param(6.0, 3.0, [], id="two that are too short by themselves"),
        pytest.param(12.0, 6.0, [("event_loop", 6.0), ("provider", 6.0)], id="both"),
        pytest.param(9.0, 2.0, [("provider", 7.0)], id="the provider's part is long enough"),
        pytest.param(4.9, 4.9, [], id="shorter than a stall"),
        pytest.param(5.0, 5.0, [("event_loop", 5.0)], id="just a stall"),
    ],
)
def test_the_part_of_a_wait_in_which_the_loop_was_blocked(
    wait: float, blocked: float, expected: list[tuple[str, float]]
) -> None:
    """It is the application's own, and never a stall of the provider; each part is told from `stall_seconds` on."""
    stream = Clocked().chunk().chunk(wait, blocked=blocked)

    summary = stream.ended()
    pace = summary.pace

    assert [(stall.waited_for, stall.gap) for stall in stalls([*stream.facts, *summary.at_the_end])] == expected
    assert (summary.blocked_time, pace.provider_time, pace.consumer_time) == pytest.approx(
        (blocked, wait - blocked, 0.0)
    )
    assert pace.stall_count == sum(waited_for == "provider" for waited_for, _ in expected)


def test_a_loop_that_was_blocked_while_much_came_is_no_clump() -> None:
    """Everything that had come meanwhile is there at once, and nobody on the way had held it back."""
    stream = Clocked().chunk().chunk(3.05, blocked=3.0)
    for _ in range(100):
        stream.chunk()

    summary = stream.ended()

    assert (summary.blocked_time, summary.pace.transit_time, summary.pace.buffered) == (3.0, 0.0, False)


def test_a_loop_that_is_blocked_before_the_first_chunk() -> None:
    """In the call and in the reads: blocked time of the stream, and no reason to think of a buffer."""
    stream = Clocked()
    stream.state.opened(stream.now, blocked=0.5)
    stream.chunk(3.75, blocked=3.5)
    for _ in range(30):
        stream.chunk()

    summary = stream.ended()

    assert (summary.blocked_time, summary.pace.stall_count, summary.pace.buffered) == (4.0, 0, False)


def test_a_loop_that_is_blocked_when_the_stream_ends() -> None:
    """The wait that the end cuts has the same two parts."""
    stream = Clocked().chunk()
    stream.blocked = 8.0

    summary = stream.ended(Ending("error", stream.now + 9.0), stream.now)

    assert stalls(summary.at_the_end) == [Stall(1.0, 8.0, "text", "event_loop")]
    assert (summary.blocked_time, summary.pace.provider_time) == (8.0, 1.0)
