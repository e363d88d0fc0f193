"""What the deltas of a chat bring, in the form that servers of many makers send and several SDKs read.

Nothing here has been validated. A comment names the server that sends what others do not.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .pieces import Piece
from .values import base64_size, count, field, fields, items, json_text, text

REASONING = ("reasoning_content", "reasoning")
"""The fields that servers send reasoning in. Some send the same in both."""
_TEXTS = {"content": "text", "text": "text", "refusal": "refusal"}
_OTHER_CONTENT = frozenset({*REASONING, "reasoning_details", "images"})
"""Fields of content that an SDK may not define."""


def pieces_of(choice: Mapping[str, Any]) -> Iterator[Piece]:
    """Of a choice of the chat API, or of the completions API, which has a text instead of a delta."""
    delta = fields(choice.get("delta") or choice.get("message")) or {"text": choice.get("text")}
    yield from _reasoning(delta)
    for name, block_type in _TEXTS.items():
        value = delta.get(name)
        yield from [Piece(block_type, "text", value, name)] if isinstance(value, str) and value else _parts(value)
    if (audio := delta.get("audio")) is not None:
        yield Piece("audio", "text", _string(field(audio, "transcript")), size=base64_size(field(audio, "data")))
    for image in items(delta.get("images")):  # OpenRouter
        yield Piece("image", "other", "", size=base64_size(field(field(image, "image_url"), "url")))
    for call in items(delta.get("tool_calls")):
        call_type = text(field(call, "type")) or "function"
        body = field(call, "function") or field(call, call_type)
        yield _call(call_type, fields(body), text(field(call, "id")) or None, count(field(call, "index")))
    if (call := delta.get("function_call")) is not None:
        yield _call("function", fields(call), None, 0)


def _reasoning(delta: Mapping[str, Any]) -> Iterator[Piece]:
    for name in REASONING:
        if value := _string(delta.get(name)):
            yield Piece("reasoning", "thinking", value, name)
            return
    for detail in items(delta.get("reasoning_details")):  # OpenRouter
        if value := _string(field(detail, "text")) or _string(field(detail, "summary")):
            yield Piece("reasoning", "thinking", value)


def _parts(content: Any) -> Iterator[Piece]:
    """Of content that is a list (Mistral)."""
    for part in items(content):
        thoughts = field(part, "thinking")
        for thought in [thoughts] if isinstance(thoughts, str) else items(thoughts):
            if value := _string(thought) or _string(field(thought, "text")):
                yield Piece("reasoning", "thinking", value)
        if value := _string(field(part, "text")):
            yield Piece("text", "text", value)


def _call(call_type: str, body: Mapping[str, Any], call_id: str | None, number: int | None) -> Piece:
    """The input of a custom tool is plain text. Some servers send arguments that are no text."""
    arguments, plain = body.get("arguments"), _string(body.get("input"))
    content = _string(arguments) or plain or (json_text(arguments) if arguments else "")
    name = text(body.get("name")) or None
    return Piece(call_type, "tool_call", content, "arguments", name, call_id, number, is_plain=bool(plain))


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _more_text(_: Piece, choice: Mapping[str, Any]) -> Any:
    delta = choice["delta"]
    values, others = delta.__dict__, delta.__pydantic_extra__
    if values["tool_calls"] is not None or values["refusal"] is not None or values["function_call"] is not None:
        return None
    if others and any(others.values()) and any(others.get(name) for name in _OTHER_CONTENT):
        return None
    return values["content"]


def _more_reasoning(last: Piece, choice: Mapping[str, Any]) -> Any:
    delta = choice["delta"]
    values, others = delta.__dict__, delta.__pydantic_extra__
    return others[last.field] if not values["content"] and values["tool_calls"] is None else None


def _more_arguments(last: Piece, choice: Mapping[str, Any]) -> Any:
    values = choice["delta"].__dict__
    [call] = values["tool_calls"]
    call = call.__dict__
    function, call_id = call["function"].__dict__, call["id"]
    is_same = call["index"] == last.number and (not call_id or call_id == last.id) and not function["name"]
    return function["arguments"] if is_same and not values["content"] else None


MORE: Mapping[str, Callable[[Piece, Mapping[str, Any]], Any]] = {
    "text": lambda _, choice: choice["text"],
    "content": _more_text,
    "arguments": _more_arguments,
    **dict.fromkeys(REASONING, _more_reasoning),
}
"""How the text of the next delta is found, by the field that the last one had its text in."""
