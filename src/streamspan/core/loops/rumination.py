"""Text that goes on without saying anything new, in other words or in another order: rumination.

It is softer than a loop. Of three words in a row it is asked whether they have come within the last WITHIN words; in
text that thinks in circles nearly all of them have. Scripts without blanks between words are asked for SIGNS signs in a
row. Only a checksum of each is kept, in a table of fixed size, and only those are asked for whose first word ends
with one of some letters, or whose first sign is one of some: every copy of the same words is asked for the same ones.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import NamedTuple
from zlib import crc32

from .prose import is_prose

# In words, or in signs of a script without blanks. The innocent texts that come nearest, answers to a list of questions
# from one template, have a share of 0.9.
PART = 640  # chars that are read at once
WITHIN = 1_500
AT_LEAST = 400
SHARE = 0.92
SIGNS = 18  # in bytes of UTF-8: six signs
SIGNS_OF_A_WORD = 2

# The first word ends with one of these letters of ASCII: f n r, which is one word in five of English; or of the like.
_LAST_LETTER = 2
_SLOTS = 2_048
_MASK = _SLOTS - 1
# Words are counted up to here, and then from 0 again.
_WRAP = 0xFFFF
_LOWER = bytes(byte if chr(byte).isalpha() or byte >= 0x80 else 32 for byte in bytes(range(256)).lower())  # noqa: PLR2004 - not ASCII
# Bytes after which a script without blanks is cut: they are common in Thai, and one byte in 32 in Chinese.
_CUTS = (b"\x99", b"\xa3")


class Part(NamedTuple):
    """What was read at once.

    start   the char with which it begins, and `at` the time when that came
    words   in it
    asked   of how many words in a row it was asked whether they had come
    said    how many of these had
    """

    start: int
    at: float
    words: int
    asked: int
    said: int


class Circling(NamedTuple):
    """Where rumination was seen: from which char on, since when, and the share of what had been said before."""

    start: int
    at: float
    chars: int
    share: float


class RuminationSearch:
    """Reads one channel of a stream in parts of equal size, however it was cut into deltas."""

    __slots__ = ("_at", "_count", "_last", "_length", "_parts", "_pieces", "_read_to", "_rest", "_seen")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._read_to = 0
        self._at: float | None = None  # when the part that is being collected began
        self._rest = b""
        self._seen = array("I", bytes(4 * _SLOTS))  # checksums
        self._last = array("H", bytes(2 * _SLOTS))  # for each, the word at which it came last
        self._count = WITHIN + 1  # words so far; an empty place of the table is too far back
        self._parts: deque[Part] = deque()

    def feed(self, text: str, at: float) -> Circling | None:
        """Text that came at `at`. The rumination, at the text that makes it one."""
        if self._at is None:
            self._at = at
        self._pieces.append(text)
        self._length += len(text)
        if self._length - self._read_to < PART:
            return None
        text = "".join(self._pieces)
        found = None
        for start in range(0, len(text) - PART + 1, PART):
            self._read(text[start : start + PART], self._at)
            self._read_to += PART
            found = found or self._found()
            self._at = at
        self._pieces = [text[len(text) - (self._length - self._read_to) :]]
        return found

    def _read(self, text: str, at: float) -> None:
        if not is_prose(text):
            self._parts.clear()
            return
        is_in_words = 12 * text.count(" ") > len(text)
        lower = text.lower() if is_in_words and not text.isascii() else text
        signs = self._rest + lower.encode("utf-8", "replace").translate(_LOWER)
        if is_in_words:
            words = signs.split()
            # The last may go on, and two before it stand in a row with those that follow.
            self._rest = b" ".join(words[-3:])
            in_a_row = range(len(words) - 3)
            keys = [b" ".join(words[at : at + 3]) for at in in_a_row if words[at][-1] & 3 == _LAST_LETTER]
            count = len(words)
        else:
            self._rest = b""
            keys = [signs[:SIGNS] for signs in _split(signs) if len(signs) >= SIGNS]
            count = len(text) // SIGNS_OF_A_WORD
        said = self._ask(keys, count // (len(keys) or 1))
        self._count += count
        self._parts.append(Part(self._read_to, at, count, len(keys), said))

    def _ask(self, keys: list[bytes], each: int) -> int:
        """How many of them have come."""
        said, now, seen, last = 0, self._count & _WRAP, self._seen, self._last
        for checksum in map(crc32, keys):
            slot = checksum & _MASK
            if seen[slot] == checksum:
                said += (now - last[slot]) & _WRAP <= WITHIN
            else:
                seen[slot] = checksum
            last[slot] = now
            now = (now + each) & _WRAP
        return said

    def _found(self) -> Circling | None:
        parts = self._parts
        words = sum(part.words for part in parts)
        while parts and words - parts[0].words >= AT_LEAST:
            words -= parts.popleft().words
        if words < AT_LEAST:
            return None
        share = sum(part.said for part in parts) / (sum(part.asked for part in parts) or 1)
        start, at = parts[0][:2]
        return Circling(start, at, self._read_to - start, share) if share >= SHARE else None


def _split(signs: bytes) -> list[bytes]:
    """Cut by their own bytes, so that copies of the same words are cut alike."""
    first, second = _CUTS
    return signs.replace(first, second).split(second)
