"""Content, over real sockets: what is captured for whom, in which form, and that nothing of it is anywhere else."""

import asyncio
import gc
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from streamspan import AnthropicStreamInstrumentor, Config, guard
from streamspan.anthropic import capture
from streamspan.anthropic.capture import capture_request
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script, error_response
from streamspan.cli.demo.server import MessagesServer
from streamspan.config import ContentSignal
from streamspan.core.model import BlockStart, Ending
from streamspan.core.stream import StreamState
from streamspan.telemetry import stream_telemetry
from streamspan.telemetry.content import WITHHELD, Content, as_json
from tests.anthropic.paths import REQUEST
from tests.stainless.logs import records
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

IN_REQUEST = ["prompt", "earlier-answer", "earlier-input", "tool-result", "system", "tool-description", "tool-schema"]
IN_ANSWER = ["text", "thinking", "tool-input"]
IN_ERROR = ["error"]
NEVER = ["user-id", "signature", "redacted", "image"]
MARKERS = [*IN_REQUEST, *IN_ANSWER, *IN_ERROR, *NEVER]


def mark(name: str) -> str:
    return f"xyzzy-{name}-4711"


REQUEST_WITH_MARKERS: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "metadata": {"user_id": mark("user-id")},
    "system": [{"type": "text", "text": mark("system")}],
    "tools": [
        {
            "name": "get",
            "description": mark("tool-description"),
            "input_schema": {"type": "object", "properties": {"x": {"description": mark("tool-schema")}}},
        }
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": mark("prompt")},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": mark("image")},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": mark("signature")},
                {"type": "redacted_thinking", "data": mark("redacted")},
                {"type": "text", "text": mark("earlier-answer")},
                {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {"x": mark("earlier-input")}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": mark("tool-result")}],
        },
    ],
}
BLOCKS = [
    *wire.thinking_block(0, mark("thinking"), signature=mark("signature")),
    wire.block_start(1, {"type": "redacted_thinking", "data": mark("redacted")}),
    wire.block_stop(1),
    *wire.text_block(2, mark("text")),
    *wire.tool_block(3, "get", {"x": mark("tool-input")}),
]
COMPLETE: Script = list(wire.whole_message(BLOCKS, stop_reason="tool_use"))
ERRORED: Script = [wire.message_start(), *BLOCKS, wire.error("overloaded_error", mark("error"))]
TRUNCATED: Script = [wire.message_start(), *BLOCKS]


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


@pytest.fixture
def metrics() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def instrument(
    tracer_provider: TracerProvider, logger_provider: LoggerProvider, metrics: InMemoryMetricReader
) -> Iterator[Callable[..., None]]:
    """Instruments with these settings, for all signals, while the test runs."""
    instrumentor = AnthropicStreamInstrumentor()
    meter_provider = MeterProvider([metrics])
    providers = {
        "tracer_provider": tracer_provider,
        "logger_provider": logger_provider,
        "meter_provider": meter_provider,
    }

    def start(providers: dict[str, Any] = providers, **settings: Any) -> None:
        instrumentor.instrument(config=Config(**settings), **providers)

    yield start
    instrumentor.uninstrument()
    meter_provider.shutdown()


# --- where content is --------------------------------------------------------------------------------------------


def read_sync(server: MessagesServer, script: Script, event_count: int) -> None:
    """Reads so many events and closes."""
    server.scripts.append(script)
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        stream = client.messages.create(stream=True, **REQUEST_WITH_MARKERS)
        for count, _ in enumerate(stream, 1):
            if count == event_count:
                break
        stream.close()


def read_async(server: MessagesServer, script: Script, event_count: int) -> None:
    """The same in a task."""

    async def main() -> None:
        server.scripts.append(script)
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        async with (
            AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client,
            await client.messages.create(stream=True, **REQUEST_WITH_MARKERS) as stream,
        ):
            count = 0
            async for _ in stream:
                count += 1
                if count == event_count:
                    break

    asyncio.run(main())


def found_in(text: str) -> list[str]:
    return [name for name in MARKERS if mark(name) in text]


@pytest.mark.parametrize("read", [read_sync, read_async])
@pytest.mark.parametrize(
    ("script", "event_count", "outcome", "in_response"),
    [
        (COMPLETE, 1000, "complete", IN_ANSWER),
        (COMPLETE, len(BLOCKS) + 1, "aborted", IN_ANSWER),
        (ERRORED, 1000, "error", [*IN_ANSWER, *IN_ERROR]),
        (TRUNCATED, 1000, "truncated", IN_ANSWER),
    ],
    ids=["complete", "aborted", "error", "truncated"],
)
@pytest.mark.parametrize(
    ("signal", "on_span", "in_logs"),
    [
        ("NO_CONTENT", False, False),
        ("SPAN_ONLY", True, False),
        ("EVENT_ONLY", False, True),
        ("SPAN_AND_EVENT", True, True),
    ],
)
def test_content_is_where_it_was_asked_for_and_nowhere_else(
    server: MessagesServer,
    instrument: Callable[..., None],
    exporter: InMemorySpanExporter,
    log_exporter: Any,
    metrics: InMemoryMetricReader,
    caplog: pytest.LogCaptureFixture,
    read: Callable[[MessagesServer, Script, int], None],
    script: Script,
    event_count: int,
    outcome: str,
    in_response: list[str],
    signal: ContentSignal,
    on_span: bool,
    in_logs: bool,
) -> None:
    """Of all that was planted, the span and the log records have what the switch says; metrics and our own log lines
    have nothing, and what is no content (the user's id, signatures, data) is nowhere."""
    caplog.set_level(logging.DEBUG)
    instrument(capture_content=signal, events="both")
    with suppress(anthropic.APIStatusError):
        read(server, script, event_count)
    (span,) = ended_spans(exporter)
    content = [*IN_REQUEST, *in_response]
    lines = [line for line in caplog.records if line.name.startswith(("streamspan", "opentelemetry"))]

    assert attributes(span)["llm_stream.outcome"] == outcome
    assert found_in(span.to_json()) == content * on_span
    assert found_in(repr([(record.body, record.attributes) for record in records(log_exporter)])) == content * in_logs
    assert found_in(repr(metrics.get_metrics_data())) == []
    assert found_in(repr([(line.getMessage(), line.exc_info) for line in lines])) == []


def test_what_the_server_refuses(
    client: Anthropic, server: MessagesServer, instrument: Callable[..., None], exporter: InMemorySpanExporter
) -> None:
    """A call without a stream has the request, the error's text, and no answer."""
    instrument(capture_content="SPAN_ONLY")
    server.scripts.append(error_response(400, "invalid_request_error", mark("error")))
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(stream=True, **REQUEST_WITH_MARKERS)
    (span,) = ended_spans(exporter)

    assert found_in(span.to_json()) == [*IN_REQUEST, *IN_ERROR]
    assert attributes(span)["llm_stream.error.message"] == mark("error")
    assert "gen_ai.output.messages" not in attributes(span)


def test_nobody_hears_it(
    client: Anthropic, server: MessagesServer, instrument: Callable[..., None], log_exporter: Any
) -> None:
    """Content is not even collected for a span that is not sampled, nor for logs that have no SDK."""
    collected: list[object] = []
    instrument(
        {"tracer_provider": TracerProvider(sampler=ALWAYS_OFF), "logger_provider": NoOpLoggerProvider()},
        capture_content="SPAN_AND_EVENT",
        redact=collected.append,
    )
    server.scripts.append(COMPLETE)
    events = [event.type for event in client.messages.create(stream=True, **REQUEST)]

    assert events[-1] == "message_stop"
    assert collected == []


def fails(*_: object) -> Any:
    raise ZeroDivisionError(mark("prompt"))


@pytest.mark.parametrize(
    ("module", "name"), [(capture, "_request"), (Content, "written"), (stream_telemetry, "as_json")]
)
def test_capturing_that_fails(
    client: Anthropic,
    server: MessagesServer,
    instrument: Callable[..., None],
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: Any,
    name: str,
) -> None:
    """It costs the application nothing, and the span no more than what was to be captured."""
    monkeypatch.setattr(guard, "reraises", False)
    monkeypatch.setattr(module, name, fails)
    caplog.set_level(logging.DEBUG, logger="streamspan")
    guard.failures.clear()
    instrument(capture_content="SPAN_AND_EVENT")
    server.scripts.append(COMPLETE)
    events = [event.type for event in client.messages.create(stream=True, **REQUEST_WITH_MARKERS)]
    (span,) = ended_spans(exporter)

    assert events[-1] == "message_stop"
    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert "gen_ai.input.messages" not in attributes(span)
    assert sum(guard.failures.values()) == 1
    assert found_in(caplog.text) == []


# --- its form ----------------------------------------------------------------------------------------------------


def test_the_form_on_the_span(
    client: Anthropic, server: MessagesServer, instrument: Callable[..., None], exporter: InMemorySpanExporter
) -> None:
    """Each attribute is JSON in the schema of the GenAI conventions."""
    instrument(capture_content="SPAN_ONLY")
    server.scripts.append(COMPLETE)
    list(client.messages.create(stream=True, **REQUEST_WITH_MARKERS))
    (span,) = ended_spans(exporter)
    call_id = "toolu_01A09q90qw90lq917835lq03"

    assert attributes(span)["llm_stream.content.truncated"] is False
    assert json.loads(str(attributes(span)["gen_ai.system_instructions"])) == [
        {"type": "text", "content": mark("system")}
    ]
    assert json.loads(str(attributes(span)["gen_ai.tool.definitions"])) == [
        {
            "type": "function",
            "name": "get",
            "description": mark("tool-description"),
            "parameters": {"type": "object", "properties": {"x": {"description": mark("tool-schema")}}},
        }
    ]
    assert json.loads(str(attributes(span)["gen_ai.input.messages"])) == [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": mark("prompt")},
                {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "", "size": 12},
            ],
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "redacted_thinking"},
                {"type": "text", "content": mark("earlier-answer")},
                {"type": "tool_call", "id": "toolu_1", "name": "get", "arguments": {"x": mark("earlier-input")}},
            ],
        },
        {
            "role": "user",
            "parts": [{"type": "tool_call_response", "id": "toolu_1", "response": mark("tool-result")}],
        },
    ]
    assert json.loads(str(attributes(span)["gen_ai.output.messages"])) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": mark("thinking")},
                {"type": "text", "content": mark("text")},
                {"type": "tool_call", "id": call_id, "name": "get", "arguments": {"x": mark("tool-input")}},
            ],
            "finish_reason": "tool_use",
        }
    ]


def test_the_form_in_the_log(
    client: Anthropic,
    server: MessagesServer,
    instrument: Callable[..., None],
    exporter: InMemorySpanExporter,
    log_exporter: Any,
) -> None:
    """The conventions' event has the messages as structures, the facts of the span, and its context."""
    instrument(capture_content="EVENT_ONLY")
    server.scripts.append(list(wire.whole_message(wire.text_block(0, "Hello, you."))))
    list(client.messages.create(stream=True, **REQUEST))
    (span,) = ended_spans(exporter)
    (record,) = records(log_exporter)
    context: Any = span.get_span_context()

    assert record.event_name == "gen_ai.client.inference.operation.details"
    assert (record.trace_id, record.span_id, record.timestamp) == (context.trace_id, context.span_id, span.end_time)
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-5-5",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.output_tokens": 20,
        "llm_stream.outcome": "complete",
        "llm_stream.content.truncated": False,
    }.items() <= dict(record.attributes).items()
    assert record.attributes["gen_ai.input.messages"] == (
        {"role": "user", "parts": ({"type": "text", "content": "Hello"},)},
    )
    assert record.attributes["gen_ai.output.messages"] == (
        {"role": "assistant", "parts": ({"type": "text", "content": "Hello, you."},), "finish_reason": "end_turn"},
    )


def test_a_partial_answer_is_marked(
    client: Anthropic, server: MessagesServer, instrument: Callable[..., None], exporter: InMemorySpanExporter
) -> None:
    """What had come when the reader left is there, with the convention's word and our mark; cut JSON stays text."""
    instrument(capture_content="SPAN_ONLY")
    server.scripts.append(list(wire.whole_message(wire.tool_block(0, "get", '{"city": "Köln"}', size=6))))
    with client.messages.create(stream=True, **REQUEST) as stream:
        for _ in range(4):
            next(stream)
    (span,) = ended_spans(exporter)

    assert json.loads(str(attributes(span)["gen_ai.output.messages"])) == [
        {
            "role": "assistant",
            "parts": [
                {
                    "type": "tool_call",
                    "id": "toolu_01A09q90qw90lq917835lq00",
                    "name": "get",
                    "arguments": '{"city',
                }
            ],
            "finish_reason": "error",
            "llm_stream.partial": True,
        }
    ]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/cat.png"}},
            {"type": "uri", "modality": "image", "uri": "https://x/cat.png"},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "data:image/png;base64,AAAA"}},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "", "size": 3},
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "file", "modality": "document", "file_id": "file_1"},
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Once"}},
            {"type": "blob", "modality": "document", "mime_type": "text/plain", "content": "", "size": 4},
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Où"}, 3]}},
            {"type": "blob", "modality": "document", "mime_type": "unknown", "content": "", "size": 3},
        ),
        (
            {"type": "document", "source": {"type": "content", "content": "Once"}},
            {"type": "blob", "modality": "document", "mime_type": "unknown", "content": "", "size": 4},
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "HTTPS://me:pw@x/a.pdf?sig=1#top"}},
            {"type": "uri", "modality": "document", "uri": "https://x/a.pdf"},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x?sig=me@y/1"}},
            {"type": "uri", "modality": "image", "uri": "https://x"},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": " data:image/png;base64,AAAA"}},
            {"type": "blob", "modality": "image", "mime_type": "unknown", "content": "", "size": 20},
        ),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "18 °C"}]},
            {"type": "tool_call_response", "id": "t1", "response": [{"type": "text", "content": "18 °C"}]},
        ),
        (
            {"type": "web_search_tool_result", "tool_use_id": "t1", "content": [{"encrypted_content": "E"}]},
            {"type": "web_search_tool_result"},
        ),
        (
            {"type": "text", "text": "half of an emoji: \ud83d"},
            {"type": "text", "content": "half of an emoji: ?"},
        ),
        ({"type": "text", "text": None}, {"type": "text", "content": ""}),
        ({}, {"type": "unknown"}),
        (None, {"type": "unknown"}),
    ],
)
def test_the_parts_of_a_request(block: object, part: object) -> None:
    """Every kind of block has its part; data and what is not known is named, not captured."""
    assert captured({"messages": [{"role": "user", "content": [block]}]}) == {
        "gen_ai.input.messages": [{"role": "user", "parts": [part]}]
    }


ODD_REQUESTS: list[tuple[dict[str, Any], object]] = [
    (
        {"prompt": "Once"},
        {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Once"}]}]},
    ),
    ({"messages": 5, "system": 7, "tools": {"a": 1}}, {"gen_ai.input.messages": [{"role": "user", "parts": []}]}),
    (
        {"messages": ["Hi"], "tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {
            "gen_ai.input.messages": [{"role": "unknown", "parts": []}],
            "gen_ai.tool.definitions": [{"type": "web_search_20250305", "name": "web_search"}],
        },
    ),
]


@pytest.mark.parametrize(("body", "expected"), ODD_REQUESTS)
def test_odd_requests(body: dict[str, Any], expected: object) -> None:
    """What has another form than the API's costs nobody anything; the prompt of the completions API is a message."""
    assert captured(body) == expected


class Options:
    """Those of a call with this body."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.json_data = body


def captured(body: dict[str, Any], chars: int = 10_000) -> dict[str, Any]:
    """The attributes of a request with this body."""
    content = Content({}, chars, None, on_span=True, in_log=False)
    capture_request(content, Options(body))
    return dict(content.written(StreamState(0.0).ended(Ending("closed", 1.0))))


# --- what is too deep ---------------------------------------------------------------------------------------------

DEPTHS = [
    depth
    for limit in (900, 1490, 9990)  # near the limits of Python up to 3.11, of 3.12 and of 3.13
    for depth in range(limit, limit + 110)
]


def output_of(depth: int) -> str:
    """The answer that is a tool call with an input as deep as this, as it is on the span."""
    content = Content({}, 32_768, None, on_span=True, in_log=False)
    state = StreamState(0.0)
    state.capture(content.output)
    state.opened(0.0)
    state.block_started(BlockStart(0, "tool_use", "tool_call", "get", "toolu_1"), 0.0)
    state.delta("tool_input", 0, "[" * depth + "]" * depth, 0.0)
    summary = state.ended(Ending("closed", 1.0))
    return as_json(content.written(summary)["gen_ai.output.messages"])


def test_an_input_of_any_depth() -> None:
    """A tool input that is deeper than Python's JSON goes is captured all the same, as the text that it is."""
    messages = [output_of(depth) for depth in DEPTHS]

    assert [message.count("[") - 2 for message in messages] == DEPTHS


@pytest.mark.parametrize("depth", [900, 1000, 1100, 20_000])
def test_a_request_of_any_depth(depth: int) -> None:
    """A tool's earlier input that cannot be written to its end costs nothing but its own rest."""
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    block = {"type": "tool_use", "name": "get", "input": nested}
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [block]}]
    hi, earlier = captured({"messages": messages}, chars=100_000)["gen_ai.input.messages"]

    assert hi["parts"] == [{"type": "text", "content": "Hi"}]
    assert earlier["parts"][0]["arguments"].startswith("[" * 900)


def test_a_request_that_holds_itself() -> None:
    """A tool's earlier input that has no end is cut where it begins again."""
    endless: dict[str, Any] = {"a": 1}
    endless["b"] = endless
    block = {"type": "tool_use", "name": "get", "input": endless}

    assert captured({"messages": [{"role": "assistant", "content": [block]}]}) == {
        "gen_ai.input.messages": [
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "name": "get", "arguments": '{"a":1,"b":', "truncated": True}],
            }
        ]
    }


# --- the cap -----------------------------------------------------------------------------------------------------


def test_the_newest_of_a_long_conversation() -> None:
    """The request has half of the cap: its newest messages, in their order, and the oldest of them cut."""
    messages = [{"role": "user", "content": f"{number}" * 100} for number in range(9)]
    parts = captured({"messages": messages, "system": "S" * 100}, chars=900)["gen_ai.input.messages"]

    assert [message["parts"] for message in parts] == [
        [{"type": "text", "content": "7" * 78, "truncated": True}],
        [{"type": "text", "content": "8" * 100}],
    ]


def test_the_cap_of_a_stream(
    client: Anthropic, server: MessagesServer, instrument: Callable[..., None], exporter: InMemorySpanExporter
) -> None:
    """What the request leaves is the answer's, and what is cut says so."""
    instrument(capture_content="SPAN_ONLY", content_chars=1000)
    server.scripts.append(list(wire.whole_message(wire.text_block(0, "x" * 5000))))
    list(client.messages.create(stream=True, **REQUEST))
    (span,) = ended_spans(exporter)
    (message,) = json.loads(str(attributes(span)["gen_ai.output.messages"]))

    assert attributes(span)["llm_stream.content.truncated"] is True
    assert attributes(span)["llm_stream.text.chars"] == 5000
    assert message["parts"] == [{"type": "text", "content": "x" * 791, "truncated": True}]


# --- redaction ---------------------------------------------------------------------------------------------------


def test_a_redaction_that_streams_itself(
    client: Anthropic, server: MessagesServer, instrument: Callable[..., None], exporter: InMemorySpanExporter
) -> None:
    """It may ask a model what to leave out: its own streams are observed, and their content is not captured."""

    def redact(text: str) -> str:
        list(client.messages.create(stream=True, **REQUEST))
        return text

    instrument(capture_content="SPAN_ONLY", redact=redact)
    server.scripts += [list(wire.whole_message(wire.text_block(0, "Hello."))) for _ in range(3)]
    list(client.messages.create(stream=True, **REQUEST))
    captured = ["gen_ai.output.messages" in attributes(span) for span in ended_spans(exporter)]

    assert captured == [False, False, True]  # one for the question and one for the answer


def test_each_text_is_redacted(
    client: Anthropic, server: MessagesServer, instrument: Callable[..., None], exporter: InMemorySpanExporter
) -> None:
    """Each text goes through the function as a whole, however it came; names and types do not."""
    seen: list[str] = []

    def redact(text: str) -> str:
        seen.append(text)
        return text.replace("rosebud", "****")

    instrument(capture_content="SPAN_ONLY", redact=redact)
    server.scripts.append(list(wire.whole_message(wire.text_block(0, "It is rosebud, Sir.", size=4))))
    list(client.messages.create(stream=True, system="The secret is rosebud.", **REQUEST))
    (span,) = ended_spans(exporter)

    assert seen == ["Hello", "The secret is rosebud.", "It is rosebud, Sir."]
    assert "rosebud" not in span.to_json()
    assert json.loads(str(attributes(span)["gen_ai.output.messages"]))[0]["parts"] == [
        {"type": "text", "content": "It is ****, Sir."}
    ]


def raising(text: str) -> str:
    raise ValueError(text)


def giving_nothing(_: str) -> str:
    nothing: Any = None
    return nothing


@pytest.mark.parametrize("redact", [raising, giving_nothing])
def test_a_redaction_that_fails(
    client: Anthropic,
    server: MessagesServer,
    instrument: Callable[..., None],
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    redact: Callable[[str], str],
) -> None:
    """Its texts are withheld, not leaked, wherever one looks; the rest of the span is whole."""
    monkeypatch.setattr(guard, "reraises", False)
    caplog.set_level(logging.DEBUG, logger="streamspan")
    guard.failures.clear()
    instrument(capture_content="SPAN_AND_EVENT", redact=redact)
    server.scripts.append(COMPLETE)
    events = [event.type for event in client.messages.create(stream=True, **REQUEST_WITH_MARKERS)]
    (span,) = ended_spans(exporter)
    (message,) = json.loads(str(attributes(span)["gen_ai.output.messages"]))

    assert events[-1] == "message_stop"
    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert found_in(span.to_json() + caplog.text) == []
    assert [part.get("content", part.get("arguments")) for part in message["parts"]] == [WITHHELD] * 3
    assert set(guard.failures) == {"_redacted"}


def test_a_redaction_never_runs_inside_itself(
    client: Anthropic, server: MessagesServer, instrument: Callable[..., None], exporter: InMemorySpanExporter
) -> None:
    """A stream whose last reference goes while the function runs, and holds a lock, waits with its end."""
    lock = threading.Lock()
    dropped: list[Any] = []

    def redact(text: str) -> str:
        assert lock.acquire(blocking=False)
        dropped.clear()
        gc.collect()
        lock.release()
        return text

    instrument(capture_content="SPAN_ONLY", redact=redact)
    server.scripts.extend([COMPLETE, COMPLETE])
    dropped.append(client.messages.create(stream=True, **REQUEST))
    next(dropped[0])
    with client.messages.create(stream=True, **REQUEST) as stream:
        next(stream)

    assert [attributes(span)["llm_stream.abort.reason"] for span in ended_spans(exporter)] == ["closed", "dropped"]
