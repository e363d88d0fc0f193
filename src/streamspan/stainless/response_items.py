"""The items that a response consists of, in the form that servers of many makers send and several SDKs read.

    text, refusal  a part of a message is a block
    reasoning      an item is a block, with its text, its summary and the time in which neither is sent
    ..._call       an item is a block, with the arguments, the input or the code of the call
    audio          the transcript of what is spoken, which belongs to no item

Nothing here has been validated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from streamspan.core.model import BlockStart, DeltaKind, Report
from streamspan.core.stream import StreamState

from .values import field, items, text

_PARTS_AT_MOST = 64
_ITEMS_AT_MOST = 64


def _call(item_type: str, name: str | None = None, call_id: str | None = None, *, judged: bool = True) -> BlockStart:
    """Some inputs are no JSON."""
    is_plain = not judged or item_type in {"custom_tool_call", "code_interpreter_call", "shell_call"}
    return BlockStart(0, item_type, "tool_call", name, call_id, is_plain)


PARTS: Mapping[object, BlockStart] = {
    "output_text": BlockStart(0, "text", "text"),
    "refusal": BlockStart(0, "refusal", "text"),
}
"""The blocks of a message, by the types of its parts. Those of reasoning have the block of their item."""
_REASONING = BlockStart(0, "reasoning", "thinking")
_CODE = _call("code_interpreter_call")
CONTENTS: Mapping[str, tuple[BlockStart, str, str]] = {
    "response.output_text": (PARTS["output_text"], "text", "content_index"),
    "response.refusal": (PARTS["refusal"], "refusal", "content_index"),
    "response.audio.transcript": (BlockStart(0, "audio", "text"), "transcript", "output_index"),
    "response.reasoning_text": (_REASONING, "text", "content_index"),
    "response.reasoning_summary_text": (_REASONING, "text", "summary_index"),
    "response.function_call_arguments": (_call("function_call", judged=False), "arguments", "output_index"),
    "response.mcp_call_arguments": (_call("mcp_call", judged=False), "arguments", "output_index"),
    "response.custom_tool_call_input": (_call("custom_tool_call"), "input", "output_index"),
    "response.code_interpreter_call_code": (_CODE, "code", "output_index"),
    "response.code_interpreter_call.code": (_CODE, "code", "output_index"),  # its older name
    "response.shell_call_command": (_call("shell_call"), "command", "command_index"),
}
"""Content that comes in deltas, by the types of its events without their last word, which is `delta` or `done`.

Its block, where nothing has announced that: its beginning may be missing, so its input cannot be judged. The field that
has all of it when it is done. And the field that numbers the parts of its item.
"""
_CALLS_OF_THE_APPLICATION = frozenset(
    {"function_call", "custom_tool_call", "computer_call", "local_shell_call", "apply_patch_call"}
)
"""Calls that the application makes, and no server."""


def start_of(item: Mapping[str, Any], item_type: str) -> BlockStart:
    """Of an item that is no message."""
    if item_type == "reasoning":
        return _REASONING
    if not item_type.endswith("_call") and item_type != "mcp_approval_request":
        return BlockStart(0, item_type, "other")
    name = text(item.get("name")) or item_type.removesuffix("_call")
    return _call(item_type, name, text(item.get("call_id")) or text(item.get("id")))


def parts_of(message: Mapping[str, Any]) -> Iterator[Any]:
    return islice(items(message.get("content")), _PARTS_AT_MOST)


def content_of(item: Mapping[str, Any]) -> tuple[DeltaKind, str | None]:
    """All content of an item that is no message."""
    if item.get("type") == "reasoning":
        parts = items(item.get("content")) or items(item.get("summary"))
        texts = [field(part, "text") for part in islice(parts, _PARTS_AT_MOST)]
        return "thinking", "".join(content for content in texts if isinstance(content, str))
    given = (item.get(name) for name in ("arguments", "input", "code"))
    return "tool_input", next((content for content in given if isinstance(content, str)), None)


class Items:
    """The items of one stream that have begun and not ended. Not every server announces them.

    call_application  a call has begun that the application makes
    """

    __slots__ = ("_block_count", "_blocks", "call_application")

    def __init__(self) -> None:
        self.call_application = False
        self._blocks: dict[object, int] = {}  # the last block of each item, which may have stopped
        self._block_count = 0

    def __contains__(self, item: object) -> bool:
        return item in self._blocks

    def begin(self, item: object, start: BlockStart, at: float, state: StreamState) -> tuple[Report, ...]:
        """A block begins, which ends the one before of the same item."""
        reports: tuple[Report, ...] = self.end(item, at, state)
        if len(self._blocks) >= _ITEMS_AT_MOST:
            self._blocks.clear()
        self._blocks[item] = number = self._block_count
        self._block_count += 1
        self.call_application = self.call_application or start.type in _CALLS_OF_THE_APPLICATION
        if start.type == "refusal":
            reports += state.refused(None)
        return reports + state.block_started(replace(start, index=number), at)

    def add(  # noqa: PLR0913, PLR0917  # what a delta is
        self, item: object, kind: DeltaKind, text: str, gap: float, at: float, state: StreamState
    ) -> tuple[Report, ...]:
        return state.delta(kind, self._blocks.get(item, -1), text, at, gap)

    def fill(self, item: object, kind: DeltaKind, content: Any, at: float, state: StreamState) -> tuple[Report, ...]:
        """Content has come whole. It counts if none has come before."""
        number = self._blocks.get(item)
        if number is None or not isinstance(content, str) or not content or state.has_chunks(number):
            return ()
        return state.delta(kind, number, content, at)

    def end_block(self, item: object, at: float, state: StreamState) -> tuple[Report, ...]:
        """The last block of an item ends, and another may follow."""
        return state.block_stopped(self._blocks.get(item), at)

    def end(self, item: object, at: float, state: StreamState) -> tuple[Report, ...]:
        return state.block_stopped(self._blocks.pop(item, None), at)
