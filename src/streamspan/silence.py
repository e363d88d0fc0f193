"""When to tell the application of a silence that goes on."""

from bisect import bisect_right
from collections.abc import Sequence


class SilenceHook:
    """The thresholds of one stream, in seconds and in ascending order. Each is reported once in each silence."""

    __slots__ = ("_reached", "_thresholds", "_wait")

    def __init__(self, thresholds: Sequence[float]) -> None:
        self._thresholds = thresholds
        self._reached = 0
        self._wait = 0

    def is_due(self, silence: float, wait: int) -> bool:
        """Whether a silence of so many seconds until now has reached a threshold that has not been reported yet.

        wait  the number of the wait in which the silence lies
        """
        if wait != self._wait:
            self._wait, self._reached = wait, 0
        reached = bisect_right(self._thresholds, silence)
        is_due = reached > self._reached
        self._reached = max(reached, self._reached)
        return is_due
