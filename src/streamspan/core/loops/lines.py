"""Lines that are equal but for their indentation and for numbers that count; the terms are those of `detector.py`.

A row of a table, an entry or a statement need not be prose to be a loop: where the next line can be told from the two
before it, again and again, nobody meant it.
"""

from __future__ import annotations

import re

from .exact import WINDOW

# So many lines are a loop. Short lists count on purpose.
LINES = 24
# So many are read, which takes 0.1 ms.
LINES_AT_MOST = 60
# A line has so many letters; others have next to nothing to say.
LETTERS = 10
LONGEST = 400
# The last chars of two lines that are worth a closer look.
TAIL = 6

_NUMBERS = re.compile(r"(\d+)")
_CODE_OR_DATA = re.compile(r"[_;={}()<>]|,\S")


class LineSearch:
    """Remembers nothing: the last lines of the text show whether it is there."""

    __slots__ = ()

    def look(self, text: str, base: int, at: int) -> tuple[int, int] | None:
        """Start and period of the lines that reach `at`."""
        end = at - base
        if (pair := _last_pair(text, end)) is None:
            return None
        line_break, before, last = pair
        if not _is_worth_it(text[before + len(line_break) : last]):
            return None
        lines = text[max(end - WINDOW, 0) : last].rsplit(line_break, LINES_AT_MOST)[1:]
        count = _counting_lines(lines)
        if count < LINES:
            return None
        chars = sum(map(len, lines[-count:])) + (count - 1) * len(line_break)
        return base + last - chars, round((chars + len(line_break)) / count)

    def loop_end(self, text: str, base: int, at: int, loop_end: int) -> int:
        return at if _last_pair(text, at - base) else loop_end


def _last_pair(text: str, end: int) -> tuple[str, int, int] | None:
    """The line break, and where the last two whole lines end, if they end alike."""
    low = max(end - LONGEST, 0)
    line_break = "\n"
    last = text.rfind(line_break, low, end)
    if last < 0:
        line_break = "\\n"  # within the JSON of a tool's input
        last = text.rfind(line_break, low, end)
    before = text.rfind(line_break, max(last - LONGEST, 0), last) if last > TAIL else -1
    is_alike = before >= TAIL and text[last - TAIL : last] == text[before - TAIL : before]
    return (line_break, before, last) if is_alike else None


def _is_worth_it(line: str) -> bool:
    """It says something, and is no code or data that counts: that is a list of registers, pins, colours or records."""
    if sum(map(str.isalpha, line)) < LETTERS:
        return False
    return not _NUMBERS.search(line) or not _CODE_OR_DATA.search(line)


def _counting_lines(lines: list[str]) -> int:
    """How many of the last lines have the same words, and numbers that stay or that grow by the same step."""
    words, newer = _words_and_numbers(lines[-1])
    steps: list[int] | None = None
    count = 1
    for line in reversed(lines[:-1]):
        if len(line) > LONGEST:  # which also keeps the numbers short enough to be read
            break
        older_words, numbers = _words_and_numbers(line)
        if older_words != words:
            break
        grown = [new - old for new, old in zip(newer, numbers, strict=True)]
        if steps is not None and grown != steps:
            break
        newer, steps = numbers, grown
        count += 1
    return count


def _words_and_numbers(line: str) -> tuple[list[str], list[int]]:
    parts = _NUMBERS.split(line)
    return list(map(str.strip, parts[::2])), list(map(int, parts[1::2]))
