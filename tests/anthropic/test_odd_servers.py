"""Servers that send what the API does not, or what it sends rarely."""

from collections.abc import Iterator
from contextlib import suppress
from typing import cast

import anthropic
import pytest
from anthropic import Anthropic
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import guard
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script, error_response
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.paths import REQUEST
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("instrumented", "quick_collection")

MARKER = "MARKER"


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Failures of ours are counted here, as in an application."""
    monkeypatch.setattr(guard, "reraises", False)
    guard.failures.clear()
    return guard.failures


def span_of(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, script: Script) -> ReadableSpan:
    """The span of a stream that is read to its end, whatever that is."""
    server.scripts.append(script)
    with suppress(anthropic.APIStatusError):
        for _ in client.beta.messages.create(stream=True, **REQUEST):
            pass
    (span,) = ended_spans(exporter)
    return span


# --- usage -------------------------------------------------------------------------------------------------------


def message_with_usage(usage: object) -> Script:
    """A message whose first and last event report `usage`."""
    message = {"id": wire.MESSAGE_ID, "type": "message", "role": "assistant", "model": wire.MODEL, "usage": usage}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        wire.Event("message_start", {"type": "message_start", "message": message}),
        *wire.text_block(0, "Some text."),
        wire.Event("message_delta", {"type": "message_delta", "delta": delta, "usage": usage}),
        wire.message_stop(),
    ]


@pytest.mark.parametrize(
    "usage",
    [
        3,
        [],
        {"server_tool_use": "x"},
        {"server_tool_use": {"web_search_requests": "x"}},
        {"iterations": {"a": 1}},
        {"iterations": [3, {"type": "compaction", "input_tokens": "x"}]},
        {"cache_creation": []},
        {"input_tokens": "x", "output_tokens": {}, "service_tier": 3},
    ],
    ids=str,
)
def test_odd_usage(
    usage: object,
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    failures: dict[str, int],
) -> None:
    """Whatever the server says of the usage, the span says whose the message is and how it ended."""
    span = span_of(client, server, exporter, message_with_usage(usage))

    assert {
        "gen_ai.response.id": wire.MESSAGE_ID,
        "gen_ai.response.model": wire.MODEL,
        "llm_stream.outcome": "complete",
    }.items() <= attributes(span).items()
    assert failures == {}


def test_ever_new_counts(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A server that names another count in each event, 2,000 times, gets 32 attributes of them."""
    deltas = (
        wire.message_delta(None, 1, usage={"server_tool_use": {f"tool_{number}_requests": 1}})
        for number in range(2_000)
    )
    body = b"".join(event.encoded() for event in deltas)
    span = span_of(
        client, server, exporter, [wire.message_start(), body, wire.message_delta("end_turn", 2), wire.message_stop()]
    )
    counts = [name for name in attributes(span) if name.startswith("llm_stream.usage.")]

    assert len(counts) == 32
    assert attributes(span)["llm_stream.outcome"] == "complete"


# --- what no exporter could encode ---------------------------------------------------------------------------------

SURROGATE = "\\ud800"
TEN_TO_THE_30 = "1" + 30 * "0"
TEN_TO_THE_400 = "1" + 400 * "0"
WHOLE = b"".join(event.encoded() for event in wire.whole_message(wire.tool_block(0, "get_order", '{"id":4711}')))


@pytest.mark.parametrize(
    ("value", "odd"),
    [
        (f'"{wire.MODEL}"', f'"{SURROGATE}"'),
        (f'"{wire.MESSAGE_ID}"', f'"{SURROGATE}"'),
        ('"end_turn"', f'"{SURROGATE}"'),
        ('"get_order"', f'"{SURROGATE}"'),
        ('"tool_use"', f'"{SURROGATE}"'),
        ('"index":0', f'"index":{TEN_TO_THE_30}'),
        ('"output_tokens":20', f'"output_tokens":{TEN_TO_THE_30}'),
        ('"output_tokens":20', f'"output_tokens":{TEN_TO_THE_400}'),
        ('"output_tokens":20', f'"output_tokens":20,"server_tool_use":{{"{SURROGATE}_requests":1}}'),
    ],
    ids=lambda value: value[:30],
)
def test_what_no_exporter_can_encode(
    value: str,
    odd: str,
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    failures: dict[str, int],
) -> None:
    """One such value would lose the other spans of its batch, and the Prometheus exporter's page until the end."""
    script = [WHOLE.replace(value.encode(), odd.encode())]
    told = attributes_of_all(span_of(client, server, exporter, script))

    assert script != [WHOLE]
    assert [name for name, value in told if not is_encodable(name) or not is_encodable(value)] == []
    assert failures == {}


def attributes_of_all(span: ReadableSpan) -> list[tuple[str, object]]:
    """Of the span and its events."""
    return [
        pair for told in (attributes(span), *(event.attributes or {} for event in span.events)) for pair in told.items()
    ]


def is_encodable(value: object) -> bool:
    """As OTLP does it."""
    if isinstance(value, (list, tuple)):
        return all(is_encodable(item) for item in cast("tuple[object, ...]", value))
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return not isinstance(value, str) or value.encode(errors="ignore").decode() == value


def error_event(error: object) -> wire.Event:
    return wire.Event("error", {"type": "error", "error": error})


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "error_type"),
    [
        ([wire.message_start(), wire.error(f"x, {MARKER}", MARKER)], "api_error"),
        ([wire.message_start(), wire.error("x" * 65 + MARKER, MARKER)], "api_error"),
        (error_response(400, f"x, {MARKER}", MARKER), "400"),
        ([wire.message_start(), wire.error("rate-limit", MARKER)], "rate-limit"),
        ([wire.message_start(), wire.error("server error", MARKER)], "server error"),
        ([wire.message_start(), wire.error("mlflow.MlflowException", MARKER)], "mlflow.MlflowException"),
        ([wire.message_start(), error_event({"message": MARKER, "code": 529})], "529"),
        ([wire.message_start(), error_event({"message": MARKER, "code": "server_overloaded"})], "server_overloaded"),
        ([wire.message_start(), error_event({"message": MARKER, "type": None, "code": -1})], "api_error"),
        ([wire.message_start(), error_event(MARKER)], "api_error"),
        ([wire.message_start(), error_event([MARKER])], "api_error"),
    ],
)
def test_error_types_are_words(
    script: Script, error_type: str, client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """What a server sends as the type of an error, or as its code, is told where it is a word or a few, and left out
    where it may be any text."""
    span = span_of(client, server, exporter, script)

    assert (attributes(span)["llm_stream.outcome"], attributes(span)["error.type"]) == ("error", error_type)
    assert MARKER not in span.to_json()


# --- another model -----------------------------------------------------------------------------------------------


def test_another_model_goes_on(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Behind a `fallback` block the model of the message is the one that it names."""
    fallback = {"type": "fallback", "from": {"model": wire.MODEL}, "to": {"model": "claude-opus-5-5"}}
    block = [wire.block_start(0, fallback), wire.block_stop(0)]
    span = span_of(client, server, exporter, list(wire.whole_message(block, wire.text_block(1, "Hello"))))

    assert {
        "gen_ai.request.model": "claude-sonnet-5-5",
        "gen_ai.response.model": "claude-opus-5-5",
        "llm_stream.outcome": "complete",
    }.items() <= attributes(span).items()
