"""Loops whose cycles are nearly equal; the terms are those of `detector.py`.

Without case, digits, punctuation and blanks, a loop that counts or that wavers in its spelling is exact again. Probes
are taken from the letters one after the other, and each is searched in the letters before it; the way back to its
nearest copy is a *hop*. In a loop every probe has a copy; in templates, tables, code and refrains some have none.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field

from .exact import STEP, WINDOW, common_suffix
from .letters import letters_of, sentences_of
from .prose import is_code, is_prose
from .sentences import SentenceSearch
from .units import SAMPLE

# The letters are read at every second step.
READ = 2 * STEP
# In letters: a probe is a few words; a hop shorter than a clause is a matter of style.
PROBE = 20
SHORTEST_HOP = 28
SHORT_HOP = 80
FARTHEST_HOP = 2_048
# The reads whose place in the letters is remembered: as many as the letters that are kept took.
MARKS = 64
# Most prose has three letters in four chars, and what has fewer than these is code or data.
DENSE, SPARSE = 0.7, 0.45


@dataclass(slots=True)
class DriftSearch:
    """The letters of the text, and the stretch of them that only says again what was said before."""

    letters: bytearray = field(default_factory=bytearray)
    base: int = 0
    read_to: int = 0
    # How many letters there were at the last reads: the way back from a letter to its char.
    marks: array[int] = field(default_factory=lambda: array("Q", [0]))
    marked_to: int = 0
    next_probe: int = 0
    # There is a stretch, and the letter where it begins.
    suspects: bool = False
    # Letters in a char of what was read last.
    density: float = 0.0
    covered_from: int = 0
    first_hop: int = 0
    last_hop: int = 0
    hops: int = 0
    hops_sum: int = 0
    equal_hops: int = 0
    misses: int = 0
    # Code and data are not asked again at once.
    rests_until: int = 0
    # Where the stretch should be long enough.
    due: int = 0
    loop: bytearray = field(default_factory=bytearray)
    sentences: SentenceSearch = field(default_factory=SentenceSearch)

    def read(self, text: str, base: int, at: int) -> None:
        self._take(text, base, at)
        if self.suspects:
            self._go_on()
        elif self.density > SPARSE and at >= self.rests_until:
            self._begin()
            if self.suspects and is_code(text[max(at - SAMPLE - base, 0) : at - base]):
                self._rest(at)

    def look(self, text: str, base: int, at: int) -> tuple[int, int] | None:
        newest = self.base + len(self.letters)
        hop = self.hops_sum // self.hops
        if hop < SHORTEST_HOP or newest - self.covered_from < hop:
            return None
        self._extend_back()
        said = newest - self.covered_from + hop
        start = self._near(self.covered_from - self.first_hop)
        needed = self._cycles_needed(hop)
        missing = needed * hop + 8 - said
        if missing <= 0:
            if said < SPARSE * (at - start) or not is_prose(text[max(start, at - 2 * SAMPLE, base) - base : at - base]):
                self._rest(at)
                return None
            # Hops to a repeat inside the unit were shorter than a cycle.
            first, cycle = self._copies(hop)
            missing = needed * cycle + 8 - (newest - first)
            if missing <= 0:
                return self._finding(text, base, at, first, cycle)
        self.due = at + missing * (at - start) // said + 4
        return None

    def _rest(self, at: int) -> None:
        self.suspects = False
        self.rests_until = at + 2 * SAMPLE

    def look_at_sentences(self, text: str, base: int, at: int) -> tuple[int, int] | None:
        """A loop of sentences in no fixed order, or in a long one."""
        said = self.sentences
        if not is_prose(text[max(at - 2 * SAMPLE - base, 0) : at - base]):
            said.forget()
            return None
        start = self._char_of(text, base, at, said.begins)
        return start, max((at - start) * said.period // (said.letters - said.begins), 1)

    def _finding(self, text: str, base: int, at: int, first: int, cycle: int) -> tuple[int, int]:
        self.loop = self.letters[-2 * cycle :]
        start = self._char_of(text, base, at, first)
        period = max((at - start) * cycle // (self.base + len(self.letters) - first), 1)
        return start, period

    def loop_end(self, text: str, base: int, at: int, loop_end: int) -> int:
        """How far the loop reaches as of `at`: its last letters are still those of the loop."""
        reach = self.base + len(self.letters)
        self._take(text, base, at)
        if not self.loop:
            return at if self.sentences.goes_on else loop_end
        says_more = self.base + len(self.letters) > reach
        return at if says_more and self.letters[-PROBE:] in self.loop else loop_end

    def _take(self, text: str, base: int, at: int) -> None:
        sentences = sentences_of(text[self.read_to - base : at - base])
        letters = b"".join(sentences)
        self.letters += letters
        self.density = len(letters) / (at - self.read_to or 1)
        if self.density > DENSE:
            self.sentences.take(sentences, self.base + len(self.letters) - len(letters))
        elif self.sentences.again:
            self.sentences.forget()
        self.read_to = at
        if len(self.letters) > 3 * FARTHEST_HOP:
            self.base += len(self.letters) - 2 * FARTHEST_HOP
            del self.letters[: -2 * FARTHEST_HOP]
        if at == self.marked_to + READ:
            self.marked_to = at
            self.marks.append(self.base + len(self.letters))
            if len(self.marks) > 2 * MARKS:
                del self.marks[:-MARKS]

    def _begin(self) -> None:
        """In a loop every probe has a copy, so the newest letters are enough to see one begin."""
        letters, start = self.letters, len(self.letters) - 2 * PROBE
        if start < 0:
            return
        where = letters.rfind(letters[start:], max(start - FARTHEST_HOP, 0), len(letters) - 1)
        if 0 <= where <= start - SHORTEST_HOP:
            self.suspects = True
            self.covered_from = self.base + start
            self.first_hop = self.last_hop = self.hops_sum = start - where
            self.hops = self.equal_hops = 1
            self.misses = 0
            self.next_probe = self.covered_from + 3 * PROBE

    def _go_on(self) -> None:
        letters, base = self.letters, self.base
        while self.next_probe <= base + len(letters):
            end = self.next_probe - base
            start = end - PROBE
            self.next_probe += PROBE
            probe = letters[start:end]
            where = letters.rfind(probe, max(start - FARTHEST_HOP, 0), end - 1)
            if where >= 0:
                hop = start - where
                self.hops += 1
                self.hops_sum += hop
                # A nearer copy may be a repeat inside the unit.
                if letters.startswith(probe, start - self.last_hop):
                    self.equal_hops += 1
                else:
                    self.last_hop = hop
            else:
                self.misses += 1
            if self.misses > 1 + self.hops // 6:
                self.suspects = False
                return

    def _extend_back(self) -> None:
        """Covered from the very letter, not from the first probe."""
        start = max(self.covered_from - self.base, 0)
        self.covered_from -= common_suffix(self.letters, start, self.first_hop, 0)

    def _cycles_needed(self, hop: int) -> int:
        """Three, as of a sentence, and more the less the cycles have in common.

        A fresh word in every cycle is missed; and a short cycle is the line of a list or a log as well.
        """
        changing = self.misses > min(self.hops // 10, 2)
        short = hop < SHORT_HOP
        return 3 + 4 * changing + 5 * short

    def _copies(self, hop: int) -> tuple[int, int]:
        """The first letter of the loop and the letters of a cycle, from what some probes say of their copies.

        A probe that a cut-off or changed cycle lacks knows of fewer copies than the others.
        """
        letters, size = self.letters, 2 * PROBE
        first, cycle = len(letters), len(letters)
        for newest in range(len(letters) - size - hop, len(letters) - size, max(hop // 8, PROBE)):
            probe = letters[newest : newest + size]
            copy = second = newest
            copies = 0
            while (where := letters.rfind(probe, max(copy - 2 * hop, 0), copy + size - 1)) >= 0:
                copy, second = where, copy
                copies += 1
            if copies:
                cycle = min(cycle, (newest - copy) // copies)
                first = min(first, copy - common_suffix(letters, second, second - copy, 0))
        # A probe that the unit has twice knows of more copies; but then there was one a cycle away as well.
        if 20 * self.equal_hops >= 19 * self.hops:
            cycle = self.last_hop
        return self.base + first, cycle

    def _near(self, letter: int) -> int:
        """About the char of a letter; before the oldest mark they are taken to be spread evenly."""
        marks = self.marks
        index = bisect_right(marks, letter)
        after = self.marked_to - READ * (len(marks) - index)
        if index == len(marks):
            return after
        before, chars = (marks[index - 1], READ) if index else (0, after + READ)
        return after * (index > 0) + chars * (letter - before) // (marks[index] - before)

    def _char_of(self, text: str, base: int, at: int, letter: int) -> int:
        """Letters are not spread evenly: in front of a loop there may be blanks or a table."""
        index = bisect_right(self.marks, letter)
        after = self.marked_to - READ * (len(self.marks) - index)
        if not index or after < at - WINDOW:
            return self._near(letter)
        read = text[after - base : after - base + READ]
        letters = letter - self.marks[index - 1]
        return after + bisect_right(range(len(read)), letters, key=lambda chars: len(letters_of(read[:chars]))) - 1
