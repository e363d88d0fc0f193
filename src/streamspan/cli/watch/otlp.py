"""From the messages of OTLP, in protobuf or JSON, to plain records: streamspan's spans, log events and gauges.

All else is counted, or passed by. The only module that knows the messages.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding says how JSON differs: ids are in hexadecimal.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from math import isfinite
from typing import NamedTuple, TypeVar, cast

from google.protobuf.json_format import MessageToJson, ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from google.rpc.code_pb2 import INVALID_ARGUMENT
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.util.types import AttributeValue

from streamspan import semconv
from streamspan.cli.drawing.finished import word

from .body import RefusedError

JSON, PROTOBUF = "application/json", "application/x-protobuf"
MEDIA_TYPES = (PROTOBUF, JSON)
PATHS = TRACES, METRICS, LOGS = "/v1/traces", "/v1/metrics", "/v1/logs"
RECORDS_AT_MOST = 10_000
"""Resources, and spans, log records or points of streamspan's. An exporter sends 512, a collector 8192."""
OBJECTS_AT_MOST = 250_000
"""In JSON, of which protobuf's own parser takes 10 us for each, in Python. 8 MiB of telemetry have no more."""
EVENTS_OF_A_SPAN_AT_MOST = 1000
_IDS = {"traceId", "spanId", "parentSpanId"}
_ID_BYTES = 16 + 8
_RECORD_BYTES = 500
"""What a record takes in memory besides what it says."""
_NO_SERVICE = "unknown_service"
_TOO_MANY = "The body has more than {} {}: lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE."

M = TypeVar("M", bound=Message)
R = TypeVar("R")
Attributes = Mapping[str, AttributeValue]
Event = tuple[str, int, Attributes]
"""Name, time in nanoseconds, attributes."""


class BadDataError(Exception):
    """A body that is not what it should be, and why."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stream that has ended. id: of the trace and the span; size: in bytes, about."""

    id: bytes
    service: str
    name: str
    start_ns: int
    end_ns: int
    status: str
    attributes: Attributes
    events: Sequence[Event]
    size: int


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event that came by itself, of the span with this id."""

    id: bytes
    event: Event
    size: int


class Group(NamedTuple):
    """Whose streams are counted together. What is not known is empty."""

    service: str
    model: str
    provider: str


def group_of(service: str, attributes: Attributes) -> Group:
    """Of a stream, or of a point of a metric."""
    model, provider = (word(attributes, name) or "" for name in (semconv.REQUEST_MODEL, semconv.PROVIDER_NAME))
    return Group(service, model, provider)


@dataclass(frozen=True, slots=True)
class Gauge:
    """series: tells apart what is of the same group, such as two processes."""

    series: int
    group: Group
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Received:
    """other_spans: how many are not streamspan's."""

    spans: list[Span] = field(default_factory=list[Span])
    log_events: list[LogEvent] = field(default_factory=list[LogEvent])
    gauges: list[Gauge] = field(default_factory=list[Gauge])
    other_spans: int = 0


def received(path: str, media_type: str, body: bytes) -> Received:
    """What a body brings that was posted to one of `PATHS`. Raises BadDataError, and RefusedError if it is too much."""
    return {TRACES: _traces, METRICS: _metrics, LOGS: _logs}[path](media_type, body)


def empty_answer(media_type: str) -> bytes:
    """All was taken: the empty message, which is the same for each signal."""
    return b"{}" if media_type == JSON else b""


def status_message(media_type: str, why: str) -> bytes:
    status = Status(code=INVALID_ARGUMENT, message=why)
    return MessageToJson(status).encode() if media_type == JSON else status.SerializeToString()


# --- the encodings -------------------------------------------------------------------------------------------------


def _message(new: Callable[[], M], media_type: str, body: bytes) -> M:
    message = new()
    try:
        if media_type == JSON:
            ParseDict(_json_object(body), message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(body)
    except (DecodeError, ParseError, ValueError, TypeError, AttributeError, RecursionError) as wrong:
        # ParseDict lets a wrong type through to where it hurts.
        raise BadDataError(f"The body is no {message.DESCRIPTOR.name} in {media_type}: {wrong}") from None
    return message


def _json_object(body: bytes) -> dict[str, object]:
    objects = count(1)

    def counted(fields: dict[str, object]) -> dict[str, object]:
        if next(objects) > OBJECTS_AT_MOST:
            raise RefusedError(413, _TOO_MANY.format(OBJECTS_AT_MOST, "objects"))
        return _with_ids_in_base64(fields)

    parsed = json.loads(body, object_hook=counted)
    if not isinstance(parsed, dict):
        raise TypeError("it must be an object")
    return cast("dict[str, object]", parsed)


def _with_ids_in_base64(fields: dict[str, object]) -> dict[str, object]:
    """In which protobuf wants its bytes."""
    for name in _IDS & fields.keys():
        fields[name] = base64.b64encode(bytes.fromhex(cast("str", fields[name]))).decode()
    return fields


# --- the signals ---------------------------------------------------------------------------------------------------


def _bounded(records: Iterable[R]) -> list[R]:
    """Raises RefusedError where there are too many; the rest is not looked at."""
    bounded = list(islice(records, RECORDS_AT_MOST + 1))
    if len(bounded) > RECORDS_AT_MOST:
        raise RefusedError(413, _TOO_MANY.format(RECORDS_AT_MOST, "records"))
    return bounded


def _traces(media_type: str, body: bytes) -> Received:
    resources = _bounded(_message(ExportTraceServiceRequest, media_type, body).resource_spans)
    others = sum(
        len(scope_spans.spans)
        for resource_spans in resources
        for scope_spans in resource_spans.scope_spans
        if scope_spans.scope.name != semconv.SCOPE
    )
    return Received(spans=_bounded(_spans(resources)), other_spans=others)


def _spans(resources: Iterable[ResourceSpans]) -> Iterator[Span]:
    for resource_spans in resources:
        service = _service(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            if scope_spans.scope.name == semconv.SCOPE:
                yield from (_span(span, service) for span in scope_spans.spans)


def _span(span: trace_pb2.Span, service: str) -> Span:
    events = span.events[:EVENTS_OF_A_SPAN_AT_MOST]
    return Span(
        id=_id(span.trace_id, span.span_id),
        service=service,
        name=span.name,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status=_STATUSES.get(span.status.code, "UNSET"),
        attributes=_attributes(span.attributes),
        events=[(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in events],
        size=span.ByteSize() + _RECORD_BYTES,
    )


_STATUSES: Mapping[int, str] = {
    trace_pb2.Status.STATUS_CODE_OK: "OK",
    trace_pb2.Status.STATUS_CODE_ERROR: "ERROR",
}


def _logs(media_type: str, body: bytes) -> Received:
    resources = _bounded(_message(ExportLogsServiceRequest, media_type, body).resource_logs)
    return Received(log_events=_bounded(_log_events(resources)))


def _log_events(resources: Iterable[ResourceLogs]) -> Iterator[LogEvent]:
    for resource_logs in resources:
        for scope_logs in resource_logs.scope_logs:
            if scope_logs.scope.name == semconv.SCOPE:
                yield from (_log_event(log) for log in scope_logs.log_records)


def _log_event(log: LogRecord) -> LogEvent:
    at = log.time_unix_nano or log.observed_time_unix_nano
    event = log.event_name, at, _attributes(log.attributes)
    return LogEvent(_id(log.trace_id, log.span_id), event, log.ByteSize() + _RECORD_BYTES)


def _metrics(media_type: str, body: bytes) -> Received:
    resources = _bounded(_message(ExportMetricsServiceRequest, media_type, body).resource_metrics)
    gauges = _bounded(_gauges(resources))
    return Received(gauges=[gauge for gauge in gauges if isfinite(gauge.value)])


def _gauges(resources: Iterable[ResourceMetrics]) -> Iterator[Gauge]:
    for resource_metrics in resources:
        for scope_metrics in resource_metrics.scope_metrics:
            if scope_metrics.scope.name == semconv.SCOPE:
                for metric in scope_metrics.metrics:
                    yield from (_gauge(metric.name, point, resource_metrics.resource) for point in _points(metric))


def _points(metric: Metric) -> Iterable[NumberDataPoint]:
    if metric.name == semconv.ACTIVE.name:
        return metric.sum.data_points
    return metric.gauge.data_points if metric.name == semconv.SILENCE.name else ()


def _gauge(metric: str, point: NumberDataPoint, resource: Resource) -> Gauge:
    attributes = _attributes(point.attributes)
    return Gauge(
        series=hash((resource.SerializeToString(deterministic=True), metric, repr(sorted(attributes.items())))),
        group=group_of(_service(resource), attributes),
        metric=metric,
        value=point.as_double if point.WhichOneof("value") == "as_double" else point.as_int,
    )


# --- what they are made of -----------------------------------------------------------------------------------------


def _id(trace_id: bytes, span_id: bytes) -> bytes:
    if len(trace_id + span_id) != _ID_BYTES:
        raise BadDataError("A span or a log record of streamspan has no trace id and span id of 16 and 8 bytes.")
    return trace_id + span_id


def _service(resource: Resource) -> str:
    return word(_attributes(resource.attributes), "service.name") or _NO_SERVICE


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> AttributeValue:
    """What an attribute of a span may be, so a nested value as JSON."""
    plain = _plain(value)
    if isinstance(plain, (str, bool, int, float)):
        return plain
    if isinstance(plain, list) and all(isinstance(item, str) for item in cast("list[object]", plain)):
        return cast("list[str]", plain)
    return json.dumps(plain)


def _plain(value: AnyValue) -> object:
    """A number that JSON does not have becomes a word."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind == "double_value":
        return value.double_value if isfinite(value.double_value) else str(value.double_value)
    return "" if kind is None else cast("object", getattr(value, kind))
