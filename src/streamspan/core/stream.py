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

A tool call counts as completed once its block has stopped with whole JSON, as incomplete when its input was cut, and
as invalid when no text that follows could have made it JSON. Every tool call is one of the three.

What the words mean is at the head of `facts.py`; the rules of pace are at the head of `pacing.py`, those of loops at
the head of `repetition.py`.
"""

from collections.abc import Mapping
from math import inf
from typing import Literal

from .blocks import LoopWatch, OpenBlock
from .captured import Output
from .model import (
    DeltaKind,
    Ending,
    EndKind,
    Fact,
    FirstToken,
    Loop,
    Outcome,
    Pace,
    Phase,
    Stall,
    Summary,
    ToolCall,
    Usage,
)
from .pacing import Pacing
from .tool_input import Verdict

LoopSearch = Literal["off", "exact", "drift"]
"""Which loops are looked for; `drift` is exact ones too."""

ASIDE_CHUNKS = 63
ASIDE_CHARS = 128  # so that what waits has 32 KiB at the most
_TAKEN_APART = 8  # where the reader waits for each: what they show is not to be told late
_OPEN_BLOCKS_AT_MOST = 64  # the provider sends one after the other; a stream of starts alone must not grow us
_WATCHED_BLOCKS_AT_MOST = 2
_CUTTING_STOP_REASONS = frozenset({"max_tokens", "model_context_window_exceeded"})
_PHASE_OF_BLOCK: Mapping[str, Phase] = {"text": "text", "thinking": "thinking", "redacted_thinking": "thinking"}


class StreamState:
    """One stream, from the call to its end. The verbs take the time at which the event arrived.

    `waited` says of each wait for bytes; the wait is over with the next event: a `delta`, or any other behind `heard`.

    What a chunk costs is paid for each. So one of the same block and kind as the one before need not be a `delta`: if
    it has no more than ASIDE_CHARS it may be put `aside`, up to ASIDE_CHUNKS of them. The next `delta` takes them, and
    leaves out what is no text.

    alike  the index of the block whose chunks, of the kind of the last, may be put aside; None: none may
    aside  where to, with the time in `last_chunk_at`
    """

    __slots__ = (
        "_block",
        "_block_count",
        "_chars",
        "_chunk_count",
        "_connection_closed",
        "_content",
        "_declared_reason",
        "_event_at",
        "_first_chunk_at",
        "_first_text_at",
        "_first_wait",
        "_gap",
        "_gap_behind",
        "_gap_since",
        "_last_block_is_empty_tool_call",
        "_loop",
        "_loops",
        "_message_id",
        "_open_blocks",
        "_opened_at",
        "_pacing",
        "_stall_seconds",
        "_stop_reason",
        "_stray",
        "_taking",
        "_thought_unseen",
        "_tool_call_count",
        "_tool_calls_completed",
        "_tool_calls_incomplete",
        "_tool_calls_invalid",
        "_usage",
        "alike",
        "aside",
        "last_chunk_at",
        "model",
        "started_at",
    )

    def __init__(
        self,
        started_at: float,
        *,
        stall_seconds: float = inf,
        loops: LoopSearch = "off",
        content: Output | None = None,
    ) -> None:
        self.started_at = started_at
        self._content = content
        self._stall_seconds = stall_seconds
        self._loops: LoopSearch = loops
        self._event_at = started_at  # of the last that was no chunk
        self._opened_at: float | None = None
        self._first_chunk_at: float | None = None
        self.last_chunk_at: float | None = None
        self._first_text_at: float | None = None
        self._first_wait = 0.0
        self.alike: int | None = None
        self.aside: list[str] = []
        self._gap = 0.0  # as of now; 0.0: nobody has waited since the last event
        self._gap_since = started_at
        self._gap_behind: float | None = None  # the last chunk before it
        self._pacing = Pacing()
        self._message_id: str | None = None
        self.model: str | None = None
        self._stop_reason: str | None = None
        self._usage = Usage()
        self._block_count = 0
        self._open_blocks: dict[int, OpenBlock] = {}
        self._block = self._stray = OpenBlock(-1, "", started_at)  # takes the deltas of blocks that are not open
        self._chunk_count = 0  # this and the chars: of the blocks that have closed
        self._chars: dict[DeltaKind, int] = {"text": 0, "thinking": 0, "tool_input": 0}
        self._loop: Loop | None = None
        self._tool_call_count = 0
        self._tool_calls_completed = 0
        self._tool_calls_incomplete = 0
        self._tool_calls_invalid = 0
        self._last_block_is_empty_tool_call = False
        self._connection_closed = False
        self._declared_reason: str | None = None
        self._taking = False
        self._thought_unseen = False

    def opened(self, at: float) -> None:
        """The response headers have come."""
        self._opened_at = self._event_at = at

    def waited(self, since: float, at: float) -> None:
        """The reader has waited for bytes, which may be no event yet, or a ping, which is none."""
        self._settle_gap()
        if not self._gap:
            self._gap_since = since
        self._gap += at - since
        if self._gap >= self._stall_seconds or len(self.aside) >= _TAKEN_APART:
            self.alike = None

    def heard(self) -> tuple[Fact, ...]:
        """An event that is no chunk has come. What is to be told of the wait for it: a stall."""
        gap = self._gap_ends()
        self._pacing.waited_between_chunks(gap, self.last_chunk_at)
        return self._stall(gap)

    def message_started(self, message_id: str | None, model: str | None, usage: Usage, at: float) -> None:
        """The first counts: a proxy that starts a second message inside the stream does not change whose it is."""
        self._event_at = at
        if self._message_id is None:
            self._message_id = message_id
            self.model = model
        # What `message_start` says of the output is a placeholder.
        self._usage = self._usage.replaced_by(usage._replace(output_tokens=None, reasoning_tokens=None))

    def model_changed(self, model: str) -> None:
        """Another model goes on with the message."""
        self.model = model

    def block_started(
        self, index: int, block_type: str, at: float, tool_name: str | None = None, tool_id: str | None = None
    ) -> tuple[Fact, ...]:
        """What is to be told: the block of the same index that was still open, and is cut by this one."""
        self._event_at = at
        self.alike = None
        self._block_count += 1
        replaced = self._open_blocks.pop(index, None)
        facts = () if replaced is None else self._closed(replaced, at, complete=False)
        block = OpenBlock(index, block_type, at, tool_name, tool_id)
        if block.is_tool_call:
            self._tool_call_count += 1
            if self._first_chunk_at is not None:
                self._pacing.tool_call_started()
        if len(self._open_blocks) < _OPEN_BLOCKS_AT_MOST:
            self._block = self._open_blocks[index] = block
            if self._content is not None:
                block.captured = self._content.part(block_type, tool_name, tool_id)
        elif block.is_tool_call:
            self._tool_calls_incomplete += 1
        return facts

    def delta(self, kind: DeltaKind, index: object, text: str, at: float) -> tuple[Fact, ...]:
        """One chunk, whatever came before it. What is to be told."""
        gap = self._gap_ends()
        self._pacing.waited(gap)
        facts = self._stall(gap)
        block = self._block
        if block.index != index:
            block = self._block = self._open_block(index)
        if block.kind != kind:
            facts += self._kind_begins(block, kind, at)
        self.alike = block.index
        self.last_chunk_at = at
        block.pieces.append(text)
        return facts + self._take(block, at)

    def block_stopped(self, index: object, at: float) -> tuple[Fact, ...]:
        """What is to be told: the block, if it is open."""
        self._event_at = at
        block = self._open_blocks.pop(index, None) if isinstance(index, int) else None
        return () if block is None else self._closed(block, at, complete=True)

    def message_delta(self, stop_reason: str | None, usage: Usage, at: float) -> None:
        self._event_at = at
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
        self._event_at = at

    def connection_closed(self) -> None:
        """The connection was given back or torn down, by whomever."""
        self._connection_closed = True

    def abort_declared(self, reason: str) -> None:
        """The application's own word for it, in case that the stream ends aborted. The last one counts."""
        self._declared_reason = reason

    @property
    def is_open(self) -> bool:
        """The response headers have come."""
        return self._opened_at is not None

    @property
    def has_blocks(self) -> bool:
        return self._block_count > 0

    @property
    def last_at(self) -> float:
        """When something came last."""
        return max(self._event_at, self.last_chunk_at or self._event_at)

    @property
    def phase(self) -> Phase:
        if self._opened_at is None:
            return "opening"
        if self._stop_reason is not None:
            return "after_stop_reason"
        if self._first_chunk_at is None:
            return "waiting"
        for block in reversed(tuple(self._open_blocks.values())):
            return "tool_input" if block.is_tool_call else _PHASE_OF_BLOCK.get(block.type, "between_blocks")
        return "between_blocks"

    # --- deltas --------------------------------------------------------------------------------------------------

    def _kind_begins(self, block: OpenBlock, kind: DeltaKind, at: float) -> tuple[Fact, ...]:
        """The first delta of a block, or of another kind in it."""
        facts = self._take(block, at) + self._watch_ends(block, at)
        self._count_chars(block)
        block.begin(kind, self._watch(block, kind))
        if self._first_text_at is None and kind == "text":
            self._first_text_at = at
        if self._first_chunk_at is not None:
            return facts
        self._first_chunk_at = at
        self._first_wait = (self._opened_at or self.started_at) - self.started_at + self._pacing.total
        self._pacing = Pacing()
        return (FirstToken(kind, at - self.started_at),)

    def _watch(self, block: OpenBlock, kind: DeltaKind) -> LoopWatch | None:
        watched = sum(other.is_watched for other in self._open_blocks.values() if other is not block)
        if self._loops == "off" or block is self._stray or watched >= _WATCHED_BLOCKS_AT_MOST:
            return None
        return LoopWatch(kind, self._chars[kind], drift=self._loops == "drift")

    def _open_block(self, index: object) -> OpenBlock:
        return self._open_blocks.get(index, self._stray) if isinstance(index, int) else self._stray

    def _take(self, block: OpenBlock, at: float) -> tuple[Fact, ...]:
        """Nothing while another take runs: an end may come from a thread or a signal that interrupts it."""
        if self._taking:
            return ()
        self._taking = True
        try:
            loop = block.take(at)
            self.aside = self._block.pieces
        finally:
            self._taking = False
        return () if loop is None else (loop,)

    def _watch_ends(self, block: OpenBlock, at: float) -> tuple[Fact, ...]:
        if self._taking:
            return ()
        found, loop = block.finish_watch(at)
        self._loop = self._loop or loop
        return () if found is None else (found,)

    def _settle_gap(self) -> None:
        """If a chunk that was put aside has ended it."""
        if self._gap_behind != self.last_chunk_at:
            self._gap_behind = self.last_chunk_at
            self._pacing.waited(self._gap)
            self._gap = 0.0

    def _gap_ends(self) -> float:
        """By an event that was not put aside."""
        self._settle_gap()
        gap, self._gap = self._gap, 0.0
        return gap

    def _stall(self, gap: float) -> tuple[Fact, ...]:
        """Silence before the first chunk is no stall."""
        if gap < self._stall_seconds or self._first_chunk_at is None:
            return ()
        self._pacing.stalled(gap)
        return (Stall(self._gap_since - self.started_at, gap, self.phase),)

    # --- the end -------------------------------------------------------------------------------------------------

    def ended(self, ending: Ending, waiting_since: float | None = None) -> Summary:
        """Call once. What `ending` means follows from what has arrived: see the head of this module.

        waiting_since  the reader was waiting for bytes when the stream ended
        """
        phase = self.phase
        partial = self._is_partial
        ended_at = self.last_at if ending.at is None else ending.at
        self._settle_gap()
        if waiting_since is not None and waiting_since <= ended_at:
            self.waited(waiting_since, ended_at)
        facts = self.heard() if self._gap and ending.at is not None else ()
        self._take(self._stray, ended_at)
        self._count(self._stray)
        for block in tuple(self._open_blocks.values()):
            facts += self._closed(block, ended_at, complete=False)
        return self._summary(ending, ended_at, phase, partial=partial)._replace(at_the_end=facts)

    def so_far(self, at: float) -> Summary:
        """What the stream has come to, with no outcome. Changes nothing, so any thread may ask."""
        chunk_count, chars = self._chunk_count, dict(self._chars)
        for block in (self._stray, *self._open_blocks.values()):
            if block.kind is not None:
                block_chunk_count, block_chars = block.so_far()
                chunk_count += block_chunk_count
                chars[block.kind] += block_chars
        summary = self._summary(Ending("unobserved"), at, self.phase, partial=self._is_partial)
        return summary._replace(chunk_count=chunk_count, chars=chars)

    @property
    def _is_partial(self) -> bool:
        return self._stop_reason is None or bool(self._open_blocks)

    def _summary(self, ending: Ending, ended_at: float, phase: Phase, *, partial: bool) -> Summary:
        outcome = self._outcome(ending.kind)
        return Summary(
            outcome=outcome,
            partial=partial,
            phase=phase,
            abort_reason=(self._declared_reason or ending.abort_reason) if outcome == "aborted" else None,
            connection_closed=self._connection_closed,
            error_type=ending.error_type if outcome in {"error", "truncated"} else None,
            duration=ended_at - self.started_at,
            time_to_headers=self._offset(self._opened_at),
            time_to_first_chunk=self._offset(self._first_chunk_at),
            time_to_first_text=self._offset(self._first_text_at),
            time_per_output_token=self._time_per_output_token(),
            message_id=self._message_id,
            model=self.model,
            stop_reason=self._stop_reason,
            usage=self._usage,
            pace=self._pace(ended_at),
            chunk_count=self._chunk_count,
            chars=dict(self._chars),
            block_count=self._block_count,
            tool_call_count=self._tool_call_count,
            tool_calls_completed=self._tool_calls_completed,
            tool_calls_incomplete=self._tool_calls_incomplete,
            tool_calls_invalid=self._tool_calls_invalid,
            looks_for_loops=self._loops != "off",
            loop=self._loop,
            at_the_end=(),
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

    def _closed(self, block: OpenBlock, at: float, *, complete: bool) -> tuple[Fact, ...]:
        last_chunk_at = at if self.last_chunk_at is None else self.last_chunk_at
        facts = self._take(block, last_chunk_at) + self._watch_ends(block, last_chunk_at)
        self._count(block)
        if self._first_chunk_at is None and _PHASE_OF_BLOCK.get(block.type) == "thinking":
            self._thought_unseen = True
        self._block, self.alike = self._stray, None
        self._last_block_is_empty_tool_call = False
        closed = block.closed(at, self.started_at, complete=complete)
        if closed.tool_call is not None:
            self._count_tool_call(closed.tool_call, block.verdict)
        return (*facts, closed)

    def _count_tool_call(self, call: ToolCall, verdict: Verdict) -> None:
        if call.complete:
            self._tool_calls_completed += 1
        elif verdict == "invalid":
            self._tool_calls_invalid += 1
        else:
            self._tool_calls_incomplete += 1
        self._last_block_is_empty_tool_call = call.complete and call.input_chars == 0

    def _count(self, block: OpenBlock) -> None:
        self._chunk_count += block.chunk_count
        self._count_chars(block)

    def _count_chars(self, block: OpenBlock) -> None:
        if block.kind is not None:
            self._chars[block.kind] += block.chars_of_kind

    def _time_per_output_token(self) -> float | None:
        """From the first chunk to the last, over the tokens behind the first.

        Thinking that is not sent comes before the first chunk, but its tokens are among those of the output.
        """
        tokens = self._usage.output_tokens
        if self._thought_unseen and tokens is not None:
            thinking_tokens = self._usage.reasoning_tokens
            tokens = None if thinking_tokens is None else tokens - thinking_tokens
        if self._first_chunk_at is None or self.last_chunk_at is None or self._chunk_count < 2 or not tokens:  # noqa: PLR2004
            return None
        return (self.last_chunk_at - self._first_chunk_at) / (tokens - 1) if tokens > 1 else None

    def _pace(self, ended_at: float) -> Pace:
        if self._first_chunk_at is None or self.last_chunk_at is None:
            return Pace()
        return self._pacing.pace(
            self._first_chunk_at,
            self.last_chunk_at,
            ended_at,
            chunk_count=self._chunk_count,
            first_wait=self._first_wait,
        )

    def _offset(self, at: float | None) -> float | None:
        return None if at is None else at - self.started_at
