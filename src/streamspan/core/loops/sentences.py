"""Loops of sentences in no fixed order, with others between them, or in cycles longer than the window.

Of each sentence or line only a checksum of its letters is kept, in a table of fixed size in which a later one takes the
place of an earlier one. So a loop shows by its sentences, which have come before and before that, without its text.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from zlib import crc32

SLOTS = 1_024
MASK = SLOTS - 1
# In letters: a shorter line comes back in any text.
SHORTEST = 6
# A sentence that does not end is none.
LONGEST = 2_048
# A loop has so many letters in so many sentences that have come at least twice before,
THRICE = 600
SENTENCES = 10
# and for every three letters that come again one of others at the most.
OTHERS = 1
FEW = 32
# A cycle of so many letters is about as long as the text that is held; a copy may be so many letters off its place.
LONG_HOP, SHIFT = 2_048, 64


@dataclass(slots=True)
class SentenceSearch:
    """The sentences that have come, and the stretch of them that mostly says again what was said before.

    seen      the checksums
    goes_on   half of the last sentences or more have come before
    last      for each, the letter at which it came last, and in the lowest bit whether it had come before
    begins    the letter at which the first sentence of the stretch came for the first time
    again     letters of the stretch that have come before
    others    and that have not; the last of these at `other_at`
    thrice    letters that have come at least twice before, with none of the others since
    """

    seen: array[int] = field(default_factory=lambda: array("I", bytes(4 * SLOTS)))
    last: array[int] = field(default_factory=lambda: array("I", bytes(4 * SLOTS)))
    rest: bytes = b""
    letters: int = 0
    goes_on: bool = False
    begins: int = 0
    again: int = 0
    others: int = 0
    other_at: int = 0
    thrice: int = 0
    hops: int = 0
    hops_sum: int = 0
    last_hop: int = 0

    def take(self, sentences: list[bytes], letters: int) -> None:
        """More of the text. The first goes on with the last of those before, and the last may go on.

        letters  of the text before
        """
        sentences[0] = self.rest + sentences[0]
        self.rest = sentences.pop()
        if len(self.rest) > LONGEST:
            sentences.append(self.rest)
            self.rest = b""
        sentences = [sentence for sentence in sentences if len(sentence) >= SHORTEST]
        known, seen, last = 0, self.seen, self.last
        for sentence, checksum in zip(sentences, map(crc32, sentences), strict=True):
            slot = checksum & MASK
            if seen[slot] == checksum:
                known += 1
                self._comes_again(slot, len(sentence), letters)
            else:
                seen[slot] = checksum
                last[slot] = 2 * letters
                self.other_at = letters
                if self.again:
                    self._is_other(len(sentence))
            letters += len(sentence)
        self.letters = letters
        if sentences:
            self.goes_on = 2 * known >= len(sentences)

    @property
    def is_loop(self) -> bool:
        return self.thrice >= THRICE and self.hops >= SENTENCES and self.again >= self.period

    @property
    def period(self) -> int:
        """The mean way back from a sentence of the stretch to its last copy, in letters."""
        return self.hops_sum // self.hops

    def _comes_again(self, slot: int, size: int, letter: int) -> None:
        came_at, had_come = divmod(self.last[slot], 2)
        self.last[slot] = 2 * letter + 1
        if not self.again:
            self.begins = came_at
        self.again += size
        hop = letter - came_at
        if had_come and (came_at >= self.other_at or self._is_in_order(hop)):
            self.thrice += size
            self.hops += 1
            self.hops_sum += hop
        self.last_hop = hop

    def _is_in_order(self, hop: int) -> bool:
        """One of a long cycle. Some sentence of it may have lost its place in the table."""
        return hop > LONG_HOP and abs(hop - self.last_hop) <= SHIFT

    def _is_other(self, size: int) -> None:
        self.others += size
        if self.others > FEW and OTHERS * self.others > self.again:
            self.forget()

    def forget(self) -> None:
        """The stretch is no loop."""
        self.again = self.others = self.thrice = self.hops = self.hops_sum = 0
        self.goes_on = False
