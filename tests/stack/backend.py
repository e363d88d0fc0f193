"""An OTLP/HTTP backend of the tests' own, which can be stopped and started again on the same port."""

import gzip
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.stack.traceql import SearchedSpan

if TYPE_CHECKING:
    from typing_extensions import Self

QUIET_SECONDS = 2.5  # more than twice the time for which the gateway holds a batch
SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Point:
    """A data point of a sum or a histogram."""

    metric: str
    unit: str
    resource: Mapping[str, object]
    attributes: Mapping[str, object]
    value: float
    """The value of a sum, the count of a histogram."""
    total: float | None
    """The sum of a histogram."""


class Backend:
    """Listens from the start to the end of its `with` block. Keeps every body, as it was sent."""

    def __init__(self, status: int = 200) -> None:
        self.bodies: dict[str, list[bytes]] = {}
        """By path."""
        self._server: ThreadingHTTPServer | None = None
        self._thread: Thread | None = None
        self._port = 0
        self._status = status
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        """From now on connections are refused. Harmless if it is stopped already."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def forget(self) -> None:
        self.bodies.clear()

    @property
    def traces(self) -> dict[str, Counter[str]]:
        """How often each span has come, by trace; ids in hex."""
        traces: dict[str, Counter[str]] = {}
        for span in self._spans():
            traces.setdefault(span.trace_id.hex(), Counter())[span.span_id.hex()] += 1
        return traces

    @property
    def span_count(self) -> int:
        return sum(1 for _ in self._spans())

    @property
    def searched_spans(self) -> list[SearchedSpan]:
        """As a search sees them."""
        requests = map(ExportTraceServiceRequest.FromString, self.bodies.get("/v1/traces", []))
        return [
            _searched(span, _attributes(resource_spans.resource.attributes))
            for request in requests
            for resource_spans in request.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]

    @property
    def points(self) -> list[Point]:
        """Every point of every metric, in the order in which they came."""
        bodies = self.bodies.get("/v1/metrics", [])
        return [point for body in bodies for point in points_of(ExportMetricsServiceRequest.FromString(body))]

    @property
    def log_count(self) -> int:
        return sum(
            len(scope_logs.log_records)
            for body in self.bodies.get("/v1/logs", [])
            for resource_logs in ExportLogsServiceRequest.FromString(body).resource_logs
            for scope_logs in resource_logs.scope_logs
        )

    @property
    def everything(self) -> bytes:
        """All that has come, of every signal."""
        return b"".join(body for bodies in self.bodies.values() for body in bodies)

    def settle(self) -> None:
        """Waits until nothing comes any more."""
        give_up_at = time.monotonic() + SETTLE_SECONDS
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            count = sum(map(len, self.bodies.values()))
            if count != seen:
                seen, since = count, time.monotonic()
            assert time.monotonic() < give_up_at, "spans come and come"
            time.sleep(0.05)

    def _spans(self) -> Iterator[Any]:
        for body in list(self.bodies.get("/v1/traces", [])):
            for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope_spans in resource_spans.scope_spans:
                    yield from scope_spans.spans

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        backend, status = self, self._status

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                backend.bodies.setdefault(self.path, []).append(body)
                self.send_response(status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")  # the empty answer is the message of a full success
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that is overridden
                """Nothing on the terminal."""

        return Handler


def points_of(request: Any) -> list[Point]:
    """The points of an `ExportMetricsServiceRequest`."""
    return [
        _point(metric, point, _attributes(resource_metrics.resource.attributes))
        for resource_metrics in request.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        for point in getattr(metric, str(metric.WhichOneof("data"))).data_points
    ]


def _point(metric: Any, point: Any, resource: Mapping[str, object]) -> Point:
    is_histogram = metric.WhichOneof("data") == "histogram"
    value = point.count if is_histogram else getattr(point, str(point.WhichOneof("value")))
    total = point.sum if is_histogram else None
    return Point(metric.name, metric.unit, resource, _attributes(point.attributes), value, total)


def _searched(span: Any, resource: Mapping[str, object]) -> SearchedSpan:
    start, end = span.start_time_unix_nano / 1e6, span.end_time_unix_nano / 1e6
    is_root = not span.parent_span_id
    attributes = _attributes(span.attributes)
    return SearchedSpan(
        span.trace_id.hex(), span.span_id.hex(), span.name, start, end - start, resource, attributes, is_root
    )


def _attributes(pairs: Iterable[Any]) -> dict[str, object]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> object:
    kind = str(value.WhichOneof("value"))
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
