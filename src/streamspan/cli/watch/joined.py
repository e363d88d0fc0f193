"""Each stream once, with its events, wherever they came: on its span, or as log records before or after it.

With `Config(events="log")` a span has no events, and its content may be in a log record, too. Log records come in
another export, so the span is held until they are all there, or `HELD_SECONDS` at the most. All that is kept is
bounded, the oldest leaves first.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from streamspan import semconv
from streamspan.cli.drawing.finished import number

from .content import has_content
from .otlp import Event, LogEvent, Span

HELD_SECONDS = 6.0
"""More than the longest usual delay of an exporter's batch, which is 5 s."""
HELD_AT_MOST = 1000
WAITING_BYTES_AT_MOST = 4 * 1024 * 1024
SEEN_AT_MOST = 10_000
_ENDS = {semconv.EVENT_ABORT, semconv.EVENT_TRUNCATED, semconv.EVENT_ERROR}


class Joined:
    """Takes spans and log events as they come; gives spans that have their events. Times in seconds of one clock."""

    def __init__(self, *, awaits_content: bool = False) -> None:
        self._awaits_content = awaits_content
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._held: OrderedDict[bytes, tuple[Span, float]] = OrderedDict()
        self._waiting: OrderedDict[bytes, list[LogEvent]] = OrderedDict()
        self._waiting_bytes = 0

    def take_span(self, span: Span, now: float) -> None:
        """One that came before, as an exporter sends it again when it has not heard the answer, is passed by."""
        if span.id not in self._seen and span.id not in self._held:
            self._held[span.id] = span, now + HELD_SECONDS

    def take_event(self, event: LogEvent) -> None:
        if event.id in self._seen:
            return
        self._waiting.setdefault(event.id, []).append(event)
        self._waiting_bytes += event.size
        while self._waiting_bytes > WAITING_BYTES_AT_MOST:
            self._forget_events(next(iter(self._waiting)))

    def ready(self, now: float) -> Iterator[Span]:
        """Those that need to be held no longer, in the order in which they came."""
        held_bytes = sum(span.size for span, _ in self._held.values())
        for identity, (span, until) in tuple(self._held.items()):
            events = [log.event for log in self._waiting.get(identity, ())]
            is_crowded = len(self._held) > HELD_AT_MOST or held_bytes > WAITING_BYTES_AT_MOST
            if is_crowded or now >= until or self._is_whole(span, events):
                held_bytes -= span.size
                del self._held[identity]
                self._forget_events(identity)
                self._remember(identity)
                yield _with_events(span, events)

    def _is_whole(self, span: Span, log_events: Sequence[Event]) -> bool:
        everything = [span.attributes, *(attributes for _, _, attributes in (*span.events, *log_events))]
        return _has_its_events(span, log_events) and (not self._awaits_content or any(map(has_content, everything)))

    def _forget_events(self, identity: bytes) -> None:
        self._waiting_bytes -= sum(log.size for log in self._waiting.pop(identity, ()))

    def _remember(self, identity: bytes) -> None:
        self._seen[identity] = None
        if len(self._seen) > SEEN_AT_MOST:
            self._seen.popitem(last=False)


def _has_its_events(span: Span, log_events: Sequence[Event]) -> bool:
    """Whether no log event can be missing: the span has its events itself, or there is one for each block and the end.

    Of a body that was read as bytes there are none.
    """
    outcome = span.attributes.get(semconv.OUTCOME)
    if span.events or outcome is None:
        return True
    names = [name for name, _, _ in log_events]
    blocks = number(span.attributes, semconv.CONTENT_BLOCK_COUNT) or 0
    is_ended = outcome == "complete" or not _ENDS.isdisjoint(names)
    return is_ended and names.count(semconv.EVENT_CONTENT_BLOCK) >= blocks


def _with_events(span: Span, log_events: Sequence[Event]) -> Span:
    """With `Config(events="both")` each event comes twice."""
    names = {name for name, _, _ in span.events}
    more = [event for event in log_events if event[0] not in names]
    return replace(span, events=sorted([*span.events, *more], key=lambda event: event[1]))
