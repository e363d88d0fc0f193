"""Bodies of every kind, read."""

import json
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from streamspan import semconv
from streamspan.cli.watch.otlp import (
    JSON,
    LOGS,
    METRICS,
    PATHS,
    PROTOBUF,
    BadDataError,
    LogEvent,
    Received,
    received,
)
from tests.watch.running import OTHER_SCOPE, SPAN_ID, TRACE_ID, pairs, stream_span, traces

SCOPE = InstrumentationScope(name=semconv.SCOPE)
FIELDS = [
    *("resourceSpans", "scopeSpans", "spans", "traceId", "spanId", "attributes", "key", "value", "stringValue"),
    *("intValue", "arrayValue", "values", "kvlistValue", "events", "status", "code", "startTimeUnixNano", "scope"),
    *("name", "resource", "resourceLogs", "scopeLogs", "logRecords", "resourceMetrics", "scopeMetrics", "metrics"),
    *("gauge", "sum", "dataPoints", "asInt", "asDouble", "bytesValue", "doubleValue"),
]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["streamspan", "00" * 16]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=30,
)


def is_read_or_refused(path: str, media_type: str, body: bytes) -> bool:
    try:
        return isinstance(cast("object", received(path, media_type, body)), Received)
    except BadDataError as refusal:
        return bool(str(refusal))


@given(st.sampled_from(PATHS), st.sampled_from([PROTOBUF, JSON]), st.binary())
def test_any_bytes_are_read_or_refused(path: str, media_type: str, body: bytes) -> None:
    """No bytes do anything else."""
    assert is_read_or_refused(path, media_type, body)


@given(st.sampled_from(PATHS), ANY_JSON)
def test_any_json_is_read_or_refused(path: str, value: object) -> None:
    """No JSON does anything else, whatever stands where."""
    assert is_read_or_refused(path, JSON, json.dumps(value).encode())


@given(st.data())
def test_any_damage_is_read_or_refused(data: st.DataObject) -> None:
    """A good body with a byte changed is read, or refused."""
    body = bytearray(traces(stream_span({"a": "b", "c": 1}, events=2)))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))

    assert is_read_or_refused("/v1/traces", PROTOBUF, bytes(body))


def test_only_our_spans_are_read() -> None:
    """Spans of another scope are counted, and not looked into: theirs may have no ids."""
    taken = received("/v1/traces", PROTOBUF, traces(stream_span({}, span_id=b""), stream_span({}), scope=OTHER_SCOPE))

    assert taken == Received(other_spans=2)


def test_log_events_are_read() -> None:
    """A log record of ours is an event of its span."""
    record = LogRecord(
        trace_id=TRACE_ID, span_id=SPAN_ID, event_name="llm_stream.stall", time_unix_nano=5, attributes=pairs({"a": 1})
    )
    logs = [ScopeLogs(scope=SCOPE, log_records=[record]), ScopeLogs(log_records=[LogRecord()])]
    body = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=logs)]).SerializeToString()

    [event] = received(LOGS, PROTOBUF, body).log_events

    assert event == LogEvent(TRACE_ID + SPAN_ID, ("llm_stream.stall", 5, {"a": 1}), event.size)


@pytest.mark.parametrize("value", [3, 2.5])
def test_gauges_are_read(value: float) -> None:
    """Open streams and silence are read, by whose they are; no other metric is, nor a number that is none."""
    labels = pairs({semconv.REQUEST_MODEL: "claude-x", semconv.PROVIDER_NAME: "anthropic", semconv.SERVER_PORT: 443})
    point = pb.NumberDataPoint(attributes=labels)
    if isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value
    metrics = [
        pb.Metric(name=semconv.ACTIVE.name, sum=pb.Sum(data_points=[point])),
        pb.Metric(name=semconv.SILENCE.name, gauge=pb.Gauge(data_points=[point])),
        pb.Metric(name=semconv.SILENCE.name, gauge=pb.Gauge(data_points=[pb.NumberDataPoint(as_double=float("nan"))])),
        pb.Metric(name="other", gauge=pb.Gauge(data_points=[point])),
    ]
    scope_metrics = [pb.ScopeMetrics(scope=SCOPE, metrics=metrics)]
    body = ExportMetricsServiceRequest(resource_metrics=[pb.ResourceMetrics(scope_metrics=scope_metrics)])

    gauges = received(METRICS, PROTOBUF, body.SerializeToString()).gauges

    assert [(*gauge.group, gauge.metric, gauge.value) for gauge in gauges] == [
        ("unknown_service", "claude-x", "anthropic", "llm_stream.active", value),
        ("unknown_service", "claude-x", "anthropic", "llm_stream.silence", value),
    ]
