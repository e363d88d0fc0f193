"""What a finished stream says, in words. What is not known has none."""

from collections.abc import Iterator, Mapping

from streamspan import semconv

from .finished import (
    COUNTS,
    SHARES,
    Attributes,
    Finding,
    FinishedStream,
    Who,
    findings,
    number,
    stalled_for,
    word,
)

SHORTEST_IN_SECONDS = 0.1
_ALWAYS_NAMED = {"model", "reader"}
_SHARES_TOLD: Mapping[Finding, str] = {
    "held back": semconv.TRANSIT_TIME,
    "loop blocked": semconv.BLOCKED_TIME,
}


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
    words += [_told(finding, attributes) for finding in findings(stream)]
    return ", ".join(filter(None, words))


def _told(finding: Finding, attributes: Attributes) -> str:
    """With its number or its name, where that is known."""
    if finding in COUNTS:
        return _counted(finding, attributes)
    if finding == "loop" and attributes.get(semconv.REPETITION_KIND) == "tool_call":
        return f"same tool call {number(attributes, semconv.REPETITION_COUNT)}x"
    if finding == "loop":
        start = number(attributes, semconv.REPETITION_START)
        verb = "looped" if attributes.get(semconv.REPETITION_RECOVERED) is True else "looping"
        return verb if start is None else f"{verb} from char {start}"
    if finding == "refused":
        category = word(attributes, semconv.REFUSAL_CATEGORY)
        return f"refused ({category})" if category else "refused"
    if finding == "falls back":
        return f"fell back to {word(attributes, semconv.FALLBACK_TO) or 'another model'}"
    share = _SHARES_TOLD.get(finding)
    return f"{finding} {seconds(number(attributes, share) or 0.0)}" if share else finding


def _counted(finding: Finding, attributes: Attributes) -> str:
    count = number(attributes, COUNTS[finding]) or 0
    if finding == "stall":
        time = number(attributes, semconv.STALL_TIME)
        return f"stalled {count}x" if time is None else f"stalled {count}x {seconds(time)}"
    if finding == "retried":
        return f"retried {count}x"
    plural = "" if count == 1 else "s"
    return (
        f"after {count} completed tool call{plural}"
        if finding == "tool call before abort"
        else f"{count} {finding}{plural}"
    )


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
    yield from _fallback(attributes)
    yield from _waits(stream)
    yield from _pace(attributes)
    yield from _tool_calls(stream)
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


def _loop(attributes: Attributes) -> Iterator[str]:
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


def _fallback(attributes: Attributes) -> Iterator[str]:
    from_model, trigger = word(attributes, semconv.FALLBACK_FROM), word(attributes, semconv.FALLBACK_TRIGGER)
    if from_model or trigger:
        yield " ".join(filter(None, ["fell back", from_model and f"from {from_model}", trigger and f"({trigger})"]))


def _waits(stream: FinishedStream) -> Iterator[str]:
    """Who was waited for, what the waits ended with, and what a person who reads along had to wait."""
    attributes, found = stream.attributes, findings(stream)
    times = {who: number(attributes, name) for who, name in SHARES.items()}
    if waited := [
        f"{who} {seconds(time)}" for who, time in times.items() if time or (time == 0 and who in _ALWAYS_NAMED)
    ]:
        yield f"waited for {', '.join(waited)}"
    if pings := sum(_of_stalls(stream, "model", semconv.STALL_KEEPALIVES)):
        yield f"pings while it froze {pings}"
    if released := max(_of_stalls(stream, "way", semconv.STALL_RELEASED), default=0):
        yield f"up to {released} chunks at once"
    if "slower than reading" in found and (paused := number(attributes, semconv.REBUFFER_TIME)):
        yield f"a person who reads along waits {number(attributes, semconv.REBUFFER_COUNT) or 0}x {seconds(paused)}"


def _of_stalls(stream: FinishedStream, who: Who, name: str) -> Iterator[float]:
    """This number of each stall in which they were waited for."""
    for event in stream.events:
        if event.name == semconv.EVENT_STALL and stalled_for(event) == who:
            yield number(event.attributes, name) or 0


def _pace(attributes: Attributes) -> Iterator[str]:
    names = {"p50": semconv.CHUNK_GAP_P50, "p95": semconv.CHUNK_GAP_P95, "max": semconv.CHUNK_GAP_MAX}
    if gaps := _durations(attributes, names):
        yield f"gap {gaps}"
    if (per_token := number(attributes, semconv.TIME_PER_OUTPUT_TOKEN)) is not None:
        yield f"per token {seconds(per_token)}"
    if (pause := number(attributes, semconv.TOOL_CALL_PAUSE)) is not None:
        yield f"pause before a tool call {seconds(pause)}"


def _durations(attributes: Attributes, names: Mapping[str, str]) -> str:
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
