"""The span that the SDK itself makes of a call, from 1.14 on: ours takes its place for streamed calls."""

from collections.abc import Iterator, Mapping
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script, error_response, overloaded
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.messages import SERVER_ENDINGS
from tests.anthropic.paths import REQUEST
from tests.stainless.api import ServerEnding
from tests.stainless.spans import attributes, ended_spans

SDK = tuple(int(number) for number in anthropic.__version__.split(".")[:2])
pytestmark = [
    pytest.mark.usefixtures("quick_collection"),
    pytest.mark.skipif(SDK < (1, 14), reason="this SDK makes no spans of its own"),
]

NATIVE_SCOPE = "com.anthropic.sdk.python"
OURS = "streamspan"

DIFFERS = {
    "gen_ai.response.time_to_first_chunk": "a duration, measured in each run",
    "url.full": "has the port of the server, which is another in each run",
    "server.port": "the same",
}

RICH_REQUEST: dict[str, Any] = {
    **REQUEST,
    "service_tier": "auto",
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["END"],
    "extra_body": {"output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {}}}},
    "extra_headers": {"anthropic-beta": "first-beta, second-beta"},
}
RICH_USAGE = {
    "cache_creation_input_tokens": 7,
    "cache_read_input_tokens": 11,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
}


def rich_message() -> Script:
    usage = {"output_tokens_details": {"thinking_tokens": 5}, "server_tool_use": {"web_search_requests": 2}}
    return [
        wire.message_start(usage=RICH_USAGE),
        *wire.thinking_block(0, "Hm."),
        *wire.text_block(1, "Well."),
        wire.message_delta("end_turn", 42, usage=usage),
        wire.message_stop(),
    ]


@pytest.fixture
def client(server: MessagesServer, tracer_provider: TracerProvider) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(
        base_url=server.url,
        api_key="none",
        max_retries=2,
        http_client=http_client,
        open_telemetry={"tracer_provider": tracer_provider},
    ) as client:
        yield client


def read(client: Anthropic, server: MessagesServer, scripts: list[Script], request: dict[str, Any]) -> None:
    server.scripts.extend(scripts)
    try:
        for _ in client.messages.create(stream=True, **request):
            pass
    except Exception:  # noqa: BLE001, S110  # what the span says of it is compared
        pass


def compared(span: ReadableSpan) -> Mapping[str, object]:
    return {name: value for name, value in attributes(span).items() if name not in DIFFERS}


def native_and_ours(
    client: Anthropic,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    scripts: list[Script],
    request: dict[str, Any],
) -> tuple[ReadableSpan, ReadableSpan]:
    """The SDK's span of a stream, and ours of the same stream."""
    instrumentor = AnthropicStreamInstrumentor()
    read(client, server, scripts, request)
    instrumentor.instrument(tracer_provider=tracer_provider)
    read(client, server, scripts, request)
    instrumentor.uninstrument()
    native, ours = ended_spans(exporter)
    return native, ours


def assert_same_values(native: ReadableSpan, ours: ReadableSpan) -> None:
    assert (native.instrumentation_scope.name, ours.instrumentation_scope.name) == (NATIVE_SCOPE, OURS)  # pyright: ignore[reportOptionalMemberAccess]
    assert set(attributes(native)) - set(attributes(ours)) == set()
    assert {name: compared(ours).get(name) for name in compared(native)} == compared(native)


@pytest.mark.parametrize(
    "ending", [ending for ending in SERVER_ENDINGS if ending.outcome != "truncated"], ids=lambda ending: ending.name
)
def test_ours_says_what_the_native_span_says(
    ending: ServerEnding,
    client: Anthropic,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    """Every attribute of the SDK's span of a stream is on ours, with the same value."""
    client = client.with_options(timeout=ending.timeout)

    assert_same_values(*native_and_ours(client, server, tracer_provider, exporter, [ending.script], REQUEST))


@pytest.mark.parametrize(
    "ending", [ending for ending in SERVER_ENDINGS if ending.outcome == "truncated"], ids=lambda ending: ending.name
)
def test_a_stream_that_is_cut(
    ending: ServerEnding,
    client: Anthropic,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    """Where the SDK's span blames the API, ours says that the stream was truncated; all else is the same."""
    native, ours = native_and_ours(client, server, tracer_provider, exporter, [ending.script], REQUEST)

    assert (attributes(native)["error.type"], attributes(ours)["error.type"]) == ("api_error", "stream_truncated")
    assert {**compared(ours), **compared(native)} == {**compared(ours), "error.type": "api_error"}


@pytest.mark.parametrize(
    "scripts",
    [
        [rich_message()],
        [error_response(400, "invalid_request_error", "no")],
        [overloaded(), overloaded(), rich_message()],
        [overloaded(), overloaded(), overloaded()],
    ],
    ids=["complete", "refused", "retried", "overloaded"],
)
def test_ours_says_what_the_native_span_says_of_a_rich_call(
    scripts: list[Script],
    client: Anthropic,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    """The same for a call that gives and gets everything, and for errors before the stream."""
    assert_same_values(*native_and_ours(client, server, tracer_provider, exporter, scripts, RICH_REQUEST))


def test_both_are_kept(
    client: Anthropic, server: MessagesServer, tracer_provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """`native_span="keep"`: the SDK's span is beside ours, as a child of it."""
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider, config=Config(native_span="keep"))
    read(client, server, [rich_message()], REQUEST)
    instrumentor.uninstrument()
    spans = {span.instrumentation_scope.name: span for span in ended_spans(exporter) if span.instrumentation_scope}
    native_parent = spans[NATIVE_SCOPE].parent

    assert set(spans) == {NATIVE_SCOPE, OURS}
    assert native_parent is not None
    assert native_parent.span_id == spans[OURS].get_span_context().span_id  # pyright: ignore[reportOptionalMemberAccess]


def test_plain_calls_keep_their_span(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """A call that is not streamed is none of ours."""
    server.scripts.append(error_response(400, "invalid_request_error", "no"))
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(**REQUEST)

    assert [span.instrumentation_scope.name for span in ended_spans(exporter) if span.instrumentation_scope] == [
        NATIVE_SCOPE
    ]


# --- traceparent -------------------------------------------------------------------------------------------------


def sent_traceparent(server: MessagesServer) -> str | None:
    return server.exchanges[-1].headers.get("traceparent")


def traceparent_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}"


def test_traceparent_names_our_span(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, instrumented: AnthropicStreamInstrumentor
) -> None:
    """The SDK sends the identity of our span where it would have sent that of its own."""
    read(client, server, [rich_message()], REQUEST)
    (span,) = ended_spans(exporter)

    assert (sent_traceparent(server) or "").startswith(traceparent_of(span))


@pytest.mark.parametrize("open_telemetry", [{"propagation": False}, {"traces": False}, False])
def test_no_traceparent_where_the_sdk_sends_none(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
    open_telemetry: Any,
) -> None:
    """The client's own options about propagation and tracing are heeded; our span is there all the same."""
    read(client.with_options(open_telemetry=open_telemetry), server, [rich_message()], REQUEST)

    assert sent_traceparent(server) is None
    assert [span.name for span in ended_spans(exporter)] == ["chat claude-sonnet-5-5"]


def test_no_traceparent_of_a_bare_post(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, instrumented: AnthropicStreamInstrumentor
) -> None:
    """`client.post()` is no method that the SDK makes a span of, and it sends nothing."""
    server.scripts.append(rich_message())
    stream: Any = client.post(
        "/v1/messages",
        cast_to=anthropic.types.Message,
        body={**REQUEST, "stream": True},
        stream=True,
        stream_cls=anthropic.Stream[anthropic.types.RawMessageStreamEvent],
    )
    list(stream)

    assert sent_traceparent(server) is None
    assert [span.name for span in ended_spans(exporter)] == ["chat claude-sonnet-5-5"]


def test_a_tracer_that_makes_no_spans_leaves_the_native_one(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """Where we have no span to put in its place, the SDK's stays: under a parent, and without one."""
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=trace.NoOpTracerProvider())
    read(client, server, [rich_message()], REQUEST)
    instrumentor.uninstrument()

    assert [span.instrumentation_scope.name for span in ended_spans(exporter) if span.instrumentation_scope] == [
        NATIVE_SCOPE
    ]
