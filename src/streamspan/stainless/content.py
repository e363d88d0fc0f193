"""From the content of a request to the messages of the GenAI conventions: what the rules of every provider share.

Texts are captured as they are, up to the cap. Images, audio, documents and other data never are: only their type and
size, or the address that they are at, without what may be a key to it.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from streamspan.core.captured import Budget, Captured, Text

from .values import field, items, name_of_type, typed

_MIME_TYPE_CHARS_AT_MOST = 64
_URL_CHARS_AT_MOST = 2048

_encoder = json.JSONEncoder(ensure_ascii=False, skipkeys=True, separators=(",", ":"), default=name_of_type)


def role_of(message: Any) -> str:
    return typed(field(message, "role"), str) or "unknown"


def newest_messages(
    messages: Any,
    parts_of: Callable[[Any, Budget], list[Captured]],
    budget: Budget,
    role_of: Callable[[Any], str] = role_of,
) -> list[Captured]:
    """In their order, captured from the newest on, as long as there is room."""
    newest_first: list[Captured] = []
    for message in reversed(items(messages)):
        role = role_of(message)
        if not budget.has_frame(role):
            break
        parts = parts_of(message, budget)
        if not parts and budget.exceeded:
            break
        newest_first.append({"role": role, "parts": parts})
    return newest_first[::-1]


def as_long_as_there_is_room(
    values: Iterable[Any], part_of: Callable[[Any, Budget], Captured | None], budget: Budget
) -> list[Captured]:
    """`part_of` gives None where there is no room."""
    parts: list[Captured] = []
    for value in values:
        part = part_of(value, budget)
        if part is None:
            break
        parts.append(part)
    return parts


def text_of(text: Any, budget: Budget) -> Text:
    return Text(budget, text if isinstance(text, str) else "")


def json_of(value: Any, budget: Budget) -> Text:
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


def media_of(  # noqa: PLR0913  # the three ways in which media are sent
    modality: str,
    budget: Budget,
    *,
    file_id: Any = None,
    url: Any = None,
    data: Any = None,
    mime_type: Any = None,
    size: int | None = None,
) -> Captured:
    """An image, audio or a document: sent by its id, by its address, or as `data` in base64. `size` is in bytes."""
    if isinstance(file_id, str):
        return {"type": "file", "modality": modality, "file_id": Text(budget, file_id)}
    if isinstance(url, str) and (address := _address(url)) is not None:
        return {"type": "uri", "modality": modality, "uri": Text(budget, address)}
    payload = next((text for text in (data, url) if isinstance(text, str)), "")
    if payload[:5] == "data:":
        head, _, payload = payload.partition(",")
        mime_type = head[5:].partition(";")[0]
    mime_type = (typed(mime_type, str) or "unknown")[:_MIME_TYPE_CHARS_AT_MOST]
    size = len(payload) * 3 // 4 if size is None else size
    return {"type": "blob", "modality": modality, "mime_type": mime_type, "content": "", "size": size}


def tool_definition(tool: Any, schema: Any, tool_type: str, name: str, budget: Budget) -> Captured:
    """`schema`: of its input; None: the tool is one of the provider's own, or takes plain text."""
    if schema is None:
        return {"type": tool_type, "name": name}
    description = text_of(field(tool, "description"), budget)
    return {"type": "function", "name": name, "description": description, "parameters": json_of(schema, budget)}


def _address(url: str) -> str | None:
    """Without credentials, query and fragment, which may be a key to it. None: it is no address on the web."""
    scheme, separator, rest = url[:_URL_CHARS_AT_MOST].strip().partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        return None
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme.lower()}://{authority.rpartition('@')[2]}{slash}{path}"
