"""Plays a stream to the core as an adapter does: event by event, and chunks in batches."""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import cast

from streamspan.core.model import DeltaKind, Ending, Fact, Report, Summary
from streamspan.core.pacing import LONG_WAIT, SHORTEST_GAP
from streamspan.core.stream import StreamState
from streamspan.event_loop import LATE
from streamspan.stainless.last_bytes import keepalives_in
from streamspan.stainless.reader import ROOM, ROOM_OF_CHUNK, ROOM_OF_WAIT
from streamspan.telemetry.spans import Attributes

Step = tuple[object, ...]
"""A verb of the core, its arguments, and the time at which its event came."""


def done(state: StreamState, step: Step) -> tuple[Report, ...]:
    """Play one step. Gives its facts. Besides the verbs there is `finished`."""
    verb, *arguments = step
    if verb in {"opened", "delta"}:
        return getattr(state, str(verb))(*arguments) or ()
    *arguments, at = arguments
    facts: tuple[Report, ...] = state.event(0.0, cast("float", at))
    if verb == "finished":
        state.finished = True
    elif verb == "stopped":
        state.stopped(str(arguments[0]), cut=bool(arguments[1]))
    elif verb in {"block_started", "block_stopped"}:
        facts += getattr(state, str(verb))(*arguments, at)
    elif verb != "event":
        getattr(state, str(verb))(*arguments)
    return facts


def never(since: float, until: float) -> float:
    """No event loop is blocked, or there is none."""
    del since, until
    return 0.0


def played(steps: Iterable[Step], state: StreamState) -> StreamState:
    for step in steps:
        done(state, step)
    return state


class Reader:
    """Hands a state its chunks as the reader of an SDK does: in batches, while they go on with the same block and kind.

    texts         the chunks that wait
    blocked_time  between two times, how long the event loop was blocked
    """

    def __init__(
        self, state: StreamState, stall_seconds: float = inf, blocked_time: Callable[[float, float], float] = never
    ) -> None:
        self.state = state
        self.texts: Sequence[str] = ()
        self.attributes: Attributes = {}
        self.waiting_since: float | None = None
        self.bytes_at = 0.0
        self.last_bytes = b""
        self.earlier_bytes = b""
        self._gaps: list[float] = []
        self._room = ROOM
        self._long_wait = min(LONG_WAIT, stall_seconds)
        self._hand_over_by = inf
        self._keepalives = 0
        self._blocked = 0.0
        self._blocked_time = blocked_time
        self._last: tuple[DeltaKind, int] | None = None
        self._last_at = 0.0

    def chunk(self, kind: DeltaKind, index: int, text: str, gap: float, at: float) -> tuple[Report, ...]:
        """One delta, for which the reader has waited `gap` seconds since the last event or keep-alive delta."""
        if not self._goes_on(kind, index, text, gap, at):
            self._last = kind, index
            return self._handed_on(gap, at, lambda: self.state.delta(kind, index, text, at, gap))
        self.texts = (*self.texts, text)
        self._last_at = at
        self._room -= len(text) + ROOM_OF_CHUNK
        if gap >= SHORTEST_GAP:
            self._gaps.append(gap)
            self._room -= ROOM_OF_WAIT
        return () if self._room > 0 else self._handed_on(gap, at, tuple)

    def _goes_on(self, kind: DeltaKind, index: int, text: str, gap: float, at: float) -> bool:
        goes_on = (kind, index) == self._last and text != ""
        return goes_on and at < self._hand_over_by and gap < self._long_wait

    def event(self, gap: float, at: float) -> tuple[Report, ...]:
        """An event that is no chunk."""
        self._last = None
        return self._handed_on(gap, at, lambda: self.state.event(gap, at))

    def step(self, step: Step) -> tuple[Report, ...]:
        """One step that is no delta."""
        self._last = None
        return self._handed_on(0.0, self.state.last_at, lambda: done(self.state, step))

    def _handed_on(self, gap: float, at: float, tell: Callable[[], tuple[Report, ...]]) -> tuple[Report, ...]:
        if gap >= LATE and tell is not tuple:
            self._blocked += self._blocked_time(at - gap, at)
        facts = (*self.hand_over(self.state), *tell())
        self._hand_over_by = self.state.hand_over_by
        return facts

    def kept_alive(self, count: int = 1) -> None:
        """Keep-alives have come in the midst of a read."""
        self._keepalives += count
        self._hand_over_by = -inf

    def brought_no_event(self, size: int) -> None:
        """The same, for the observer: whether there were any is in `last_bytes`."""
        del size
        if count := keepalives_in(self.last_bytes):
            self.kept_alive(count)

    def hand_over(self, state: StreamState) -> tuple[Fact, ...]:
        facts: tuple[Fact, ...] = ()
        if self.texts:
            texts, gaps = self.texts, self._gaps
            self.texts, self._gaps, self._room = (), [], ROOM
            facts = state.deltas(texts, gaps, self._last_at)
        if self._keepalives:
            state.kept_alive(self._keepalives)
        if self._blocked:
            state.blocked(self._blocked)
        self._keepalives, self._blocked = 0, 0.0
        return facts

    def wait_ends(self, at: float) -> None:
        """The stream has ended at `at`, in the midst of a read."""
        if self.waiting_since is not None:
            self._blocked += self._blocked_time(self.waiting_since, at)

    def ended(self, ending: Ending, waiting_since: float | None = None) -> Summary:
        if waiting_since is not None and ending.at is not None:
            self.waiting_since = waiting_since
            self.wait_ends(ending.at)
        facts = self.hand_over(self.state)
        summary = self.state.ended(ending, waiting_since)
        return summary._replace(at_the_end=facts + summary.at_the_end)
