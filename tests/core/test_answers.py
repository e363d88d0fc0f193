"""What the core is told of APIs that have several answers in a stream, full counts, plain input and failed answers."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import pytest

from streamspan.core.captured import Budget, Output
from streamspan.core.lifecycle import Lifecycle
from streamspan.core.model import BlockStart, Ending, Summary, Usage
from streamspan.core.stream import StreamState
from streamspan.core.tool_input import ToolInput

LEFT = Ending("closed", 9.0)


def with_call(pieces: Sequence[str], *, is_plain: bool = False) -> StreamState:
    """A stream with an open tool call, into which these pieces have come."""
    state = StreamState(0.0)
    state.opened(1.0)
    state.block_started(BlockStart(0, "function", "tool_call", "now", "c", plain_input=is_plain), 2.0)
    for piece in pieces:
        state.delta("tool_input", 0, piece, 3.0)
    return state


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], False),
        (['{"a"'], False),
        (['{"a"', ": 1}"], True),
        (['{"a": 1} '], True),
        (['{"a": 1}', "{"], False),
        (["1"], False),
        (['"a"'], True),
    ],
)
def test_whether_the_input_is_whole_so_far(pieces: Sequence[str], expected: bool) -> None:
    """It is once one JSON value has come; a number may go on, and an empty input may begin."""
    assert with_call(pieces).has_whole_input(0) is expected


def test_no_other_block_has_a_whole_input() -> None:
    """Neither a text nor a block that is not open."""
    state = StreamState(0.0)
    state.block_started(BlockStart(0, "text", "text"), 1.0)

    assert [state.has_whole_input(index) for index in (0, 1)] == [False, False]


def test_asking_changes_no_verdict() -> None:
    """What comes after it is judged as if nobody had asked."""
    tool_input = ToolInput()
    for piece in ("[1", "2,", ' "a', '"]'):
        tool_input.feed(piece)
        assert tool_input.is_whole == (piece == '"]')

    assert tool_input.verdict() == "complete"


def test_plain_input_is_no_broken_json() -> None:
    """Any text is a complete input of a tool that takes plain text, and it is captured as text."""
    state = with_call([], is_plain=True)
    output = Output(Budget(1000))
    state.capture(output)
    state.block_started(BlockStart(1, "custom", "tool_call", "sql", "d", plain_input=True), 4.0)
    state.delta("tool_input", 1, "SELECT {", 5.0)
    state.block_stopped(1, 6.0)
    summary = state.ended(LEFT)

    assert (summary.tool_calls_completed, summary.tool_calls_invalid) == (1, 0)
    assert [cast("Any", part)["arguments"].is_json for part in output.parts] == [False]


def test_full_counts_replace_all_before_them() -> None:
    """Also where they are lower: the cache's tokens may be told of later, and leave those of the input."""
    state = StreamState(0.0)
    state.reported(Usage(input_tokens=100, output_tokens=1), in_full=True)
    state.reported(Usage(input_tokens=20, cache_read_tokens=80, output_tokens=7), in_full=True)

    assert state.ended(LEFT).usage == Usage(input_tokens=20, cache_read_tokens=80, output_tokens=7)


def left_after(*stop_reasons: str | None) -> Summary:
    state = StreamState(0.0)
    state.opened(1.0)
    for stop_reason in stop_reasons:
        state.stopped(stop_reason, cut=False)
    return state.ended(LEFT)


def test_another_answer_begins() -> None:
    """A stream that is left then has no stop reason, until that of the other answer comes."""
    assert [left_after(*words).outcome for words in (["done"], ["done", None], ["done", None, "done"])] == [
        "complete",
        "aborted",
        "complete",
    ]


def test_the_provider_says_that_the_answer_failed() -> None:
    """That is its own end, and closes no block."""
    state = with_call(["{}"])
    state.failed("overloaded")
    verdict = Lifecycle()
    verdict.state = "between_reads"

    summary = state.ended(Ending(verdict.verdict("finished", "error") or "complete", 4.0, state.failure))

    assert state.finished
    assert (summary.outcome, summary.error_type, summary.partial) == ("error", "overloaded", True)
    assert summary.tool_calls_incomplete == 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("text", 1 / 9, id="none of the thinking was sent"),
        pytest.param("thinking", 1 / 19, id="it was sent"),
    ],
)
def test_tokens_of_thinking_that_was_not_sent(kind: Literal["text", "thinking"], expected: float) -> None:
    """They came before the first chunk, so they are none of the tokens whose pace is measured."""
    state = StreamState(0.0)
    state.opened(1.0)
    state.block_started(BlockStart(0, kind, kind), 2.0)
    state.delta(kind, 0, "Hello", 2.0)
    state.delta(kind, 0, "Hello", 3.0)
    state.reported(Usage(output_tokens=20, reasoning_tokens=10))

    assert state.ended(LEFT).time_per_output_token == pytest.approx(expected)
