"""How a stream came: its waits, and who was waited for.

A *wait* is the time from the reader's entering a read to the next event. Keep-alives and deltas without content end
none. What the reader does between two reads is no wait. The time before the first chunk is none either;
`time_to_first_chunk` tells of that.

Of each wait, the part in which the reader's event loop was blocked is the application's own. The rest is the
provider's, unless something on the way held the stream back. A model that was silent goes on with one chunk; a buffer
or a stalled line lets many go at once:

    released  the chunks that arrived within 50 ms of the end of a wait of at least 0.25 s
    clump     at least 20 chunks within 0.1 s for which the reader did not wait, because they were there before it
              asked, and at most one for which it did to five of those. A reader that takes more than 5 ms for a chunk
              hides a clump: then the provider is named.

    provider time   the sum of the waits, without those before a clump and without the time of a blocked loop
    transit time    the waits before a clump
    blocked time    the time in the waits, of the whole stream, in which the event loop was blocked
    consumer time   the rest of the time from the first chunk to the end
    stall           a wait of at least `stall_seconds`, without the time of a blocked loop
    buffered        most chunks came in clumps. The wait before the first chunk may be that of a clump, too, if it was
                    at least 1 s
    tool call pause the waits since the last chunk when a tool call starts, the longest of the stream

Percentiles come from a histogram of fixed buckets, each 1.2 times as wide as the one before, so they are within 10 % of
the gap that they stand for. The longest gap is exact. A wait of less than 0.5 ms is the time of decoding and nobody's
silence: it counts as 0.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from math import ceil, inf, sqrt
from typing import NamedTuple

from .model import Pace, Phase, Stall

SHORTEST_GAP = 0.0005
LONG_WAIT = 0.25
"""Seconds from which on it is looked at what a wait ends with."""
RELEASED_WITHIN = 0.05

_RATIO = 1.2
_BOUNDS = tuple(SHORTEST_GAP * _RATIO**power for power in range(100))
"""Seconds, up to 10 hours. Bucket n is from `_BOUNDS[n]` up to `_BOUNDS[n + 1]`; the last is open."""

_CLUMP_CHUNKS = 20
_CLUMP_WITHIN = 0.1
_CLUMP_CHUNKS_TO_A_WAIT = 5
_FIRST_WAIT = 1.0


class Wait(NamedTuple):
    """One wait of the reader.

    start    an offset from the call
    blocked  the part of its seconds in which the event loop was blocked
    """

    start: float
    seconds: float
    blocked: float
    keepalives: int


class Resumption:
    """What came after one long wait.

    stall     the wait, as it is told if it was a stall; None: the wait for the first chunk
    count     chunks until the next long wait
    released  those of them that arrived within `RELEASED_WITHIN`
    waits     how often the reader waited meanwhile
    """

    __slots__ = ("at", "count", "released", "stall", "waits")

    def __init__(self, stall: Stall | None, at: float) -> None:
        self.stall = stall
        self.at = at
        self.released = 0
        self.count = 0
        self.waits = 0

    @property
    def is_clump(self) -> bool:
        """As far as it has come."""
        unwaited = self.count - self.waits
        return unwaited >= _CLUMP_CHUNKS and self.waits * _CLUMP_CHUNKS_TO_A_WAIT <= unwaited


class Pacing:
    """The waits of one stream from its first chunk on.

    settles_at  when it is known what the last long wait ended with; inf: it is known
    """

    __slots__ = (
        "_between_count",
        "_buckets",
        "_chunk_at",
        "_clump_chunks",
        "_is_clump",
        "_long_wait",
        "_longest",
        "_provider_time",
        "_resumption",
        "_silence",
        "_stall_seconds",
        "_tool_call_pause",
        "_transit_time",
        "blocked_time",
        "settles_at",
        "stall_count",
        "stall_time",
    )

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._long_wait = min(LONG_WAIT, stall_seconds)
        self._provider_time = 0.0
        self._transit_time = 0.0
        self.blocked_time = 0.0
        self.stall_count = 0
        self.stall_time = 0.0
        self.settles_at = inf
        self._buckets = [0] * len(_BOUNDS)
        self._longest = 0.0
        self._between_count = 0
        self._chunk_at: float | None = None
        self._silence = 0.0
        self._tool_call_pause: float | None = None
        self._resumption: Resumption | None = None
        self._is_clump = False
        self._clump_chunks = 0

    def first_chunk(self, wait: float, at: float) -> None:
        """The first chunk has come, for which the reader had waited in the call and in its reads."""
        if wait >= _FIRST_WAIT:
            self._resumes(Resumption(None, at))
            self.chunks(1, at)

    def waited(self, wait: Wait, at: float, phase: Phase) -> tuple[Stall, ...]:
        """An event has come at `at`, and the stream was in this phase until then. Gives the stalls known by now."""
        own = max(wait.seconds - wait.blocked, 0.0)
        self.blocked_time += wait.blocked
        stalls: tuple[Stall, ...] = ()
        if at > self.settles_at or own >= self._long_wait:
            stalls = self._settled(at if own < SHORTEST_GAP else inf)
        if own >= SHORTEST_GAP:
            self._buckets[bisect_right(_BOUNDS, own) - 1] += 1
            self._longest = max(own, self._longest)
            self._provider_time += own
            if self._resumption is not None:
                self._resumption.waits += 1
        if own >= self._long_wait:
            self._resumes(Resumption(Stall(wait.start, own, phase, keepalives=wait.keepalives), at))
        if wait.blocked >= self._stall_seconds:
            stalls += (Stall(wait.start, wait.blocked, phase, "event_loop", wait.keepalives),)
        return stalls

    def waited_briefly(self, gaps: Sequence[float]) -> None:
        """Waits for chunks, none of which was as long as `LONG_WAIT`."""
        buckets = self._buckets
        for gap in gaps:
            buckets[bisect_right(_BOUNDS, gap) - 1] += 1
            self._provider_time += gap
        if self._resumption is not None:
            self._resumption.waits += len(gaps)
        self._longest = max(self._longest, *gaps)

    def chunks(self, count: int, at: float) -> None:
        """Chunks have come, the last of them at `at`."""
        resumption = self._resumption
        if resumption is not None:
            resumption.count += count
            if at <= resumption.at + RELEASED_WITHIN:
                resumption.released = resumption.count

    def between_chunks(self, wait: float, last_chunk_at: float | None) -> None:
        """An event that is no chunk has come; the last chunk came at `last_chunk_at`."""
        self._between_count += 1
        if last_chunk_at != self._chunk_at:
            self._chunk_at = last_chunk_at
            self._silence = 0.0
        if wait >= SHORTEST_GAP:
            self._silence += wait

    def tool_call_started(self) -> None:
        """Call it after the event that started it."""
        self._tool_call_pause = max(self._silence, self._tool_call_pause or 0.0)

    def ended(self) -> tuple[Stall, ...]:
        """Nothing more comes. Gives the stall that is known by that."""
        stalls = self._settled()
        self._run_ends()
        return stalls

    def _resumes(self, resumption: Resumption) -> None:
        self._run_ends()
        self._resumption = resumption
        self.settles_at = resumption.at + RELEASED_WITHIN

    def _settled(self, at: float = inf) -> tuple[Stall, ...]:
        """What the last long wait was, if that is known at this time. Gives the stall, if it was one."""
        resumption = self._resumption
        if resumption is None or self.settles_at == inf:
            return ()
        latest = resumption.at + _CLUMP_WITHIN
        if at <= latest and not resumption.waits and not resumption.is_clump:
            self.settles_at = latest  # it may become a clump yet: on a busy machine the reader is slow
            return ()
        self.settles_at = inf
        self._is_clump, stall = resumption.is_clump, resumption.stall
        if stall is None:
            return ()
        is_stall = stall.gap >= self._stall_seconds
        if self._is_clump:
            self._provider_time -= stall.gap
            self._transit_time += stall.gap
            stall = replace(stall, waited_for="transit")
        elif is_stall:
            self.stall_count += 1
            self.stall_time += stall.gap
        return (replace(stall, released=resumption.released),) if is_stall else ()

    def _run_ends(self) -> None:
        """The chunks that followed the last long wait are all there: those of a clump are counted."""
        resumption = self._resumption
        if resumption is not None and self._is_clump:
            self._clump_chunks += resumption.count if resumption.is_clump else resumption.released
        self._resumption = None
        self._is_clump = False

    def pace(self, first_chunk_at: float, ended_at: float, *, chunk_count: int) -> Pace:
        event_count = chunk_count - 1 + self._between_count
        waited = self._provider_time + self._transit_time + self.blocked_time
        up_to = list(accumulate(self._buckets))
        return Pace(
            gap_p50=self._percentile(0.5, event_count, up_to),
            gap_p95=self._percentile(0.95, event_count, up_to),
            gap_max=self._longest if event_count else None,
            provider_time=self._provider_time,
            transit_time=self._transit_time,
            consumer_time=max(ended_at - first_chunk_at - waited, 0.0),
            stall_count=self.stall_count,
            stall_time=self.stall_time,
            tool_call_pause=self._tool_call_pause,
            buffered=None if chunk_count < _CLUMP_CHUNKS else 2 * self._clump_chunks > chunk_count,
        )

    def _percentile(self, share: float, event_count: int, up_to: Sequence[int]) -> float | None:
        """Of the gap whose rank is `share` of them all. None: there is none.

        up_to  how many gaps there are up to each bucket
        """
        if not event_count:
            return None
        rank = ceil(share * event_count) - max(event_count - up_to[-1], 0)
        if rank <= 0:
            return 0.0
        bucket = bisect_left(up_to, rank)
        upper = _BOUNDS[bucket + 1] if bucket + 1 < len(_BOUNDS) else self._longest
        return min(sqrt(_BOUNDS[bucket] * upper), self._longest)
