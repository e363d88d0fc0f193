"""The small files that are laid over the gateway's."""

from collections.abc import Iterable, Iterator

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from streamspan import semconv
from streamspan.cli.demo.anthropic.provider import PROVIDER
from tests.stack.application import Application, chosen_stories
from tests.stack.backend import Backend, Point, points_of
from tests.stack.collector import Collector, Start, wait_until
from tests.stack.metrics import TOLD_BY_SPANS
from tests.stack.snappy import decompressed

pytestmark = pytest.mark.timeout(180)

STREAMS = 6 * len(PROVIDER.stories)
ROUNDING = 0.001  # of a sum of durations: the library's clock is finer than the times of a span
METRICS_PATH = "/v1/metrics"
REMOTE_WRITE_PATH = "/api/v1/write"

Series = dict[str, dict[frozenset[tuple[str, object]], Point]]
"""By metric and attributes."""


@pytest.fixture(scope="module")
def gateway(start: Start, backend: Backend) -> Collector:
    """A gateway with every layer but Prometheus; it keeps no good trace."""
    files = ("gateway.yaml", "metrics-from-spans.yaml", "debug.yaml")
    return start(*files, SAMPLING_PERCENTAGE="0", BACKEND_ENDPOINT=backend.endpoint)


@pytest.fixture(scope="module")
def application(gateway: Collector, backend: Backend) -> Iterator[Application]:
    """One that sends traces only."""
    with Application(gateway.http, in_batches=True) as application:
        application.play(chosen_stories(STREAMS, seed=11))
        wait_until(lambda: gateway.metric("otelcol_receiver_accepted_spans") == len(application.spans))
        backend.settle()
        yield application


@pytest.fixture(scope="module")
def counted(application: Application, backend: Backend) -> tuple[Series, Series]:
    """What the library has counted in the application, and what the gateway has made of the spans."""
    data = application.metrics.get_metrics_data()
    assert data is not None
    return series(points_of(encode_metrics(data))), series(backend.points)


def series(points: Iterable[Point]) -> Series:
    """The last point of each, without what is still 0."""
    last: Series = {}
    for point in points:
        if point.value:
            last.setdefault(point.metric, {})[frozenset(point.attributes.items())] = point
    return last


@pytest.mark.parametrize("metric", TOLD_BY_SPANS, ids=lambda metric: metric.name)
def test_the_gateway_counts_as_the_library_does(counted: tuple[Series, Series], metric: semconv.Metric) -> None:
    """The same series with the same counts, of all streams, though no good trace was kept."""
    [by_library, by_gateway] = [each.get(metric.name, {}) for each in counted]

    assert by_gateway.keys() == by_library.keys()
    assert {key: point.value for key, point in by_gateway.items()} == {
        key: pytest.approx(point.value) for key, point in by_library.items()
    }
    assert {key: point.total for key, point in by_gateway.items()} == {
        key: pytest.approx(point.total, abs=ROUNDING) for key, point in by_library.items()
    }


def test_the_streams_are_of_many_kinds(counted: tuple[Series, Series]) -> None:
    """What is compared above is not nothing."""
    [_, by_gateway] = counted

    assert len(by_gateway["llm_stream.streams"]) > 5
    assert by_gateway.keys() >= {"llm_stream.tool_calls", "llm_stream.anomalies", "gen_ai.client.token.usage"}


def test_the_metrics_are_of_the_application_and_this_gateway(application: Application, backend: Backend) -> None:
    """Two gateways that count for one application do not write the same series."""
    [(service, instance)] = {
        (point.resource.get("service.name"), point.resource.get("service.instance.id")) for point in backend.points
    }

    assert service == "chat"
    assert instance not in {None, "", "chat-1"}


def test_what_leaves_is_printed(application: Application, gateway: Collector) -> None:
    """The debugging layer prints the spans of the traces that are kept."""
    printed = gateway.log.read_text()

    assert "chat claude-sonnet-5-5" in printed
    assert "llm_stream.outcome=aborted" in printed


def test_the_layers_do_not_complain(application: Application, gateway: Collector) -> None:
    """No warning for what a span lacks."""
    assert gateway.complaints == []


def test_prometheus_gets_the_metrics(start: Start) -> None:
    """By remote write, under the names that the boards use, and the backend gets none by OTLP."""
    with Backend() as prometheus:
        files = ("gateway.yaml", "metrics-from-spans.yaml", "prometheus-remote-write.yaml")
        endpoints = {
            "BACKEND_ENDPOINT": prometheus.endpoint,
            "PROMETHEUS_ENDPOINT": prometheus.endpoint + REMOTE_WRITE_PATH,
        }
        gateway = start(*files, **endpoints)
        with Application(gateway.http) as application:
            attributes = {semconv.OPERATION_NAME: "chat", semconv.OUTCOME: "aborted"}
            application.tracer.start_span("chat claude-sonnet-5-5", attributes=attributes).end()
        wait_until(lambda: REMOTE_WRITE_PATH in prometheus.bodies)
        written = b"".join(map(decompressed, prometheus.bodies[REMOTE_WRITE_PATH]))

        assert b"llm_stream_streams_total" in written
        assert b"gen_ai_client_operation_duration_seconds_bucket" in written
        assert METRICS_PATH not in prometheus.bodies
