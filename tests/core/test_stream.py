"""The rules at the head of `core/stream.py`, one by one, on a clock of the test's own; then what holds for any stream.

A step is the name of a verb and its arguments. Every stream is called at 100.0.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.model import (
    AbortReason,
    ContentBlock,
    Ending,
    EndKind,
    Fact,
    FirstToken,
    Outcome,
    Pace,
    Phase,
    Summary,
    ToolCall,
    Usage,
)
from streamspan.core.stream import StreamState

Step = tuple[object, ...]

CALLED_AT = 100.0
OPEN_BLOCKS_AT_MOST = 64

OPENED: Step = ("opened", 101.0)
BEGUN: list[Step] = [OPENED, ("message_started", "msg_1", "claude-x", Usage(input_tokens=7), 102.0)]
TEXT_STARTED: list[Step] = [*BEGUN, ("block_started", 0, "text", 103.0)]
TEXT_WRITTEN: list[Step] = [*TEXT_STARTED, ("delta", "text", 0, "Hello", 104.0)]
TEXT_STOPPED: list[Step] = [*TEXT_WRITTEN, ("block_stopped", 0, 105.0)]
STOP_REASON: Step = ("message_delta", "end_turn", Usage(output_tokens=20), 106.0)
WHOLE: list[Step] = [*TEXT_STOPPED, STOP_REASON]
STOPPED_WITH_AN_OPEN_BLOCK: list[Step] = [*TEXT_WRITTEN, STOP_REASON]

BY_THE_MESSAGE = Ending("message_stop", 110.0)
BY_THE_BODY = Ending("body_end", 110.0, error_type="stream_truncated")
BY_A_FAILURE = Ending("failure", 110.0, error_type="overloaded_error")
BY_THE_READER = Ending("reader_left", 110.0, "closed")
UNOBSERVED = Ending("unobserved", 110.0)


def played(steps: Iterable[Step]) -> StreamState:
    state = StreamState(CALLED_AT)
    for step in steps:
        done(state, step)
    return state


def done(state: StreamState, step: Step) -> tuple[Fact, ...]:
    """What the step tells."""
    verb, *arguments = step
    told = getattr(state, str(verb))(*arguments)
    return told or ()


def cut_blocks(summary: Summary) -> tuple[ContentBlock, ...]:
    return tuple(fact for fact in summary.at_the_end if isinstance(fact, ContentBlock))


def tool_steps(tool_input: str, *, stops: bool = True, index: int = 1) -> list[Step]:
    """A tool call that writes its input in one delta; none for an empty one."""
    started: Step = ("block_started", index, "tool_use", 107.0, "get_weather", "toolu_1")
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

    summary = played([*steps, ("message_delta", "tool_use", Usage(output_tokens=20), 109.5)]).ended(BY_THE_MESSAGE)

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
        message_id="msg_1",
        model="claude-x",
        stop_reason="tool_use",
        usage=Usage(input_tokens=7, output_tokens=20),
        pace=Pace(gap_p50=0.0, gap_p95=0.0, gap_max=0.0, provider_time=0.0, consumer_time=6.0, tool_call_pause=0.0),
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
    summary = StreamState(CALLED_AT).ended(Ending("failure", 100.5, error_type="connection_error"))

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
        message_id=None,
        model=None,
        stop_reason=None,
        usage=Usage(),
        pace=Pace(),
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
        pytest.param([], BY_A_FAILURE, ("error", True, None, "overloaded_error"), id="failed to open"),
        pytest.param([], UNOBSERVED, (None, True, None, None), id="no response to watch"),
        pytest.param([OPENED], BY_THE_BODY, ("truncated", True, None, "stream_truncated"), id="empty body"),
        pytest.param([OPENED], BY_THE_READER, ("aborted", True, "closed", None), id="left unread"),
        pytest.param([OPENED], UNOBSERVED, (None, True, None, None), id="read as bytes"),
        pytest.param(TEXT_WRITTEN, BY_THE_BODY, ("truncated", True, None, "stream_truncated"), id="cut in the text"),
        pytest.param(TEXT_WRITTEN, BY_A_FAILURE, ("error", True, None, "overloaded_error"), id="failed in the text"),
        pytest.param(TEXT_WRITTEN, BY_THE_READER, ("aborted", True, "closed", None), id="left in the text"),
        pytest.param(TEXT_STOPPED, BY_THE_READER, ("aborted", True, "closed", None), id="left behind the text"),
        pytest.param(TEXT_STOPPED, BY_THE_MESSAGE, ("complete", True, None, None), id="stopped without a stop reason"),
        pytest.param(WHOLE, BY_THE_MESSAGE, ("complete", False, None, None), id="whole"),
        pytest.param(WHOLE, BY_THE_READER, ("complete", False, None, None), id="left behind the stop reason"),
        pytest.param(
            WHOLE, BY_THE_BODY, ("truncated", False, None, "stream_truncated"), id="cut behind the stop reason"
        ),
        pytest.param(
            WHOLE, BY_A_FAILURE, ("error", False, None, "overloaded_error"), id="failed behind the stop reason"
        ),
        pytest.param(WHOLE, UNOBSERVED, (None, False, None, None), id="not observed to the end"),
        pytest.param(
            STOPPED_WITH_AN_OPEN_BLOCK, BY_THE_MESSAGE, ("complete", True, None, None), id="a block never closed"
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
    summary = played(TEXT_WRITTEN).ended(Ending("reader_left", None, reason))

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
            [*BEGUN, ("block_started", 0, "thinking", 103.0), ("delta", "thinking", 0, "Hm", 104.0)],
            "thinking",
            id="thinking",
        ),
        pytest.param(TEXT_STOPPED, "between_blocks", id="block stopped"),
        pytest.param([*TEXT_STOPPED, ("block_started", 1, "thinking", 106.0)], "thinking", id="next block started"),
        pytest.param(
            [*TEXT_STOPPED, ("block_started", 1, "redacted_thinking", 106.0)], "thinking", id="redacted thinking"
        ),
        pytest.param([*TEXT_STOPPED, *tool_steps("", stops=False)], "tool_input", id="tool call started"),
        pytest.param([*TEXT_STOPPED, *tool_steps("{", stops=False)], "tool_input", id="tool input"),
        pytest.param(
            [*TEXT_STOPPED, ("block_started", 1, "mcp_tool_use", 106.0)], "tool_input", id="tool call of a server"
        ),
        pytest.param(
            [*TEXT_STOPPED, ("block_started", 1, "web_search_tool_result", 106.0)], "between_blocks", id="tool result"
        ),
        pytest.param([*TEXT_STOPPED, ("touched", 106.0)], "between_blocks", id="something unknown"),
        pytest.param([*TEXT_STOPPED, ("message_delta", None, Usage(), 106.0)], "between_blocks", id="no stop reason"),
        pytest.param(WHOLE, "after_stop_reason", id="stop reason"),
        pytest.param(STOPPED_WITH_AN_OPEN_BLOCK, "after_stop_reason", id="stop reason, block open"),
        pytest.param([OPENED, STOP_REASON], "after_stop_reason", id="stop reason, no delta"),
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
        ("message_started", "msg_1", "claude-x", Usage(), 120.0),
        ("block_started", 5, "text", 120.0),
        ("delta", "text", 0, "", 120.0),
        ("block_stopped", 0, 120.0),
        ("block_stopped", 9, 120.0),
        ("message_delta", None, Usage(), 120.0),
        ("touched", 120.0),
    ],
)
def test_the_end_of_a_dropped_stream_is_its_last_activity(last_step: Step) -> None:
    """Where nobody knows when a stream was left, everything that arrived counts as activity."""
    steps = [OPENED, ("block_started", 0, "text", 102.0), last_step]

    assert played(steps).ended(Ending("reader_left", None, "dropped")).duration == 20.0


@pytest.mark.parametrize(("steps", "expected"), [([], 0.0), ([OPENED], 1.0), (TEXT_WRITTEN, 4.0), (WHOLE, 6.0)])
def test_the_end_is_never_the_moment_of_the_finalizer(steps: Sequence[Step], expected: float) -> None:
    """A dropped stream lasted until its last activity; one that never opened lasted no time."""
    assert played(steps).ended(Ending("reader_left", None, "dropped")).duration == expected


def test_a_closed_connection_is_told() -> None:
    """That the connection was given back is said at the end, and is no activity of the stream."""
    steps: list[Step] = [*TEXT_WRITTEN, ("connection_closed",)]

    summary = played(steps).ended(Ending("reader_left", None, "dropped"))

    assert (summary.connection_closed, summary.duration) == (True, 4.0)


# --- chunks and clocks -------------------------------------------------------------------------------------------


def test_the_first_chunk_is_the_first_delta_of_any_kind() -> None:
    """Thinking and tool input are chunks, headers, a message and a block are none; text may come much later."""
    steps: list[Step] = [
        *BEGUN,
        ("block_started", 0, "thinking", 103.0),
        ("touched", 103.5),
        ("delta", "thinking", 0, "Hm", 104.0),
        ("block_stopped", 0, 105.0),
        ("block_started", 1, "text", 130.0),
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
    state.block_started(0, "thinking", 103.0)
    state.block_started(1, "text", 103.0)

    firsts = [
        state.delta("thinking", 0, "a", 104.0),
        state.delta("thinking", 0, "b", 105.0),
        state.delta("text", 1, "c", 106.0),
    ]

    assert firsts == [(FirstToken("thinking", 4.0),), (), ()]


def test_chars_are_code_points_of_their_channel() -> None:
    """Chars are counted by the kind of the delta; what lies beyond the basic plane or combines is one for each."""
    steps: list[Step] = [
        *BEGUN,
        ("block_started", 0, "thinking", 103.0),
        ("delta", "thinking", 0, "🤔", 104.0),
        ("block_stopped", 0, 105.0),
        ("block_started", 1, "text", 105.0),
        ("delta", "text", 1, "e\u0301\u00e9", 106.0),
        ("delta", "text", 1, "", 106.0),
        ("block_stopped", 1, 107.0),
        *tool_steps('{"é": 1}', index=2),
    ]

    summary = played(steps).ended(BY_THE_READER)

    assert (summary.chars, summary.chunk_count) == ({"text": 3, "thinking": 1, "tool_input": 8}, 4)


# --- the message and its usage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("started", "deltas", "expected"),
    [
        pytest.param(
            Usage(input_tokens=7, cache_read_tokens=3, cache_write_tokens=2, output_tokens=5, reasoning_tokens=4),
            [],
            Usage(input_tokens=7, cache_read_tokens=3, cache_write_tokens=2),
            id="the output counts of message_start are placeholders",
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
            Usage(input_tokens=0, cache_read_tokens=0, output_tokens=0),
            id="zero is a count",
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
        pytest.param(Usage(), [], Usage(), id="nothing is known"),
    ],
)
def test_usage(started: Usage, deltas: Sequence[Usage], expected: Usage) -> None:
    """The usage at the end is what was said last of each count."""
    message_deltas: list[Step] = [("message_delta", None, usage, 103.0) for usage in deltas]
    steps: list[Step] = [OPENED, ("message_started", "msg_1", "claude-x", started, 102.0), *message_deltas]

    assert played(steps).ended(BY_THE_READER).usage == expected


def test_usage_behind_the_stop_reason_counts() -> None:
    """A second message_delta, with counts and no stop reason, replaces the counts and keeps the reason."""
    summary = played([*WHOLE, ("message_delta", None, Usage(output_tokens=21), 107.0)]).ended(BY_THE_MESSAGE)

    assert (summary.stop_reason, summary.usage) == ("end_turn", Usage(input_tokens=7, output_tokens=21))


def test_a_second_message_in_the_stream_does_not_change_whose_it_is() -> None:
    """The first message's id and model stay; its counts are replaced like any others."""
    steps: list[Step] = [*TEXT_STOPPED, ("message_started", "msg_2", "claude-y", Usage(input_tokens=9), 106.0)]

    summary = played(steps).ended(BY_THE_READER)

    assert (summary.message_id, summary.model, summary.usage) == ("msg_1", "claude-x", Usage(input_tokens=9))


# --- blocks ------------------------------------------------------------------------------------------------------


def test_a_block_tells_of_itself_at_its_stop() -> None:
    """Start and duration are seconds, chars and chunks are the block's own."""
    state = played([*TEXT_STOPPED, ("block_started", 1, "text", 110.0), ("delta", "text", 1, "Bye", 111.0)])

    [block] = state.block_stopped(1, 113.0)

    assert block == ContentBlock(
        index=1, type="text", start=10.0, duration=3.0, chars=3, chunk_count=1, complete=True, tool_call=None
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


def test_a_delta_without_an_open_block_counts_for_the_stream() -> None:
    """Its chars were delivered, so they are counted, though they belong to no block."""
    summary = played([*BEGUN, ("delta", "text", 4, "stray", 103.0)]).ended(BY_THE_READER)

    assert (summary.chars["text"], summary.chunk_count, summary.block_count, cut_blocks(summary)) == (5, 1, 0, ())


def test_a_block_that_never_stops_is_cut_at_the_end() -> None:
    """An open block is told of at the end, as far as it came; the next block does not close it."""
    steps: list[Step] = [*TEXT_WRITTEN, *tool_steps('{"city": "Kö', stops=False)]

    summary = played(steps).ended(BY_THE_BODY)

    assert cut_blocks(summary) == (
        ContentBlock(
            index=0, type="text", start=3.0, duration=7.0, chars=5, chunk_count=1, complete=False, tool_call=None
        ),
        ContentBlock(
            index=1,
            type="tool_use",
            start=7.0,
            duration=3.0,
            chars=12,
            chunk_count=1,
            complete=False,
            tool_call=ToolCall("get_weather", "toolu_1", "tool_use", 12, complete=False, valid_json=False),
        ),
    )


def test_an_index_that_is_reused_begins_a_block_of_its_own() -> None:
    """The second block of an index is counted, has its own chars, and cuts the first if that is open."""
    steps: list[Step] = [*TEXT_WRITTEN, ("block_started", 0, "text", 106.0), ("delta", "text", 0, "!", 107.0)]
    state = played(steps)

    [block] = state.block_stopped(0, 108.0)
    summary = state.ended(BY_THE_READER)

    assert block == ContentBlock(
        index=0, type="text", start=6.0, duration=2.0, chars=1, chunk_count=1, complete=True, tool_call=None
    )
    assert (summary.block_count, summary.chars["text"], cut_blocks(summary)) == (2, 6, ())


@pytest.mark.parametrize(("block_type", "tool_calls"), [("text", 0), ("tool_use", 1000)])
def test_starts_without_stops_stay_bounded(block_type: str, tool_calls: int) -> None:
    """A thousand open blocks are all counted, and few of them are kept."""
    starts: list[Step] = [("block_started", index, block_type, 103.0) for index in range(1000)]

    summary = played([*BEGUN, *starts]).ended(BY_THE_BODY)

    assert summary.block_count == 1000
    assert tool_counts(summary) == counts(incomplete=tool_calls)
    assert len(cut_blocks(summary)) == OPEN_BLOCKS_AT_MOST


# --- tool calls --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_type", ["tool_use", "server_tool_use", "mcp_tool_use", "some_new_tool_use"])
def test_every_kind_of_tool_call_is_one(block_type: str) -> None:
    """A tool call is a block whose type ends in `tool_use`: of the client, of a server, of what is to come."""
    state = played(
        [*BEGUN, ("block_started", 0, block_type, 103.0, "search", "id_1"), ("delta", "tool_input", 0, "{}", 104.0)]
    )

    [block] = state.block_stopped(0, 105.0)

    assert block == ContentBlock(
        index=0,
        type=block_type,
        start=3.0,
        duration=2.0,
        chars=2,
        chunk_count=1,
        complete=True,
        tool_call=ToolCall("search", "id_1", block_type, 2, complete=True, valid_json=True),
    )


@pytest.mark.parametrize("block_type", ["text", "web_search_tool_result", "tool_use_result", "unknown"])
def test_other_blocks_are_no_tool_calls(block_type: str) -> None:
    """The result of a tool is no call of one."""
    summary = played([*BEGUN, ("block_started", 0, block_type, 103.0), ("block_stopped", 0, 104.0)]).ended(BY_THE_BODY)

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


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param(
            [*tool_steps(""), ("message_delta", "max_tokens", Usage(), 110.0)],
            counts(incomplete=1),
            id="cut by max_tokens",
        ),
        pytest.param(
            [*tool_steps(""), ("message_delta", "model_context_window_exceeded", Usage(), 110.0)],
            counts(incomplete=1),
            id="cut by the context window",
        ),
        pytest.param(
            [*tool_steps(""), ("message_delta", None, Usage(), 110.0), ("message_delta", "max_tokens", Usage(), 111.0)],
            counts(incomplete=1),
            id="cut, told in the second message_delta",
        ),
        pytest.param(
            [*tool_steps(""), *[("message_delta", "max_tokens", Usage(), 110.0)] * 2],
            counts(incomplete=1),
            id="cut, told twice",
        ),
        pytest.param(
            [*tool_steps(""), ("message_delta", "tool_use", Usage(), 110.0)], counts(completed=1), id="not cut"
        ),
        pytest.param(
            [*tool_steps("{}"), ("message_delta", "max_tokens", Usage(), 110.0)],
            counts(completed=1),
            id="whole input before max_tokens",
        ),
        pytest.param(
            [*tool_steps('{"a'), ("message_delta", "max_tokens", Usage(), 110.0)],
            counts(incomplete=1),
            id="half the input before max_tokens",
        ),
        pytest.param(
            [*tool_steps(""), *tool_steps("{}", index=2), ("message_delta", "max_tokens", Usage(), 110.0)],
            counts(completed=2),
            id="not the last block",
        ),
        pytest.param(
            [*tool_steps("{}"), *tool_steps("", index=2), ("message_delta", "max_tokens", Usage(), 110.0)],
            counts(completed=1, incomplete=1),
            id="the last of two",
        ),
    ],
)
def test_a_tool_call_without_input_before_max_tokens(steps: Sequence[Step], expected: dict[str, int]) -> None:
    """No input stands for an empty one, unless the model was cut before it could write any: in its last block."""
    summary = played([*BEGUN, *steps]).ended(BY_THE_MESSAGE)

    assert tool_counts(summary) == expected


# --- whatever the stream -----------------------------------------------------------------------------------------

TOOL_INPUTS = st.text() | st.dictionaries(st.text(), st.integers() | st.text()).map(json.dumps)
BLOCKS = st.lists(
    st.tuples(st.sampled_from(["text"]), st.text())
    | st.tuples(st.sampled_from(["thinking"]), st.text())
    | st.tuples(st.sampled_from(["tool_use", "server_tool_use", "mcp_tool_use"]), TOOL_INPUTS)
    | st.tuples(st.sampled_from(["redacted_thinking", "web_search_tool_result"]), st.none()),
    max_size=5,
)
Pieces = Sequence[str]


def message(blocks: Sequence[tuple[str, Pieces]], stop_reason: str) -> list[Step]:
    """A whole message up to its `message_stop`; all deltas of a block arrive at one time."""
    steps = list(BEGUN)
    for index, (block_type, pieces) in enumerate(blocks):
        at = 110.0 + 10 * index
        kind = "tool_input" if block_type.endswith("tool_use") else block_type
        steps.append(("block_started", index, block_type, at))
        steps += [("delta", kind, index, piece, at + 1) for piece in pieces]
        steps.append(("block_stopped", index, at + 2))
    return [*steps, ("message_delta", stop_reason, Usage(output_tokens=20), 900.0)]


@st.composite
def cut_messages(draw: st.DrawFn) -> tuple[list[Step], list[Step]]:
    """One message twice: each block in one delta, and in any number of them."""
    blocks = draw(BLOCKS)
    stop_reason = draw(st.sampled_from(["end_turn", "tool_use", "max_tokens"]))
    cut = [(block_type, _pieces(draw, text)) for block_type, text in blocks]
    whole = [(block_type, [] if text is None else [text]) for block_type, text in blocks]
    return message(whole, stop_reason), message(cut, stop_reason)


def _pieces(draw: st.DrawFn, text: str | None) -> list[str]:
    if text is None:
        return []
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def without_chunk_counts(state: StreamState, steps: Sequence[Step], ending: Ending) -> tuple[object, ...]:
    """All that a stream tells of itself, its blocks too, but for the chunk counts."""
    told = [fact for step in steps for fact in done(state, step)]
    summary = state.ended(ending)
    facts = [replace(fact, chunk_count=0) if isinstance(fact, ContentBlock) else fact for fact in told]
    cut = tuple(replace(block, chunk_count=0) for block in cut_blocks(summary))
    return facts, summary._replace(chunk_count=0, at_the_end=cut, pace=Pace(), time_per_output_token=None)


ENDINGS = st.builds(
    Ending,
    st.sampled_from(["message_stop", "body_end", "failure", "reader_left", "unobserved"]),
    st.none() | st.just(1000.0),
    st.just("closed"),
    st.just("stream_truncated"),
)


@given(cut_messages(), ENDINGS)
def test_the_cuts_do_not_matter(messages: tuple[list[Step], list[Step]], ending: Ending) -> None:
    """However the text of a message is cut into deltas, the stream is the same but for its chunk counts."""
    whole, cut = messages

    assert without_chunk_counts(StreamState(CALLED_AT), cut, ending) == without_chunk_counts(
        StreamState(CALLED_AT), whole, ending
    )


def expected_outcome(kind: EndKind, has_stop_reason: bool) -> Outcome | None:
    outcomes: dict[EndKind, Outcome | None] = {
        "message_stop": "complete",
        "body_end": "truncated",
        "failure": "error",
        "reader_left": "complete" if has_stop_reason else "aborted",
        "unobserved": None,
    }
    return outcomes[kind]


def named(steps: Iterable[Step], verb: str) -> list[Step]:
    return [step for step in steps if step[0] == verb]


@given(cut_messages(), st.data(), ENDINGS)
def test_any_start_of_a_message_has_an_end(
    messages: tuple[list[Step], list[Step]], data: st.DataObject, ending: Ending
) -> None:
    """Wherever a message is cut, its summary says how it ended, what was delivered and what was cut."""
    _, whole = messages
    steps = whole[: data.draw(st.integers(0, len(whole)))]
    has_stop_reason = bool(named(steps, "message_delta"))
    started, stopped = named(steps, "block_started"), named(steps, "block_stopped")
    deltas = named(steps, "delta")
    last_at = steps[-1][-1] if steps else CALLED_AT
    has_tool_type = [str(step[2]).endswith("tool_use") for step in started]

    summary = played(steps).ended(ending)

    assert {
        "outcome": summary.outcome,
        "partial": summary.partial,
        "end": summary.duration + CALLED_AT,
        "chunks": summary.chunk_count,
        "chars": sum(summary.chars.values()),
        "blocks": summary.block_count,
        "cut blocks": [(block.index, block.complete) for block in cut_blocks(summary)],
        "tool calls": summary.tool_call_count,
        "tool calls by their end": sum(tool_counts(summary).values()) - summary.tool_call_count,
    } == {
        "outcome": expected_outcome(ending.kind, has_stop_reason),
        "partial": not has_stop_reason,
        "end": last_at if ending.at is None else ending.at,
        "chunks": len(deltas),
        "chars": sum(len(str(step[3])) for step in deltas),
        "blocks": len(started),
        "cut blocks": [(step[1], False) for step in started[len(stopped) :]],
        "tool calls": sum(has_tool_type),
        "tool calls by their end": sum(has_tool_type),
    }


INDEXES = st.integers(-1, 3)
VERBS = st.one_of(
    st.tuples(st.just("opened"), st.just(105.0)),
    st.tuples(st.just("touched"), st.just(105.0)),
    st.tuples(st.just("connection_closed")),
    st.tuples(st.just("message_started"), st.none() | st.text(), st.none(), st.just(Usage()), st.just(105.0)),
    st.tuples(
        st.just("block_started"), INDEXES, st.sampled_from(["text", "thinking", "tool_use", "unknown"]), st.just(105.0)
    ),
    st.tuples(
        st.just("delta"),
        st.sampled_from(["text", "thinking", "tool_input"]),
        INDEXES,
        st.sampled_from(["", "{", "}", '"', "x"]),
        st.just(105.0),
    ),
    st.tuples(st.just("block_stopped"), INDEXES, st.just(105.0)),
    st.tuples(
        st.just("message_delta"), st.sampled_from([None, "end_turn", "max_tokens"]), st.just(Usage()), st.just(105.0)
    ),
)


@given(st.lists(VERBS, max_size=40), ENDINGS)
def test_any_order_of_events_has_an_end(steps: list[Step], ending: Ending) -> None:
    """Events in any order, as no provider should send them, raise nothing, and every tool call has one end."""
    summary = played(steps).ended(ending)
    has_stop_reason = any(step[1] is not None for step in named(steps, "message_delta"))
    tool_starts = [step for step in named(steps, "block_started") if step[2] == "tool_use"]
    by_their_end = (summary.tool_calls_completed, summary.tool_calls_incomplete, summary.tool_calls_invalid)

    assert summary.outcome == expected_outcome(ending.kind, has_stop_reason)
    assert summary.partial == (not has_stop_reason or bool(cut_blocks(summary)))
    assert (summary.tool_call_count, sum(by_their_end)) == (len(tool_starts), len(tool_starts))
    assert min(by_their_end) >= 0


def test_chars_count_by_the_kind_of_their_delta() -> None:
    """A block whose deltas change their kind, and deltas of no block, are counted under what they carry."""
    state = StreamState(CALLED_AT)
    state.opened(101.0)
    state.delta("thinking", 0, "aa", 102.0)
    state.delta("text", 1, "bbb", 103.0)
    summary = state.ended(Ending("body_end", 104.0))

    assert (summary.chars, summary.time_to_first_text) == ({"text": 3, "thinking": 2, "tool_input": 0}, 3.0)
