"""Gauges of the streams that are open: how many there are, and for how long their readers have waited."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, get_args

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from streamspan import semconv
from streamspan.core.model import LivePhase

from .labels import Labels

if TYPE_CHECKING:
    from .metrics import Metrics

_PHASES: Sequence[LivePhase] = get_args(LivePhase)


class OpenStream(Protocol):
    """What the gauges ask of a stream that has not ended. The silences are in seconds, 0.0 where nobody waits."""

    @property
    def metrics(self) -> "Metrics": ...
    @property
    def labels(self) -> Labels: ...
    @property
    def live_phase(self) -> LivePhase: ...
    def silence(self) -> float: ...
    def line_silence(self) -> float: ...


class OpenStreamGauges:
    """The callbacks of the gauges. Each label set that has had an open stream stays, with 0 where there is none now.

    open_streams  gives all that are open in the process, of every `instrument()`
    provider      gives the provider whose streams count
    thresholds    of silence, in seconds
    labels        the label sets that have had a stream, by their values; every `instrument()` with the provider has
                  the same ones, because a provider asks only the callbacks that it got first
    """

    def __init__(
        self,
        open_streams: Callable[[], Iterable[OpenStream]],
        provider: Callable[[], MeterProvider],
        thresholds: Sequence[float],
        labels: dict[tuple[object, ...], Labels],
    ) -> None:
        self._open_streams = open_streams
        self._provider = provider
        self._thresholds = thresholds
        self._labels = labels

    def remember(self, labels: Labels) -> None:
        """Of a stream that has ended: it may never have been open while the gauges were read."""
        self._labels.setdefault(tuple(labels.values()), labels)

    def active(self, _: CallbackOptions) -> Iterator[Observation]:
        return _greatest_last((len(streams), labels) for labels, streams in self._streams())

    def silence(self, _: CallbackOptions) -> Iterator[Observation]:
        return _greatest_last(
            (longest, {**labels, semconv.PHASE: phase})
            for labels, streams in self._streams()
            for phase, longest in _silence_by_phase(streams).items()
        )

    def line_silence(self, _: CallbackOptions) -> Iterator[Observation]:
        return _greatest_last(
            (max((stream.line_silence() for stream in streams), default=0.0), labels)
            for labels, streams in self._streams()
        )

    def silent(self, _: CallbackOptions) -> Iterator[Observation]:
        """The counts are of one moment, so that no threshold counts more streams than a lower one."""
        for labels, streams in self._streams():
            silences = [stream.silence() for stream in streams]
            for threshold in self._thresholds:
                count = sum(silence >= threshold for silence in silences)
                yield Observation(count, {**labels, semconv.AT_LEAST: threshold})

    def _streams(self) -> list[tuple[Labels, list[OpenStream]]]:
        # A copy, because a stream may end meanwhile in another thread.
        streams: dict[tuple[object, ...], list[OpenStream]] = {key: [] for key in list(self._labels)}
        provider = self._provider()
        for stream in self._open_streams():
            if stream.labels and stream.metrics.provider is provider:
                key = tuple(stream.labels.values())
                self._labels.setdefault(key, stream.labels)
                streams.setdefault(key, []).append(stream)
        return [(self._labels[key], of_labels) for key, of_labels in streams.items()]


def _silence_by_phase(streams: Iterable[OpenStream]) -> Mapping[LivePhase, float]:
    longest: dict[LivePhase, float] = dict.fromkeys(_PHASES, 0.0)
    for stream in streams:
        phase = stream.live_phase
        longest[phase] = max(longest[phase], stream.silence())
    return longest


def _greatest_last(values: Iterable[tuple[float, Mapping[str, str | bool | int | float]]]) -> Iterator[Observation]:
    """The last value is what a gauge keeps where a View drops the labels that tell them apart."""
    for value, labels in sorted(values, key=lambda pair: pair[0]):
        yield Observation(value, labels)
