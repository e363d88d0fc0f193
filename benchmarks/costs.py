"""What is measured, a row each, and what the measured times say.

A delta's cost is the difference between a stream with many deltas and one with few, over the deltas that it has more:
what a stream costs once is in both. Times are in seconds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil, sqrt
from operator import itemgetter
from statistics import median, quantiles
from typing import Literal

from environments import BARE, Ask

FEW = 100  # deltas of the short stream, whose end is as far from its beginning for the caches as that of the long one
SHORT = 5  # deltas of the stream whose own cost is measured
ONCE_A_STREAM = frozenset({"streamspan, sampled out"})
"""Variants that differ in what a stream costs, not in what a delta does."""


@dataclass(frozen=True, slots=True)
class Row:
    """`path` and `model` are the reader's: how a stream is read, and what comes (see `streams.py`)."""

    name: str
    path: str
    model: str
    per: Literal["delta", "stream"] = "delta"

    def sizes(self, deltas: int, streams: int) -> list[tuple[int, int]]:
        """(deltas, streams that are timed together) of each measurement."""
        return [(SHORT, streams)] if self.per == "stream" else [(FEW, 1), (FEW + deltas, 1)]

    def has(self, variant: str) -> bool:
        return self.per == "stream" or variant not in ONCE_A_STREAM

    @property
    def digits(self) -> int:
        """Of a cost in microseconds."""
        return 2 if self.per == "delta" else 0


ROWS = (
    Row("a delta by itself, create()", "create", "text, single"),
    Row("a tool-input delta by itself, create()", "create", "tool, single"),
    Row("a delta by itself, text_stream", "text_stream", "text, single"),
    Row("a delta by itself, async create()", "async create", "text, single"),
    Row(f"a stream of {SHORT} deltas, create()", "create", "text, single", "stream"),
    Row("a delta in a burst, create()", "create", "text, burst"),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """A cost, and what it is above the bare SDK's.

    added       the median of the differences to the bare SDK in the same round
    plus_minus  half of the interval that has the true median in 95 of 100 runs
    quartiles   of the differences
    least       the cost by the least times of a sitting, the median over the sittings
    at_least    the same of the differences of that to the bare SDK's
    ratio       the median of the ratios to the bare SDK
    """

    cost: float
    added: float
    plus_minus: float
    quartiles: tuple[float, float]
    least: float
    at_least: float
    ratio: float


@dataclass(slots=True)
class Times:
    """One variant's times in one row: by sitting, for each round a value for each size."""

    row: Row
    title: str
    spans: int
    deltas: int
    sittings: list[list[list[float]]] = field(default_factory=list[list[list[float]]])

    def costs(self) -> list[float]:
        return [self._cost(times) for rounds in self.sittings for times in rounds]

    def least(self) -> list[float]:
        """By sitting, from the least time of each size."""
        return [self._cost([min(times) for times in zip(*rounds, strict=True)]) for rounds in self.sittings]

    def _cost(self, times: Sequence[float]) -> float:
        return times[0] if len(times) == 1 else (times[1] - times[0]) / self.deltas

    def figures(self, bare: "Times") -> Figures:
        costs, others = self.costs(), bare.costs()
        added = sorted(cost - other for cost, other in zip(costs, others, strict=True))
        low, _, high = quantiles(added, method="inclusive") if len(added) > 1 else added * 3
        return Figures(
            cost=median(costs),
            added=median(added),
            plus_minus=half_interval(added),
            quartiles=(low, high),
            least=median(self.least()),
            at_least=median(mine - other for mine, other in zip(self.least(), bare.least(), strict=True)),
            ratio=median(cost / other for cost, other in zip(costs, others, strict=True)),
        )


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
    ask: Ask, sizes: Mapping[tuple[Row, str], list[tuple[int, int]]], rounds: int
) -> dict[tuple[Row, str], list[list[float]]]:
    """One sitting: the times of each row and variant, round by round.

    The variants of a row are measured one right after the other, so what disturbs the machine for a while disturbs all
    of them; their order turns from round to round.
    """
    times: dict[tuple[Row, str], list[list[float]]] = {key: [] for key in sizes}
    by_row = groupby(sizes, key=itemgetter(0))
    variants = [list(keys) for _, keys in by_row]
    for turn in range(rounds):
        for keys in variants:
            first = turn % len(keys)
            for row, variant in keys[first:] + keys[:first]:
                times[row, variant].append(ask("cost", variant, row.path, row.model, sizes[row, variant]))
    return times
