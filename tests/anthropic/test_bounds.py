"""What a hostile server, or an odd application, can make streamspan write and do: no more than a bounded amount."""

import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

import pytest

from streamspan.anthropic.events import Translator
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Head, Script
from streamspan.core.stream import StreamState
from tests.anthropic.one_stream import OneStream

pytestmark = pytest.mark.usefixtures("quick_collection")

LONG = "x" * 300_000
SPAN_CHARS_AT_MOST = 20_000


def long_words() -> Script:
    """Every string that a server may send, at a length that no exporter takes."""
    refusal = {"type": "refusal", "category": LONG}
    fallback = {"type": "fallback", "from": {"model": LONG}, "to": {"model": LONG}, "trigger": {"type": LONG}}
    usage = {"service_tier": LONG, "speed": LONG, "inference_geo": LONG}
    steps = [{"type": "advisor_message", "model": LONG, "output_tokens": 1}, {"type": LONG, "output_tokens": 1}]
    delta = {"stop_reason": LONG, "stop_details": refusal}
    counts = {"output_tokens": 2, "iterations": steps, "server_tool_use": {f"{LONG}_requests": 1}}
    return [
        wire.message_start(model=LONG, message_id=LONG, usage=usage),
        wire.message_start(model=f"y{LONG}", message_id=f"y{LONG}", usage=usage),
        wire.block_start(0, fallback),
        wire.block_start(1, {"type": f"{LONG}_tool_use", "name": LONG, "id": LONG, "input": {}}),
        wire.block_start(2, {"type": "tool_use", "name": LONG, "id": LONG, "input": {}}),
        wire.Event("message_delta", {"type": "message_delta", "delta": delta, "usage": counts}),
        wire.message_stop(),
    ]


def test_long_strings_of_a_server(app: OneStream) -> None:
    """They are cut: one span of many megabytes would lose a whole batch, because the receiver refuses it."""
    told = app.read(long_words())

    assert len(told.span.to_json()) < SPAN_CHARS_AT_MOST
    assert told.has("gen_ai.response.id", "llm_stream.stop_reason") == {
        "gen_ai.response.id": "y" + "x" * 255,
        "llm_stream.stop_reason": "x" * 256,
    }


def test_long_words_of_an_error(app: OneStream) -> None:
    """A type that is no word is left out."""
    told = app.read([wire.message_start(), wire.error(LONG, LONG)])

    assert len(told.span.to_json()) < SPAN_CHARS_AT_MOST
    assert told.has("error.type") == {"error.type": "api_error"}


def test_long_headers(app: OneStream) -> None:
    """They are cut, too, as far as the HTTP library lets them through."""
    names = ("request-id", "anthropic-organization-id", "anthropic-workspace-id", "retry-after")
    told = app.read([Head(headers=dict.fromkeys(names, "x" * 8_000)), *wire.whole_message(wire.text_block(0, "Hi"))])

    assert told.has("anthropic.request.id", "anthropic.workspace.id") == {
        "anthropic.request.id": "x" * 256,
        "anthropic.workspace.id": "x" * 256,
    }
    assert len(told.span.to_json()) < SPAN_CHARS_AT_MOST


def test_long_strings_of_the_application(app: OneStream) -> None:
    """What the call asks for is cut as well, and of many stop sequences there are the first."""
    more: dict[str, Any] = {"service_tier": LONG, "thinking": {"type": LONG}, "output_config": {"effort": LONG}}
    told = app.read(
        list(wire.whole_message(wire.text_block(0, "Hi"))),
        model=LONG,
        stop_sequences=[LONG[:3_000]] * 100,
        extra_body=more,
        betas=[f"beta-{number}" for number in range(500)],
    )

    assert len(told.span.to_json()) < 2 * SPAN_CHARS_AT_MOST
    assert told.has("gen_ai.request.model", "gen_ai.request.stop_sequences") == {
        "gen_ai.request.model": "x" * 256,
        "gen_ai.request.stop_sequences": ("x" * 256,) * 32,
    }


# --- work: counted in calls of Python functions, because a time says little on a busy machine -------------------------


def calls_during(work: Callable[[], object]) -> int:
    """How many functions and comprehensions of Python, and functions of C, `work` calls."""
    count = 0

    def called(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def work_for(events: Sequence[Mapping[str, object]]) -> int:
    """The calls that it takes to translate these events, for each of them."""
    state, translator = StreamState(0.0, loops="exact"), Translator()
    state.opened(0.0)

    def translate() -> None:
        for event in events:
            translator.translate(event, 0.0, 1.0, state)

    return calls_during(translate) // len(events)


def hostile_usage(size: int) -> Mapping[str, object]:
    usage: dict[str, object] = {
        **{f"key_{number}": number for number in range(size)},
        "server_tool_use": {f"tool_{number}_requests": number for number in range(size)},
        "iterations": [{"type": f"type_{number}", "model": f"m{number}", "output_tokens": 1} for number in range(size)],
    }
    edits = {"applied_edits": [{"cleared_input_tokens": 1}] * size}
    return {"type": "message_delta", "delta": {}, "usage": usage, "context_management": edits}


def test_the_work_for_a_usage_does_not_grow_with_it() -> None:
    """Of thousands of counts and of steps only the first are looked at."""
    assert work_for([hostile_usage(20_000)]) == work_for([hostile_usage(1_000)])


def block_starts(count: int, block: Mapping[str, object]) -> list[Mapping[str, object]]:
    return [{"type": "content_block_start", "index": index, "content_block": block} for index in range(count)]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": ""},
        {"type": "text", "text": "Some text to begin with"},
        {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {}},
        {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}, "trigger": {"type": "refusal"}},
    ],
)
def test_the_work_for_a_block_that_never_stops_does_not_grow_with_their_number(block: Mapping[str, object]) -> None:
    """The last of 2,000 takes no more than the first few did."""
    few, many = work_for(block_starts(200, block)), work_for(block_starts(2_000, block))

    assert many <= few < 150


def test_few_inputs_in_the_starts_of_blocks_are_written() -> None:
    """Beyond a limit for the stream they count as empty, because to write JSON takes longer than to read it."""
    large = {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {str(number): 1 for number in range(1000)}}
    state, translator = StreamState(0.0), Translator()
    for event in block_starts(1_000, large):
        translator.translate(event, 0.0, 1.0, state)
    summary = state.so_far(1.0)

    assert summary.tool_call_count == 1_000
    assert 2**17 < summary.chars["tool_input"] < 2**19
