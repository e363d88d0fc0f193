"""The life of one stream: neutral verbs in, one frozen Summary out.

A provider's adapter turns each event into one of the verbs; `lifecycle.py` decides how the stream ended. What follows
from the two is decided here:

    verdict of the lifecycle            outcome
    complete                            complete
    truncated                           truncated
    error                               error
    unobserved                          none: the body was read as bytes, so nobody saw its events
    why the reader left                 complete where the stop reason had arrived before, else aborted

`partial` is about the content, not the ending: false once the stop reason has arrived and every block is closed. The
end is the moment that ended the stream; where nobody knows it (dropped, shut down), it is the last activity.

A tool call counts as completed once its block has stopped with whole JSON, as incomplete when its input was cut, and
as invalid when no text that follows could have made it JSON. The provider's own end closes the blocks that are still
open, because it makes the SDK hand their calls to the application.

The glossary is at the head of `model.py`, the rules of pace at the head of `pacing.py`, and those of loops at the head
of `loops/detector.py`.
"""

from collections.abc import Sequence
from math import inf

from .blocks import Blocks, LoopSearch
from .captured import Output
from .model import (
    TRUNCATED,
    BlockKind,
    BlockStart,
    DeltaKind,
    Ending,
    Fact,
    Fallback,
    FallbackTrigger,
    FirstToken,
    Interval,
    Outcome,
    Pace,
    Phase,
    Refusal,
    Report,
    Stall,
    Summary,
    Usage,
)
from .pacing import Pacing

_OUTCOMES: dict[str, Outcome | None] = {
    "complete": "complete",
    "truncated": "truncated",
    "error": "error",
    "unobserved": None,
}
_CHANNELS: dict[BlockKind, DeltaKind] = {"text": "text", "thinking": "thinking", "tool_call": "tool_input"}
"""What the content is of that a block begins with."""
_CLOSED_LATER = frozenset({"dropped", "never_read", "cancelled"})
"""Verdicts after which the connection may be closed by a finalizer or a task that runs later."""


class StreamState:
    """One stream, from the call to its end. The verbs take the time at which the event arrived.

    Chunks that go on with the block and kind of the one before may be handed over together, through `deltas`.

    finished           the provider's own end has arrived
    connection_closed  the connection was given back or torn down
    """

    __slots__ = (
        "_blocks",
        "_event_at",
        "_fallback",
        "_fallback_count",
        "_first_chunk_at",
        "_first_text_at",
        "_first_wait",
        "_has_started",
        "_hidden_thinking",
        "_last_chunk_at",
        "_loops",
        "_opened_at",
        "_pacing",
        "_refusal",
        "_reports_chunks",
        "_response_id",
        "_stall_seconds",
        "_stop_reason",
        "_usage",
        "connection_closed",
        "finished",
        "model",
        "started_at",
    )

    def __init__(
        self,
        started_at: float,
        *,
        stall_seconds: float = inf,
        loops: LoopSearch = "off",
        reports_chunks: bool = False,
    ) -> None:
        self.started_at = started_at
        self.finished = False
        self.connection_closed = False
        self.model: str | None = None
        self._stall_seconds = stall_seconds
        self._loops: LoopSearch = loops
        self._event_at = started_at  # when the last event that was no chunk came
        self._opened_at: float | None = None
        self._first_chunk_at: float | None = None
        self._last_chunk_at: float | None = None
        self._first_text_at: float | None = None
        self._first_wait = 0.0
        self._pacing = Pacing()
        self._response_id: str | None = None
        self._stop_reason: str | None = None
        self._has_started = False
        self._refusal: Refusal | None = None
        self._fallback: Fallback | None = None
        self._fallback_count = 0
        self._usage = Usage()
        self._hidden_thinking = False  # before the first chunk
        self._blocks = Blocks(started_at, loops)
        self._reports_chunks = reports_chunks

    def capture(self, output: Output) -> None:
        """Capture the content of the blocks that follow."""
        self._blocks.output = output

    # --- verbs ---------------------------------------------------------------------------------------------------

    def opened(self, at: float) -> None:
        """The response headers have come."""
        self._opened_at = self._event_at = at

    def event(self, gap: float, at: float) -> tuple[Fact, ...]:
        """An event that is no chunk has come, after a wait of `gap` seconds. Gives the stall, if that was one."""
        self._event_at = at
        self._pacing.waited_between_chunks(gap, self._last_chunk_at)
        return self._stalled(gap, at)

    def delta(self, kind: DeltaKind, index: object, text: str, at: float, gap: float = 0.0) -> tuple[Report, ...]:
        """One chunk, of any block and kind, after a wait of `gap` seconds."""
        self._pacing.waited(gap)
        facts: tuple[Report, ...] = self._stalled(gap, at)
        if self._first_chunk_at is None:
            facts += self._first_chunk(kind, at)
        if kind == "text" and self._first_text_at is None:
            self._first_text_at = at
        if self._reports_chunks and self._last_chunk_at is not None:
            facts += (Interval(at - self._last_chunk_at),)
        self._last_chunk_at = at
        return facts + self._blocks.added(kind, index, text, at)

    def deltas(self, texts: Sequence[str], gaps: Sequence[float], at: float) -> tuple[Fact, ...]:
        """Chunks of the block and kind of the last one. None of the `gaps` is a stall; the last came at `at`."""
        for gap in gaps:
            self._pacing.waited(gap)
        self._last_chunk_at = at
        return self._blocks.continued("".join(texts), len(texts), at)

    def started(self, response_id: str | None, model: str | None, usage: Usage) -> tuple[Fact, ...]:
        """The answer begins. Where a gateway starts another one in the stream, that is a fallback.

        Output tokens that are reported before there is output are a placeholder.
        """
        usage = usage._replace(output_tokens=None, reasoning_tokens=None)
        facts: tuple[Fact, ...] = ()
        if self._has_started and (_differs(self._response_id, response_id) or _differs(self.model, model)):
            at = self.last_at
            self._usage = Usage()
            self._stop_reason = self._refusal = None
            facts = self._blocks.abandoned(at, at if self._last_chunk_at is None else self._last_chunk_at)
            facts += self.fell_back(self.model, model, "second_message")
            self._response_id = response_id
        elif not self._has_started:
            self._response_id, self.model = response_id, model
        self._has_started = True
        self._usage = self._usage.replaced_by(usage)
        return facts

    def fell_back(
        self, from_model: str | None, to_model: str | None, trigger: FallbackTrigger, category: str | None = None
    ) -> tuple[Fact, ...]:
        """Another model goes on."""
        fallback = Fallback(from_model, to_model, trigger, category)
        self._fallback_count += 1
        first = self._fallback
        self._fallback = fallback if first is None else Fallback(first.from_model, to_model, trigger, category)
        self.model = to_model or self.model
        return (fallback,)

    @property
    def has_fallen_back(self) -> bool:
        return self._fallback is not None

    def refused(self, category: str | None) -> tuple[Fact, ...]:
        """The model declined. Told again, it is told of once, with the category if that has come."""
        if self._refusal is not None and (category is None or self._refusal.category is not None):
            return ()
        self._refusal = Refusal(category)
        return (self._refusal,)

    def block_started(self, start: BlockStart, at: float, content: str = "") -> tuple[Report, ...]:
        """Gives the block with the same index that was still open, and that this one cuts off.

        content  what the start itself brings, which is the first chunk of the block; deltas replace a tool's input
        """
        if start.kind == "tool_call" and self._first_chunk_at is not None:
            self._pacing.tool_call_started()
        if start.kind in {"thinking", "hidden_thinking"} and self._first_chunk_at is None:
            self._hidden_thinking = True
        facts: tuple[Report, ...] = self._blocks.started(start, at)
        channel = _CHANNELS.get(start.kind)
        if content and channel is not None:
            self._blocks.content_is_given()
            facts += self.delta(channel, start.index, content, at)
        return facts

    def block_stopped(self, index: object, at: float) -> tuple[Fact, ...]:
        """Gives the block, if it is open."""
        return self._blocks.stopped(index, at, at if self._last_chunk_at is None else self._last_chunk_at)

    def reported(self, usage: Usage) -> None:
        """Token counts so far."""
        self._usage = self._usage.replaced_by(usage)

    def stopped(self, stop_reason: str, *, cut: bool) -> None:
        """The stop reason has come. `cut`: a limit stopped the model, so its last tool call may lack its input."""
        self._blocks.output_was_cut(cut)
        self._stop_reason = stop_reason

    def message_ended(self, at: float) -> tuple[Fact, ...]:
        """The provider's own end has come. Gives the blocks that it closes."""
        self.finished = True
        return self._blocks.closed_by_end(at, at if self._last_chunk_at is None else self._last_chunk_at)

    # --- what is known while the stream is open ----------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """The response headers have come."""
        return self._opened_at is not None

    @property
    def has_blocks(self) -> bool:
        return self._blocks.count > 0

    @property
    def last_at(self) -> float:
        """When something last arrived."""
        return self._event_at if self._last_chunk_at is None else max(self._event_at, self._last_chunk_at)

    @property
    def phase(self) -> Phase:
        if self._opened_at is None:
            return "opening"
        if self._stop_reason is not None:
            return "after_stop_reason"
        return "waiting" if self._first_chunk_at is None else self._blocks.phase

    def so_far(self, at: float, waiting: Sequence[str] = ()) -> Summary:
        """The summary as of now, without an outcome. `waiting`: chunks that have not been handed over yet."""
        chunk_count, chars = self._blocks.counts_so_far(waiting)
        summary = self._summary(Ending("unobserved"), at, self.phase, partial=self._is_partial)
        return summary._replace(chunk_count=chunk_count, chars=chars)

    # --- the end -------------------------------------------------------------------------------------------------

    def ended(self, ending: Ending, waiting_since: float | None = None) -> Summary:
        """Call once. `waiting_since`: the reader was inside a read when the stream ended, since then."""
        phase, partial = self.phase, self._is_partial
        ended_at = self.last_at if ending.at is None else ending.at
        facts: tuple[Fact, ...] = ()
        if waiting_since is not None and ending.at is not None and waiting_since < ended_at:
            gap = ended_at - waiting_since
            self._pacing.waited_between_chunks(gap, self._last_chunk_at)
            facts = self._stalled(gap, ended_at)
        facts += self._blocks.cut_off(ended_at, ended_at if self._last_chunk_at is None else self._last_chunk_at)
        return self._summary(ending, ended_at, phase, partial=partial)._replace(at_the_end=facts)

    @property
    def _is_partial(self) -> bool:
        return self._stop_reason is None or self._blocks.are_open

    def _first_chunk(self, kind: DeltaKind, at: float) -> tuple[Fact, ...]:
        self._first_chunk_at = at
        self._first_wait = (self._opened_at or self.started_at) - self.started_at + self._pacing.total
        self._pacing = Pacing()
        self._hidden_thinking = self._hidden_thinking and kind != "thinking"
        return (FirstToken(kind, at - self.started_at),)

    def _stalled(self, gap: float, at: float) -> tuple[Fact, ...]:
        """Silence before the first chunk is no stall."""
        if gap < self._stall_seconds or self._first_chunk_at is None:
            return ()
        self._pacing.stalled(gap)
        return (Stall(at - gap - self.started_at, gap, self.phase),)

    def _outcome(self, ending: Ending) -> Outcome | None:
        if ending.verdict in _OUTCOMES:
            return _OUTCOMES[ending.verdict]
        return "aborted" if self._stop_reason is None else "complete"

    def _summary(self, ending: Ending, ended_at: float, phase: Phase, *, partial: bool) -> Summary:
        outcome = self._outcome(ending)
        blocks = self._blocks
        calls = blocks.tool_calls
        return Summary(
            outcome=outcome,
            partial=partial,
            phase=phase,
            abort_reason=ending.verdict if outcome == "aborted" else None,
            connection_closed=True if self.connection_closed else None if ending.verdict in _CLOSED_LATER else False,
            error_type=TRUNCATED if outcome == "truncated" else ending.error_type,
            duration=ended_at - self.started_at,
            time_to_headers=self._offset(self._opened_at),
            time_to_first_chunk=self._offset(self._first_chunk_at),
            time_to_first_text=self._offset(self._first_text_at),
            time_per_output_token=self._time_per_output_token(),
            response_id=self._response_id,
            model=self.model,
            stop_reason=self._stop_reason,
            usage=self._usage,
            pace=self._pace(ended_at),
            chunk_count=blocks.chunk_count,
            chars=blocks.chars,
            block_count=blocks.count,
            tool_call_count=calls.count,
            tool_calls_completed=calls.completed,
            tool_calls_incomplete=calls.incomplete,
            tool_calls_invalid=calls.invalid,
            looks_for_loops=self._loops != "off",
            loop=blocks.loop,
            at_the_end=(),
            refusal=self._refusal,
            fallback=self._fallback,
            fallback_count=self._fallback_count,
        )

    def _time_per_output_token(self) -> float | None:
        """From the first chunk to the last, over the tokens after the first.

        Hidden thinking comes before the first chunk, but its tokens are among those of the output.
        """
        tokens = self._usage.output_tokens
        if self._hidden_thinking and tokens is not None:
            thinking_tokens = self._usage.reasoning_tokens
            tokens = None if thinking_tokens is None else tokens - thinking_tokens
        if self._first_chunk_at is None or self._last_chunk_at is None or self._blocks.chunk_count < 2 or not tokens:  # noqa: PLR2004
            return None
        return (self._last_chunk_at - self._first_chunk_at) / (tokens - 1) if tokens > 1 else None

    def _pace(self, ended_at: float) -> Pace:
        if self._first_chunk_at is None or self._last_chunk_at is None:
            return Pace()
        return self._pacing.pace(
            self._first_chunk_at,
            self._last_chunk_at,
            ended_at,
            chunk_count=self._blocks.chunk_count,
            first_wait=self._first_wait,
        )

    def _offset(self, at: float | None) -> float | None:
        return None if at is None else at - self.started_at


def _differs(known: str | None, other: str | None) -> bool:
    return known is not None and other is not None and known != other
