"""What a unit says, and how long a run of it must be to be a loop; the terms are those of `detector.py`.

The less a unit says, the more often it comes back in texts that are meant.
"""

# ruff: noqa: PLR0911, PLR2004 - `chars_needed` is a table, case by case, and each number stands beside its reason
from __future__ import annotations

import re

# No run is a loop before this, so its unit is not weighed before this either.
SHORTEST_LOOP = 120
# To read more of a unit would take too long.
LONG_UNIT = 800
# So much of another cycle of prose shows that it has begun.
BEGUN = 12
# As many chars tell what a text is made of.
SAMPLE = 240

_MARKUP = "{}[]<>|=&\\/#*()\"'`"
_DATA = " \t\r\n,;:.\\\"'()[]{}0123456789abcdefABCDEFx"
_BLOB = re.compile(r"[A-Za-z0-9+/]{24,}")
_BLOB_UNIT = re.compile(r"[A-Za-z0-9+/=]+")
# Five words in a row are part of a sentence, also in a comment, a message or a cell.
_CLAUSE = re.compile(r"\b[^\W\d_]+(?: [^\W\d_]+){4}")
_WORD = re.compile(r"[^\W\d_]{2,}")
# Nobody defines a thing twice.
_DEFINITION = re.compile(r"\b(?:class|def|fn|func|function|interface|struct|sub)\s+\w")
# An element with something in it, and a line that opens a block.
_FILLED = re.compile(r">\s*[^\s<]")
_OPENS = re.compile(r"[:{(]\s*\n")
_PAIRS = ("()", "[]", "{}")


def chars_needed(unit: str, before: str) -> int:
    """How long a run of `unit` must be to be a loop; `before` is the text in front of the run."""
    period = len(unit)
    sample = unit[:: 1 + period // SAMPLE]
    letters = sum(map(str.isalpha, sample)) or sum(map(_is_pictograph, sample))
    digits = sum(map(str.isdigit, sample))
    markup = sum(map(sample.count, _MARKUP))
    # Zeros in binary data that is written as base64.
    if _BLOB_UNIT.fullmatch(sample) and ("base64," in before or is_blob(before[-24:]) or is_blob(before)):
        return max(8_000, 4 * period)
    # Rules, leaders, blanks; in a table a cell may be as wide as the longest text in its column.
    if letters == digits == 0 and period < 32:
        return 1_200 if unit in " -" and "|" in before else 400
    # Numbers and bytes: in columns they come back row by row.
    if not letters or (period > 1 and not sample.strip(_DATA)):
        return 400 if period < 12 else _rows(unit)
    # Short values in a wide layout, one to a line.
    if letters < 12 <= period and 4 * letters < len(sample):
        return _rows(unit)
    # Nulls: in a row, and in rows.
    if "," in sample and len("".join(sample.split())) < 12:
        return 400
    if period >= 24 and len(set(sample)) < 12:
        return _rows(unit)
    if period < LONG_UNIT and (copies := _meant_copies(unit)):
        return copies * period + BEGUN
    # Lines of a log within the same second.
    if 8 * digits > len(sample) and period >= 12:
        return max(400, 7 * period)
    # Words and half sentences: a song has four or five of them, a list of names and values more.
    if period < 60:
        return max(220 if markup or "," in sample else 156, period * 9 // 2)
    # Three cycles, and a fourth that has begun: code and data have three of a kind before something else.
    return 3 * period + (64 if markup * 25 > len(sample) else BEGUN)


def _rows(unit: str) -> int:
    """A table may have a page of equal values, however much room their layout takes."""
    return len(unit) * max(16, -(-600 // len("".join(unit.split()))))


def _meant_copies(unit: str) -> int:
    """Of code and markup that is written out again and again on purpose; 0: this is none of it.

    Such code is well-formed, stands on lines of its own and says little: the squares of a board, equal rows to
    insert, unrolled statements, the frames of a recursion.
    """
    if "\\n" in unit + unit[:1]:  # within the JSON of a tool's input
        unit = (unit[-1] + unit[:-1] if unit[-1] == "\\" else unit).replace("\\n", "\n").replace("\\t", "\t")
    lines = unit.count("\n")
    if not lines or not _is_well_formed(unit):
        return 0
    begin = unit.find("\n") + 1  # of a line
    unit = unit[begin:] + unit[:begin]
    twice = unit + unit
    solid = " ".join(unit.split())  # an indentation says nothing
    is_code = sum(map(solid.count, _MARKUP)) * 25 > len(solid) or "\n  " in twice or "\n\t" in twice
    if not is_code or (lines == 1 and _OPENS.search(twice)) or _CLAUSE.search(twice) or _DEFINITION.search(twice):
        return 0
    if len(set(_WORD.findall(unit))) >= 16:
        return 0
    is_empty = ("</" in unit or "/>" in unit) and not _FILLED.search(twice)
    # A board has up to a hundred squares, and a pause as many steps.
    if lines == 1 and (is_empty or len(solid) < 16):
        return 100
    return max(10 if len(solid) < 80 else 6, -(-(3_000 if is_empty else 500) // len(solid)))


def _is_well_formed(unit: str) -> bool:
    """Its brackets and quotes come in pairs, and no element is closed that was not opened."""
    return (
        all(unit.count(left) == unit.count(right) for left, right in _PAIRS)
        and unit.count('"') % 2 == 0 == unit.count("`") % 2
        and 2 * (unit + unit[:1]).count("</") <= unit.count("<")
    )


def _is_pictograph(char: str) -> bool:
    return "\u2600" <= char <= "\u27bf" or char >= "\U0001f000"


def is_blob(text: str) -> bool:
    """Base64 and the like: digits, or letters of both cases or many of upper-case, and nothing between them."""
    if not _BLOB.fullmatch(text) or text.islower():
        return False
    return not text.isupper() or any(map(str.isdigit, text)) or len(set(text)) >= 10
