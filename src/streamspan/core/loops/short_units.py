"""Texts that say next to nothing, with glitches: `_S_S_S_SIZE_S_S_S_S`; the terms are those of `detector.py`.

No run of them is long, and they have no words of which a loop could be made. Such a stretch has a few signs, and nearly
every char in it equals the one a period earlier.
"""

from __future__ import annotations

from operator import eq

from .units import is_blob

# A sign is so many chars, and it comes back at the latest after so many.
SIGN = 3
LONGEST_PERIOD = 12
STRETCH = 320
# As many chars at its end are like those a period earlier: it would cost too much to compare all in every text.
GLITCHLESS = 6
# How many signs such a stretch consists of.
SIGNS = 12
WORDS_SIGNS = 6
# The copies of a word with blanks between them stand on a few lines.
LINES = 8
# The share of the chars that equal those a period earlier.
EQUAL_SHARE = 0.86
# It has more glitches while it begins: it began with the first of so many chars of which so many are.
BEGINNING = (120, 96)
# But other text in front of it is no part of its beginning.
BEGUN = (16, 8)
# A char with a larger share makes a rule or a leader.
COMMONEST = 0.75

_COLUMNS = frozenset("\t,0123456789")


class ShortUnitSearch:
    """Remembers nothing: the last chars of the text show whether it is there."""

    __slots__ = ()

    def look(self, text: str, base: int, at: int) -> tuple[int, int] | None:
        """Start and period of the stretch that reaches `at`."""
        end = at - base
        newest = end - GLITCHLESS
        where = text.rfind(text[newest:end], newest - LONGEST_PERIOD, end - SIGN)
        if where < 0 or not _comes_back(text, end):
            return None
        start, period = end - STRETCH, newest - where
        if _is_meant(text[start:end]) or _likeness(text, start, end, period) < EQUAL_SHARE:
            return None
        # The look before this one came a stretch earlier.
        low = max(start - STRETCH, 0)
        equal = bytes(map(eq, text[low:end], text[low + period : end]))
        begin = _first_equal(equal, 0, start - low, *BEGINNING)
        return base + low + _first_equal(equal, begin, start - low, *BEGUN), period

    def loop_end(self, text: str, base: int, at: int, loop_end: int) -> int:
        return at if _comes_back(text, at - base) else loop_end


def _comes_back(text: str, end: int) -> bool:
    """The last sign does, all over the stretch."""
    start = end - STRETCH
    return start >= 0 and text.count(text[end - SIGN : end], start, end) * LONGEST_PERIOD >= STRETCH


def _is_meant(said: str) -> bool:
    """A table, numbers, a rule or a leader, binary data."""
    return (
        len(signs := set(said)) > (WORDS_SIGNS if " " in said else SIGNS)
        or (" " in said and not _is_one_word(said, signs))
        or not signs.isdisjoint(_COLUMNS)
        or max(map(said.count, said[-SIGN:])) > COMMONEST * STRETCH
        or is_blob(said.replace("\n", ""))
    )


def _is_one_word(said: str, signs: set[str]) -> bool:
    """With blanks between its copies, and no table, drawing or list."""
    return any(map(str.isalpha, signs)) and signs.isdisjoint("|+-=_.") and said.count("\n") <= LINES


def _likeness(text: str, start: int, end: int, period: int) -> float:
    """The share of the chars that equal those a period later."""
    return sum(map(eq, text[start : end - period], text[start + period : end])) / (end - start - period)


def _first_equal(equal: bytes, begin: int, end: int, chars: int, least: int) -> int:
    """The first place where at least so many of so many chars are 1."""
    places = (place for place in range(begin, end) if equal.count(1, place, place + chars) >= least)
    return next(places, end)
