"""The rules at the head of `core/stream.py`, one by one, on a clock of the test's own; then what holds for any stream.

The steps are those of `reading.py`. Every stream is called at 100.0.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.model import (
    AbortReason,
    BlockKind,
    BlockStart,
    ContentBlock,
    Ending,
    Fallback,
    FirstToken,
    Interval,
    IterationTokens,
    Outcome,
    Pace,
    Phase,
    Rebuffer,
    Refusal,
    Report,
    Stall,
    Summary,
    ToolCall,
    Usage,
    Verdict,
)
from streamspan.core.stream import READING_SPEED, StreamState
from tests.core import reading
from tests.core.reading import Reader, Step, done

CALLED_AT = 100.0
OPEN_BLOCKS_AT_MOST = 64


def block(index: int, kind: BlockKind = "text") -> BlockStart:
    return BlockStart(index, f"type of {kind}", kind)


def stop_reason(word: str, at: float, *, cut: bool = False) -> Step:
    return ("stopped", word, cut, at)


OPENED: Step = ("opened", 101.0)
BEGUN: list[Step] = [OPENED, ("started", "resp_1", "model-x", Usage(input_tokens=7), 102.0)]
TEXT_STARTED: list[Step] = [*BEGUN, ("block_started", block(0), 103.0)]
TEXT_WRITTEN: list[Step] = [*TEXT_STARTED, ("delta", "text", 0, "Hello", 104.0)]
TEXT_STOPPED: list[Step] = [*TEXT_WRITTEN, ("block_stopped", 0, 105.0)]
STOP_REASON: list[Step] = [("reported", Usage(output_tokens=20), 106.0), stop_reason("done", 106.0)]
WHOLE: list[Step] = [*TEXT_STOPPED, *STOP_REASON]
STOPPED_WITH_AN_OPEN_BLOCK: list[Step] = [*TEXT_WRITTEN, *STOP_REASON]

BY_THE_PROVIDER = Ending("complete", 110.0)
BY_THE_BODY = Ending("truncated", 110.0)
BY_A_FAILURE = Ending("error", 110.0, "overloaded")
BY_THE_READER = Ending("closed", 110.0)
UNOBSERVED = Ending("unobserved", 110.0)


def played(steps: Iterable[Step]) -> StreamState:
    return reading.played(steps, StreamState(CALLED_AT))


def cut_blocks(summary: Summary) -> tuple[ContentBlock, ...]:
    return tuple(fact for fact in summary.at_the_end if isinstance(fact, ContentBlock))


def tool_steps(tool_input: str, *, stops: bool = True, index: int = 1, is_plain: bool = False) -> list[Step]:
    """A tool call that writes its input in one delta; none for an empty one."""
    start = BlockStart(index, "call", "tool_call", "get_weather", "call_1", is_plain)
    started: Step = ("block_started", start, 107.0)
    written: list[Step] = [("delta", "tool_input", index, tool_input, 108.0)] if tool_input else []
    stopped: list[Step] = [("block_stopped", index, 109.0)] if stops else []
    return [started, *written, *stopped]


def tool_counts(summary: Summary) -> dict[str, int]:
    return {
        "all": summary.tool_call_count,
        "completed": summary.tool_calls_completed,
        "incomplete": summary.tool_calls_incomplete,
        "invalid": summary.tool_calls_invalid,
    }


def counts(*, completed: int = 0, incomplete: int = 0, invalid: int = 0) -> dict[str, int]:
    total = completed + incomplete + invalid
    return {"all": total, "completed": completed, "incomplete": incomplete, "invalid": invalid}


# --- how a stream ends -------------------------------------------------------------------------------------------


def test_the_summary_of_a_whole_message() -> None:
    """Everything that a message with text and a tool call says is in its summary; times are seconds from the call."""
    steps = [*TEXT_STOPPED, *tool_steps('{"city": "Köln"}')]

    summary = played([*steps, *STOP_REASON]).ended(BY_THE_PROVIDER)

    assert summary == Summary(
        outcome="complete",
        partial=False,
        phase="after_stop_reason",
        abort_reason=None,
        connection_closed=False,
        error_type=None,
        duration=10.0,
        time_to_headers=1.0,
        time_to_first_chunk=4.0,
        time_to_first_text=4.0,
        time_per_output_token=4.0 / 19,
        response_id="resp_1",
        model="model-x",
        stop_reason="done",
        usage=Usage(input_tokens=7, output_tokens=20),
        pace=Pace(
            gap_p50=0.0,
            gap_p95=0.0,
            gap_max=0.0,
            provider_time=0.0,
            transit_time=0.0,
            consumer_time=6.0,
            tool_call_pause=0.0,
        ),
        rebuffer=Rebuffer(5 / READING_SPEED, 0.0, 0),
        blocked_time=0.0,
        keepalive_count=0,
        thinking_time=None,
        chunk_count=2,
        chars={"text": 5, "thinking": 0, "tool_input": 16},
        block_count=2,
        tool_call_count=1,
        tool_calls_completed=1,
        tool_calls_incomplete=0,
        tool_calls_invalid=0,
        looks_for_loops=False,
        loop=None,
        at_the_end=(),
    )


def test_the_summary_of_a_call_that_never_opened() -> None:
    """What is not known is None, and what did not come is 0."""
    summary = StreamState(CALLED_AT).ended(Ending("error", 100.5, "connection_error"))

    assert summary == Summary(
        outcome="error",
        partial=True,
        phase="opening",
        abort_reason=None,
        connection_closed=False,
        error_type="connection_error",
        duration=0.5,
        time_to_headers=None,
        time_to_first_chunk=None,
        time_to_first_text=None,
        time_per_output_token=None,
        response_id=None,
        model=None,
        stop_reason=None,
        usage=Usage(),
        pace=Pace(),
        rebuffer=None,
        blocked_time=0.0,
        keepalive_count=0,
        thinking_time=None,
        chunk_count=0,
        chars={"text": 0, "thinking": 0, "tool_input": 0},
        block_count=0,
        tool_call_count=0,
        tool_calls_completed=0,
        tool_calls_incomplete=0,
        tool_calls_invalid=0,
        looks_for_loops=False,
        loop=None,
        at_the_end=(),
    )


@pytest.mark.parametrize(
    ("steps", "ending", "expected"),
    [
        pytest.param([], BY_THE_READER, ("aborted", True, "closed", None), id="left while it opened"),
        pytest.param([], BY_A_FAILURE, ("error", True, None, "overloaded"), id="failed to open"),
        pytest.param([], UNOBSERVED, (None, True, None, None), id="no response to watch"),
        pytest.param([OPENED], BY_THE_BODY, ("truncated", True, None, "stream_truncated"), id="empty body"),
        pytest.param([OPENED], BY_THE_READER, ("aborted", True, "closed", None), id="left unread"),
        pytest.param([OPENED], UNOBSERVED, (None, True, None, None), id="read as bytes"),
        pytest.param(TEXT_WRITTEN, BY_THE_BODY, ("truncated", True, None, "stream_truncated"), id="cut in the text"),
        pytest.param(TEXT_WRITTEN, BY_A_FAILURE, ("error", True, None, "overloaded"), id="failed in the text"),
        pytest.param(TEXT_WRITTEN, BY_THE_READER, ("aborted", True, "closed", None), id="left in the text"),
        pytest.param(TEXT_STOPPED, BY_THE_READER, ("aborted", True, "closed", None), id="left after the text"),
        pytest.param(TEXT_STOPPED, BY_THE_PROVIDER, ("complete", True, None, None), id="stopped without a stop reason"),
        pytest.param(WHOLE, BY_THE_PROVIDER, ("complete", False, None, None), id="whole"),
        pytest.param(WHOLE, BY_THE_READER, ("complete", False, None, None), id="left after the stop reason"),
        pytest.param(
            WHOLE, BY_THE_BODY, ("truncated", False, None, "stream_truncated"), id="cut after the stop reason"
        ),
        pytest.param(WHOLE, BY_A_FAILURE, ("error", False, None, "overloaded"), id="failed after the stop reason"),
        pytest.param(WHOLE, UNOBSERVED, (None, False, None, None), id="not observed to the end"),
        pytest.param(
            STOPPED_WITH_AN_OPEN_BLOCK, BY_THE_PROVIDER, ("complete", True, None, None), id="a block never closed"
        ),
        pytest.param(
            STOPPED_WITH_AN_OPEN_BLOCK, BY_THE_READER, ("complete", True, None, None), id="left with an open block"
        ),
    ],
)
def test_outcomes(
    steps: Sequence[Step], ending: Ending, expected: tuple[Outcome | None, bool, AbortReason | None, str | None]
) -> None:
    """Outcome, partial, abort reason and error type follow from what arrived and from what ended the stream.

    The abort reason is said of aborted streams only, the error type of failed and truncated ones only.
    """
    summary = played(steps).ended(ending)

    assert (summary.outcome, summary.partial, summary.abort_reason, summary.error_type) == expected


@pytest.mark.parametrize("reason", ["closed", "cancelled", "dropped", "never_read", "consumer_error", "shutdown"])
def test_every_abort_reason_is_kept(reason: AbortReason) -> None:
    """An aborted stream says why, in the words of the one who knows; without a stop reason it is never complete."""
    summary = played(TEXT_WRITTEN).ended(Ending(reason))

    assert (summary.outcome, summary.abort_reason) == ("aborted", reason)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([], "opening", id="called"),
        pytest.param([OPENED], "waiting", id="headers"),
        pytest.param(BEGUN, "waiting", id="message started"),
        pytest.param(TEXT_STARTED, "waiting", id="block started, no delta yet"),
        pytest.param([*BEGUN, *tool_steps("", stops=False)], "waiting", id="tool call started, no delta yet"),
        pytest.param(TEXT_WRITTEN, "text", id="text"),
        pytest.param(
            [*BEGUN, ("block_started", block(0, "thinking"), 103.0), ("delta", "thinking", 0, "Hm", 104.0)],
            "thinking",
            id="thinking",
        ),
        pytest.param(TEXT_STOPPED, "between_blocks", id="block stopped"),
        pytest.param(
            [*TEXT_STOPPED, ("block_started", block(1, "thinking"), 106.0)], "thinking", id="next block started"
        ),
        pytest.param(
            [*TEXT_STOPPED, ("block_started", block(1, "hidden_thinking"), 106.0)], "thinking", id="hidden thinking"
        ),
        pytest.param([*TEXT_STOPPED, *tool_steps("", stops=False)], "tool_input", id="tool call started"),
        pytest.param([*TEXT_STOPPED, *tool_steps("{", stops=False)], "tool_input", id="tool input"),
        pytest.param(
            [*TEXT_STOPPED, ("block_started", block(1, "other"), 106.0)], "between_blocks", id="another block"
        ),
        pytest.param([*TEXT_STOPPED, ("event", 106.0)], "between_blocks", id="something unknown"),
        pytest.param([*TEXT_STOPPED, ("reported", Usage(), 106.0)], "between_blocks", id="no stop reason"),
        pytest.param([*TEXT_WRITTEN, ("block_started", block(1, "thinking"), 106.0)], "thinking", id="two blocks open"),
        pytest.param(WHOLE, "after_stop_reason", id="stop reason"),
        pytest.param(STOPPED_WITH_AN_OPEN_BLOCK, "after_stop_reason", id="stop reason, block open"),
        pytest.param([OPENED, *STOP_REASON], "after_stop_reason", id="stop reason, no delta"),
    ],
)
def test_phases(steps: Sequence[Step], expected: Phase) -> None:
    """The phase is where the stream is, while it is open and at its end, whatever ends it."""
    state = played(steps)

    assert (state.phase, state.ended(BY_THE_READER).phase) == (expected, expected)


@pytest.mark.parametrize(
    "last_step",
    [
        ("opened", 120.0),
        ("started", "resp_1", "model-x", Usage(), 120.0),
        ("block_started", block(5), 120.0),
        ("delta", "text", 0, "", 120.0),
        ("block_stopped", 0, 120.0),
        ("block_stopped", 9, 120.0),
        ("reported", Usage(), 120.0),
        stop_reason("done", 120.0),
        ("event", 120.0),
    ],
)
def test_the_end_of_a_dropped_stream_is_its_last_activity(last_step: Step) -> None:
    """Where nobody knows when a stream was left, everything that arrived counts as activity."""
    steps = [OPENED, ("block_started", block(0), 102.0), last_step]

    assert played(steps).ended(Ending("dropped")).duration == 20.0


@pytest.mark.parametrize(("steps", "expected"), [([], 0.0), ([OPENED], 1.0), (TEXT_WRITTEN, 4.0), (WHOLE, 6.0)])
def test_the_end_is_never_the_moment_of_the_finalizer(steps: Sequence[Step], expected: float) -> None:
    """A dropped stream lasted until its last activity; one that never opened lasted no time."""
    assert played(steps).ended(Ending("dropped")).duration == expected


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("complete", False),
        ("truncated", False),
        ("error", False),
        ("closed", False),
        ("consumer_error", False),
        ("shutdown", False),
        ("unobserved", False),
        ("dropped", None),
        ("never_read", None),
        ("cancelled", None),
    ],
)
def test_a_connection_that_nobody_saw_close(verdict: Verdict, expected: bool | None) -> None:
    """It is open, or not known to be closed where a finalizer or a task may close it later."""
    assert played(TEXT_WRITTEN).ended(Ending(verdict)).connection_closed is expected


@pytest.mark.parametrize("verdict", ["complete", "closed", "dropped", "cancelled"])
def test_a_closed_connection_is_told(verdict: Verdict) -> None:
    """That the connection was given back is said at the end, and is no activity of the stream."""
    state = played(TEXT_WRITTEN)
    state.connection_closed = True

    summary = state.ended(Ending(verdict))

    assert (summary.connection_closed, summary.duration) == (True, 4.0)


# --- chunks and clocks -------------------------------------------------------------------------------------------


def test_the_first_chunk_is_the_first_delta_of_any_kind() -> None:
    """Thinking and tool input are chunks, headers and a block are none; text may come much later."""
    steps: list[Step] = [
        *BEGUN,
        ("block_started", block(0, "thinking"), 103.0),
        ("event", 103.5),
        ("delta", "thinking", 0, "Hm", 104.0),
        ("block_stopped", 0, 105.0),
        ("block_started", block(1), 130.0),
        ("delta", "text", 1, "Hi", 131.0),
        ("delta", "text", 1, "!", 132.0),
    ]

    summary = played(steps).ended(BY_THE_READER)

    assert (summary.time_to_first_chunk, summary.time_to_first_text) == (4.0, 31.0)


def test_without_text_there_is_no_time_to_first_text() -> None:
    """A stream of tool input has a first chunk and no first text."""
    summary = played([*BEGUN, *tool_steps("{}")]).ended(BY_THE_READER)

    assert (summary.time_to_first_chunk, summary.time_to_first_text) == (8.0, None)


def test_only_the_first_delta_says_that_it_is_the_first() -> None:
    """The first chunk is told once in a stream, not once for each kind or block."""
    state = played(BEGUN)
    state.block_started(block(0, "thinking"), 103.0)
    state.block_started(block(1), 103.0)

    firsts = [
        state.delta("thinking", 0, "a", 104.0),
        state.delta("thinking", 0, "b", 105.0),
        state.delta("text", 1, "c", 106.0),
    ]

    assert firsts == [(FirstToken("thinking", 4.0),), (), ()]


def test_chars_are_code_points_of_their_channel() -> None:
    """Chars are counted by the kind of the delta; what lies beyond the basic plane or combines is one for each.

    A delta without any is no chunk.
    """
    steps: list[Step] = [
        *BEGUN,
        ("block_started", block(0, "thinking"), 103.0),
        ("delta", "thinking", 0, "🤔", 104.0),
        ("block_stopped", 0, 105.0),
        ("block_started", block(1), 105.0),
        ("delta", "text", 1, "e\u0301\u00e9", 106.0),
        ("delta", "text", 1, "", 106.0),
        ("block_stopped", 1, 107.0),
        *tool_steps('{"é": 1}', index=2),
    ]

    summary = played(steps).ended(BY_THE_READER)

    assert (summary.chars, summary.chunk_count) == ({"text": 3, "thinking": 1, "tool_input": 8}, 3)


# --- the answer and its usage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("started", "reported", "expected"),
    [
        pytest.param(
            Usage(input_tokens=7, cache_read_tokens=3, cache_write_tokens=2, output_tokens=5, reasoning_tokens=4),
            [],
            Usage(input_tokens=7, cache_read_tokens=3, cache_write_tokens=2),
            id="output counts at the start are placeholders",
        ),
        pytest.param(
            Usage(input_tokens=7, output_tokens=5),
            [Usage(output_tokens=12), Usage(output_tokens=20)],
            Usage(input_tokens=7, output_tokens=20),
            id="cumulative counts replace, they never add",
        ),
        pytest.param(
            Usage(input_tokens=7, cache_read_tokens=3),
            [Usage(input_tokens=9, output_tokens=20, reasoning_tokens=6), Usage()],
            Usage(input_tokens=9, cache_read_tokens=3, output_tokens=20, reasoning_tokens=6),
            id="null replaces nothing",
        ),
        pytest.param(
            Usage(input_tokens=7, cache_read_tokens=3),
            [Usage(input_tokens=0, cache_read_tokens=0, output_tokens=0)],
            Usage(input_tokens=7, cache_read_tokens=3, output_tokens=0),
            id="a count never falls",
        ),
        pytest.param(
            Usage(input_tokens=7, cache_read_tokens=100, cache_write_tokens=50),
            [],
            Usage(input_tokens=7, cache_read_tokens=100, cache_write_tokens=50),
            id="cached tokens are not summed here",
        ),
        pytest.param(
            Usage(more={"a": 1, "b": 2}),
            [Usage(more={"b": 3}), Usage(more={"c": 0})],
            Usage(more={"a": 1, "b": 3, "c": 0}),
            id="further counts replace by name",
        ),
        pytest.param(
            Usage(more={"a": 5}, iterations=(IterationTokens("advice", "model-y", 5, 2),)),
            [
                Usage(more={"a": 4}, iterations=(IterationTokens("advice", "model-y", 4, 3),)),
                Usage(iterations=(IterationTokens("advice", "model-z", 1, 1),)),
            ],
            Usage(
                more={"a": 5},
                iterations=(IterationTokens("advice", "model-y", 5, 3), IterationTokens("advice", "model-z", 1, 1)),
            ),
            id="neither do further counts",
        ),
        pytest.param(
            Usage(input_tokens=100, cache_read_tokens=50_000),
            [Usage(input_tokens=181, cache_read_tokens=0, iterations=(IterationTokens("summary", None, 50_100, 83),))],
            Usage(input_tokens=181, cache_read_tokens=0, iterations=(IterationTokens("summary", None, 50_100, 83),)),
            id="unless steps are counted apart",
        ),
        pytest.param(Usage(), [], Usage(), id="nothing is known"),
    ],
)
def test_usage(started: Usage, reported: Sequence[Usage], expected: Usage) -> None:
    """The usage at the end is the greatest that was said of each count."""
    reports: list[Step] = [("reported", usage, 103.0) for usage in reported]
    steps: list[Step] = [OPENED, ("started", "resp_1", "model-x", started, 102.0), *reports]

    assert played(steps).ended(BY_THE_READER).usage == expected


def test_usage_after_the_stop_reason_counts() -> None:
    """Later counts replace the counts and keep the reason."""
    summary = played([*WHOLE, ("reported", Usage(output_tokens=21), 107.0)]).ended(BY_THE_PROVIDER)

    assert (summary.stop_reason, summary.usage) == ("done", Usage(input_tokens=7, output_tokens=21))


def test_the_last_stop_reason_counts() -> None:
    """A proxy may send several."""
    assert played([*WHOLE, stop_reason("length", 107.0)]).ended(BY_THE_PROVIDER).stop_reason == "length"


def test_the_counts_of_a_provider_are_bounded() -> None:
    """Names that a server makes up take no memory: at most 32 of them are kept."""
    made_up = Usage(more={f"count_{n}": n for n in range(1000)})

    summary = played([*BEGUN, ("reported", made_up, 103.0), ("reported", made_up, 104.0)]).ended(BY_THE_PROVIDER)

    assert summary.usage.more == {f"count_{n}": n for n in range(32)}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(), None),
        (Usage(cache_read_tokens=3), None),
        (Usage(input_tokens=7), 7),
        (Usage(input_tokens=7, cache_read_tokens=100, cache_write_tokens=50), 157),
    ],
)
def test_all_input_tokens(usage: Usage, expected: int | None) -> None:
    """Those read from the cache and written to it are input too; nothing is known without the count itself."""
    assert usage.all_input_tokens == expected


def test_a_second_start_of_the_same_answer_changes_nothing() -> None:
    """Its counts are counts like any others."""
    steps: list[Step] = [*TEXT_STOPPED, ("started", "resp_1", None, Usage(input_tokens=9), 106.0)]

    summary = played(steps).ended(BY_THE_READER)

    assert (summary.response_id, summary.model, summary.usage) == ("resp_1", "model-x", Usage(input_tokens=9))
    assert summary.fallback is None


def test_another_answer_begins_in_the_stream() -> None:
    """It is a fallback: its id, model and counts take the place of the first one's, whose open blocks are cut off."""
    state = played([*TEXT_WRITTEN, ("reported", Usage(output_tokens=5), 105.0), ("stopped", "done", False, 105.0)])

    [block_cut, fallback] = state.started("resp_2", "model-y", Usage(input_tokens=3))
    summary = state.ended(BY_THE_READER)

    assert isinstance(block_cut, ContentBlock)
    assert (block_cut.complete, block_cut.stopped) == (False, False)
    assert fallback == Fallback("model-x", "model-y", "second_message")
    assert (summary.response_id, summary.model, summary.usage) == ("resp_2", "model-y", Usage(input_tokens=3))
    assert (summary.stop_reason, summary.fallback, summary.fallback_count) == (None, fallback, 1)


def test_several_fallbacks_are_summed_up_from_the_first_model_to_the_last() -> None:
    """The trigger is the last one's."""
    state = played(TEXT_STOPPED)
    state.fell_back("model-x", "model-y", "refusal", "cyber")
    state.fell_back("model-y", None, "_OTHER")
    summary = state.ended(BY_THE_READER)

    assert (summary.fallback, summary.fallback_count) == (Fallback("model-x", None, "_OTHER"), 2)
    assert summary.model == "model-y"


def test_a_refusal_is_told_of_once_and_again_with_its_category() -> None:
    """Nothing is told of one that has a category already."""
    state = played(TEXT_STOPPED)
    told = [state.refused(category) for category in (None, None, "cyber", "bio")]

    assert told == [(Refusal(None),), (), (Refusal("cyber"),), ()]
    assert state.ended(BY_THE_READER).refusal == Refusal("cyber")


# --- blocks ------------------------------------------------------------------------------------------------------


def test_a_block_tells_of_itself_at_its_stop() -> None:
    """Start and duration are seconds, chars and chunks are the block's own."""
    state = played([*TEXT_STOPPED, ("block_started", block(1), 110.0), ("delta", "text", 1, "Bye", 111.0)])

    [stopped] = state.block_stopped(1, 113.0)

    assert stopped == ContentBlock(
        index=1, type="type of text", start=10.0, duration=3.0, chars=3, chunk_count=1, complete=True, tool_call=None
    )


@pytest.mark.parametrize(
    ("steps", "index"),
    [
        pytest.param(BEGUN, 0, id="never started"),
        pytest.param(TEXT_WRITTEN, 3, id="unknown index"),
        pytest.param(TEXT_WRITTEN, -1, id="no index"),
        pytest.param(TEXT_STOPPED, 0, id="stopped twice"),
    ],
)
def test_a_stop_without_an_open_block_tells_nothing(steps: Sequence[Step], index: int) -> None:
    """A stop that belongs to no open block is activity and nothing else."""
    assert played(steps).block_stopped(index, 120.0) == ()


@pytest.mark.parametrize(
    ("steps", "chars", "block_count"),
    [
        pytest.param([*BEGUN, ("delta", "text", 4, "other", 103.0)], 5, 0, id="never started"),
        pytest.param([*BEGUN, ("delta", "text", None, "other", 103.0)], 5, 0, id="no index"),
        pytest.param([*TEXT_STOPPED, ("delta", "text", 0, "other", 106.0)], 10, 1, id="stopped"),
    ],
)
def test_a_delta_without_an_open_block_counts_for_the_stream(
    steps: Sequence[Step], chars: int, block_count: int
) -> None:
    """Its chars were delivered, so they are counted, though they belong to no block."""
    summary = played(steps).ended(BY_THE_READER)

    assert (summary.chars["text"], summary.chunk_count) == (chars, chars // 5)
    assert (summary.block_count, cut_blocks(summary)) == (block_count, ())


def test_a_block_that_never_stops_is_cut_at_the_end() -> None:
    """An open block is told of at the end, as far as it came; the next block does not close it."""
    steps: list[Step] = [*TEXT_WRITTEN, *tool_steps('{"city": "Kö', stops=False)]

    summary = played(steps).ended(BY_THE_BODY)

    assert cut_blocks(summary) == (
        ContentBlock(
            index=0,
            type="type of text",
            start=3.0,
            duration=7.0,
            chars=5,
            chunk_count=1,
            complete=False,
            tool_call=None,
            stopped=False,
        ),
        ContentBlock(
            index=1,
            type="call",
            start=7.0,
            duration=3.0,
            chars=12,
            chunk_count=1,
            complete=False,
            tool_call=ToolCall("get_weather", "call_1", "call", 12, complete=False, valid_json=False),
            stopped=False,
        ),
    )


@pytest.mark.parametrize(
    ("tool_input", "cut", "counts"),
    [
        ('{"city": "Rome"}', False, (1, 0, 0)),
        ('{"city": "Ro', False, (0, 1, 0)),
        ("{city}", False, (0, 0, 1)),
        ("", False, (1, 0, 0)),
        ("", True, (0, 1, 0)),
    ],
)
def test_the_end_of_the_message_closes_its_blocks(tool_input: str, cut: bool, counts: tuple[int, int, int]) -> None:
    """A tool call whose input is whole is completed, and its block says that no stop of its own came."""
    state = played([*TEXT_STOPPED, *tool_steps(tool_input, stops=False), stop_reason("done", 106.0, cut=cut)])
    [closed] = state.message_ended(107.0)
    summary = state.ended(Ending("complete", 107.0))

    assert isinstance(closed, ContentBlock)
    assert (closed.complete, closed.stopped) == (True, False)
    assert (summary.tool_calls_completed, summary.tool_calls_incomplete, summary.tool_calls_invalid) == counts
    assert (summary.partial, cut_blocks(summary)) == (False, ())


def test_the_content_that_a_block_starts_with_is_its_first_chunk() -> None:
    """It has a time, chars and a kind like any other; a block of another kind has no such content."""
    state = played(BEGUN)
    facts = state.block_started(block(0), 103.0, "Hello")
    state.block_started(block(1, "other"), 104.0, "a result")
    summary = state.ended(BY_THE_PROVIDER)

    assert facts == (FirstToken("text", 3.0),)
    assert (summary.chunk_count, summary.chars["text"], summary.time_to_first_text) == (1, 5, 3.0)


def test_deltas_replace_the_input_that_a_tool_call_starts_with() -> None:
    """The SDK drops it, too; all that came counts."""
    state = played(BEGUN)
    state.block_started(block(0, "tool_call"), 103.0, '{"a":1}')
    state.delta("tool_input", 0, '{"b"', 104.0)
    state.delta("tool_input", 0, ":2}", 105.0)
    [stopped] = state.block_stopped(0, 106.0)
    summary = state.ended(BY_THE_PROVIDER)

    assert isinstance(stopped, ContentBlock)
    assert stopped.tool_call is not None
    assert (stopped.tool_call.complete, stopped.tool_call.input_chars) == (True, 7)
    assert (summary.chunk_count, summary.chars["tool_input"]) == (3, 14)


def test_an_index_that_is_reused_begins_a_block_of_its_own() -> None:
    """The second block of an index is counted, has its own chars, and cuts the first if that is open."""
    steps: list[Step] = [*TEXT_WRITTEN, ("block_started", block(0), 106.0), ("delta", "text", 0, "!", 107.0)]
    state = played(steps)

    [stopped] = state.block_stopped(0, 108.0)
    summary = state.ended(BY_THE_READER)

    assert stopped == ContentBlock(
        index=0, type="type of text", start=6.0, duration=2.0, chars=1, chunk_count=1, complete=True, tool_call=None
    )
    assert (summary.block_count, summary.chars["text"], cut_blocks(summary)) == (2, 6, ())


@pytest.mark.parametrize(("kind", "tool_calls"), [("text", 0), ("tool_call", 1000)])
def test_starts_without_stops_stay_bounded(kind: BlockKind, tool_calls: int) -> None:
    """A thousand open blocks are all counted, and few of them are kept."""
    starts: list[Step] = [("block_started", block(index, kind), 103.0) for index in range(1000)]

    summary = played([*BEGUN, *starts]).ended(BY_THE_BODY)

    assert summary.block_count == 1000
    assert tool_counts(summary) == counts(incomplete=tool_calls)
    assert len(cut_blocks(summary)) == OPEN_BLOCKS_AT_MOST


# --- tool calls --------------------------------------------------------------------------------------------------


def test_a_tool_call_tells_of_itself_at_its_stop() -> None:
    """Its name, its id, its type in the provider's words, and what its input came to."""
    state = played(
        [
            *BEGUN,
            ("block_started", BlockStart(0, "call_of_the_server", "tool_call", "search", "id_1"), 103.0),
            ("delta", "tool_input", 0, "{}", 104.0),
        ]
    )

    [stopped] = state.block_stopped(0, 105.0)

    assert stopped == ContentBlock(
        index=0,
        type="call_of_the_server",
        start=3.0,
        duration=2.0,
        chars=2,
        chunk_count=1,
        complete=True,
        tool_call=ToolCall("search", "id_1", "call_of_the_server", 2, complete=True, valid_json=True),
    )


@pytest.mark.parametrize("kind", ["text", "thinking", "hidden_thinking", "other"])
def test_other_blocks_are_no_tool_calls(kind: BlockKind) -> None:
    """Whatever they contain."""
    steps: list[Step] = [("block_started", block(0, kind), 103.0), ("delta", "tool_input", 0, "{}", 104.0)]

    summary = played([*BEGUN, *steps, ("block_stopped", 0, 105.0)]).ended(BY_THE_BODY)

    assert tool_counts(summary) == counts()


@pytest.mark.parametrize(
    ("tool_input", "stops", "expected"),
    [
        pytest.param('{"city": "Rome"}', True, counts(completed=1), id="whole"),
        pytest.param("", True, counts(completed=1), id="no input stands for an empty one"),
        pytest.param('{"city": "Ro', True, counts(incomplete=1), id="stopped with half the input"),
        pytest.param('{"city": "Ro', False, counts(incomplete=1), id="cut by the end"),
        pytest.param('{"city": "Rome"}', False, counts(incomplete=1), id="whole input, cut before its stop"),
        pytest.param("", False, counts(incomplete=1), id="cut before its input"),
        pytest.param('{"days": [1, 2}}', True, counts(invalid=1), id="what the SDK repairs"),
        pytest.param('{"city": Rome}', True, counts(invalid=1), id="what the SDK raises for"),
        pytest.param('{"city": Ro', False, counts(invalid=1), id="invalid, and cut by the end"),
    ],
)
def test_tool_calls(tool_input: str, stops: bool, expected: dict[str, int]) -> None:
    """A tool call is completed at its stop with whole JSON; else it is incomplete, or no text could have saved it."""
    summary = played([*BEGUN, *tool_steps(tool_input, stops=stops)]).ended(BY_THE_READER)

    assert tool_counts(summary) == expected


CUT = stop_reason("length", 110.0, cut=True)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([*tool_steps(""), CUT], counts(incomplete=1), id="cut"),
        pytest.param([*tool_steps(""), ("reported", Usage(), 110.0), CUT], counts(incomplete=1), id="cut, said later"),
        pytest.param([*tool_steps(""), CUT, CUT], counts(incomplete=1), id="cut, said twice"),
        pytest.param([*tool_steps(""), stop_reason("done", 110.0)], counts(completed=1), id="not cut"),
        pytest.param([*tool_steps(""), stop_reason("done", 110.0), CUT], counts(completed=1), id="the first counts"),
        pytest.param([*tool_steps("{}"), CUT], counts(completed=1), id="whole input before the cut"),
        pytest.param([*tool_steps('{"a'), CUT], counts(incomplete=1), id="half the input before the cut"),
        pytest.param([*tool_steps("", stops=False), CUT], counts(incomplete=1), id="cut before its stop"),
        pytest.param([*tool_steps("SELECT 1", is_plain=True), CUT], counts(incomplete=1), id="plain input"),
        pytest.param([*tool_steps(""), *tool_steps("{}", index=2), CUT], counts(completed=2), id="not the last block"),
        pytest.param(
            [*tool_steps("{}"), *tool_steps("", index=2), CUT],
            counts(completed=1, incomplete=1),
            id="the last of two",
        ),
        pytest.param(
            [*tool_steps(""), ("block_started", block(2), 109.5), ("block_stopped", 2, 109.5), CUT],
            counts(completed=1),
            id="a text after it",
        ),
    ],
)
def test_a_tool_call_before_a_cut(steps: Sequence[Step], expected: dict[str, int]) -> None:
    """No input stands for an empty one, and plain input is whole, unless the model was cut there: in its last block."""
    summary = played([*BEGUN, *steps]).ended(BY_THE_PROVIDER)

    assert tool_counts(summary) == expected


# --- silences ----------------------------------------------------------------------------------------------------


def test_a_stall_may_end_with_a_chunk_or_with_another_event() -> None:
    """It is told once more has come than what ends it; the silence before the first chunk is none.

    Here that is a chunk 4 s later, and for the second stall the end.
    """
    state = StreamState(CALLED_AT, stall_seconds=5.0)
    state.opened(101.0)
    state.block_started(block(0), 101.0)

    facts = [
        state.event(20.0, 121.0),
        state.delta("text", 0, "a", 131.0, 10.0),
        state.delta("text", 0, "b", 136.0, 5.0),
        state.delta("text", 0, "c", 140.0, 4.0),
        state.event(6.0, 146.0),
    ]

    assert facts == [
        (),
        (FirstToken("text", 31.0),),
        (),
        (Stall(31.0, 5.0, "text", released=1),),
        (),
    ]
    assert state.ended(BY_THE_READER).at_the_end[0] == Stall(40.0, 6.0, "text", released=0)


@pytest.mark.parametrize(
    ("reports_chunks", "expected"), [(False, [(), (), ()]), (True, [(Interval(1.0),), (), (Interval(2.5),)])]
)
def test_intervals_are_told_where_asked(reports_chunks: bool, expected: list[tuple[Report, ...]]) -> None:
    """The time from one chunk to the next; other events between the two do not matter."""
    state = StreamState(CALLED_AT, stall_seconds=inf, reports_chunks=reports_chunks)
    state.opened(101.0)
    first = state.delta("text", 0, "a", 102.0)

    facts = [state.delta("text", 0, "b", 103.0), state.event(0.0, 104.0), state.delta("thinking", 1, "c", 105.5)]

    assert first == (FirstToken("text", 2.0),)
    assert facts == expected


# --- while it is open --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "is_open", "has_blocks", "last_at"),
    [
        pytest.param([], False, False, 100.0, id="called"),
        pytest.param([OPENED], True, False, 101.0, id="headers"),
        pytest.param(BEGUN, True, False, 102.0, id="started"),
        pytest.param(TEXT_STARTED, True, True, 103.0, id="block started"),
        pytest.param(TEXT_WRITTEN, True, True, 104.0, id="chunk"),
        pytest.param(TEXT_STOPPED, True, True, 105.0, id="block stopped"),
    ],
)
def test_what_is_known_while_it_is_open(steps: Sequence[Step], is_open: bool, has_blocks: bool, last_at: float) -> None:
    """Whether the headers have come, whether a block has, and when something last did."""
    state = played(steps)

    assert (state.is_open, state.has_blocks, state.last_at) == (is_open, has_blocks, last_at)


def test_the_summary_so_far_counts_the_chunks_that_wait() -> None:
    """It has no outcome, counts open blocks and the chunks not handed over yet, and changes nothing."""
    state = played([*TEXT_STOPPED, ("delta", "thinking", 1, "Hm", 106.0)])
    before = state.so_far(108.0)

    so_far = state.so_far(108.0, ["ab", "c"])

    assert (so_far.outcome, so_far.abort_reason, so_far.partial, so_far.duration) == (None, None, True, 8.0)
    assert (so_far.chunk_count, so_far.chars) == (4, {"text": 5, "thinking": 5, "tool_input": 0})
    assert so_far.at_the_end == ()
    assert state.so_far(108.0) == before


# --- whatever the stream -----------------------------------------------------------------------------------------

TOOL_INPUTS = st.text() | st.dictionaries(st.text(), st.integers() | st.text()).map(json.dumps)
WITH_TEXT: list[BlockKind] = ["text", "thinking"]
WITHOUT_TEXT: list[BlockKind] = ["hidden_thinking", "other"]
TOOL_CALL: list[BlockKind] = ["tool_call"]
BLOCKS: st.SearchStrategy[Sequence[tuple[BlockKind, str | None]]] = st.lists(
    st.tuples(st.sampled_from(WITH_TEXT), st.text())
    | st.tuples(st.sampled_from(TOOL_CALL), TOOL_INPUTS)
    | st.tuples(st.sampled_from(WITHOUT_TEXT), st.none()),
    max_size=5,
)
Pieces = Sequence[str]


def answer(blocks: Sequence[tuple[BlockKind, Pieces]], *, cut: bool) -> list[Step]:
    """A whole answer up to its end; all deltas of a block arrive at one time."""
    steps = list(BEGUN)
    for index, (kind, pieces) in enumerate(blocks):
        at = 110.0 + 10 * index
        delta_kind = "tool_input" if kind == "tool_call" else kind
        steps.append(("block_started", block(index, kind), at))
        steps += [("delta", delta_kind, index, piece, at + 1) for piece in pieces]
        steps.append(("block_stopped", index, at + 2))
    return [*steps, ("reported", Usage(output_tokens=20), 900.0), stop_reason("done", 900.0, cut=cut)]


@st.composite
def cut_answers(draw: st.DrawFn) -> tuple[list[Step], list[Step]]:
    """One answer twice: each block in one delta, and in any number of them."""
    blocks = draw(BLOCKS)
    is_cut = draw(st.booleans())
    pieces: list[tuple[BlockKind, Pieces]] = [(kind, _pieces(draw, text)) for kind, text in blocks]
    whole: list[tuple[BlockKind, Pieces]] = [(kind, [] if text is None else [text]) for kind, text in blocks]
    return answer(whole, cut=is_cut), answer(pieces, cut=is_cut)


def _pieces(draw: st.DrawFn, text: str | None) -> list[str]:
    if text is None:
        return []
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def without_chunk_counts(facts: Iterable[Report], summary: Summary) -> tuple[object, ...]:
    """All that a stream tells of itself, its blocks too, but for what depends on its chunks."""
    told = [replace(fact, chunk_count=0) if isinstance(fact, ContentBlock) else fact for fact in facts]
    cut = tuple(replace(cut_block, chunk_count=0) for cut_block in cut_blocks(summary))
    return told, summary._replace(
        chunk_count=0, at_the_end=cut, pace=Pace(), rebuffer=None, time_per_output_token=None, keepalive_count=0
    )


def one_by_one(steps: Iterable[Step], ending: Ending) -> tuple[list[Report], Summary]:
    state = StreamState(CALLED_AT)
    facts = [fact for step in steps for fact in done(state, step)]
    return facts, state.ended(ending)


def in_batches(steps: Iterable[Step], ending: Ending) -> tuple[list[Report], Summary]:
    """The same steps, through a reader that hands chunks over together."""
    state = StreamState(CALLED_AT)
    reader = Reader(state)
    facts: list[Report] = []
    for step in steps:
        if step[0] == "delta":
            _, kind, index, text, at = step
            facts += reader.chunk(kind, index, text, 0.0, at)  # type: ignore[arg-type]
        else:
            facts += reader.step(step)
    return facts, reader.ended(ending)


ENDINGS = st.builds(
    Ending,
    st.sampled_from(["complete", "truncated", "error", "unobserved", "closed", "dropped", "shutdown"]),
    st.none() | st.just(1000.0),
    st.none(),
)


@given(cut_answers(), ENDINGS)
def test_the_cuts_do_not_matter(answers: tuple[list[Step], list[Step]], ending: Ending) -> None:
    """However the text of an answer is cut into deltas, the stream is the same but for what depends on its chunks."""
    whole, cut = answers

    assert without_chunk_counts(*one_by_one(cut, ending)) == without_chunk_counts(*one_by_one(whole, ending))


@given(cut_answers(), st.data(), ENDINGS)
def test_batches_do_not_matter(answers: tuple[list[Step], list[Step]], data: st.DataObject, ending: Ending) -> None:
    """Wherever an answer is cut, it is the same whether its chunks are handed over one by one or together."""
    _, whole = answers
    steps = whole[: data.draw(st.integers(0, len(whole)))]
    facts, summary = in_batches(steps, ending)

    assert (facts, summary._replace(pace=Pace())) == (
        one_by_one(steps, ending)[0],
        one_by_one(steps, ending)[1]._replace(pace=Pace()),
    )


def expected_outcome(verdict: Verdict, has_stop_reason: bool) -> Outcome | None:
    outcomes: dict[Verdict, Outcome | None] = {
        "complete": "complete",
        "truncated": "truncated",
        "error": "error",
        "unobserved": None,
    }
    return outcomes.get(verdict, "complete" if has_stop_reason else "aborted")


def named(steps: Iterable[Step], verb: str) -> list[Step]:
    return [step for step in steps if step[0] == verb]


def with_content(deltas: Iterable[Step]) -> list[Step]:
    return [step for step in deltas if step[3]]


def kinds(starts: Iterable[Step]) -> list[BlockKind]:
    return [start.kind for _, start, *_ in starts if isinstance(start, BlockStart)]


@given(cut_answers(), st.data(), ENDINGS)
def test_any_start_of_an_answer_has_an_end(
    answers: tuple[list[Step], list[Step]], data: st.DataObject, ending: Ending
) -> None:
    """Wherever an answer is cut, its summary says how it ended, what was delivered and what was cut."""
    _, whole = answers
    steps = whole[: data.draw(st.integers(0, len(whole)))]
    has_stop_reason = bool(named(steps, "stopped"))
    started, stopped = named(steps, "block_started"), named(steps, "block_stopped")
    deltas = named(steps, "delta")
    last_at = steps[-1][-1] if steps else CALLED_AT
    tool_calls = kinds(started).count("tool_call")

    summary = played(steps).ended(ending)

    assert {
        "outcome": summary.outcome,
        "partial": summary.partial,
        "end": summary.duration + CALLED_AT,
        "chunks": summary.chunk_count,
        "chars": sum(summary.chars.values()),
        "blocks": summary.block_count,
        "cut blocks": [(cut_block.index, cut_block.complete) for cut_block in cut_blocks(summary)],
        "tool calls": summary.tool_call_count,
        "tool calls by their end": sum(tool_counts(summary).values()) - summary.tool_call_count,
    } == {
        "outcome": expected_outcome(ending.verdict, has_stop_reason),
        "partial": not has_stop_reason,
        "end": last_at if ending.at is None else ending.at,
        "chunks": len(with_content(deltas)),
        "chars": sum(len(str(step[3])) for step in deltas),
        "blocks": len(started),
        "cut blocks": [(index, False) for index in range(len(stopped), len(started))],
        "tool calls": tool_calls,
        "tool calls by their end": tool_calls,
    }


INDEXES = st.integers(-1, 3)
VERBS = st.one_of(
    st.tuples(st.just("opened"), st.just(105.0)),
    st.tuples(st.just("event"), st.just(105.0)),
    st.tuples(st.just("finished"), st.just(105.0)),
    st.tuples(st.just("started"), st.none() | st.just("resp_1"), st.none(), st.just(Usage()), st.just(105.0)),
    st.tuples(
        st.just("block_started"),
        st.builds(block, INDEXES, st.sampled_from(["text", "thinking", "hidden_thinking", "tool_call", "other"])),
        st.just(105.0),
    ),
    st.tuples(
        st.just("delta"),
        st.sampled_from(["text", "thinking", "tool_input"]),
        INDEXES | st.none(),
        st.sampled_from(["", "{", "}", '"', "x"]),
        st.just(105.0),
    ),
    st.tuples(st.just("block_stopped"), INDEXES | st.none(), st.just(105.0)),
    st.tuples(st.just("reported"), st.just(Usage()), st.just(105.0)),
    st.tuples(st.just("stopped"), st.sampled_from(["done", "length"]), st.booleans(), st.just(105.0)),
)


@given(st.lists(VERBS, max_size=40), ENDINGS)
def test_any_order_of_events_has_an_end(steps: list[Step], ending: Ending) -> None:
    """Events in any order, as no provider should send them: all that was delivered counts, each tool call ends once."""
    summary = played(steps).ended(ending)
    has_stop_reason = bool(named(steps, "stopped"))
    tool_calls = kinds(named(steps, "block_started")).count("tool_call")
    deltas = named(steps, "delta")
    by_their_end = (summary.tool_calls_completed, summary.tool_calls_incomplete, summary.tool_calls_invalid)

    assert summary.outcome == expected_outcome(ending.verdict, has_stop_reason)
    assert summary.partial == (not has_stop_reason or bool(cut_blocks(summary)))
    assert summary.chunk_count == len(with_content(deltas))
    assert sum(summary.chars.values()) == sum(len(str(step[3])) for step in deltas)
    assert (summary.tool_call_count, sum(by_their_end)) == (tool_calls, tool_calls)
    assert min(by_their_end) >= 0


@given(st.lists(VERBS, max_size=40), ENDINGS)
def test_any_order_of_events_in_batches(steps: list[Step], ending: Ending) -> None:
    """Chunks that are handed over together count as those that are handed over one by one, whatever comes between."""
    facts, summary = in_batches(steps, ending)

    assert (facts, summary._replace(pace=Pace())) == (
        one_by_one(steps, ending)[0],
        one_by_one(steps, ending)[1]._replace(pace=Pace()),
    )


def test_chars_count_by_the_kind_of_their_delta() -> None:
    """A block whose deltas change their kind, and deltas of no block, are counted under what they carry."""
    state = StreamState(CALLED_AT)
    state.opened(101.0)
    state.delta("thinking", 0, "aa", 102.0)
    state.delta("text", 1, "bbb", 103.0)
    summary = state.ended(Ending("truncated", 104.0))

    assert (summary.chars, summary.time_to_first_text) == ({"text": 3, "thinking": 2, "tool_input": 0}, 3.0)
