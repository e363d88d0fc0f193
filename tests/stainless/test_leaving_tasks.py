"""Who left: a task that is cancelled while its own code runs, or a reader that just lets go of its stream."""

import asyncio
import gc
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.server import MessagesServer
from tests.stainless.api import Api
from tests.stainless.readers import ReaderError, read_to_true, read_to_true_async
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


async def cancelled_at_work(api: Api, server: MessagesServer, read: Any) -> None:
    """Runs `read(api, client, server, working)` in a task, and cancels that once it works."""
    async with api.sdk.opened_async(server.url) as client:
        working = asyncio.Event()
        task = asyncio.create_task(read(api, client, server, working))
        await working.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        del task


# --- generators of the application ---------------------------------------------------------------------------------


def tokens(api: Api, client: Any, server: MessagesServer) -> Generator[bool, None, None]:
    with api.opened(client, server) as stream:
        for event in stream:
            yield api.is_text(event)


def tokens_of_the_helper(api: Api, client: Any, server: MessagesServer) -> Generator[bool, None, None]:
    with api.helped(client, server) as stream:
        for event in stream:
            yield api.is_text(event)


def tokens_without_a_block(api: Api, client: Any, server: MessagesServer) -> Generator[bool, None, None]:
    for event in api.opened(client, server):
        yield api.is_text(event)


async def tokens_async(api: Api, client: Any, server: MessagesServer) -> AsyncGenerator[bool, None]:
    async with await api.opened(client, server) as stream:
        async for event in stream:
            yield api.is_text(event)


async def tokens_of_the_helper_async(api: Api, client: Any, server: MessagesServer) -> AsyncGenerator[bool, None]:
    async with api.helped(client, server) as stream:
        async for event in stream:
            yield api.is_text(event)


async def tokens_without_a_block_async(api: Api, client: Any, server: MessagesServer) -> AsyncGenerator[bool, None]:
    async for event in await api.opened(client, server):
        yield api.is_text(event)


GENERATORS = [tokens, tokens_of_the_helper, tokens_without_a_block]
ASYNC_GENERATORS = [tokens_async, tokens_of_the_helper_async, tokens_without_a_block_async]


# --- a task is cancelled while its own code runs -------------------------------------------------------------------


async def hold(api: Api, client: Any, server: MessagesServer, working: asyncio.Event) -> None:
    """The stream is a local variable, and nobody closes it."""
    stream = await api.opened(client, server)
    await api.read_to_text_async(stream)
    await works(working)


async def hold_in_a_loop(api: Api, client: Any, server: MessagesServer, working: asyncio.Event) -> None:
    """Only the loop holds the stream."""
    async for event in await api.opened(client, server):
        if api.is_text(event):
            await works(working)


async def hold_in_a_coroutine(api: Api, client: Any, server: MessagesServer, working: asyncio.Event) -> None:
    """A coroutine that the task awaits holds the stream."""
    await hold(api, client, server, working)


async def close_in_finally(api: Api, client: Any, server: MessagesServer, working: asyncio.Event) -> None:
    stream = await api.opened(client, server)
    try:
        await api.read_to_text_async(stream)
        await works(working)
    finally:
        await stream.close()


async def close_after_the_cancellation(api: Api, client: Any, server: MessagesServer, working: asyncio.Event) -> None:
    """The task has handled the CancelledError when it closes, and is cancelled for all that."""
    stream = await api.opened(client, server)
    await api.read_to_text_async(stream)
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
def test_a_task_is_cancelled_at_work(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, read: Any
) -> None:
    """A stream whose task is cancelled between two reads was cancelled, whether or not somebody closes it."""
    asyncio.run(cancelled_at_work(api, server, read))

    assert aborts(exporter) in BEING_CANCELLED


@pytest.mark.parametrize("make_tokens", ASYNC_GENERATORS)
@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "dropped"])
def test_a_task_is_cancelled_beside_its_generator(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any, is_closed: bool
) -> None:
    """The same where a generator of the application holds the stream, whether the task closes or drops it."""

    async def read_closed(api: Api, client: Any, server: MessagesServer, working: asyncio.Event) -> None:
        async with aclosing(make_tokens(api, client, server)) as words:
            await read_to_true_async(words)
            await works(working)

    async def read_dropped(api: Api, client: Any, server: MessagesServer, working: asyncio.Event) -> None:
        words = make_tokens(api, client, server)
        await read_to_true_async(words)
        await works(working)

    asyncio.run(cancelled_at_work(api, server, read_closed if is_closed else read_dropped))

    assert aborts(exporter) in BEING_CANCELLED


def test_a_gather_is_cancelled(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A task that is cancelled through the future that gathers it was cancelled, too."""

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            working = asyncio.Event()
            reader = asyncio.create_task(hold(api, client, server, working))
            others: asyncio.Future[Any] = asyncio.gather(reader, asyncio.sleep(60))
            await working.wait()
            others.cancel()
            with suppress(asyncio.CancelledError):
                await others
            del reader, others

    asyncio.run(main())

    assert aborts(exporter) in BEING_CANCELLED


def test_a_stream_that_was_dropped_before_its_task_is_cancelled(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A task that has let go of its stream, and is cancelled later in other work, has dropped it."""

    async def drop_and_work(api: Api, client: Any, server: MessagesServer, working: asyncio.Event) -> None:
        stream = await api.opened(client, server)
        await api.read_to_text_async(stream)
        del stream
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)
        await works(working)

    asyncio.run(cancelled_at_work(api, server, drop_and_work))

    assert aborts(exporter) == DROPPED


def test_a_stream_of_a_task_that_is_done(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A task that ended by itself with its stream half read has dropped it."""

    async def read(client: Any) -> None:
        stream = await api.opened(client, server)
        await api.read_to_text_async(stream)

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            await asyncio.create_task(read(client))

    asyncio.run(main())

    assert aborts(exporter) == DROPPED


def test_a_task_that_fails(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A task that an exception of its own ends between two reads, without a block, has dropped its stream."""

    async def read(client: Any) -> None:
        stream = await api.opened(client, server)
        await api.read_to_text_async(stream)
        raise ReaderError

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            with suppress(ReaderError):
                await asyncio.create_task(read(client))

    asyncio.run(main())

    assert aborts(exporter) == DROPPED


# --- a generator is closed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make_tokens", GENERATORS)
def test_break_out_of_a_generator(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any
) -> None:
    """A consumer that leaves the generator by `break` has dropped the stream."""
    with api.sdk.opened(server.url) as client:
        for word in make_tokens(api, client, server):
            if word:
                break

        assert aborts(exporter) == DROPPED


@pytest.mark.parametrize("make_tokens", GENERATORS)
def test_an_exception_beside_a_generator(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any
) -> None:
    """A consumer that fails lets go of the generator: the stream was dropped, for nothing was thrown into it."""

    def consume(client: Any) -> None:
        for word in make_tokens(api, client, server):
            if word:
                raise ReaderError

    with api.sdk.opened(server.url) as client:
        with suppress(ReaderError):
            consume(client)

        assert aborts(exporter) == DROPPED


@pytest.mark.parametrize("make_tokens", GENERATORS)
def test_a_generator_is_closed(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any
) -> None:
    """A framework that closes the generator does not say why: the stream was dropped."""
    with api.sdk.opened(server.url) as client:
        words = make_tokens(api, client, server)
        read_to_true(words)
        words.close()

        assert aborts(exporter) == DROPPED


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_a_cancellation_is_thrown_into_a_generator(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, exception: type[BaseException]
) -> None:
    """What the generator is stopped by is no GeneratorExit then: the stream was cancelled."""
    with api.sdk.opened(server.url) as client:
        words = tokens(api, client, server)
        read_to_true(words)
        with suppress(exception):
            words.throw(exception())

        assert aborts(exporter) == CANCELLED


@pytest.mark.parametrize("make_tokens", ASYNC_GENERATORS)
def test_break_out_of_an_async_generator(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any
) -> None:
    """A consumer that leaves the generator by `break`, which the event loop then closes, has dropped the stream."""

    async def consume(words: AsyncIterator[bool]) -> None:
        async for word in words:
            if word:
                break

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            await consume(make_tokens(api, client, server))

    asyncio.run(main())

    assert aborts(exporter) == DROPPED


@pytest.mark.parametrize("make_tokens", ASYNC_GENERATORS)
def test_an_async_generator_is_closed(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any
) -> None:
    """A framework that closes the generator does not say why: the stream was dropped."""

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            words = make_tokens(api, client, server)
            await read_to_true_async(words)
            await words.aclose()

    asyncio.run(main())

    assert aborts(exporter) == DROPPED


@pytest.mark.parametrize("make_tokens", ASYNC_GENERATORS)
def test_an_exception_beside_an_async_generator(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, make_tokens: Any
) -> None:
    """A consumer that fails closes the generator: the stream was dropped, for nothing was thrown into it."""

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client, aclosing(make_tokens(api, client, server)) as words:
            await read_to_true_async(words)
            raise ReaderError

    with suppress(ReaderError):
        asyncio.run(main())

    assert aborts(exporter) == DROPPED
