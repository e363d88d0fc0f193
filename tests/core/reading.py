"""Plays a stream to the core as an adapter does: event by event, and chunks in batches."""

from collections.abc import Iterable, Sequence
from math import inf
from typing import cast

from streamspan.core.model import DeltaKind, Ending, Fact, Report, Summary
from streamspan.core.pacing import SHORTEST_GAP
from streamspan.core.stream import StreamState
from streamspan.stainless.reader import CHARS, CHUNKS, COST_OF_WAIT
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


def played(steps: Iterable[Step], state: StreamState) -> StreamState:
    for step in steps:
        done(state, step)
    return state


class Reader:
    """Hands a state its chunks as the reader of an SDK does: in batches, while they go on with the same block and kind.

    texts  the chunks that wait
    """

    def __init__(self, state: StreamState, stall_seconds: float = inf) -> None:
        self.state = state
        self.texts: Sequence[str] = ()
        self.attributes: Attributes = {}
        self.waiting_since = 0.0
        self._gaps: list[float] = []
        self._stall_seconds = stall_seconds
        self._last: tuple[DeltaKind, int] | None = None
        self._last_at = 0.0

    def chunk(self, kind: DeltaKind, index: int, text: str, gap: float, at: float) -> tuple[Report, ...]:
        """One chunk, for which the reader has waited `gap` seconds."""
        if (kind, index) != self._last or not self._has_room(text, gap):
            self._last = kind, index
            return self.hand_over(self.state) + self.state.delta(kind, index, text, at, gap)
        self.texts = (*self.texts, text)
        if gap >= SHORTEST_GAP:
            self._gaps.append(gap)
        self._last_at = at
        return ()

    def _has_room(self, text: str, gap: float) -> bool:
        waits = gap >= SHORTEST_GAP
        has_room = len(self.texts) + COST_OF_WAIT * len(self._gaps) < CHUNKS
        return has_room and (not waits or gap < self._stall_seconds) and len(text) <= CHARS

    def event(self, gap: float, at: float) -> tuple[Fact, ...]:
        """An event that is no chunk."""
        self._last = None
        return self.hand_over(self.state) + self.state.event(gap, at)

    def hand_over(self, state: StreamState) -> tuple[Fact, ...]:
        if not self.texts:
            return ()
        texts, gaps = self.texts, self._gaps
        self.texts, self._gaps = (), []
        return state.deltas(texts, gaps, self._last_at)

    def ended(self, ending: Ending, waiting_since: float | None = None) -> Summary:
        facts = self.hand_over(self.state)
        summary = self.state.ended(ending, waiting_since)
        return summary._replace(at_the_end=facts + summary.at_the_end)
