"""From the events of the Anthropic SDK to the verbs of the core.

Nothing here is validated by the SDK, which hands on what the server sent, so every value is checked before it is used.
Source: `anthropic/types/`.
"""

import re
from collections.abc import Mapping
from typing import Any

from streamspan import semconv
from streamspan.core.model import BlockKind, BlockStart, DeltaKind, Fact, Report, Usage
from streamspan.core.stream import StreamState
from streamspan.stainless.values import field, fields, items, typed

_DELTAS: Mapping[str, tuple[DeltaKind, str]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("tool_input", "partial_json"),
}
"""The deltas with content by their types: what they are, and the field that has the content."""
_KINDS: Mapping[str, BlockKind] = {"text": "text", "thinking": "thinking", "redacted_thinking": "hidden_thinking"}
_CUTTING_STOP_REASONS = frozenset({"max_tokens", "model_context_window_exceeded"})
_SERVER_TOOL_COUNTS_AT_MOST = 16
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")  # what a server may send there is text of any kind


class Translator:
    """Translates the events of one stream. `attributes`: what only Anthropic reports."""

    __slots__ = ("_delta_type", "_index", "_name", "attributes")

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self._delta_type = ""  # of the last event, if that was a delta with content
        self._index: object = None
        self._name = ""

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
        delta = values.get("delta")
        if delta is not None and (found := _content_of(fields(delta))) is not None:
            self._delta_type, kind, self._name, text = found
            self._index = values.get("index")
            return state.delta(kind, self._index, text, at, gap)
        if values.get("type") == "completion":
            return self._completion(values, gap, at, state)
        return state.event(gap, at) + self._other(values, at, state)

    def _other(self, values: Mapping[str, Any], at: float, state: StreamState) -> tuple[Fact, ...]:
        """Any event that is no delta with content: also a signature, a citation, something new or malformed."""
        match values.get("type"):
            case "content_block_start":
                return self._block_start(values, at, state)
            case "content_block_stop":
                return state.block_stopped(values.get("index"), at)
            case "message_start":
                self._message_start(fields(values.get("message")), state)
            case "message_delta":
                self._message_delta(values, state)
            case "message_stop":
                state.finished = True
            case _:
                pass
        return ()

    def _message_start(self, message: Mapping[str, Any], state: StreamState) -> None:
        usage = fields(message.get("usage"))
        state.started(typed(message.get("id"), str), typed(message.get("model"), str), _usage(usage))
        self.attributes[semconv.ANTHROPIC_RESPONSE_SERVICE_TIER] = typed(usage.get("service_tier"), str)

    def _message_delta(self, values: Mapping[str, Any], state: StreamState) -> None:
        state.reported(_usage(fields(values.get("usage"))))
        self._stop_reason(field(values.get("delta"), "stop_reason"), state)

    def _stop_reason(self, value: Any, state: StreamState) -> None:
        stop_reason = typed(value, str)
        if stop_reason is not None:
            state.stopped(stop_reason, cut=stop_reason in _CUTTING_STOP_REASONS)
            self.attributes[semconv.ANTHROPIC_STOP_REASON] = stop_reason

    def _block_start(self, values: Mapping[str, Any], at: float, state: StreamState) -> tuple[Fact, ...]:
        block = fields(values.get("content_block"))
        block_type = typed(block.get("type"), str) or "unknown"
        if block_type == "fallback" and (model := typed(field(field(block, "to"), "model"), str)) is not None:
            state.model = model
        index = typed(values.get("index"), int)
        kind: BlockKind = "tool_call" if block_type.endswith("tool_use") else _KINDS.get(block_type, "other")
        name, tool_id = typed(block.get("name"), str), typed(block.get("id"), str)
        return state.block_started(BlockStart(-1 if index is None else index, block_type, kind, name, tool_id), at)

    def _completion(self, values: Mapping[str, Any], gap: float, at: float, state: StreamState) -> tuple[Report, ...]:
        """The one event of the completions API, which SDKs before 1.0 have: a piece of one text."""
        facts: tuple[Report, ...] = ()
        if not state.has_blocks:
            state.started(typed(values.get("id"), str), typed(values.get("model"), str), Usage())
            facts = state.block_started(BlockStart(0, "text", "text"), at)
        facts += state.delta("text", 0, typed(values.get("completion"), str) or "", at, gap)
        if typed(values.get("stop_reason"), str) is not None:
            facts += state.block_stopped(0, at)
            self._stop_reason(values.get("stop_reason"), state)
            state.finished = True
        return facts


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


def _usage(counts: Mapping[str, Any]) -> Usage:
    more: dict[str, int | None] = {}
    if written := fields(counts.get("cache_creation")):
        more[semconv.ANTHROPIC_CACHE_CREATION_5M] = typed(written.get("ephemeral_5m_input_tokens"), int)
        more[semconv.ANTHROPIC_CACHE_CREATION_1H] = typed(written.get("ephemeral_1h_input_tokens"), int)
    if iterations := counts.get("iterations"):
        more |= _compaction(iterations)
    if server_tools := fields(counts.get("server_tool_use")):
        more |= _server_tool_requests(server_tools)
    return Usage(
        typed(counts.get("input_tokens"), int),
        typed(counts.get("cache_read_input_tokens"), int),
        typed(counts.get("cache_creation_input_tokens"), int),
        typed(counts.get("output_tokens"), int),
        typed(field(counts.get("output_tokens_details"), "thinking_tokens"), int),
        {name: count for name, count in more.items() if count is not None},
    )


def _compaction(iterations: Any) -> dict[str, int | None]:
    """The tokens of compactions, which the usage itself leaves out."""
    compactions = [entry for entry in items(iterations) if field(entry, "type") == "compaction"]
    if not compactions:
        return {}
    inputs = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return {
        semconv.ANTHROPIC_COMPACTION_INPUT_TOKENS: sum(
            typed(field(entry, name), int) or 0 for entry in compactions for name in inputs
        ),
        semconv.ANTHROPIC_COMPACTION_OUTPUT_TOKENS: sum(
            typed(field(entry, "output_tokens"), int) or 0 for entry in compactions
        ),
    }


def _server_tool_requests(counts: Mapping[str, Any]) -> dict[str, int | None]:
    """`web_search_requests` and its like, of which there may be more than this version knows. They are billed."""
    names = [name for name in counts if name.endswith("_requests") and _NAME.fullmatch(name)]
    return {
        semconv.USAGE_SERVER_TOOL_PREFIX + name: typed(counts[name], int)
        for name in names[:_SERVER_TOOL_COUNTS_AT_MOST]
    }
