"""Counters that we add up ourselves, at a tenth of the cost of the SDK's: they are read by observable counters.

A meter provider has one counter of a name, and asks the callback that it got first. So the sums belong to the provider,
and every `instrument()` with this provider adds to the same.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from streamspan import semconv
from streamspan.semconv import Metric, latest

from .labels import Labels

_GAUGES_AT_MOST = 400  # values of one gauge

_AMOUNTS_BELOW = 2**40  # of one stream; many of them are still an integer that exporters can encode
_lock = threading.RLock()


@dataclass(slots=True)
class Total:
    """until: when it stops to be told, on the clock of `time.monotonic`."""

    labels: Labels
    amount: float = 0
    until: float = inf


class Totals:
    """The sums of the streams of one meter provider.

    labels_of_streams  the label sets of all its streams, by their values
    """

    def __init__(self) -> None:
        self.labels_of_streams: dict[tuple[object, ...], Labels] = {}
        self._totals: dict[Metric, dict[tuple[object, ...], Total]] = {
            metric: {} for metric in (*TOTALS, *latest.COUNTERS)
        }

    def total(self, metric: Metric, labels: Labels) -> Total:
        """The sum with these labels, which is there from now on."""
        return self._totals[metric].setdefault(tuple(labels.values()), Total(labels))

    def set_for(self, seconds: float, metric: Metric, labels: Labels, amount: float) -> None:
        """The value of a gauge, which is told for so long."""
        totals = self._totals[metric]
        key = tuple(labels.values())
        if key in totals or len(totals) < _GAUGES_AT_MOST:
            totals[key] = Total(labels, amount, time.monotonic() + seconds)

    def observe(self, metric: Metric, _: CallbackOptions) -> Iterator[Observation]:
        """The callback of a counter or a gauge."""
        totals, now = self._totals[metric], time.monotonic()
        for total in list(totals.values()):
            if total.until > now:
                yield Observation(total.amount, total.labels)
            else:
                totals.pop(tuple(total.labels.values()), None)


def add_to_totals(additions: Iterable[tuple[Total, float | None]]) -> None:
    """None: nothing is added. Nor is what no counter takes: a server may report any number of tokens."""
    lock = _lock
    is_held = lock.acquire(timeout=1.0)
    if not is_held:  # by a thread that was interrupted just before it released the lock
        _renew_lock()
    try:
        for total, amount in additions:
            if amount and 0 < amount < _AMOUNTS_BELOW:
                total.amount += amount
    finally:
        if is_held:
            lock.release()


TOTALS = (
    semconv.STREAMS,
    semconv.TOKENS,
    semconv.CACHE_TOKENS,
    semconv.WAITED_FOR_PROVIDER,
    semconv.WAITED_FOR_TRANSIT,
    semconv.WAITED_FOR_EVENT_LOOP,
    semconv.WAITED_FOR_CONSUMER,
    semconv.READING_TIME,
    semconv.REBUFFERING_TIME,
    semconv.OUTPUT_CHARS,
    semconv.RATE_LIMIT_REMAINING,
)
"""The metrics that are kept here: all but the last are added up."""

_totals: list[tuple[Callable[[], MeterProvider | None], Totals]] = []
"""Those of each provider that there still is."""


def totals_of(given_provider: MeterProvider | None) -> Totals:
    """None: those of the global provider, whichever that is."""
    _totals[:] = [(provider, totals) for provider, totals in _totals if provider is _global or provider() is not None]
    for provider, totals in _totals:
        if provider() is given_provider:
            return totals
    totals = Totals()
    _totals.append((_reference(given_provider), totals))
    return totals


def _reference(given_provider: MeterProvider | None) -> Callable[[], MeterProvider | None]:
    if given_provider is None:
        return _global
    try:
        return weakref.ref(given_provider)
    except TypeError:  # it has slots
        return lambda: given_provider


def _global() -> None:
    """The global provider, whichever that is."""


def _renew_lock() -> None:
    """In a child process: the old one may be held by a thread that the child does not have."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
