"""The running totals of each service, model and provider, for as long as one watches.

Percentiles are those of the last `FIRST_CHUNKS_KEPT` streams, so that they say how it is now. Gauges are the latest
that each series has values; one that tells no more is forgotten.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

from streamspan import semconv
from streamspan.cli.drawing.finished import COUNTS, Finding, FinishedStream, findings, number

from .otlp import Gauge, Group, group_of

FIRST_CHUNKS_KEPT = 1000
GROUPS_AT_MOST = 50
SERIES_AT_MOST = 1000
GAUGE_SECONDS = 180.0
"""Three times the usual interval of an exporter of metrics."""
OTHERS = Group("other services and models", "", "")


@dataclass(slots=True)
class Total:
    """Of one group. first_chunks: in seconds, of the latest streams."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    findings: Counter[Finding] = field(default_factory=Counter[Finding])
    first_chunks: deque[float] = field(default_factory=lambda: deque(maxlen=FIRST_CHUNKS_KEPT))

    def add(self, stream: FinishedStream) -> None:
        self.outcomes[stream.outcome if stream.outcome in _OUTCOMES else "other"] += 1
        if stream.first_chunk is not None:
            self.first_chunks.append(stream.first_chunk)
        for finding in findings(stream):
            self.findings[finding] += int(number(stream.attributes, COUNTS[finding]) or 0) if finding in COUNTS else 1

    def first_chunk(self, share: float) -> float | None:
        """The percentile of this share; None: no stream has had a first chunk."""
        ranked = sorted(self.first_chunks)
        return ranked[ceil(share * len(ranked)) - 1] if ranked else None


_OUTCOMES = {"complete", "truncated", "error", "aborted", "not observed"}


class Totals:
    """Of all groups. What comes when there are `GROUPS_AT_MOST` is one more, `OTHERS`. Times of one clock."""

    def __init__(self) -> None:
        self._groups: dict[Group, Total] = {}
        self._gauges: OrderedDict[int, tuple[Gauge, float]] = OrderedDict()

    def add(self, service: str, stream: FinishedStream) -> None:
        self._total(group_of(service, stream.attributes)).add(stream)

    def set_gauge(self, gauge: Gauge, now: float) -> None:
        if gauge.value:
            self._total(gauge.group)
        self._gauges[gauge.series] = gauge, now
        self._gauges.move_to_end(gauge.series)
        if len(self._gauges) > SERIES_AT_MOST:
            self._gauges.popitem(last=False)

    def _total(self, group: Group) -> Total:
        if group not in self._groups and len(self._groups) >= GROUPS_AT_MOST:
            group = OTHERS
        return self._groups.setdefault(group, Total())

    def __iter__(self) -> Iterator[tuple[Group, Total]]:
        """In the order of their names."""
        return iter(sorted(self._groups.items(), key=lambda item: item[0]))

    @property
    def providers(self) -> set[str]:
        return {group.provider for group in self._groups if group.provider}

    @property
    def stream_count(self) -> int:
        return sum(sum(total.outcomes.values()) for total in self._groups.values())

    def active(self, group: Group, now: float) -> float | None:
        """How many streams are open, of all processes; None: no metrics have come."""
        values = self._values_of(group, semconv.ACTIVE, now)
        return sum(values) if values else None

    def silence(self, group: Group, now: float) -> float | None:
        """The longest of the open streams, in seconds."""
        return max(self._values_of(group, semconv.SILENCE, now), default=None)

    def _values_of(self, group: Group, metric: semconv.Metric, now: float) -> Sequence[float]:
        return [
            gauge.value
            for gauge, at in self._gauges.values()
            if gauge.group == group and gauge.metric == metric.name and now - at < GAUGE_SECONDS
        ]
