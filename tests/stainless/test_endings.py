"""Every way in which a reader leaves a stream."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from math import inf
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.script import Ending, Pause, Wait
from streamspan.cli.demo.server import MessagesServer
from tests.stainless.api import Api
from tests.stainless.apis import apis
from tests.stainless.readers import ReaderError, read_events, read_events_async, read_to_true, read_to_true_async
from tests.stainless.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("instrumented", "quick_collection")


@pytest.fixture(params=[api for api in apis() if api.helper], ids=lambda api: api.name)
def api(request: pytest.FixtureRequest) -> Api:
    return request.param


def one_abort(exporter: InMemorySpanExporter) -> tuple[object, ...]:
    """Outcome, reason and phase of the only span."""
    (span,) = ended_spans(exporter)
    return abort_of(span)


# --- after the stop reason --------------------------------------------------------------------------------------


def test_leaving_after_the_stop_reason_is_complete(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A reader that closes once the stop reason has come, be it before the end, has got everything."""
    with api.opened(client, server) as stream:
        read_events(stream, api.events_to_stop)

    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "complete",
        "llm_stream.partial": False,
        "gen_ai.response.finish_reasons": (api.stop_reason,),
    }.items() <= attributes(span).items()
    assert "llm_stream.abort.reason" not in attributes(span)


# --- close -------------------------------------------------------------------------------------------------------


def test_break_in_a_with_block(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The `with` block closes the stream, and the connection with it."""
    with api.opened(client, server) as stream:
        for event in stream:
            if api.is_text(event):
                break

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "closed", "text")
    assert attributes(span)["llm_stream.abort.connection_closed"] is True


def test_break_in_the_helper(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The same through the SDK's helper."""
    with api.helped(client, server) as stream:
        for event in stream:
            if api.is_text(event):
                break

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "closed", "text")
    assert attributes(span)["llm_stream.abort.connection_closed"] is True


def test_close_before_reading(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Closed unread is closed, not lost."""
    api.opened(client, server).close()

    assert one_abort(exporter) == ("aborted", "closed", "waiting")


def test_close_twice(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The second close changes nothing."""
    stream = api.opened(client, server)
    api.read_to_text(stream)
    stream.close()
    stream.close()

    assert one_abort(exporter) == ("aborted", "closed", "text")


def test_close_after_the_end(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The first end counts."""
    stream = api.opened(client, server)
    read_events(stream, api.events)
    stream.close()

    assert one_abort(exporter) == ("complete", None, None)


def close_stream(stream: Any) -> None:
    stream.close()


def close_response(stream: Any) -> None:
    stream.response.close()


@pytest.mark.parametrize("close", [close_stream, close_response])
def test_close_from_another_thread(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, close: Any
) -> None:
    """What the waiting reader meets then is a part of the abort, not an error of the connection."""
    is_closed = threading.Event()
    stream = api.opened(client, server, [*api.hangs[:-1], Wait(is_closed), Ending.CUT])
    api.read_to_text(stream)

    def close_it() -> None:
        close(stream)
        is_closed.set()

    closer = threading.Timer(0.1, close_it)
    closer.start()
    with suppress(Exception):
        list(stream)
    closer.join()

    assert one_abort(exporter) == ("aborted", "closed", "text")


def test_the_response_is_closed_under_the_stream(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A reader that closes `stream.response` has left, too."""
    stream = api.opened(client, server)
    api.read_to_text(stream)
    stream.response.close()

    assert one_abort(exporter) == ("aborted", "closed", "text")


def test_close_of_a_raw_response(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Leaving the `with` block of a raw response in the middle of its stream is an abort."""
    server.scripts.append(api.text)
    with api.resource(client).with_streaming_response.create(stream=True, **api.request) as response:
        api.read_to_text(response.parse())

    assert one_abort(exporter) == ("aborted", "closed", "text")


def test_a_raw_response_is_left_unread(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The `with` block of a raw response that nobody read closes it."""
    server.scripts.append(api.text)
    with api.resource(client).with_streaming_response.create(stream=True, **api.request):
        pass

    assert one_abort(exporter) == ("aborted", "closed", "waiting")


# --- the reader's exception --------------------------------------------------------------------------------------


def test_exception_in_a_with_block(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """An exception of the reader's own is why it left."""
    with pytest.raises(ReaderError), api.opened(client, server) as stream:
        api.read_to_text(stream)
        raise ReaderError

    assert one_abort(exporter) == ("aborted", "consumer_error", "text")


def test_exception_and_finally(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """`finally: stream.close()` is the same as a `with` block."""
    stream = api.opened(client, server)
    with pytest.raises(ReaderError):
        try:
            api.read_to_text(stream)
            raise ReaderError
        finally:
            stream.close()

    assert one_abort(exporter) == ("aborted", "consumer_error", "text")


def test_an_older_exception_is_not_the_reason(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A call made while an exception is being handled, and closed then, was just closed."""
    try:
        raise ReaderError
    except ReaderError:
        with api.opened(client, server) as stream:
            api.read_to_text(stream)

    assert one_abort(exporter) == ("aborted", "closed", "text")


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_cancellation_in_a_with_block(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, exception: type[BaseException]
) -> None:
    """What is no Exception is a cancellation."""
    with pytest.raises(exception), api.opened(client, server) as stream:
        api.read_to_text(stream)
        raise exception

    assert one_abort(exporter) == ("aborted", "cancelled", "text")


def test_a_generator_that_reads_is_closed(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A web framework closes the generator that reads the stream when the browser has left."""

    def response() -> Generator[bool, None, None]:
        with api.opened(client, server) as stream:
            for event in stream:
                yield api.is_text(event)

    body = response()
    read_to_true(body)
    body.close()

    assert one_abort(exporter) == ("aborted", "dropped", "text")


# --- dropped -----------------------------------------------------------------------------------------------------


def test_never_read(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A stream that nobody reads ends when its last reference goes."""
    stream = api.opened(client, server)
    before = ended_spans(exporter)
    del stream

    assert before == []
    assert one_abort(exporter) == ("aborted", "never_read", "waiting")


def test_a_raw_response_is_never_parsed(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The same for a raw response."""
    server.scripts.append(api.text)
    response = api.resource(client).with_raw_response.create(stream=True, **api.request)
    del response

    assert one_abort(exporter) == ("aborted", "never_read", "waiting")


def test_dropped_in_the_middle(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The span ends at the last thing that happened, not when the garbage was collected."""
    stream = api.opened(client, server)
    api.read_to_text(stream)
    threading.Event().wait(0.2)
    del stream

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "dropped", "text")
    assert span.end_time == span.events[-1].timestamp == span.events[0].timestamp


def test_dropped_in_a_cycle(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A stream in a reference cycle ends when the collector finds it, and not before."""
    holder: dict[str, Any] = {"stream": api.opened(client, server)}
    holder["self"] = holder
    api.read_to_text(holder["stream"])
    gc.disable()
    del holder
    before = exporter.get_finished_spans()
    gc.enable()

    assert before == ()
    assert one_abort(exporter) == ("aborted", "dropped", "text")


def test_break_and_drop(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A bare `break` shows when the stream goes out of scope."""

    def reader() -> None:
        for event in api.opened(client, server):
            if api.is_text(event):
                break

    reader()

    assert one_abort(exporter) == ("aborted", "dropped", "text")


# --- before the stream -------------------------------------------------------------------------------------------


def test_an_http_error(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A call that is refused is an error of its own phase, with the API's word and status."""
    server.scripts.append(api.sdk.refused[0])
    with pytest.raises(api.sdk.module.BadRequestError):
        api.create(client)

    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "error",
        "llm_stream.phase": "opening",
        "error.type": api.sdk.refused[1],
        "http.response.status_code": 400,
    }.items() <= attributes(span).items()


def test_retries_and_success(api: Api, server: MessagesServer, client: Any, exporter: InMemorySpanExporter) -> None:
    """The SDK's retries are part of the one span."""
    server.scripts.extend([api.sdk.busy[0], api.sdk.busy[0], api.text])
    list(api.create(client.with_options(max_retries=2)))

    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "complete",
        "http.request.resend_count": 2,
        "http.response.status_code": 200,
    }.items() <= attributes(span).items()


def test_retries_and_failure(api: Api, server: MessagesServer, client: Any, exporter: InMemorySpanExporter) -> None:
    """The last error counts."""
    server.scripts.extend([api.sdk.busy[0], api.sdk.busy[0]])
    with pytest.raises(api.sdk.module.APIStatusError):
        api.create(client.with_options(max_retries=1))

    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "error",
        "error.type": api.sdk.busy[2],
        "http.request.resend_count": 1,
        "http.response.status_code": api.sdk.busy[1],
    }.items() <= attributes(span).items()


def test_connection_refused(api: Api, server: MessagesServer, client: Any, exporter: InMemorySpanExporter) -> None:
    """A connection that cannot be made is an error in the SDK's word, without a status."""
    with pytest.raises(api.sdk.module.APIConnectionError):
        api.create(client.with_options(base_url="http://127.0.0.1:9"))

    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "error",
        "llm_stream.phase": "opening",
        "error.type": "connection_error",
        "server.port": 9,
    }.items() <= attributes(span).items()
    assert "http.response.status_code" not in attributes(span)


def test_timeout_before_the_headers(
    api: Api, server: MessagesServer, client: Any, exporter: InMemorySpanExporter
) -> None:
    """A server that does not answer is a timeout in the SDK's word."""
    server.scripts.append([Pause(inf)])
    with pytest.raises(api.sdk.module.APITimeoutError):
        api.create(client.with_options(timeout=0.2))

    (span,) = ended_spans(exporter)

    assert (*abort_of(span), attributes(span)["error.type"]) == ("error", None, "opening", "client_timeout_error")


# --- tasks -------------------------------------------------------------------------------------------------------


async def read_with(api: Api, client: Any, server: MessagesServer, reading: asyncio.Event) -> None:
    """Reads in an `async with` block; sets `reading` at the first delta."""
    async with await api.opened(client, server, api.hangs) as stream:
        async for event in stream:
            if api.is_text(event):
                reading.set()


async def read_bare(api: Api, client: Any, server: MessagesServer, reading: asyncio.Event) -> None:
    """The same without the block."""
    async for event in await api.opened(client, server, api.hangs):
        if api.is_text(event):
            reading.set()


async def read_helper(api: Api, client: Any, server: MessagesServer, reading: asyncio.Event) -> None:
    """The same through the helper."""
    async with api.helped(client, server, api.hangs) as stream:
        async for event in stream:
            if api.is_text(event):
                reading.set()


@pytest.mark.parametrize("read", [read_with, read_bare, read_helper])
def test_cancelled_while_it_waits(api: Api, server: MessagesServer, exporter: InMemorySpanExporter, read: Any) -> None:
    """A task that is cancelled in the middle of a read is an abort, not an error."""

    async def main(client: Any) -> None:
        reading = asyncio.Event()
        task = asyncio.create_task(read(api, client, server, reading))
        await reading.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(main(api.sdk.unclosed_async(server.url)))

    assert one_abort(exporter) == ("aborted", "cancelled", "text")


def test_cancelled_while_it_works(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A task that is cancelled between two reads closes its stream because of that."""

    async def read(client: Any, working: asyncio.Event) -> None:
        async with await api.opened(client, server) as stream:
            await api.read_to_text_async(stream)
            working.set()
            await asyncio.sleep(60)

    async def main(client: Any) -> None:
        working = asyncio.Event()
        task = asyncio.create_task(read(client, working))
        await working.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(main(api.sdk.unclosed_async(server.url)))

    assert one_abort(exporter) == ("aborted", "cancelled", "text")


def test_cancelled_before_the_headers(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A call that is cancelled before it has an answer is an abort in the opening."""

    async def main(client: Any) -> None:
        server.scripts.append([Pause(inf)])
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(api.create(client), 0.2)

    asyncio.run(main(api.sdk.unclosed_async(server.url)))

    assert one_abort(exporter) == ("aborted", "cancelled", "opening")


@pytest.mark.parametrize("read", [read_with, read_bare, read_helper])
def test_wait_for(api: Api, server: MessagesServer, exporter: InMemorySpanExporter, read: Any) -> None:
    """The application's own timeout is a cancellation."""

    async def main(client: Any) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(read(api, client, server, asyncio.Event()), 0.3)

    asyncio.run(main(api.sdk.unclosed_async(server.url)))

    assert one_abort(exporter) == ("aborted", "cancelled", "text")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_timeout(api: Api, server: MessagesServer, exporter: InMemorySpanExporter, backend: str) -> None:
    """The same with anyio's, on either of its backends."""

    async def main(client: Any) -> None:
        with anyio.move_on_after(0.3):
            async with await api.opened(client, server, api.hangs) as stream:
                await read_events_async(stream, 1000)

    anyio.run(main, api.sdk.unclosed_async(server.url), backend=backend)

    assert one_abort(exporter) == ("aborted", "cancelled", "text")


def test_close_from_another_task(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The reader that waits meets a closed connection; that is part of the abort."""

    async def main(client: Any) -> None:
        stream = await api.opened(client, server, api.hangs)
        await api.read_to_text_async(stream)
        reader = asyncio.create_task(read_events_async(stream, 1000))
        await asyncio.sleep(0.05)
        await stream.close()
        reader.cancel()
        with suppress(BaseException):
            await reader

    asyncio.run(main(api.sdk.unclosed_async(server.url)))

    assert one_abort(exporter) == ("aborted", "closed", "text")


def test_exception_in_an_async_with_block(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The reader's own exception is seen across the `await` of the close."""

    async def main(client: Any) -> None:
        async with await api.opened(client, server) as stream:
            await api.read_to_text_async(stream)
            raise ReaderError

    with pytest.raises(ReaderError):
        asyncio.run(main(api.sdk.unclosed_async(server.url)))

    assert one_abort(exporter) == ("aborted", "consumer_error", "text")


def test_an_async_generator_that_reads_is_closed(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """An ASGI framework closes the generator that reads the stream when the browser has left."""

    async def response(client: Any) -> AsyncIterator[bool]:
        async with await api.opened(client, server) as stream:
            async for event in stream:
                yield api.is_text(event)

    async def main(client: Any) -> None:
        body: Any = response(client)
        await read_to_true_async(body)
        await body.aclose()

    asyncio.run(main(api.sdk.unclosed_async(server.url)))

    assert one_abort(exporter) == ("aborted", "dropped", "text")


def test_dropped_in_a_task(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The event loop closes the generator of a dropped stream a moment later; the span tells of the last activity."""

    async def main(client: Any) -> None:
        stream = await api.opened(client, server)
        await api.read_to_text_async(stream)
        del stream
        gc.collect()
        await asyncio.sleep(0.1)

    asyncio.run(main(api.sdk.unclosed_async(server.url)))

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "dropped", "text")
    assert span.end_time == span.events[0].timestamp


def test_never_read_in_a_task(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The same for a stream that was never read."""

    async def main(client: Any) -> None:
        await api.opened(client, server)
        await client.close()  # its connection would be left to the next test

    asyncio.run(main(api.sdk.unclosed_async(server.url)))

    assert one_abort(exporter) == ("aborted", "never_read", "waiting")


def test_the_loop_is_closed_with_a_stream_open(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A stream that outlives its event loop ends when it is dropped."""

    async def main(client: Any) -> Any:
        stream = await api.opened(client, server)
        await api.read_to_text_async(stream)
        return stream

    loop = asyncio.new_event_loop()
    stream = loop.run_until_complete(main(api.sdk.unclosed_async(server.url)))
    loop.close()
    del stream
    with pytest.warns(ResourceWarning):
        spans = ended_spans(exporter)

    assert [abort_of(span) for span in spans] == [("aborted", "dropped", "text")]
