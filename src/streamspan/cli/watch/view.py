"""Where streams are shown as they end: drawn above a running table, as lines, or as JSON.

All that came over the wire is made printable before it is written; JSON writes it in ASCII.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from streamspan.cli.drawing.finished import FinishedStream, as_data, findings, printable
from streamspan.cli.drawing.waterfall import Waterfall
from streamspan.cli.drawing.words import facts, headline, seconds

from .content import said
from .table import table
from .totals import GROUPS_AT_MOST, Totals

DRAWN_AT_ONCE = 10
"""Waterfalls between two refreshes of the table: drawing more would keep the exporters waiting."""
QUEUED_AT_MOST = 100
QUEUED_BYTES_AT_MOST = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EndedStream:
    """Ids in hexadecimal. ended_at: seconds since the epoch; size: in bytes, about."""

    service: str
    trace_id: str
    span_id: str
    ended_at: float
    stream: FinishedStream
    size: int

    @property
    def clock(self) -> str:
        """The time of day, here."""
        try:
            return f"{datetime.fromtimestamp(self.ended_at).astimezone():%H:%M:%S}"
        except (OverflowError, ValueError, OSError):  # no time that there is
            return "--:--:--"

    @property
    def went_well(self) -> bool:
        return self.stream.outcome == "complete" and not findings(self.stream)


class View(Protocol):
    def show(self, ended: EndedStream) -> None: ...

    def refresh(self, totals: Totals, now: float, state: str) -> None:
        """Several times a second. `state`: what else has come, in words."""
        ...

    def finish(self, totals: Totals, now: float, state: str) -> None: ...


class JsonLines:
    """One JSON object for each stream, on a line of its own; the last table goes to the standard error."""

    def show(self, ended: EndedStream) -> None:
        origin = {"service": ended.service, "trace_id": ended.trace_id, "span_id": ended.span_id}
        print(json.dumps({**origin, **as_data(ended.stream)}), flush=True)

    def refresh(self, totals: Totals, now: float, state: str) -> None:
        pass

    def finish(self, totals: Totals, now: float, state: str) -> None:
        _print_last(Console(file=sys.stderr, highlight=False), totals, now, state)


class Lines:
    """One line for each stream, and its content below; the table at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, ended: EndedStream) -> None:
        stream = ended.stream
        others = (fact for fact in facts(stream) if not fact.startswith("stop reason"))  # which the headline has
        summary = "; ".join([headline(stream), seconds(stream.duration), *others])
        print(f"{ended.clock} {printable(ended.service)} {printable(stream.name)}: {summary}", flush=True)
        for who, line in said(stream):
            print(f"    {printable(who)}: {line}", flush=True)

    def refresh(self, totals: Totals, now: float, state: str) -> None:
        pass

    def finish(self, totals: Totals, now: float, state: str) -> None:
        _print_last(self._console, totals, now, state)


class Drawings:
    """Waterfalls, which scroll away above the table.

    Those that come faster than they can be drawn are only counted: first those that went well, then the oldest.
    """

    def __init__(self, console: Console, waiting: str) -> None:
        """waiting: what is shown until something comes."""
        self._console = console
        self._waiting = Text(waiting)
        self._queue: list[EndedStream] = []
        self._queued_bytes = 0
        self._not_drawn = 0
        self._live = Live(self._waiting, console=console, auto_refresh=False)
        self._live.start(refresh=True)

    def show(self, ended: EndedStream) -> None:
        self._queue.append(ended)
        self._queued_bytes += ended.size
        while len(self._queue) > QUEUED_AT_MOST or self._queued_bytes > QUEUED_BYTES_AT_MOST:
            self._unqueued(next((place for place, queued in enumerate(self._queue) if queued.went_well), 0))
            self._not_drawn += 1

    def _unqueued(self, place: int) -> EndedStream:
        ended = self._queue.pop(place)
        self._queued_bytes -= ended.size
        return ended

    def refresh(self, totals: Totals, now: float, state: str) -> None:
        for _ in range(min(DRAWN_AT_ONCE, len(self._queue))):
            for part in _drawing(self._unqueued(0)):
                self._console.print(part)
        not_drawn = f"not drawn, because they came too fast: {self._not_drawn}" if self._not_drawn else ""
        state = ", ".join(filter(None, [state, not_drawn]))
        groups_at_most = max((self._console.height - 3) // 2, 1)
        shown = [*table(totals, now, groups_at_most=groups_at_most), Text(state, "dim")] if state else [self._waiting]
        self._live.update(Group(*shown), refresh=True)

    def finish(self, totals: Totals, now: float, state: str) -> None:
        try:
            self.refresh(totals, now, state)
            while self._queue:
                self.refresh(totals, now, state)
        finally:
            self._live.stop()


def _drawing(ended: EndedStream) -> Iterator[RenderableType]:
    about = f"{ended.clock}  {printable(ended.stream.name)}  {ended.trace_id}"
    yield Waterfall(printable(ended.service), about, ended.stream)
    for who, line in said(ended.stream):
        yield Text(f"{printable(who)}: {line}", "italic")
    yield ""


def _print_last(console: Console, totals: Totals, now: float, state: str) -> None:
    for line in table(totals, now, groups_at_most=GROUPS_AT_MOST + 1):
        console.print(line, soft_wrap=True)
    console.print(Text(state or "Nothing has come."), soft_wrap=True)
