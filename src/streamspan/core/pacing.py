"""How a stream came: the provider's silences, and who was waited for.

A *gap* is provider silence: the time that the reader spent inside one read, waiting for the next event. What the reader
does between two reads is no gap. The time before the first chunk is none either; `time_to_first_chunk` tells of that.

    provider time   the sum of the gaps
    consumer time   the rest of the time from the first chunk to the end
    stall           a gap of at least `stall_seconds`
    tool call pause the gaps since the last chunk when a tool call starts, the longest of the stream
    buffered        something on the way held the stream back and then let it go at once: at least 20 chunks, all within
                    1 ms per chunk, as no model writes, though the reader's own time is in it; and before the first of
                    them the reader had waited at least 1 s. A slow reader fails one of the two: it takes its time
                    between the chunks, or it was not waiting.

Percentiles come from a histogram of fixed buckets, each 1.2 times as wide as the one before, so they are within 10 % of
the gap that they stand for. The longest gap is exact. A gap of less than 0.5 ms is the time of decoding and nobody's
silence: it counts as 0.
"""

from bisect import bisect_left, bisect_right
from itertools import accumulate
from math import ceil, sqrt

from .model import Pace

SHORTEST_GAP = 0.0005
_RATIO = 1.2
_BOUNDS = tuple(SHORTEST_GAP * _RATIO**power for power in range(100))
"""Seconds, up to 10 hours. Bucket n is from `_BOUNDS[n]` up to `_BOUNDS[n + 1]`; the last is open."""

_BUFFERED_CHUNKS = 20
_BUFFERED_SECONDS_PER_CHUNK = 0.001
_BUFFERED_FIRST_WAIT = 1.0


class Pacing:
    """The gaps of one stream from its first chunk on; until then, of what came before.

    total  all gaps, in seconds
    """

    __slots__ = (
        "_between_count",
        "_buckets",
        "_chunk_at",
        "_longest",
        "_silence",
        "_tool_call_pause",
        "stall_count",
        "stall_time",
        "total",
    )

    def __init__(self) -> None:
        self.total = 0.0
        self.stall_count = 0
        self.stall_time = 0.0
        self._buckets = [0] * len(_BOUNDS)
        self._longest = 0.0
        self._between_count = 0
        self._chunk_at: float | None = None
        self._silence = 0.0
        self._tool_call_pause: float | None = None

    def waited(self, gap: float) -> None:
        """For an event. One that came within `SHORTEST_GAP` need not be told."""
        if gap >= SHORTEST_GAP:
            self._buckets[bisect_right(_BOUNDS, gap) - 1] += 1
            self._longest = max(gap, self._longest)
            self.total += gap

    def waited_between_chunks(self, gap: float, last_chunk_at: float | None) -> None:
        """For an event that is no chunk; the last chunk came at `last_chunk_at`."""
        self.waited(gap)
        self._between_count += 1
        if last_chunk_at != self._chunk_at:
            self._chunk_at = last_chunk_at
            self._silence = 0.0
        if gap >= SHORTEST_GAP:
            self._silence += gap

    def stalled(self, gap: float) -> None:
        self.stall_count += 1
        self.stall_time += gap

    def tool_call_started(self) -> None:
        """Call it after the event that started it."""
        self._tool_call_pause = max(self._silence, self._tool_call_pause or 0.0)

    def pace(
        self,
        first_chunk_at: float,
        last_chunk_at: float,
        ended_at: float,
        *,
        chunk_count: int,
        first_wait: float,
    ) -> Pace:
        """`first_wait`: how long the reader waited for the first chunk, in the call and in its reads."""
        event_count = chunk_count - 1 + self._between_count
        return Pace(
            gap_p50=self._percentile(0.5, event_count),
            gap_p95=self._percentile(0.95, event_count),
            gap_max=self._longest if event_count else None,
            provider_time=self.total,
            consumer_time=max(ended_at - first_chunk_at - self.total, 0.0),
            stall_count=self.stall_count,
            stall_time=self.stall_time,
            tool_call_pause=self._tool_call_pause,
            buffered=_is_buffered(chunk_count, last_chunk_at - first_chunk_at, first_wait),
        )

    def _percentile(self, share: float, event_count: int) -> float | None:
        """Of the gap whose rank is `share` of them all. None: there is none."""
        short = max(event_count - sum(self._buckets), 0)
        if not event_count:
            return None
        rank = ceil(share * event_count) - short
        if rank <= 0:
            return 0.0
        bucket = bisect_left(list(accumulate(self._buckets)), rank)
        upper = _BOUNDS[bucket + 1] if bucket + 1 < len(_BOUNDS) else self._longest
        return min(sqrt(_BOUNDS[bucket] * upper), self._longest)


def _is_buffered(chunk_count: int, duration: float, first_wait: float) -> bool | None:
    """None: too few chunks to tell."""
    if chunk_count < _BUFFERED_CHUNKS:
        return None
    return duration < chunk_count * _BUFFERED_SECONDS_PER_CHUNK and first_wait >= _BUFFERED_FIRST_WAIT
