"""Metrics over a real socket: what a stream records at its end, and what is told of streams that are open."""

import contextlib
import gc
import multiprocessing
import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from math import inf
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from opentelemetry import metrics as metrics_api
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import MeterProvider as AnyMeterProvider
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import INVALID_SPAN, NoOpTracerProvider
from prometheus_client import REGISTRY, generate_latest

from streamspan import AnthropicStreamInstrumentor, Config, semconv
from streamspan.anthropic.provider import ANTHROPIC
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Head, Pause, Script, Wait, error_response
from streamspan.cli.demo.server import MessagesServer
from streamspan.core.model import Ending as StreamEnding
from streamspan.core.stream import StreamState
from streamspan.runtime import open_streams
from streamspan.telemetry.metrics import Metrics
from tests.anthropic.paths import REQUEST

pytestmark = pytest.mark.usefixtures("quick_collection")

MARKER = "xyzzy-secret"
SENTENCES = (
    "I should look at the failing test first. It expects two rows and the query returns three. "
    "So the join must be wrong somewhere, and I will read it again. "
)
TOOL = list(wire.tool_block(1, f"get_{MARKER}", '{"id":4711}'))
CUT_TOOL = list(wire.tool_block(2, "get_order", '{"id":47'))
BROKEN_TOOL = list(wire.tool_block(3, "get_order", "{id}"))


def message(*blocks: Any, stop_reason: str = "end_turn", usage: Mapping[str, object] | None = None) -> list[Any]:
    start = wire.message_start(usage={"input_tokens": 25, "cache_read_input_tokens": 100, **(usage or {})})
    body = [event for block in blocks for event in block]
    return [start, *body, wire.message_delta(stop_reason, 20), wire.message_stop()]


HELLO = list(wire.text_block(0, f"Hello {MARKER}, and a good morning to everyone."))
WHOLE = message(HELLO)
SILENT: Script = [*WHOLE[:4], Pause(inf)]
EVERYTHING = [
    *message(wire.text_block(0, SENTENCES * 8), TOOL, CUT_TOOL, BROKEN_TOOL)[:-2],
    Pause(0.3),
    wire.message_delta("tool_use", 200),
    wire.message_stop(),
]
LIMITED = Head(headers={"anthropic-ratelimit-requests-remaining": "49"})
ITERATIONS = [{"type": "advisor_message", "model": wire.MODEL, "input_tokens": 9, "output_tokens": 3}]
BASE = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-sonnet-5-5",
    "gen_ai.response.model": "claude-sonnet-5-5",
    "server.address": "127.0.0.1",
}


@dataclass
class Metered:
    """An application that is instrumented, and the reader of its metrics."""

    server: MessagesServer
    client: Anthropic
    reader: InMemoryMetricReader
    points: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])

    def read(self, script: Script, **request: Any) -> None:
        self.server.scripts.append(script)
        with contextlib.suppress(Exception):
            for _ in self.client.messages.create(**{**REQUEST, **request}, stream=True):
                pass

    def open(self, script: Script) -> Any:
        self.server.scripts.append(script)
        stream = self.client.messages.create(**REQUEST, stream=True)
        next(stream)
        return stream

    def collect(self) -> "Metered":
        data: Any = self.reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        self.points = {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}
        return self

    def values(self, name: str) -> list[tuple[dict[str, Any], float]]:
        """What is not 0, without the attributes that all have."""
        found: list[tuple[dict[str, Any], float]] = []
        for point in self.points.get(name, []):
            value = point.sum if hasattr(point, "sum") else point.value
            labels = {key: value for key, value in point.attributes.items() if key not in {*BASE, "server.port"}}
            found += [(labels, value)] if value else []
        return found


@contextlib.contextmanager
def metered(
    tracer_provider: Any,
    server: MessagesServer,
    *,
    meter_provider: AnyMeterProvider | None = None,
    reader: InMemoryMetricReader | None = None,
    config: Config | None = None,
) -> Generator[Metered]:
    reader = reader or InMemoryMetricReader()
    provider = meter_provider or MeterProvider([reader], shutdown_on_exit=False)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=provider, config=config)
    http_client = anthropic.DefaultHttpxClient(verify=False, limits=anthropic.DEFAULT_CONNECTION_LIMITS)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield Metered(server, client, reader)
    instrumentor.uninstrument()


@pytest.fixture
def server() -> Iterator[MessagesServer]:
    with MessagesServer() as server:
        yield server


@pytest.fixture
def app(tracer_provider: TracerProvider, server: MessagesServer) -> Iterator[Metered]:
    with metered(tracer_provider, server, config=Config(stall_seconds=0.25)) as app:
        yield app


# --- what a stream records ---------------------------------------------------------------------------------------


def test_every_metric_is_recorded_as_it_is_named(app: Metered) -> None:
    """Each metric of `semconv.METRICS` but the one that is off by default, with its unit; none besides."""
    app.read([LIMITED, *message(HELLO, usage={"iterations": ITERATIONS})])
    app.read(EVERYTHING)
    app.read(WHOLE[:-2])
    app.read(message(wire.thinking_block(0, SENTENCES)))
    app.read([*WHOLE, Pause(0.05, never_shorter=True), wire.error("api_error", "")])
    data: Any = app.reader.get_metrics_data()

    found = {
        metric.name: (metric.unit, metric.description)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }

    expected = {metric.name: (metric.unit, metric.description) for metric in semconv.METRICS.values()}
    del expected["gen_ai.client.operation.time_per_output_chunk"]
    assert found == expected


def test_a_complete_stream(app: Metered) -> None:
    """One record each; the labels are those that the schema gives."""
    app.read(WHOLE)

    app.collect()

    assert app.values("llm_stream.streams") == [
        ({"llm_stream.outcome": "complete", "llm_stream.stop_reason": "end_turn"}, 1)
    ]
    assert app.values("gen_ai.client.token.usage") == [
        ({"gen_ai.token.type": "input"}, 125),
        ({"gen_ai.token.type": "output"}, 20),
    ]
    assert app.values("llm_stream.cache.tokens") == [({"llm_stream.cache.use": "read"}, 100)]
    assert [labels for labels, _ in app.values("gen_ai.client.operation.duration")] == [{}]
    assert [labels for labels, _ in app.values("gen_ai.client.operation.time_to_first_chunk")] == [
        {"llm_stream.cache_hit": True}
    ]
    assert app.values("llm_stream.output.chars") == [
        ({"llm_stream.outcome": "complete", "llm_stream.repetition.detected": False}, 51)
    ]
    assert app.values("llm_stream.incomplete.duration") == app.values("llm_stream.anomalies") == []
    [point] = app.points["gen_ai.client.operation.duration"]
    assert dict(point.attributes) == {**BASE, "server.port": app.server.port}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(
            WHOLE[:-4], {"outcome": "truncated", "phase": "text", "error": "stream_truncated"}, id="truncated"
        ),
        pytest.param(
            [*WHOLE[:-4], wire.error("overloaded_error", MARKER)],
            {"outcome": "error", "phase": "text", "error": "overloaded_error"},
            id="error event",
        ),
        pytest.param(
            [*WHOLE[:4], Ending.RESET],
            {"outcome": "error", "phase": "text", "error": "connection_error"},
            id="reset",
        ),
    ],
)
def test_a_stream_that_did_not_complete(script: Script, expected: Mapping[str, str], app: Metered) -> None:
    """Its outcome, phase and error type are on the counter; its duration is in a histogram of its own."""
    app.read(script)

    app.collect()

    labels = {
        "llm_stream.outcome": expected["outcome"],
        "llm_stream.phase": expected["phase"],
        "error.type": expected["error"],
    }
    assert app.values("llm_stream.streams") == [(labels, 1)]
    assert [labels for labels, _ in app.values("llm_stream.incomplete.duration")] == [
        {"llm_stream.outcome": expected["outcome"]}
    ]
    [(of_the_duration, _)] = app.values("gen_ai.client.operation.duration")
    assert of_the_duration == {"error.type": expected["error"]}


def test_an_aborted_stream(app: Metered) -> None:
    """Its reason and phase, and what was delivered, which no token count tells."""
    stream = app.open([*WHOLE[:4], Pause(0.2), *WHOLE[4:]])
    for _ in range(2):
        next(stream)
    stream.close()

    app.collect()

    assert app.values("llm_stream.streams") == [
        ({"llm_stream.outcome": "aborted", "llm_stream.abort.reason": "closed", "llm_stream.phase": "text"}, 1)
    ]
    assert [labels["llm_stream.outcome"] for labels, _ in app.values("llm_stream.output.chars")] == ["aborted"]
    assert app.values("gen_ai.client.token.usage") == [({"gen_ai.token.type": "input"}, 125)]


def test_anomalies_and_tool_calls(app: Metered) -> None:
    """One for each that the stream had; tool calls by whether they came whole."""
    app.read(EVERYTHING)

    app.collect()

    assert {labels["llm_stream.anomaly"]: value for labels, value in app.values("llm_stream.anomalies")} == {
        "stall": 1,
        "repetition": 1,
        "incomplete_tool_call": 1,
        "invalid_tool_json": 1,
    }
    assert {
        labels["llm_stream.tool_call.complete"]: value for labels, value in app.values("llm_stream.tool_calls")
    } == {
        True: 1,
        False: 2,
    }
    assert app.values("llm_stream.provider.time")[0][1] >= 0.25


def test_the_time_per_chunk_is_recorded_where_asked(tracer_provider: TracerProvider, server: MessagesServer) -> None:
    """A record for each chunk after the first."""
    with metered(tracer_provider, server, config=Config(time_per_output_chunk=True)) as app:
        app.read(WHOLE)
        app.collect()

    [point] = app.points["gen_ai.client.operation.time_per_output_chunk"]
    assert point.count == len(HELLO) - 3
    assert dict(point.attributes) == {**BASE, "server.port": server.port}


def test_an_exemplar_leads_to_the_trace(app: Metered, exporter: InMemorySpanExporter) -> None:
    """Of every histogram and of the counters that are recorded, though the span is not current."""
    app.read(EVERYTHING)

    app.collect()

    [span] = exporter.get_finished_spans()
    identity = span.get_span_context()
    assert identity is not None
    with_exemplars = {
        name
        for name, points in app.points.items()
        for point in points
        for exemplar in point.exemplars
        if (exemplar.trace_id, exemplar.span_id) == (identity.trace_id, identity.span_id)
    }
    recorded = {metric.name for metric in semconv.METRICS.values() if metric.kind == "histogram"} - {
        "gen_ai.client.operation.time_per_output_chunk",
        "llm_stream.incomplete.duration",
        "llm_stream.close_delay",
        "llm_stream.thinking.time",
    }
    on_a_busy_machine = {"llm_stream.close_delay"}
    assert with_exemplars - on_a_busy_machine == recorded | {
        "llm_stream.anomalies",
        "llm_stream.tool_calls",
    }


# --- who listens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param(lambda: TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False), id="sampled out"),
        pytest.param(NoOpTracerProvider, id="meter only"),
    ],
)
def test_metrics_do_not_depend_on_spans(provider: Any, server: MessagesServer) -> None:
    """They are the same where the span is not recorded, and where there is none."""
    with metered(provider(), server) as app:
        app.read(EVERYTHING)
        app.collect()

    assert [value for _, value in app.values("llm_stream.streams")] == [1]
    assert [labels["llm_stream.anomaly"] for labels, _ in app.values("llm_stream.anomalies")][:1] == ["repetition"]


def test_spans_do_not_depend_on_metrics(
    tracer_provider: TracerProvider, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A tracer alone."""
    with metered(tracer_provider, server, meter_provider=NoOpMeterProvider()) as app:
        app.read(WHOLE)

    assert [(span.attributes or {})["llm_stream.outcome"] for span in exporter.get_finished_spans()] == ["complete"]


def test_nobody_listens(server: MessagesServer) -> None:
    """Without an SDK nothing is watched; the application reads what it would read."""
    with metered(NoOpTracerProvider(), server, meter_provider=NoOpMeterProvider()) as app:
        server.scripts.append(WHOLE)
        stream = app.client.messages.create(**REQUEST, stream=True)

        assert open_streams() == []
        assert [event.type for event in stream][-1] == "message_stop"


def test_a_global_provider_that_is_set_later(server: MessagesServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`instrument()` may come before the application sets its provider."""
    provider = MeterProvider([reader := InMemoryMetricReader()], shutdown_on_exit=False)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=NoOpTracerProvider())
    patch: Any = instrumentor._patch
    monkeypatch.setattr(metrics_api, "get_meter_provider", lambda: provider)

    try:
        assert patch._source.has_sdk()
    finally:
        instrumentor.uninstrument()
    assert reader is not None


# --- counters are there before they count ------------------------------------------------------------------------


def test_what_may_follow_is_added_0(app: Metered) -> None:
    """Once a model has had its first stream: an outcome that comes later rises from 0, and `increase()` sees it."""
    app.read(WHOLE)

    app.collect()

    zeros = [dict(point.attributes) for point in app.points["llm_stream.streams"] if point.value == 0]
    assert {**BASE, "server.port": app.server.port, **_ended("truncated", "error.type", "stream_truncated")} in zeros
    assert {**BASE, "server.port": app.server.port, **_ended("aborted", "llm_stream.abort.reason", "closed")} in zeros
    assert {point.attributes["llm_stream.anomaly"] for point in app.points["llm_stream.anomalies"]} == {
        "stall",
        "repetition",
        "rumination",
        "buffered",
        "incomplete_tool_call",
        "invalid_tool_json",
        "refusal",
        "slower_than_reading",
    }
    assert [point.value for point in app.points["llm_stream.instrumentation.events_dropped"]] == [0]


def _ended(outcome: str, name: str, value: str) -> dict[str, str]:
    return {"llm_stream.outcome": outcome, "llm_stream.phase": "text", name: value}


BEFORE_AN_ANSWER = [
    *(
        {"llm_stream.outcome": "error", "llm_stream.phase": "opening", "error.type": error_type}
        for error_type in ("overloaded_error", "rate_limit_error", "api_error", "connection_error")
    ),
    {"llm_stream.outcome": "aborted", "llm_stream.phase": "opening", "llm_stream.abort.reason": "cancelled"},
    {"llm_stream.outcome": "error", "llm_stream.phase": "waiting", "error.type": "overloaded_error"},
    {"llm_stream.outcome": "truncated", "llm_stream.phase": "waiting", "error.type": "stream_truncated"},
    {"llm_stream.outcome": "aborted", "llm_stream.phase": "waiting", "llm_stream.abort.reason": "never_read"},
]
"""How a stream of which no model is known is likely to end."""


def zeros_of(app: Metered, name: str = "llm_stream.streams", *, answered: bool) -> list[dict[str, Any]]:
    """The label sets that are there with 0, with a response model or without, less what all have."""
    names = {*BASE, "server.port"}
    return [
        {label: value for label, value in point.attributes.items() if label not in names}
        for point in app.points.get(name, [])
        if point.value == 0 and ("gen_ai.response.model" in point.attributes) is answered
    ]


def test_before_the_first_stream_of_a_model_there_is_nothing(app: Metered) -> None:
    """`instrument()` alone adds no series."""
    app.collect()

    assert "llm_stream.streams" not in app.points


def test_what_may_follow_is_added_0_when_the_first_stream_starts(app: Metered) -> None:
    """An export while it waits for its first byte has the failures that have no response model, and no others."""
    release = threading.Event()
    app.server.scripts.append([Wait(release), *WHOLE])
    reader = threading.Thread(target=lambda: list(app.client.messages.create(**REQUEST, stream=True)), daemon=True)
    reader.start()
    while not open_streams():
        time.sleep(0.001)

    app.collect()
    release.set()
    reader.join(60)

    assert zeros_of(app, answered=False) == BEFORE_AN_ANSWER
    assert zeros_of(app, answered=True) == []


def test_what_may_follow_is_added_0_once_the_model_is_known(app: Metered) -> None:
    """An export in the middle of the first answer has all that may count at its end, as 0."""
    stream = app.open(SILENT)

    app.collect()
    stream.close()

    assert {"llm_stream.outcome": "complete", "llm_stream.stop_reason": "end_turn"} in zeros_of(app, answered=True)
    assert _ended("aborted", "llm_stream.abort.reason", "closed") in zeros_of(app, answered=True)
    assert not [labels for labels in zeros_of(app, answered=True) if labels.get("llm_stream.phase") == "opening"]
    assert len(zeros_of(app, "llm_stream.anomalies", answered=True)) == 8
    assert len(zeros_of(app, "llm_stream.tokens", answered=True)) == 8
    assert app.values("llm_stream.streams") == []


def test_a_failure_at_opening_rises_from_0(app: Metered) -> None:
    """The first one counts in a series that was there before it."""
    app.server.scripts.append(error_response(529, "overloaded_error", "busy"))
    with contextlib.suppress(anthropic.APIStatusError):
        app.client.messages.create(**REQUEST, stream=True)

    app.collect()

    assert app.values("llm_stream.streams") == [(BEFORE_AN_ANSWER[0], 1)]
    assert zeros_of(app, answered=False) == BEFORE_AN_ANSWER[1:]


def test_tokens_by_outcome(app: Metered) -> None:
    """Those of a stream that was left or that failed show, as far as they were reported."""
    app.read(WHOLE)
    app.read([*WHOLE[:-2], wire.message_delta("end_turn", 7), wire.error("overloaded_error", "")])
    app.open(WHOLE).close()

    app.collect()

    assert app.values("llm_stream.tokens") == [
        ({"gen_ai.token.type": "input", "llm_stream.outcome": "complete"}, 125),
        ({"gen_ai.token.type": "output", "llm_stream.outcome": "complete"}, 20),
        ({"gen_ai.token.type": "input", "llm_stream.outcome": "error"}, 125),
        ({"gen_ai.token.type": "output", "llm_stream.outcome": "error"}, 7),
        ({"gen_ai.token.type": "input", "llm_stream.outcome": "aborted"}, 125),
    ]


@pytest.mark.parametrize("tokens", [-5, 10**400, 2**62, None, []])
def test_tokens_that_are_none(app: Metered, tokens: object) -> None:
    """A count that no counter takes is left out, and later ones are counted."""
    app.read(message(HELLO, usage={"input_tokens": tokens, "cache_read_input_tokens": None}))
    app.read(WHOLE)

    app.collect()

    of_input = [value for labels, value in app.values("llm_stream.tokens") if labels["gen_ai.token.type"] == "input"]
    assert of_input == [125]


def test_walls_are_told_apart() -> None:
    """Streams that are cut just after or just before one of the usual times are in buckets of their own."""
    walls = (10, 15, 30, 55, 65, 95, 105, 125, 300, 600)
    buckets = semconv.INCOMPLETE_DURATION.buckets

    def bucket_of(seconds: float) -> int:
        return bisect_left(buckets, seconds)

    assert len({bucket_of(wall + 0.4) for wall in walls} | {bucket_of(wall - 0.4) for wall in walls}) == 2 * len(walls)


def test_the_label_sets_that_were_added_0_are_those_that_count(app: Metered) -> None:
    """A stream that ends in a likely way adds no series."""
    app.read(WHOLE)
    app.collect()
    before = {name: len(points) for name, points in app.points.items() if name.startswith("llm_stream.streams")}
    app.read([*WHOLE[:-4], wire.error("overloaded_error", "")])
    app.read(WHOLE[:-4])

    app.collect()

    assert {name: len(app.points[name]) for name in before} == before


# --- open streams ------------------------------------------------------------------------------------------------


def test_streams_that_hang_are_told_of_while_they_hang(app: Metered) -> None:
    """50 streams, open and silent: their number and the longest silence; both are 0 once they are closed."""
    release = threading.Event()
    streams = [app.open([*WHOLE[:4], Wait(release), *WHOLE[4:]]) for _ in range(50)]
    readers = [threading.Thread(target=_drain, args=(stream,), daemon=True) for stream in streams]
    for reader in readers:
        reader.start()
    time.sleep(0.5)

    app.collect()
    open_now, silence = app.values("llm_stream.active"), app.values("llm_stream.silence")
    release.set()
    for reader in readers:
        reader.join(60)
    app.collect()

    assert open_now == [({}, 50)]
    assert [labels for labels, _ in silence] == [{"llm_stream.phase": "streaming"}]
    assert 0.3 <= silence[0][1] < 60
    assert [point.value for point in app.points["llm_stream.active"]] == [0]
    assert {point.value for point in app.points["llm_stream.silence"]} == {0}


def _drain(stream: Any) -> None:
    with contextlib.suppress(Exception):
        list(stream)


class Interrupted(str):
    """A label at which another thread takes over whenever its hash is asked for."""

    __slots__ = ("meanwhile",)
    meanwhile: Callable[[], None]

    def __hash__(self) -> int:
        self.meanwhile()
        return str.__hash__(self)


def test_streams_of_new_kinds_end_while_the_gauges_are_read(caplog: pytest.LogCaptureFixture) -> None:
    """They are told all the same."""
    reader = InMemoryMetricReader()
    metrics = Metrics(MeterProvider([reader], shutdown_on_exit=False), "0", tuple, ANTHROPIC.expected, Config())
    summary = StreamState(0.0).ended(StreamEnding("closed", 1.0))
    models = (f"model-{number}" for number in count())
    model = Interrupted("model")
    model.meanwhile = lambda: None
    metrics.record(summary, metrics.labels({"gen_ai.request.model": model}), INVALID_SPAN, 0)

    model.meanwhile = lambda: metrics.record(
        summary, metrics.labels({"gen_ai.request.model": next(models)}), INVALID_SPAN, 0
    )
    reader.collect()

    assert [record.message for record in caplog.records] == []


def test_a_reader_that_is_busy_is_no_silence(app: Metered) -> None:
    """The stream is open, and nobody waits for the provider."""
    stream = app.open(SILENT)
    time.sleep(0.2)

    app.collect()
    stream.close()

    assert app.values("llm_stream.active") == [({}, 1)]
    assert {point.value for point in app.points["llm_stream.silence"]} == {0}


def test_dropped_streams_are_not_active(app: Metered) -> None:
    """A stream that nobody holds any longer is not open."""
    stream = app.open(SILENT)
    app.collect()
    active = app.values("llm_stream.active")
    del stream
    gc.collect()

    app.collect()

    assert active == [({}, 1)]
    assert [point.value for point in app.points["llm_stream.active"]] == [0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_does_not_have_its_parents_streams(app: Metered) -> None:
    """They are open in the parent, which tells of them."""
    stream = app.open(SILENT)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        theirs.send(app.collect().values("llm_stream.active"))

    process = context.Process(target=child)
    process.start()
    in_the_child = ours.recv()
    process.join(60)
    in_the_parent = app.collect().values("llm_stream.active")
    stream.close()

    assert (in_the_child, in_the_parent) == ([], [({}, 1)])


class Slow(float):
    """An amount that another thread is adding up when the process forks."""

    added: threading.Event
    go_on: threading.Event

    def __radd__(self, other: float) -> float:
        self.added.set()
        self.go_on.wait(60)
        return other + float(self)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_the_end_of_a_stream() -> None:
    """A stream ends in the child, too."""
    metrics = Metrics(NoOpMeterProvider(), "0", tuple, ANTHROPIC.expected, Config())
    summary = StreamState(0.0).ended(StreamEnding("closed", 1.0))
    amount = Slow(1.0)
    amount.added, amount.go_on = threading.Event(), threading.Event()
    slow = summary._replace(pace=summary.pace._replace(provider_time=amount))
    thread = threading.Thread(target=metrics.record, args=(slow, metrics.labels({}), INVALID_SPAN, 0))
    thread.start()
    amount.added.wait(60)

    quick = summary._replace(pace=summary.pace._replace(provider_time=1.0))
    child = multiprocessing.get_context("fork").Process(
        target=metrics.record, args=(quick, metrics.labels({}), INVALID_SPAN, 0)
    )
    child.start()
    child.join(60)
    exit_code = child.exitcode
    child.kill()
    amount.go_on.set()
    thread.join()

    assert exit_code == 0


def test_instrumented_again_on_the_same_provider(tracer_provider: TracerProvider, server: MessagesServer) -> None:
    """The gauges tell of the new streams, each once."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    with metered(tracer_provider, server, meter_provider=provider, reader=reader) as app:
        app.read(WHOLE)
    with metered(tracer_provider, server, meter_provider=provider, reader=reader) as app:
        stream = app.open(SILENT)
        app.collect()
        stream.close()

    assert app.values("llm_stream.active") == [({}, 1)]


def test_totals_go_on_when_instrumented_again(tracer_provider: TracerProvider, server: MessagesServer) -> None:
    """What we add up ourselves counts the streams of every `instrument()`."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    with metered(tracer_provider, server, meter_provider=provider, reader=reader) as app:
        app.read(WHOLE)
    with metered(tracer_provider, server, meter_provider=provider, reader=reader) as app:
        app.read(WHOLE)
        app.collect()

    assert [chars for _, chars in app.values("llm_stream.output.chars")] == [2 * 51]


# --- readers and views -------------------------------------------------------------------------------------------


def test_delta_temporality(tracer_provider: TracerProvider, server: MessagesServer) -> None:
    """What was collected is not told again, by the counters that we add up ourselves either."""
    delta = AggregationTemporality.DELTA
    reader = InMemoryMetricReader(preferred_temporality={Counter: delta, ObservableCounter: delta, Histogram: delta})
    with metered(tracer_provider, server, reader=reader) as app:
        app.read(WHOLE)
        first = app.collect().values("llm_stream.output.chars"), app.values("llm_stream.streams")
        app.read(WHOLE)
        second = app.collect().values("llm_stream.output.chars"), app.values("llm_stream.streams")

    assert first == second
    assert [value for _, value in first[0]] == [51]


def test_views(tracer_provider: TracerProvider, server: MessagesServer) -> None:
    """A team drops a metric, gives another its own buckets, and makes a third exponential."""
    reader = InMemoryMetricReader()
    views = [
        View(instrument_name="llm_stream.chunk.gap.max", aggregation=DropAggregation()),
        View(
            instrument_name="gen_ai.client.operation.duration",
            aggregation=ExplicitBucketHistogramAggregation(boundaries=[1.0, 2.0]),
        ),
        View(
            instrument_name="gen_ai.client.operation.time_to_first_chunk",
            aggregation=ExponentialBucketHistogramAggregation(),
        ),
    ]
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    with metered(tracer_provider, server, meter_provider=provider, reader=reader) as app:
        app.read(WHOLE)
        app.collect()

    assert "llm_stream.chunk.gap.max" not in app.points
    assert app.points["gen_ai.client.operation.duration"][0].explicit_bounds == (1.0, 2.0)
    assert app.points["gen_ai.client.operation.time_to_first_chunk"][0].count == 1
    first_text = app.points["llm_stream.time_to_first_text"][0]
    assert first_text.explicit_bounds == semconv.FIRST_TEXT.buckets


def test_a_view_that_drops_the_model(tracer_provider: TracerProvider, server: MessagesServer) -> None:
    """The silence is the longest of all, whichever stream was seen last."""
    reader = InMemoryMetricReader()
    views = [View(instrument_name="llm_stream.silence", attribute_keys={"gen_ai.provider.name"})]
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    release = threading.Event()
    with metered(tracer_provider, server, meter_provider=provider, reader=reader) as app:
        silent = threading.Thread(target=_drain, args=(app.open([*WHOLE[:4], Wait(release), *WHOLE[4:]]),), daemon=True)
        silent.start()
        app.collect()
        app.read(WHOLE, model="another")
        app.collect()
        release.set()
        silent.join(60)

    assert [point.value > 0 for point in app.points["llm_stream.silence"]] == [True]


@pytest.mark.parametrize("metric", [m for m in semconv.METRICS.values() if m.kind == "histogram"], ids=lambda m: m.name)
def test_buckets_reach_as_far_as_streams_do(metric: semconv.Metric) -> None:
    """At least ten minutes, or a million tokens; rising."""
    assert metric.buckets[-1] >= (1_000_000 if metric.unit == "{token}" else 600)
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_the_page_of_the_prometheus_exporter(tracer_provider: TracerProvider, server: MessagesServer) -> None:
    """It has every metric under its name there."""
    reader: Any = PrometheusMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    with metered(tracer_provider, server, meter_provider=provider) as app:
        app.read(EVERYTHING)
        page = bytes(generate_latest(REGISTRY)).decode()
        provider.shutdown()

    assert "gen_ai_client_operation_time_to_first_chunk_seconds_bucket{" in page
    assert "llm_stream_streams_total{" in page
    assert "llm_stream_provider_time_seconds_total{" in page
    assert "llm_stream_active{" in page


# --- attributes are bounded, and nobody's content ----------------------------------------------------------------


def test_attributes_are_bounded(app: Metered) -> None:
    """However many models, stop reasons and error types an application and a server come up with."""
    for number in range(230):
        app.read(message(HELLO, stop_reason=f"reason-{number}"), model=f"model-{number}")
    app.read(message(HELLO, stop_reason="x" * 1000), model="y" * 1000)

    app.collect()

    for name in ("gen_ai.request.model", "llm_stream.stop_reason"):
        values = {point.attributes.get(name) for point in app.points["llm_stream.streams"]} - {None}
        assert len(values) <= 201 + 6
        assert "_OTHER" in values
        assert max(len(value) for value in values) <= 128


def test_a_server_that_names_another_model_each_time(app: Metered) -> None:
    """50 of them have all counters beforehand; those that follow have what they count."""
    whole = b"".join(event.encoded() for event in WHOLE)
    for number in range(70):
        app.read([whole.replace(b'"model":"', f'"model":"{number}-'.encode())])

    app.collect()

    streams = [point.attributes.get("gen_ai.response.model") for point in app.points["llm_stream.streams"]]
    series = [streams.count(f"{number}-{wire.MODEL}") for number in range(70)]
    assert [number for number, found in enumerate(series) if found > 1] == list(range(50))
    assert series[50:] == [1] * 20


class Model(str, Enum):
    SONNET = "claude-sonnet-5-5"


def test_a_model_from_an_enum(app: Metered, exporter: InMemorySpanExporter) -> None:
    """It is told by its value, as the server gets it, and not by its name."""
    app.read(WHOLE, model=Model.SONNET)

    app.collect()

    models = {str(point.attributes["gen_ai.request.model"]) for point in app.points["llm_stream.streams"]}
    assert models == {"claude-sonnet-5-5"}
    assert [span.name for span in exporter.get_finished_spans()] == ["chat claude-sonnet-5-5"]


def test_no_content_and_no_identity(app: Metered) -> None:
    """Neither the text nor a tool's name, an error's message or an id is in any attribute."""
    app.read(EVERYTHING)
    app.read([*WHOLE[:-4], wire.error("overloaded_error", MARKER)])
    app.read(WHOLE)

    data = app.reader.get_metrics_data()
    assert data is not None
    told = data.to_json()

    assert "overloaded_error" in told
    for secret in (MARKER, wire.MESSAGE_ID, "toolu_", "req_"):
        assert secret not in told
