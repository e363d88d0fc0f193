"""From the body of a request to the messages of the GenAI conventions, for those who ask for content.

What these rules do not know is named by its type, and not captured: thinking that is redacted, signatures, the results
of the provider's own tools. The rest is as in `stainless/content.py`.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from streamspan import semconv
from streamspan.core.captured import Budget, Captured, part_of
from streamspan.core.model import BlockStart
from streamspan.guard import contained
from streamspan.stainless.content import (
    as_long_as_there_is_room,
    json_of,
    media_of,
    newest_messages,
    text_of,
    tool_definition,
)
from streamspan.stainless.options import body_of
from streamspan.stainless.values import field, items, typed
from streamspan.telemetry.content import Content

_TOOL_RESULTS = frozenset({"tool_result", "mcp_tool_result"})
_DOCUMENT_PARTS_AT_MOST = 256


@contained
def capture_request(content: Content, options: Any) -> None:
    """Capture what the call with these options sends. Never raises."""
    body = body_of(options)
    content.capture_request(lambda budget: _request(body, budget))


def _request(body: Mapping[str, Any], budget: Budget) -> Mapping[str, Captured]:
    """What matters most comes first, as long as there is room. The message of the completions API is the prompt."""
    messages = items(body.get("messages")) or [{"role": "user", "content": body.get("prompt")}]
    return {
        semconv.INPUT_MESSAGES: newest_messages(messages, _parts_of_message, budget),
        semconv.SYSTEM_INSTRUCTIONS: _parts(body.get("system"), budget),
        semconv.TOOL_DEFINITIONS: as_long_as_there_is_room(items(body.get("tools")), _tool, budget),
    }


def _parts_of_message(message: Any, budget: Budget) -> list[Captured]:
    return _parts(field(message, "content"), budget)


def _parts(content: Any, budget: Budget) -> list[Captured]:
    """Of a text, or of a list of blocks."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    return as_long_as_there_is_room(items(content), _part, budget)


def _part(block: Any, budget: Budget) -> Captured | None:
    """None: there is no room."""
    block_type = typed(field(block, "type"), str) or "unknown"
    name, tool_id = (typed(field(block, key), str) for key in ("name", "id"))
    if not budget.has_frame(block_type, name, tool_id):
        return None
    if block_type in {"text", "thinking"}:
        return part_of(
            BlockStart(0, block_type, "text" if block_type == "text" else "thinking"),
            text_of(field(block, block_type), budget),
        )
    if block_type.endswith("tool_use"):
        return part_of(BlockStart(0, block_type, "tool_call", name, tool_id), json_of(field(block, "input"), budget))
    if block_type in _TOOL_RESULTS:
        return _tool_result(block, budget)
    if block_type in {"image", "document"}:
        return _data(block_type, field(block, "source"), budget)
    return {"type": block_type}


def _tool_result(block: Any, budget: Budget) -> Captured:
    result = field(block, "content")
    return {
        "type": "tool_call_response",
        "id": text_of(field(block, "tool_use_id"), budget),
        "response": text_of(result, budget) if isinstance(result, str) else _parts(result, budget),
    }


def _data(modality: str, source: Any, budget: Budget) -> Captured:
    kind = typed(field(source, "type"), str)
    url, data = field(source, "url"), field(source, "data")
    if kind == "file":
        return media_of(modality, budget, file_id=typed(field(source, "file_id"), str) or "")
    size = None
    if kind == "content":
        size = _size_of_texts(field(source, "content"))
    elif kind == "text":
        size = _size(next((text for text in (data, url) if isinstance(text, str)), ""))
    mime_type, address = field(source, "media_type"), url if kind == "url" else None
    return media_of(modality, budget, url=address, data=data or url, mime_type=mime_type, size=size)


def _size_of_texts(content: Any) -> int:
    """Of a document that is made of a text, or of blocks."""
    if isinstance(content, str):
        return _size(content)
    texts = (field(block, "text") for block in islice(items(content), _DOCUMENT_PARTS_AT_MOST))
    return sum(_size(text) for text in texts if isinstance(text, str))


def _size(text: str) -> int:
    """In bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _tool(tool: Any, budget: Budget) -> Captured | None:
    """None: there is no room."""
    tool_type, name = (typed(field(tool, key), str) or "" for key in ("type", "name"))
    if not budget.has_frame(tool_type, name):
        return None
    return tool_definition(tool, field(tool, "input_schema"), tool_type, name, budget)
