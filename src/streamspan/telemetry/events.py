"""What happens in a stream, as events: on its span, as log records, as both, or not at all.

An event has the same name, attributes and time in either form. Log records follow the sampler as the span does: the
events of a stream that is not recorded go nowhere, unless there are only logs.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from streamspan import semconv
from streamspan.core.model import (
    ContentBlock,
    Fallback,
    FirstToken,
    Loop,
    Note,
    Refusal,
    Rumination,
    Stall,
    Summary,
    ToolCall,
)
from streamspan.guard import Briefly

from .attributes import rumination_attributes, without_unknown
from .logs import EventLog

StreamFact = FirstToken | Stall | Loop | Rumination | ContentBlock | ToolCall | Refusal | Fallback | Note | Summary
"""What becomes an event. A Summary: the stream ended, and not as complete."""

Event = tuple[str, Mapping[str, AttributeValue]]
"""The name and the attributes."""

KEPT_PLACES: frozenset[type] = frozenset({FirstToken, Loop, ToolCall, Refusal, Fallback, Summary})
"""Places in the budget that are kept for the first of each of these: of the tool calls, the first that was cut."""


class StreamEvents:
    """The events of one stream, of which there are at most `left`.

    The lock is held while an event is added to the span, and never while the application's log processors run. It is
    reentrant, because a signal handler may interrupt any line and tell of an event itself. The span's own lock is not,
    so an event that comes in the middle of another of the same thread is dropped.

    dropped  how many events were left out
    """

    __slots__ = (
        "_closed",
        "_is_adding",
        "_kept_places",
        "_left",
        "_lock",
        "_log",
        "_span",
        "_span_gets_events",
        "dropped",
    )

    def __init__(self, span: Span, left: int, log: EventLog | None, *, on_span: bool) -> None:
        self._span = span
        self._span_gets_events = on_span
        self._log = log
        self._left = left
        self._lock = threading.RLock()
        self._is_adding = False
        self._closed = False
        self._kept_places = set(KEPT_PLACES)
        self.dropped = 0

    def add(self, fact: StreamFact, timestamp_ns: int) -> None:
        """Nothing is added after `close()`."""
        with self._lock:
            if self._closed:
                return
            if self._is_adding or not self._takes_place(fact):
                self.dropped += 1
                return
            event = event_of(fact)
            if self._span_gets_events:
                self._is_adding = True
                try:
                    self._span.add_event(event[0], event[1], timestamp_ns)
                finally:
                    self._is_adding = False
        if self._log is not None:
            self._log.emit(self._span, event[0], event[1], timestamp_ns)

    def close(self, summary: Summary) -> list[Event]:
        """The last events, as far as there is room for them; they are for `add_last()`."""
        with Briefly(self._lock):
            self._closed = True
        last: list[Event] = []
        for fact in _last_facts(summary):
            if self._takes_place(fact):
                last.append(event_of(fact))
            else:
                self.dropped += 1
        return last

    def add_last(self, events: Sequence[Event], timestamp_ns: int) -> None:
        for name, attributes in events:
            if self._span_gets_events:
                self._span.add_event(name, attributes, timestamp_ns)
            if self._log is not None:
                self._log.emit(self._span, name, attributes, timestamp_ns)

    def _takes_place(self, fact: StreamFact) -> bool:
        """Whether there is room for it, which it then has."""
        kind = type(fact)
        has_place_of_its_own = kind in self._kept_places and not (isinstance(fact, ToolCall) and fact.complete)
        if self._left <= (0 if has_place_of_its_own else len(self._kept_places)):
            return False
        self._left -= 1
        if has_place_of_its_own:
            self._kept_places.discard(kind)
        return True


def _last_facts(summary: Summary) -> list[StreamFact]:
    """What the end shows, in order."""
    last: list[StreamFact] = []
    for fact in summary.at_the_end:
        last.append(fact)
        if isinstance(fact, ContentBlock) and fact.tool_call is not None:
            last.append(fact.tool_call)
    if summary.outcome not in {"complete", None}:
        last.append(summary)
    return last


def event_of(fact: StreamFact) -> Event:
    return _EVENTS[type(fact)](fact)


# --- one function for each ------------------------------------------------------------------------------------------


def _first_token(first: FirstToken) -> Event:
    return semconv.EVENT_FIRST_TOKEN, {semconv.FIRST_TOKEN_KIND: first.kind, semconv.FIRST_TOKEN_TIME: first.time}


def _stall(stall: Stall) -> Event:
    return semconv.EVENT_STALL, {
        semconv.STALL_GAP: stall.gap,
        semconv.OFFSET: stall.start,
        semconv.PHASE: stall.phase,
        semconv.STALL_WAITED_FOR: stall.waited_for,
        semconv.STALL_KEEPALIVES: stall.keepalives,
        semconv.STALL_RELEASED: stall.released,
    }


def _repetition(loop: Loop) -> Event:
    return semconv.EVENT_REPETITION, {
        semconv.REPETITION_KIND: loop.kind,
        semconv.REPETITION_CHANNEL: loop.channel,
        semconv.REPETITION_START: loop.start,
        semconv.REPETITION_PERIOD: loop.period,
        semconv.REPETITION_COUNT: loop.count,
        semconv.REPETITION_CHARS: loop.chars,
        semconv.REPETITION_TIME: loop.time,
    }


def _rumination(rumination: Rumination) -> Event:
    return semconv.EVENT_RUMINATION, rumination_attributes(rumination)


def _content_block(block: ContentBlock) -> Event:
    return semconv.EVENT_CONTENT_BLOCK, {
        semconv.BLOCK_INDEX: block.index,
        semconv.BLOCK_TYPE: block.type,
        semconv.BLOCK_START: block.start,
        semconv.BLOCK_DURATION: block.duration,
        semconv.BLOCK_CHARS: block.chars,
        semconv.BLOCK_CHUNK_COUNT: block.chunk_count,
        semconv.BLOCK_COMPLETE: block.complete,
        semconv.BLOCK_STOPPED: block.stopped,
    }


def _tool_call(call: ToolCall) -> Event:
    return semconv.EVENT_TOOL_CALL, without_unknown(
        {
            semconv.TOOL_NAME: call.name,
            semconv.TOOL_CALL_ID: call.id,
            semconv.TOOL_CALL_TYPE: call.type,
            semconv.TOOL_CALL_INPUT_CHARS: call.input_chars,
            semconv.TOOL_CALL_COMPLETE: call.complete,
            semconv.TOOL_CALL_VALID_JSON: call.valid_json,
        }
    )


def _refusal(refusal: Refusal) -> Event:
    return semconv.EVENT_REFUSAL, without_unknown({semconv.REFUSAL_CATEGORY: refusal.category})


def _fallback(fallback: Fallback) -> Event:
    return semconv.EVENT_FALLBACK, without_unknown(
        {
            semconv.FALLBACK_FROM: fallback.from_model,
            semconv.FALLBACK_TO: fallback.to_model,
            semconv.FALLBACK_TRIGGER: fallback.trigger,
            semconv.REFUSAL_CATEGORY: fallback.category,
        }
    )


def _note(note: Note) -> Event:
    return note.name, {
        **note.attributes,
        semconv.OFFSET: note.offset,
        semconv.CHARS_DELIVERED: note.chars_delivered,
    }


def _end(summary: Summary) -> Event:
    attributes: dict[str, AttributeValue | None] = {
        semconv.PHASE: summary.phase,
        semconv.OFFSET: summary.duration,
        semconv.CHARS_DELIVERED: sum(summary.chars.values()),
    }
    if summary.outcome == "truncated":
        return semconv.EVENT_TRUNCATED, without_unknown(attributes)
    if summary.outcome == "error":
        attributes[semconv.ERROR_TYPE] = summary.error_type
        return semconv.EVENT_ERROR, without_unknown(attributes)
    attributes[semconv.ABORT_REASON] = summary.abort_reason
    attributes[semconv.ABORT_TOOL_CALLS_COMPLETED] = summary.tool_calls_completed
    return semconv.EVENT_ABORT, without_unknown(attributes)


_EVENTS: Mapping[type, Callable[[Any], Event]] = {
    FirstToken: _first_token,
    Stall: _stall,
    Loop: _repetition,
    Rumination: _rumination,
    ContentBlock: _content_block,
    ToolCall: _tool_call,
    Refusal: _refusal,
    Fallback: _fallback,
    Note: _note,
    Summary: _end,
}
