"""Others beside the reader: a hook of the HTTP client, a double of the response, a copy of the stream."""

import asyncio
import copy
import logging
import weakref
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from streamspan.cli.demo.server import MessagesServer
from tests.stainless.api import Api, body_of
from tests.stainless.paths import plain
from tests.stainless.spans import abort_of, attributes, ended_spans, ending_of

pytestmark = pytest.mark.usefixtures("quick_collection")


# --- hooks of the HTTP client ------------------------------------------------------------------------------------


def write(_: object) -> None:
    span = trace.get_current_span()
    span.set_attribute("app.tenant", "a")
    span.add_event("app.request", {"app.attempt": 1})


async def write_async(request: object) -> None:
    write(request)


@pytest.mark.usefixtures("instrumented", "others_write_on_ours")
def test_a_hook_writes_on_the_current_span(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """What a request hook of the HTTP client writes on the current span is on the span of the stream."""
    http_client = api.sdk.module.DefaultHttpxClient(verify=False, event_hooks={"request": [write]})
    with api.sdk.client(base_url=server.url, api_key="none", http_client=http_client) as client:
        list(api.opened(client, server))
    (span,) = ended_spans(exporter)
    (event,) = [event for event in span.events if event.name == "app.request"]

    assert (attributes(span)["app.tenant"], event.attributes) == ("a", {"app.attempt": 1})


@pytest.mark.usefixtures("instrumented", "others_write_on_ours")
def test_an_async_hook_writes_on_the_current_span(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The same for a client in an event loop."""

    async def main() -> None:
        http_client = api.sdk.module.DefaultAsyncHttpxClient(verify=False, event_hooks={"request": [write_async]})
        async with api.sdk.async_client(base_url=server.url, api_key="none", http_client=http_client) as client:
            async for _ in await api.opened(client, server):
                pass

    asyncio.run(main())
    (span,) = ended_spans(exporter)
    (event,) = [event for event in span.events if event.name == "app.request"]

    assert (attributes(span)["app.tenant"], event.attributes) == ("a", {"app.attempt": 1})


def read_whole(response: Any) -> None:
    response.read()


@pytest.fixture
def reading_client(api: Api, server: MessagesServer) -> Iterator[Any]:
    """One whose HTTP client reads each body before the SDK gets it, as hooks that log it do."""
    http_client = api.sdk.module.DefaultHttpxClient(verify=False, event_hooks={"response": [read_whole]})
    with api.sdk.client(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


@pytest.mark.usefixtures("instrumented")
def test_a_hook_reads_the_body(
    api: Api, reading_client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The stream is what it would have been; its connection was given back before a reader could leave."""
    list(api.opened(reading_client, server))
    with api.opened(reading_client, server) as stream:
        api.read_to_text(stream)
    whole, left = ended_spans(exporter)

    assert attributes(whole)["llm_stream.outcome"] == "complete"
    assert abort_of(left) == ("aborted", "closed", "text")
    assert attributes(left)["llm_stream.abort.connection_closed"] is True


@pytest.mark.usefixtures("instrumented")
def test_a_hook_reads_the_body_and_so_does_the_application(
    api: Api, reading_client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """Nobody sees that bytes are read a second time, so nobody says that they were not."""
    server.scripts.append(api.text)
    with api.resource(reading_client).with_streaming_response.create(stream=True, **api.request) as response:
        body = b"".join(response.iter_bytes())
    del response
    (span,) = ended_spans(exporter)

    assert body == body_of(api.text)
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
    api: Api,
    client: Any,
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
            api.create(client)
        return weakref.ref(double)

    kept = double_is_kept()
    (span,) = ended_spans(exporter)

    assert kept() is None
    assert attributes(span)["llm_stream.observed"] is False
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("instrumented")
def test_a_double_that_is_read(
    api: Api, client: Any, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has headers of no known type, which say nothing of the body: that it was no event stream is not known."""
    double: Any = MagicMock(status_code=200, is_success=True, is_error=False, is_stream_consumed=False)
    del double._content
    double.headers.raw, double.request.headers = [], {}
    double.iter_bytes.return_value = iter([b"<html>"])
    monkeypatch.setattr(client._client, "send", MagicMock(return_value=double))
    seen = list(api.create(client))

    (span,) = ended_spans(exporter)

    assert seen == []
    assert (attributes(span)["llm_stream.outcome"], attributes(span)["error.type"]) == ("truncated", "stream_truncated")
    assert "http.response.header.content-type" not in attributes(span)


# --- what is kept ------------------------------------------------------------------------------------------------


def kept_events(api: Api, client: Any, server: MessagesServer) -> list[bool]:
    """Of each event, whether it lives on when the application has let go of it."""
    with api.opened(client, server) as stream:
        return [weakref.ref(next(stream))() is not None for _ in range(api.events)]


async def kept_events_async(api: Api, server: MessagesServer) -> list[bool]:
    async with api.sdk.opened_async(server.url) as client:
        stream = await api.opened(client, server)
        return [weakref.ref(await stream.__anext__())() is not None for _ in range(api.events)]


def test_events_are_not_kept(api: Api, client: Any, server: MessagesServer, instrumented: BaseInstrumentor) -> None:
    """An event goes when the application lets go of it, as it does without us."""
    observed = kept_events(api, client, server)
    instrumented.uninstrument()
    bare = kept_events(api, client, server)

    assert observed == bare == [False] * api.events


def test_events_are_not_kept_in_a_task(api: Api, server: MessagesServer, instrumented: BaseInstrumentor) -> None:
    """The same for a stream in an event loop."""
    observed = asyncio.run(kept_events_async(api, server))
    instrumented.uninstrument()
    bare = asyncio.run(kept_events_async(api, server))

    assert observed == bare == [False] * api.events


# --- a copy of the stream ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_a_copy_reads_along(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A copy of a stream, which takes its events from the same reader, ends nothing when it goes."""
    with suppress_instrumentation():
        bare = list(api.opened(client, server))
    exporter.clear()
    stream = api.opened(client, server)
    first = [next(stream), next(copy.copy(stream))]
    before = ended_spans(exporter)
    rest = list(stream)
    (span,) = ended_spans(exporter)

    assert before == []
    assert list(map(plain, [*first, *rest])) == list(map(plain, bare))
    assert attributes(span)["llm_stream.outcome"] == "complete"
