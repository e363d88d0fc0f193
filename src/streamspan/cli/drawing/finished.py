"""One finished stream as plain data, wherever its span comes from.

Unknown is absent: an attribute that the span does not have gives None. What the span says may come from a stranger:
words are printable and not long, numbers are finite.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Literal

from opentelemetry.util.types import AttributeValue

from streamspan import semconv

SLOW_READER_FROM = 0.5
"""Seconds of the reader's own time; less is not worth a word, whoever had the larger share."""
LONGEST_WORD = 200
NANOSECONDS = 1e9

Attributes = Mapping[str, AttributeValue]
Finding = Literal["stall", "loop", "buffered", "slow reader"]


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
    """What happened inside. Slow reader: the program took longer than the provider, from the first chunk on."""
    attributes = stream.attributes
    provider_time = number(attributes, semconv.PROVIDER_TIME) or 0
    consumer_time = number(attributes, semconv.CONSUMER_TIME) or 0
    is_found: dict[Finding, bool] = {
        "stall": bool(number(attributes, semconv.STALL_COUNT)),
        "loop": attributes.get(semconv.REPETITION_DETECTED) is True,
        "buffered": attributes.get(semconv.BUFFERED) is True,
        "slow reader": consumer_time > max(provider_time, SLOW_READER_FROM),
    }
    return tuple(finding for finding, found in is_found.items() if found)


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
