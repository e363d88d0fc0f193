"""`on_repetition` and `on_rumination`: loops in tool calls, loops over many blocks, and thinking in circles."""

import random
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from anthropic import Anthropic
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config, Loop, Rumination, StreamHandle
from streamspan.cli.demo import wire
from streamspan.cli.demo.answer import scripted
from streamspan.cli.demo.anthropic.messages import Messages
from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import MessagesServer
from streamspan.cli.demo.stories import ITEM, STORIES
from tests.anthropic.readers import opened
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

LOOPS_IN_TOOL_INPUT = next(
    scripted(story.answers[0], Messages()) for story in STORIES if story.name == "loops-in-tool-input"
)


class Application:
    """What an application is told."""

    def __init__(self) -> None:
        self.told: list[Loop | Rumination] = []
        self.threads: set[int] = set()

    def __call__(self, stream: StreamHandle, fact: Loop | Rumination) -> None:
        self.told.append(fact)
        self.threads.add(threading.get_ident())


@pytest.fixture
def server() -> Iterator[MessagesServer]:
    with MessagesServer(speed=20) as running:
        yield running


def test_a_loop_in_a_tool_input(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """A loop is told once, when it is found, in the thread that reads; the reader gets every event all the same."""
    application = Application()
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider, config=Config(on_repetition=application))
    types = [event.type for event in opened(client, server, LOOPS_IN_TOOL_INPUT)]
    instrumentor.uninstrument()
    (span,) = ended_spans(exporter)
    (loop,) = application.told

    assert isinstance(loop, Loop)
    assert (loop.channel, loop.period) == ("tool_input", len(ITEM))
    assert application.threads == {threading.get_ident()}
    assert types[-1] == "message_stop"
    assert attributes(span)["llm_stream.outcome"] == "complete"


SEARCH = '{"query":"weather in Bern"}'
THE_SAME_WORDS: Script = [
    *wire.whole_message(*[wire.text_block(index, "I will run the check again and report. ") for index in range(60)])
]
THE_SAME_CALL: Script = [*wire.whole_message(*[wire.tool_block(index, "search", SEARCH) for index in range(25)])]


@pytest.mark.parametrize(
    ("script", "described"),
    [
        pytest.param(
            THE_SAME_WORDS,
            {"kind": "exact", "channel": "text", "start": 0, "period": 39, "count": 60, "chars": 60 * 39},
            id="words",
        ),
        pytest.param(
            THE_SAME_CALL,
            {"kind": "tool_call", "channel": "tool_input", "start": 0, "period": 27, "count": 25, "chars": 25 * 27},
            id="tool call",
        ),
    ],
)
def test_a_loop_over_many_blocks(
    script: Script,
    described: Mapping[str, object],
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    tracer_provider: TracerProvider,
) -> None:
    """It is told once, has one event, is one anomaly, and the span has it as it ended."""
    application = Application()
    metrics = InMemoryMetricReader()
    instrumentor = AnthropicStreamInstrumentor()
    meters = MeterProvider([metrics], shutdown_on_exit=False)
    config = Config(on_repetition=application)
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meters, config=config)
    list(opened(client, server, script))
    instrumentor.uninstrument()
    (span,) = ended_spans(exporter)
    prefix = "llm_stream.repetition."
    names = [event.name for event in span.events]

    assert len(application.told) == 1
    assert names.count("llm_stream.repetition") == 1
    assert {name: attributes(span)[prefix + name] for name in described} == described
    assert anomalies(metrics) == {"repetition": 1}


THOUGHTS = [
    f"{who} {what} {where}"
    for who in ("the cache", "its owner", "a test")
    for what in ("keeps", "drops")
    for where in ("one row", "the last row", "no row")
]
CHANCE = random.Random(5)
CIRCLES = "".join(
    CHANCE.choice(THOUGHTS) + CHANCE.choice([", so ", ", and ", ". Or "]) + CHANCE.choice(THOUGHTS) + ". "
    for _ in range(300)
)
THINKS_IN_CIRCLES: Script = [
    *wire.whole_message(wire.thinking_block(0, CIRCLES, size=40), wire.text_block(1, "I do not know."))
]


def test_rumination(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """Thinking that says nothing new is told once, has one event, is one anomaly, and is on the span."""
    application = Application()
    metrics = InMemoryMetricReader()
    instrumentor = AnthropicStreamInstrumentor()
    meters = MeterProvider([metrics], shutdown_on_exit=False)
    config = Config(rumination="thinking", on_rumination=application)
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meters, config=config)
    list(opened(client, server, THINKS_IN_CIRCLES))
    instrumentor.uninstrument()
    (span,) = ended_spans(exporter)
    (told,) = application.told
    (event,) = [event for event in span.events if event.name == "llm_stream.rumination"]
    described = {name: value for name, value in attributes(span).items() if name.startswith("llm_stream.rumination.")}

    assert isinstance(told, Rumination)
    assert described == {
        "llm_stream.rumination.detected": True,
        "llm_stream.rumination.channel": "thinking",
        "llm_stream.rumination.start": told.start,
        "llm_stream.rumination.chars": told.chars,
        "llm_stream.rumination.share": told.share,
        "llm_stream.rumination.time": told.time,
    }
    assert {**(event.attributes or {}), "llm_stream.rumination.detected": True} == described
    assert anomalies(metrics) == {"rumination": 1}


def anomalies(reader: InMemoryMetricReader) -> dict[object, int]:
    """How many of each, without those of which there were none."""
    data: Any = reader.get_metrics_data()
    (scope,) = data.resource_metrics[0].scope_metrics
    points = [
        point for metric in scope.metrics if metric.name == "llm_stream.anomalies" for point in metric.data.data_points
    ]
    return {point.attributes["llm_stream.anomaly"]: point.value for point in points if point.value}
