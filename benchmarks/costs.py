"""What is measured, a row each, and what the measured times say.

A delta's cost comes from segments of 50 deltas in the middle of a stream, so nothing of it is what a stream costs once.
Every variant reads the same segments, and a segment takes about a millisecond: of a few rounds one is undisturbed, also
where others use the machine. Times are in seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil, sqrt
from operator import itemgetter
from statistics import median
from typing import Literal

from environments import BARE, Ask

SKIPPED = 100  # deltas of a stream before its first segment
SEGMENT = 50  # deltas
SHORT = 5  # deltas of the stream whose own cost is measured
ONCE_A_STREAM = frozenset({"streamspan, sampled out"})
"""Variants that differ in what a stream costs, not in what a delta does."""


@dataclass(frozen=True, slots=True)
class Amount:
    """`segments`: of a stream whose deltas are measured; `streams`: that are measured one after the other."""

    segments: int
    streams: int

    @property
    def deltas(self) -> int:
        """Of a stream whose deltas are measured."""
        return SKIPPED + SEGMENT * self.segments


@dataclass(frozen=True, slots=True)
class Row:
    """`path` and `model` are the reader's: how a stream is read, and what comes (see `streams.py`)."""

    name: str
    path: str
    model: str
    per: Literal["delta", "stream"] = "delta"

    def has(self, variant: str) -> bool:
        return self.per == "stream" or variant not in ONCE_A_STREAM

    def measure(self, ask: Ask, variant: str, amount: Amount) -> list[float]:
        """The time of each segment, or of each stream."""
        if self.per == "stream":
            return ask("stream_cost", variant, self.path, self.model, SHORT, amount.streams)
        return ask("delta_cost", variant, self.path, self.model, (SKIPPED, SEGMENT, amount.segments))

    @property
    def digits(self) -> int:
        """Of a cost in microseconds."""
        return 2 if self.per == "delta" else 0


def rows(helper: str) -> tuple[Row, ...]:
    """`helper`: what the SDK's helper above the stream is called, of which the texts are read."""
    return (
        Row("a delta by itself, create()", "create", "text, single"),
        Row("a tool-input delta by itself, create()", "create", "tool, single"),
        Row(f"a delta by itself, {helper}", "helper", "text, single"),
        Row("a delta by itself, async create()", "async create", "text, single"),
        Row(f"a stream of {SHORT} deltas, create()", "create", "text, single", "stream"),
        Row("a delta in a burst, create()", "create", "text, burst"),
    )


ROWS = {"anthropic": rows("text_stream"), "openai": rows("stream()")}
"""By provider."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A cost, and what it is above the bare SDK's.

    least        by the least time of each segment, or of a stream
    added_least  the same above the bare SDK's
    spread       half of the range that `added_least` has when one sitting or another is left out
    cost         the median over the rounds
    added        the median of the differences to the bare SDK in the same round
    plus_minus   half of the interval that has the true median in 95 of 100 runs
    ratio        the median of the ratios to the bare SDK
    """

    least: float
    added_least: float
    spread: float
    cost: float
    added: float
    plus_minus: float
    ratio: float


@dataclass(slots=True)
class Times:
    """One variant's times in one row: by sitting, for each round those of its segments or streams."""

    row: Row
    title: str
    spans: int
    sittings: list[list[list[float]]] = field(default_factory=list[list[list[float]]])

    def costs(self) -> list[float]:
        """By round."""
        each = median if self.row.per == "stream" else _per_delta
        return [each(times) for rounds in self.sittings for times in rounds]

    def least(self, *, without: int | None = None) -> float:
        """Of all sittings, or without one of them."""
        rounds = [times for number, rounds in enumerate(self.sittings) if number != without for times in rounds]
        if self.row.per == "stream":
            return min(map(min, rounds))
        return _per_delta([min(segment) for segment in zip(*rounds, strict=True)])

    def figures(self, bare: "Times") -> Figures:
        costs, others = self.costs(), bare.costs()
        added = sorted(cost - other for cost, other in zip(costs, others, strict=True))
        left_out = range(len(self.sittings)) if len(self.sittings) > 1 else [None]
        added_least = [self.least(without=number) - bare.least(without=number) for number in left_out]
        return Figures(
            least=self.least(),
            added_least=self.least() - bare.least(),
            spread=(max(added_least) - min(added_least)) / 2,
            cost=median(costs),
            added=median(added),
            plus_minus=half_interval(added),
            ratio=median(cost / other for cost, other in zip(costs, others, strict=True)),
        )


def _per_delta(segments: Sequence[float]) -> float:
    return sum(segments) / len(segments) / SEGMENT


def half_interval(ordered: Sequence[float]) -> float:
    """Half of the 95 % interval of the median, from the values' ranks, so that outliers do not matter."""
    count = len(ordered)
    beside = ceil(0.98 * sqrt(count))
    low, high = max(count // 2 - beside, 0), min((count - 1) // 2 + beside, count - 1)
    return (ordered[high] - ordered[low]) / 2


def figures_of(times: Mapping[tuple[Row, str], Times]) -> dict[Row, dict[str, Figures]]:
    """By row and title, each against the bare SDK in the same row."""
    figures: dict[Row, dict[str, Figures]] = defaultdict(dict)
    for (row, _), its in times.items():
        figures[row][its.title] = its.figures(times[row, BARE])
    return figures


def measured(
    ask: Ask, keys: Iterable[tuple[Row, str]], amount: Amount, rounds: int
) -> dict[tuple[Row, str], list[list[float]]]:
    """One sitting: the times of each row and variant, round by round.

    The variants of a row are measured one right after the other, so what disturbs the machine for a while disturbs all
    of them; their order turns from round to round.
    """
    times: dict[tuple[Row, str], list[list[float]]] = {key: [] for key in keys}
    variants = [list(keys_of_row) for _, keys_of_row in groupby(times, key=itemgetter(0))]
    for turn in range(rounds):
        for keys_of_row in variants:
            first = turn % len(keys_of_row)
            for row, variant in keys_of_row[first:] + keys_of_row[:first]:
                times[row, variant].append(row.measure(ask, variant, amount))
    return times
