"""The instruments that a stream records on at its end. A metrics SDK that fails to make one gets nothing of it."""

from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.context import Context
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
from opentelemetry.util.types import Attributes

from streamspan import semconv
from streamspan.guard import contained
from streamspan.semconv import Metric
from streamspan.semconv.latest import RELEASED, RENAMED, Conventions

Callback = Callable[[CallbackOptions], Iterable[Observation]]


def meter_of(provider: MeterProvider | None, version: str) -> Meter:
    return _meter(provider, version) or NoOpMeter(semconv.SCOPE)


@contained
def _meter(provider: MeterProvider | None, version: str) -> Meter:
    return metrics.get_meter(semconv.SCOPE, version, provider, schema_url=semconv.SCHEMA_URL)


class Instruments:
    """One attribute for each histogram and each counter."""

    def __init__(self, meter: Meter, conventions: Conventions = RELEASED) -> None:
        self.duration = renamed(meter, semconv.OPERATION_DURATION, conventions)
        self.incomplete_duration = histogram(meter, semconv.INCOMPLETE_DURATION)
        self.time_to_first_chunk = renamed(meter, semconv.TIME_TO_FIRST_CHUNK, conventions)
        self.time_to_first_text = histogram(meter, semconv.FIRST_TEXT)
        self.time_per_output_chunk = renamed(meter, semconv.TIME_PER_OUTPUT_CHUNK, conventions)
        self.time_per_output_token = histogram(meter, semconv.PER_OUTPUT_TOKEN)
        self.time_to_headers = histogram(meter, semconv.HEADERS)
        self.longest_gap = histogram(meter, semconv.GAP_MAX)
        self.tool_call_pause = histogram(meter, semconv.PAUSE_BEFORE_TOOL_CALL)
        self.thinking = histogram(meter, semconv.THINKING)
        self.close_delay = histogram(meter, semconv.CLOSE_DELAY)
        has_tokens = conventions.released  # the latest conventions have others: `token_metrics.py`
        self.tokens = histogram(meter, semconv.TOKEN_USAGE) if has_tokens else NoOpHistogram(semconv.TOKEN_USAGE.name)
        self.retries = counter(meter, semconv.RETRIES)
        self.anomalies = counter(meter, semconv.ANOMALIES)
        self.tool_calls = counter(meter, semconv.TOOL_CALLS)
        self.late_errors = counter(meter, semconv.LATE_ERRORS)
        self.iteration_tokens = counter(meter, semconv.ITERATION_TOKENS)
        self.events_dropped = counter(meter, semconv.INSTRUMENTATION_EVENTS_DROPPED)


class _Both(Histogram):
    """One histogram under two names."""

    def __init__(self, first: Histogram, second: Histogram) -> None:
        self._histograms = (first, second)

    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        for histogram in self._histograms:
            histogram.record(amount, attributes, context)


def renamed(meter: Meter, metric: Metric, conventions: Conventions) -> Histogram:
    """The histogram under the name that the conventions give it, or under both."""
    if not conventions.latest:
        return histogram(meter, metric)
    latest = histogram(meter, RENAMED[metric])
    return _Both(histogram(meter, metric), latest) if conventions.released else latest


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
