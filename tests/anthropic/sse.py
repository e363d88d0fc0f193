"""A recorded body as a reader of its own understands it: `str` and `json` only, nothing of the product.

Gives what the span of the stream must say, under the names that it must have; None: it must not say that.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, object]

CHANNELS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""The field that has the content of a delta, by the delta's type. Other deltas carry none."""


@dataclass(frozen=True, slots=True)
class Block:
    """A content block with the text of its deltas."""

    index: int
    start: Mapping[str, Any]
    pieces: Sequence[str]

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def is_tool_call(self) -> bool:
        return self.start["type"].endswith("tool_use")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the span must say of one body, with its events of each kind in order."""

    attributes: Facts
    first_token_kind: str
    content_blocks: Sequence[Facts]
    tool_calls: Sequence[Facts]


def recorded(body: str) -> Recorded:
    """The facts of a whole message."""
    events = list(_events(body))
    message = next(event["message"] for event in events if event["type"] == "message_start")
    stop_reason = next(event["delta"]["stop_reason"] for event in events if event["type"] == "message_delta")
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    chunks = [delta["type"] for delta in deltas if _content(delta)]
    blocks = list(_blocks(events))
    calls = [block for block in blocks if block.is_tool_call]
    return Recorded(
        attributes={
            "gen_ai.response.id": message["id"],
            "gen_ai.response.model": message["model"],
            "gen_ai.response.finish_reasons": (stop_reason,),
            "anthropic.message.stop_reason": stop_reason,
            "llm_stream.stop_reason": stop_reason,
            "anthropic.response.service_tier": message["usage"].get("service_tier"),
            "llm_stream.outcome": "complete",
            "llm_stream.partial": False,
            "llm_stream.phase": None,
            "llm_stream.abort.reason": None,
            "error.type": None,
            "llm_stream.chunk.count": len(chunks),
            "llm_stream.content_block.count": len(blocks),
            "llm_stream.text.chars": _chars(events, "text_delta"),
            "llm_stream.thinking.chars": _chars(events, "thinking_delta"),
            "llm_stream.tool_input.chars": _chars(events, "input_json_delta"),
            "llm_stream.tool_call.count": len(calls),
            "llm_stream.tool_call.incomplete": 0,
            "llm_stream.tool_call.invalid_json": sum(not _is_json(call.text) for call in calls),
            "llm_stream.events_dropped": None,
            **_usage(events),
        },
        first_token_kind={"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "tool_input"}[
            chunks[0]
        ],
        content_blocks=[
            {
                "llm_stream.content_block.index": block.index,
                "llm_stream.content_block.type": block.start["type"],
                "llm_stream.content_block.chars": len(block.text),
                "llm_stream.content_block.chunk_count": len(block.pieces),
                "llm_stream.content_block.complete": True,
            }
            for block in blocks
        ],
        tool_calls=[
            {
                "gen_ai.tool.name": call.start["name"],
                "gen_ai.tool.call.id": call.start["id"],
                "llm_stream.tool_call.type": call.start["type"],
                "llm_stream.tool_call.input_chars": len(call.text),
                "llm_stream.tool_call.complete": _is_json(call.text),
                "llm_stream.tool_call.valid_json": _is_json(call.text),
            }
            for call in calls
        ],
    )


def _events(body: str) -> Iterator[Mapping[str, Any]]:
    for frame in body.split("\n\n"):
        data = [line.removeprefix("data:") for line in frame.split("\n") if line.startswith("data:")]
        if data:
            yield json.loads("\n".join(data))


def _blocks(events: Iterable[Mapping[str, Any]]) -> Iterator[Block]:
    """In the order of their stops. Every start has a stop, and no index comes twice."""
    starts: dict[int, Mapping[str, Any]] = {}
    pieces: dict[int, list[str]] = {}
    for event in events:
        if event["type"] == "content_block_start":
            starts[event["index"]] = event["content_block"]
            pieces[event["index"]] = []
        elif event["type"] == "content_block_delta" and (content := _content(event["delta"])):
            pieces[event["index"]].append(content)
        elif event["type"] == "content_block_stop":
            yield Block(event["index"], starts[event["index"]], pieces[event["index"]])


def _content(delta: Mapping[str, Any]) -> str | None:
    """None: it is a delta of another kind. Empty: it is no chunk."""
    return delta[CHANNELS[delta["type"]]] if delta["type"] in CHANNELS else None


def _chars(events: Iterable[Mapping[str, Any]], delta_type: str) -> int:
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    return sum(len(delta[CHANNELS[delta_type]]) for delta in deltas if delta["type"] == delta_type)


def _usage(events: Iterable[Mapping[str, Any]]) -> Facts:
    usage: dict[str, Any] = {}
    for event in events:
        if event["type"] == "message_start":
            placeholders = {"output_tokens", "output_tokens_details"}
            usage |= {name: count for name, count in event["message"]["usage"].items() if name not in placeholders}
        elif event["type"] == "message_delta":
            usage |= {name: count for name, count in event["usage"].items() if count is not None}
    read, written = usage.get("cache_read_input_tokens", 0), usage.get("cache_creation_input_tokens", 0)
    by_lifetime = usage.get("cache_creation", {})
    server_tools = usage.get("server_tool_use", {})
    compactions = [entry for entry in usage.get("iterations", []) if entry["type"] == "compaction"]
    advice = [entry for entry in usage.get("iterations", []) if entry["type"] == "advisor_message"]
    inputs = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
    return {
        "gen_ai.usage.input_tokens": usage["input_tokens"] + read + written,
        "gen_ai.usage.output_tokens": usage["output_tokens"],
        "gen_ai.usage.cache_read.input_tokens": usage.get("cache_read_input_tokens"),
        "gen_ai.usage.cache_write.input_tokens": usage.get("cache_creation_input_tokens"),
        "gen_ai.usage.reasoning.output_tokens": usage.get("output_tokens_details", {}).get("thinking_tokens"),
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": by_lifetime.get("ephemeral_5m_input_tokens"),
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": by_lifetime.get("ephemeral_1h_input_tokens"),
        "anthropic.usage.compaction.input_tokens": _sum(compactions, inputs),
        "anthropic.usage.compaction.output_tokens": _sum(compactions, ["output_tokens"]),
        "anthropic.usage.advisor_message.input_tokens": _sum(advice, inputs),
        "anthropic.usage.advisor_message.output_tokens": _sum(advice, ["output_tokens"]),
        "anthropic.usage.advisor_message.model": advice[0]["model"] if advice else None,
        "llm_stream.usage.web_search_requests": server_tools.get("web_search_requests"),
        "llm_stream.usage.web_fetch_requests": server_tools.get("web_fetch_requests"),
    }


def _sum(entries: Sequence[Mapping[str, int]], names: Sequence[str]) -> int | None:
    return sum(entry[name] for entry in entries for name in names) if entries else None


def _is_json(text: str) -> bool:
    """No text at all stands for an empty input."""
    try:
        json.loads(text or "{}")
    except ValueError:
        return False
    return True
