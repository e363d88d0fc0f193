"""The records that describe a stream: what ended it, what happened in it, and the Summary at its end.

Records that every stream has are named tuples, because a frozen dataclass of thirty fields takes 10 us to make.

Glossary
    event    one message of the provider that reaches the application; a keep-alive does not
    chunk    a delta that carries content: text, thinking or tool input. A delta without any is no chunk
    keep-alive  what the line carries to say that it lives: a ping, a comment, a delta without content
    chars    Unicode code points
    block    a content block; some blocks are tool calls
    channel  everything that a stream has of one kind: its text, its thinking, its tool input
    gap      the seconds for which the reader waited until the next event came. A keep-alive ends no gap
    time     seconds on the caller's clock; a name in `_at` is a point on it, all others are durations or offsets
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Literal, NamedTuple

Outcome = Literal["complete", "truncated", "error", "aborted"]
Phase = Literal["opening", "waiting", "thinking", "text", "tool_input", "between_blocks", "after_stop_reason"]
AbortReason = Literal["closed", "cancelled", "dropped", "never_read", "consumer_error", "shutdown"]
Verdict = Literal["complete", "truncated", "error", "unobserved"] | AbortReason
"""How a stream ended: `unobserved`, where nobody saw its events, or why its reader left, or the outcome itself."""
DeltaKind = Literal["text", "thinking", "tool_input"]
BlockKind = Literal["text", "thinking", "hidden_thinking", "tool_call", "other"]
"""What a block delivers. Hidden thinking is thinking whose content the provider does not send in plain text."""
LoopKind = Literal["exact", "drift", "tool_call"]
"""The copies are the same, or nearly so; or the same tool call, name and input, comes again and again."""
WaitedFor = Literal["provider", "transit", "event_loop"]
"""Who made the reader wait: the provider, something on the way from it, or the reader's own event loop."""
LivePhase = Literal["opening", "waiting", "thinking", "streaming", "after_stop_reason"]
"""Where an open stream is, in fewer words than `Phase`."""
FallbackTrigger = Literal["refusal", "second_message", "_OTHER"]
"""Why another model went on: the first one declined, or a second message began in the stream."""

TRUNCATED = "stream_truncated"
"""The `error.type` of a stream whose body ended without the provider's own end."""

_COUNTS_AT_MOST = 32  # of the provider's own
_ITERATIONS_AT_MOST = 8  # types and models


class Ending(NamedTuple):
    """How a stream ended. `at` is None where nobody knows when; then the last activity counts."""

    verdict: Verdict
    at: float | None = None
    error_type: str | None = None


@dataclass(frozen=True, slots=True)
class BlockStart:
    """A block that begins. `type` is the provider's word; the name and the id are those of a tool call.

    plain_input  the input of the tool call is text of any kind, not JSON
    """

    index: int
    type: str
    kind: BlockKind
    tool_name: str | None = None
    tool_id: str | None = None
    plain_input: bool = False


class IterationTokens(NamedTuple):
    """Tokens of steps inside the call that the usage itself leaves out: those of one type, by one model."""

    type: str
    model: str | None
    input_tokens: int
    output_tokens: int


class Usage(NamedTuple):
    """Token counts as the provider reports them, None where it has not. `more`: its own, by attribute name."""

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    more: Mapping[str, int] = MappingProxyType({})
    iterations: tuple[IterationTokens, ...] = ()

    @property
    def all_input_tokens(self) -> int | None:
        """With those read from the cache and written to it."""
        if self.input_tokens is None:
            return None
        return self.input_tokens + (self.cache_read_tokens or 0) + (self.cache_write_tokens or 0)

    def replaced_by(self, newer: "Usage") -> "Usage":
        """The counts are cumulative: a newer one replaces, unless it is lower, and None replaces nothing.

        Where the newer usage leaves steps out, a lower count replaces, too: the one before had the tokens of a step.
        """
        count = _newer if newer.iterations else _greater
        return Usage(
            count(self.input_tokens, newer.input_tokens),
            count(self.cache_read_tokens, newer.cache_read_tokens),
            count(self.cache_write_tokens, newer.cache_write_tokens),
            count(self.output_tokens, newer.output_tokens),
            count(self.reasoning_tokens, newer.reasoning_tokens),
            _greater_counts(self.more, newer.more),
            _greater_iterations(self.iterations, newer.iterations),
        )


def _newer(older: int | None, newer: int | None) -> int | None:
    return older if newer is None else newer


def _greater(older: int | None, newer: int | None) -> int | None:
    return newer if older is None or (newer is not None and newer > older) else older


def _greater_counts(older: Mapping[str, int], newer: Mapping[str, int]) -> Mapping[str, int]:
    if not newer:
        return older
    counts = dict(older)
    for name, count in newer.items():
        if name in counts or len(counts) < _COUNTS_AT_MOST:
            counts[name] = max(count, counts.get(name, 0))
    return counts


def _greater_iterations(
    older: tuple[IterationTokens, ...], newer: tuple[IterationTokens, ...]
) -> tuple[IterationTokens, ...]:
    if not newer:
        return older
    tokens = {entry[:2]: entry for entry in older}
    for entry in newer:
        known = tokens.get(entry[:2], entry)
        tokens[entry[:2]] = entry._replace(
            input_tokens=max(entry.input_tokens, known.input_tokens),
            output_tokens=max(entry.output_tokens, known.output_tokens),
        )
    return tuple(islice(tokens.values(), _ITERATIONS_AT_MOST))


# --- what happens in a stream --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FirstToken:
    """The first chunk came `time` seconds after the call."""

    kind: DeltaKind
    time: float


@dataclass(frozen=True, slots=True)
class Stall:
    """A long wait that is over.

    start       an offset from the call
    waited_for  whom it is ascribed to: the rules are those of `pacing.py`
    keepalives  how many came meanwhile; 0: the line was dead
    released    chunks that arrived within 50 ms of its end. One: a model goes on. Many: something had held them back
    """

    start: float
    gap: float
    phase: Phase
    waited_for: WaitedFor = "provider"
    keepalives: int = 0
    released: int = 0


@dataclass(frozen=True, slots=True)
class Loop:
    """Content that repeats itself, as of now.

    start      chars into the channel
    period     chars of what comes again
    count      full cycles, or equal tool calls
    chars      of the loop
    time       from the loop's first char to its last; its start is known to the next 160 chars or so
    recovered  the content has left the loop and gone on
    """

    channel: DeltaKind
    kind: LoopKind
    start: int
    period: int
    count: int
    chars: int
    time: float
    recovered: bool


@dataclass(frozen=True, slots=True)
class Rumination:
    """Content that goes on without saying anything new, in other words or in another order.

    start  chars into the channel, to about the next 640
    chars  from there until it was seen
    share  of the words in a row that had come before
    time   from its first char until it was seen
    """

    channel: DeltaKind
    start: int
    chars: int
    share: float
    time: float


class ToolCall(NamedTuple):
    name: str | None
    id: str | None
    type: str
    input_chars: int
    complete: bool
    valid_json: bool


@dataclass(frozen=True, slots=True)
class ContentBlock:
    """A block that has stopped, or that the end of its stream has cut off (`complete` is false).

    stopped  its own stop has come; else the end of its message has closed it, or it was cut
    """

    index: int
    type: str
    start: float
    duration: float
    chars: int
    chunk_count: int
    complete: bool
    tool_call: ToolCall | None
    stopped: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declined. None: the provider names no category that is known."""

    category: str | None


@dataclass(frozen=True, slots=True)
class Fallback:
    """Another model goes on. None: it is not known which model it was. `category`: of the refusal that triggered it."""

    from_model: str | None
    to_model: str | None
    trigger: FallbackTrigger
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """The time from one chunk to the next, where each chunk is reported."""

    seconds: float


Fact = FirstToken | Stall | Loop | Rumination | ContentBlock | Refusal | Fallback
"""What becomes an event on the timeline."""
Report = Fact | Interval
"""What the core tells of an event."""

AttributeValue = bool | int | float | str | Sequence[bool] | Sequence[int] | Sequence[float] | Sequence[str]


@dataclass(frozen=True, slots=True)
class Note:
    """An event of the application's own: its name, its attributes, and where the stream was."""

    name: str
    attributes: Mapping[str, AttributeValue]
    offset: float
    chars_delivered: int


# --- the end -------------------------------------------------------------------------------------------------------


class Pace(NamedTuple):
    """Who was waited for, and how long: the rules are those of `pacing.py`. None: too little came to know it."""

    gap_p50: float | None = None
    gap_p95: float | None = None
    gap_max: float | None = None
    provider_time: float | None = None
    transit_time: float | None = None
    consumer_time: float | None = None
    stall_count: int = 0
    stall_time: float = 0.0
    tool_call_pause: float | None = None
    buffered: bool | None = None


class Rebuffer(NamedTuple):
    """How a person who reads the text as it comes gets on, in seconds: the rules are those of `rebuffer.py`."""

    reading_time: float
    waiting_time: float
    pause_count: int

    @property
    def ratio(self) -> float:
        """Waiting, of all the time."""
        total = self.reading_time + self.waiting_time
        return self.waiting_time / total if total else 0.0


class Summary(NamedTuple):
    """Everything known of a stream at its end; None where it is not known. Times are seconds from the call."""

    outcome: Outcome | None
    partial: bool
    phase: Phase
    abort_reason: str | None
    """An AbortReason, or the application's own word."""
    connection_closed: bool | None
    """None: it is not known whether the connection was closed."""
    error_type: str | None
    duration: float
    time_to_headers: float | None
    time_to_first_chunk: float | None
    time_to_first_text: float | None
    time_per_output_token: float | None
    response_id: str | None
    model: str | None
    stop_reason: str | None
    usage: Usage
    pace: Pace
    rebuffer: Rebuffer | None
    """None: no text has come."""
    blocked_time: float
    """In which the reader waited for its own event loop."""
    keepalive_count: int
    thinking_time: float | None
    """In blocks of thinking. None: there was none."""
    chunk_count: int
    chars: Mapping[DeltaKind, int]
    block_count: int
    tool_call_count: int
    tool_calls_completed: int
    tool_calls_incomplete: int
    tool_calls_invalid: int
    looks_for_loops: bool
    loop: Loop | None
    """The first one."""
    at_the_end: tuple[Fact, ...]
    """What the end itself has shown, in order: a stall, a loop, the blocks that it cut."""
    looks_for_rumination: bool = False
    rumination: Rumination | None = None
    """The first one."""
    refusal: Refusal | None = None
    fallback: Fallback | None = None
    """From the first model to the last; the trigger is that of the last fallback."""
    fallback_count: int = 0
