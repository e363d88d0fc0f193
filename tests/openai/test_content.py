"""The content of a chat: captured if that is asked for, and nowhere otherwise."""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import Config, OpenAIStreamInstrumentor
from streamspan.cli.demo.server import MessagesServer
from tests.openai.chunks import DONE, HELLO, call, delta, finish, frame, role, text
from tests.openai.reading import OneStream, create

MARKER = "KVLTR-MARKER"


@pytest.fixture
def capturing(
    server: MessagesServer, tracer_provider: TracerProvider, exporter: InMemorySpanExporter
) -> Iterator[OneStream]:
    instrumentor = OpenAIStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider, config=Config(capture_content="SPAN_ONLY"))
    yield OneStream(server, exporter)
    instrumentor.uninstrument()


def told(value: object) -> Any:
    assert isinstance(value, str)
    return json.loads(value)


MESSAGES: Mapping[str, tuple[Any, list[Any]]] = {
    "a text": ({"role": "system", "content": "Be kind."}, [{"type": "text", "content": "Be kind."}]),
    "parts": (
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "novel", "novel": "x"}]},
        [{"type": "text", "content": "Hi"}, {"type": "novel"}],
    ),
    "the address of an image": (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://u:p@h/a.png?key=1"}}]},
        [{"type": "uri", "modality": "image", "uri": "https://h/a.png"}],
    ),
    "an image": (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": "", "size": 3}],
    ),
    "audio": (
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAAAAAA", "format": "wav"}}]},
        [{"type": "blob", "modality": "audio", "mime_type": "wav", "content": "", "size": 6}],
    ),
    "a file": (
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "file_1"}}]},
        [{"type": "file", "modality": "document", "file_id": "file_1"}],
    ),
    "a tool call": (
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "now", "arguments": '{"a": 1}'}}],
        },
        [{"type": "tool_call", "id": "c", "name": "now", "arguments": {"a": 1}}],
    ),
    "a custom tool call": (
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}],
        },
        [{"type": "tool_call", "id": "c", "name": "sql", "arguments": "SELECT"}],
    ),
    "a result": (
        {"role": "tool", "tool_call_id": "c", "content": "18 °C"},
        [{"type": "tool_call_response", "id": "c", "response": "18 °C"}],
    ),
    "a refusal": ({"role": "assistant", "refusal": "Sorry"}, [{"type": "refusal", "content": "Sorry"}]),
    "reasoning that is handed back": (
        {"role": "assistant", "reasoning_content": "Hmm", "content": "Hi"},
        [{"type": "reasoning", "content": "Hmm"}, {"type": "text", "content": "Hi"}],
    ),
}


@pytest.mark.parametrize(("message", "parts"), MESSAGES.values(), ids=MESSAGES)
def test_the_messages_of_a_request(capturing: OneStream, message: Any, parts: list[Any]) -> None:
    """Texts, tool calls and their results are captured as they are, of media only what they are."""
    span = capturing.told(HELLO, messages=[message])

    assert told(span["gen_ai.input.messages"]) == [{"role": message["role"], "parts": parts}]


def test_the_tools_of_a_request(capturing: OneStream) -> None:
    """Functions with their schema, custom tools by their names."""
    function = {"name": "now", "description": "The time", "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": function}, {"type": "custom", "custom": {"name": "sql"}}]

    assert told(capturing.told(HELLO, tools=tools)["gen_ai.tool.definitions"]) == [
        {"type": "function", "name": "now", "description": "The time", "parameters": {"type": "object"}},
        {"type": "custom", "name": "sql"},
    ]


def test_the_answer(capturing: OneStream) -> None:
    """Its blocks are the parts of one message."""
    body = [
        role(),
        delta(reasoning_content="Hmm"),
        text("Hel"),
        text("lo"),
        call('{"a": ', "now", "c", index=0),
        call("1}", index=0),
        finish("tool_calls"),
        DONE,
    ]

    [message] = told(capturing.told(body)["gen_ai.output.messages"])

    assert message["parts"] == [
        {"type": "reasoning", "content": "Hmm"},
        {"type": "text", "content": "Hello"},
        {"type": "tool_call", "id": "c", "name": "now", "arguments": {"a": 1}},
    ]


SECRET = [
    role(),
    delta(reasoning_content=MARKER),
    text(MARKER),
    delta(refusal=MARKER),
    delta(audio={"transcript": MARKER, "data": MARKER}),
    call(f'{{"{MARKER}": 1}}', "now", "c", index=0),
    frame({"error": {"message": MARKER, "type": "server_error"}}),
]


def test_nothing_of_the_content_leaks(
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Unless it is asked for, no span, event, metric or log line of ours has any of it."""
    metrics = InMemoryMetricReader()
    meter_provider = MeterProvider([metrics], shutdown_on_exit=False)
    instrumentor = OpenAIStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
    request: dict[str, Any] = {
        "messages": [{"role": "user", "content": MARKER}],
        "user": MARKER,
        "tools": [{"type": "function", "function": {"name": "now", "description": MARKER, "parameters": {}}}],
        "extra_headers": {"x-secret": MARKER},
    }
    caplog.set_level(logging.DEBUG, "streamspan")

    span = OneStream(server, exporter).span(SECRET, create, **request)
    instrumentor.uninstrument()

    everything = [span.to_json(), str(metrics.get_metrics_data()), caplog.text]
    assert span.name == "chat gpt-5.5-mini"
    assert [MARKER in text for text in everything] == [False] * 3
