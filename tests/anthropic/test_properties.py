"""What holds for any bytes that a server may send, however they are cut, and whichever way they are read."""

import asyncio
import gc
import os
from collections.abc import Iterable, Iterator
from typing import Any

import anthropic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Script
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import finish_ends, open_streams
from tests.anthropic.paths import BYTES_PATHS, EVENT_PATHS, Path, Seen, plain_error
from tests.stainless.spans import attributes, blame

EXAMPLES = int(os.environ.get("STREAMSPAN_EXAMPLES", "100"))  # `.ci/run` asks for thousands
OUTCOMES = {"complete", "truncated", "error", "aborted"}


def text_delta(text: str) -> dict[str, object]:
    return {"type": "text_delta", "text": text}


def message(parts: list[Iterable[wire.Event]]) -> list[wire.Event]:
    return list(wire.whole_message(*parts))


BLOCKS: list[dict[str, object]] = [{"type": "text", "text": ""}, {"type": "novelty"}]
texts = st.text(max_size=30)
events = st.one_of(
    st.builds(wire.message_start),
    st.builds(wire.ping),
    st.builds(wire.message_stop),
    st.builds(wire.message_delta, st.sampled_from(["end_turn", "max_tokens", "tool_use", None]), st.integers(0, 99)),
    st.builds(wire.error, st.sampled_from(["overloaded_error", "novel_error"]), texts),
    st.builds(wire.block_start, st.integers(0, 2), st.sampled_from(BLOCKS)),
    st.builds(wire.block_delta, st.integers(0, 2), st.builds(text_delta, texts)),
    st.builds(wire.block_stop, st.integers(0, 2)),
    st.builds(
        wire.Event,
        st.sampled_from(["content_block_delta", "content_block_start", "message_start", "message_delta", "novelty"]),
        st.dictionaries(
            st.sampled_from(["type", "index", "delta", "message", "usage", "content_block"]),
            st.one_of(st.none(), st.integers(), texts, st.lists(st.integers()), st.dictionaries(texts, texts)),
        ),
    ),
)
blocks = st.one_of(
    st.builds(wire.text_block, st.just(0), texts),
    st.builds(wire.thinking_block, st.just(1), texts),
    st.builds(wire.tool_block, st.just(2), texts, texts),
    st.builds(wire.tool_block, st.just(3), texts, st.dictionaries(texts, texts)),
)
messages = st.builds(message, st.lists(blocks, max_size=3))


def encoded(value: wire.Event) -> bytes:
    return value.encoded()


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """A body made of a message, or of any events, with a piece cut out or put in, in pieces of any size."""
    chosen = draw(st.one_of(messages, st.lists(events, max_size=8)))
    content = b"".join(event.encoded() for event in chosen)
    at = draw(st.integers(0, len(content)))
    end = draw(st.integers(at, len(content)))
    inserted = draw(st.one_of(st.just(b""), st.binary(max_size=8), st.builds(encoded, events)))
    content = draw(st.sampled_from([content, content[:at], content[:at] + inserted + content[end:]]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(content) - 1)), max_size=6)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True) if content[a:b]]
    return [*pieces, *draw(st.sampled_from([(), (Ending.CUT,)]))]


class Application:
    """Clients that stay connected from one example to the next."""

    def __init__(self, server: MessagesServer) -> None:
        options: dict[str, Any] = {"base_url": server.url, "api_key": "none", "max_retries": 0}
        self.server = server
        self.loop = asyncio.new_event_loop()
        self.client = anthropic.Anthropic(**options, http_client=anthropic.DefaultHttpxClient(verify=False))
        self.async_client = anthropic.AsyncAnthropic(
            **options, http_client=anthropic.DefaultAsyncHttpxClient(verify=False)
        )

    def sees(self, path: Path, script: Script) -> Seen:
        self.server.scripts.append(script)
        seen: Seen = []
        try:
            if path.is_async:
                read: Any = path.read
                self.loop.run_until_complete(read(self.async_client, seen))
            else:
                path.read(self.client, seen)
        except Exception as error:  # noqa: BLE001  # what the application saw
            seen.append(plain_error(error))
        return seen

    def settle(self) -> None:
        """Up to 1.13 a stream that was not read to its end is a cycle, and the event loop closes it a moment later.

        What holds it (the exception, its frames, the generators around it) takes more than one round to go.
        """
        gc.collect(1)
        for _ in range(5):
            if open_streams():
                gc.collect()
                self.loop.run_until_complete(asyncio.sleep(0.01))
        finish_ends()

    def close(self) -> None:
        self.client.close()
        self.loop.run_until_complete(self.async_client.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture
def application(server: MessagesServer) -> Iterator[Application]:
    # What is dropped is collected between the calls only: SDKs on httpx can deadlock in its pool where a stream is
    # collected in the middle of another call, without us too.
    gc.disable()
    application = Application(server)
    yield application
    application.close()
    gc.enable()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=scripts(), path=st.sampled_from([*EVENT_PATHS, *BYTES_PATHS]))
def test_the_application_sees_what_it_sees_without_us(
    application: Application,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    script: Script,
    path: Path,
) -> None:
    """Values, order, types and exceptions are the same, and exactly one span ends, with one outcome or none."""
    bare = application.sees(path, script)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    observed = application.sees(path, script)
    instrumentor.uninstrument()
    application.settle()
    spans = exporter.get_finished_spans()
    exporter.clear()

    assert observed == bare
    assert [attributes(span).get("llm_stream.outcome", None) in {*OUTCOMES, None} for span in spans] == [True]
    assert [blame(span) for span in spans] == [{}]
    assert open_streams() == []
