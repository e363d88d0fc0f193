"""Whether a text is prose, by its signs alone.

Code, data and logs are made of the same words on purpose.
"""

from __future__ import annotations

import re

# A few lines that are indented are a quotation.
MARGIN = 2

_CODE = b"{}[]<>|=&\\/#*()\"'`_;@$%+~^"
_DIGITS = b"0123456789"
_CODE_OR_ROW = (" ", "\t", "|")
# Ends of sentences, of other scripts, and numbered lists. One pattern for all three takes ten times as long.
_SENTENCES = (
    re.compile(r"""[.!?\u2026](?<=[\w)\]"'*`].)[.)\]"'*]*(?:\s|\\n)"""),
    re.compile(r"[\u3002\uff01\uff1f\u0964\u061f\u06d4]"),
    re.compile(r"\n\W*\d+[.):\u3001]?\s*[^\W\d_]"),
)
# A row of a table opens with its key.
_KEY = re.compile(r"\W?[\w-]*\d[\w-]*[,;|\t]")


def is_prose(text: str) -> bool:
    """It has sentences or a numbered list, and blanks."""
    return (
        not is_code(text)
        and (text.count(" ") >= 0.08 * len(text) or not text.isascii())
        and any(pattern.search(text) for pattern in _SENTENCES)
    )


def is_code(text: str) -> bool:
    """Code or data: many digits, much punctuation of code, indented lines, or rows."""
    signs = text.encode("utf-8", "replace")
    if len(signs) - len(signs.translate(None, _CODE)) > 0.14 * len(text):
        return True
    if len(signs) - len(signs.translate(None, _DIGITS)) > 0.12 * len(text):
        return True
    lines = text.split("\n")
    if sum(line.startswith(_CODE_OR_ROW) for line in lines[1:]) > MARGIN:
        return True
    return 2 * sum(_KEY.match(line) is not None for line in lines) >= len(lines)
