"""Streams: traces. What the other boards count, one by one: each row leads to its trace."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard

from streamspan import semconv

from . import slo
from .overview import HAS_FAILED, IS_SLOW, LOOPED, SIDE_EFFECTS, STALLED, TOOL_CALL_CUT
from .panels import Look, Panel, board, trace_table
from .traceql import TRACES_BOARD, is_

IS_TRUNCATED = is_(semconv.OUTCOME, "truncated")


def built() -> dashboard.Dashboard:
    return board(
        TRACES_BOARD,
        "Streams: traces",
        "The streams themselves, by what went wrong; opened from the overview with its service, model and time. Where"
        " traces are sampled, collector-config/gateway.yaml keeps all of these.",
        (
            ("The reader left", [aborted_after_a_tool_call()]),
            ("The end is missing", [truncated(), failed()]),
            ("Inside the stream", [looping(), stalled()]),
            ("Late, and tool calls that cannot be used", [slow(), cut_tool_calls()]),
        ),
    )


def aborted_after_a_tool_call() -> Panel:
    return _table(
        "Aborted after a tool call",
        "The reader left, but these tool calls had come whole: they may have been carried out. Tell the reader.",
        [SIDE_EFFECTS],
        (semconv.ABORT_TOOL_CALLS_COMPLETED, semconv.ABORT_REASON, semconv.PHASE, semconv.ABORT_CONNECTION_CLOSED),
        width=24,
    )


def truncated() -> Panel:
    return _table(
        "Truncated",
        "The body ended with no end of the message; most clients raise nothing. Alike durations: a timeout on the way.",
        [IS_TRUNCATED],
        (semconv.PHASE, semconv.TEXT_CHARS, semconv.TOOL_CALL_INCOMPLETE),
    )


def failed() -> Panel:
    return _table(
        "Failed",
        "By the provider's word or the network's. The request id is what the provider's support asks for.",
        [HAS_FAILED],
        (semconv.ERROR_TYPE, semconv.PHASE, semconv.ANTHROPIC_REQUEST_ID),
    )


def looping() -> Panel:
    return _table(
        "Looping",
        "The model repeated itself: from which char on, how often, how long. Its prompt is the one to change.",
        [LOOPED],
        (semconv.REPETITION_CHANNEL, semconv.REPETITION_PERIOD, semconv.REPETITION_COUNT, semconv.REPETITION_TIME),
    )


def stalled() -> Panel:
    return _table(
        "Stalled",
        f"Silent for {slo.GAP_SECONDS:.0f} s or more in the middle. The events of the span say where.",
        [STALLED],
        (semconv.STALL_COUNT, semconv.STALL_TIME, semconv.CHUNK_GAP_MAX),
    )


def slow() -> Panel:
    return _table(
        "Slow first chunk",
        f"No content within {slo.FIRST_CHUNK_SECONDS:.0f} s. Headers late: a queue; headers early: a long prompt.",
        [IS_SLOW],
        (semconv.RESPONSE_TIME_TO_FIRST_CHUNK, semconv.TIME_TO_HEADERS, semconv.USAGE_INPUT_TOKENS),
    )


def cut_tool_calls() -> Panel:
    return _table(
        "Incomplete tool calls",
        "Cut by max_tokens or by the end. The stop reason tells which.",
        [TOOL_CALL_CUT],
        (semconv.TOOL_CALL_INCOMPLETE, semconv.STOP_REASON, semconv.TOOL_INPUT_CHARS),
    )


def _table(title: str, when_red: str, conditions: Sequence[str], more: tuple[str, ...], width: int = 12) -> Panel:
    look = Look(title, "short", when_red, width, no_value="none in this range")
    return trace_table(look, *conditions, shown=(semconv.OUTCOME, semconv.REQUEST_MODEL, *more))
