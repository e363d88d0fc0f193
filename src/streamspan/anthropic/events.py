"""From the events of the Anthropic SDK to the verbs of the core.

Nothing here is validated by the SDK, which hands on what the server sent, so every value is checked before it is used.
Source: `anthropic/types/`.
"""

from collections.abc import Mapping
from typing import Any

from streamspan import semconv
from streamspan.core.model import BlockKind, BlockStart, DeltaKind, Fact, FallbackTrigger, Report, Usage
from streamspan.core.stream import StreamState
from streamspan.stainless.values import count, field, fields, json_text, text
from streamspan.telemetry.labels import OTHER

from .usage import attributes_of, context_edits, fallback_model, usage_of

_DELTAS: Mapping[str, tuple[DeltaKind, str]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("tool_input", "partial_json"),
}
"""The deltas with content by their types: what they are, and the field that has the content."""
_KINDS: Mapping[str, BlockKind] = {"text": "text", "thinking": "thinking", "redacted_thinking": "hidden_thinking"}
_CUTTING_STOP_REASONS = frozenset({"max_tokens", "model_context_window_exceeded"})
_REFUSAL_CATEGORIES = frozenset({"cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"})
"""Source: `anthropic/types/refusal_stop_details.py`."""
_WRITTEN_CHARS_AT_MOST = 2**18
_WRITTEN_CHARS_AT_LEAST = 512  # for each input
_TRIGGERS: Mapping[object, FallbackTrigger] = {"refusal": "refusal"}


class Translator:
    """Translates the events of one stream. `attributes`: what only Anthropic reports."""

    __slots__ = ("_delta_type", "_index", "_name", "_written_chars", "attributes")

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self._delta_type = ""  # of the last event, if that was a delta with content
        self._index: object = None
        self._name = ""
        self._written_chars = 0  # of JSON

    def continued(self, event: Any) -> str | None:
        """The text of a delta of the same block and kind as the last; None for any other event.

        It looks in the fields of the SDK's models, which takes half the time of asking the models.
        """
        try:
            fields = event.__dict__
            delta = fields["delta"].__dict__
            if delta["type"] == self._delta_type and fields["index"] == self._index:
                text = delta[self._name]
                return text if type(text) is str else None
        except (AttributeError, KeyError, TypeError):
            pass
        return None

    def translate(self, event: Any, gap: float, at: float, state: StreamState) -> tuple[Report, ...]:
        values = fields(event)
        self._delta_type = ""
        event_type, delta = values.get("type"), values.get("delta")
        if delta is not None and event_type != "message_delta" and (found := _content_of(fields(delta))) is not None:
            self._delta_type, kind, self._name, text = found
            self._index = values.get("index")
            return state.delta(kind, self._index, text, at, gap)
        if event_type == "completion":
            return self._completion(values, gap, at, state)
        return state.event(gap, at) + self._other(event_type, values, at, state)

    def is_complete(self, *, marked: bool) -> bool:  # noqa: ARG002  # there is no mark
        """Every message ends by an event."""
        return False

    def _other(self, event_type: Any, values: Mapping[str, Any], at: float, state: StreamState) -> tuple[Report, ...]:
        """Any event that is no delta with content: also a signature, a citation, something new or malformed."""
        match event_type:
            case "content_block_start":
                return self._block_start(values, at, state)
            case "content_block_stop":
                return state.block_stopped(values.get("index"), at)
            case "message_start":
                return self._message_start(fields(values.get("message")), state)
            case "message_delta":
                return self._message_delta(values, state)
            case "message_stop":
                return state.message_ended(at)
            case _:
                pass
        return ()

    def _message_start(self, message: Mapping[str, Any], state: StreamState) -> tuple[Fact, ...]:
        counts = fields(message.get("usage"))
        usage = usage_of(counts)
        self.attributes.update(attributes_of(usage, counts))
        return state.started(text(message.get("id")), text(message.get("model")), usage)

    def _message_delta(self, values: Mapping[str, Any], state: StreamState) -> tuple[Fact, ...]:
        counts = fields(values.get("usage"))
        usage = usage_of(counts)
        state.reported(usage)
        self.attributes.update(attributes_of(usage, counts))
        self.attributes.update(context_edits(values.get("context_management")))
        facts: tuple[Fact, ...] = ()
        if not state.has_fallen_back and (model := fallback_model(counts)) is not None:
            facts = state.fell_back(None, model, OTHER)
        return facts + self._stop_reason(fields(values.get("delta")), state)

    def _stop_reason(self, delta: Mapping[str, Any], state: StreamState) -> tuple[Fact, ...]:
        """An empty one is none."""
        stop_reason, details = text(delta.get("stop_reason")), delta.get("stop_details")
        if stop_reason:
            state.stopped(stop_reason, cut=stop_reason in _CUTTING_STOP_REASONS)
            self.attributes[semconv.ANTHROPIC_STOP_REASON] = stop_reason
        if stop_reason == "refusal" or field(details, "type") == "refusal":
            return state.refused(_refusal_category(details))
        return ()

    def _block_start(self, values: Mapping[str, Any], at: float, state: StreamState) -> tuple[Report, ...]:
        block = fields(values.get("content_block"))
        block_type = text(block.get("type")) or "unknown"
        facts = _fallback(block, state) if block_type == "fallback" else ()
        index = count(values.get("index"))
        kind: BlockKind = "tool_call" if block_type.endswith("tool_use") else _KINDS.get(block_type, "other")
        start = BlockStart(
            -1 if index is None else index, block_type, kind, text(block.get("name")), text(block.get("id"))
        )
        return facts + state.block_started(start, at, self._content_of_start(kind, block))

    def _content_of_start(self, kind: BlockKind, block: Mapping[str, Any]) -> str:
        """What a block begins with, which the API leaves empty and some gateways do not; a tool's input as JSON.

        Writing JSON takes longer than it took the SDK to read it, so there is a limit for a stream. Beyond it an input
        counts as empty.
        """
        if kind == "tool_call":
            given = block.get("input")
            if not given or self._written_chars >= _WRITTEN_CHARS_AT_MOST:
                return ""
            content = json_text(given)
            self._written_chars += len(content) + _WRITTEN_CHARS_AT_LEAST
            return content
        content = block.get(kind) if kind in {"text", "thinking"} else None
        return content if isinstance(content, str) else ""

    def _completion(self, values: Mapping[str, Any], gap: float, at: float, state: StreamState) -> tuple[Report, ...]:
        """The one event of the completions API, which SDKs before 1.0 have: a piece of one text."""
        facts: tuple[Report, ...] = ()
        if not state.has_blocks:
            state.started(text(values.get("id")), text(values.get("model")), Usage())
            facts = state.block_started(BlockStart(0, "text", "text"), at)
        piece = values.get("completion")
        facts += state.delta("text", 0, piece if isinstance(piece, str) else "", at, gap)
        if text(values.get("stop_reason")):
            facts += state.block_stopped(0, at)
            facts += self._stop_reason(values, state)
            facts += state.message_ended(at)
        return facts


def _fallback(block: Mapping[str, Any], state: StreamState) -> tuple[Fact, ...]:
    """`from` is called `from_` in the SDK's model."""
    trigger = block.get("trigger")
    return state.fell_back(
        text(field(block.get("from_") or block.get("from"), "model")),
        text(field(block.get("to"), "model")),
        _TRIGGERS.get(text(field(trigger, "type")), OTHER),
        _refusal_category(trigger),
    )


def _refusal_category(details: Any) -> str | None:
    """The explanation beside it is content."""
    category = text(field(details, "category"))
    return OTHER if category and category not in _REFUSAL_CATEGORIES else category or None


def _content_of(delta: Mapping[str, Any]) -> tuple[str, DeltaKind, str, str] | None:
    """The delta's type, kind, field and text. A delta without a type is told by its field. None: it has no content."""
    delta_type = delta.get("type")
    if delta_type is None:
        candidates = [*_DELTAS]
    elif isinstance(delta_type, str) and delta_type in _DELTAS:
        candidates = [delta_type]
    else:
        return None
    for candidate in candidates:
        kind, name = _DELTAS[candidate]
        if isinstance(text := delta.get(name), str):
            return candidate, kind, name, text
    return None
