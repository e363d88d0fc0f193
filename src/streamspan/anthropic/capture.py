"""From the body of a request to the messages of the GenAI conventions, for those who ask for content.

Texts are captured as they are, up to the cap. Images, documents and other data never are: only their type and size, or
the address that they are at, without what may be a key to it.
What these rules do not know is named by its type, and not captured: thinking that is redacted, signatures, the results
of the provider's own tools.
"""

import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from streamspan import semconv
from streamspan.core.captured import Budget, Captured, Text, part_of
from streamspan.core.model import BlockStart
from streamspan.guard import contained
from streamspan.stainless.options import body_of
from streamspan.stainless.values import field, items, name_of_type, typed
from streamspan.telemetry.content import Content

_TOOL_RESULTS = frozenset({"tool_result", "mcp_tool_result"})
_MIME_TYPE_CHARS_AT_MOST = 64
_URL_CHARS_AT_MOST = 2048
_DOCUMENT_PARTS_AT_MOST = 256


_encoder = json.JSONEncoder(ensure_ascii=False, skipkeys=True, separators=(",", ":"), default=name_of_type)


@contained
def capture_request(content: Content, options: Any) -> None:
    """Capture what the call with these options sends. Never raises."""
    body = body_of(options)
    content.capture_request(lambda budget: _request(body, budget))


def _request(body: Mapping[str, Any], budget: Budget) -> Mapping[str, Captured]:
    """What matters most comes first, as long as there is room."""
    return {
        semconv.INPUT_MESSAGES: _messages(body, budget),
        semconv.SYSTEM_INSTRUCTIONS: _parts(body.get("system"), budget),
        semconv.TOOL_DEFINITIONS: _tools(body.get("tools"), budget),
    }


def _messages(body: Mapping[str, Any], budget: Budget) -> list[Captured]:
    """In their order, captured from the newest on: that of the completions API is the prompt."""
    messages = items(body.get("messages")) or [{"role": "user", "content": body.get("prompt")}]
    newest_first: list[Captured] = []
    for message in reversed(messages):
        role = typed(field(message, "role"), str) or "unknown"
        if not budget.has_frame(role):
            break
        parts = _parts(field(message, "content"), budget)
        if not parts and budget.exceeded:
            break
        newest_first.append({"role": role, "parts": parts})
    return newest_first[::-1]


def _parts(content: Any, budget: Budget) -> list[Captured]:
    """Of a text, or of a list of blocks."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    parts: list[Captured] = []
    for block in items(content):
        part = _part(block, budget)
        if part is None:
            break
        parts.append(part)
    return parts


def _part(block: Any, budget: Budget) -> Captured | None:
    """None: there is no room."""
    block_type = typed(field(block, "type"), str) or "unknown"
    name, tool_id = (typed(field(block, key), str) for key in ("name", "id"))
    if not budget.has_frame(block_type, name, tool_id):
        return None
    if block_type in {"text", "thinking"}:
        return part_of(
            BlockStart(0, block_type, "text" if block_type == "text" else "thinking"),
            _text(field(block, block_type), budget),
        )
    if block_type.endswith("tool_use"):
        return part_of(BlockStart(0, block_type, "tool_call", name, tool_id), _json(field(block, "input"), budget))
    if block_type in _TOOL_RESULTS:
        return _tool_result(block, budget)
    if block_type in {"image", "document"}:
        return _data(block_type, field(block, "source"), budget)
    return {"type": block_type}


def _tool_result(block: Any, budget: Budget) -> Captured:
    result = field(block, "content")
    return {
        "type": "tool_call_response",
        "id": _text(field(block, "tool_use_id"), budget),
        "response": _text(result, budget) if isinstance(result, str) else _parts(result, budget),
    }


def _data(modality: str, source: Any, budget: Budget) -> Captured:
    """Of an image or a document: `size` is in bytes."""
    kind = typed(field(source, "type"), str)
    url, data = field(source, "url"), field(source, "data")
    if kind == "file":
        return {"type": "file", "modality": modality, "file_id": _text(field(source, "file_id"), budget)}
    if kind == "url" and isinstance(url, str) and (address := _address(url)) is not None:
        return {"type": "uri", "modality": modality, "uri": _text(address, budget)}
    mime_type = (typed(field(source, "media_type"), str) or "unknown")[:_MIME_TYPE_CHARS_AT_MOST]
    if kind == "content":
        size = _size_of_texts(field(source, "content"))
    else:
        payload = next((text for text in (data, url) if isinstance(text, str)), "")
        size = _size(payload) if kind == "text" else len(payload) * 3 // 4  # it is in base64
    return {"type": "blob", "modality": modality, "mime_type": mime_type, "content": "", "size": size}


def _address(url: str) -> str | None:
    """Without credentials, query and fragment, which may be a key to it. None: it is no address on the web."""
    scheme, separator, rest = url[:_URL_CHARS_AT_MOST].strip().partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        return None
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme.lower()}://{authority.rpartition('@')[2]}{slash}{path}"


def _size_of_texts(content: Any) -> int:
    """Of a document that is made of a text, or of blocks."""
    if isinstance(content, str):
        return _size(content)
    texts = (field(block, "text") for block in islice(items(content), _DOCUMENT_PARTS_AT_MOST))
    return sum(_size(text) for text in texts if isinstance(text, str))


def _size(text: str) -> int:
    """In bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _tools(tools: Any, budget: Budget) -> list[Captured]:
    definitions: list[Captured] = []
    for tool in items(tools):
        tool_type, name = (typed(field(tool, key), str) or "" for key in ("type", "name"))
        if not budget.has_frame(tool_type, name):
            break
        schema = field(tool, "input_schema")
        if schema is None:  # one of the provider's own
            definitions.append({"type": tool_type, "name": name})
            continue
        description = _text(field(tool, "description"), budget)
        parameters = _json(schema, budget)
        definitions.append({"type": "function", "name": name, "description": description, "parameters": parameters})
    return definitions


def _text(text: Any, budget: Budget) -> Text:
    return Text(budget, text if isinstance(text, str) else "")


def _json(value: Any, budget: Budget) -> Text:
    """Written piece by piece, so that what is beyond the cap costs nothing, and what cannot be written is cut."""
    text = Text(budget, is_json=True)
    try:
        for piece in _encoder.iterencode(value):
            text.add(piece)
            if text.truncated:
                break
    except (ValueError, RecursionError):  # it is too deep, or holds itself
        text.truncated = True
    return text
