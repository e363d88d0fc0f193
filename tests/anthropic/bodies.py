"""Whole bodies in every shape that the Messages API sends, with its padding, its pings and its usage."""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from streamspan.cli.demo import wire
from streamspan.cli.demo.wire import Event

STORY = "The keeper climbed the stairs each night. Once, the lamp was lit before she came: «Ça va», said the sea. 🌊"
LONG_STORY = " ".join(random.Random(7).choices(STORY.split(), k=900))  # which goes in no circles
REASONING = "The question has two parts. The first is about the harbour; the second I cannot know without a look."
SEARCH_RESULT = {
    "type": "web_search_result",
    "title": "Tides at the north pier",
    "url": "https://tides.example/north",
    "encrypted_content": "b3BhcXVl",
    "page_age": None,
}
NO_CACHE = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


class Body(NamedTuple):
    """One body. `is_beta`: what it holds only the beta API's types have."""

    name: str
    data: bytes
    is_beta: bool = False


def encoded(*events: Event) -> bytes:
    """The API pads the JSON with blanks, more or fewer in each event."""
    return b"".join(
        event.encoded().replace(b"\n\n", b" " * (5 * number % 16) + b"\n\n") for number, event in enumerate(events)
    )


def message(
    *blocks: Iterable[Event],
    stop_reason: str = "end_turn",
    start: Mapping[str, object] | None = None,
    end: Mapping[str, object] | None = None,
    output_tokens: int = 57,
) -> bytes:
    """A message whose usage begins with the counts `start` and ends with `end`. A ping comes in each block."""
    return encoded(
        wire.message_start(usage=start),
        *(event for block in blocks for event in with_ping(block)),
        wire.message_delta(stop_reason, output_tokens, usage=end),
        wire.message_stop(),
    )


def with_ping(block: Iterable[Event]) -> Iterator[Event]:
    first, *others = block
    yield first
    yield wire.ping()
    yield from others


def whole_block(index: int, block: Mapping[str, object], *deltas: Mapping[str, object]) -> Iterator[Event]:
    yield wire.block_start(index, block)
    for delta in deltas:
        yield wire.block_delta(index, delta)
    yield wire.block_stop(index)


def redacted(index: int) -> Iterator[Event]:
    return whole_block(index, {"type": "redacted_thinking", "data": "EqkECkYIBxgC" * 20})


def result(index: int, block_type: str, content: object) -> Iterator[Event]:
    """What a tool that runs at the provider gave."""
    return whole_block(index, {"type": block_type, "tool_use_id": "srvtoolu_01A09q90qw90lq", "content": content})


def cited(index: int) -> Iterator[Event]:
    citation = {
        "type": "web_search_result_location",
        "cited_text": "High water at 14:02",
        "url": "https://tides.example/north",
        "title": "Tides at the north pier",
        "encrypted_index": "aW5kZXg=",
    }
    text = {"type": "text_delta", "text": "High water is at two."}
    block: dict[str, object] = {"type": "text", "text": "", "citations": []}
    return whole_block(index, block, {"type": "citations_delta", "citation": citation}, text)


def step(step_type: str, input_tokens: int, output_tokens: int, **more: object) -> Mapping[str, object]:
    """One of the usage's iterations."""
    return {"type": step_type, "input_tokens": input_tokens, "output_tokens": output_tokens, **NO_CACHE, **more}


BODIES = (
    Body("short text", message(wire.text_block(0, "Yes."), start={"input_tokens": 9}, output_tokens=4)),
    Body("long text", message(wire.text_block(0, LONG_STORY, size=17), stop_reason="max_tokens", output_tokens=1024)),
    Body(
        "text of a cached prompt",
        message(
            wire.text_block(0, STORY),
            start={
                "input_tokens": 4,
                "cache_read_input_tokens": 1163,
                "cache_creation_input_tokens": 187,
                "cache_creation": {"ephemeral_5m_input_tokens": 187, "ephemeral_1h_input_tokens": 0},
            },
        ),
    ),
    Body("thinking", message(wire.thinking_block(0, REASONING), wire.text_block(1, STORY))),
    Body("redacted thinking", message(redacted(0), redacted(1), wire.text_block(2, STORY), output_tokens=189)),
    Body(
        "text and two tool calls",
        message(
            wire.text_block(0, "I look both up."),
            wire.tool_block(1, "get_weather", {"city": "Saint-Malo"}),
            wire.tool_block(2, "get_time", {}),
            stop_reason="tool_use",
        ),
    ),
    Body(
        "a web search with citations",
        message(
            wire.thinking_block(0, REASONING),
            wire.tool_block(1, "web_search", {"query": "tides"}, block_type="server_tool_use"),
            result(2, "web_search_tool_result", [SEARCH_RESULT]),
            wire.text_block(3, "The pier says: "),
            cited(4),
            wire.text_block(5, "."),
            end={"input_tokens": 9000, **NO_CACHE, "server_tool_use": {"web_search_requests": 1}},
        ),
    ),
    Body(
        "a run of code",
        message(
            wire.tool_block(0, "bash_code_execution", {"command": "expr 6 '*' 7"}, block_type="server_tool_use"),
            result(
                1,
                "bash_code_execution_tool_result",
                {"type": "bash_code_execution_result", "stdout": "42\n", "stderr": "", "return_code": 0, "content": []},
            ),
            wire.text_block(2, "It is 42."),
            end={"input_tokens": 4714, **NO_CACHE},
        ),
        is_beta=True,
    ),
    Body(
        "an advisor",
        message(
            wire.thinking_block(0, REASONING),
            wire.tool_block(1, "advisor", {}, block_type="server_tool_use"),
            result(2, "advisor_tool_result", {"type": "advisor_result", "text": "Ship it.", "stop_reason": "end_turn"}),
            wire.text_block(3, "I ship it."),
            start={"input_tokens": 1128},
            end={
                "input_tokens": 2411,
                **NO_CACHE,
                "output_tokens_details": {"thinking_tokens": 47},
                "iterations": [
                    step("message", 1128, 100),
                    step("advisor_message", 903, 21, model="claude-opus-5-5"),
                    step("message", 1283, 45),
                ],
            },
            output_tokens=145,
        ),
        is_beta=True,
    ),
    Body(
        "a compaction",
        message(
            whole_block(
                0,
                {"type": "compaction", "content": None},
                {"type": "compaction_delta", "content": "They spoke of tides. Next: say hello."},
            ),
            wire.text_block(1, "Hello."),
            start={"input_tokens": 100, "cache_read_input_tokens": 55096},
            end={"input_tokens": 181, **NO_CACHE, "iterations": [step("compaction", 100, 83), step("message", 181, 8)]},
            output_tokens=8,
        ),
        is_beta=True,
    ),
)
