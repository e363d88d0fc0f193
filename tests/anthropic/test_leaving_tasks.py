"""Who left: a task that is cancelled while its own code runs, or a reader that just lets go of its stream."""

import asyncio
import gc
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, suppress
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.readers import (
    MIDDLE_OF_TEXT,
    ReaderError,
    async_client,
    helper,
    opened,
    read_events,
    read_events_async,
    sync_client,
)
from tests.stainless.spans import abort_of, ended_spans

pytestmark = pytest.mark.usefixtures("instrumented", "quick_collection")

CANCELLED = [("aborted", "cancelled", "text")]
DROPPED = [("aborted", "dropped", "text")]
CLOSED = [("aborted", "closed", "text")]
# Up to Python 3.10 a task does not say that it is being cancelled, only that it was.
BEING_CANCELLED = [CANCELLED] if sys.version_info >= (3, 11) else [CANCELLED, DROPPED, CLOSED]


def aborts(exporter: InMemorySpanExporter) -> list[tuple[object, ...]]:
    """Outcome, reason and phase of every span."""
    return [abort_of(span) for span in ended_spans(exporter)]


async def works(working: asyncio.Event) -> None:
    """The application's own work between two reads, which takes long."""
    working.set()
    await asyncio.sleep(60)


async def cancelled_at_work(server: MessagesServer, read: Any) -> None:
    """Runs `read(client, server, working)` in a task, and cancels that once it works."""
    async with async_client(server.url) as client:
        working = asyncio.Event()
        task = asyncio.create_task(read(client, server, working))
        await working.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        del task


# --- generators of the application ---------------------------------------------------------------------------------


def tokens(client: Anthropic, server: MessagesServer) -> Generator[str, None, None]:
    with opened(client, server) as stream:
        for event in stream:
            yield event.type


def tokens_of_the_helper(client: Anthropic, server: MessagesServer) -> Generator[str, None, None]:
    with helper(client, server) as stream:
        for event in stream:
            yield event.type


def tokens_without_a_block(client: Anthropic, server: MessagesServer) -> Generator[str, None, None]:
    for event in opened(client, server):
        yield event.type


async def tokens_async(client: AsyncAnthropic, server: MessagesServer) -> AsyncGenerator[str, None]:
    async with await opened(client, server) as stream:
        async for event in stream:
            yield event.type


async def tokens_of_the_helper_async(client: AsyncAnthropic, server: MessagesServer) -> AsyncGenerator[str, None]:
    async with helper(client, server) as stream:
        async for event in stream:
            yield event.type


async def tokens_without_a_block_async(client: AsyncAnthropic, server: MessagesServer) -> AsyncGenerator[str, None]:
    async for event in await opened(client, server):
        yield event.type


GENERATORS = [tokens, tokens_of_the_helper, tokens_without_a_block]
ASYNC_GENERATORS = [tokens_async, tokens_of_the_helper_async, tokens_without_a_block_async]


# --- a task is cancelled while its own code runs -------------------------------------------------------------------


async def hold(client: AsyncAnthropic, server: MessagesServer, working: asyncio.Event) -> None:
    """The stream is a local variable, and nobody closes it."""
    stream = await opened(client, server)
    await read_events_async(stream, MIDDLE_OF_TEXT)
    await works(working)


async def hold_in_a_loop(client: AsyncAnthropic, server: MessagesServer, working: asyncio.Event) -> None:
    """Only the loop holds the stream."""
    async for event in await opened(client, server):
        if event.type == "content_block_delta":
            await works(working)


async def hold_in_a_coroutine(client: AsyncAnthropic, server: MessagesServer, working: asyncio.Event) -> None:
    """A coroutine that the task awaits holds the stream."""
    await hold(client, server, working)


async def close_in_finally(client: AsyncAnthropic, server: MessagesServer, working: asyncio.Event) -> None:
    stream = await opened(client, server)
    try:
        await read_events_async(stream, MIDDLE_OF_TEXT)
        await works(working)
    finally:
        await stream.close()


async def close_after_the_cancellation(client: AsyncAnthropic, server: MessagesServer, working: asyncio.Event) -> None:
    """The task has handled the CancelledError when it closes, and is cancelled for all that."""
    stream = await opened(client, server)
    await read_events_async(stream, MIDDLE_OF_TEXT)
    cancelled = False
    try:
        await works(working)
    except asyncio.CancelledError:
        cancelled = True
    await stream.close()
    if cancelled:
        raise asyncio.CancelledError


@pytest.mark.parametrize(
    "read", [hold, hold_in_a_loop, hold_in_a_coroutine, close_in_finally, close_after_the_cancellation]
)
def test_a_task_is_cancelled_at_work(server: MessagesServer, exporter: InMemorySpanExporter, read: Any) -> None:
    """A stream whose task is cancelled between two reads was cancelled, whether or not somebody closes it."""
    asyncio.run(cancelled_at_work(server, read))

    assert aborts(exporter) in BEING_CANCELLED


@pytest.mark.parametrize("make_tokens", ASYNC_GENERATORS)
@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "dropped"])
def test_a_task_is_cancelled_beside_its_generator(
    server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any, is_closed: bool
) -> None:
    """The same where a generator of the application holds the stream, whether the task closes or drops it."""

    async def read_closed(client: AsyncAnthropic, server: MessagesServer, working: asyncio.Event) -> None:
        async with aclosing(make_tokens(client, server)) as words:
            await read_events_async(words, MIDDLE_OF_TEXT)
            await works(working)

    async def read_dropped(client: AsyncAnthropic, server: MessagesServer, working: asyncio.Event) -> None:
        words = make_tokens(client, server)
        await read_events_async(words, MIDDLE_OF_TEXT)
        await works(working)

    asyncio.run(cancelled_at_work(server, read_closed if is_closed else read_dropped))

    assert aborts(exporter) in BEING_CANCELLED


def test_a_gather_is_cancelled(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A task that is cancelled through the future that gathers it was cancelled, too."""

    async def main() -> None:
        async with async_client(server.url) as client:
            working = asyncio.Event()
            reader = asyncio.create_task(hold(client, server, working))
            others: asyncio.Future[Any] = asyncio.gather(reader, asyncio.sleep(60))
            await working.wait()
            others.cancel()
            with suppress(asyncio.CancelledError):
                await others
            del reader, others

    asyncio.run(main())

    assert aborts(exporter) in BEING_CANCELLED


def test_a_stream_that_was_dropped_before_its_task_is_cancelled(
    server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A task that has let go of its stream, and is cancelled later in other work, has dropped it."""

    async def drop_and_work(client: AsyncAnthropic, server: MessagesServer, working: asyncio.Event) -> None:
        stream = await opened(client, server)
        await read_events_async(stream, MIDDLE_OF_TEXT)
        del stream
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)
        await works(working)

    asyncio.run(cancelled_at_work(server, drop_and_work))

    assert aborts(exporter) == DROPPED


def test_a_stream_of_a_task_that_is_done(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A task that ended by itself with its stream half read has dropped it."""

    async def read(client: AsyncAnthropic) -> None:
        stream = await opened(client, server)
        await read_events_async(stream, MIDDLE_OF_TEXT)

    async def main() -> None:
        async with async_client(server.url) as client:
            await asyncio.create_task(read(client))

    asyncio.run(main())

    assert aborts(exporter) == DROPPED


def test_a_task_that_fails(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A task that an exception of its own ends between two reads, without a block, has dropped its stream."""

    async def read(client: AsyncAnthropic) -> None:
        stream = await opened(client, server)
        await read_events_async(stream, MIDDLE_OF_TEXT)
        raise ReaderError

    async def main() -> None:
        async with async_client(server.url) as client:
            with suppress(ReaderError):
                await asyncio.create_task(read(client))

    asyncio.run(main())

    assert aborts(exporter) == DROPPED


# --- a generator is closed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make_tokens", GENERATORS)
def test_break_out_of_a_generator(server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any) -> None:
    """A consumer that leaves the generator by `break` has dropped the stream."""
    with sync_client(server.url) as client:
        for word in make_tokens(client, server):
            if word == "content_block_delta":
                break

        assert aborts(exporter) == DROPPED


@pytest.mark.parametrize("make_tokens", GENERATORS)
def test_an_exception_beside_a_generator(
    server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any
) -> None:
    """A consumer that fails lets go of the generator: the stream was dropped, for nothing was thrown into it."""

    def consume(client: Anthropic) -> None:
        for word in make_tokens(client, server):
            if word == "content_block_delta":
                raise ReaderError

    with sync_client(server.url) as client:
        with suppress(ReaderError):
            consume(client)

        assert aborts(exporter) == DROPPED


@pytest.mark.parametrize("make_tokens", GENERATORS)
def test_a_generator_is_closed(server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any) -> None:
    """A framework that closes the generator does not say why: the stream was dropped."""
    with sync_client(server.url) as client:
        words = make_tokens(client, server)
        read_events(words, MIDDLE_OF_TEXT)
        words.close()

        assert aborts(exporter) == DROPPED


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_a_cancellation_is_thrown_into_a_generator(
    server: MessagesServer, exporter: InMemorySpanExporter, exception: type[BaseException]
) -> None:
    """What the generator is stopped by is no GeneratorExit then: the stream was cancelled."""
    with sync_client(server.url) as client:
        words = tokens(client, server)
        read_events(words, MIDDLE_OF_TEXT)
        with suppress(exception):
            words.throw(exception())

        assert aborts(exporter) == CANCELLED


@pytest.mark.parametrize("make_tokens", ASYNC_GENERATORS)
def test_break_out_of_an_async_generator(
    server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any
) -> None:
    """A consumer that leaves the generator by `break`, which the event loop then closes, has dropped the stream."""

    async def consume(words: AsyncIterator[str]) -> None:
        async for word in words:
            if word == "content_block_delta":
                break

    async def main() -> None:
        async with async_client(server.url) as client:
            await consume(make_tokens(client, server))

    asyncio.run(main())

    assert aborts(exporter) == DROPPED


@pytest.mark.parametrize("make_tokens", ASYNC_GENERATORS)
def test_an_async_generator_is_closed(server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any) -> None:
    """A framework that closes the generator does not say why: the stream was dropped."""

    async def main() -> None:
        async with async_client(server.url) as client:
            words = make_tokens(client, server)
            await read_events_async(words, MIDDLE_OF_TEXT)
            await words.aclose()

    asyncio.run(main())

    assert aborts(exporter) == DROPPED


@pytest.mark.parametrize("make_tokens", ASYNC_GENERATORS)
def test_an_exception_beside_an_async_generator(
    server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any
) -> None:
    """A consumer that fails closes the generator: the stream was dropped, for nothing was thrown into it."""

    async def main() -> None:
        async with async_client(server.url) as client, aclosing(make_tokens(client, server)) as words:
            await read_events_async(words, MIDDLE_OF_TEXT)
            raise ReaderError

    with suppress(ReaderError):
        asyncio.run(main())

    assert aborts(exporter) == DROPPED
