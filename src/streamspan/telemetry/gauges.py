"""Gauges of the streams that are open: how many there are, and for how long the provider has been silent."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from .labels import Labels

if TYPE_CHECKING:
    from .metrics import Metrics


class OpenStream(Protocol):
    """What the gauges ask of a stream that has not ended. `silence`: in seconds, 0.0 where nobody waits."""

    @property
    def metrics(self) -> "Metrics": ...
    @property
    def labels(self) -> Labels: ...
    def silence(self) -> float: ...


class OpenStreamGauges:
    """The callbacks of both gauges. Each label set that has had an open stream stays, with 0 where there is none now.

    open_streams  gives all that are open in the process, of every `instrument()`
    provider      gives the provider whose streams count
    """

    def __init__(self, open_streams: Callable[[], Iterable[OpenStream]], provider: Callable[[], MeterProvider]) -> None:
        self._open_streams = open_streams
        self._provider = provider
        self._labels: dict[tuple[object, ...], Labels] = {}

    def remember(self, labels: Labels) -> None:
        """Of a stream that has ended: it may never have been open while the gauges were read."""
        self._labels.setdefault(tuple(labels.values()), labels)

    def active(self, _: CallbackOptions) -> Iterator[Observation]:
        return self._observed(len)

    def silence(self, _: CallbackOptions) -> Iterator[Observation]:
        return self._observed(lambda streams: max((stream.silence() for stream in streams), default=0.0))

    def _observed(self, value_of: Callable[[list[OpenStream]], float]) -> Iterator[Observation]:
        """The greatest comes last: it is what a gauge keeps where a View drops the labels that tell them apart."""
        # A copy, because a stream may end meanwhile in another thread.
        streams: dict[tuple[object, ...], list[OpenStream]] = {key: [] for key in list(self._labels)}
        provider = self._provider()
        for stream in self._open_streams():
            if stream.labels and stream.metrics.provider is provider:
                key = tuple(stream.labels.values())
                self._labels.setdefault(key, stream.labels)
                streams.setdefault(key, []).append(stream)
        values = {key: value_of(of_labels) for key, of_labels in streams.items()}
        for key in sorted(values, key=values.__getitem__):
            yield Observation(values[key], self._labels[key])
