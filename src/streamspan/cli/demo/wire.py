"""The wire format of Anthropic's Messages API: the events of a streamed message, as data.

Nothing here knows about pauses, connections or faults: see `script.py`.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from collections.abc import Iterable, Iterator, Mapping

from .sse import Event, compact_json, pieces

MODEL = "claude-sonnet-5-5"
OTHER_MODEL = "claude-opus-5-5"
MESSAGE_ID = "msg_01XFDUDYJgAACzvnptvVoYEL"
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"


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


def text_start(index: int) -> Event:
    return block_start(index, {"type": "text", "text": ""})


def text_delta(index: int, text: str) -> Event:
    return block_delta(index, {"type": "text_delta", "text": text})


def text_block(index: int, text: str, *, size: int = 12) -> Iterator[Event]:
    """A whole text block, `size` characters to a delta."""
    yield text_start(index)
    for piece in pieces(text, size):
        yield text_delta(index, piece)
    yield block_stop(index)


def thinking_start(index: int) -> Event:
    return block_start(index, {"type": "thinking", "thinking": "", "signature": ""})


def thinking_delta(index: int, text: str) -> Event:
    return block_delta(index, {"type": "thinking_delta", "thinking": text})


def signature_delta(index: int, signature: str = SIGNATURE) -> Event:
    return block_delta(index, {"type": "signature_delta", "signature": signature})


def thinking_block(index: int, text: str, *, size: int = 12, signature: str = SIGNATURE) -> Iterator[Event]:
    """A whole thinking block; its signature is the last delta."""
    yield thinking_start(index)
    for piece in pieces(text, size):
        yield thinking_delta(index, piece)
    yield signature_delta(index, signature)
    yield block_stop(index)


def tool_start(index: int, name: str, block_type: str = "tool_use") -> Event:
    call_id = f"toolu_01A09q90qw90lq917835lq{index:02d}"
    return block_start(index, {"type": block_type, "id": call_id, "name": name, "input": {}})


def tool_delta(index: int, json_text: str) -> Event:
    return block_delta(index, {"type": "input_json_delta", "partial_json": json_text})


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
    sent_input = tool_input if isinstance(tool_input, str) else compact_json(tool_input)
    yield tool_start(index, name, block_type)
    for piece in ("", *pieces(sent_input, size)):
        yield tool_delta(index, piece)
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
