"""Streams: traces. What the other boards count, one by one: each row leads to its trace."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard

from streamspan import semconv

from . import slo
from .overview import HAS_FAILED, IS_SLOW, LOOPED, SIDE_EFFECTS, STALLED, TOOL_CALL_LOST
from .panels import Attribute, Look, Panel, board, trace_table
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
            ("Late, and tool calls that cannot be used", [slow(), lost_tool_calls()]),
        ),
    )


OUTCOME, PHASE = Attribute(semconv.OUTCOME, "Outcome"), Attribute(semconv.PHASE, "Phase")


def aborted_after_a_tool_call() -> Panel:
    return _table(
        "Aborted after a tool call",
        "The reader left, but these tool calls had come whole: they may have been carried out. Tell the reader.",
        [SIDE_EFFECTS],
        Attribute(semconv.ABORT_TOOL_CALLS_COMPLETED, "Completed calls", "short"),
        Attribute(semconv.ABORT_REASON, "Reason"),
        PHASE,
        Attribute(semconv.ABORT_CONNECTION_CLOSED, "Connection closed"),
    )


def truncated() -> Panel:
    return _table(
        "Truncated",
        "The body ended with no end of the message; most clients raise nothing. Alike durations: a timeout on the way.",
        [IS_TRUNCATED],
        PHASE,
        Attribute(semconv.TEXT_CHARS, "Text chars", "short"),
        Attribute(semconv.TOOL_CALL_INCOMPLETE, "Calls cut", "short"),
        Attribute(semconv.SERVER_ADDRESS, "Server"),
    )


def failed() -> Panel:
    return _table(
        "Failed",
        "By the provider's word or the network's. The request id is what the provider's support asks for.",
        [HAS_FAILED],
        OUTCOME,
        Attribute(semconv.ERROR_TYPE, "Error type"),
        PHASE,
        Attribute(semconv.ANTHROPIC_REQUEST_ID, "Request id, Anthropic"),
        Attribute(f"{semconv.RESPONSE_HEADER_PREFIX}x-request-id", "Request id, others"),
    )


def looping() -> Panel:
    return _table(
        "Looping",
        "The model repeated itself: where, how many chars how often, for how long. Its prompt is the one to change.",
        [LOOPED],
        Attribute(semconv.REPETITION_CHANNEL, "Channel"),
        Attribute(semconv.REPETITION_PERIOD, "Chars again", "short"),
        Attribute(semconv.REPETITION_COUNT, "How often", "short"),
        Attribute(semconv.REPETITION_TIME, "For", "s"),
    )


def stalled() -> Panel:
    return _table(
        "Stalled",
        f"Silent for {slo.GAP_SECONDS:.0f} s or more in the middle. The events of the span say where.",
        [STALLED],
        OUTCOME,
        Attribute(semconv.STALL_COUNT, "Stalls", "short"),
        Attribute(semconv.STALL_TIME, "Stalled for", "s"),
        Attribute(semconv.CHUNK_GAP_MAX, "Longest silence", "s"),
    )


def slow() -> Panel:
    return _table(
        "Slow first chunk",
        f"No content within {slo.FIRST_CHUNK_SECONDS:.0f} s. Headers late: a queue; headers early: a long prompt.",
        [IS_SLOW],
        OUTCOME,
        Attribute(semconv.RESPONSE_TIME_TO_FIRST_CHUNK, "First chunk", "s"),
        Attribute(semconv.TIME_TO_HEADERS, "Headers", "s"),
        Attribute(semconv.USAGE_INPUT_TOKENS, "Input tokens", "short"),
    )


def lost_tool_calls() -> Panel:
    return _table(
        "Tool calls that cannot be used",
        "Cut by a token limit, by the end or by the reader (stop reason and outcome tell which), or no valid JSON.",
        [TOOL_CALL_LOST],
        OUTCOME,
        Attribute(semconv.TOOL_CALL_INCOMPLETE, "Calls cut", "short"),
        Attribute(semconv.TOOL_CALL_INVALID_JSON, "Invalid JSON", "short"),
        Attribute(semconv.STOP_REASON, "Stop reason"),
        Attribute(semconv.TOOL_INPUT_CHARS, "Input chars", "short"),
    )


def _table(title: str, when_red: str, conditions: Sequence[str], *more: Attribute) -> Panel:
    look = Look(title, "string", when_red, 24, no_value="none in this range")
    return trace_table(
        look,
        *conditions,
        shown=(Attribute(semconv.PROVIDER_NAME, "Provider"), Attribute(semconv.REQUEST_MODEL, "Model"), *more),
    )
