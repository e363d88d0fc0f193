"""Finds loops in streamed text: a model that says the same thing again and again until it is stopped.

One detector watches one channel of a stream: its text, its thinking, or the input of one tool call. Its terms:

    unit     the text that comes back; its length is the *period*
    run      a stretch of text in which every char equals the one a period earlier
    cycle    one copy of the unit: a run of 3 periods has 3 cycles
    loop     a run, or a glitched run of a short unit (`exact`), or a stretch of nearly equal cycles (`drift`), that is
             too long to be meant
    step     one of the char positions, STEP apart, at which the detector looks

Its rules:

1.  The verdict must not depend on how the text was cut into deltas. So the detector looks at fixed char
    positions only: at the steps, and where a run under way becomes long enough. Between them a delta is only
    kept.
2.  `exact.py`: at a step the last chars are searched backwards. An earlier copy of them proposes a period, and
    the run with that period is measured. The search goes a little way back at every step, twice as far at
    every second one, and so on: every period is seen before its third cycle, at the same cost per char. How
    long a run must be depends on what its unit says (`units.py`).
3.  `drift.py`: at every second step, and at every one while it suspects a loop, the text is looked at again
    without its case, digits, punctuation and blanks. So a loop that counts or that wavers in its spelling is
    exact again. `sentences.py`: sentences that have come before and before that are a loop as well, in random
    order, with others between them, or in a cycle longer than the window. `lines.py`: so are lines that only count.
4.  `short_units.py`: at every second step the last chars may be a few signs that come back and back, with glitches.
    Nothing else would see them, because they have neither words nor a long run.
5.  After its first finding the detector only follows that loop, to its end or out of it. Other text between
    two cycles is a glitch while it is short.

It does not know what was asked for: a hundred lines of "I must not talk in class" are a loop to it.
It holds a window of the text, whatever the length of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from .drift import DriftSearch
from .exact import BLANKS, FARTHEST, GLITCH, STEP, WINDOW, ExactSearch
from .lines import LineSearch
from .short_units import ShortUnitSearch
from .units import SHORTEST_LOOP

Kind = Literal["exact", "drift"]

# How far back the search goes at each step: twice as far at every second one, and so on.
NEAREST = 256
DEPTHS = (FARTHEST, *(min(NEAREST * (step & -step), FARTHEST) for step in range(1, 64)))
# To cut the window back at every step would copy it a second time.
SLACK = 512
SHORT_UNITS = ShortUnitSearch()
LINES = LineSearch()


Search = ExactSearch | DriftSearch | LineSearch | ShortUnitSearch


@dataclass(frozen=True, slots=True)
class Repetition:
    """A loop, in chars (code points) of its channel; `count` is its full cycles."""

    start: int
    period: int
    count: int
    chars: int
    kind: Kind


class RepetitionDetector:
    """Watches one channel for its first loop, and then that loop.

    With `drift` it also finds loops whose cycles differ in counters, case, punctuation, blanks or where they
    are cut short.

    `next_look` is the length of the channel at which it looks next, in chars. A caller may collect deltas and
    feed them as one when they reach it: the finding is the same, and it is made at the same delta.
    """

    __slots__ = (
        "_base",
        "_drift",
        "_exact",
        "_finished_to",
        "_found",
        "_found_by",
        "_length",
        "_loop_end",
        "_next_step",
        "_pieces",
        "_text",
        "next_look",
    )

    def __init__(self, *, drift: bool = True) -> None:
        self.next_look = STEP
        self._pieces: list[str] = []
        self._length = 0
        # The window of the text that is held, and its offset in the channel.
        self._text = ""
        self._base = 0
        self._next_step: int = STEP
        self._finished_to = 0
        self._exact = ExactSearch()
        self._drift = DriftSearch() if drift else None
        self._found: Repetition | None = None
        self._found_by: Search = self._exact
        self._loop_end = 0

    def feed(self, text: str) -> Repetition | None:
        """The loop, at the delta that makes it one; None at every other delta."""
        if not text:
            return None
        self._pieces.append(text)
        self._length += len(text)
        if self._length < self.next_look:
            return None
        return self._advance()

    def finish(self, *, may_go_on: bool = False) -> Repetition | None:
        """The loop, if only the chars after the last step make it one.

        may_go_on  more text may follow, after a while: then a few chars are left for the next look, which costs 10 us
        """
        if self._found or self._length < SHORTEST_LOOP:
            return None
        looked_to = max(self._next_step - STEP, self._finished_to)
        if may_go_on and self._length - looked_to < SHORTEST_LOOP:
            return None
        self._finished_to = self._length
        self._take_pieces()
        self.next_look = self._look(self._length, FARTHEST)
        if not self._found and not may_go_on and (run := self._exact.finish(self._text, self._base, self._length)):
            self._set_found(run, self._exact, self._length)
        return self._found

    def shorten(self, bytes_at_most: int) -> None:
        """Hold no more than the last part of the text, while other channels go on. Longer loops are then forgotten."""
        self._take_pieces()
        size = self._text.__sizeof__()
        needed = self._chars_followed if self._found else 3 * STEP
        kept = max(len(self._text) * bytes_at_most // size, needed)
        if len(self._text) > kept:
            self._base += len(self._text) - kept
            self._text = self._text[-kept:]
            if self._exact.period > kept - 2 * STEP and not self._found:
                self._exact.period = self._exact.due = 0

    @property
    def repetition(self) -> Repetition | None:
        """The loop that was found, with its count and chars as of now."""
        if not self._found:
            return None
        self._take_pieces()
        self._follow(self._length)
        chars = self._loop_end - self._found.start
        return replace(self._found, count=_cycles(chars, self._found.period), chars=chars)

    @property
    def recovered(self) -> bool:
        """A loop was found, and the text has left it and gone on."""
        return self.repetition is not None and self._length - self._loop_end >= GLITCH

    @property
    def _chars_followed(self) -> int:
        """A cycle may be longer than the window; then its text is not needed."""
        period = self._found.period if self._found else 0
        return min(period, WINDOW) + 3 * STEP

    def _take_pieces(self) -> None:
        text = self._text
        self._text = ""  # a string that is held once grows in place, any other is copied
        text += "".join(self._pieces)
        self._text = text
        self._pieces.clear()

    def _advance(self) -> Repetition | None:
        self._take_pieces()
        found_before = self._found
        at = self.next_look
        while at <= self._length:
            depth = 0
            if at == self._next_step:
                depth = DEPTHS[at // STEP % len(DEPTHS)]
                self._next_step += STEP
            if self._found:
                self._follow(at)
                at = self._next_step
            else:
                at = self._look(at, depth)
        self.next_look = at
        kept = self._chars_followed if self._found else WINDOW
        if len(self._text) > kept + SLACK:
            self._base += len(self._text) - kept
            self._text = self._text[-kept:]
        return None if found_before else self._found

    def _look(self, at: int, depth: int) -> int:
        """Looks for a loop that reaches `at`, and says where to look next.

        Without a `depth`, between two steps, nothing new is searched for.
        """
        text, base = self._text, self._base
        exact, drift, next_look = self._exact, self._drift, self._next_step
        if run := exact.look(text, base, at, depth):
            self._set_found(run, exact, at)
            return next_look
        if at < exact.due < next_look:
            next_look = exact.due
        if drift:
            if depth > NEAREST or drift.suspects or at == drift.due:
                drift.read(text, base, at)
                # A run of two cycles will be an exact loop or nothing.
                if drift.suspects and not exact.chars(at) and (run := drift.look(text, base, at)):
                    self._set_found(run, drift, at)
                    return next_look
                if drift.sentences.is_loop and (run := drift.look_at_sentences(text, base, at)):
                    self._set_found(run, drift, at)
                    return next_look
            if at < drift.due < next_look:
                next_look = drift.due
            if depth > 4 * NEAREST and exact.chars(at) < STEP and (run := LINES.look(text, base, at)):
                self._set_found(run, LINES, at)
                return next_look
        # A run that is longer than a step is no glitched one.
        if (
            depth > NEAREST
            and (not exact.period or exact.chars(at) < STEP)
            and (run := SHORT_UNITS.look(text, base, at))
        ):
            self._set_found(run, SHORT_UNITS, at)
        return next_look

    def _set_found(self, run: tuple[int, int], search: Search, at: int) -> None:
        start, period = run
        kind: Kind = "drift" if search is self._drift or search is LINES else "exact"
        self._found = Repetition(start, period, _cycles(at - start, period), at - start, kind)
        self._found_by = search
        self._loop_end = at

    def _follow(self, at: int) -> None:
        self._loop_end = self._found_by.loop_end(self._text, self._base, at, self._loop_end)


def _cycles(chars: int, period: int) -> int:
    """Full ones. The blank line after the last may be missing."""
    return (chars + min(period // 40, BLANKS)) // period
