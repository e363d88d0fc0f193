"""The events of a streamed message, as data.

Every function gives events in the shape in which the Messages API sends them. Nothing here knows about
pauses, connections or faults: see `script.py`.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

MODEL = "claude-sonnet-5-5"
OTHER_MODEL = "claude-opus-5-5"
MESSAGE_ID = "msg_01XFDUDYJgAACzvnptvVoYEL"
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event: its name and its JSON."""

    name: str
    data: Mapping[str, object]

    def encoded(self) -> bytes:
        return f"event: {self.name}\ndata: {compact_json(self.data)}\n\n".encode()


def compact_json(value: object) -> str:
    """JSON as the API writes it: no spaces, characters beyond ASCII as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def message_start(
    *, model: str = MODEL, message_id: str = MESSAGE_ID, usage: Mapping[str, object] | None = None
) -> Event:
    """The first event. Its `output_tokens` is a placeholder, as in the real API."""
    counts: dict[str, object] = {
        "input_tokens": 25,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
        "service_tier": "standard",
    }
    message: dict[str, object] = {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**counts, **(usage or {})},
    }
    return Event("message_start", {"type": "message_start", "message": message})


def ping() -> Event:
    return Event("ping", {"type": "ping"})


def block_start(index: int, block: Mapping[str, object]) -> Event:
    data: dict[str, object] = {"type": "content_block_start", "index": index, "content_block": block}
    return Event("content_block_start", data)


def block_delta(index: int, delta: Mapping[str, object]) -> Event:
    data: dict[str, object] = {"type": "content_block_delta", "index": index, "delta": delta}
    return Event("content_block_delta", data)


def block_stop(index: int) -> Event:
    return Event("content_block_stop", {"type": "content_block_stop", "index": index})


def text_block(index: int, text: str, *, size: int = 12) -> Iterator[Event]:
    """A whole text block, `size` characters to a delta."""
    yield block_start(index, {"type": "text", "text": ""})
    for piece in pieces(text, size):
        yield block_delta(index, {"type": "text_delta", "text": piece})
    yield block_stop(index)


def thinking_block(index: int, text: str, *, size: int = 12, signature: str = SIGNATURE) -> Iterator[Event]:
    """A whole thinking block; its signature is the last delta."""
    yield block_start(index, {"type": "thinking", "thinking": "", "signature": ""})
    for piece in pieces(text, size):
        yield block_delta(index, {"type": "thinking_delta", "thinking": piece})
    yield block_delta(index, {"type": "signature_delta", "signature": signature})
    yield block_stop(index)


def tool_block(
    index: int,
    name: str,
    tool_input: str | Mapping[str, object],
    *,
    size: int = 12,
    block_type: str = "tool_use",
) -> Iterator[Event]:
    """A whole tool call. An input given as a string is sent as it is, so it may be cut or broken JSON.

    The first delta is empty, as in the real API.
    """
    call_id = f"toolu_01A09q90qw90lq917835lq{index:02d}"
    sent_input = tool_input if isinstance(tool_input, str) else compact_json(tool_input)
    yield block_start(index, {"type": block_type, "id": call_id, "name": name, "input": {}})
    for piece in ("", *pieces(sent_input, size)):
        yield block_delta(index, {"type": "input_json_delta", "partial_json": piece})
    yield block_stop(index)


def fallback_block(
    index: int, category: str, *, from_model: str = MODEL, to_model: str = OTHER_MODEL
) -> Iterator[Event]:
    """The block that stands where another model goes on, because the first has refused for this category.

    It has no deltas. Source: `anthropic/types/beta/beta_fallback_block.py`.
    """
    trigger = {"type": "refusal", "category": category}
    models = {"from": {"model": from_model}, "to": {"model": to_model}}
    yield block_start(index, {"type": "fallback", **models, "trigger": trigger})
    yield block_stop(index)


def refusal(category: str) -> Mapping[str, object]:
    """The details of the stop reason `refusal`. Source: `anthropic/types/refusal_stop_details.py`."""
    return {"type": "refusal", "category": category, "explanation": "This request was declined."}


def message_delta(
    stop_reason: str | None,
    output_tokens: int,
    *,
    usage: Mapping[str, object] | None = None,
    stop_details: Mapping[str, object] | None = None,
) -> Event:
    """The stop reason and the cumulative usage."""
    details = {"stop_details": stop_details} if stop_details else {}
    return Event(
        "message_delta",
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason, "stop_sequence": None, **details},
            "usage": {"output_tokens": output_tokens, **(usage or {})},
        },
    )


def message_stop() -> Event:
    return Event("message_stop", {"type": "message_stop"})


def error(error_type: str, message: str) -> Event:
    """The event that ends a stream in the middle."""
    return Event("error", {"type": "error", "error": {"type": error_type, "message": message}})


def error_body(error_type: str, message: str, request_id: str) -> bytes:
    """The JSON body of a response whose status is 400 or more."""
    failure = {"type": error_type, "message": message}
    return compact_json({"type": "error", "error": failure, "request_id": request_id}).encode()


def whole_message(*blocks: Iterable[Event], stop_reason: str = "end_turn", output_tokens: int = 20) -> Iterator[Event]:
    """A complete message from its blocks."""
    yield message_start()
    yield ping()
    for block in blocks:
        yield from block
    yield message_delta(stop_reason, output_tokens)
    yield message_stop()


def pieces(text: str, size: int) -> Iterator[str]:
    """The text in pieces of `size` characters."""
    for start in range(0, len(text), size):
        yield text[start : start + size]
