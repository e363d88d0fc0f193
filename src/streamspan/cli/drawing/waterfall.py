"""One finished stream, drawn as a waterfall: a time axis, a bar for each content block, a mark for what matters.

Draws what the span says: what is not known is left out. Works without colour, and in ASCII where the output has no
other characters.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from streamspan import semconv

from .finished import FinishedStream, StreamEvent, facts, findings, headline, number, seconds, word

LABEL_WIDTH = 13
MEASURE_WIDTH = 18
TICKS_AT_MOST = 5
NUMBERS = {"first\nchunk", "duration", "tokens\nout"}
CLOCKS_DIFFER_BY = 0.001
"""Seconds at the most: an event has the time of the wall, the durations in it have that of a steady clock."""
OUTCOME_STYLES = {"complete": "bold green", "truncated": "bold yellow", "error": "bold red", "aborted": "bold magenta"}


@dataclass(frozen=True, slots=True)
class Symbols:
    """What a drawing is made of."""

    waiting: str
    text: str
    thinking: str
    tool: str
    stall: str
    loop: str
    reader: str
    tick: str
    first_chunk: str
    whole: str
    cut: str
    end: str
    separator: str


UNICODE = Symbols("░", "█", "▒", "▓", "╌", "▚", "▁", "│", "◆", "✓", "✗", "■", " · ")
ASCII = Symbols(".", "#", "~", "=", "-", "%", "_", "|", "*", "v", "x", "!", " | ")


@dataclass(frozen=True, slots=True)
class Part:
    """What is drawn over a part of a bar, its label in the middle where there is room."""

    start: float
    end: float
    bar: str
    style: str
    label: str


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


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The drawing of a stream, with a title and a line about it."""

    title: str
    about: str
    stream: FinishedStream

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        symbols = ASCII if options.ascii_only else UNICODE
        outcome_style = OUTCOME_STYLES.get(self.stream.outcome, "bold")
        yield Text.assemble((self.title, "bold"), "  ", (headline(self.stream), outcome_style))
        yield Text(self.about, style="dim")
        yield from chart(self.stream, options.max_width, symbols)
        for line in lines(facts(self.stream), symbols.separator, options.max_width):
            yield Text(line, style="dim")


def chart(stream: FinishedStream, width: int, symbols: Symbols) -> Iterator[Text]:
    """The axis and the rows."""
    columns = max(width - LABEL_WIDTH - MEASURE_WIDTH, 10)
    end = max([stream.duration, *(event.offset for event in stream.events), 1e-6])
    columns_per_second = (columns - 1) / end
    yield Text(" " * LABEL_WIDTH + axis(end, columns_per_second, symbols.tick), style="dim")
    for row in rows(stream, symbols):
        yield line(within(row, end), columns, columns_per_second)


def within(row: Row, end: float) -> Row:
    """The row and its parts, none of which is before 0 or after `end`: a span may say what cannot be."""
    parts = [replace(part, start=clamped(part.start, end), end=clamped(part.end, end)) for part in row.parts]
    start = clamped(row.start, end)
    return replace(row, start=start, end=max(clamped(row.end, end), start), parts=parts)


def clamped(at: float, end: float) -> float:
    return min(max(at, 0.0), end)


def axis(end: float, columns_per_second: float, tick: str) -> str:
    """Ticks with their seconds."""
    step = tick_step(end)
    drawn = ""
    for count in range(int(end / step) + 1):
        drawn = drawn.ljust(round(count * step * columns_per_second)) + f"{tick}{count * step:g}"
    return f"{drawn} s"


def tick_step(end: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten seconds that gives few enough ticks."""
    steps = (factor * 10.0**power for power in range(-6, 6) for factor in (1, 2, 5))
    return next((step for step in steps if end / step <= TICKS_AT_MOST), end)


def rows(stream: FinishedStream, symbols: Symbols) -> Iterator[Row]:
    if stream.is_observed:
        yield waiting_row(stream, symbols)
    parts = [*stalls(stream, symbols), *loops(stream, symbols)]
    all_at_once = "all at once" if "buffered" in findings(stream) else ""
    for event, following in zip_longest(stream.events, stream.events[1:]):
        if event.name == semconv.EVENT_CONTENT_BLOCK:
            has_tool_call = following is not None and following.name == semconv.EVENT_TOOL_CALL
            row = block_row(event, following if has_tool_call else None, symbols)
            inside = [part for part in parts if row.start - CLOCKS_DIFFER_BY <= part.start < row.end]
            before = [part for part in parts if part not in inside and part.start < row.start]
            parts = [part for part in parts if part not in inside and part not in before]
            yield from map(silence_row, before)
            yield replace(row, parts=inside, note=row.note or all_at_once)
    yield from map(silence_row, parts)
    if "slow reader" in findings(stream):
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
            yield Part(start, start + gap, symbols.stall, "bold red", f"froze {seconds(gap)}")


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
        yield Part(start, end, symbols.loop, "red", label)


def silence_row(part: Part) -> Row:
    """Between two blocks."""
    return Row("silence", part.start, part.end, part.bar, part.style, parts=[part])


def waited_for_row(stream: FinishedStream, symbols: Symbols) -> Row:
    """From the first chunk to the end: the provider's share, then the reader's. Not where the waits were."""
    start = stream.first_chunk or 0.0
    middle = start + (number(stream.attributes, semconv.PROVIDER_TIME) or 0.0)
    end = middle + (number(stream.attributes, semconv.CONSUMER_TIME) or 0.0)
    share = Part(middle, end, symbols.reader, "bold red", f"reader {seconds(end - middle)}")
    return Row("waited for", start, end, symbols.waiting, "dim", parts=[share])


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
    bar, style = block_bar(block_type, symbols)
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


def block_bar(block_type: str, symbols: Symbols) -> tuple[str, str]:
    """The character and the style of a block's bar."""
    if block_type.endswith("tool_use"):
        return symbols.tool, "yellow"
    if "thinking" in block_type:
        return symbols.thinking, "blue"
    return symbols.text, "cyan"


def line(row: Row, columns: int, columns_per_second: float) -> Text:
    """The row, its note to the right of its mark, or to the left of its bar where the right has no room."""
    start, end = round(row.start * columns_per_second), round(row.end * columns_per_second)
    if row.bar != " ":
        end = max(end, start + 1)  # what came is seen, however quickly
    note_fits = end + len(row.mark) + 1 + len(row.note) <= columns
    note_left = f"{row.note} " if row.note and not note_fits and len(row.note) < start else ""
    drawn = Text.assemble(
        f"{row.label[: LABEL_WIDTH - 1]:<{LABEL_WIDTH}}",
        (f"{note_left:>{start}}", row.mark_style),
        bar(row, start, end, columns_per_second),
        (row.mark, row.mark_style),
        (f" {row.note}" if row.note and note_fits else "", row.mark_style),
    )
    if row.measure:
        drawn.append(row.measure.rjust(LABEL_WIDTH + columns + MEASURE_WIDTH - drawn.cell_len), "dim")
    return drawn


def bar(row: Row, start: int, end: int, columns_per_second: float) -> Text:
    """From column `start` to `end`, with the row's parts drawn over it."""
    drawn = Text(row.bar * (end - start), row.style)
    for part in row.parts:
        left = min(max(round(part.start * columns_per_second) - start, 0), max(end - start - 1, 0))
        right = min(max(round(part.end * columns_per_second) - start, left + 1), end - start)
        label = f" {part.label} " if len(part.label) + 4 <= right - left else ""
        over = Text(f"{label:{part.bar}^{right - left}}", part.style)
        drawn = Text.assemble(drawn[:left], over, drawn[right:])
    return drawn


def lines(parts: Iterable[str], separator: str, width: int) -> Iterator[str]:
    """The parts, joined to lines of at most `width`; none is broken."""
    joined = ""
    for part in parts:
        if joined and len(joined) + len(separator) + len(part) > width:
            yield joined
            joined = part
        else:
            joined = f"{joined}{separator}{part}" if joined else part
    if joined:
        yield joined


def summary(streams: Iterable[tuple[str, FinishedStream]]) -> Table:
    """A line for each stream, under its title."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in ("stream", "outcome", "first\nchunk", "duration", "tokens\nout", "stop\nreason", "inside"):
        justify = "right" if name in NUMBERS else "left"
        # By default an overflow is an ellipsis, which is not ASCII.
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name != "inside")
    for title, stream in streams:
        table.add_row(
            Text(title),
            Text(stream.outcome, OUTCOME_STYLES.get(stream.outcome, "bold")),
            "" if stream.first_chunk is None else seconds(stream.first_chunk),
            seconds(stream.duration),
            "" if stream.output_tokens is None else str(stream.output_tokens),
            Text(stream.stop_reason or ""),
            ", ".join(findings(stream)),
        )
    return table
