"""From the events of the Responses API to the verbs of the core.

Nothing here is validated by the SDK, which hands on what the server sent, and the servers are of many makers. Some
leave events out: a block may begin with its first delta, and content may come whole, with the event that ends it. An
item is known by its `output_index`, because its id may change.

    text, refusal  the parts of a message are its blocks
    reasoning      an item is one block, with its text, its summary and the time in which neither is sent
    ..._call       an item is one block, with the arguments, the input or the code of the call
    audio          the transcript of what is spoken, which belongs to no item

Source: `openai/types/responses/`.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from streamspan import semconv
from streamspan.core.model import BlockKind, BlockStart, DeltaKind, Report, Usage
from streamspan.core.stream import StreamState
from streamspan.stainless.errors import error_word, message_of
from streamspan.stainless.values import count, field, fields, items, text

from .usage import usage_of


class _Content(NamedTuple):
    """Content that comes in deltas.

    block  the type of its block
    whole  the field of its last event that has all of it
    part   the field that numbers the parts of an item
    """

    kind: DeltaKind
    block: str
    whole: str
    part: str = "output_index"


_CONTENTS: Mapping[str, _Content] = {
    "response.output_text": _Content("text", "text", "text", "content_index"),
    "response.refusal": _Content("text", "refusal", "refusal", "content_index"),
    "response.audio.transcript": _Content("text", "audio", "transcript"),
    "response.reasoning_text": _Content("thinking", "reasoning", "text", "content_index"),
    "response.reasoning_summary_text": _Content("thinking", "reasoning", "text", "summary_index"),
    "response.function_call_arguments": _Content("tool_input", "function_call", "arguments"),
    "response.mcp_call_arguments": _Content("tool_input", "mcp_call", "arguments"),
    "response.custom_tool_call_input": _Content("tool_input", "custom_tool_call", "input"),
    "response.code_interpreter_call_code": _Content("tool_input", "code_interpreter_call", "code"),
    "response.code_interpreter_call.code": _Content("tool_input", "code_interpreter_call", "code"),  # its older name
    "response.shell_call_command": _Content("tool_input", "shell_call", "command", "command_index"),
}
"""By the type of the event without its last word, which is `delta` or `done`."""
_KINDS: Mapping[str, BlockKind] = {"text": "text", "thinking": "thinking", "tool_input": "tool_call"}
_PARTS: Mapping[object, str] = {"output_text": "text", "refusal": "refusal"}
"""The blocks of a message, by the types of its parts. A part of reasoning is no block."""
_PLAIN_INPUT = frozenset({"custom_tool_call", "code_interpreter_call", "shell_call"})
_OF_THE_APPLICATION = frozenset(
    {"function_call", "custom_tool_call", "computer_call", "local_shell_call", "apply_patch_call"}
)
"""Calls that the application makes, and no server."""
_OPEN_AT_MOST = 64
_SIZE_AT_MOST = 2**40
_NO_DELTA = ("", None, "", None)

_Values = Mapping[str, Any]
_Reports = tuple[Report, ...]


class ResponsesTranslator:
    """Translates the events of one stream. `attributes`: what only this API reports."""

    __slots__ = ("_block_count", "_blocks", "_calls_application", "_has_started", "_last", "attributes")

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self._blocks: dict[int | None, int] = {}  # the last block of each item that has not ended, by its number
        self._block_count = 0
        self._calls_application = False
        self._has_started = False
        # Of the last event, if that was a delta: its type, its item, and what part of it.
        self._last: tuple[str, object, str, object] = _NO_DELTA

    def continued(self, event: Any) -> str | None:
        """The text of a delta of the same block and kind as the last; None for any other event.

        It looks in the fields of the SDK's models, which takes half the time of asking the models.
        """
        try:
            values = event.__dict__
            event_type, item, name, part = self._last
            if values["type"] == event_type and values["output_index"] == item and values[name] == part:
                text = values["delta"]
                return text if type(text) is str else None
        except (AttributeError, KeyError, TypeError):
            pass
        return None

    def translate(self, event: Any, gap: float, at: float, state: StreamState) -> _Reports:
        values = fields(event)
        event_type = text(values.get("type")) or ""
        self._last = _NO_DELTA
        if event_type == "keepalive":
            return state.delta("text", None, "", at, gap)
        about, _, word = event_type.rpartition(".")
        content, item, delta = _CONTENTS.get(about), _item_of(values), values.get("delta")
        if content is None:
            return state.event(gap, at) + self._other(event_type, values, at, state)
        if word != "delta" or not isinstance(delta, str):
            return state.event(gap, at) + self._fill(item, content.kind, values.get(content.whole), at, state)
        reports: _Reports = ()
        if item not in self._blocks:  # its beginning may be missing, so nobody can judge its input
            reports, gap = state.event(gap, at), 0.0
            start = BlockStart(0, content.block, _KINDS[content.kind], plain_input=True)
            reports += self._begin(item, start, at, state)
        self._last = (event_type, values.get("output_index"), content.part, values.get(content.part))
        return reports + state.delta(content.kind, self._blocks[item], delta, at, gap)

    def is_complete(self, *, marked: bool) -> bool:  # noqa: ARG002  # `[DONE]` alone is no end
        """Every response ends by an event."""
        return False

    def _other(self, event_type: str, values: _Values, at: float, state: StreamState) -> _Reports:
        """Any event that is not about content."""
        reports: _Reports = ()
        match event_type:
            case "response.created" | "response.queued" | "response.in_progress":
                reports = self._response_begins(values, state)
            case "response.output_item.added":
                reports = self._item_begins(values, at, state)
            case "response.content_part.added":
                reports = self._part_begins(values, at, state)
            case "response.content_part.done":
                reports = self._part_ends(values, at, state)
            case "response.output_item.done":
                reports = self._item_ends(values, at, state)
            case "response.audio.delta" | "response.image_generation_call.partial_image":
                self._count_media(values.get("delta") or values.get("partial_image_b64"))
            case "response.completed" | "response.incomplete" | "response.failed":
                reports = self._response_ends(event_type, values, at, state)
            case "error":
                _fail(values, state)
            case _:
                pass
        return reports

    def _begin(self, item: int | None, start: BlockStart, at: float, state: StreamState) -> _Reports:
        """A block begins, which ends the one before of the same item."""
        reports: _Reports = state.block_stopped(self._blocks.pop(item, None), at)
        if len(self._blocks) >= _OPEN_AT_MOST:
            self._blocks.clear()
        self._blocks[item] = number = self._block_count
        self._block_count += 1
        if start.type == "refusal":
            reports += state.refused(None)
        return reports + state.block_started(replace(start, index=number), at)

    def _fill(self, item: int | None, kind: DeltaKind, content: Any, at: float, state: StreamState) -> _Reports:
        """Content has come whole. It counts if it has not come in deltas."""
        number = self._blocks.get(item)
        if number is None or not isinstance(content, str) or not content or state.has_chunks(number):
            return ()
        return state.delta(kind, number, content, at)

    def _item_begins(self, values: _Values, at: float, state: StreamState) -> _Reports:
        index, item = _item_of(values), fields(values.get("item"))
        item_type = text(item.get("type")) or "unknown"
        if item_type == "message":
            return ()
        start = BlockStart(0, item_type, "thinking" if item_type == "reasoning" else "other")
        if item_type.endswith("_call") or item_type == "mcp_approval_request":
            self._calls_application = self._calls_application or item_type in _OF_THE_APPLICATION
            name = text(item.get("name")) or item_type.removesuffix("_call")
            call_id = text(item.get("call_id")) or text(item.get("id"))
            start = BlockStart(0, item_type, "tool_call", name, call_id, item_type in _PLAIN_INPUT)
        return self._begin(index, start, at, state)

    def _item_ends(self, values: _Values, at: float, state: StreamState) -> _Reports:
        """It may not have begun."""
        index, item, reports = _item_of(values), fields(values.get("item")), ()
        self._count_media(item.get("result"))  # an image
        if index not in self._blocks:
            reports = self._item_begins(values, at, state)
            for part in islice(items(item.get("content")), _OPEN_AT_MOST):
                reports += self._part_begins({"output_index": index, "part": part}, at, state)
                reports += self._part_ends({"output_index": index, "part": part}, at, state)
        reports += self._fill(index, *_content_of(item), at, state)
        return reports + state.block_stopped(self._blocks.pop(index, None), at)

    def _part_begins(self, values: _Values, at: float, state: StreamState) -> _Reports:
        block_type = _PARTS.get(text(field(values.get("part"), "type")))
        if block_type is None:
            return ()
        return self._begin(_item_of(values), BlockStart(0, block_type, "text"), at, state)

    def _part_ends(self, values: _Values, at: float, state: StreamState) -> _Reports:
        index, part = _item_of(values), fields(values.get("part"))
        if text(part.get("type")) not in _PARTS:
            return ()
        reports = self._fill(index, "text", part.get("text") or part.get("refusal"), at, state)
        return reports + state.block_stopped(self._blocks.get(index), at)

    def _count_media(self, base64: Any) -> None:
        if isinstance(base64, str):
            size = self.attributes.get(semconv.MEDIA_SIZE, 0) + len(base64) * 3 // 4
            self.attributes[semconv.MEDIA_SIZE] = min(size, _SIZE_AT_MOST)

    def _response_begins(self, values: _Values, state: StreamState) -> _Reports:
        """The first event that tells of the response counts."""
        if self._has_started:
            return ()
        self._has_started = True
        response = fields(values.get("response"))
        return state.started(text(response.get("id")) or None, text(response.get("model")) or None, Usage())

    def _response_ends(self, event_type: str, values: _Values, at: float, state: StreamState) -> _Reports:
        reports, response = self._response_begins(values, state), fields(values.get("response"))
        if (tier := text(response.get("service_tier"))) is not None:
            self.attributes[semconv.OPENAI_RESPONSE_SERVICE_TIER] = tier
        if (usage := usage_of(response.get("usage"))) is not None:
            state.reported(usage)
        if event_type == "response.failed":
            _fail(fields(response.get("error")), state)
            return reports
        reason = text(field(response.get("incomplete_details"), "reason"))
        if reason or event_type == "response.incomplete":
            state.stopped(reason or "incomplete", cut=True)
        else:
            state.stopped("tool_calls" if self._calls_application else "stop", cut=False)
        return reports + state.message_ended(at)


def _item_of(values: _Values) -> int | None:
    return count(values.get("output_index"))


def _content_of(item: _Values) -> tuple[DeltaKind, str | None]:
    """All content of an item that is no message."""
    if item.get("type") == "reasoning":
        parts = items(item.get("content")) or items(item.get("summary"))
        texts = [field(part, "text") for part in islice(parts, _OPEN_AT_MOST)]
        return "thinking", "".join(content for content in texts if isinstance(content, str))
    given = (item.get(name) for name in ("arguments", "input", "code"))
    return "tool_input", next((content for content in given if isinstance(content, str)), None)


def _fail(error: _Values, state: StreamState) -> None:
    """The response has failed. The event `error`, whose type says nothing, may come first: it ends the stream."""
    state.failed(error_word({"code": error.get("code")}) or "api_error", message_of(error.get("message")))
