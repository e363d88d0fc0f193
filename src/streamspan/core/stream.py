"""The life of one stream: verbs in, one frozen Summary out.

How a stream ends. The first end counts, and there is exactly one.

    what happened                                                   outcome
    message_stop arrived, or the reader left behind the stop reason  complete
    the body ended without message_stop                              truncated
    an error event, a transport error, malformed data, HTTP error    error
    the reader left: closed, cancelled, dropped, never read, ...     aborted
    the body was read as bytes, so nothing is known of its events    none (`observed` is false)

`partial` is about the content, not the ending: false once the stop reason has arrived and every block is closed.
The end is the moment that ended the stream; where nobody knows it (dropped, shut down), the last activity.

Terms
    event    one message of the provider; a ping is none
    chunk    a delta that carries content: text, thinking or tool input
    chars    Unicode code points
    block    a content block; a tool call is a block whose type ends in `tool_use`
    time     seconds on the caller's clock; a name in `_at` is a point on it, all others are durations or offsets

A tool call counts as completed once its block has stopped with whole JSON, as incomplete when its input was cut, and
as invalid when no text that follows could have made it JSON. Every tool call is one of the three.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Literal

from .tool_input import ToolInput

Outcome = Literal["complete", "truncated", "error", "aborted"]
Phase = Literal["opening", "waiting", "thinking", "text", "tool_input", "between_blocks", "after_stop_reason"]
AbortReason = Literal["closed", "cancelled", "dropped", "never_read", "consumer_error", "shutdown"]
DeltaKind = Literal["text", "thinking", "tool_input"]
EndKind = Literal["message_stop", "body_end", "failure", "reader_left", "unobserved"]

_OPEN_BLOCKS_AT_MOST = 64  # the provider sends one after the other; a stream of starts alone must not grow us
_COUNTS_AT_MOST = 32  # of the provider's own
_CUTTING_STOP_REASONS = frozenset({"max_tokens", "model_context_window_exceeded"})
_PHASE_OF_BLOCK: Mapping[str, Phase] = {"text": "text", "thinking": "thinking", "redacted_thinking": "thinking"}


@dataclass(frozen=True, slots=True)
class Ending:
    """What ended a stream. `at` None: nobody knows when, so the last activity counts."""

    kind: EndKind
    at: float | None = None
    abort_reason: AbortReason | None = None
    error_type: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the provider reports them, None where it has not. `more`: its own, by attribute name."""

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    more: Mapping[str, int] = field(default_factory=dict[str, int])

    def replaced_by(self, newer: "Usage") -> "Usage":
        """The counts are cumulative: the newer one replaces, and None replaces nothing."""
        more = dict(islice({**self.more, **newer.more}.items(), _COUNTS_AT_MOST))
        given = {f.name: getattr(newer, f.name) for f in fields(newer) if getattr(newer, f.name) is not None}
        return replace(self, **{**given, "more": more})


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str | None
    id: str | None
    type: str
    input_chars: int
    complete: bool
    valid_json: bool


@dataclass(frozen=True, slots=True)
class ContentBlock:
    """A block that has stopped, or that was cut by the end of its stream (`complete` false)."""

    index: int
    type: str
    start: float
    duration: float
    chars: int
    chunk_count: int
    complete: bool
    tool_call: ToolCall | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything known of a stream at its end; None where it is not known. Times are seconds from the call."""

    outcome: Outcome | None
    partial: bool
    phase: Phase
    abort_reason: AbortReason | None
    connection_closed: bool
    error_type: str | None
    duration: float
    time_to_headers: float | None
    time_to_first_chunk: float | None
    time_to_first_text: float | None
    message_id: str | None
    model: str | None
    stop_reason: str | None
    usage: Usage
    chunk_count: int
    chars: Mapping[DeltaKind, int]
    block_count: int
    tool_call_count: int
    tool_calls_completed: int
    tool_calls_incomplete: int
    tool_calls_invalid: int
    cut_blocks: tuple[ContentBlock, ...]


@dataclass(slots=True)
class _OpenBlock:
    """`kind` is that of its last delta, None before the first; `kind_from` is how many chars came before this kind."""

    index: int
    type: str
    started_at: float
    tool_name: str | None = None
    tool_id: str | None = None
    tool_input: ToolInput | None = None
    kind: DeltaKind | None = None
    kind_from: int = 0
    chars: int = 0
    chunk_count: int = 0


class StreamState:
    """One stream, from the call to its end. The verbs take the time at which the event arrived."""

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.last_at = started_at
        self._first_chunk_at: float | None = None
        self._opened_at: float | None = None
        self._first_text_at: float | None = None
        self._message_id: str | None = None
        self._model: str | None = None
        self._stop_reason: str | None = None
        self._usage = Usage()
        self._block_count = 0
        self._open_blocks: dict[int, _OpenBlock] = {}
        self._block = self._stray = _OpenBlock(-1, "", started_at)  # takes the deltas of blocks that are not open
        self._chunk_count = 0  # this and the chars: of the blocks that have closed
        self._chars: dict[DeltaKind, int] = {"text": 0, "thinking": 0, "tool_input": 0}
        self._tool_call_count = 0
        self._tool_calls_completed = 0
        self._tool_calls_incomplete = 0
        self._tool_calls_invalid = 0
        self._last_block_is_empty_tool_call = False
        self._connection_closed = False

    def opened(self, at: float) -> None:
        """The response headers have come."""
        self._opened_at = self.last_at = at

    def message_started(self, message_id: str | None, model: str | None, usage: Usage, at: float) -> None:
        """The first counts: a proxy that starts a second message inside the stream does not change whose it is."""
        self.last_at = at
        if self._message_id is None:
            self._message_id = message_id
            self._model = model
        # What `message_start` says of the output is a placeholder.
        self._usage = self._usage.replaced_by(replace(usage, output_tokens=None, reasoning_tokens=None))

    def model_changed(self, model: str) -> None:
        """Another model goes on with the message."""
        self._model = model

    def block_started(
        self, index: int, block_type: str, at: float, tool_name: str | None = None, tool_id: str | None = None
    ) -> ContentBlock | None:
        """The block of the same index that was still open, and is cut by this one; None: there was none."""
        self.last_at = at
        self._block_count += 1
        replaced = self._open_blocks.pop(index, None)
        cut = None if replaced is None else self._closed(replaced, at, complete=False)
        tool_input = None
        if block_type.endswith("tool_use"):
            self._tool_call_count += 1
            tool_input = ToolInput()
        if len(self._open_blocks) < _OPEN_BLOCKS_AT_MOST:
            self._block = _OpenBlock(index, block_type, at, tool_name, tool_id, tool_input)
            self._open_blocks[index] = self._block
        elif tool_input is not None:
            self._tool_calls_incomplete += 1
        return cut

    def delta(self, kind: DeltaKind, index: object, text: str, at: float) -> bool:
        """One chunk. True: it is the stream's first. Hot, so what can wait for the block's end waits."""
        self.last_at = at
        block = self._block
        if block.index != index:
            block = self._block = self._open_block(index)
        is_first = block.kind != kind and self._kind_begins(block, kind, at)
        block.chars += len(text)
        block.chunk_count += 1
        if block.tool_input is not None:
            block.tool_input.feed(text)
        return is_first

    def _kind_begins(self, block: _OpenBlock, kind: DeltaKind, at: float) -> bool:
        """The first delta of a block, or of another kind in it. True: it is also the stream's first."""
        self._count_chars(block)
        block.kind = kind
        block.kind_from = block.chars
        if self._first_text_at is None and kind == "text":
            self._first_text_at = at
        if self._first_chunk_at is not None:
            return False
        self._first_chunk_at = at
        return True

    def _open_block(self, index: object) -> _OpenBlock:
        return self._open_blocks.get(index, self._stray) if isinstance(index, int) else self._stray

    def block_stopped(self, index: object, at: float) -> ContentBlock | None:
        """None: no such block is open."""
        self.last_at = at
        block = self._open_blocks.pop(index, None) if isinstance(index, int) else None
        return None if block is None else self._closed(block, at, complete=True)

    def message_delta(self, stop_reason: str | None, usage: Usage, at: float) -> None:
        self.last_at = at
        self._usage = self._usage.replaced_by(usage)
        if stop_reason is None:
            return
        if self._last_block_is_empty_tool_call and stop_reason in _CUTTING_STOP_REASONS:
            # No input at all stands for an empty one, unless the model was cut before it could write any.
            self._tool_calls_completed -= 1
            self._tool_calls_incomplete += 1
        self._last_block_is_empty_tool_call = False
        self._stop_reason = stop_reason

    def touched(self, at: float) -> None:
        """Something else arrived."""
        self.last_at = at

    def connection_closed(self) -> None:
        """The connection was given back or torn down, by whomever."""
        self._connection_closed = True

    @property
    def has_blocks(self) -> bool:
        return self._block_count > 0

    @property
    def phase(self) -> Phase:
        if self._opened_at is None:
            return "opening"
        if self._stop_reason is not None:
            return "after_stop_reason"
        if self._first_chunk_at is None:
            return "waiting"
        for block in reversed(tuple(self._open_blocks.values())):
            return "tool_input" if block.tool_input is not None else _PHASE_OF_BLOCK.get(block.type, "between_blocks")
        return "between_blocks"

    def ended(self, ending: Ending) -> Summary:
        """Call once. What `ending` means follows from what has arrived: see the head of this module."""
        phase = self.phase
        partial = self._stop_reason is None or bool(self._open_blocks)
        ended_at = self.last_at if ending.at is None else ending.at
        self._count(self._stray)
        cut_blocks = tuple(self._closed(block, ended_at, complete=False) for block in tuple(self._open_blocks.values()))
        outcome = self._outcome(ending.kind)
        return Summary(
            outcome=outcome,
            partial=partial,
            phase=phase,
            abort_reason=ending.abort_reason if outcome == "aborted" else None,
            connection_closed=self._connection_closed,
            error_type=ending.error_type if outcome in {"error", "truncated"} else None,
            duration=ended_at - self.started_at,
            time_to_headers=self._offset(self._opened_at),
            time_to_first_chunk=self._offset(self._first_chunk_at),
            time_to_first_text=self._offset(self._first_text_at),
            message_id=self._message_id,
            model=self._model,
            stop_reason=self._stop_reason,
            usage=self._usage,
            chunk_count=self._chunk_count,
            chars=dict(self._chars),
            block_count=self._block_count,
            tool_call_count=self._tool_call_count,
            tool_calls_completed=self._tool_calls_completed,
            tool_calls_incomplete=self._tool_calls_incomplete,
            tool_calls_invalid=self._tool_calls_invalid,
            cut_blocks=cut_blocks,
        )

    def _outcome(self, kind: EndKind) -> Outcome | None:
        match kind:
            case "message_stop":
                return "complete"
            case "reader_left":
                return "aborted" if self._stop_reason is None else "complete"
            case "body_end":
                return "truncated"
            case "failure":
                return "error"
            case "unobserved":
                return None

    def _closed(self, block: _OpenBlock, at: float, *, complete: bool) -> ContentBlock:
        self._count(block)
        self._block = self._stray
        self._last_block_is_empty_tool_call = False
        return ContentBlock(
            index=block.index,
            type=block.type,
            start=block.started_at - self.started_at,
            duration=at - block.started_at,
            chars=block.chars,
            chunk_count=block.chunk_count,
            complete=complete,
            tool_call=None if block.tool_input is None else self._tool_call(block, block.tool_input, complete),
        )

    def _count(self, block: _OpenBlock) -> None:
        self._chunk_count += block.chunk_count
        self._count_chars(block)

    def _count_chars(self, block: _OpenBlock) -> None:
        if block.kind is not None:
            self._chars[block.kind] += block.chars - block.kind_from

    def _tool_call(self, block: _OpenBlock, tool_input: ToolInput, stopped: bool) -> ToolCall:
        verdict = tool_input.verdict()
        complete = stopped and verdict == "complete"
        if complete:
            self._tool_calls_completed += 1
        elif verdict == "invalid":
            self._tool_calls_invalid += 1
        else:
            self._tool_calls_incomplete += 1
        self._last_block_is_empty_tool_call = complete and tool_input.chars == 0
        return ToolCall(
            name=block.tool_name,
            id=block.tool_id,
            type=block.type,
            input_chars=tool_input.chars,
            complete=complete,
            valid_json=verdict == "complete",
        )

    def _offset(self, at: float | None) -> float | None:
        return None if at is None else at - self.started_at
