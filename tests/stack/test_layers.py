"""The small files that are laid over the gateway's."""

from collections import Counter
from collections.abc import Iterator, Mapping

import pytest

from streamspan import semconv
from streamspan.demo.stories import STORIES
from tests.stack.application import Application, chosen_stories
from tests.stack.backend import Backend, Point
from tests.stack.collector import Collector, Start, wait_until
from tests.stack.snappy import decompressed

pytestmark = pytest.mark.timeout(180)

STREAMS = 4 * len(STORIES)
METRICS_PATH = "/v1/metrics"
REMOTE_WRITE_PATH = "/api/v1/write"


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
def streams(application: Application) -> list[Mapping[str, object]]:
    """The attributes of every stream that was played."""
    return [dict(span.attributes or {}) for span in application.spans if semconv.OUTCOME in (span.attributes or {})]


def totals(points: list[Point], metric: str, attribute: str) -> dict[object, float]:
    """The sum of the last points of each series, by one attribute."""
    last = {
        (tuple(sorted(map(str, point.resource.items()))), tuple(sorted(map(str, point.attributes.items())))): point
        for point in points
        if point.metric == metric
    }
    sums: Counter[object] = Counter()
    for point in last.values():
        sums[point.attributes.get(attribute)] += point.value  # type: ignore[assignment]  # a Counter of floats
    return dict(sums)


def test_every_stream_is_counted_by_its_outcome(streams: list[Mapping[str, object]], backend: Backend) -> None:
    """The counter has all streams, though no good trace was kept."""
    assert totals(backend.points, "llm_stream.streams", semconv.OUTCOME) == dict(
        Counter(stream[semconv.OUTCOME] for stream in streams)
    )


def test_the_histograms_have_each_stream(streams: list[Mapping[str, object]], backend: Backend) -> None:
    """Each stream that knows a duration, a wait or a number of tokens is in its histogram."""
    points = backend.points
    models = {
        name: totals(points, name, semconv.OPERATION_NAME).get("chat")
        for name in ("gen_ai.client.operation.duration", "gen_ai.client.operation.time_to_first_chunk")
    }
    tokens = totals(points, "gen_ai.client.token.usage", "gen_ai.token.type")

    assert models == {
        "gen_ai.client.operation.duration": len(streams),
        "gen_ai.client.operation.time_to_first_chunk": having(streams, semconv.RESPONSE_TIME_TO_FIRST_CHUNK),
    }
    assert tokens == {
        "input": having(streams, semconv.USAGE_INPUT_TOKENS),
        "output": having(streams, semconv.USAGE_OUTPUT_TOKENS),
    }


def having(streams: list[Mapping[str, object]], attribute: str) -> int:
    return sum(attribute in stream for stream in streams)


def test_what_rides_in_the_name_becomes_an_attribute(streams: list[Mapping[str, object]], backend: Backend) -> None:
    """Anomalies, tool calls and cache hits are under the attributes that the library's own metrics have."""
    points = backend.points
    incomplete = total(streams, semconv.TOOL_CALL_INCOMPLETE)
    hits = totals(points, "gen_ai.client.operation.time_to_first_chunk", semconv.CACHE_HIT)

    assert totals(points, "llm_stream.anomalies", semconv.ANOMALY) == {
        word: count
        for word, count in {
            "stall": total(streams, semconv.STALL_COUNT),
            "repetition": total(streams, semconv.REPETITION_DETECTED),
            "buffered": total(streams, semconv.BUFFERED),
            "incomplete_tool_call": incomplete,
            "invalid_tool_json": total(streams, semconv.TOOL_CALL_INVALID_JSON),
        }.items()
        if count
    }
    assert totals(points, "llm_stream.tool_calls", semconv.TOOL_CALL_COMPLETED) == {
        True: total(streams, semconv.TOOL_CALL_COUNT) - incomplete,
        False: incomplete,
    }
    assert sum(hits.values()) == having(streams, semconv.RESPONSE_TIME_TO_FIRST_CHUNK)
    assert hits[False] > 0


def test_delivered_characters_are_added_up(streams: list[Mapping[str, object]], backend: Backend) -> None:
    """Of every stream, the aborted ones too, text and thinking and tool input together."""
    chars = (semconv.TEXT_CHARS, semconv.THINKING_CHARS, semconv.TOOL_INPUT_CHARS)

    assert sum(totals(backend.points, "llm_stream.output.chars", semconv.OUTCOME).values()) == sum(
        total(streams, attribute) for attribute in chars
    )


def total(streams: list[Mapping[str, object]], attribute: str) -> int:
    """Flags count as 1."""
    return sum(number for stream in streams if isinstance(number := stream.get(attribute), int))


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

    assert "chat claude-sonnet-4-6" in printed
    assert "llm_stream.outcome=aborted" in printed


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
            application.tracer.start_span("chat claude-sonnet-4-6", attributes=attributes).end()
        wait_until(lambda: REMOTE_WRITE_PATH in prometheus.bodies)
        written = b"".join(map(decompressed, prometheus.bodies[REMOTE_WRITE_PATH]))

        assert b"llm_stream_streams_total" in written
        assert b"gen_ai_client_operation_duration_seconds_bucket" in written
        assert METRICS_PATH not in prometheus.bodies
