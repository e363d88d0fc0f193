"""One stream's telemetry with real SDKs: what its end writes, and what of it survives the failures of others."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry._logs import NoOpLogger, NoOpLoggerProvider
from opentelemetry.metrics import MeterProvider, NoOpCounter, NoOpHistogram, NoOpMeterProvider
from opentelemetry.sdk import metrics as metrics_sdk
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import Config, guard
from streamspan.core.model import ContentBlock, Ending, FirstToken, Summary, ToolCall
from streamspan.core.stream import StreamState
from streamspan.telemetry.spans import Call, Expected, StreamTelemetry, Telemetry

CALL = Call("chat", "claude-x", {"gen_ai.request.model": "claude-x"})
FIRST_TOKEN = FirstToken("text", 0.5)
NO_EXPECTATIONS = Expected((), (), ())


def aborted() -> Summary:
    return StreamState(0.0).ended(Ending("closed", 1.0))


def telemetry(
    tracer_provider: Any = None,
    meter_provider: Any = None,
    logger_provider: Any = None,
    config: Config | None = None,
) -> Telemetry:
    return Telemetry(
        config or Config(),
        tracer_provider,
        meter_provider or NoOpMeterProvider(),
        logger_provider,
        tuple,
        NO_EXPECTATIONS,
    )


def begun(source: Telemetry) -> StreamTelemetry:
    stream = source.stream(CALL)
    source.start(stream, CALL, 1)
    return stream


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """How often each function of ours has failed in this test, which does not fail for it."""
    monkeypatch.setattr(guard, "reraises", False)
    guard.failures.clear()
    yield guard.failures
    guard.failures.clear()


# --- what the end writes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_closed", [True, False, None])
def test_the_state_of_the_connection_is_there_where_it_is_known(
    is_closed: bool | None, tracer_provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """Unknown is absent."""
    begun(telemetry(tracer_provider)).end(aborted()._replace(connection_closed=is_closed), {}, 2)

    [span] = exporter.get_finished_spans()

    assert (span.attributes or {}).get("llm_stream.abort.connection_closed") is is_closed


def test_nothing_is_added_after_the_end(tracer_provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    """The last event is the one that says how the stream ended."""
    stream = begun(telemetry(tracer_provider))
    stream.event(FIRST_TOKEN, 2)
    stream.end(aborted(), {}, 3)
    stream.event(ContentBlock(0, "text", 0.0, 1.0, 4, 1, complete=True, tool_call=None), 4)

    [span] = exporter.get_finished_spans()

    assert [event.name for event in span.events] == ["llm_stream.first_token", "llm_stream.abort"]


def test_an_event_in_the_middle_of_another(
    tracer_provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler that tells of one while the same thread adds another does not wait for itself: it is dropped."""
    stream = begun(telemetry(tracer_provider))
    add_event = stream.span.add_event

    def interrupted(*args: Any) -> None:
        stream.event(FIRST_TOKEN, 2)
        add_event(*args)

    with monkeypatch.context() as patched:
        patched.setattr(stream.span, "add_event", interrupted)
        stream.event(FIRST_TOKEN, 2)
    stream.end(aborted(), {}, 3)

    [span] = exporter.get_finished_spans()

    assert [event.name for event in span.events] == ["llm_stream.first_token", "llm_stream.abort"]
    assert (span.attributes or {})["llm_stream.events_dropped"] == 1


def test_without_an_sdk_a_stream_has_no_identity() -> None:
    """The span around the call is not the stream's."""
    assert begun(telemetry()).identity() == (None, None)


# --- the failures of others -----------------------------------------------------------------------------------------


class FailingCounter(NoOpCounter):
    def add(self, *_: Any, **__: Any) -> None:
        raise ZeroDivisionError


class FailingHistogram(NoOpHistogram):
    def record(self, *_: Any, **__: Any) -> None:
        raise ZeroDivisionError


class FailsToRecord(metrics_sdk.Meter):
    """Its instruments are made, and fail."""

    def create_counter(self, name: str, *_: Any, **__: Any) -> Any:
        return FailingCounter(name)

    def create_histogram(self, name: str, *_: Any, **__: Any) -> Any:
        return FailingHistogram(name)


class FailsToCreate(metrics_sdk.Meter):
    def create_counter(self, *_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    create_histogram = create_observable_counter = create_counter
    create_observable_gauge = create_observable_up_down_counter = create_counter


class HasNoMeter(MeterProvider):
    def get_meter(self, *_: Any, **__: Any) -> Any:
        raise ZeroDivisionError


class Makes(metrics_sdk.MeterProvider):
    """A provider of an SDK whose meters are of this class."""

    def __init__(self, meter: type[metrics_sdk.Meter]) -> None:
        super().__init__([InMemoryMetricReader()], shutdown_on_exit=False)
        self._meter_class = meter

    def get_meter(self, *args: Any, **kwargs: Any) -> Any:
        meter = super().get_meter(*args, **kwargs)
        meter.__class__ = self._meter_class
        return meter


@pytest.mark.parametrize(
    "provider", [Makes(FailsToCreate), Makes(FailsToRecord), HasNoMeter()], ids=["creating", "recording", "get_meter"]
)
def test_a_metrics_sdk_that_fails(
    provider: MeterProvider,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    failures: dict[str, int],
) -> None:
    """Neither `instrument()` nor a stream raises; the span is whole, and the failure is counted."""
    stream = begun(telemetry(tracer_provider, provider))
    stream.event(FIRST_TOKEN, 2)
    stream.chunk(0.1, "claude-x")
    stream.end(aborted(), {}, 3)

    [span] = exporter.get_finished_spans()

    assert (span.attributes or {})["llm_stream.outcome"] == "aborted"
    assert [event.name for event in span.events] == ["llm_stream.first_token", "llm_stream.abort"]
    assert sum(failures.values()) > 0


def test_events_for_logs_without_a_logs_sdk(
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    failures: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is emitted, as API 1.35 would fail to, and nothing fails; the events are on the span."""

    def emit(_: object, record: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(NoOpLogger, "emit", emit)
    config = Config(events="both", capture_content="EVENT_ONLY")
    stream = begun(telemetry(tracer_provider, None, NoOpLoggerProvider(), config))
    stream.event(FIRST_TOKEN, 2)
    stream.end(aborted(), {}, 3)

    [span] = exporter.get_finished_spans()

    assert [event.name for event in span.events] == ["llm_stream.first_token", "llm_stream.abort"]
    assert failures == {}


class Exits(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise SystemExit


def test_a_span_processor_that_exits(tracer_provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    """What is no Exception passes through; by then all is written, and nothing is written twice."""
    reader = InMemoryMetricReader()
    meter_provider = metrics_sdk.MeterProvider([reader], shutdown_on_exit=False)
    tracer_provider.add_span_processor(Exits())
    stream = begun(telemetry(tracer_provider, meter_provider))

    with pytest.raises(SystemExit):
        stream.end(aborted(), {}, 3)
    stream.event(FIRST_TOKEN, 4)
    [span] = exporter.get_finished_spans()
    data: Any = reader.get_metrics_data()
    counted = {
        metric.name: [point.value for point in metric.data.data_points if point.value]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "llm_stream.streams"
    }

    assert [event.name for event in span.events] == ["llm_stream.abort"]
    assert counted == {"llm_stream.streams": [1]}


def test_the_tool_call_that_was_cut_has_a_place(
    tracer_provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """However many blocks came before it."""
    stream = begun(telemetry(tracer_provider, config=Config(max_events=10)))
    block = ContentBlock(0, "text", 0.0, 1.0, 4, 1, complete=True, tool_call=None)
    for _ in range(20):
        stream.event(block, 2)
    stream.event(ToolCall("get", "toolu_1", "tool_use", 4, complete=False, valid_json=False), 2)
    stream.end(aborted(), {}, 3)

    [span] = exporter.get_finished_spans()

    assert [event.name for event in span.events[-2:]] == ["llm_stream.tool_call", "llm_stream.abort"]
