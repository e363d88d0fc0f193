"""The rows of a waterfall: a bar for each wait and each content block, with what is drawn over it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from streamspan import semconv

from .finished import (
    FinishedStream,
    StreamEvent,
    Who,
    findings,
    is_fallback_block,
    number,
    shares,
    stalled_for,
    word,
)
from .words import SHORTEST_IN_SECONDS, seconds

CLOCKS_DIFFER_BY = 0.001
"""Seconds at the most: an event has the time of the wall, the durations in it have that of a steady clock."""
_STALL_WORDS: Mapping[Who, str] = {"model": "froze", "way": "held back", "event loop": "loop blocked"}
OUTCOME_STYLES = {"complete": "bold green", "truncated": "bold yellow", "error": "bold red", "aborted": "bold magenta"}


WHO_STYLES: Mapping[Who, str] = {
    "model": "bold red",
    "way": "bold magenta",
    "event loop": "bold yellow",
    "reader": "bold blue",
}
WAITED_FOR: Mapping[Who, str] = {"model": "╌", "way": "═", "event loop": "┼", "reader": "▁"}
WAITED_FOR_IN_ASCII: Mapping[Who, str] = {"model": "-", "way": ":", "event loop": "+", "reader": "_"}


@dataclass(frozen=True, slots=True)
class Symbols:
    """What a drawing is made of."""

    waiting: str
    text: str
    thinking: str
    tool: str
    waited_for: Mapping[Who, str]
    loop: str
    tick: str
    first_chunk: str
    whole: str
    cut: str
    other_model: str
    end: str
    separator: str


UNICODE = Symbols("░", "█", "▒", "▓", WAITED_FOR, "▚", "│", "◆", "✓", "✗", "→", "■", " · ")
ASCII = Symbols(".", "#", "~", "=", WAITED_FOR_IN_ASCII, "%", "|", "*", "v", "x", ">", "!", " | ")


@dataclass(frozen=True, slots=True)
class Part:
    """What is drawn over a part of a bar, in the middle of it the first of its labels for which there is room.

    is_silence  what came before it and after it is seen, however quickly it came
    """

    start: float
    end: float
    bar: str
    style: str
    labels: Sequence[str]
    is_silence: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the chart: a bar from `start` to `end`, a mark where it ends, a note beside the mark."""

    label: str
    start: float
    end: float
    bar: str = " "
    style: str = ""
    mark: str = ""
    mark_style: str = ""
    note: str = ""
    measure: str = ""
    parts: Sequence[Part] = ()


def rows(stream: FinishedStream, symbols: Symbols) -> Iterator[Row]:
    if stream.is_observed:
        yield waiting_row(stream, symbols)
    parts = [*stalls(stream, symbols), *loops(stream, symbols)]
    found = findings(stream)
    all_at_once = "all at once" if "buffered" in found and "held back" not in found else ""
    has_fallback_events = any(event.name == semconv.EVENT_FALLBACK for event in stream.events)
    for event, following in zip_longest(stream.events, stream.events[1:]):
        if event.name == semconv.EVENT_REFUSAL:
            yield mark_row("refusal", event, symbols.cut, word(event.attributes, semconv.REFUSAL_CATEGORY) or "refused")
        elif event.name == semconv.EVENT_FALLBACK:
            yield mark_row("fallback", event, symbols.other_model, word(event.attributes, semconv.FALLBACK_TO) or "")
        elif event.name == semconv.EVENT_CONTENT_BLOCK and not (has_fallback_events and is_fallback_block(event)):
            has_tool_call = following is not None and following.name == semconv.EVENT_TOOL_CALL
            row = from_first_chunk(block_row(event, following if has_tool_call else None, symbols), stream)
            inside = [part for part in parts if row.start - CLOCKS_DIFFER_BY <= part.start < row.end]
            before = [part for part in parts if part not in inside and part.start < row.start]
            parts = [part for part in parts if part not in inside and part not in before]
            yield from map(silence_row, before)
            yield replace(row, parts=inside, note=row.note or all_at_once)
    yield from map(silence_row, parts)
    if not {"held back", "loop blocked", "slow reader"}.isdisjoint(found):
        yield waited_for_row(stream, symbols)
    yield Row(
        "end",
        start=stream.duration,
        end=stream.duration,
        mark=symbols.end,
        mark_style=OUTCOME_STYLES.get(stream.outcome, "bold"),
        note=stream.abort_reason or stream.outcome,
        measure=seconds(stream.duration),
    )


def waiting_row(stream: FinishedStream, symbols: Symbols) -> Row:
    """From the call to the first chunk, or to the end if none came."""
    if stream.first_chunk is None:
        return Row("waiting", 0, stream.duration, symbols.waiting, "dim")
    return Row(
        "waiting",
        0,
        stream.first_chunk,
        symbols.waiting,
        "dim",
        symbols.first_chunk,
        "bold",
        note="first chunk",
        measure=seconds(stream.first_chunk),
    )


def stalls(stream: FinishedStream, symbols: Symbols) -> Iterator[Part]:
    for event in stream.events:
        start, gap = number(event.attributes, semconv.OFFSET), number(event.attributes, semconv.STALL_GAP)
        if event.name == semconv.EVENT_STALL and start is not None and gap is not None:
            who = stalled_for(event)
            labels = stall_labels(who, gap, event)
            yield Part(start, start + gap, symbols.waited_for[who], WHO_STYLES[who], labels, is_silence=True)


def stall_labels(who: Who, gap: float, event: StreamEvent) -> Sequence[str]:
    """Longest first."""
    what = f"{_STALL_WORDS[who]} {seconds(gap)}"
    pings = number(event.attributes, semconv.STALL_KEEPALIVES) if who == "model" else None
    with_pings = [f"{what}, {pings} ping{'' if pings == 1 else 's'}"] if pings else []
    return [*with_pings, what, seconds(gap)]


def loops(stream: FinishedStream, symbols: Symbols) -> Iterator[Part]:
    """The first to its end, or that of the stream if it never left it; the others to where they were found."""
    for event in stream.events:
        if event.name != semconv.EVENT_REPETITION:
            continue
        start = event.offset - (number(event.attributes, semconv.REPETITION_TIME) or 0.0)
        place = (semconv.REPETITION_CHANNEL, semconv.REPETITION_START)
        is_first = all(event.attributes.get(name) == stream.attributes.get(name) for name in place)
        latest = stream.attributes if is_first else event.attributes
        went_on = latest.get(semconv.REPETITION_RECOVERED) is False
        end = stream.duration if went_on else start + (number(latest, semconv.REPETITION_TIME) or 0.0)
        count = number(latest, semconv.REPETITION_COUNT)
        label = "loop" if count is None else f"loop, {count} times"
        yield Part(start, end, symbols.loop, "red", [label])


def mark_row(label: str, event: StreamEvent, mark: str, note: str) -> Row:
    """What has no duration."""
    return Row(label, event.offset, event.offset, mark=mark, mark_style="bold red", note=note)


def silence_row(part: Part) -> Row:
    """Between two blocks."""
    return Row("silence", part.start, part.end, part.bar, part.style, parts=[part])


def waited_for_row(stream: FinishedStream, symbols: Symbols) -> Row:
    """From the first chunk to the end: the share of each who was waited for. Not where the waits were."""
    start = end = stream.first_chunk or 0.0
    parts: list[Part] = []
    for who, time in shares(stream).items():
        style = "dim" if who == "model" else WHO_STYLES[who]
        if time >= SHORTEST_IN_SECONDS:
            parts.append(Part(end, end + time, symbols.waited_for[who], style, [f"{who} {seconds(time)}", who]))
        end += time
    return Row("waited for", start, end, symbols.waited_for["model"], "dim", parts=parts)


def block_row(block: StreamEvent, tool_call: StreamEvent | None, symbols: Symbols) -> Row:
    """A content block, under the name of its tool if it is a tool call."""
    block_type = word(block.attributes, semconv.BLOCK_TYPE) or "?"
    start = number(block.attributes, semconv.BLOCK_START) or 0.0
    duration = number(block.attributes, semconv.BLOCK_DURATION) or 0.0
    if tool_call is None:
        label, whole = block_type, block.attributes.get(semconv.BLOCK_COMPLETE) is True
    else:
        label = word(tool_call.attributes, semconv.TOOL_NAME) or block_type
        whole = tool_call.attributes.get(semconv.TOOL_CALL_COMPLETE) is True
    bar, style = block_bar(block_type, symbols, is_tool_call=tool_call is not None)
    return Row(
        label,
        start,
        start + duration,
        bar,
        style,
        mark=symbols.cut if not whole else symbols.whole if tool_call else "",
        mark_style="bold green" if whole else "bold red",
        note="" if whole else "incomplete",
        measure=f"{seconds(duration)} {number(block.attributes, semconv.BLOCK_CHARS) or 0:>5} ch",
    )


def from_first_chunk(row: Row, stream: FinishedStream) -> Row:
    """Without what is before the stream's first chunk: a block may be announced well before."""
    return replace(row, start=min(max(row.start, stream.first_chunk or 0.0), row.end))


def block_bar(block_type: str, symbols: Symbols, *, is_tool_call: bool) -> tuple[str, str]:
    """The character and the style of a block's bar."""
    if is_tool_call or block_type.endswith("tool_use"):
        return symbols.tool, "yellow"
    if "thinking" in block_type or "reasoning" in block_type:
        return symbols.thinking, "blue"
    return symbols.text, "cyan"
