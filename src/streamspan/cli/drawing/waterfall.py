"""One finished stream, drawn as a waterfall: a time axis, a bar for each content block, a mark for what matters.

Draws what the span says: what is not known is left out. Works without colour, and in ASCII where the output has no
other characters.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from .finished import FinishedStream, findings
from .rows import ASCII, OUTCOME_STYLES, UNICODE, Row, Symbols, rows
from .words import facts, headline, seconds

LABEL_WIDTH = 13
MEASURE_WIDTH = 18
TICKS_AT_MOST = 5
APART_FROM = 3
"""Columns: one before a silence, one after it."""
INSIDE = "inside"
COLUMNS = ("stream", "outcome", "first\nchunk", "duration", "tokens\nout", "stop\nreason", INSIDE)
NUMBERS = {"first\nchunk", "duration", "tokens\nout"}
SPARED = ("tokens\nout", "first\nchunk", "stop\nreason", "duration")
"""In this order, where there is no room for what happened inside."""
LEAST_INSIDE = 19
APART = 2
"""Between two columns."""


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The drawing of a stream, with a title and a line about it."""

    title: str
    about: str
    stream: FinishedStream

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        symbols = ASCII if options.ascii_only else UNICODE
        yield from self._headline(options.max_width)
        yield Text(self.about, style="dim")
        yield from chart(self.stream, options.max_width, symbols)
        for line in lines(facts(self.stream), symbols.separator, options.max_width):
            yield Text(line, style="dim")

    def _headline(self, width: int) -> Iterator[Text]:
        """Broken between two words of the headline only."""
        words = headline(self.stream).replace(", ", ",\n").splitlines()
        first, *rest = lines([f"{self.title}  {words[0]}", *words[1:]], " ", width)
        style = headline_style(self.stream)
        yield Text.assemble((self.title, "bold"), (first[len(self.title) :], style))
        yield from (Text(line, style) for line in rest)


def headline_style(stream: FinishedStream) -> str:
    """Green only where nothing was found inside."""
    if stream.outcome == "complete" and findings(stream):
        return "bold yellow"
    return OUTCOME_STYLES.get(stream.outcome, "bold")


def chart(stream: FinishedStream, width: int, symbols: Symbols) -> Iterator[Text]:
    """The axis and the rows."""
    columns = max(width - LABEL_WIDTH - MEASURE_WIDTH, 10)
    end = max([stream.duration, *(event.offset for event in stream.events), 1e-6])
    columns_per_second = (columns - 1) / end
    yield Text(" " * LABEL_WIDTH + axis(end, columns_per_second, symbols.tick), style="dim")
    drawn = list(rows(stream, symbols))
    for row in drawn:
        yield line(within(row, end), columns, columns_per_second)
    for text in lines(legend(drawn, symbols), symbols.separator, width):
        yield Text(text, style="dim")


def legend(drawn: Iterable[Row], symbols: Symbols) -> Sequence[str]:
    """Which texture stands for whom; none where there is one only."""
    textures = {part.bar for row in drawn for part in row.parts}
    words = [f"{texture} {who}" for who, texture in symbols.waited_for.items() if texture in textures]
    return [f"waited for {words[0]}", *words[1:]] if len(words) > 1 else []


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
    width = end - start
    drawn, drawn_to = Text(row.bar * width, row.style), 0
    for part in row.parts:
        apart = int(part.is_silence and width >= APART_FROM)
        left = min(max(round(part.start * columns_per_second) - start, drawn_to + apart), max(width - apart - 1, 0))
        right = min(max(round(part.end * columns_per_second) - start, left + 1), width - apart)
        label = next((f" {label} " for label in part.labels if len(label) + 4 <= right - left), "")
        over = Text(f"{label:{part.bar}^{right - left}}", part.style)
        drawn, drawn_to = Text.assemble(drawn[:left], over, drawn[right:]), right
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


@dataclass(frozen=True, slots=True)
class Summary:
    """A line for each stream, under its title. In a narrow terminal some columns are left out."""

    streams: Sequence[tuple[str, FinishedStream]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        columns = {name: [cell(name, title, stream) for title, stream in self.streams] for name in COLUMNS}
        widths = {name: max(map(len, [*name.split("\n"), *map(str, cells)])) for name, cells in columns.items()}
        while spared := [name for name in SPARED if name in columns]:
            room = options.max_width - sum(widths[name] + APART for name in columns if name != INSIDE)
            if room >= min(widths[INSIDE], LEAST_INSIDE):
                break
            del columns[spared[0]]
        yield table(columns)


def table(columns: Mapping[str, Sequence[Text]]) -> Table:
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in columns:
        justify = "right" if name in NUMBERS else "left"
        # By default an overflow is an ellipsis, which is not ASCII.
        drawn.add_column(name, justify=justify, overflow="fold", no_wrap=name != INSIDE)
    for row in zip(*columns.values(), strict=True):
        drawn.add_row(*row)
    return drawn


def cell(column: str, title: str, stream: FinishedStream) -> Text:
    if column == "outcome":
        return Text(stream.outcome, headline_style(stream))
    words = {
        "stream": title,
        "first\nchunk": None if stream.first_chunk is None else seconds(stream.first_chunk),
        "duration": seconds(stream.duration),
        "tokens\nout": None if stream.output_tokens is None else str(stream.output_tokens),
        "stop\nreason": stream.stop_reason,
        INSIDE: ", ".join(findings(stream)),
    }
    return Text(words[column] or "")
