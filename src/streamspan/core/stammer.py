"""Texts that say next to nothing, with glitches: `_S_S_S_SIZE_S_S_S_S`; the terms are those of `repetition.py`.

No run of them is long, and they have no words of which a loop could be made. A stammer is a stretch of a few signs in
which nearly every char equals the one a period earlier.
"""

from __future__ import annotations

import re
from operator import eq

from .exact import common_suffix, is_blob

# A sign is the last few chars, and their nearest copy is at most so far away.
SIGN = 3
LONGEST_PERIOD = 12
STRETCH = 320
# As many chars at its end are like those a period earlier: it would cost too much to compare all in every text.
GLITCHLESS = 6
# The alphabet of a stammer.
SIGNS = 12
# The share of the chars that equal those a period earlier.
ALIKE = 0.86
# It began where fewer of as many chars do.
BEGINNING = 40
BEGUN = 0.6
# A char with a larger share makes a rule or a leader.
COMMONEST = 0.75

_COLUMNS = re.compile(r"[ \t,\d]")


class StammerSearch:
    """Remembers nothing: a stammer is seen from its last chars."""

    __slots__ = ()

    def look(self, text: str, base: int, at: int) -> tuple[int, int] | None:
        """Start and period of the stammer that reaches `at`."""
        end = at - base
        start = end - STRETCH
        if start < 0:
            return None
        sign = text[end - SIGN : end]
        where = text.rfind(sign, end - SIGN - LONGEST_PERIOD, end - SIGN)
        if where < 0 or text.count(sign, start, end) * LONGEST_PERIOD < STRETCH:
            return None
        period = end - SIGN - where
        if text[end - GLITCHLESS : end] != text[end - GLITCHLESS - period : end - period]:
            return None
        if _is_meant(text[start:end], sign) or _likeness(text, start, end, period) < ALIKE:
            return None
        # The look before this one came a stretch earlier.
        low = max(end - 2 * STRETCH, 0)
        while start >= low + BEGINNING and _likeness(text, start - BEGINNING, start + period, period) >= BEGUN:
            start -= BEGINNING
        return base + start - common_suffix(text, start + period, period, low), period

    def loop_end(self, text: str, base: int, at: int, loop_end: int) -> int:
        return at if self.look(text, base, at) else loop_end


def _is_meant(said: str, sign: str) -> bool:
    """A table, numbers, a rule or a leader, binary data."""
    return (
        len(set(said)) > SIGNS
        or max(map(said.count, sign)) > COMMONEST * STRETCH
        or _COLUMNS.search(said) is not None
        or is_blob(said.replace("\n", ""))
    )


def _likeness(text: str, start: int, end: int, period: int) -> float:
    """The share of the chars that equal those a period later."""
    return sum(map(eq, text[start : end - period], text[start + period : end])) / (end - start - period)
