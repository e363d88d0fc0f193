"""One finished stream, drawn as a waterfall: a time axis, a bar for each content block, a mark for what matters.

Draws what the span says: what is not known is left out. Works without colour, and in ASCII where the output has no
other characters.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from streamspan import semconv

from .finished import FinishedStream, StreamEvent, facts, headline, number, seconds, word

LABEL_WIDTH = 13
MEASURE_WIDTH = 18
TICKS_AT_MOST = 5
NUMBERS = {"first chunk", "duration", "tokens in", "out"}
OUTCOME_STYLES = {"complete": "bold green", "truncated": "bold yellow", "error": "bold red", "aborted": "bold magenta"}


@dataclass(frozen=True, slots=True)
class Symbols:
    """What a drawing is made of."""

    waiting: str
    text: str
    thinking: str
    tool: str
    tick: str
    first_chunk: str
    whole: str
    cut: str
    end: str
    separator: str


UNICODE = Symbols("░", "█", "▒", "▓", "│", "◆", "✓", "✗", "■", " · ")
ASCII = Symbols(".", "#", "~", "=", "|", "*", "v", "x", "!", " | ")


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
        yield line(row, columns, columns_per_second)


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
    for event, following in zip_longest(stream.events, stream.events[1:]):
        if event.name == semconv.EVENT_CONTENT_BLOCK:
            has_tool_call = following is not None and following.name == semconv.EVENT_TOOL_CALL
            yield block_row(event, following if has_tool_call else None, symbols)
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
    note_fits = end + len(row.mark) + 1 + len(row.note) <= columns
    note_left = f"{row.note} " if row.note and not note_fits and len(row.note) < start else ""
    drawn = Text.assemble(
        f"{row.label[: LABEL_WIDTH - 1]:<{LABEL_WIDTH}}",
        (f"{note_left:>{start}}", row.mark_style),
        (row.bar * (end - start), row.style),
        (row.mark, row.mark_style),
        (f" {row.note}" if row.note and note_fits else "", row.mark_style),
    )
    if row.measure:
        drawn.append(row.measure.rjust(LABEL_WIDTH + columns + MEASURE_WIDTH - drawn.cell_len), "dim")
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
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("stream", "outcome", "first chunk", "duration", "tokens in", "out", "stop reason"):
        justify = "right" if name in NUMBERS else "left"
        table.add_column(name, justify=justify, overflow="fold")  # by default an ellipsis, which is not ASCII
    for title, stream in streams:
        table.add_row(
            title,
            Text(stream.outcome, OUTCOME_STYLES.get(stream.outcome, "bold")),
            "" if stream.first_chunk is None else seconds(stream.first_chunk),
            seconds(stream.duration),
            "" if stream.input_tokens is None else str(stream.input_tokens),
            "" if stream.output_tokens is None else str(stream.output_tokens),
            stream.stop_reason,
        )
    return table
