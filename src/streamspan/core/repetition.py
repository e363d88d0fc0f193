"""Finds loops in streamed text: a model that says the same thing again and again until it is stopped.

One detector watches one channel of one content block: text, thinking or tool input. Its terms:

    unit     the text that comes back; its length is the *period*
    run      a stretch of text in which every char equals the one a period earlier
    cycle    one copy of the unit: a run of 3 periods has 3 cycles
    loop     a run (`exact`) or a stretch of nearly equal cycles (`drift`) that is too long to be meant
    step     one of the char positions, STEP apart, at which the detector looks

Its rules:

1.  The verdict must not depend on how the text was cut into deltas. So the detector looks at fixed char
    positions only: at the steps, and where a run under way becomes long enough. Between them a delta is only
    put aside.
2.  At a step the last chars are searched backwards. An earlier copy of them proposes a period, and the run
    with that period is measured. The search goes a little way back at every step, twice as far at every
    second one, and so on: every period is seen before its third cycle, at the same cost per char.
3.  How long a run must be depends on what its unit says: see `_chars_needed`.
4.  Drift is looked for in the letters alone. Without case, digits, punctuation and blanks, a loop that counts
    or that wavers in its spelling is exact again. Probes are taken from the letters one after the other, and
    each is searched in the letters before it; the way back to its nearest copy is a *hop*. In a loop every
    probe has a copy and the hops are equal. In templates, tables, code and refrains some probes have no copy,
    or the hops vary.
5.  After its first finding the detector only follows that loop, to its end or out of it.

It does not know what was asked for: a hundred lines of "I must not talk in class" are a loop to it.
It holds a window of the text, whatever the length of the stream.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal["exact", "drift"]

STEP = 160
WINDOW = 12_288
# To cut the window back at every step would copy it a second time.
SLACK = 2_048
NEAREST = 256
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

# In letters: a probe is a few words; a hop shorter than a clause is a matter of style.
PROBE = 20
SHORTEST_HOP = 32
FARTHEST_HOP = 2_048
# The steps whose place in the letters is remembered: as many as the letters that are kept took.
MARKS = 64

# A glitch between two cycles is shorter than this; other text that is longer has left the loop.
RECOVERY = 200

_MARKUP = "{}[]<>|=&\\/#*()\"'`"
_CODE = _MARKUP + "_;@$%+~^"
_DATA = " \t\r\n,;:.\\\"'()[]{}0123456789abcdefABCDEFx"
_BLOB = re.compile(r"(?=[\w+/]*(?:\d|[a-z][A-Z]|[A-Z][a-z]))[A-Za-z0-9+/]{24}")
_NOT_LETTERS = bytes(c for c in range(128) if not chr(c).isalpha())


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
        "_found",
        "_length",
        "_loop_end",
        "_pieces",
        "_text",
        "next_look",
    )

    def __init__(self, *, drift: bool = True) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self.next_look = STEP
        self._text = ""
        self._base = 0
        self._exact = _ExactSearch()
        self._drift = _DriftSearch() if drift else None
        self._found: Repetition | None = None
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

    def finish(self) -> Repetition | None:
        """The loop, if only the chars after the last step make it one."""
        if self._found or self._length < SHORTEST_LOOP:
            return None
        self._take_pieces()
        self._found = self._look(self._length, FARTHEST)
        return self._found

    @property
    def repetition(self) -> Repetition | None:
        """The loop that was found, with its count and chars as of now."""
        if not self._found:
            return None
        self._take_pieces()
        self._follow(self._length)
        chars = self._loop_end - self._found.start
        return replace(self._found, count=chars // self._found.period, chars=chars)

    @property
    def recovered(self) -> bool:
        """A loop was found, and the text has left it and gone on."""
        return self.repetition is not None and self._length - self._loop_end >= RECOVERY

    def _take_pieces(self) -> None:
        self._text += "".join(self._pieces)
        self._pieces.clear()

    def _advance(self) -> Repetition | None:
        self._take_pieces()
        first = None
        at = self.next_look
        while at <= self._length:
            step, past_step = divmod(at, STEP)
            if self._found:
                self._follow(at)
            else:
                depth = 0 if past_step else min(NEAREST * (step & -step), FARTHEST)
                first = self._found = self._look(at, depth)
            at = self._look_after(at, (step + 1) * STEP)
        self.next_look = at
        kept = self._found.period + 2 * STEP if self._found else WINDOW
        if len(self._text) > kept + SLACK:
            self._base += len(self._text) - kept
            self._text = self._text[-kept:]
        return first

    def _look_after(self, at: int, next_step: int) -> int:
        if self._found:
            return next_step
        due = self._exact.due
        soonest = due if at < due < next_step else next_step
        if self._drift and at < self._drift.due < soonest:
            return self._drift.due
        return soonest

    def _look(self, at: int, depth: int) -> Repetition | None:
        """The loop that reaches `at`. Without a `depth`, between two steps, nothing new is searched for."""
        found = self._exact.look(self._text, self._base, at, depth)
        if self._drift and (depth or at == self._drift.due):
            self._drift.read(self._text, self._base, at)
            # A run of two cycles will be an exact loop or nothing.
            if not found and not self._exact.has_two_cycles(at):
                found = self._drift.look(self._text, self._base, at)
        if found:
            self._loop_end = at
        return found

    def _follow(self, at: int) -> None:
        search = self._exact if self._found and self._found.kind == "exact" else self._drift
        if search:
            self._loop_end = search.loop_end(self._text, self._base, at, self._loop_end)


@dataclass(slots=True)
class _ExactSearch:
    """The run under way; a period of 0 is none."""

    period: int = 0
    start: int = 0
    measured_to: int = 0
    weighed: bool = False
    # Where the run is looked at again: first to weigh its unit, then to call it a loop.
    due: int = 0
    loop: str = ""
    followed_to: int = 0

    def look(self, text: str, base: int, at: int, depth: int) -> Repetition | None:
        end = at - base
        if period := self.period:
            since = self.measured_to - base
            if text[since:end] == text[since - period : end - period]:
                self.measured_to = at
            else:
                self.period = self.due = 0
        if depth and not self.period:
            floor = max(end - NEEDLE - depth, 0)
            where = text.rfind(text[end - NEEDLE : end], floor, end - 1)
            if where >= 0:
                self._propose(text, base, at, where, floor)
        return self._weigh(text, base, at) if self.period and at >= self.due else None

    def has_two_cycles(self, at: int) -> bool:
        return self.period > 0 and at - self.start >= 2 * self.period

    def loop_end(self, text: str, base: int, at: int, loop_end: int) -> int:
        """How far the loop reaches as of `at`: it has gone on, or come back after a glitch."""
        end, since = at - base, loop_end - base
        if loop_end == self.followed_to:
            new, expected = text[since:end], text[since - self.period : end - self.period]
            pairs = enumerate(zip(new, expected, strict=True))
            loop_end += len(new) if new == expected else next(i for i, (a, b) in pairs if a != b)
        self.followed_to = at
        return at if text[max(end - PROBE, 0) : end] in self.loop else loop_end

    def _propose(self, text: str, base: int, at: int, where: int, floor: int) -> None:
        end = at - base
        needle = text[end - NEEDLE : end]
        for _ in range(CANDIDATES):
            period = end - NEEDLE - where
            proof = min(period, PROOF)
            if text[end - proof : end] == text[end - proof - period : end - period]:
                self.period = period
                self.start = at - period - _common_suffix(text, end, period, max(end - WINDOW, 0))
                self.measured_to = at
                self.weighed = False
                self.due = self.start + max(2 * period, SHORTEST_LOOP)
                return
            where = text.rfind(needle, floor, where + NEEDLE - 1)
            if where < 0:
                return

    def _weigh(self, text: str, base: int, at: int) -> Repetition | None:
        end = at - base
        unit = text[end - self.period : end]
        if not self.weighed:
            self.weighed = True
            low = max(end - WINDOW, 0)
            start = max(self.start - base, low)
            self.due = self.start + _chars_needed(unit, before=text[max(start - 32, low) : start])
            if at < self.due:
                return None
        # The copy that was found first may be several cycles away.
        self.period = (unit + unit).index(unit, 1)
        self.loop = unit[: self.period] * (2 + PROBE // self.period)
        self.followed_to = at
        chars = at - self.start
        return Repetition(self.start, self.period, chars // self.period, chars, "exact")


@dataclass(slots=True)
class _DriftSearch:
    """The letters of the text, and the stretch of them that only says again what was said before."""

    letters: bytearray = field(default_factory=bytearray)
    base: int = 0
    read_to: int = 0
    # How many letters there were at the last steps: the way back from a letter to its char.
    marks: list[int] = field(default_factory=lambda: [0])
    marked_to: int = 0
    next_probe: int = 0
    # The stretch; it begins at a letter, -1 is none.
    covered_from: int = -1
    first_hop: int = 0
    last_hop: int = 0
    hops: int = 0
    hops_sum: int = 0
    equal_hops: int = 0
    misses: int = 0
    # Where the stretch should be long enough.
    due: int = 0
    loop: bytearray = field(default_factory=bytearray)

    def read(self, text: str, base: int, at: int) -> None:
        new = text[self.read_to - base : at - base]
        self.read_to = at
        # A lone surrogate cannot be encoded.
        self.letters += new.lower().encode("utf-8", "replace").translate(None, _NOT_LETTERS)
        if len(self.letters) > 3 * FARTHEST_HOP:
            self.base += len(self.letters) - 2 * FARTHEST_HOP
            del self.letters[: -2 * FARTHEST_HOP]
        if at == self.marked_to + STEP:
            self.marked_to = at
            self.marks.append(self.base + len(self.letters))
            if len(self.marks) > 2 * MARKS:
                del self.marks[:-MARKS]
        if self.covered_from < 0:
            self._begin()
        else:
            self._go_on()

    def look(self, text: str, base: int, at: int) -> Repetition | None:
        newest = self.base + len(self.letters)
        hop = self.hops_sum // self.hops if self.covered_from >= 0 else 0
        # Hops that vary more than this are those of a template or a refrain.
        if hop < SHORTEST_HOP or newest - self.covered_from < hop or 10 * self.equal_hops < 7 * self.hops:
            return None
        self._extend_back()
        said = newest - self.covered_from + hop
        start = self._char_of(self.covered_from - self.first_hop)
        needed = self._cycles_needed(hop)
        missing = needed * hop + 8 - said
        if missing <= 0:
            if said < 0.65 * (at - start) or not _is_prose(text[max(start, at - 2 * SAMPLE, base) - base : at - base]):
                self.covered_from = -1
                return None
            # Hops to a repeat inside the unit were shorter than a cycle.
            first, cycle = self._copies(hop)
            missing = needed * cycle + 8 - (newest - first)
            if missing <= 0:
                return self._finding(first, cycle, at)
        self.due = at + missing * (at - start) // said + 4
        return None

    def _finding(self, first: int, cycle: int, at: int) -> Repetition:
        self.loop = self.letters[-2 * cycle :]
        start = self._char_of(first)
        period = max((at - start) * cycle // (self.base + len(self.letters) - first), 1)
        return Repetition(start, period, (at - start) // period, at - start, "drift")

    def loop_end(self, text: str, base: int, at: int, loop_end: int) -> int:
        known = self.base + len(self.letters)
        self.read(text, base, at)
        says_more = self.base + len(self.letters) > known
        return at if says_more and self.letters[-PROBE:] in self.loop else loop_end

    def _begin(self) -> None:
        """In a loop every probe has a copy, so the newest letters are enough to see one begin."""
        letters, start = self.letters, len(self.letters) - PROBE
        if start < 0:
            return
        where = letters.rfind(letters[start:], max(start - FARTHEST_HOP, 0), len(letters) - 1)
        if where >= 0:
            self.covered_from = self.base + start
            self.first_hop = self.last_hop = self.hops_sum = start - where
            self.hops = self.equal_hops = 1
            self.misses = 0
            self.next_probe = self.covered_from + 2 * PROBE

    def _go_on(self) -> None:
        letters, base = self.letters, self.base
        while self.next_probe <= base + len(letters):
            end = self.next_probe - base
            start = end - PROBE
            self.next_probe += PROBE
            where = letters.rfind(letters[start:end], max(start - FARTHEST_HOP, 0), end - 1)
            if where >= 0:
                hop = start - where
                self.hops += 1
                self.hops_sum += hop
                self.equal_hops += 10 * abs(hop - self.last_hop) <= hop
                self.last_hop = hop
            else:
                self.misses += 1
                if self.misses > 1 + self.hops // 6:
                    self.covered_from = -1
                    return

    def _extend_back(self) -> None:
        """Covered from the very letter, not from the first probe."""
        start = max(self.covered_from - self.base, 0)
        self.covered_from -= _common_suffix(self.letters, start, self.first_hop, 0)

    def _cycles_needed(self, hop: int) -> int:
        """Three, as of a sentence, and more the less the cycles have in common.

        Cycles that are cut short make the hops vary; a fresh word in every cycle is missed; and a short cycle
        is the line of a list or a log as well.
        """
        truncated = 10 * self.equal_hops < 9 * self.hops
        changing = self.misses > min(self.hops // 10, 2)
        short = hop < 80
        return 3 + truncated + 4 * changing + 5 * short

    def _copies(self, hop: int) -> tuple[int, int]:
        """The first letter of the loop and the letters of a cycle, from what some probes say of their copies.

        A probe that a cut-off or changed cycle lacks knows of fewer copies than the others.
        """
        letters, size = self.letters, 2 * PROBE
        first, cycle = len(letters), len(letters)
        for newest in range(len(letters) - size - hop, len(letters) - size, hop // 4):
            probe = letters[newest : newest + size]
            copy = second = newest
            copies = 0
            while (where := letters.rfind(probe, max(copy - 2 * hop, 0), copy + size - 1)) >= 0:
                copy, second = where, copy
                copies += 1
            if copies:
                cycle = min(cycle, (newest - copy) // copies)
                first = min(first, copy - _common_suffix(letters, second, second - copy, 0))
        return self.base + first, cycle

    def _char_of(self, letter: int) -> int:
        index = bisect_right(self.marks, letter)
        after = self.marked_to - STEP * (len(self.marks) - index)
        if not 0 < index < len(self.marks):
            return max(after, 0)
        mark = self.marks[index - 1]
        return after + (letter - mark) * STEP // (self.marks[index] - mark)


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
    if " " not in sample and ("base64," in before or _BLOB.fullmatch(before[-24:])):
        return max(8_000, 4 * period)
    # Rules, leaders, blanks.
    if letters == digits == 0 and period < 32:
        return 400
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
    if period < 12 and "," in sample:
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


def _is_prose(text: str) -> bool:
    """Few digits, little punctuation of code, no indented lines, and blanks where the script has them.

    Code, data and logs are made of the same words on purpose.
    """
    size = len(text)
    digits = sum(map(text.count, "0123456789"))
    code = sum(map(text.count, _CODE))
    indented = text.count("\n ") + text.count("\n\t")
    spaced = text.count(" ") >= 0.08 * size or not text.isascii()
    return spaced and indented <= 2 and digits <= 0.06 * size and code <= 0.14 * size


def _common_suffix(text: str | bytearray, end: int, period: int, low: int) -> int:
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
