"""A content block while it is open: what its deltas add up to.

Deltas that come together are put aside and taken together, because what one costs is paid for each delta of a stream.
"""

from array import array

from .captured import Text
from .loops.detector import Repetition, RepetitionDetector
from .model import ContentBlock, DeltaKind, Loop, ToolCall
from .tool_input import ToolInput, Verdict

_FOLLOWED_EVERY = 160  # chars
_MARKS = 96  # of 16 bytes each; as many as the detector's window has looks


class LoopWatch:
    """Looks for a loop in what a block has of one channel, and follows the first."""

    __slots__ = (
        "_before",
        "_began_at",
        "_channel",
        "_chars",
        "_detector",
        "_follow_from",
        "_loop_chars",
        "_marks",
        "_until",
    )

    def __init__(self, channel: DeltaKind, chars_before: int, *, drift: bool) -> None:
        self._channel: DeltaKind = channel
        self._before = chars_before
        self._detector = RepetitionDetector(drift=drift)
        self._chars = 0
        self._marks = array("d")  # by turns: chars, and when they had come
        self._began_at: float | None = None
        self._until = 0.0
        self._loop_chars = 0
        self._follow_from = 0

    def feed(self, text: str, at: float) -> Loop | None:
        """The loop, at the text that makes it one."""
        self._chars += len(text)
        found = self._detector.feed(text)
        if self._began_at is not None:
            if self._chars >= self._follow_from:
                self._follow(at)
            return None
        self._marks.extend((self._chars, at))
        del self._marks[: -2 * _MARKS]
        return None if found is None else self._found(found, at)

    def finish(self, at: float) -> Loop | None:
        """The loop, if only the last chars make it one."""
        if self._began_at is not None:
            self._follow(at)
            return None
        found = self._detector.finish()
        return None if found is None else self._found(found, at)

    @property
    def loop(self) -> Loop | None:
        """The loop as of now. None: there is none."""
        repetition = self._detector.repetition
        return None if repetition is None else self._as_of_now(repetition)

    def _found(self, repetition: Repetition, at: float) -> Loop:
        marks = zip(self._marks[::2], self._marks[1::2], strict=True)
        self._began_at = next((came_at for chars, came_at in marks if chars > repetition.start), at)
        del self._marks[:]
        self._until = at
        self._loop_chars = repetition.chars
        return self._as_of_now(repetition)

    def _follow(self, at: float) -> None:
        self._follow_from = self._chars + _FOLLOWED_EVERY
        repetition = self._detector.repetition
        if repetition is not None and repetition.chars > self._loop_chars:
            self._loop_chars = repetition.chars
            self._until = at

    def _as_of_now(self, repetition: Repetition) -> Loop:
        return Loop(
            channel=self._channel,
            kind=repetition.kind,
            start=self._before + repetition.start,
            period=repetition.period,
            count=repetition.count,
            chars=repetition.chars,
            time=self._until - (self._began_at or self._until),
            recovered=self._detector.recovered,
        )


class OpenBlock:
    """What the block consists of so far.

    captured  where its content goes; None: nowhere
    pieces   deltas that were put aside; the hot path appends to it
    kind     that of the last delta, None before the first
    chars    and `chunk_count`: without the pieces
    verdict  on a tool call's input, once the block is closed
    """

    __slots__ = (
        "_kind_from",
        "_started_at",
        "_tool_id",
        "_tool_input",
        "_tool_name",
        "_watch",
        "captured",
        "chars",
        "chunk_count",
        "index",
        "kind",
        "pieces",
        "type",
        "verdict",
    )

    def __init__(
        self, index: int, type_: str, started_at: float, tool_name: str | None = None, tool_id: str | None = None
    ) -> None:
        self.index = index
        self.type = type_
        self.kind: DeltaKind | None = None
        self.captured: Text | None = None
        self.pieces: list[str] = []
        self.chars = 0
        self.chunk_count = 0
        self._kind_from = 0
        self._started_at = started_at
        self._tool_name = tool_name
        self._tool_id = tool_id
        self._tool_input = ToolInput() if type_.endswith("tool_use") else None
        self._watch: LoopWatch | None = None
        self.verdict: Verdict = "unfinished"

    @property
    def is_tool_call(self) -> bool:
        return self._tool_input is not None

    def begin(self, kind: DeltaKind, watch: LoopWatch | None) -> None:
        """What follows is of this kind. Everything before has been taken."""
        self.kind = kind
        self._kind_from = self.chars
        self._watch = watch

    @property
    def is_watched(self) -> bool:
        return self._watch is not None

    @property
    def chars_of_kind(self) -> int:
        """Of the kind of its last delta, since that began."""
        return self.chars - self._kind_from

    def so_far(self) -> tuple[int, int]:
        """Its chunks, and its chars of the last kind, with those put aside. May be asked from any thread."""
        pieces, chunk_count, chars, kind_from = [*self.pieces], self.chunk_count, self.chars, self._kind_from
        pieces, text = _joined(pieces)
        return chunk_count + len(pieces), chars - kind_from + len(text)

    def take(self, at: float) -> Loop | None:
        """Take the pieces; the last came at `at`. The loop, if they make one."""
        pieces, text = _joined(self.pieces)
        chunk_count, chars = self.chunk_count + len(pieces), self.chars + len(text)
        # No call from here to the last, so that no other thread runs in between and counts them twice or not at all.
        del self.pieces[:]
        self.chunk_count, self.chars = chunk_count, chars
        if self.captured is not None:
            self.captured.add(text)
        if self._tool_input is not None:
            self._tool_input.feed(text)
        if self._watch is None:
            return None
        return self._watch.feed(text, at)

    def finish_watch(self, at: float) -> tuple[Loop | None, Loop | None]:
        """Everything has been taken. The loop, if only the last chars make one; and the loop as it ended."""
        if self._watch is None:
            return None, None
        return self._watch.finish(at), self._watch.loop

    def closed(self, at: float, stream_started_at: float, *, complete: bool) -> ContentBlock:
        """Everything has been taken."""
        return ContentBlock(
            index=self.index,
            type=self.type,
            start=self._started_at - stream_started_at,
            duration=at - self._started_at,
            chars=self.chars,
            chunk_count=self.chunk_count,
            complete=complete,
            tool_call=None if self._tool_input is None else self._tool_call(self._tool_input, complete),
        )

    def _tool_call(self, tool_input: ToolInput, stopped: bool) -> ToolCall:
        self.verdict = tool_input.verdict()
        valid = self.verdict == "complete"
        return ToolCall(
            name=self._tool_name,
            id=self._tool_id,
            type=self.type,
            input_chars=tool_input.chars,
            complete=stopped and valid,
            valid_json=valid,
        )


def _joined(pieces: list[str]) -> tuple[list[str], str]:
    """Those that are text, and their text: to look at each as it comes would cost more than all else."""
    try:
        return pieces, "".join(pieces)
    except TypeError:
        texts = [piece for piece in pieces if isinstance(piece, str)]  # pyright: ignore[reportUnnecessaryIsInstance]  # as sent
        return texts, "".join(texts)
