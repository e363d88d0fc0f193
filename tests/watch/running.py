"""The receiver in a thread of its own, what a client sends to it, and telemetry by hand."""

import asyncio
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from streamspan import semconv
from streamspan.cli.watch.otlp import Received, received
from streamspan.cli.watch.receiver import Receiver

if TYPE_CHECKING:
    from typing_extensions import Self

TRACE_ID, SPAN_ID = bytes(range(16)), bytes(range(8))
OTHER_SCOPE = "opentelemetry.instrumentation.httpx"


class Running:
    """Listens on a free port of 127.0.0.1 for a `with` block, and keeps what it has taken."""

    def __init__(self) -> None:
        self.taken: list[Received] = []
        self.refusals: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._listens = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        server = await Receiver(self._accept, self.refusals.append).listen("127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listens.set()
        await self._end.wait()
        server.close()
        answering = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)
        await asyncio.sleep(0)  # a transport that was aborted closes its socket in the loop's next turn

    async def _accept(self, path: str, media_type: str, body: bytes) -> None:
        self.taken.append(received(path, media_type, body))

    def __enter__(self) -> "Self":
        self._thread.start()
        self._listens.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, sent: bytes, *, half_closes: bool = False) -> bytes:
        """All that comes back for these bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as client:
            client.sendall(sent)
            if half_closes:
                client.shutdown(socket.SHUT_WR)
            answer = bytearray()
            while piece := client.recv(65536):
                answer += piece
        return bytes(answer)


def post(
    body: bytes,
    *headers: str,
    path: str = "/v1/traces",
    media_type: str = "application/x-protobuf",
    length: bool = True,
) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: watch", f"Content-Type: {media_type}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def stream_span(attributes: dict[str, str | int | float | bool], *, span_id: bytes = SPAN_ID, events: int = 0) -> Span:
    """A span of 2 s with these attributes, and so many events of content blocks."""
    block = Span.Event(time_unix_nano=2 * 10**9, name=semconv.EVENT_CONTENT_BLOCK)
    return Span(
        trace_id=TRACE_ID,
        span_id=span_id,
        name="chat claude-x",
        start_time_unix_nano=10**9,
        end_time_unix_nano=3 * 10**9,
        attributes=pairs(attributes),
        events=[block] * events,
    )


def pairs(attributes: dict[str, str | int | float | bool]) -> list[KeyValue]:
    return [KeyValue(key=name, value=any_value(value)) for name, value in attributes.items()]


def any_value(value: str | float | bool) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)


def traces(*spans: Span, scope: str = semconv.SCOPE, service: str = "shop") -> bytes:
    """A body for /v1/traces."""
    scope_spans = ScopeSpans(scope=InstrumentationScope(name=scope), spans=spans)
    resource = Resource(attributes=pairs({"service.name": service}))
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope_spans])]
    ).SerializeToString()


def logs(count: int) -> bytes:
    """A body for /v1/logs with so many events of ours."""
    records = [LogRecord(trace_id=TRACE_ID, span_id=SPAN_ID, event_name="llm_stream.stall")] * count
    scope_logs = ScopeLogs(scope=InstrumentationScope(name=semconv.SCOPE), log_records=records)
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scope_logs])]).SerializeToString()


def silences(count: int) -> bytes:
    """A body for /v1/metrics with so many points of ours that are no numbers."""
    gauge = Gauge(data_points=[NumberDataPoint(as_double=float("nan"))] * count)
    metrics = [Metric(name=semconv.SILENCE.name, gauge=gauge)]
    scope_metrics = ScopeMetrics(scope=InstrumentationScope(name=semconv.SCOPE), metrics=metrics)
    resource_metrics = [ResourceMetrics(scope_metrics=[scope_metrics])]
    return ExportMetricsServiceRequest(resource_metrics=resource_metrics).SerializeToString()
