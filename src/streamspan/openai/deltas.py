"""What one delta of a chat brings: pieces of text, of refusals, of reasoning and of tool calls, and media.

The API has no content blocks. A block is made of the pieces of one kind that follow each other, or of one tool call.
Sources: `openai/types/chat/chat_completion_chunk.py`, and what servers of other makers send.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from streamspan.core.model import BlockKind
from streamspan.stainless.values import count, field, fields, items, json_text, text

REASONING = ("reasoning_content", "reasoning")
"""The fields that servers send reasoning in. Some send the same in both."""


class Piece(NamedTuple):
    """A part of one block.

    text     empty: it only shows that the block is there
    name     of a tool
    id       of a tool call
    number   of a tool call, where the server numbers them
    field    where the text was found in the delta, if the next delta may go on there; empty: it may not
    """

    type: str
    kind: BlockKind
    text: str
    field: str = ""
    name: str | None = None
    id: str | None = None
    number: int | None = None
    is_plain: bool = False


def pieces_of(choice: Mapping[str, Any]) -> Iterator[Piece]:
    """Of a choice of the chat API, or of the completions API, which has a text instead of a delta."""
    delta = fields(choice.get("delta") or choice.get("message")) or {"text": choice.get("text")}
    yield from _reasoning(delta)
    for name, block_type in (("content", "text"), ("text", "text"), ("refusal", "refusal")):
        if (value := delta.get(name)) is None:
            continue
        if isinstance(value, str):
            if value:
                yield Piece(block_type, "text", value, name)
        else:
            yield from _parts(value)
    if (audio := delta.get("audio")) is not None:
        transcript = field(audio, "transcript")
        yield Piece("audio", "text", transcript if isinstance(transcript, str) else "")
    for _ in items(delta.get("images")):
        yield Piece("image", "other", "")
    for call in items(delta.get("tool_calls")):
        yield _tool_call(fields(call))
    if call := fields(delta.get("function_call")):
        yield _call("function", call, call_id=None, number=0)


def media_size(choice: Mapping[str, Any]) -> int:
    """Bytes of audio and images in a delta, which come in base64."""
    delta = fields(choice.get("delta"))
    sent = [field(delta.get("audio"), "data")]
    sent += [field(field(image, "image_url"), "url") for image in items(delta.get("images"))]
    return sum(len(data) * 3 // 4 for data in sent if isinstance(data, str))


def _reasoning(delta: Mapping[str, Any]) -> Iterator[Piece]:
    for name in REASONING:
        if isinstance(value := delta.get(name), str) and value:
            yield Piece("reasoning", "thinking", value, name)
            return
    for detail in items(delta.get("reasoning_details")):  # OpenRouter
        value = field(detail, "text") or field(detail, "summary")
        if isinstance(value, str):
            yield Piece("reasoning", "thinking", value)


def _parts(content: Any) -> Iterator[Piece]:
    """Of content that is a list (Mistral)."""
    for part in items(content):
        thinking = field(part, "thinking")
        texts = [thinking] if isinstance(thinking, str) else [field(thought, "text") for thought in items(thinking)]
        yield from (Piece("reasoning", "thinking", value) for value in texts if isinstance(value, str) and value)
        if isinstance(value := field(part, "text"), str) and value:
            yield Piece("text", "text", value)


def _tool_call(call: Mapping[str, Any]) -> Piece:
    call_type = text(call.get("type")) or "function"
    body = fields(call.get("function") or call.get(call_type))
    return _call(call_type, body, text(call.get("id")) or None, count(call.get("index")))


def _call(call_type: str, body: Mapping[str, Any], call_id: str | None, number: int | None) -> Piece:
    """The input of a custom tool is plain text. Some servers send arguments that are no text."""
    plain, arguments = body.get("input"), body.get("arguments")
    is_plain = isinstance(plain, str) and arguments is None
    given = plain if is_plain else arguments
    content = given if isinstance(given, str) else json_text(given) if given else ""
    name = text(body.get("name")) or None
    return Piece(call_type, "tool_call", content, "arguments", name, call_id, number, is_plain)
