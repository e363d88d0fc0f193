"""Who watches while a stream is read: the variants. Knows nothing of how streams are read and measured.

Exporting is nobody's part: every span is recorded and dropped at its end, every metric is aggregated and never
collected.
"""

import importlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from sdk import PROVIDER, SDK


class Dropped(SpanProcessor):
    """Where all spans go."""

    count = 0

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002
        self.count += 1


SPANS = Dropped()
RECORDING = TracerProvider()
RECORDING.add_span_processor(SPANS)
SAMPLED_OUT = TracerProvider(sampler=ALWAYS_OFF)


@contextmanager
def floor() -> Generator[None]:
    """The least that anything that sees each event can cost: a generator around the SDK's, which does nothing."""
    sync: Any = SDK.PACKAGE.Stream
    other: Any = SDK.PACKAGE.AsyncStream
    events_of, events_of_other = sync.__stream__, other.__stream__

    def read(stream: Any) -> Iterator[Any]:
        for event in events_of(stream):  # noqa: UP028  # `yield from` would not see the events
            yield event

    async def read_async(stream: Any) -> AsyncIterator[Any]:
        async for event in events_of_other(stream):
            yield event

    sync.__stream__, other.__stream__ = read, read_async
    yield
    sync.__stream__, other.__stream__ = events_of, events_of_other


@contextmanager
def metered() -> Generator[MeterProvider]:
    """A new one for each `instrument()`: the same instruments made twice are something that it warns of."""
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


def instrumentor_of_ours() -> Any:
    return getattr(importlib.import_module("streamspan"), SDK.INSTRUMENTOR)()


@contextmanager
def streamspan(tracer_provider: TracerProvider, *, metrics: bool) -> Generator[None]:
    instrumentor = instrumentor_of_ours()
    with metered() if metrics else nullcontext(NoOpMeterProvider()) as meter_provider:
        instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
        yield
        instrumentor.uninstrument()


@contextmanager
def streamspan_unconfigured() -> Generator[None]:
    """The application has not configured OpenTelemetry: the global providers do nothing."""
    instrumentor = instrumentor_of_ours()
    instrumentor.instrument()
    yield
    instrumentor.uninstrument()


def entry_point() -> EntryPoint:
    """The one instrumentation of the SDK in this environment, found as `opentelemetry-instrument` finds it."""
    [found] = entry_points(group="opentelemetry_instrumentor", name=PROVIDER)
    return found


@contextmanager
def instrumentor_by_entry_point() -> Generator[None]:
    instrumentor = entry_point().load()()
    with metered() as meter_provider:
        instrumentor.instrument(tracer_provider=RECORDING, meter_provider=meter_provider)
        yield
        instrumentor.uninstrument()


@contextmanager
def logfire() -> Generator[None]:
    with getattr(logfire_configured(), f"instrument_{PROVIDER}")():
        yield


@cache
def logfire_configured() -> Any:
    logfire = importlib.import_module("logfire")
    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[SPANS])
    return logfire


@dataclass(frozen=True, slots=True)
class Variant:
    """`watched` watches for the length of a `with` block.

    package        whose code watches; "peer": what is found by its entry point
    traces_itself  the SDK's own tracing is on, as it is by default; streamspan's span takes the place of its own
    """

    watched: Callable[[], AbstractContextManager[object]]
    package: str | None = None
    traces_itself: bool = False


RECORDED = partial(streamspan, RECORDING, metrics=True)
SPANS_ONLY = partial(streamspan, RECORDING, metrics=False)
METRICS_ONLY = partial(streamspan, SAMPLED_OUT, metrics=True)
VARIANTS = {
    "bare SDK": Variant(nullcontext),
    "bare SDK, once more": Variant(nullcontext),
    "a generator that does nothing": Variant(floor),
    "the SDK's own span": Variant(nullcontext, traces_itself=True),
    "streamspan": Variant(RECORDED, "streamspan", traces_itself=True),
    "streamspan, spans only": Variant(SPANS_ONLY, "streamspan", traces_itself=True),
    "streamspan, sampled out": Variant(
        partial(streamspan, SAMPLED_OUT, metrics=True), "streamspan", traces_itself=True
    ),
    "streamspan, no OpenTelemetry SDK": Variant(streamspan_unconfigured, "streamspan"),
    "streamspan, the SDK's tracing off": Variant(RECORDED, "streamspan"),
    "logfire": Variant(logfire, "logfire"),
    "peer": Variant(instrumentor_by_entry_point, "peer"),
}


def folder_of(variant: str) -> Path | None:
    """Where its code is; None: it has none."""
    package = VARIANTS[variant].package
    if package is None:
        return None
    module = importlib.import_module(entry_point().module if package == "peer" else package)
    return Path(str(module.__file__)).parent
