"""The instruments that a stream records on at its end. A metrics SDK that fails to make one gets nothing of it."""

from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.metrics import (
    CallbackOptions,
    Counter,
    Histogram,
    Meter,
    MeterProvider,
    NoOpCounter,
    NoOpHistogram,
    NoOpMeter,
    Observation,
)

from streamspan import semconv
from streamspan.guard import contained
from streamspan.semconv import Metric

Callback = Callable[[CallbackOptions], Iterable[Observation]]


def meter_of(provider: MeterProvider | None, version: str) -> Meter:
    return _meter(provider, version) or NoOpMeter(semconv.SCOPE)


@contained
def _meter(provider: MeterProvider | None, version: str) -> Meter:
    return metrics.get_meter(semconv.SCOPE, version, provider, schema_url=semconv.SCHEMA_URL)


class Instruments:
    """One attribute for each histogram and each counter."""

    def __init__(self, meter: Meter) -> None:
        self.duration = histogram(meter, semconv.OPERATION_DURATION)
        self.incomplete_duration = histogram(meter, semconv.INCOMPLETE_DURATION)
        self.time_to_first_chunk = histogram(meter, semconv.TIME_TO_FIRST_CHUNK)
        self.time_to_first_text = histogram(meter, semconv.FIRST_TEXT)
        self.time_per_output_chunk = histogram(meter, semconv.TIME_PER_OUTPUT_CHUNK)
        self.time_per_output_token = histogram(meter, semconv.PER_OUTPUT_TOKEN)
        self.longest_gap = histogram(meter, semconv.GAP_MAX)
        self.tool_call_pause = histogram(meter, semconv.PAUSE_BEFORE_TOOL_CALL)
        self.tokens = histogram(meter, semconv.TOKEN_USAGE)
        self.streams = counter(meter, semconv.STREAMS)
        self.anomalies = counter(meter, semconv.ANOMALIES)
        self.tool_calls = counter(meter, semconv.TOOL_CALLS)
        self.iteration_tokens = counter(meter, semconv.ITERATION_TOKENS)
        self.events_dropped = counter(meter, semconv.INSTRUMENTATION_EVENTS_DROPPED)


def histogram(meter: Meter, metric: Metric) -> Histogram:
    return _histogram(meter, metric) or NoOpHistogram(metric.name)


def counter(meter: Meter, metric: Metric) -> Counter:
    return _counter(meter, metric) or NoOpCounter(metric.name)


@contained
def _histogram(meter: Meter, metric: Metric) -> Histogram:
    return meter.create_histogram(
        metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=metric.buckets
    )


@contained
def _counter(meter: Meter, metric: Metric) -> Counter:
    return meter.create_counter(metric.name, metric.unit, metric.description)


@contained
def observe(meter: Meter, metric: Metric, callback: Callback) -> None:
    """Have `metric`, an observable one, ask `callback`."""
    create = {
        "observable counter": meter.create_observable_counter,
        "observable up-down counter": meter.create_observable_up_down_counter,
        "observable gauge": meter.create_observable_gauge,
    }[metric.kind]
    create(metric.name, [callback], metric.unit, metric.description)
