"""Every way in which a reader leaves a stream."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

import anthropic
import anyio
import pytest
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Pause, Step, error_response, overloaded
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.paths import REQUEST
from tests.stainless.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("instrumented", "quick_collection")

MESSAGE: list[Step] = list(
    wire.whole_message(
        wire.text_block(0, "Some text to begin with."),
        wire.tool_block(1, "send_email", {"to": "a@b.c"}),
        wire.text_block(2, "And some more text after it."),
    )
)
HANGS_IN_THE_TEXT = [*MESSAGE[:4], Pause(inf)]
MIDDLE_OF_TEXT = 3  # events up to the first text delta
AFTER_THE_TOOL_CALL = 11  # events up to the stop of the tool call


class ReaderError(Exception):
    """Raised by a reader's own code."""


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


@contextmanager
def async_client(server: MessagesServer) -> Generator[AsyncAnthropic]:
    """Not closed: tests end their loops with streams open."""
    http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
    yield AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client)


def opened(client: Any, server: MessagesServer, script: list[Step] | None = None) -> Any:
    server.scripts.append(MESSAGE if script is None else script)
    return client.messages.create(stream=True, **REQUEST)


def read_events(stream: Any, count: int) -> None:
    for _ in range(count):
        next(stream)


async def read_events_async(stream: Any, count: int) -> None:
    for _ in range(count):
        await stream.__anext__()


def one_abort(exporter: InMemorySpanExporter) -> tuple[object, ...]:
    """Outcome, reason and phase of the only span."""
    (span,) = ended_spans(exporter)
    return abort_of(span)


# --- after the stop reason --------------------------------------------------------------------------------------


def test_leaving_after_the_stop_reason_is_complete(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A reader that closes before `message_stop` has got everything."""
    with opened(client, server) as stream:
        read_events(stream, len(MESSAGE) - 2)

    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "complete",
        "llm_stream.partial": False,
        "gen_ai.response.finish_reasons": ("end_turn",),
    }.items() <= attributes(span).items()
    assert "llm_stream.abort.reason" not in attributes(span)


# --- close -------------------------------------------------------------------------------------------------------


def test_break_in_a_with_block(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The `with` block closes the stream, and the connection with it."""
    with opened(client, server) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "closed", "text")
    assert attributes(span)["llm_stream.abort.connection_closed"] is True


def test_break_in_the_helper(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The same through `messages.stream()`; the tool call that was completed before is counted."""
    server.scripts.append(MESSAGE)
    with client.messages.stream(**REQUEST) as stream:
        for event in stream:
            if event.type == "content_block_stop" and event.index == 1:
                break

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "closed", "between_blocks")
    assert attributes(span)["llm_stream.abort.tool_calls_completed"] == 1


def test_close_before_reading(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Closed unread is closed, not lost."""
    opened(client, server).close()

    assert one_abort(exporter) == ("aborted", "closed", "waiting")


def test_close_twice(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The second close changes nothing."""
    stream = opened(client, server)
    read_events(stream, MIDDLE_OF_TEXT)
    stream.close()
    stream.close()

    assert one_abort(exporter) == ("aborted", "closed", "text")


def test_close_after_the_end(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The first end counts."""
    stream = opened(client, server)
    read_events(stream, len(MESSAGE) - 1)
    stream.close()

    assert one_abort(exporter) == ("complete", None, None)


def close_stream(stream: Any) -> None:
    stream.close()


def close_response(stream: Any) -> None:
    stream.response.close()


@pytest.mark.parametrize("close", [close_stream, close_response])
def test_close_from_another_thread(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, close: Any
) -> None:
    """What the waiting reader meets then is a part of the abort, not an error of the connection."""
    stream = opened(client, server, [*MESSAGE[:4], Pause(0.3), Ending.CUT])
    read_events(stream, MIDDLE_OF_TEXT)
    closer = threading.Timer(0.1, close, (stream,))
    closer.start()
    with suppress(Exception):
        list(stream)
    closer.join()

    assert one_abort(exporter) == ("aborted", "closed", "text")


def test_the_response_is_closed_under_the_stream(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A reader that closes `stream.response` has left, too."""
    stream = opened(client, server)
    read_events(stream, MIDDLE_OF_TEXT)
    stream.response.close()

    assert one_abort(exporter) == ("aborted", "closed", "text")


def test_close_of_a_raw_response(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Leaving the `with` block of a raw response in the middle of its stream is an abort."""
    server.scripts.append(MESSAGE)
    with client.messages.with_streaming_response.create(stream=True, **REQUEST) as response:
        read_events(response.parse(), MIDDLE_OF_TEXT)

    assert one_abort(exporter) == ("aborted", "closed", "text")


def test_a_raw_response_is_left_unread(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The `with` block of a raw response that nobody read closes it."""
    server.scripts.append(MESSAGE)
    with client.messages.with_streaming_response.create(stream=True, **REQUEST):
        pass

    assert one_abort(exporter) == ("aborted", "closed", "waiting")


# --- the reader's exception --------------------------------------------------------------------------------------


def test_exception_in_a_with_block(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """An exception of the reader's own is why it left."""
    with pytest.raises(ReaderError), opened(client, server) as stream:
        read_events(stream, MIDDLE_OF_TEXT)
        raise ReaderError

    assert one_abort(exporter) == ("aborted", "consumer_error", "text")


def test_exception_and_finally(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """`finally: stream.close()` is the same as a `with` block."""
    stream = opened(client, server)
    with pytest.raises(ReaderError):
        try:
            read_events(stream, MIDDLE_OF_TEXT)
            raise ReaderError
        finally:
            stream.close()

    assert one_abort(exporter) == ("aborted", "consumer_error", "text")


def test_an_older_exception_is_not_the_reason(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A call made while an exception is being handled, and closed then, was just closed."""
    try:
        raise ReaderError
    except ReaderError:
        with opened(client, server) as stream:
            read_events(stream, MIDDLE_OF_TEXT)

    assert one_abort(exporter) == ("aborted", "closed", "text")


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_cancellation_in_a_with_block(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, exception: type[BaseException]
) -> None:
    """What is no Exception is a cancellation."""
    with pytest.raises(exception), opened(client, server) as stream:
        read_events(stream, MIDDLE_OF_TEXT)
        raise exception

    assert one_abort(exporter) == ("aborted", "cancelled", "text")


def test_a_generator_that_reads_is_closed(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A web framework closes the generator that reads the stream when the browser has left."""

    def response() -> Generator[str, None, None]:
        with opened(client, server) as stream:
            for event in stream:
                yield event.type

    body = response()
    read_events(body, MIDDLE_OF_TEXT)
    body.close()

    assert one_abort(exporter) == ("aborted", "dropped", "text")


def test_the_helper_cannot_read_a_tool_input(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The SDK's helper raises for some broken tool inputs, which is an error of the data and not of the reader."""
    server.scripts.append(list(wire.whole_message(wire.tool_block(0, "get_weather", '{"city": Rome}'))))
    with pytest.raises(ValueError, match=r"JSON|expected value"), client.messages.stream(**REQUEST) as stream:
        stream.until_done()

    assert one_abort(exporter) == ("error", None, "tool_input")


# --- dropped -----------------------------------------------------------------------------------------------------


def test_never_read(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A stream that nobody reads ends when its last reference goes."""
    stream = opened(client, server)
    before = ended_spans(exporter)
    del stream

    assert before == []
    assert one_abort(exporter) == ("aborted", "never_read", "waiting")


def test_a_raw_response_is_never_parsed(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The same for a raw response."""
    server.scripts.append(MESSAGE)
    response = client.messages.with_raw_response.create(stream=True, **REQUEST)
    del response

    assert one_abort(exporter) == ("aborted", "never_read", "waiting")


def test_dropped_in_the_middle(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The span ends at the last thing that happened, not when the garbage was collected."""
    stream = opened(client, server)
    read_events(stream, MIDDLE_OF_TEXT)
    threading.Event().wait(0.2)
    del stream

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "dropped", "text")
    assert span.end_time == span.events[-1].timestamp == span.events[0].timestamp


def test_dropped_in_a_cycle(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A stream in a reference cycle ends when the collector finds it, and not before."""
    holder: dict[str, Any] = {"stream": opened(client, server)}
    holder["self"] = holder
    read_events(holder["stream"], MIDDLE_OF_TEXT)
    gc.disable()
    del holder
    before = exporter.get_finished_spans()
    gc.enable()

    assert before == ()
    assert one_abort(exporter) == ("aborted", "dropped", "text")


def test_break_and_drop(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A bare `break` shows when the stream goes out of scope."""

    def reader() -> None:
        for event in opened(client, server):
            if event.type == "content_block_delta":
                break

    reader()

    assert one_abort(exporter) == ("aborted", "dropped", "text")


# --- before the stream -------------------------------------------------------------------------------------------


def test_an_http_error(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A call that is refused is an error of its own phase, with the API's word and status."""
    server.scripts.append(error_response(400, "invalid_request_error", "no"))
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(stream=True, **REQUEST)

    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "error",
        "llm_stream.phase": "opening",
        "error.type": "invalid_request_error",
        "http.response.status_code": 400,
    }.items() <= attributes(span).items()


def test_retries_and_success(server: MessagesServer, client: Anthropic, exporter: InMemorySpanExporter) -> None:
    """The SDK's retries are part of the one span."""
    server.scripts.extend([overloaded(), overloaded(), MESSAGE])
    list(client.with_options(max_retries=2).messages.create(stream=True, **REQUEST))

    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "complete",
        "http.request.resend_count": 2,
        "http.response.status_code": 200,
    }.items() <= attributes(span).items()


def test_retries_and_failure(server: MessagesServer, client: Anthropic, exporter: InMemorySpanExporter) -> None:
    """The last error counts."""
    server.scripts.extend([overloaded(), overloaded()])
    with pytest.raises(anthropic.APIStatusError):
        client.with_options(max_retries=1).messages.create(stream=True, **REQUEST)

    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "error",
        "error.type": "overloaded_error",
        "http.request.resend_count": 1,
        "http.response.status_code": 529,
    }.items() <= attributes(span).items()


def test_connection_refused(server: MessagesServer, client: Anthropic, exporter: InMemorySpanExporter) -> None:
    """A connection that cannot be made is an error in the SDK's word, without a status."""
    with pytest.raises(anthropic.APIConnectionError):
        client.with_options(base_url="http://127.0.0.1:9").messages.create(stream=True, **REQUEST)

    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "error",
        "llm_stream.phase": "opening",
        "error.type": "connection_error",
        "server.port": 9,
    }.items() <= attributes(span).items()
    assert "http.response.status_code" not in attributes(span)


def test_timeout_before_the_headers(server: MessagesServer, client: Anthropic, exporter: InMemorySpanExporter) -> None:
    """A server that does not answer is a timeout in the SDK's word."""
    server.scripts.append([Pause(inf)])
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.2).messages.create(stream=True, **REQUEST)

    (span,) = ended_spans(exporter)

    assert (*abort_of(span), attributes(span)["error.type"]) == ("error", None, "opening", "client_timeout_error")


# --- tasks -------------------------------------------------------------------------------------------------------


async def read_with(client: AsyncAnthropic, server: MessagesServer, reading: asyncio.Event) -> None:
    """Reads in an `async with` block; sets `reading` at the first delta."""
    async with await opened(client, server, HANGS_IN_THE_TEXT) as stream:
        async for event in stream:
            if event.type == "content_block_delta":
                reading.set()


async def read_bare(client: AsyncAnthropic, server: MessagesServer, reading: asyncio.Event) -> None:
    """The same without the block."""
    async for event in await opened(client, server, HANGS_IN_THE_TEXT):
        if event.type == "content_block_delta":
            reading.set()


async def read_helper(client: AsyncAnthropic, server: MessagesServer, reading: asyncio.Event) -> None:
    """The same through the helper."""
    server.scripts.append(HANGS_IN_THE_TEXT)
    async with client.messages.stream(**REQUEST) as stream:
        async for _ in stream.text_stream:
            reading.set()


@pytest.mark.parametrize("read", [read_with, read_bare, read_helper])
def test_cancelled_while_it_waits(server: MessagesServer, exporter: InMemorySpanExporter, read: Any) -> None:
    """A task that is cancelled in the middle of a read is an abort, not an error."""

    async def main(client: AsyncAnthropic) -> None:
        reading = asyncio.Event()
        task = asyncio.create_task(read(client, server, reading))
        await reading.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    with async_client(server) as client:
        asyncio.run(main(client))

    assert one_abort(exporter) == ("aborted", "cancelled", "text")


def test_cancelled_while_it_works(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A task that is cancelled between two reads closes its stream because of that."""

    async def read(client: AsyncAnthropic, working: asyncio.Event) -> None:
        async with await opened(client, server) as stream:
            await read_events_async(stream, MIDDLE_OF_TEXT)
            working.set()
            await asyncio.sleep(60)

    async def main(client: AsyncAnthropic) -> None:
        working = asyncio.Event()
        task = asyncio.create_task(read(client, working))
        await working.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    with async_client(server) as client:
        asyncio.run(main(client))

    assert one_abort(exporter) == ("aborted", "cancelled", "text")


def test_cancelled_before_the_headers(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A call that is cancelled before it has an answer is an abort in the opening."""

    async def main(client: AsyncAnthropic) -> None:
        server.scripts.append([Pause(inf)])
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(client.messages.create(stream=True, **REQUEST), 0.2)

    with async_client(server) as client:
        asyncio.run(main(client))

    assert one_abort(exporter) == ("aborted", "cancelled", "opening")


@pytest.mark.parametrize("read", [read_with, read_bare, read_helper])
def test_wait_for(server: MessagesServer, exporter: InMemorySpanExporter, read: Any) -> None:
    """The application's own timeout is a cancellation."""

    async def main(client: AsyncAnthropic) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(read(client, server, asyncio.Event()), 0.3)

    with async_client(server) as client:
        asyncio.run(main(client))

    assert one_abort(exporter) == ("aborted", "cancelled", "text")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_timeout(server: MessagesServer, exporter: InMemorySpanExporter, backend: str) -> None:
    """The same with anyio's, on either of its backends."""

    async def main(client: AsyncAnthropic) -> None:
        with anyio.move_on_after(0.3):
            async with await opened(client, server, HANGS_IN_THE_TEXT) as stream:
                await read_events_async(stream, 1000)

    with async_client(server) as client:
        anyio.run(main, client, backend=backend)

    assert one_abort(exporter) == ("aborted", "cancelled", "text")


def test_close_from_another_task(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The reader that waits meets a closed connection; that is part of the abort."""

    async def main(client: AsyncAnthropic) -> None:
        stream = await opened(client, server, HANGS_IN_THE_TEXT)
        await read_events_async(stream, MIDDLE_OF_TEXT)
        reader = asyncio.create_task(read_events_async(stream, 1000))
        await asyncio.sleep(0.05)
        await stream.close()
        reader.cancel()
        with suppress(BaseException):
            await reader

    with async_client(server) as client:
        asyncio.run(main(client))

    assert one_abort(exporter) == ("aborted", "closed", "text")


def test_exception_in_an_async_with_block(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The reader's own exception is seen across the `await` of the close."""

    async def main(client: AsyncAnthropic) -> None:
        async with await opened(client, server) as stream:
            await read_events_async(stream, MIDDLE_OF_TEXT)
            raise ReaderError

    with async_client(server) as client, pytest.raises(ReaderError):
        asyncio.run(main(client))

    assert one_abort(exporter) == ("aborted", "consumer_error", "text")


def test_an_async_generator_that_reads_is_closed(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """An ASGI framework closes the generator that reads the stream when the browser has left."""

    async def response(client: AsyncAnthropic) -> AsyncIterator[str]:
        async with await opened(client, server) as stream:
            async for event in stream:
                yield event.type

    async def main(client: AsyncAnthropic) -> None:
        body: Any = response(client)
        await read_events_async(body, MIDDLE_OF_TEXT)
        await body.aclose()

    with async_client(server) as client:
        asyncio.run(main(client))

    assert one_abort(exporter) == ("aborted", "dropped", "text")


def test_dropped_in_a_task(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The event loop closes the generator of a dropped stream a moment later; the span tells of the last activity."""

    async def main(client: AsyncAnthropic) -> None:
        stream = await opened(client, server)
        await read_events_async(stream, MIDDLE_OF_TEXT)
        del stream
        gc.collect()
        await asyncio.sleep(0.1)

    with async_client(server) as client:
        asyncio.run(main(client))

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "dropped", "text")
    assert span.end_time == span.events[0].timestamp


def test_never_read_in_a_task(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The same for a stream that was never read."""

    async def main(client: AsyncAnthropic) -> None:
        await opened(client, server)
        await client.close()  # its connection would be left to the next test

    with async_client(server) as client:
        asyncio.run(main(client))

    assert one_abort(exporter) == ("aborted", "never_read", "waiting")


def test_the_loop_is_closed_with_a_stream_open(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A stream that outlives its event loop ends when it is dropped."""

    async def main(client: AsyncAnthropic) -> Any:
        stream = await opened(client, server)
        await read_events_async(stream, MIDDLE_OF_TEXT)
        return stream

    with async_client(server) as client:
        loop = asyncio.new_event_loop()
        stream = loop.run_until_complete(main(client))
        loop.close()
        del stream, client
    with pytest.warns(ResourceWarning):
        spans = ended_spans(exporter)

    assert [abort_of(span) for span in spans] == [("aborted", "dropped", "text")]
