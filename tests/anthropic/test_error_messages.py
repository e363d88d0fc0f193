"""The text of an error is content: it may repeat what was sent. It leaves where content leaves, and nowhere else."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import Config
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Script, error_response
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.one_stream import OneStream, one_stream
from tests.anthropic.paths import REQUEST
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

MARKER = "xyzzy-error-4711"
MESSAGE = "llm_stream.error.message"
BEGUN: Sequence[Any] = [wire.message_start(), *list(wire.text_block(0, "Some text."))[:-1]]
OPEN: dict[str, Any] = {"capture_content": "SPAN_ONLY"}


def hidden(text: str) -> str:
    return text.replace(MARKER, "[hidden]")


def failing(_: str) -> str:
    raise ValueError(MARKER)


@pytest.mark.parametrize(
    "script",
    [
        [*BEGUN, wire.error("overloaded_error", MARKER)],
        [*BEGUN, wire.Event("error", {"type": "error", "error": MARKER})],
        error_response(400, "invalid_request_error", MARKER),
        [*BEGUN, b"event: content_block_delta\ndata: {" + MARKER.encode() + b"}\n\n"],
    ],
    ids=["event", "text", "status", "data"],
)
def test_the_gate_is_closed(app: OneStream, script: Script) -> None:
    """Nothing of the text is on the span."""
    told = app.read(script)

    assert told.has("llm_stream.outcome", MESSAGE) == {"llm_stream.outcome": "error"}
    assert MARKER not in told.span.to_json()


@pytest.mark.parametrize(
    ("script", "settings", "message"),
    [
        ([*BEGUN, wire.error("overloaded_error", MARKER)], {}, MARKER),
        ([*BEGUN, wire.Event("error", {"type": "error", "error": MARKER})], {}, MARKER),
        (error_response(400, "invalid_request_error", MARKER), {}, MARKER),
        ([*BEGUN, wire.error("overloaded_error", f"at {MARKER}")], {"redact": hidden}, "at [hidden]"),
        ([*BEGUN, wire.error("overloaded_error", "x" * 100_000)], {"content_chars": 1000}, "x" * 781),
        ([*BEGUN, wire.error("overloaded_error", "x" * 100_000)], {}, "x" * 4096),
    ],
    ids=["event", "text", "status", "redacted", "cap", "limit"],
)
def test_the_gate_is_open(
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    script: Script,
    settings: dict[str, Any],
    message: str,
) -> None:
    """The text is there, under the cap of all content, and redacted like it."""
    with one_stream(server, tracer_provider, exporter, Config(**OPEN, **settings)) as app:
        told = app.read(script)

    assert told.has(MESSAGE) == {MESSAGE: message}


def read(app: OneStream) -> None:
    list(app.client.messages.create(stream=True, **REQUEST))


def read_by_the_helper(app: OneStream) -> None:
    with app.client.messages.stream(**REQUEST) as stream:
        stream.until_done()


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (read, [*BEGUN, Ending.RESET]),
        (read_by_the_helper, list(wire.whole_message(wire.tool_block(0, "get", '{"city": Rome}')))),
    ],
)
def test_the_exception_has_the_text(
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    read: Callable[[OneStream], None],
    body: Script,
) -> None:
    """Where the API sends none: of a transport, of the SDK's helper."""
    server.scripts.append(body)
    with one_stream(server, tracer_provider, exporter, Config(**OPEN)) as app:
        with suppress(Exception):
            read(app)
        [span] = ended_spans(exporter)

    assert attributes(span)["llm_stream.outcome"] == "error"
    assert attributes(span)[MESSAGE]


def test_the_redaction_fails(
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The text is withheld."""
    monkeypatch.setattr("streamspan.guard.reraises", False)
    with one_stream(server, tracer_provider, exporter, Config(**OPEN, redact=failing)) as app:
        told = app.read([*BEGUN, wire.error("overloaded_error", MARKER)])

    assert told.has(MESSAGE) == {MESSAGE: "[withheld: its redaction failed]"}
    assert MARKER not in told.span.to_json()
