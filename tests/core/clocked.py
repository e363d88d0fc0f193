"""A stream on a clock of the test's own."""

from collections.abc import Sequence

from streamspan.core.model import BlockKind, BlockStart, DeltaKind, Ending, Report, Stall, Summary
from streamspan.core.stream import StreamState
from tests.core.reading import Reader

CALLED_AT = 1000.0
STALL_SECONDS = 5.0


class Clocked:
    """A stream on a clock: each verb says how long the reader was busy before it, and how long it then waited."""

    def __init__(self, *, opening: float = 0.0, first_wait: float = 1.0, busy: float = 0.0) -> None:
        self.now = CALLED_AT + opening
        self.blocked = 0.0  # of the next wait, in which the event loop will have been blocked
        self.state = StreamState(CALLED_AT, stall_seconds=STALL_SECONDS)
        self.reader = Reader(self.state, STALL_SECONDS, lambda since, until: min(self.blocked, until - since))
        self.facts: list[Report] = []
        self.state.opened(self.now)
        self.other(first_wait, busy)
        self.block(0, "text")

    def chunk(
        self,
        wait: float = 0.0,
        busy: float = 0.0,
        *,
        index: int = 0,
        kind: DeltaKind = "text",
        text: str = "chunk ",
        blocked: float = 0.0,
    ) -> "Clocked":
        self.now += busy + wait
        self.blocked = blocked
        self.facts += self.reader.chunk(kind, index, text, wait, self.now)
        self.blocked = 0.0
        return self

    def clump(self, chunks: int, wait: float, busy: float = 0.0) -> "Clocked":
        """One chunk after a wait, and the others at once. The reader is busy for so long with each."""
        self.chunk(wait)
        for _ in range(chunks - 1):
            self.chunk(busy=busy)
        return self

    def keepalives(self, count: int = 1) -> "Clocked":
        """In the read that goes on."""
        self.reader.kept_alive(count)
        return self

    def other(self, wait: float = 0.0, busy: float = 0.0) -> None:
        self.now += busy + wait
        self.facts += self.reader.event(wait, self.now)

    def block(self, index: int, kind: BlockKind) -> None:
        self.facts += self.state.block_started(BlockStart(index, "a type", kind), self.now)

    def tool_call(self, index: int, wait: float) -> None:
        self.state.block_stopped(index - 1, self.now)
        self.other(wait)
        self.block(index, "tool_call")

    def ended(self, ending: Ending | None = None, waiting_since: float | None = None) -> Summary:
        return self.reader.ended(ending or Ending("complete", self.now), waiting_since)


def stalls(facts: Sequence[Report]) -> list[Stall]:
    return [fact for fact in facts if isinstance(fact, Stall)]
