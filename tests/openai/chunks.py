"""Bodies of the chat API, in the shape in which OpenAI and other servers send them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

DONE = b"data: [DONE]\n\n"
MODEL = "gpt-5.5-mini-2026-05-01"
ID = "chatcmpl-B1"
USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


def frame(value: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def chunk(choices: Sequence[Mapping[str, Any]], **more: Any) -> bytes:
    return frame(
        {"id": ID, "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choices, **more}
    )


def delta(index: int = 0, finish_reason: str | None = None, more: Mapping[str, Any] | None = None, **of: Any) -> bytes:
    """A chunk of one choice. `more`: of the chunk."""
    return chunk([{"index": index, "delta": of, "finish_reason": finish_reason}], **(more or {}))


def text(content: str, index: int = 0) -> bytes:
    return delta(index, content=content)


def role(index: int = 0) -> bytes:
    """The first chunk of a choice."""
    return delta(index, role="assistant", content="", refusal=None)


def finish(reason: str = "stop", index: int = 0) -> bytes:
    return delta(index, finish_reason=reason)


def usage(**counts: Any) -> bytes:
    """The last chunk, where the request asked for it."""
    return chunk([], usage={**USAGE, **counts})


def call(arguments: Any = None, name: str | None = None, call_id: str | None = None, **more: Any) -> bytes:
    """A chunk of a tool call. `more`: of the call, such as its index."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return delta(tool_calls=[{**({} if call_id is None else {"id": call_id}), "function": function, **more}])


HELLO = (role(), text("Hel"), text("lo"), finish(), DONE)
WEATHER = ('{"city', '": "Os', 'lo"}')
"""The arguments of a tool call, in pieces."""
