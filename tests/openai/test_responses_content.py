"""The content of a streamed response, of its request and of its error: where it was asked for, and nowhere else."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import openai
import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import Config, OpenAIStreamInstrumentor
from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import MessagesServer
from tests.openai import responses as api
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

IN_REQUEST = [
    "instructions",
    "tool-description",
    "tool-schema",
    "prompt",
    "earlier-answer",
    "earlier-thought",
    "earlier-input",
    "earlier-plain",
    "tool-result",
    "plain-result",
]
IN_ANSWER = ["thinking", "summary", "text", "refusal", "arguments", "plain", "code", "whole"]
IN_ERROR = ["error"]
NEVER = ["image", "signed", "file", "encrypted", "user", "audio", "picture", "search"]
MARKERS = [*IN_REQUEST, *IN_ANSWER, *IN_ERROR, *NEVER]


def mark(name: str) -> str:
    return f"xyzzy-{name}-4711"


REQUEST: Mapping[str, Any] = {
    "model": "gpt-5.1",
    "instructions": mark("instructions"),
    "user": mark("user"),
    "tools": [
        {
            "type": "function",
            "name": "get",
            "description": mark("tool-description"),
            "parameters": {"type": "object", "description": mark("tool-schema")},
        },
        {"type": "web_search"},
    ],
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": mark("prompt")},
                {"type": "input_image", "image_url": f"data:image/png;base64,{mark('image')}"},
                {"type": "input_image", "image_url": f"https://example.com/a.png?key={mark('signed')}"},
                {"type": "input_file", "file_data": mark("file"), "filename": "a.pdf"},
            ],
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": mark("earlier-thought")}],
            "encrypted_content": mark("encrypted"),
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": mark("earlier-answer")}],
        },
        {
            "type": "function_call",
            "name": "get",
            "call_id": "call_1",
            "arguments": json.dumps({"x": mark("earlier-input")}),
        },
        {"type": "function_call_output", "call_id": "call_1", "output": mark("tool-result")},
        {"type": "custom_tool_call", "name": "run", "call_id": "call_2", "input": mark("earlier-plain")},
        {
            "type": "custom_tool_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": mark("plain-result")}],
        },
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": mark("search")}},
    ],
}
EVENTS = [
    api.CREATED,
    *api.reasoning(0, mark("thinking"), content="reasoning_text"),
    *api.reasoning(1, mark("summary")),
    *api.message(2, mark("text")),
    *api.message(3, mark("refusal"), part_type="refusal"),
    *api.function_call(4, '{"x":', f'"{mark("arguments")}"}}'),
    *api.call(5, "custom_tool_call", "custom_tool_call_input", "input", mark("plain")),
    *api.call(6, "code_interpreter_call", "code_interpreter_call_code", "code", mark("code")),
    *api.function_call(7, whole=f'["{mark("whole")}"]'),
    api.event("response.audio.delta", delta=mark("audio")),
    api.item_done(8, "image_generation_call", result=mark("picture")),
    api.item_done(9, "reasoning", summary=[], encrypted_content=mark("encrypted")),
    api.item_done(10, "web_search_call", action={"query": mark("search")}),
]
COMPLETE: Script = [*EVENTS, api.completed(output=[{"type": "message", "content": [api.part("output_text", "x")]}])]
FAILED: Script = [*EVENTS, api.failed("server_error", mark("error"))]
ERROR: Script = [*EVENTS, api.event("error", code="server_error", message=mark("error"))]
RAISED: Script = [*EVENTS, api.event("error", error={"code": "server_error", "message": mark("error")})]

Instrument = Callable[..., None]


@pytest.fixture
def metrics() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def instrument(
    tracer_provider: TracerProvider, logger_provider: LoggerProvider, metrics: InMemoryMetricReader
) -> Iterator[Instrument]:
    """Instruments with these settings, for all signals, while the test runs."""
    instrumentor, meter_provider = OpenAIStreamInstrumentor(), MeterProvider([metrics])
    signals = {"tracer_provider": tracer_provider, "logger_provider": logger_provider, "meter_provider": meter_provider}

    def start(**settings: Any) -> None:
        instrumentor.instrument(config=Config(**settings), **signals)

    yield start
    instrumentor.uninstrument()
    meter_provider.shutdown()


def found_in(text: str) -> list[str]:
    return [name for name in MARKERS if mark(name) in text]


@pytest.mark.parametrize("read", [api.created, api.created_async])
@pytest.mark.parametrize(
    ("script", "in_response"),
    [
        (COMPLETE, IN_ANSWER),
        (FAILED, [*IN_ANSWER, *IN_ERROR]),
        (ERROR, [*IN_ANSWER, *IN_ERROR]),
        (RAISED, [*IN_ANSWER, *IN_ERROR]),
        (EVENTS, IN_ANSWER),
    ],
    ids=["complete", "failed", "error event", "raised", "truncated"],
)
@pytest.mark.parametrize(
    ("signal", "on_span", "in_logs"),
    [("NO_CONTENT", False, False), ("SPAN_ONLY", True, False), ("SPAN_AND_EVENT", True, True)],
)
def test_content_is_where_it_was_asked_for_and_nowhere_else(
    server: MessagesServer,
    instrument: Instrument,
    exporter: InMemorySpanExporter,
    log_exporter: Any,
    metrics: InMemoryMetricReader,
    caplog: pytest.LogCaptureFixture,
    read: api.Read,
    script: Script,
    in_response: list[str],
    signal: str,
    on_span: bool,
    in_logs: bool,
) -> None:
    """Span and log records have what the switch says; media and what is encrypted are nowhere."""
    caplog.set_level(logging.DEBUG)
    instrument(capture_content=signal, events="both")
    server.scripts.append(script)
    with suppress(openai.APIError):
        read(server.url, REQUEST)
    (span,) = ended_spans(exporter)
    content = [*IN_REQUEST, *in_response]
    lines = [line for line in caplog.records if line.name.startswith(("streamspan", "opentelemetry"))]
    logged = [(data.log_record.body, data.log_record.attributes) for data in log_exporter.get_finished_logs()]

    assert found_in(span.to_json()) == content * on_span
    assert found_in(repr(logged)) == content * in_logs
    assert found_in(repr(metrics.get_metrics_data())) == []
    assert found_in(repr([(line.getMessage(), line.exc_info) for line in lines])) == []


def captured(server: MessagesServer, exporter: InMemorySpanExporter, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a stream with this request has of content."""
    server.scripts.append(COMPLETE)
    api.created(server.url, request)
    (span,) = ended_spans(exporter)
    names = ("input.messages", "output.messages", "system_instructions", "tool.definitions")
    return {name: json.loads(str(attributes(span).get(f"gen_ai.{name}", "null"))) for name in names}


def test_the_form(server: MessagesServer, instrument: Instrument, exporter: InMemorySpanExporter) -> None:
    """Each attribute is JSON in the schema of the GenAI conventions."""
    instrument(capture_content="SPAN_ONLY")
    content = captured(server, exporter, REQUEST)

    assert content["system_instructions"] == [{"type": "text", "content": mark("instructions")}]
    assert content["tool.definitions"] == [
        {
            "type": "function",
            "name": "get",
            "description": mark("tool-description"),
            "parameters": {"type": "object", "description": mark("tool-schema")},
        },
        {"type": "web_search", "name": ""},
    ]
    assert content["input.messages"] == [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": mark("prompt")},
                {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "", "size": 12},
                {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
                {"type": "blob", "modality": "document", "mime_type": "unknown", "content": "", "size": 11},
            ],
        },
        {"role": "assistant", "parts": [{"type": "reasoning", "content": mark("earlier-thought")}]},
        {"role": "assistant", "parts": [{"type": "text", "content": mark("earlier-answer")}]},
        {"role": "assistant", "parts": [tool_call("call_1", "get", {"x": mark("earlier-input")})]},
        {"role": "tool", "parts": [tool_result("call_1", mark("tool-result"))]},
        {"role": "assistant", "parts": [tool_call("call_2", "run", mark("earlier-plain"))]},
        {"role": "tool", "parts": [tool_result("call_2", [{"type": "text", "content": mark("plain-result")}])]},
        {"role": "assistant", "parts": [{"type": "web_search_call"}]},
    ]
    [message] = content["output.messages"]
    assert {**message, "parts": message["parts"][:8]} == {
        "role": "assistant",
        "finish_reason": "tool_calls",
        "parts": [
            {"type": "reasoning", "content": mark("thinking")},
            {"type": "reasoning", "content": mark("summary")},
            {"type": "text", "content": mark("text")},
            {"type": "refusal", "content": mark("refusal")},
            tool_call("call_4", "search", {"x": mark("arguments")}),
            tool_call("call_5", "search", mark("plain")),
            tool_call("call_6", "search", mark("code")),
            tool_call("call_7", "search", [mark("whole")]),
        ],
    }


def tool_call(call_id: str, name: str, arguments: object) -> Mapping[str, object]:
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def tool_result(call_id: str, response: object) -> Mapping[str, object]:
    return {"type": "tool_call_response", "id": call_id, "response": response}


def said(role: str, *parts: Mapping[str, str]) -> Sequence[Mapping[str, object]]:
    return [{"role": role, "parts": list(parts)}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Hi", said("user", {"type": "text", "content": "Hi"})),
        ([{"role": "user", "content": "Hi"}], said("user", {"type": "text", "content": "Hi"})),
        ([{"type": "item_reference", "id": "x"}], said("assistant", {"type": "item_reference"})),
        ([{"type": 7}], said("assistant", {"type": "unknown"})),
        ([7], said("assistant")),
    ],
    ids=["text", "text of a message", "reference", "odd type", "number"],
)
def test_inputs(
    server: MessagesServer,
    instrument: Instrument,
    exporter: InMemorySpanExporter,
    given: object,
    expected: Sequence[object],
) -> None:
    """A text is a message of the user; whatever is not known is named by its type."""
    instrument(capture_content="SPAN_ONLY")

    assert captured(server, exporter, {"model": "gpt-5.1", "input": given})["input.messages"] == expected
