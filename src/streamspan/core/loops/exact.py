"""Runs that are exact; the terms are those of `detector.py`.

Positions named `at` are chars of the channel; `base` is the position of the first char of `text`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .units import BEGUN, SHORTEST_LOOP, chars_needed

STEP = 160
WINDOW = 10_560
FARTHEST = WINDOW - 2 * STEP
# Longer than what two lines of code or data often share, and short enough for the shortest loop.
NEEDLE = 48
# A unit with a repeat inside proposes a period that is too short first.
CANDIDATES = 3
# As many equal chars, one period apart, are a run and not two lines that end alike.
PROOF = 64
# Other text between two cycles is a glitch, unless it is longer than this: then it has left the loop.
GLITCH = 200
# As many are looked back over.
GLITCHES = 16
# Between two paragraphs.
BLANKS = 2
# Less of a cycle is a phrase, which comes back in any text.
PHRASE = 40
# The last chars of a loop are enough to see that it goes on.
TAIL = 20


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
        # A run that has no two cycles yet may be a repeat inside a longer unit.
        if depth and (not self.period or (depth > self.period and not self.chars(at))):
            newest = end - NEEDLE
            floor = newest - depth if newest > depth else 0
            where = text.rfind(text[newest:end], floor, end - 1)
            if where >= 0:
                self._propose(text, base, at, where, floor)
        return self._weigh(text, base, at) if self.period and at >= self.due else None

    def finish(self, text: str, base: int, at: int) -> tuple[int, int] | None:
        """Three whole copies that end the text are a loop of prose. A blank line behind the last may be missing."""
        if not self.weighed or not self.period or self.due - self.start != 3 * self.period + BEGUN:
            return None
        unit = text[at - base - self.period : at - base]
        missing = self.start + 3 * self.period - at
        return self._found(text, base, at) if missing <= min(len(unit) - len(unit.strip()), BLANKS) else None

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
        """Takes up the longest run of a handful: a repeat inside the unit comes first, and ends soon."""
        end = at - base
        low = max(end - WINDOW, 0)
        size, same = NEEDLE, 0
        for _ in range(CANDIDATES):
            period = end - size - where
            proof = min(period, PROOF)
            if text[end - proof : end] == text[end - proof - period : end - period]:
                self.period = period
                same = common_suffix(text, end, period, low)
                if same >= 2 * period:
                    break
            # A copy that is farther away must have more in common.
            size = max(same, size) + 1
            where = text.rfind(text[end - size : end], floor, end - period - 1)
            if where < 0:
                break
        if same:
            self.start = at - self.period - same
            self.measured_to = at
            self.weighed = False
            self.due = self.start + max(2 * self.period, SHORTEST_LOOP)

    def _weigh(self, text: str, base: int, at: int) -> tuple[int, int] | None:
        end = at - base
        low = max(end - WINDOW, 0)
        if not self.weighed:
            self.weighed = True
            unit = text[end - self.period : end]
            # The copy that was found first may be several cycles away.
            self.period = (unit + unit).index(unit, 1)
            start = max(self.start - base, low)
            self.due = self.start + chars_needed(unit[: self.period], before=text[max(start - 96, low) : start])
            if at < self.due:
                return None
        return self._found(text, base, at)

    def _found(self, text: str, base: int, at: int) -> tuple[int, int]:
        end = at - base
        low = max(end - WINDOW, 0)
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
