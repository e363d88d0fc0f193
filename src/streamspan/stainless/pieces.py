"""Content blocks for an API that has none, made of the pieces that its events bring.

    answer  a stream may have several at once, each with blocks of its own
    piece   what one event brings to one block

A block consists of pieces of one type that follow each other, or of one tool call. It ends when another block of its
answer begins, or with its answer. A tool call whose input is not whole stays open meanwhile: some servers send several
calls side by side. The stream has its stop reason once each answer that has begun has one.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from streamspan import semconv
from streamspan.core.model import BlockKind, BlockStart, Fact, Report
from streamspan.core.stream import CHANNELS, StreamState

_ANSWERS_AT_MOST = 128
_CALLS_AT_MOST = 64  # that are open in one answer, and that are known of it
_SIZE_AT_MOST = 2**40


class Piece(NamedTuple):
    """What one event brings to one block, which begins with it unless it is open.

    text      empty: it only shows that the block is there
    field     where the text was found, if the next event may have more of it there; empty: it may not
    name      of a tool
    id        of a tool call
    number    of a tool call, where the server numbers them
    is_plain  the input of the tool call is no JSON
    size      of media, in bytes
    """

    type: str
    kind: BlockKind
    text: str
    field: str = ""
    name: str | None = None
    id: str | None = None
    number: int | None = None
    is_plain: bool = False
    size: int = 0


class Brought(NamedTuple):
    """What one event brings to one answer. An empty stop reason is none."""

    answer: int
    pieces: Sequence[Piece]
    stop_reason: str | None


class _Answer:
    """One answer.

    calls  its tool calls, by what tells them apart: the index of the block, and the id
    last   the tool call that began last
    open   the indexes of the blocks that are open, by their type, or as in `calls`
    """

    __slots__ = ("calls", "last", "open", "stop_reason")

    def __init__(self) -> None:
        self.calls: dict[object, tuple[int, str | None]] = {}
        self.last: object = None
        self.open: dict[object, int] = {}
        self.stop_reason: str | None = None

    def key_of(self, piece: Piece) -> object:
        """What tells the block of this piece apart. Not every server numbers the calls, or names them."""
        if piece.kind != "tool_call":
            return piece.type
        if piece.number is None and piece.id is None:
            return self.last if piece.name is None else (len(self.calls),)
        return piece.id if piece.number is None else piece.number

    def begins(self, piece: Piece) -> bool:
        """Whether a block begins with this piece. A call of the same number with another id and a name is another."""
        key = self.key_of(piece)
        if piece.kind != "tool_call":
            return key not in self.open
        _, call_id = self.calls.get(key, (None, None))
        is_another = None not in {piece.name, piece.id, call_id} and piece.id != call_id
        return is_another or key not in self.calls

    def close(self, at: float, state: StreamState, kept: Collection[object] = ()) -> tuple[Fact, ...]:
        facts: tuple[Fact, ...] = ()
        for key in [key for key in self.open if key not in kept]:
            facts += state.block_stopped(self.open.pop(key), at)
        return facts

    def unfinished_calls(self, state: StreamState) -> list[object]:
        return [key for key, index in self.open.items() if key in self.calls and not state.has_whole_input(index)]


class Answers:
    """The answers of one stream.

    cutting     stop reasons that mean that a limit stopped the model
    attributes  what is told of them
    """

    __slots__ = ("_answers", "_block_count", "_cutting", "attributes")

    def __init__(self, cutting: frozenset[str]) -> None:
        self.attributes: dict[str, Any] = {}
        self._answers: dict[int, _Answer] = {}
        self._block_count = 0
        self._cutting = cutting

    @property
    def have_stopped(self) -> bool:
        """There is one, and all have their stop reasons."""
        return bool(self._answers) and all(answer.stop_reason for answer in self._answers.values())

    def take(
        self, brought: Sequence[Brought], gap: float, at: float, state: StreamState, *, is_news: bool
    ) -> tuple[Report, ...]:
        """Tell `state` of one event. `is_news`: it tells something else, too; otherwise it may be a keep-alive."""
        begun_before = len(self._answers)
        parts = [(self._answer(part.answer, state), part) for part in brought]
        is_news = any([is_news, len(self._answers) > begun_before, *(self._has_news(*pair) for pair in parts)])
        if not is_news and not any(piece.text for part in brought for piece in part.pieces):
            return state.delta("text", None, "", at, gap)
        reports: tuple[Report, ...] = ()
        if is_news:
            reports, gap = state.event(gap, at), 0.0
        for answer, part in parts:
            for piece in part.pieces:
                reports += self._take(answer, piece, gap, at, state)
                gap = 0.0 if piece.text else gap
            if part.stop_reason:
                reports += self._stop(answer, part.stop_reason, at, state)
        return reports

    def _answer(self, index: int, state: StreamState) -> _Answer:
        answer = self._answers.get(index)
        if answer is None:
            if len(self._answers) >= _ANSWERS_AT_MOST:
                return next(iter(self._answers.values()))
            state.stopped(None, cut=False)
            answer = self._answers[index] = _Answer()
        return answer

    def _has_news(self, answer: _Answer, part: Brought) -> bool:
        """Whether there is more than text: the end of the answer, the start of a tool call, media."""
        size = sum(piece.size for piece in part.pieces)
        count_media(self.attributes, size)
        begins = any(piece.kind in {"tool_call", "other"} and answer.begins(piece) for piece in part.pieces)
        return bool(size or begins or part.stop_reason)

    def _take(self, answer: _Answer, piece: Piece, gap: float, at: float, state: StreamState) -> tuple[Report, ...]:
        key = answer.key_of(piece)
        reports = self._begin(answer, key, piece, at, state) if answer.begins(piece) else ()
        index = answer.calls[key][0] if piece.kind == "tool_call" else answer.open[key]
        channel = CHANNELS.get(piece.kind)
        return reports + state.delta(channel, index, piece.text, at, gap) if piece.text and channel else reports

    def _begin(self, answer: _Answer, key: object, piece: Piece, at: float, state: StreamState) -> tuple[Report, ...]:
        kept = [] if len(answer.open) >= _CALLS_AT_MOST else answer.unfinished_calls(state)
        reports: tuple[Report, ...] = answer.close(at, state, [call for call in kept if call != key])
        index = answer.open[key] = self._block_count
        self._block_count += 1
        if piece.kind == "tool_call":
            if len(answer.calls) >= _CALLS_AT_MOST:
                answer.calls.clear()
            answer.calls[key], answer.last = (index, piece.id), key
        start = BlockStart(index, piece.type, piece.kind, piece.name, piece.id, piece.is_plain)
        return reports + state.block_started(start, at)

    def _stop(self, answer: _Answer, stop_reason: str, at: float, state: StreamState) -> tuple[Fact, ...]:
        answer.stop_reason = stop_reason
        facts = answer.close(at, state)
        if self.have_stopped:
            reasons = [self._answers[index].stop_reason or "" for index in sorted(self._answers)]
            state.stopped(reasons[0], cut=not self._cutting.isdisjoint(reasons))
            if len(reasons) > 1:
                self.attributes[semconv.RESPONSE_FINISH_REASONS] = reasons
        return facts


def count_media(attributes: dict[str, Any], size: int) -> None:
    """Add bytes of audio or images to the attribute that tells of them."""
    if size:
        attributes[semconv.MEDIA_SIZE] = min(attributes.get(semconv.MEDIA_SIZE, 0) + size, _SIZE_AT_MOST)
