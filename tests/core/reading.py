"""Reads chunks as an adapter does."""

from streamspan.core.model import DeltaKind, Fact
from streamspan.core.stream import ASIDE_CHARS, ASIDE_CHUNKS, StreamState


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
        has_room = len(text) <= ASIDE_CHARS and len(state.aside) < ASIDE_CHUNKS
        if kind != self._kind or index != state.alike or not has_room:
            self._kind = kind
            return state.delta(kind, index, text, at)
        state.last_chunk_at = at
        state.aside.append(text)
        return ()
