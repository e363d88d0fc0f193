"""Finds the same tool call again and again within one stream: name and input are equal.

Of a call only a checksum and the length of its input are kept, and of the last 32 different calls only.
"""

import zlib
from dataclasses import dataclass

from streamspan.core.model import Loop

CALLS = 5
"""Equal calls that are a loop."""
CALLS_WITHOUT_INPUT = 10
"""Equal calls that are a loop where the input says nothing: such a call may ask how far something has come."""

_EMPTY = 2  # chars of `{}`
_KINDS_AT_MOST = 32


def checksum_of(text: str, before: int = 0) -> int:
    """Of `text` after that whose checksum is `before`. A lone surrogate is text, too."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"), before)


@dataclass(slots=True)
class _EqualCalls:
    """start     chars of tool input before the first
    start_at  when the first began.
    """

    start: int
    start_at: float
    count: int = 0


class ToolCallLoop:
    """Counts equal calls until there is a loop, and then those of that loop."""

    __slots__ = ("_chars", "_end_at", "_is_last", "_kinds", "_looping")

    def __init__(self) -> None:
        self._kinds: dict[int, _EqualCalls] = {}  # the one that came last is the last
        self._looping: int | None = None
        self._chars = 0
        self._end_at = 0.0
        self._is_last = False

    def add(self, chars: int, checksum: int, start: int, start_at: float, end_at: float) -> Loop | None:  # a call
        """A call that has come whole. The loop, at the call that makes it one.

        chars     of its input
        checksum  of its name and its input
        start     chars of tool input in the stream before this call's
        """
        kind = chars << 32 | checksum
        self._is_last = kind == self._looping
        if self._looping is not None and not self._is_last:
            return None
        calls = self._kinds.pop(kind, None) or _EqualCalls(start, start_at)
        self._kinds[kind] = calls
        calls.count += 1
        self._end_at = end_at
        if len(self._kinds) > _KINDS_AT_MOST:
            del self._kinds[next(iter(self._kinds))]
        if self._looping is not None or calls.count < (CALLS if chars > _EMPTY else CALLS_WITHOUT_INPUT):
            return None
        self._looping, self._chars, self._is_last = kind, chars, True
        self._kinds = {kind: calls}
        return self.loop

    @property
    def loop(self) -> Loop | None:
        """The loop as of now; None where there is none."""
        if self._looping is None:
            return None
        calls = self._kinds[self._looping]
        return Loop(
            channel="tool_input",
            kind="tool_call",
            start=calls.start,
            period=self._chars,
            count=calls.count,
            chars=calls.count * self._chars,
            time=self._end_at - calls.start_at,
            recovered=not self._is_last,
        )
