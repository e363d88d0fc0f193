"""Runs that are exact, and how long each must be to be a loop; the terms are those of `detector.py`.

Positions named `at` are chars of the channel; `base` is the position of the first char of `text`.
"""

# ruff: noqa: PLR0911, PLR2004 - `_chars_needed` is a table, case by case, and each number stands beside its reason
from __future__ import annotations

import re
from dataclasses import dataclass

STEP = 160
WINDOW = 10_560
FARTHEST = WINDOW - 2 * STEP
# Longer than what two lines of code or data often share, and short enough for the shortest loop.
NEEDLE = 48
# A unit with a repeat inside proposes a period that is too short first.
CANDIDATES = 3
# As many equal chars, one period apart, are a run and not two lines that end alike.
PROOF = 64
# No run is a loop before this, so its unit is not weighed before this either.
SHORTEST_LOOP = 120
# As many chars tell what a text is made of.
SAMPLE = 240
# Other text between two cycles is a glitch, unless it is longer than this: then it has left the loop.
GLITCH = 200
# As many are looked back over.
GLITCHES = 16
# Less of a cycle is a phrase, which comes back in any text.
PHRASE = 40
# The last chars of a loop are enough to see that it goes on.
TAIL = 20

_MARKUP = "{}[]<>|=&\\/#*()\"'`"
_DATA = " \t\r\n,;:.\\\"'()[]{}0123456789abcdefABCDEFx"
_BLOB = re.compile(r"[A-Za-z0-9+/]{24,}")


@dataclass(slots=True)
class ExactSearch:
    """The run under way; a period of 0 is none."""

    period: int = 0
    start: int = 0
    measured_to: int = 0
    weighed: bool = False
    # Where the run is looked at again: first to weigh its unit, then to call it a loop.
    due: int = 0
    loop: str = ""
    followed_to: int = 0

    def look(self, text: str, base: int, at: int, depth: int) -> tuple[int, int] | None:
        end = at - base
        if period := self.period:
            since = self.measured_to - base
            if text[since:end] == text[since - period : end - period]:
                self.measured_to = at
            else:
                self.period = self.due = 0
        if depth and not self.period:
            newest = end - NEEDLE
            floor = newest - depth if newest > depth else 0
            where = text.rfind(text[newest:end], floor, end - 1)
            if where >= 0:
                self._propose(text, base, at, where, floor)
        return self._weigh(text, base, at) if self.period and at >= self.due else None

    def chars(self, at: int) -> int:
        """Of the run under way, 0 if it has no two cycles yet."""
        chars = at - self.start
        return chars if self.period and chars >= 2 * self.period else 0

    def loop_end(self, text: str, base: int, at: int, loop_end: int) -> int:
        """How far the loop reaches as of `at`: it has gone on, or come back after a glitch."""
        end, since = at - base, loop_end - base
        if loop_end == self.followed_to:
            new, expected = text[since:end], text[since - self.period : end - self.period]
            pairs = enumerate(zip(new, expected, strict=True))
            loop_end += len(new) if new == expected else next(i for i, (a, b) in pairs if a != b)
        self.followed_to = at
        return at if text[max(end - TAIL, 0) : end] in self.loop else loop_end

    def _propose(self, text: str, base: int, at: int, where: int, floor: int) -> None:
        end = at - base
        needle = text[end - NEEDLE : end]
        for _ in range(CANDIDATES):
            period = end - NEEDLE - where
            proof = min(period, PROOF)
            if text[end - proof : end] == text[end - proof - period : end - period]:
                self.period = period
                self.start = at - period - common_suffix(text, end, period, max(end - WINDOW, 0))
                self.measured_to = at
                self.weighed = False
                self.due = self.start + max(2 * period, SHORTEST_LOOP)
                return
            where = text.rfind(needle, floor, where + NEEDLE - 1)
            if where < 0:
                return

    def _weigh(self, text: str, base: int, at: int) -> tuple[int, int] | None:
        end = at - base
        low = max(end - WINDOW, 0)
        if not self.weighed:
            self.weighed = True
            unit = text[end - self.period : end]
            # The copy that was found first may be several cycles away.
            self.period = (unit + unit).index(unit, 1)
            start = max(self.start - base, low)
            self.due = self.start + _chars_needed(unit[: self.period], before=text[max(start - 96, low) : start])
            if at < self.due:
                return None
        self.loop = text[end - self.period : end] * (2 + TAIL // self.period)
        self.followed_to = at
        start = self.start - base
        # Shorter units come back by chance, and what was said before the window is forgotten.
        if self.period >= NEEDLE and start > low:
            start = low + self._first_said(text[low:end], start - low)
        return base + start, self.period

    def _first_said(self, text: str, run: int) -> int:
        """Where the loop began: with the run, or in front of glitches.

        Part of a cycle there is enough, in any case: it may be cut off, or have other words.
        """
        period = self.period
        reach = period + max(period, GLITCH)
        size = max(period * 3 // 8, PHRASE)
        lower = text.lower()
        if len(lower) == len(text):
            text = lower
        start = run
        for _ in range(GLITCHES):
            # The first chars of the run may belong to the glitch.
            for part in range(run + period // 8, run + period * 3 // 4, period // 4):
                where = text.rfind(text[part : part + size], max(start - reach, 0), start)
                if where >= 0:
                    break
            else:
                return start
            start = where - common_suffix(text, part, part - where, 0)
            start -= common_suffix(text, start + period, period, 0)
        return start


def _chars_needed(unit: str, before: str) -> int:
    """How long a run of `unit` must be to be a loop; `before` is the text in front of the run.

    The less a unit says, the more often it comes back in texts that are meant.
    """
    period = len(unit)
    sample = unit[:: 1 + period // SAMPLE]
    letters = sum(map(str.isalpha, sample)) or sum(map(_is_pictograph, sample))
    digits = sum(map(str.isdigit, sample))
    markup = sum(map(sample.count, _MARKUP))
    # Zeros in binary data that is written as base64.
    if " " not in sample and ("base64," in before or is_blob(before[-24:]) or is_blob(before)):
        return max(8_000, 4 * period)
    # Rules, leaders, blanks; in a table a cell may be as wide as the longest text in its column.
    if letters == digits == 0 and period < 32:
        return 1_200 if unit in " -" and "|" in before else 400
    # Numbers and bytes: in columns they come back row by row.
    if not letters or (period > 1 and not sample.strip(_DATA)):
        return 400 if period < 12 else max(2_000, 4 * period)
    # Short values in a wide layout, one to a line.
    if letters < 12 <= period and 4 * letters < len(sample):
        return max(2_000, 4 * period)
    # Lines of a log within the same second.
    if 8 * digits > len(sample) and period >= 12:
        return max(400, 7 * period)
    # Nulls: in a row, and in rows.
    if "," in sample and len("".join(sample.split())) < 12:
        return 400
    if period >= 24 and len(set(sample)) < 12:
        return max(2_000, 4 * period)
    # Words and half sentences: a song has four or five of them, a list of names and values more.
    if period < 60:
        return max(220 if markup or "," in sample else 156, period * 9 // 2)
    # Three cycles, and a fourth that has begun: code and data have three of a kind before something else.
    return 3 * period + (64 if markup * 25 > len(sample) else 12)


def _is_pictograph(char: str) -> bool:
    return "\u2600" <= char <= "\u27bf" or char >= "\U0001f000"


def is_blob(text: str) -> bool:
    """Base64 and the like: digits or letters of both cases, and nothing between them."""
    if not _BLOB.fullmatch(text):
        return False
    return not (text.islower() or text.isupper()) or any(map(str.isdigit, text))


def common_suffix(text: str | bytearray, end: int, period: int, low: int) -> int:
    """How many chars in front of `end` equal those a period earlier, none of these before `low`."""
    same, size = 0, NEEDLE
    most = end - period - low
    while size:
        to = end - same
        if same + size <= most and text[to - size : to] == text[to - size - period : to - period]:
            same += size
            size *= 2
        else:
            size //= 2
    return same
