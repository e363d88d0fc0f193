"""From the body of a request to the messages of the GenAI conventions, for those who ask for content.

What these rules do not know is named by its type, and not captured. The rest is as in `stainless/content.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from streamspan import semconv
from streamspan.core.captured import Budget, Captured, Text, part_of
from streamspan.core.model import BlockStart
from streamspan.guard import contained
from streamspan.stainless.chat_deltas import REASONING
from streamspan.stainless.content import (
    as_long_as_there_is_room,
    media_of,
    newest_messages,
    text_of,
    tool_definition,
)
from streamspan.stainless.options import body_of
from streamspan.stainless.values import field, items, typed
from streamspan.telemetry.content import Content

_TEXTS: Mapping[str, str] = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "reasoning": "reasoning",
}
_MEDIA: Mapping[str, str] = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "file": "document",
    "input_file": "document",
}


@contained
def capture_request(content: Content, options: Any) -> None:
    """Capture what the call with these options sends. Never raises."""
    body = body_of(options)
    content.capture_request(lambda budget: _request(body, budget))


def _request(body: Mapping[str, Any], budget: Budget) -> Mapping[str, Captured]:
    """What matters most comes first, as long as there is room. A text alone is the message of the user."""
    asked = body.get("input") or body.get("prompt")
    messages = items(body.get("messages")) or items(body.get("input")) or [{"role": "user", "content": asked}]
    instructions = body.get("instructions")
    tools = [*items(body.get("tools")), *({"function": function} for function in items(body.get("functions")))]
    return {
        semconv.INPUT_MESSAGES: newest_messages(messages, _parts_of_message, budget, _role_of),
        semconv.SYSTEM_INSTRUCTIONS: parts_of([{"type": "text", "text": instructions}] if instructions else (), budget),
        semconv.TOOL_DEFINITIONS: as_long_as_there_is_room(tools, _tool, budget),
    }


def _role_of(message: Any) -> str:
    """Of a message, or of an item of the Responses API that is none."""
    role, item_type = (typed(field(message, name), str) for name in ("role", "type"))
    return role or ("tool" if item_type is not None and item_type.endswith("_output") else "assistant")


def _parts_of_message(message: Any, budget: Budget) -> list[Captured]:
    content, role = field(message, "content"), _role_of(message)
    if role in {"tool", "function"}:
        content = field(message, "output") if content is None else content
        response = text_of(content, budget) if isinstance(content, str) else parts_of(items(content), budget)
        call_id = field(message, "tool_call_id") or field(message, "call_id") or field(message, "name")
        return [{"type": "tool_call_response", "id": text_of(call_id, budget), "response": response}]
    if (item_type := field(message, "type")) not in {None, "message"}:
        return parts_of(_blocks_of_item(message, item_type), budget)
    call = field(message, "function_call")
    return parts_of(
        [
            *({"type": "reasoning", "text": text} for name in REASONING if (text := field(message, name))),
            *([{"type": "text", "text": content}] if isinstance(content, str) else items(content)),
            *([{"type": "refusal", "text": refusal}] if (refusal := field(message, "refusal")) else ()),
            *items(field(message, "tool_calls")),
            *([{"type": "function", "function": call}] if call else ()),
        ],
        budget,
    )


def _blocks_of_item(item: Any, item_type: Any) -> Iterable[Any]:
    """As the chat API has them: of reasoning, of a call, or of whatever else an answer had."""
    if item_type == "reasoning":
        thoughts = items(field(item, "content")) or items(field(item, "summary"))
        return ({"type": "reasoning", "text": field(thought, "text")} for thought in thoughts)
    call_type = {"function_call": "function", "mcp_call": "function", "custom_tool_call": "custom"}.get(item_type)
    return [item if call_type is None else {"type": call_type, "id": field(item, "call_id"), call_type: item}]


def parts_of(blocks: Iterable[Any], budget: Budget) -> list[Captured]:
    """Of the content of a message, and of its tool calls."""
    return as_long_as_there_is_room(blocks, _part, budget)


def _part(block: Any, budget: Budget) -> Captured | None:
    """None: there is no room."""
    block_type = typed(field(block, "type"), str) or "unknown"
    body = field(block, block_type)
    name, call_id = typed(field(body, "name"), str), typed(field(block, "id"), str)
    if not budget.has_frame(block_type, name, call_id):
        return None
    if block_type in _TEXTS:
        kind = "thinking" if block_type == "reasoning" else "text"
        text = body if isinstance(body, str) else field(block, "text")
        return part_of(BlockStart(0, _TEXTS[block_type], kind), text_of(text, budget))
    if block_type in {"function", "custom"}:
        start = BlockStart(0, block_type, "tool_call", name, call_id, plain_input=block_type == "custom")
        arguments = field(body, "input" if start.plain_input else "arguments")
        is_json = isinstance(arguments, str) and not start.plain_input
        return part_of(start, Text(budget, arguments, is_json=True) if is_json else text_of(arguments, budget))
    if block_type in _MEDIA:
        source = block if body is None or isinstance(body, str) else body
        url = field(source, "url") or field(source, "image_url") or field(source, "file_url")
        data = field(source, "data") or field(source, "file_data")
        mime_type = field(source, "format")
        return media_of(
            _MEDIA[block_type], budget, file_id=field(source, "file_id"), url=url, data=data, mime_type=mime_type
        )
    return {"type": block_type}


def _tool(tool: Any, budget: Budget) -> Captured | None:
    """None: there is no room. The Responses API has no `function` around what it says of one."""
    tool_type = typed(field(tool, "type"), str) or "function"
    body = field(tool, tool_type) or tool
    name = typed(field(body, "name"), str) or ""
    if not budget.has_frame(tool_type, name):
        return None
    return tool_definition(body, field(body, "parameters"), tool_type, name, budget)
