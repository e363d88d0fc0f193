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

from .blocks import Blocks, LoopSearch, RuminationSearchIn
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
    LivePhase,
    Outcome,
    Pace,
    Phase,
    Refusal,
    Report,
    Stall,
    Summary,
    Usage,
)
from .pacing import SHORTEST_GAP, Pacing, Wait
from .rebuffer import ReadingBuffer

_OUTCOMES: dict[str, Outcome | None] = {
    "complete": "complete",
    "truncated": "truncated",
    "error": "error",
    "unobserved": None,
}
READING_SPEED = 24.0  # chars a second: see `rebuffer.py`
_LIVE_PHASES: dict[Phase, LivePhase] = {
    "opening": "opening",
    "waiting": "waiting",
    "thinking": "thinking",
    "after_stop_reason": "after_stop_reason",
}
CHANNELS: dict[BlockKind, DeltaKind] = {"text": "text", "thinking": "thinking", "tool_call": "tool_input"}
"""What the content is of that a block begins with."""
_NO_USAGE = Usage()
_CLOSED_LATER = frozenset({"dropped", "never_read", "cancelled"})
"""Verdicts after which the connection may be closed by a finalizer or a task that runs later."""


class StreamState:
    """One stream, from the call to its end. The verbs take the time at which the event arrived.

    Chunks that go on with the block and kind of the one before may be handed over together, through `deltas`.

    finished           the provider's own end has arrived
    failure            what it says that the answer failed with; None: it did not
    failure_message    what it says of that, which is content
    connection_closed  the connection was given back or torn down
    wait_count         how many waits are over, but for those of chunks that are handed over together
    """

    __slots__ = (
        "_blocked",
        "_blocked_time",
        "_blocks",
        "_empty_index",
        "_event_at",
        "_fallback",
        "_fallback_count",
        "_first_chunk_at",
        "_first_text_at",
        "_first_wait",
        "_has_started",
        "_hidden_thinking",
        "_keepalive_count",
        "_keepalives",
        "_last_chunk_at",
        "_last_kind",
        "_loops",
        "_opened_at",
        "_pacing",
        "_reading_buffer",
        "_refusal",
        "_reports_chunks",
        "_response_id",
        "_rumination_in",
        "_stop_reason",
        "_usage",
        "_waited",
        "_waits_since",
        "connection_closed",
        "failure",
        "failure_message",
        "finished",
        "model",
        "started_at",
        "wait_count",
    )

    def __init__(  # noqa: PLR0913 - each is a setting
        self,
        started_at: float,
        *,
        stall_seconds: float = inf,
        loops: LoopSearch = "off",
        rumination: RuminationSearchIn = "off",
        reports_chunks: bool = False,
        reading_speed: float = READING_SPEED,
    ) -> None:
        self.started_at = started_at
        self.wait_count = 0
        self.finished = False
        self.failure: str | None = None
        self.failure_message = ""
        self.connection_closed = False
        self.model: str | None = None
        self._loops: LoopSearch = loops
        self._rumination_in: RuminationSearchIn = "off" if loops == "off" else rumination
        self._event_at = started_at  # when the last event that was no chunk came
        self._opened_at: float | None = None
        self._first_chunk_at: float | None = None
        self._last_chunk_at: float | None = None
        self._first_text_at: float | None = None
        self._last_kind: DeltaKind | None = None
        self._first_wait = 0.0  # for the first chunk, in the call and in the reads
        self._waits_since: float | None = None  # of a wait that began in an earlier read
        self._waited = 0.0  # in these earlier reads, which brought nothing but keep-alives
        self._blocked = 0.0  # of the wait that goes on
        self._blocked_time = 0.0  # before the first chunk
        self._keepalives = 0  # of the wait that goes on
        self._keepalive_count = 0
        self._empty_index: object = None  # of the last block that began with an empty delta
        self._pacing = Pacing(stall_seconds)
        self._reading_buffer = ReadingBuffer(reading_speed)
        self._response_id: str | None = None
        self._stop_reason: str | None = None
        self._has_started = False
        self._refusal: Refusal | None = None
        self._fallback: Fallback | None = None
        self._fallback_count = 0
        self._usage = _NO_USAGE
        self._hidden_thinking = False  # before the first chunk
        self._blocks = Blocks(started_at, loops, self._rumination_in)
        self._reports_chunks = reports_chunks

    def capture(self, output: Output) -> None:
        """Capture the content of the blocks that follow."""
        self._blocks.output = output

    # --- verbs ---------------------------------------------------------------------------------------------------

    def opened(self, at: float, blocked: float = 0.0) -> None:
        """The response headers have come, after a wait of which so much was the reader's own event loop's."""
        self._opened_at = self._event_at = at
        self.wait_count += 1
        self._first_wait = at - self.started_at - blocked
        self._blocked_time = blocked

    def kept_alive(self, count: int) -> None:
        """Keep-alives have come during the wait that goes on."""
        self._keepalives += count

    def blocked(self, seconds: float) -> None:
        """So much of the wait that goes on was the reader's own event loop's."""
        self._blocked += seconds

    def event(self, gap: float, at: float) -> tuple[Fact, ...]:
        """An event that is no chunk has come, after a wait of `gap` seconds. Gives the stalls that are known by now."""
        self._event_at = at
        return self._event(gap, at)

    def delta(self, kind: DeltaKind, index: object, text: str, at: float, gap: float = 0.0) -> tuple[Report, ...]:
        """A delta of any block and kind has come, after a wait of `gap` seconds. It is a chunk if it has content."""
        if not text:
            self._empty_delta(index, gap, at)
            return ()
        facts: tuple[Report, ...] = self._wait_ends(gap, at)
        if self._first_chunk_at is None:
            facts += self._first_chunk(kind, at)
        else:
            self._pacing.chunks(1, at)
        self._last_kind = kind
        if kind == "text":
            self._first_text_at = at if self._first_text_at is None else self._first_text_at
            self._reading_buffer.add(len(text), at)
        if self._reports_chunks and self._last_chunk_at is not None:
            facts += (Interval(at - self._last_chunk_at),)
        self._last_chunk_at = at
        return facts + self._blocks.added(kind, index, text, at)

    def deltas(self, texts: Sequence[str], gaps: Sequence[float], at: float) -> tuple[Fact, ...]:
        """Chunks of the block and kind of the last one, before `hand_over_by`. The last came at `at`."""
        if gaps:
            self._pacing.waited_briefly(gaps)
        self._pacing.chunks(len(texts), at)
        text = "".join(texts)
        if self._last_kind == "text":
            self._reading_buffer.add(len(text), at)
        self._last_chunk_at = at
        return self._blocks.continued(text, len(texts), at)

    def started(self, response_id: str | None, model: str | None, usage: Usage) -> tuple[Fact, ...]:
        """The answer begins. Where a gateway starts another one in the stream, that is a fallback.

        Output tokens that are reported before there is output are a placeholder.
        """
        usage = usage._replace(output_tokens=None, reasoning_tokens=None)
        facts: tuple[Fact, ...] = ()
        if self._has_started and (_differs(self._response_id, response_id) or _differs(self.model, model)):
            at = self.last_at
            self._usage = _NO_USAGE
            self._stop_reason = self._refusal = None
            facts = self._blocks.abandoned(at, at if self._last_chunk_at is None else self._last_chunk_at)
            facts += self.fell_back(self.model, model, "second_message")
            self._response_id = response_id
        elif not self._has_started:
            self._response_id, self.model = response_id, model
        self._has_started = True
        self._usage = usage if self._usage is _NO_USAGE else self._usage.replaced_by(usage)
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
        channel = CHANNELS.get(start.kind)
        if content and channel is not None:
            self._blocks.content_is_given()
            facts += self.delta(channel, start.index, content, at)
        return facts

    def block_stopped(self, index: object, at: float) -> tuple[Fact, ...]:
        """Gives the block, if it is open."""
        return self._blocks.stopped(index, at, at if self._last_chunk_at is None else self._last_chunk_at)

    def reported(self, usage: Usage, *, in_full: bool = False) -> None:
        """Token counts so far. `in_full`: they take the place of all counts before them, also where they are lower."""
        self._usage = usage if in_full else self._usage.replaced_by(usage)

    def stopped(self, stop_reason: str | None, *, cut: bool) -> None:
        """The stop reason has come. `cut`: a limit stopped the model, so its last tool call may lack its input.

        None: another answer of the same stream begins, whose stop reason will count.
        """
        self._blocks.output_was_cut(cut)
        self._stop_reason = stop_reason

    def message_ended(self, at: float) -> tuple[Fact, ...]:
        """The provider's own end has come. Gives the blocks that it closes."""
        self.finished = True
        return self._blocks.closed_by_end(at, at if self._last_chunk_at is None else self._last_chunk_at)

    def failed(self, error_type: str, message: str = "") -> None:
        """The provider's own end has come, and says that the answer failed."""
        self.finished = True
        self.failure = error_type
        self.failure_message = message

    # --- what is known while the stream is open ----------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """The response headers have come."""
        return self._opened_at is not None

    @property
    def has_started(self) -> bool:
        """An event has told of the answer."""
        return self._has_started or self.has_blocks

    def has_chunks(self, index: int) -> bool:
        """Whether content has come of the open block with this index."""
        return self._blocks.has_chunks(index)

    def has_whole_input(self, index: int) -> bool:
        """Whether the open block with this index is a tool call whose input is whole as far as it has come."""
        return self._blocks.has_whole_input(index)

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
        phase = self._blocks.phase
        return "waiting" if self._first_chunk_at is None and phase != "thinking" else phase

    @property
    def live_phase(self) -> LivePhase:
        return _LIVE_PHASES.get(self.phase, "streaming")

    @property
    def hand_over_by(self) -> float:
        """A chunk that comes after that is to be handed over at once, by itself."""
        if self._last_kind is None or self._waited or self._keepalives:
            return -inf
        settles_at = self._pacing.settles_at
        return min(settles_at, self._reading_buffer.dry_at) if self._last_kind == "text" else settles_at

    @property
    def waited(self) -> float:
        """Seconds of the wait that goes on, before the current read."""
        return self._waited - self._blocked

    def so_far(self, at: float, waiting: Sequence[str] = ()) -> Summary:
        """The summary as of now, without an outcome. `waiting`: chunks that have not been handed over yet."""
        chunk_count, chars = self._blocks.counts_so_far(waiting)
        summary = self._summary(Ending("unobserved"), at, self.phase, (), partial=self._is_partial)
        return summary._replace(chunk_count=chunk_count, chars=chars)

    # --- the end -------------------------------------------------------------------------------------------------

    def ended(self, ending: Ending, waiting_since: float | None = None, facts: tuple[Fact, ...] = ()) -> Summary:
        """Call once.

        waiting_since  the reader was inside a read when the stream ended, since then
        facts          of the chunks that were handed over last
        """
        phase, partial = self.phase, self._is_partial
        ended_at = self.last_at if ending.at is None else ending.at
        gap = 0.0
        if waiting_since is not None and ending.at is not None:
            gap = max(ended_at - waiting_since, 0.0)
        if gap or self._waited:
            facts += self._event(gap, ended_at)
        facts += self._pacing.ended()
        if phase == "text":
            self._reading_buffer.waited(ended_at)
        facts += self._blocks.cut_off(ended_at, ended_at if self._last_chunk_at is None else self._last_chunk_at)
        return self._summary(ending, ended_at, phase, facts, partial=partial)

    @property
    def _is_partial(self) -> bool:
        return self._stop_reason is None or self._blocks.are_open

    def _first_chunk(self, kind: DeltaKind, at: float) -> tuple[Fact, ...]:
        self._first_chunk_at = at
        self._pacing.first_chunk(self._first_wait, at)
        self._hidden_thinking = self._hidden_thinking and kind != "thinking"
        return (FirstToken(kind, at - self.started_at),)

    def _event(self, gap: float, at: float) -> tuple[Fact, ...]:
        wait = gap + self._waited - self._blocked
        stalls = self._wait_ends(gap, at)
        if self._first_chunk_at is not None:
            self._pacing.between_chunks(wait, self._last_chunk_at)
        return stalls

    def _empty_delta(self, index: object, gap: float, at: float) -> None:
        """The first one of a block is how the provider begins it; any other is a keep-alive."""
        self._event_at = at
        self._waits_since = at - gap if self._waits_since is None else self._waits_since
        self._waited += gap
        self._last_kind = None  # the next chunk goes on with no chunk
        if index != self._empty_index and not self._blocks.has_chunks(index):
            self._empty_index = index
        else:
            self._keepalives += 1

    def _wait_ends(self, gap: float, at: float) -> tuple[Stall, ...]:
        """Silence before the first chunk is no stall."""
        self.wait_count += 1
        if gap < SHORTEST_GAP and at <= self._pacing.settles_at and not (self._waited or self._keepalives):
            return ()  # most waits
        start = at - gap if self._waits_since is None else self._waits_since
        wait = Wait(start - self.started_at, gap + self._waited, self._blocked, self._keepalives)
        self._waits_since = None
        self._waited = self._blocked = 0.0
        self._keepalives = 0
        self._keepalive_count += wait.keepalives
        if self._first_chunk_at is not None:
            return self._pacing.waited(wait, at, self.phase)
        self._first_wait += wait.seconds - wait.blocked
        self._blocked_time += wait.blocked
        return ()

    def _outcome(self, ending: Ending) -> Outcome | None:
        if ending.verdict in _OUTCOMES:
            return _OUTCOMES[ending.verdict]
        return "aborted" if self._stop_reason is None else "complete"

    def _summary(
        self, ending: Ending, ended_at: float, phase: Phase, at_the_end: tuple[Fact, ...], *, partial: bool
    ) -> Summary:
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
            rebuffer=self._reading_buffer.rebuffer,
            blocked_time=self._blocked_time + self._pacing.blocked_time,
            keepalive_count=self._keepalive_count + self._keepalives,
            thinking_time=blocks.thinking_time,
            chunk_count=blocks.chunk_count,
            chars=blocks.chars,
            block_count=blocks.count,
            tool_call_count=calls.count,
            tool_calls_completed=calls.completed,
            tool_calls_incomplete=calls.incomplete,
            tool_calls_invalid=calls.invalid,
            looks_for_loops=self._loops != "off",
            loop=blocks.loop,
            at_the_end=at_the_end,
            looks_for_rumination=self._rumination_in != "off",
            rumination=blocks.rumination,
            refusal=self._refusal,
            fallback=self._fallback,
            fallback_count=self._fallback_count,
        )

    def _time_per_output_token(self) -> float | None:
        """From the first chunk to the last, over the tokens after the first.

        Hidden thinking comes before the first chunk, but its tokens are among those of the output.
        """
        tokens = self._usage.output_tokens
        is_hidden = self._hidden_thinking or (self._usage.reasoning_tokens and not self._blocks.chars["thinking"])
        if is_hidden and tokens is not None:
            thinking_tokens = self._usage.reasoning_tokens
            tokens = None if thinking_tokens is None else tokens - thinking_tokens
        if self._first_chunk_at is None or self._last_chunk_at is None or self._blocks.chunk_count < 2 or not tokens:  # noqa: PLR2004
            return None
        return (self._last_chunk_at - self._first_chunk_at) / (tokens - 1) if tokens > 1 else None

    def _pace(self, ended_at: float) -> Pace:
        if self._first_chunk_at is None or self._last_chunk_at is None:
            return Pace()
        return self._pacing.pace(self._first_chunk_at, ended_at, chunk_count=self._blocks.chunk_count)

    def _offset(self, at: float | None) -> float | None:
        return None if at is None else at - self.started_at


def _differs(known: str | None, other: str | None) -> bool:
    return known is not None and other is not None and known != other
