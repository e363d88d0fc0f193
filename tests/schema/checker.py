"""Holds all telemetry of this process that has the scope `streamspan` against the schema.

It listens inside the OpenTelemetry SDK, where what every provider is given comes by, whoever made the provider. What is
wrong is kept until the test that did it ends; what has been seen, until the session ends.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, cast

from opentelemetry.sdk._logs._internal import SynchronousMultiLogRecordProcessor
from opentelemetry.sdk.metrics._internal.instrument import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
)
from opentelemetry.sdk.metrics._internal.metric_reader_storage import MetricReaderStorage
from opentelemetry.sdk.trace import Span

from streamspan import semconv
from streamspan.observer import Observer
from streamspan.semconv import latest
from streamspan.semconv.records import Attribute, Metric
from streamspan.telemetry import spans as telemetry

INSTRUMENTS: Mapping[str, type] = {
    "histogram": Histogram,
    "counter": Counter,
    "observable counter": ObservableCounter,
    "observable up-down counter": ObservableUpDownCounter,
    "observable gauge": ObservableGauge,
}
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "int": int,
    "double": float,
    "boolean": bool,
    "template[int]": int,
    "any": (str, Sequence),
}
OPEN = {semconv.ABORT_REASON}
"""The application may give it a word of its own."""
OF_ITS_OWN = (semconv.OFFSET, semconv.CHARS_DELIVERED)
"""What an event of the application's own has, beside what the application gives it."""
METRICS: Mapping[str, Metric] = {**semconv.METRICS, **latest.METRICS}
TEMPLATES = tuple(name for name, entry in semconv.ATTRIBUTES.items() if entry.type.startswith("template"))

Entry = tuple[str, str]
"""What has it, and its name: `("span", "llm_stream.outcome")`."""


def declared() -> set[Entry]:
    """Every entry of the schema."""
    entries = {("span", entry.name) for entry in semconv.ATTRIBUTES.values() if entry.on_span}
    for event in semconv.EVENTS.values():
        entries |= {("event", event.name), *((event.name, name) for name in event.attributes)}
    for metric in METRICS.values():
        entries |= {("metric", metric.name), *((metric.name, name) for name in semconv.metric_attributes(metric))}
    return entries


class Checker:
    """seen  the entries of the schema that have come by."""

    def __init__(self) -> None:
        self.seen: set[Entry] = set()
        self._problems: list[str] = []
        self._foreign: set[tuple[int, str]] = set()

    def problems(self) -> list[str]:
        """Those since the last time."""
        problems, self._problems = self._problems, []
        self._foreign.clear()
        return problems

    def allow(self, span: object, names: Iterable[str]) -> None:
        """Somebody else has written these on our span."""
        self._foreign |= {(id(span), name) for name in names}

    def span(self, span: Span) -> None:
        on_span = [entry.name for entry in semconv.ATTRIBUTES.values() if entry.on_span]
        written = {k: v for k, v in (span.attributes or {}).items() if (id(span), k) not in self._foreign}
        self._attributes("span", on_span, written)
        for event in span.events:
            if (id(span), event.name) not in self._foreign:
                self.event(event.name, event.attributes or {})

    def event(self, name: str, attributes: Mapping[str, object]) -> None:
        event = semconv.EVENTS.get(name)
        if event is not None:
            self.seen.add(("event", name))
            self._attributes(name, event.attributes, attributes)
        elif name.startswith("llm_stream."):
            self._problems.append(f"event {name}")
        else:
            self._attributes(name, OF_ITS_OWN, {known: attributes.get(known) for known in OF_ITS_OWN})

    def measurement(self, instrument: Any, attributes: Mapping[str, object]) -> None:
        metric = METRICS.get(instrument.name)
        if metric is None:
            self._problems.append(f"metric {instrument.name}")
            return
        self.seen.add(("metric", metric.name))
        if not isinstance(instrument, INSTRUMENTS[metric.kind]) or instrument.unit != metric.unit:
            self._problems.append(f"metric {metric.name} is no {metric.kind} in {metric.unit}")
        self._attributes(metric.name, semconv.metric_attributes(metric), attributes)

    def _attributes(self, where: str, allowed: Iterable[str], attributes: Mapping[str, object]) -> None:
        for name, value in attributes.items():
            is_declared = name in semconv.ATTRIBUTES
            templates = () if is_declared else TEMPLATES
            declared_name = next((template for template in templates if name.startswith(template)), name)
            if declared_name not in allowed:
                self._problems.append(f"{where} has {name}")
            else:
                self.seen.add((where, declared_name))
                if not (is_of(semconv.ATTRIBUTES[declared_name], value) or is_of_latest(declared_name, value)):
                    self._problems.append(f"{where} has {name}={value!r}")


def is_of(attribute: Attribute, value: object) -> bool:
    """Whether the value is of the attribute's type, and one of its values."""
    if attribute.type in {"string[]", "template[string[]]"}:
        return isinstance(value, tuple) and {type(item) for item in cast("tuple[object, ...]", value)} == {str}
    if isinstance(value, bool) != (attribute.type == "boolean"):
        return False
    is_known = not attribute.values or attribute.name in OPEN or value in attribute.values
    return isinstance(value, TYPES[attribute.type]) and is_known


def is_of_latest(name: str, value: object) -> bool:
    """Whether the value is of the type that the latest conventions give the attribute."""
    return name in latest.TYPES and is_of(semconv.ATTRIBUTES[name]._replace(type=latest.TYPES[name]), value)


def _is_ours(scope: Any) -> bool:
    return scope is not None and scope.name == semconv.SCOPE


def listen(checker: Checker) -> None:
    """To all that comes by in this process from now on."""

    def ending(span: Span, *_: object) -> None:
        if _is_ours(span.instrumentation_scope) and span.is_recording():
            checker.span(span)

    def measured(_: object, measurement: Any, *__: object) -> None:
        if _is_ours(measurement.instrument.instrumentation_scope):
            checker.measurement(measurement.instrument, measurement.attributes or {})

    def logged(_: object, record: Any) -> None:
        if _is_ours(record.instrumentation_scope):
            checker.event(record.log_record.event_name, record.log_record.attributes or {})

    def written_by_others(span: Any, name: str, *_: object) -> None:
        checker.allow(span._span, [name])

    def all_written_by_others(span: Any, attributes: Mapping[str, object]) -> None:
        checker.allow(span._span, attributes)

    def written_by_the_application(observer: Observer, attributes: Mapping[str, object]) -> None:
        checker.allow(observer.telemetry.span, attributes)

    _before(Span, "end", ending)
    _before(Observer, "set_attributes", written_by_the_application)
    _before(MetricReaderStorage, "consume_measurement", measured)
    _before(SynchronousMultiLogRecordProcessor, "on_emit", logged)
    _before(telemetry.StandIn, "set_attribute", written_by_others)
    _before(telemetry.StandIn, "set_attributes", all_written_by_others)
    _before(telemetry.StandIn, "add_event", written_by_others)


def _before(cls: type, name: str, look: Callable[..., None]) -> None:
    """Look at the arguments of a method before it runs."""
    original: Callable[..., object] = getattr(cls, name)

    @wraps(original)
    def method(*args: object, **kwargs: object) -> object:
        look(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(cls, name, method)


CHECKER = Checker()
