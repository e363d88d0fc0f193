"""From the events of the Responses API to the verbs of the core.

Nothing here is validated by the SDK, which hands on what the server sent, and the servers are of many makers. Some
leave events out: a block may begin with its first delta, and content may come whole, with the event that ends it.

Source: `openai/types/responses/`.
"""

from collections.abc import Mapping
from typing import Any

from streamspan import semconv
from streamspan.core.model import Report, Usage
from streamspan.core.stream import CHANNELS, StreamState
from streamspan.stainless.errors import error_word, message_of
from streamspan.stainless.pieces import count_media
from streamspan.stainless.response_items import CONTENTS, PARTS, Items, content_of, parts_of, start_of
from streamspan.stainless.values import base64_size, count, field, fields, text

from .usage import usage_of

_NO_DELTA = ("", None, "", None)

_Values = Mapping[str, Any]
_Reports = tuple[Report, ...]


class ResponsesTranslator:
    """Translates the events of one stream. `attributes`: what only this API reports."""

    __slots__ = ("_has_started", "_items", "_last", "attributes")

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self._items = Items()
        self._has_started = False
        # Of the last event, if that was a delta: its type, its item, and what part of that.
        self._last: tuple[str, object, str, object] = _NO_DELTA

    def continued(self, event: Any) -> str | None:
        """It looks in the fields of the SDK's models, which takes a fraction of the time of asking the models."""
        try:
            values = event.__dict__
            event_type, item, name, part = self._last
            if values["type"] == event_type and values["output_index"] == item and values[name] == part:
                more = values["delta"]
                return more if type(more) is str else None
        except (AttributeError, KeyError, TypeError):
            pass
        return None

    def translate(self, event: Any, gap: float, at: float, state: StreamState) -> _Reports:
        values = fields(event)
        values = fields(values.get("data")) or values  # SDKs around 1.66 wrap an event of another name than `response.`
        event_type = text(values.get("type")) or ""
        self._last = _NO_DELTA
        if event_type == "keepalive":
            return state.delta("text", None, "", at, gap)
        about, _, word = event_type.rpartition(".")
        if about not in CONTENTS:
            return state.event(gap, at) + self._other(event_type, values, at, state)
        start, whole, part = CONTENTS[about]
        item, channel, delta, reports = _item_of(values), CHANNELS[start.kind], values.get("delta"), ()
        if word != "delta" or not isinstance(delta, str):
            return state.event(gap, at) + self._items.fill(item, channel, values.get(whole), at, state)
        if item not in self._items:
            reports, gap = state.event(gap, at) + self._items.begin(item, start, at, state), 0.0
        self._last = (event_type, values.get("output_index"), part, values.get(part))
        return reports + self._items.add(item, channel, delta, gap, at, state)

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
            case "response.completed" | "response.incomplete" | "response.failed":
                reports = self._response_ends(event_type, values, at, state)
            case "response.audio.delta" | "response.image_generation_call.partial_image":
                count_media(self.attributes, base64_size(values.get("delta") or values.get("partial_image_b64")))
            case "error":
                _fail(values, state)
            case _:
                pass
        return reports

    def _item_begins(self, values: _Values, at: float, state: StreamState) -> _Reports:
        item = fields(values.get("item"))
        item_type = text(item.get("type")) or "unknown"
        if item_type == "message":
            return ()
        return self._items.begin(_item_of(values), start_of(item, item_type), at, state)

    def _part_begins(self, values: _Values, at: float, state: StreamState) -> _Reports:
        start = PARTS.get(text(field(values.get("part"), "type")))
        return () if start is None else self._items.begin(_item_of(values), start, at, state)

    def _part_ends(self, values: _Values, at: float, state: StreamState) -> _Reports:
        index, part = _item_of(values), fields(values.get("part"))
        if text(part.get("type")) not in PARTS:
            return ()
        reports = self._items.fill(index, "text", part.get("text") or part.get("refusal"), at, state)
        return reports + self._items.end_block(index, at, state)

    def _item_ends(self, values: _Values, at: float, state: StreamState) -> _Reports:
        """It may not have begun."""
        index, item, reports = _item_of(values), fields(values.get("item")), ()
        count_media(self.attributes, base64_size(item.get("result")))  # an image
        if index not in self._items:
            reports = self._item_begins(values, at, state)
            for part in parts_of(item):
                whole = {"output_index": index, "part": part}
                reports += self._part_begins(whole, at, state) + self._part_ends(whole, at, state)
        reports += self._items.fill(index, *content_of(item), at, state)
        return reports + self._items.end(index, at, state)

    def _response_begins(self, values: _Values, state: StreamState) -> _Reports:
        """The first event that tells of the response counts."""
        response = fields(values.get("response"))
        if self._has_started or not response:
            return ()
        self._has_started = True
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
            state.stopped("tool_calls" if self._items.call_application else "stop", cut=False)
        return reports + state.message_ended(at)


def _item_of(values: _Values) -> int | None:
    """What tells items apart: the id of an item may change."""
    return count(values.get("output_index"))


def _fail(error: _Values, state: StreamState) -> None:
    """The response has failed. The event `error`, whose type says nothing, may come first: it ends the stream."""
    state.failed(error_word({"code": error.get("code")}) or "api_error", message_of(error.get("message")))
