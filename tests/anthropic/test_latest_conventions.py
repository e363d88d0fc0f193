"""The names of the GenAI conventions that OTEL_SEMCONV_STABILITY_OPT_IN chooses, over a real socket.

Whole spans and all metric points, of the same calls under each choice.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config, semconv
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import MessagesServer
from streamspan.semconv import latest
from tests.stainless.logs import records
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

LATEST = "gen_ai_latest_experimental"
BOTH = "gen_ai_latest_experimental/dup"
CHOICES = ["http", LATEST, f"http,{BOTH}"]
REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
    "extra_body": {"top_k": 40},
}
COMPACTED_REQUEST = {
    **REQUEST,
    "messages": [
        {"role": "assistant", "content": [{"type": "compaction", "content": "They said hi."}]},
        {"role": "user", "content": "Go on."},
    ],
}
USAGE = {
    "input_tokens": 25,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 3,
    "output_tokens_details": {"thinking_tokens": 5},
}
COMPLETE: Script = [
    wire.message_start(usage=USAGE),
    *wire.text_block(0, "Hello to everyone."),
    wire.message_delta("end_turn", 20, usage=USAGE),
    wire.message_stop(),
]
FAILED: Script = [*COMPLETE[:-1], wire.error("overloaded_error", "busy")]
COMPACTION = {"type": "compaction", "input_tokens": 150_000, "output_tokens": 3200}
COMPACTED: Script = [
    *COMPLETE[:-2],
    wire.message_delta("end_turn", 20, usage={**USAGE, "iterations": [COMPACTION]}),
    wire.message_stop(),
]
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-sonnet-5-5",
    "gen_ai.response.model": "claude-sonnet-5-5",
    "server.address": "127.0.0.1",
}
OLD = {
    semconv.OPERATION_DURATION.name,
    semconv.TIME_TO_FIRST_CHUNK.name,
    semconv.TIME_PER_OUTPUT_CHUNK.name,
    semconv.TOKEN_USAGE.name,
}
NEW = set(latest.METRICS)

Point = tuple[Mapping[str, object], float]
"""The attributes, without the port, and the value; of a histogram, how many were recorded."""


@dataclass
class App:
    """An application that is instrumented for all signals."""

    server: MessagesServer
    client: Anthropic
    spans: InMemorySpanExporter
    logs: Any
    reader: InMemoryMetricReader

    def read(self, script: Script, request: Mapping[str, Any] = REQUEST) -> None:
        self.server.scripts.append(script)
        with contextlib.suppress(anthropic.APIError):
            for _ in self.client.messages.create(**request, stream=True):
                pass

    def span(self) -> dict[str, object]:
        """All attributes of the last span."""
        *_, span = ended_spans(self.spans)
        return dict(attributes(span))

    def points(self) -> dict[str, list[Point]]:
        """Of the metrics with another name in one of the conventions."""
        data: Any = self.reader.get_metrics_data()
        found = [metric for of in data.resource_metrics for scope in of.scope_metrics for metric in scope.metrics]
        return {
            metric.name: [
                ({k: v for k, v in point.attributes.items() if k != "server.port"}, value_of(point))
                for point in metric.data.data_points
            ]
            for metric in found
            if metric.name in OLD | NEW
        }

    def schemas(self) -> set[str]:
        data: Any = self.reader.get_metrics_data()
        return {scope.schema_url for of in data.resource_metrics for scope in of.scope_metrics}


def value_of(point: Any) -> float:
    return point.count if hasattr(point, "count") else point.value


@pytest.fixture
def app(
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    log_exporter: Any,
    tracer_provider: TracerProvider,
    logger_provider: LoggerProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., App]]:
    """Starts one with this choice and these settings."""
    with contextlib.ExitStack() as stack:

        def start(choice: str, **given: Any) -> App:
            monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", choice)
            reader = InMemoryMetricReader()
            instrumentor = AnthropicStreamInstrumentor()
            instrumentor.instrument(
                tracer_provider=tracer_provider,
                logger_provider=logger_provider,
                meter_provider=MeterProvider([reader], shutdown_on_exit=False),
                config=Config(**given),
            )
            stack.callback(instrumentor.uninstrument)
            http_client = anthropic.DefaultHttpxClient(verify=False)
            client = Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client)
            return App(server, stack.enter_context(client), exporter, log_exporter, reader)

        yield start


# --- metrics -----------------------------------------------------------------------------------------------------

HIT = {**CALL, "llm_stream.cache_hit": True}
ERROR = {**CALL, "error.type": "overloaded_error"}
OF_BOTH_STREAMS = [(CALL, 1), (ERROR, 1)]
OLD_POINTS = {
    "gen_ai.client.operation.duration": OF_BOTH_STREAMS,
    "gen_ai.client.operation.time_to_first_chunk": [(HIT, 2)],
    "gen_ai.client.operation.time_per_output_chunk": [(CALL, 2)],
    "gen_ai.client.token.usage": [
        ({**CALL, "gen_ai.token.type": "input"}, 2),
        ({**CALL, "gen_ai.token.type": "output"}, 2),
    ],
}
UNKNOWN = {**CALL, "gen_ai.token.modality": "unknown"}
NEW_POINTS = {
    "gen_ai.client.inference.duration": OF_BOTH_STREAMS,
    "gen_ai.client.inference.time_to_first_chunk": [(HIT, 2)],
    "gen_ai.client.inference.time_per_output_chunk": [(CALL, 2)],
    "gen_ai.client.inference.usage.input_tokens": [(UNKNOWN, 256)],
    "gen_ai.client.inference.usage.output_tokens": [(UNKNOWN, 40)],
    "gen_ai.client.inference.usage.cache_read.input_tokens": [(UNKNOWN, 200)],
    "gen_ai.client.inference.usage.cache_write.input_tokens": [(UNKNOWN, 6)],
    "gen_ai.client.inference.usage.reasoning.output_tokens": [(UNKNOWN, 10)],
    "gen_ai.client.inference.operation.input_tokens": OF_BOTH_STREAMS,
    "gen_ai.client.inference.operation.output_tokens": OF_BOTH_STREAMS,
}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("http", OLD_POINTS), (LATEST, NEW_POINTS), (BOTH, {**OLD_POINTS, **NEW_POINTS})],
)
def test_the_metrics(choice: str, expected: Mapping[str, list[Point]], app: Callable[..., App]) -> None:
    """Those of the chosen conventions, of a stream that completed and of one that failed; with `/dup` both."""
    running = app(choice, time_per_output_chunk=True)
    running.read(COMPLETE)
    running.read(FAILED)

    assert running.points() == expected
    assert running.schemas() == {semconv.SCHEMA_URL}


@pytest.mark.parametrize("choice", [LATEST, BOTH])
def test_tokens_that_are_not_reported(choice: str, app: Callable[..., App]) -> None:
    """The counters are there with 0, and the histograms have no record."""
    running = app(choice)
    running.read([wire.message_start(usage={"input_tokens": None, "output_tokens": None}), *COMPLETE[1:4]])

    found = running.points()
    assert {name: found[name] for name in (metric.name for metric in latest.COUNTERS)} == {
        metric.name: [(UNKNOWN, 0)] for metric in latest.COUNTERS
    }
    assert latest.OUTPUT_TOKENS_PER_STREAM.name not in found


# --- spans -------------------------------------------------------------------------------------------------------


def names_and_types(span: Mapping[str, object]) -> dict[str, type]:
    return {name: type(value) for name, value in span.items()}


@pytest.mark.parametrize(("choice", "top_k"), [("http", 40.0), (LATEST, 40), (BOTH, 40)])
def test_the_span(choice: str, top_k: float, app: Callable[..., App]) -> None:
    """Nothing differs on the span but the type of `top_k`."""
    by_default = app("")
    by_default.read(COMPLETE)
    before = by_default.span()
    AnthropicStreamInstrumentor().uninstrument()
    running = app(choice)
    running.read(COMPLETE)

    assert names_and_types(running.span()) == {**names_and_types(before), "gen_ai.request.top_k": type(top_k)}
    assert running.span()["gen_ai.request.top_k"] == top_k


def test_a_top_k_that_is_no_whole_number(app: Callable[..., App]) -> None:
    """An int cannot say it, so it is not there."""
    running = app(LATEST)
    running.read(COMPLETE, {**REQUEST, "extra_body": {"top_k": 2.5}})

    assert "gen_ai.request.top_k" not in running.span()


@pytest.mark.parametrize(
    ("choice", "script", "request_", "compacted"),
    [
        ("http", COMPACTED, COMPACTED_REQUEST, None),
        (LATEST, COMPLETE, REQUEST, None),
        (LATEST, COMPLETE, COMPACTED_REQUEST, True),
        (LATEST, COMPACTED, REQUEST, True),
        (BOTH, COMPACTED, COMPACTED_REQUEST, True),
    ],
)
def test_a_compacted_conversation(
    choice: str, script: Script, request_: Mapping[str, Any], compacted: bool | None, app: Callable[..., App]
) -> None:
    """It is told where the request has a compaction or the provider reports one, and never denied."""
    running = app(choice)
    running.read(script, request_)

    assert running.span().get("gen_ai.conversation.compacted") == compacted


# --- content -----------------------------------------------------------------------------------------------------

ODD_REQUEST: dict[str, Any] = {
    **REQUEST,
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "search_result", "content": []},
                {"type": "compaction", "content": "They said hi."},
            ],
        }
    ],
    "tools": [{"type": "web_search_20250305", "name": "web_search"}],
}
ODD_ANSWER: Script = list(
    wire.whole_message(
        [
            *wire.text_block(0, "Hello"),
            wire.block_start(1, {"type": "web_search_tool_result", "content": []}),
            wire.block_stop(1),
        ]
    )
)
TOOLS = [{"type": "web_search_20250305", "name": "web_search"}]


def content_of(choice: str) -> dict[str, object]:
    is_latest = choice != "http"
    asked = {"type": "generic", "generic_type": "search_result"} if is_latest else {"type": "search_result"}
    kind = {"type": "generic", "generic_type": "web_search_tool_result"}
    found = kind if is_latest else {"type": "web_search_tool_result"}
    reason = {} if choice == LATEST else {"finish_reason": "end_turn"}
    return {
        "gen_ai.input.messages": [
            {"role": "user", "parts": [{"type": "text", "content": "Hi"}, asked, {"type": "compaction"}]}
        ],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "Hello"}, {**found, "content": ""}], **reason}
        ],
        "gen_ai.tool.definitions": TOOLS,
    }


@pytest.mark.parametrize("choice", CHOICES)
def test_the_content(choice: str, app: Callable[..., App]) -> None:
    """A part of an unknown type is generic and names its type; the finish reason is not in the message."""
    running = app(choice, capture_content="SPAN_AND_EVENT")
    running.read(ODD_ANSWER, ODD_REQUEST)
    expected = content_of(choice)
    span = running.span()
    [record] = records(running.logs)

    assert {name: json.loads(str(span[name])) for name in expected} == expected
    assert {name: plain(record.attributes[name]) for name in expected} == expected
    assert span["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert type(record.attributes.get("gen_ai.request.top_k")) is type(span.get("gen_ai.request.top_k"))


def plain(value: Any) -> object:
    """Lists and dicts, whatever sequences and mappings the SDK has made of them."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]  # a log's
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value  # pyright: ignore[reportUnknownVariableType]  # the same
