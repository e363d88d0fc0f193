"""Others beside the reader: a hook of the HTTP client, a middleware that reads first, a copy of the stream."""

import asyncio
import copy
import inspect
import logging
import weakref
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.messages import NAMED_PATHS
from tests.anthropic.paths import REQUEST
from tests.stainless.paths import Path
from tests.stainless.spans import abort_of, attributes, ended_spans, ending_of

pytestmark = pytest.mark.usefixtures("quick_collection")

MESSAGE: Script = list(wire.whole_message(wire.text_block(0, "Some text to begin with.")))


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


def opened(client: Any, server: MessagesServer) -> Any:
    server.scripts.append(MESSAGE)
    return client.messages.create(stream=True, **REQUEST)


# --- hooks of the HTTP client ------------------------------------------------------------------------------------


def write(_: object) -> None:
    span = trace.get_current_span()
    span.set_attribute("app.tenant", "a")
    span.add_event("app.request", {"app.attempt": 1})


async def write_async(request: object) -> None:
    write(request)


@pytest.mark.usefixtures("instrumented", "others_write_on_ours")
def test_a_hook_writes_on_the_current_span(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """What a request hook of the HTTP client writes on the current span is on the span of the stream."""
    http_client = anthropic.DefaultHttpxClient(verify=False, event_hooks={"request": [write]})
    with Anthropic(base_url=server.url, api_key="none", http_client=http_client) as client:
        list(opened(client, server))
    (span,) = ended_spans(exporter)
    (event,) = [event for event in span.events if event.name == "app.request"]

    assert (attributes(span)["app.tenant"], event.attributes) == ("a", {"app.attempt": 1})


@pytest.mark.usefixtures("instrumented", "others_write_on_ours")
def test_an_async_hook_writes_on_the_current_span(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The same for a client in an event loop."""

    async def main() -> None:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False, event_hooks={"request": [write_async]})
        async with AsyncAnthropic(base_url=server.url, api_key="none", http_client=http_client) as client:
            async for _ in await opened(client, server):
                pass

    asyncio.run(main())
    (span,) = ended_spans(exporter)
    (event,) = [event for event in span.events if event.name == "app.request"]

    assert (attributes(span)["app.tenant"], event.attributes) == ("a", {"app.attempt": 1})


def read_whole(response: Any) -> None:
    response.read()


@pytest.fixture
def reading_client(server: MessagesServer) -> Iterator[Anthropic]:
    """One whose HTTP client reads each body before the SDK gets it, as hooks that log it do."""
    http_client = anthropic.DefaultHttpxClient(verify=False, event_hooks={"response": [read_whole]})
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


@pytest.mark.usefixtures("instrumented")
def test_a_hook_reads_the_body(
    reading_client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The stream is what it would have been; its connection was given back before a reader could leave."""
    list(opened(reading_client, server))
    with opened(reading_client, server) as stream:
        for _ in range(3):
            next(stream)
    whole, left = ended_spans(exporter)

    assert attributes(whole)["llm_stream.outcome"] == "complete"
    assert abort_of(left) == ("aborted", "closed", "text")
    assert attributes(left)["llm_stream.abort.connection_closed"] is True


@pytest.mark.usefixtures("instrumented")
def test_a_hook_reads_the_body_and_so_does_the_application(
    reading_client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """Nobody sees that bytes are read a second time, so nobody says that they were not."""
    server.scripts.append(MESSAGE)
    with reading_client.messages.with_streaming_response.create(stream=True, **REQUEST) as response:
        lines = list(response.iter_lines())
    del response
    (span,) = ended_spans(exporter)

    assert "event: message_stop" in lines
    assert ending_of(span) == {
        "llm_stream.outcome": None,
        "error.type": None,
        "llm_stream.phase": None,
        "llm_stream.partial": None,
        "llm_stream.observed": False,
        "status": StatusCode.UNSET,
    }


@pytest.mark.usefixtures("instrumented")
def test_a_double_of_the_response(
    client: Anthropic,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What an application's tests put in place of the response is not kept, nor put on the span for a value."""

    def double_is_kept() -> Any:
        double: Any = MagicMock(status_code=200, is_success=True, is_error=False)
        double.headers.raw = []
        with monkeypatch.context() as patch:
            patch.setattr(client._client, "send", MagicMock(return_value=double))
            client.messages.create(stream=True, **REQUEST)
        return weakref.ref(double)

    kept = double_is_kept()
    (span,) = ended_spans(exporter)

    assert kept() is None
    assert attributes(span)["llm_stream.observed"] is False
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("instrumented")
def test_a_double_that_is_read(
    client: Anthropic, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has headers of no known type, which say nothing of the body: that it was no event stream is not known."""
    double: Any = MagicMock(status_code=200, is_success=True, is_error=False, is_stream_consumed=False)
    del double._content
    double.headers.raw, double.request.headers = [], {}
    double.iter_bytes.return_value = iter([b"<html>"])
    monkeypatch.setattr(client._client, "send", MagicMock(return_value=double))
    seen = list(client.messages.create(stream=True, **REQUEST))

    (span,) = ended_spans(exporter)

    assert seen == []
    assert (attributes(span)["llm_stream.outcome"], attributes(span)["error.type"]) == ("truncated", "stream_truncated")
    assert "http.response.header.content-type" not in attributes(span)


# --- what is kept ------------------------------------------------------------------------------------------------


def kept_events(client: Anthropic, server: MessagesServer) -> list[bool]:
    """Of each event, whether it lives on when the application has let go of it."""
    stream = opened(client, server)
    return [weakref.ref(next(stream))() is not None for _ in range(len(MESSAGE) - 1)]


async def kept_events_async(server: MessagesServer) -> list[bool]:
    http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
    async with AsyncAnthropic(base_url=server.url, api_key="none", http_client=http_client) as client:
        stream = await opened(client, server)
        return [weakref.ref(await stream.__anext__())() is not None for _ in range(len(MESSAGE) - 1)]


def test_events_are_not_kept(
    client: Anthropic, server: MessagesServer, instrumented: AnthropicStreamInstrumentor
) -> None:
    """An event goes when the application lets go of it, as it does without us."""
    observed = kept_events(client, server)
    instrumented.uninstrument()
    bare = kept_events(client, server)

    assert observed == bare == [False] * (len(MESSAGE) - 1)


def test_events_are_not_kept_in_a_task(server: MessagesServer, instrumented: AnthropicStreamInstrumentor) -> None:
    """The same for a stream in an event loop."""
    observed = asyncio.run(kept_events_async(server))
    instrumented.uninstrument()
    bare = asyncio.run(kept_events_async(server))

    assert observed == bare == [False] * (len(MESSAGE) - 1)


# --- a copy of the stream ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_a_copy_reads_along(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A copy of a stream, which takes its events from the same reader, ends nothing when it goes."""
    stream = opened(client, server)
    first = [event.type for event in (next(stream), next(copy.copy(stream)))]
    before = ended_spans(exporter)
    rest = [event.type for event in stream]
    (span,) = ended_spans(exporter)

    assert before == []
    assert [*first, *rest] == [
        event.name for event in MESSAGE if isinstance(event, wire.Event) and event.name != "ping"
    ]
    assert attributes(span)["llm_stream.outcome"] == "complete"


# --- a middleware that reads first -------------------------------------------------------------------------------


def peek(request: Any, call_next: Any) -> Any:
    response = call_next(request)
    next(response.parse())
    return response


async def peek_async(request: Any, call_next: Any) -> Any:
    response = await call_next(request)
    await (await response.parse()).__anext__()
    return response


@pytest.mark.skipif(
    "middleware" not in inspect.signature(Anthropic.__init__).parameters, reason="this SDK has no middleware"
)
@pytest.mark.parametrize(
    ("path", "middleware"),
    [
        (NAMED_PATHS["create_for"], peek),
        (NAMED_PATHS["create_for_async"], peek_async),
    ],
    ids=["sync", "async"],
)
def test_a_middleware_reads_first(
    path: Path,
    middleware: Any,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """The span of a stream whose beginning somebody else has read says that it was not observed."""
    server.scripts.extend([MESSAGE, MESSAGE])
    observed = path.run(server.url, middleware=[middleware])
    (span,) = ended_spans(exporter)
    instrumented.uninstrument()
    bare = path.run(server.url, middleware=[middleware])

    assert observed == bare
    assert attributes(span)["llm_stream.observed"] is False
    assert "llm_stream.outcome" not in attributes(span)
