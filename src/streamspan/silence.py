"""When to tell the application of a silence that goes on."""

from bisect import bisect_right
from collections.abc import Sequence


class SilenceHook:
    """The thresholds of one stream, in seconds and in ascending order. Each is told once in one silence."""

    __slots__ = ("_thresholds", "_told", "_wait")

    def __init__(self, thresholds: Sequence[float]) -> None:
        self._thresholds = thresholds
        self._told = 0
        self._wait = 0

    def is_due(self, silence: float, wait: int) -> bool:
        """Whether a silence of so many seconds until now has reached a threshold that has not been told.

        wait  the number of the wait that is silent
        """
        if wait != self._wait:
            self._wait, self._told = wait, 0
        reached = bisect_right(self._thresholds, silence)
        is_due = reached > self._told
        self._told = max(reached, self._told)
        return is_due
