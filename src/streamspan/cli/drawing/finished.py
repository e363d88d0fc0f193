"""One finished stream as plain data, wherever its span comes from, and what it says in words.

Unknown is absent: an attribute that the span does not have gives None, and no words. What the span says may come from a
stranger: words are printable and not long, numbers are finite.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Literal

from opentelemetry.util.types import AttributeValue

from streamspan import semconv

SHORTEST_IN_SECONDS = 0.1
SLOW_READER_FROM = 0.5
"""Seconds of the reader's own time; less is not worth a word, whoever had the larger share."""
LONGEST_WORD = 200
NANOSECONDS = 1e9

Finding = Literal["stall", "loop", "buffered", "slow reader"]


@dataclass(frozen=True, slots=True)
class StreamEvent:
    name: str
    offset: float
    """Seconds from the start of the call."""
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class FinishedStream:
    name: str
    duration: float
    """Seconds."""
    status: str
    """`UNSET`, `OK` or `ERROR`."""
    attributes: Mapping[str, AttributeValue]
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
    attributes: Mapping[str, AttributeValue],
    events: Iterable[tuple[str, int, Mapping[str, AttributeValue]]],
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


def number(attributes: Mapping[str, AttributeValue], name: str) -> float | None:
    value = attributes.get(name)
    return value if isinstance(value, int | float) and isfinite(value) else None


def word(attributes: Mapping[str, AttributeValue], name: str) -> str | None:
    value = attributes.get(name)
    return printable(value) if isinstance(value, str) else None


def printable(text: str, chars_at_most: int = LONGEST_WORD) -> str:
    """On one line, without what could move a terminal's cursor or do worse there; a longer text is cut."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:chars_at_most])
    return "".join(escaped)


def seconds(duration: float) -> str:
    return f"{duration:.2f} s" if duration >= SHORTEST_IN_SECONDS else f"{duration * 1000:.0f} ms"


def headline(stream: FinishedStream) -> str:
    """The outcome and why, where the stream was if it did not come to its end, and what happened inside."""
    attributes = stream.attributes
    phase = word(attributes, semconv.PHASE)
    words = [
        stream.outcome.upper(),
        stream.stop_reason,
        stream.abort_reason,
        word(attributes, semconv.ERROR_TYPE),
        f"in phase {phase}" if phase else None,
    ]
    if completed := number(attributes, semconv.ABORT_TOOL_CALLS_COMPLETED):
        words.append(f"after {completed} completed tool call{'s' if completed > 1 else ''}")
    words += [_told(finding, attributes) for finding in findings(stream)]
    return ", ".join(filter(None, words))


def _told(finding: Finding, attributes: Mapping[str, AttributeValue]) -> str:
    if finding == "stall":
        count, time = number(attributes, semconv.STALL_COUNT), number(attributes, semconv.STALL_TIME)
        return f"stalled {count}x" if time is None else f"stalled {count}x {seconds(time)}"
    if finding == "loop" and attributes.get(semconv.REPETITION_KIND) == "tool_call":
        return f"same tool call {number(attributes, semconv.REPETITION_COUNT)}x"
    if finding == "loop":
        start = number(attributes, semconv.REPETITION_START)
        verb = "looped" if attributes.get(semconv.REPETITION_RECOVERED) is True else "looping"
        return verb if start is None else f"{verb} from char {start}"
    return finding


def facts(stream: FinishedStream) -> Iterator[str]:
    """The few facts that matter, most important first."""
    attributes = stream.attributes
    if stream.first_chunk is not None:
        yield f"first chunk {seconds(stream.first_chunk)}"
    first_text = number(attributes, semconv.TIME_TO_FIRST_TEXT)
    if first_text is not None and first_text != stream.first_chunk:
        yield f"first text {seconds(first_text)}"
    if stream.stop_reason:
        yield f"stop reason {stream.stop_reason}"
    tokens = {"in": stream.input_tokens, "out": stream.output_tokens}
    if counts := [f"{count} {way}" for way, count in tokens.items() if count is not None]:
        yield f"tokens {', '.join(counts)}"
    yield from _chars(stream)
    yield from _loop(attributes)
    yield from _pace(attributes)
    yield from _tool_calls(stream)
    if retries := number(attributes, semconv.HTTP_REQUEST_RESEND_COUNT):
        yield f"retries {retries}"
    if status := number(attributes, semconv.HTTP_RESPONSE_STATUS_CODE):
        yield f"HTTP {status}"
    if attributes.get(semconv.ABORT_CONNECTION_CLOSED) is False:
        yield "connection left open"
    if dropped := number(attributes, semconv.EVENTS_DROPPED):
        yield f"events dropped {dropped}"


def _chars(stream: FinishedStream) -> Iterator[str]:
    names = {"text": semconv.TEXT_CHARS, "thinking": semconv.THINKING_CHARS, "tool input": semconv.TOOL_INPUT_CHARS}
    counts = {kind: number(stream.attributes, name) for kind, name in names.items()}
    delivered = [f"{count} {kind}" for kind, count in counts.items() if count]
    if delivered:
        yield f"chars {' + '.join(delivered)}"


def _loop(attributes: Mapping[str, AttributeValue]) -> Iterator[str]:
    channel = word(attributes, semconv.REPETITION_CHANNEL)
    if channel is None:
        return
    count = number(attributes, semconv.REPETITION_COUNT)
    period = number(attributes, semconv.REPETITION_PERIOD)
    time = number(attributes, semconv.REPETITION_TIME) or 0.0
    if attributes.get(semconv.REPETITION_KIND) == "tool_call":
        yield f"same tool call {count} x, {seconds(time)}"
        return
    yield f"loop in {channel.replace('_', ' ')} {count} x {period} chars, {seconds(time)}"


def _pace(attributes: Mapping[str, AttributeValue]) -> Iterator[str]:
    names = {"provider": semconv.PROVIDER_TIME, "reader": semconv.CONSUMER_TIME}
    if waited := _durations(attributes, names):
        yield f"waited for {waited}"
    names = {"p50": semconv.CHUNK_GAP_P50, "p95": semconv.CHUNK_GAP_P95, "max": semconv.CHUNK_GAP_MAX}
    if gaps := _durations(attributes, names):
        yield f"gap {gaps}"
    if (per_token := number(attributes, semconv.TIME_PER_OUTPUT_TOKEN)) is not None:
        yield f"per token {seconds(per_token)}"
    if (pause := number(attributes, semconv.TOOL_CALL_PAUSE)) is not None:
        yield f"pause before a tool call {seconds(pause)}"


def _durations(attributes: Mapping[str, AttributeValue], names: Mapping[str, str]) -> str:
    durations = {what: number(attributes, name) for what, name in names.items()}
    return ", ".join(f"{what} {seconds(duration)}" for what, duration in durations.items() if duration is not None)


def _tool_calls(stream: FinishedStream) -> Iterator[str]:
    count = number(stream.attributes, semconv.TOOL_CALL_COUNT)
    if not count:
        return
    incomplete = number(stream.attributes, semconv.TOOL_CALL_INCOMPLETE) or 0
    invalid = number(stream.attributes, semconv.TOOL_CALL_INVALID_JSON) or 0
    parts = {"completed": count - incomplete - invalid, "incomplete": incomplete, "invalid JSON": invalid}
    yield "tool calls " + ", ".join(f"{part} {what}" for what, part in parts.items() if part)
