"""What the application sees when a span processor of its own raises what is no Exception."""

from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import finish_ends, open_streams
from tests.anthropic.paths import REQUEST
from tests.anthropic.readers import MESSAGE

SDK = tuple(int(number) for number in anthropic.__version__.split(".")[:2])
HAS_NATIVE_SPANS = SDK >= (1, 14)

EVENTS = [event.name for event in MESSAGE if isinstance(event, wire.Event) and event.name != "ping"]
"""What a reader gets of it."""


class Exiting(SpanProcessor):
    """Ends the process at the end of a span, as far as it can."""

    def on_end(self, span: ReadableSpan) -> None:
        raise SystemExit(3)


def exiting_provider() -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Exiting())
    return provider


def next_of(stream: Any, seen: list[str]) -> None:
    """Reads on after it was stopped, as one who has not understood."""
    try:
        seen.append(next(stream).type)
    except BaseException as error:  # noqa: BLE001  # what the application saw
        seen.append(repr(error))


def create(client: Anthropic, seen: list[str]) -> None:
    stream = client.messages.create(stream=True, **REQUEST)
    with pytest.raises(SystemExit):
        seen.extend(event.type for event in stream)
    seen.append("SystemExit")
    next_of(stream, seen)


def stream(client: Anthropic, seen: list[str]) -> None:
    with client.messages.stream(**REQUEST) as helper:
        with pytest.raises(SystemExit):
            seen.extend(event.type for event in helper if event.type in EVENTS)
        seen.append("SystemExit")
        next_of(helper, seen)


READERS: list[Callable[[Anthropic, list[str]], None]] = [create, stream]


def seen_by(read: Any, url: str, **options: Any) -> list[str]:
    seen: list[str] = []
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=url, api_key="none", max_retries=0, http_client=http_client, **options) as client:
        read(client, seen)
    return seen


@pytest.mark.parametrize("read", READERS)
def test_a_processor_exits_at_the_last_event(server: MessagesServer, read: Any) -> None:
    """The reader gets `message_stop`, then the SystemExit, and the stream is over and none of the open ones."""
    server.scripts.append(MESSAGE)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=exiting_provider())
    seen = seen_by(read, server.url)
    instrumentor.uninstrument()
    finish_ends()

    assert seen == [*EVENTS, "SystemExit", "StopIteration()"]
    assert len(open_streams()) == 0


@pytest.mark.skipif(not HAS_NATIVE_SPANS, reason="this SDK makes no spans itself")
@pytest.mark.parametrize("read", READERS)
def test_a_processor_exits_at_the_last_event_of_the_sdks_own_span(server: MessagesServer, read: Any) -> None:
    """The same as the reader sees with the SDK's own spans, which is what the test before expects."""
    server.scripts.append(MESSAGE)
    seen = seen_by(read, server.url, open_telemetry={"tracer_provider": exiting_provider()})

    assert seen == [*EVENTS, "SystemExit", "StopIteration()"]
