"""Sick collectors -> the real Prometheus -> every query of the board that tells whether the telemetry is healthy.

What is refused, lost, waiting or given up is counted here as it is sent.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.boards.committed import QUERIES
from tests.stack.backend import Backend
from tests.stack.collector import Collector, Start, wait_until
from tests.stack.prometheus import Prometheus
from tests.stack.seeded import Values
from tests.stack.test_boards_data import legend_of, shown

PATIENCE = 1.5  # of a sender whose data do not fit into the queue
SPANS, POINTS, LOGS = 7, 5, 3
QUEUE_BYTES = 1000
WINDOW_SECONDS = 12  # a scrape each second
SLOTS, CLEAN, BAD = 10, 30, 5


def logs(count: int) -> tuple[str, bytes]:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for _ in range(count):
        records.add().body.string_value = "a"
    return "logs", request.SerializeToString()


def points(count: int) -> tuple[str, bytes]:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    for _ in range(count):
        metric.gauge.data_points.add(as_int=1, time_unix_nano=time.time_ns())
    return "metrics", request.SerializeToString()


def spans(count: int, first: int, *, outcome: str = "complete") -> tuple[str, bytes]:
    """Each in a trace of its own; the first trace has this number."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(first, first + count):
        span = scope.spans.add(name="chat", trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"))
        span.start_time_unix_nano, span.end_time_unix_nano = time.time_ns() - 1000, time.time_ns()
        span.attributes.add(key="llm_stream.outcome").value.string_value = outcome
    return "traces", request.SerializeToString()


def send(collector: Collector, message: tuple[str, bytes]) -> None:
    """Once, whatever comes of it."""
    signal, body = message
    connection = HTTPConnection(collector.http.removeprefix("http://"), timeout=PATIENCE)
    with suppress(TimeoutError):
        connection.request("POST", f"/v1/{signal}", body, {"content-type": "application/x-protobuf"})
        connection.getresponse().read()
    connection.close()


@dataclass(frozen=True, slots=True)
class Sick:
    """The collectors by what is wrong with each, and the time in which it was."""

    collectors: Mapping[str, Collector]
    prometheus: Prometheus
    begin: float

    @property
    def end(self) -> float:
        return self.begin + WINDOW_SECONDS

    def asked(self, target: Mapping[str, str]) -> Values:
        """By legend, with the collector's name in the place of its address; counts in the place of rates."""
        expression = target["expr"].replace("$__rate_interval", f"{WINDOW_SECONDS}s")
        seconds = WINDOW_SECONDS - 1 if expression != target["expr"] else 1  # from the first scrape to the last
        found = self.prometheus.query(expression, self.end)
        return shown({self._named(legend_of(target, labels)): value * seconds for labels, value in found})

    def _named(self, legend: str) -> str:
        names = {collector.self_metrics: name for name, collector in self.collectors.items()}
        return re.sub(r"127\.0\.0\.1:\d+", lambda found: names[found[0]], legend).replace("otelcol ", "")


@pytest.fixture(scope="module")
def sick(start: Start, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sick]:
    quick = {"SAMPLING_PERCENTAGE": "100", "DECISION_WAIT": "1s"}
    with Backend(status=400) as refusing_backend:
        collectors = {
            "no memory": start("gateway.yaml", MEMORY_MIB="1", BACKEND_ENDPOINT=backend.endpoint),
            "refused by the backend": start("gateway.yaml", BACKEND_ENDPOINT=refusing_backend.endpoint, **quick),
            "no queue": start("gateway.yaml", QUEUE_BYTES="1", BACKEND_ENDPOINT=backend.endpoint),
            "backend away": start(
                "gateway.yaml",
                QUEUE_BYTES=str(QUEUE_BYTES),
                BACKEND_ENDPOINT="http://127.0.0.1:9",
                SAMPLING_PERCENTAGE="0",
                DECISION_WAIT="1s",
            ),
            "too many traces": start(
                "gateway.yaml", TRACES_WAITING=str(SLOTS), SAMPLING_PERCENTAGE="0", BACKEND_ENDPOINT=backend.endpoint
            ),
        }
        scraped = [collector.self_metrics for collector in collectors.values()]
        with Prometheus(tmp_path_factory.mktemp("prometheus"), scraped) as prometheus:
            make_ill(collectors, first=1)  # from now on there is every series
            wait_for_scrapes(prometheus, len(scraped))
            begin = time.time()
            wait_for_scrapes(prometheus, len(scraped))
            make_ill(collectors, first=1001)
            make_too_many_traces(collectors["too many traces"])
            sick = Sick(collectors, prometheus, begin)
            wait_until(lambda: time.time() > sick.end + 1)
            yield sick


def make_ill(collectors: Mapping[str, Collector], *, first: int) -> None:
    for name in ("no memory", "refused by the backend", "no queue"):
        send(collectors[name], points(POINTS))
        send(collectors[name], logs(LOGS))
    for name in ("no memory", "refused by the backend", "backend away"):
        send(collectors[name], spans(SPANS, first))
    send(collectors["backend away"], points(POINTS))
    send(collectors["backend away"], logs(LOGS))
    send(collectors["too many traces"], spans(1, first, outcome="aborted"))


def make_too_many_traces(collector: Collector) -> None:
    for number in range(CLEAN):
        send(collector, spans(1, 2001 + number))
    for number in range(BAD):
        send(collector, spans(1, 3001 + number, outcome="aborted"))


def wait_for_scrapes(prometheus: Prometheus, count: int) -> None:
    """The second one of each collector, from now on."""
    since = time.time()

    def scraped() -> int:
        return sum(at > since + 1.1 for _, at in prometheus.query("timestamp(up)", time.time()))

    wait_until(lambda: scraped() == count)


def waiting_share(sick: Sick) -> Values:
    """As the collector itself says it; nothing leaves its queues."""
    away = sick.collectors["backend away"]
    queued = {signal: away.metric("otelcol_exporter_queue_size", having=signal) for signal in ("logs", "metrics")}
    return {f"backend away otlp_http/backend {signal}": size / QUEUE_BYTES for signal, size in queued.items()}


def resident(sick: Sick) -> Values:
    return {name: collector.memory_mib * 2**20 for name, collector in sick.collectors.items()}


def of(what: str, whose: Mapping[str, float], more: str = "") -> Callable[[Sick], Values]:
    return lambda _: {f"{what} {name}{more}": count for name, count in whose.items()}


EVERY_TRACE = CLEAN + BAD + 1
EXPECTED: dict[tuple[str, str], Callable[[Sick], Values]] = {
    ("Accepted", "A"): of(
        "spans", {"refused by the backend": SPANS, "backend away": SPANS, "too many traces": EVERY_TRACE}
    ),
    ("Accepted", "B"): of("metric_points", {"refused by the backend": POINTS, "backend away": POINTS}),
    ("Accepted", "C"): of("log_records", {"refused by the backend": LOGS, "backend away": LOGS}),
    ("Refused", "A"): of("spans", {"no memory": SPANS}),
    ("Refused", "B"): of("metric_points", {"no memory": POINTS, "no queue": POINTS}),
    ("Refused", "C"): of("log_records", {"no memory": LOGS, "no queue": LOGS}),
    ("Queue in use", "A"): waiting_share,
    ("Failed to send", "A"): of("spans", {"refused by the backend": SPANS}),
    ("Failed to send", "B"): of("metric_points", {"refused by the backend": POINTS}),
    ("Failed to send", "C"): of("log_records", {"refused by the backend": LOGS}),
    ("Failed to send", "D"): of("spans", {}),  # the sampler waits for a place in the queue
    ("Failed to send", "E"): of("metric_points", {"no queue": POINTS}, ", queue full"),
    ("Failed to send", "F"): of("log_records", {"no queue": LOGS}, ", queue full"),
    ("Traces by decision", "A"): lambda _: {"sampled": SPANS + BAD + 1, "not_sampled": SPANS},
    ("Traces that wait for a decision", "A"): lambda _: {"too many traces": SLOTS - 1},  # a kept one holds a place
    ("Traces given up too early", "A"): lambda _: {"too many traces": CLEAN - SLOTS + 1},
    ("Memory", "A"): resident,
}
PIPELINE = [query for query in QUERIES if query[0] == "streams-pipeline" and "otelcol" in query[2]["expr"]]


def test_every_query_is_expected() -> None:
    """No panel is left out."""
    assert {(title, target["refId"]) for _, title, target in PIPELINE} == set(EXPECTED)


@pytest.mark.parametrize("query", PIPELINE, ids=lambda query: f"{query[1]} {query[2]['refId']}")
def test_a_sick_pipeline_looks_sick(query: tuple[str, str, dict[str, str]], sick: Sick) -> None:
    """What is refused, lost or waiting is told of the collector that it happens to, by its number."""
    _, title, target = query
    expected = EXPECTED[title, target["refId"]](sick)

    assert sick.asked(target) == pytest.approx(expected, rel=0.3 if title == "Memory" else 0.1)
