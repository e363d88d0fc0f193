"""Every way to read, with every way in which the server can end a stream."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Pause, Script, Step
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.paths import BYTES_PATHS, EVENT_PATHS, Path
from tests.stainless.spans import ended_spans, ending_of

pytestmark = pytest.mark.usefixtures("quick_collection")


def message() -> list[Step]:
    """Thinking, text and a tool call: 21 events, of which the first 14 end in the middle of the text."""
    return list(
        wire.whole_message(
            wire.thinking_block(0, "First I think about it."),
            wire.text_block(1, "Then I say what I have to say about it."),
            wire.tool_block(2, "get_weather", {"city": "Zürich"}),
            stop_reason="tool_use",
        )
    )


IN_THE_TEXT: Sequence[Step] = message()[:11]


@dataclass(frozen=True)
class ServerEnding:
    """How the server ends the stream, and what the span says of it: outcome, `error.type`, phase, partial."""

    name: str
    script: Script
    outcome: str
    error_type: str | None = None
    phase: str | None = None
    partial: bool = False
    timeout: float = 30


SERVER_ENDINGS = [
    ServerEnding("complete", message(), "complete"),
    ServerEnding(
        "error event",
        [*IN_THE_TEXT, wire.error("overloaded_error", "Overloaded")],
        "error",
        "overloaded_error",
        "text",
        partial=True,
    ),
    ServerEnding("no message_stop", IN_THE_TEXT, "truncated", "stream_truncated", "text", partial=True),
    ServerEnding(
        "no message_stop after the stop reason", message()[:-1], "truncated", "stream_truncated", "after_stop_reason"
    ),
    ServerEnding("no final chunk", [*IN_THE_TEXT, Ending.CUT], "error", "connection_error", "text", partial=True),
    ServerEnding("reset", [*IN_THE_TEXT, Pause(0.05), Ending.RESET], "error", "connection_error", "text", partial=True),
    ServerEnding(
        "silence", [*IN_THE_TEXT, Pause(inf)], "error", "client_timeout_error", "text", partial=True, timeout=0.2
    ),
    ServerEnding(
        "malformed JSON",
        [*IN_THE_TEXT, b"event: content_block_delta\ndata: {broken\n\n", *message()[12:]],
        "error",
        "client_error",
        "text",
        partial=True,
    ),
    ServerEnding(
        "invalid UTF-8",
        [*IN_THE_TEXT, b"event: content_block_delta\ndata: \xff\xfe\n\n", *message()[12:]],
        "error",
        "client_error",
        "text",
        partial=True,
    ),
    ServerEnding(
        "unknown event",
        [*IN_THE_TEXT, wire.Event("novelty", {"type": "novelty", "x": 1}), *message()[11:]],
        "complete",
    ),
    ServerEnding("empty body", [], "truncated", "stream_truncated", "waiting", partial=True),
    ServerEnding("event after message_stop", [*message(), wire.ping(), *wire.text_block(9, "late")], "complete"),
    ServerEnding("two message_start", [message()[0], *message()], "complete"),
]


@pytest.fixture(params=SERVER_ENDINGS, ids=lambda ending: ending.name)
def ending(request: pytest.FixtureRequest) -> ServerEnding:
    return request.param


@pytest.fixture
def played(ending: ServerEnding) -> Iterator[MessagesServer]:
    """A server that answers two requests in the same way."""
    with MessagesServer([ending.script, ending.script]) as server:
        yield server


@pytest.mark.parametrize("path", EVENT_PATHS, ids=lambda path: path.name)
def test_one_span_tells_how_the_server_ended_the_stream(
    path: Path,
    ending: ServerEnding,
    played: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """Whatever the path, exactly one span ends, with the truth; and the application sees what it sees without us."""
    observed = path.run(played.url, timeout=ending.timeout)
    ended = ended_spans(exporter)
    instrumented.uninstrument()
    bare = path.run(played.url, timeout=ending.timeout)

    assert observed == bare
    assert [ending_of(span) for span in ended] == [
        {
            "llm_stream.outcome": ending.outcome,
            "error.type": ending.error_type,
            "llm_stream.phase": ending.phase,
            "llm_stream.partial": ending.partial,
            "llm_stream.observed": None,
            "status": StatusCode.ERROR if ending.error_type else StatusCode.UNSET,
        }
    ]


@pytest.mark.parametrize("path", BYTES_PATHS, ids=lambda path: path.name)
def test_a_body_read_as_bytes_ends_its_span(
    path: Path,
    ending: ServerEnding,
    played: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """Nothing is known of the events then, but an error of the transport shows."""
    transport_error = ending.error_type in {"connection_error", "client_timeout_error"}
    observed = path.run(played.url, timeout=ending.timeout)
    ended = ended_spans(exporter)
    instrumented.uninstrument()
    bare = path.run(played.url, timeout=ending.timeout)

    assert observed == bare
    assert [ending_of(span) for span in ended] == [
        {
            "llm_stream.outcome": "error" if transport_error else None,
            "error.type": ending.error_type if transport_error else None,
            "llm_stream.phase": "waiting" if transport_error else None,
            "llm_stream.partial": True if transport_error else None,
            "llm_stream.observed": None if transport_error else False,
            "status": StatusCode.ERROR if transport_error else StatusCode.UNSET,
        }
    ]
