"""The legacy completions API, which the SDK has up to 0.x: one text, no blocks, no `message_stop`."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from anthropic import Anthropic
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Pause, Step
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import open_streams
from tests.anthropic.messages import path_of
from tests.stainless.api import Seen
from tests.stainless.paths import Path, plain
from tests.stainless.spans import abort_of, attributes, ended_spans, ending_of

pytestmark = [
    pytest.mark.usefixtures("quick_collection"),
    pytest.mark.skipif(not hasattr(Anthropic, "completions"), reason="this SDK has no completions"),
]

REQUEST: dict[str, Any] = {
    "model": "claude-2.1",
    "max_tokens_to_sample": 100,
    "prompt": "\n\nHuman: Hello\n\nAssistant:",
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "stream": True,
}


def completion(text: str, stop_reason: str | None = None) -> wire.Event:
    data = {
        "id": "compl_1",
        "type": "completion",
        "completion": text,
        "stop_reason": stop_reason,
        "model": "claude-2.1",
    }
    return wire.Event("completion", data)


CUT: list[Step] = [completion(" Hello"), wire.ping(), completion(" Zürich"), completion("!")]
WHOLE = [*CUT, completion("", "stop_sequence")]


def read(client: Any, seen: Seen) -> None:
    for event in client.completions.create(**REQUEST):
        seen.append(plain(event))


async def read_async(client: Any, seen: Seen) -> None:
    async for event in await client.completions.create(**REQUEST):
        seen.append(plain(event))


def leave(client: Any, seen: Seen) -> None:
    with client.completions.create(**REQUEST) as stream:
        for event in stream:
            seen.append(plain(event))
            break


async def leave_async(client: Any, seen: Seen) -> None:
    async with await client.completions.create(**REQUEST) as stream:
        async for event in stream:
            seen.append(plain(event))
            break


def leave_at_the_stop_reason(client: Any, seen: Seen) -> None:
    with client.completions.create(**REQUEST) as stream:
        for event in stream:
            seen.append(plain(event))
            if event.stop_reason:
                break


READS = [path_of("sync", read), path_of("async", read_async)]
LEAVES = [path_of("sync", leave), path_of("async", leave_async)]


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    yield
    assert not open_streams()


def one_span(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = ended_spans(exporter)
    return span


def facts(span: ReadableSpan, names: Mapping[str, object]) -> Mapping[str, object]:
    return {name: attributes(span).get(name) for name in names}


@pytest.mark.parametrize("path", READS, ids=lambda path: path.name)
def test_complete_at_its_stop_reason(
    path: Path,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """The stop reason is the end: one span, with what was asked for and what came; the values are the SDK's."""
    server.scripts.extend([WHOLE, WHOLE])
    observed = path.run(server.url)
    span = one_span(exporter)
    instrumented.uninstrument()
    expected = {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-2.1",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.id": "compl_1",
        "gen_ai.response.model": "claude-2.1",
        "gen_ai.response.finish_reasons": ("stop_sequence",),
        "gen_ai.usage.input_tokens": None,
        "gen_ai.usage.output_tokens": None,
        "anthropic.message.stop_reason": "stop_sequence",
        "llm_stream.stop_reason": "stop_sequence",
        "http.route": "/v1/complete",
        "llm_stream.outcome": "complete",
        "llm_stream.partial": False,
        "llm_stream.text.chars": 14,
        "llm_stream.content_block.count": 1,
    }

    assert observed == path.run(server.url)
    assert span.name == "text_completion claude-2.1"
    assert span.status.status_code is StatusCode.UNSET
    assert facts(span, expected) == expected


@pytest.mark.parametrize("path", READS, ids=lambda path: path.name)
def test_truncated_without_a_stop_reason(
    path: Path,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """A body that ends with no stop reason was cut."""
    server.scripts.append(CUT)
    path.run(server.url)

    assert ending_of(one_span(exporter)) == {
        "llm_stream.outcome": "truncated",
        "error.type": "stream_truncated",
        "llm_stream.phase": "text",
        "llm_stream.partial": True,
        "llm_stream.observed": None,
        "status": StatusCode.ERROR,
    }


@pytest.mark.parametrize("path", READS, ids=lambda path: path.name)
def test_an_error_event(
    path: Path,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """An error in the middle is one here as well."""
    server.scripts.append([*CUT, wire.error("overloaded_error", "Overloaded")])
    path.run(server.url)

    assert ending_of(one_span(exporter)) == {
        "llm_stream.outcome": "error",
        "error.type": "overloaded_error",
        "llm_stream.phase": "text",
        "llm_stream.partial": True,
        "llm_stream.observed": None,
        "status": StatusCode.ERROR,
    }


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: path.name)
def test_a_reader_leaves_in_the_middle(
    path: Path,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """An abort, with the text that had come."""
    server.scripts.append(WHOLE)
    path.run(server.url)
    span = one_span(exporter)

    assert abort_of(span) == ("aborted", "closed", "text")
    assert attributes(span)["llm_stream.text.chars"] == 6


def test_leaving_at_the_stop_reason_is_complete(
    server: MessagesServer, exporter: InMemorySpanExporter, instrumented: AnthropicStreamInstrumentor
) -> None:
    """A reader that stops at the stop reason has got everything."""
    server.scripts.append(WHOLE)
    path_of("stop reason", leave_at_the_stop_reason).run(server.url)

    assert abort_of(one_span(exporter)) == ("complete", None, None)


def test_the_silence_in_a_completion_is_one_gap(
    server: MessagesServer, instrumented: AnthropicStreamInstrumentor, exporter: InMemorySpanExporter
) -> None:
    """Each event is a chunk, whose wait counts once."""
    server.scripts.append([completion(" Hello"), Pause(0.3), completion("!"), completion("", "stop_sequence")])
    path_of("completion", read).run(server.url)

    [span] = ended_spans(exporter)
    provider_time: Any = attributes(span)["llm_stream.provider.time"]
    longest: Any = attributes(span)["llm_stream.chunk.gap.max"]

    assert 0.25 <= longest <= provider_time < 1.5 * longest
