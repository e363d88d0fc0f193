"""One finished stream as plain data, wherever its span comes from.

Unknown is absent: an attribute that the span does not have gives None. What the span says may come from a stranger:
words are printable and not long, numbers are finite.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Literal, get_args

from opentelemetry.util.types import AttributeValue

from streamspan import semconv

LEAST_WAIT = 0.5
"""Seconds for which somebody else than the model was waited for; less is not worth a word."""
SLOWER_THAN_READING_FROM = 0.05
"""As the metric of anomalies has it."""
LONGEST_WORD = 200
NANOSECONDS = 1e9

Attributes = Mapping[str, AttributeValue]
Who = Literal["model", "way", "event loop", "reader"]
Finding = Literal[
    "tool call before abort",
    "stall",
    "buffered",
    "held back",
    "loop blocked",
    "slow reader",
    "slower than reading",
    "loop",
    "refused",
    "falls back",
    "incomplete tool call",
    "invalid tool call",
    "retried",
]
FINDINGS: tuple[Finding, ...] = get_args(Finding)
COUNTS: Mapping[Finding, str] = {
    "tool call before abort": semconv.ABORT_TOOL_CALLS_COMPLETED,
    "stall": semconv.STALL_COUNT,
    "incomplete tool call": semconv.TOOL_CALL_INCOMPLETE,
    "invalid tool call": semconv.TOOL_CALL_INVALID_JSON,
    "retried": semconv.HTTP_REQUEST_RESEND_COUNT,
}
"""What a stream can have several times."""
_REFUSALS = {"refusal", "content_filter"}
"""Stop reasons."""
SHARES: Mapping[Who, str] = {
    "model": semconv.PROVIDER_TIME,
    "way": semconv.TRANSIT_TIME,
    "event loop": semconv.BLOCKED_TIME,
    "reader": semconv.CONSUMER_TIME,
}
"""The seconds for which each was waited for after the first chunk."""
_STALLED_FOR: Mapping[str, Who] = {"provider": "model", "transit": "way", "event_loop": "event loop"}


@dataclass(frozen=True, slots=True)
class StreamEvent:
    name: str
    offset: float
    """Seconds from the start of the call."""
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class FinishedStream:
    name: str
    duration: float
    """Seconds."""
    status: str
    """`UNSET`, `OK` or `ERROR`."""
    attributes: Attributes
    events: Sequence[StreamEvent]

    @property
    def is_observed(self) -> bool:
        """False where the body was read as bytes: nothing is known of its events."""
        return semconv.OUTCOME in self.attributes

    @property
    def outcome(self) -> str:
        return word(self.attributes, semconv.OUTCOME) or "not observed"

    @property
    def abort_reason(self) -> str | None:
        return word(self.attributes, semconv.ABORT_REASON)

    @property
    def stop_reason(self) -> str | None:
        return word(self.attributes, semconv.STOP_REASON)

    @property
    def first_chunk(self) -> float | None:
        return number(self.attributes, semconv.RESPONSE_TIME_TO_FIRST_CHUNK)

    @property
    def input_tokens(self) -> float | None:
        return number(self.attributes, semconv.USAGE_INPUT_TOKENS)

    @property
    def output_tokens(self) -> float | None:
        return number(self.attributes, semconv.USAGE_OUTPUT_TOKENS)


def finished_stream(
    name: str,
    span_ns: tuple[int, int],
    status: str,
    attributes: Attributes,
    events: Iterable[tuple[str, int, Attributes]],
) -> FinishedStream:
    """Of a span that has ended. span_ns: its start and its end; events: name, time in nanoseconds, attributes."""
    start, end = span_ns
    return FinishedStream(
        name=name,
        duration=(end - start) / NANOSECONDS,
        status=status,
        attributes=attributes,
        events=[StreamEvent(name, (at - start) / NANOSECONDS, attributes) for name, at, attributes in events],
    )


def as_data(stream: FinishedStream) -> dict[str, object]:
    """For JSON."""
    return asdict(stream)


def findings(stream: FinishedStream) -> tuple[Finding, ...]:
    """What happened inside. Slow reader: the program took longer than all that it waited for after the first chunk."""
    attributes = stream.attributes
    waited = shares(stream)
    longest = max(sum(waited.values()) - waited["reader"], LEAST_WAIT)
    is_found: dict[Finding, bool] = {
        **{finding: bool(number(attributes, name)) for finding, name in COUNTS.items()},
        "buffered": attributes.get(semconv.BUFFERED) is True,
        "held back": waited["way"] >= LEAST_WAIT,
        "loop blocked": waited["event loop"] >= LEAST_WAIT,
        "slow reader": waited["reader"] > longest,
        "slower than reading": (number(attributes, semconv.REBUFFER_RATIO) or 0) > SLOWER_THAN_READING_FROM,
        "loop": attributes.get(semconv.REPETITION_DETECTED) is True,
        "refused": stream.stop_reason in _REFUSALS or semconv.REFUSAL_CATEGORY in attributes,
        "falls back": semconv.FALLBACK_TRIGGER in attributes,
    }
    return tuple(finding for finding in FINDINGS if is_found[finding])


def shares(stream: FinishedStream) -> Mapping[Who, float]:
    """The seconds for which each was waited for after the first chunk; 0 where that is not known."""
    return {who: number(stream.attributes, name) or 0.0 for who, name in SHARES.items()}


def is_fallback_block(event: StreamEvent) -> bool:
    """Whether it is the block that stands where another model went on."""
    return event.name == semconv.EVENT_CONTENT_BLOCK and event.attributes.get(semconv.BLOCK_TYPE) == "fallback"


def stalled_for(event: StreamEvent) -> Who:
    """Who was waited for in this stall; the model, if it does not say."""
    return _STALLED_FOR.get(word(event.attributes, semconv.STALL_WAITED_FOR) or "", "model")


def number(attributes: Attributes, name: str) -> float | None:
    value = attributes.get(name)
    return value if isinstance(value, int | float) and isfinite(value) else None


def word(attributes: Attributes, name: str) -> str | None:
    value = attributes.get(name)
    return printable(value) if isinstance(value, str) else None


def printable(text: str, chars_at_most: int = LONGEST_WORD) -> str:
    """On one line, without what could move a terminal's cursor or do worse there; a longer text is cut."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:chars_at_most])
    return "".join(escaped)
