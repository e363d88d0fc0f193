"""Reads chunks as an adapter does."""

from streamspan.core.facts import DeltaKind, Fact
from streamspan.core.stream import ASIDE_CHARS, TAKEN_TOGETHER, StreamState


class Reader:
    """Tells a state of chunks; those that came together, and are alike, in the short way."""

    def __init__(self, state: StreamState) -> None:
        self.state = state
        self._kind: DeltaKind | None = None

    def chunk(self, kind: DeltaKind, index: int, text: str, since: float, at: float) -> tuple[Fact, ...]:
        """One for which it had waited since `since`; if that is `at`, it came together with the one before."""
        state = self.state
        if at > since:
            state.waited(since, at)
        if kind != self._kind or index != state.alike or len(text) > ASIDE_CHARS:
            self._kind = kind
            return state.delta(kind, index, text, at)
        state.last_chunk_at = at
        state.aside.append(text)
        return state.take_aside() if len(state.aside) >= TAKEN_TOGETHER else ()
