"""Whether the input of a tool call, which arrives as pieces of JSON text, is one whole JSON value.

Judged from the text itself (RFC 8259), because the SDK repairs some broken inputs without a word and raises for
others. Nothing is parsed into objects and nothing is kept: the text is scanned in pieces of about 4 Ki chars, so the
memory held does not depend on how long the input is.

Terms
    complete     one JSON value, or no text at all, which stands for an empty input
    unfinished   the start of a JSON value: the text was cut
    invalid      no text that follows could make it JSON
"""

import re
from typing import Literal

Verdict = Literal["complete", "unfinished", "invalid"]
_Expected = Literal["value", "value or ]", "key", "key or }", ":", "next", "end"]

_SCAN_CHARS = 4096
_PIECES_AT_MOST = 256  # a piece of one char takes 50 bytes and more
_TOKEN_AT_MOST = 4096  # chars of a number; a longer one is no number that anybody reads
_DEPTH_AT_MOST = 1000  # the SDK's own parser gives up at 200
_MATCH_AT_MOST = 256  # chars of a string at once: each escape in a match costs 100 bytes while it lasts

_STRING_REST = re.compile(r'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*')
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_BLANK = re.compile(r"[ \t\n\r]*")
_BARE = re.compile(r"[-+.0-9A-Za-z]+")
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_CUT_SCALAR = re.compile(r"-|-?(?:0|[1-9][0-9]*)(?:\.[0-9]*|(?:\.[0-9]+)?[eE][+-]?)|t|tru?|f|fa|fals?|n|nul?")
# Runs of items and members, each with its comma, at the speed of the matcher: token by token a char costs 1 us.
_STRING = r'"[^"\\\x00-\x1f]*"'
_FLAT = rf"[ \t\n\r]*(?:{_SCALAR.pattern}|{_STRING})[ \t\n\r]*"
_MEMBER = rf"[ \t\n\r]*{_STRING}[ \t\n\r]*:{_FLAT}"
_VALUE = rf"(?:{_FLAT}|[ \t\n\r]*(?:\{{{_MEMBER}(?:,{_MEMBER})*\}}|\[{_FLAT}(?:,{_FLAT})*\])[ \t\n\r]*)"
_ITEMS = re.compile(rf"(?:{_VALUE},)*")
_MEMBERS = re.compile(rf"(?:[ \t\n\r]*{_STRING}[ \t\n\r]*:{_VALUE},)*")


class ToolInput:
    """Scans one tool call's input as it arrives. `is_plain`: it is text of any kind, which needs no judgement."""

    __slots__ = (
        "_after_string",
        "_expected",
        "_in_string",
        "_invalid",
        "_is_plain",
        "_pieces",
        "_stack",
        "_waiting_chars",
        "chars",
    )

    def __init__(self, *, is_plain: bool = False) -> None:
        self.chars = 0
        self._is_plain = is_plain
        self._pieces: list[str] = []
        self._waiting_chars = 0
        self._stack: list[str] = []
        self._expected: _Expected = "value"
        self._in_string = False
        self._after_string: _Expected = "next"
        self._invalid = False

    def take_whole(self, text: str) -> None:
        """Take JSON that somebody has parsed and written anew, which needs no judgement."""
        self.chars = len(text)
        self._expected = "end"

    def feed(self, text: str) -> None:
        if not text:
            return
        self.chars += len(text)
        if self._is_plain:
            return
        self._pieces.append(text)
        self._waiting_chars += len(text)
        if self._waiting_chars >= _SCAN_CHARS or len(self._pieces) >= _PIECES_AT_MOST:
            self._scan(final=False)

    @property
    def is_whole(self) -> bool:
        """Whether one JSON value has come so far. An empty input may yet begin."""
        if self._waiting_chars:
            self._scan(final=False)
        return self._expected == "end" and not self._in_string and not self._invalid

    def verdict(self) -> Verdict:
        """The verdict on everything fed. Nothing may be fed after it."""
        if self._waiting_chars:
            self._scan(final=True)
        if self._invalid:
            return "invalid"
        if self.chars == 0 or self._is_plain or (self._expected == "end" and not self._in_string):
            return "complete"
        return "unfinished"

    def _scan(self, *, final: bool) -> None:
        """Read what waits; what might be the start of a longer token waits on."""
        text = "".join(self._pieces)
        position = 0
        while position < len(text) and not self._invalid:
            if not self._in_string:
                position = _matched_to(_BLANK, text, self._flat_run_end(text, position))
                if position == len(text):
                    break
            read_to = self._string_end(text, position) if self._in_string else self._token_end(text, position, final)
            if read_to is None:
                break
            position = read_to
        rest = "" if self._invalid else text[position:]
        self._pieces = [rest]
        self._waiting_chars = len(rest)

    def _flat_run_end(self, text: str, position: int) -> int:
        """Read whole items or members with their commas; `position` where there are none."""
        in_array = self._expected in {"value", "value or ]"} and self._stack[-1:] == ["["]
        if not in_array and self._expected not in {"key", "key or }"}:
            return position
        end = _matched_to(_ITEMS if in_array else _MEMBERS, text, position, position + _MATCH_AT_MOST)
        if end > position:
            self._expected = "value" if in_array else "key"
        return end

    def _string_end(self, text: str, position: int) -> int | None:
        """Read on in a string. None: an escape is cut at the end of the text."""
        position = _matched_to(_STRING_REST, text, position, position + _MATCH_AT_MOST)
        if position == len(text):
            return position
        if text[position] == '"':
            self._in_string = False
            self._expected = self._after_string
            return position + 1
        if text[position] != "\\":  # a control character, or no more than the end of this match
            self._invalid = text[position] < " "
            return position
        if _CUT_ESCAPE.fullmatch(text, position):
            return None
        self._invalid = _ESCAPE.match(text, position) is None
        return position if self._invalid else _matched_to(_ESCAPE, text, position)

    def _token_end(self, text: str, position: int, final: bool) -> int | None:
        """Read one token. None: it may go on after the end of the text."""
        bare = _BARE.match(text, position)
        if bare is None:
            self._invalid = not self._punctuation(text[position])
            return position + 1
        cut = bare.end() == len(text)
        if self._expected not in {"value", "value or ]"} or bare.end() - position >= _TOKEN_AT_MOST:
            self._invalid = True
        elif cut and not final:
            return None
        elif _SCALAR.fullmatch(bare.group()):
            self._expected = self._after_value()
        else:
            self._invalid = not (cut and _CUT_SCALAR.fullmatch(bare.group()))
        return bare.end()

    def _punctuation(self, char: str) -> bool:
        """Take one char of the grammar. False: it cannot stand here."""
        expected = self._expected
        at_value = expected in {"value", "value or ]"}
        if char == '"' and (at_value or expected in {"key", "key or }"}):
            self._after_string = self._after_value() if at_value else ":"
            self._in_string = True
        elif char in "{[" and at_value and len(self._stack) < _DEPTH_AT_MOST:
            self._stack.append(char)
            self._expected = "key or }" if char == "{" else "value or ]"
        elif (char == "}" and self._closes("{", "key or }")) or (char == "]" and self._closes("[", "value or ]")):
            self._stack.pop()
            self._expected = self._after_value()
        elif char == "," and expected == "next":
            self._expected = "key" if self._stack[-1] == "{" else "value"
        elif char == ":" and expected == ":":
            self._expected = "value"
        else:
            return False
        return True

    def _closes(self, opening: str, empty: _Expected) -> bool:
        return self._expected in {"next", empty} and self._stack[-1:] == [opening]

    def _after_value(self) -> _Expected:
        return "next" if self._stack else "end"


def _matched_to(pattern: re.Pattern[str], text: str, position: int, end: int | None = None) -> int:
    """Where a match of `pattern` at `position` ends, which is before `end`; `position` if there is none."""
    match = pattern.match(text, position, len(text) if end is None else end)
    return position if match is None else match.end()
