"""Why a reader left, in a word of the application's that it says while it unwinds."""

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import runtime, stream_of
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import finish_ends
from tests.stainless.api import Api
from tests.stainless.apis import api_named
from tests.stainless.programs import instrumented_process, report, run
from tests.stainless.readers import ReaderError, Word, read_events_async, read_to_true, read_to_true_async
from tests.stainless.spans import abort_of, ended_spans

pytestmark = pytest.mark.usefixtures("instrumented", "quick_collection")


@pytest.fixture(autouse=True)
def a_word_has_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: `one_span` writes the ends that wait."""
    monkeypatch.setattr(runtime, "GRACE", 3.0)


SAID = ("aborted", "client_disconnected", "text")

Reader = Callable[[Api, Any, MessagesServer, Word, asyncio.Event], Coroutine[Any, Any, None]]


def one_span(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = ended_spans(exporter)
    return span


def left_before(span: ReadableSpan, word: Word) -> bool:
    """Whether the span ends before the word was said: its time is that of the leaving."""
    return span.end_time is not None and word.said_at is not None and span.end_time <= word.said_at


async def waits(api: Api, stream: Any, waiting: asyncio.Event) -> None:
    """Reads to the text; sets `waiting` when what comes after it can only wait."""
    await api.read_to_text_async(stream)
    waiting.set()
    await read_events_async(stream, 1000)


# --- a task is cancelled while it waits in a read ------------------------------------------------------------------


async def in_except(api: Api, client: Any, server: MessagesServer, word: Word, waiting: asyncio.Event) -> None:
    async with await api.opened(client, server, api.hangs) as stream:
        try:
            await waits(api, stream, waiting)
        except asyncio.CancelledError:
            word.say(stream)
            raise


async def in_finally(api: Api, client: Any, server: MessagesServer, word: Word, waiting: asyncio.Event) -> None:
    async with await api.opened(client, server, api.hangs) as stream:
        try:
            await waits(api, stream, waiting)
        finally:
            word.say(stream)


async def in_except_around(api: Api, client: Any, server: MessagesServer, word: Word, waiting: asyncio.Event) -> None:
    stream = await api.opened(client, server, api.hangs)
    try:
        async with stream:
            await waits(api, stream, waiting)
    except asyncio.CancelledError:
        word.say(stream)
        raise


async def in_finally_around(api: Api, client: Any, server: MessagesServer, word: Word, waiting: asyncio.Event) -> None:
    stream = await api.opened(client, server, api.hangs)
    try:
        async with stream:
            await waits(api, stream, waiting)
    finally:
        word.say(stream)


async def in_except_of_the_helper(
    api: Api, client: Any, server: MessagesServer, word: Word, waiting: asyncio.Event
) -> None:
    async with api.helped(client, server, api.hangs) as stream:
        try:
            await waits(api, stream, waiting)
        except asyncio.CancelledError:
            word.say(stream)
            raise


async def in_except_around_the_helper(
    api: Api, client: Any, server: MessagesServer, word: Word, waiting: asyncio.Event
) -> None:
    manager = api.helped(client, server, api.hangs)
    try:
        async with manager as stream:
            await waits(api, stream, waiting)
    except asyncio.CancelledError:
        word.say(manager)
        raise


async def in_except_without_a_block(
    api: Api, client: Any, server: MessagesServer, word: Word, waiting: asyncio.Event
) -> None:
    stream = await api.opened(client, server, api.hangs)
    try:
        await waits(api, stream, waiting)
    except asyncio.CancelledError:
        word.say(stream)
        raise


async def in_finally_before_the_close(
    api: Api, client: Any, server: MessagesServer, word: Word, waiting: asyncio.Event
) -> None:
    stream = await api.opened(client, server, api.hangs)
    try:
        await waits(api, stream, waiting)
    finally:
        word.say(stream)
        await stream.close()


async def in_the_caller(api: Api, client: Any, server: MessagesServer, word: Word, waiting: asyncio.Event) -> None:
    """A coroutine has the block, the one that awaits it has the `except`."""
    stream = await api.opened(client, server, api.hangs)

    async def read() -> None:
        async with stream:
            await waits(api, stream, waiting)

    try:
        await read()
    except asyncio.CancelledError:
        word.say(stream)
        raise


async def in_a_generator(api: Api, client: Any, server: MessagesServer, word: Word, waiting: asyncio.Event) -> None:
    """The cancellation reaches the generator in its read."""

    async def words() -> AsyncGenerator[Any, None]:
        stream = await api.opened(client, server, api.hangs)
        try:
            async with stream:
                async for event in stream:
                    yield event
        finally:
            word.say(stream)

    await waits(api, words(), waiting)


CANCELLED: list[Reader] = [
    in_except,
    in_finally,
    in_except_around,
    in_finally_around,
    in_except_of_the_helper,
    in_except_around_the_helper,
    in_except_without_a_block,
    in_finally_before_the_close,
    in_the_caller,
    in_a_generator,
]


@pytest.mark.parametrize("read", CANCELLED)
def test_a_word_of_a_cancelled_task(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, read: Reader
) -> None:
    """A word that a task says while a cancellation unwinds it is the reason; the span ends when the read did."""
    word = Word()

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            waiting = asyncio.Event()
            task = asyncio.create_task(read(api, client, server, word, waiting))
            await waiting.wait()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(main())
    span = one_span(exporter)

    assert abort_of(span) == SAID
    assert left_before(span, word)


# --- the application's own timeout ---------------------------------------------------------------------------------


async def in_time(reading: Coroutine[Any, Any, None]) -> None:
    """As an application limits a read, by what this Python has for it."""
    if sys.version_info < (3, 11):
        await asyncio.wait_for(reading, 0.01)
    else:
        async with asyncio.timeout(0.01):
            await reading


async def in_time_of_a_task(reading: Coroutine[Any, Any, None]) -> None:
    await asyncio.wait_for(reading, 0.01)


LIMITS = [in_time, in_time_of_a_task]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_word_after_a_timeout(api: Api, server: MessagesServer, exporter: InMemorySpanExporter, limit: Any) -> None:
    """A word said in the `except TimeoutError` around the read, inside the block, is the reason."""
    word = Word()

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client, await api.opened(client, server, api.hangs) as stream:
            await api.read_to_text_async(stream)
            try:
                await limit(stream.__anext__())
            except asyncio.TimeoutError:
                word.say(stream)

    asyncio.run(main())
    span = one_span(exporter)

    assert abort_of(span) == SAID
    assert left_before(span, word)


@pytest.mark.parametrize("limit", LIMITS)
def test_a_word_after_a_timeout_of_the_block(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, limit: Any
) -> None:
    """The same where the block is inside the timeout, and the word outside of both."""
    word = Word()

    async def read(stream: Any) -> None:
        async with stream:
            await stream.__anext__()

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            stream = await api.opened(client, server, api.hangs)
            await api.read_to_text_async(stream)
            try:
                await limit(read(stream))
            except asyncio.TimeoutError:
                word.say(stream)

    asyncio.run(main())
    span = one_span(exporter)

    assert abort_of(span) == SAID
    assert left_before(span, word)


# --- an exception in the reader's own code -------------------------------------------------------------------------

EXCEPTIONS = [ReaderError, KeyboardInterrupt, SystemExit]


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_a_word_in_the_except_around_the_block(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, exception: type[BaseException]
) -> None:
    """A word said where the exception is handled that left the block is the reason; the span ends with the block."""
    word = Word()
    with api.sdk.opened(server.url) as client:
        stream = api.opened(client, server)
        try:
            with stream:
                api.read_to_text(stream)
                raise exception
        except exception:
            word.say(stream)
    span = one_span(exporter)

    assert abort_of(span) == SAID
    assert left_before(span, word)


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_a_word_in_the_finally_around_the_block(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, exception: type[BaseException]
) -> None:
    """The same in a `finally`, with the exception still on its way."""
    word = Word()

    def read(client: Any) -> None:
        stream = api.opened(client, server)
        try:
            with stream:
                api.read_to_text(stream)
                raise exception
        finally:
            word.say(stream)

    with api.sdk.opened(server.url) as client, suppress(exception):
        read(client)
    span = one_span(exporter)

    assert abort_of(span) == SAID
    assert left_before(span, word)


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_a_word_in_the_except_around_the_helper(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, exception: type[BaseException]
) -> None:
    """The same through the SDK's helper."""
    word = Word()
    with api.sdk.opened(server.url) as client:
        manager = api.helped(client, server)
        try:
            with manager as stream:
                api.read_to_text(stream)
                raise exception
        except exception:
            word.say(manager)
    span = one_span(exporter)

    assert abort_of(span) == SAID
    assert left_before(span, word)


def test_a_word_in_the_except_around_an_async_block(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The same in a task."""
    word = Word()

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            stream = await api.opened(client, server)
            try:
                async with stream:
                    await api.read_to_text_async(stream)
                    raise ReaderError
            except ReaderError:
                word.say(stream)

    asyncio.run(main())
    span = one_span(exporter)

    assert abort_of(span) == SAID
    assert left_before(span, word)


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_a_word_inside_the_block(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, exception: type[BaseException]
) -> None:
    """A word said in a `finally` inside the block is the reason."""
    word = Word()

    def read(client: Any) -> None:
        with api.opened(client, server) as stream:
            try:
                api.read_to_text(stream)
                raise exception
            finally:
                word.say(stream)

    with api.sdk.opened(server.url) as client, suppress(exception):
        read(client)

    assert abort_of(one_span(exporter)) == SAID


# --- a generator is closed -----------------------------------------------------------------------------------------


def says_in_the_block(api: Api, client: Any, server: MessagesServer, word: Word) -> Generator[bool, None, None]:
    with api.opened(client, server) as stream:
        try:
            for event in stream:
                yield api.is_text(event)
        finally:
            word.say(stream)


def says_around_the_block(api: Api, client: Any, server: MessagesServer, word: Word) -> Generator[bool, None, None]:
    stream = api.opened(client, server)
    try:
        with stream:
            for event in stream:
                yield api.is_text(event)
    finally:
        word.say(stream)


def says_in_except(api: Api, client: Any, server: MessagesServer, word: Word) -> Generator[bool, None, None]:
    stream = api.opened(client, server)
    try:
        with stream:
            for event in stream:
                yield api.is_text(event)
    except GeneratorExit:
        word.say(stream)
        raise


def says_without_a_block(api: Api, client: Any, server: MessagesServer, word: Word) -> Generator[bool, None, None]:
    stream = api.opened(client, server)
    try:
        for event in stream:
            yield api.is_text(event)
    finally:
        word.say(stream)


@pytest.mark.parametrize("make_words", [says_in_the_block, says_around_the_block, says_in_except, says_without_a_block])
def test_a_word_of_a_generator(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, make_words: Any
) -> None:
    """A word that a generator says while it is closed is the reason."""
    word = Word()
    with api.sdk.opened(server.url) as client:
        words = make_words(api, client, server, word)
        read_to_true(words)
        words.close()

    assert abort_of(one_span(exporter)) == SAID


def test_a_word_of_a_generator_comes_after_the_end(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The span of a stream that was closed before the word was said ends when it was closed."""
    word = Word()
    with api.sdk.opened(server.url) as client:
        words = says_around_the_block(api, client, server, word)
        read_to_true(words)
        words.close()

    assert left_before(one_span(exporter), word)


async def says_in_the_block_async(
    api: Api, client: Any, server: MessagesServer, word: Word
) -> AsyncGenerator[bool, None]:
    async with await api.opened(client, server) as stream:
        try:
            async for event in stream:
                yield api.is_text(event)
        finally:
            word.say(stream)


async def says_around_the_block_async(
    api: Api, client: Any, server: MessagesServer, word: Word
) -> AsyncGenerator[bool, None]:
    stream = await api.opened(client, server)
    try:
        async with stream:
            async for event in stream:
                yield api.is_text(event)
    finally:
        word.say(stream)


async def says_in_except_async(api: Api, client: Any, server: MessagesServer, word: Word) -> AsyncGenerator[bool, None]:
    stream = await api.opened(client, server)
    try:
        async with stream:
            async for event in stream:
                yield api.is_text(event)
    except GeneratorExit:
        word.say(stream)
        raise


async def says_without_a_block_async(
    api: Api, client: Any, server: MessagesServer, word: Word
) -> AsyncGenerator[bool, None]:
    stream = await api.opened(client, server)
    try:
        async for event in stream:
            yield api.is_text(event)
    finally:
        word.say(stream)


ASYNC_GENERATORS = [
    says_in_the_block_async,
    says_around_the_block_async,
    says_in_except_async,
    says_without_a_block_async,
]


@pytest.mark.parametrize("make_words", ASYNC_GENERATORS)
def test_a_word_of_an_async_generator(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, make_words: Any
) -> None:
    """A word that an async generator says while it is closed is the reason."""
    word = Word()

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            words = make_words(api, client, server, word)
            await read_to_true_async(words)
            await words.aclose()

    asyncio.run(main())

    assert abort_of(one_span(exporter)) == SAID


@pytest.mark.parametrize("make_words", ASYNC_GENERATORS)
def test_a_word_of_an_async_generator_that_is_dropped(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, make_words: Any
) -> None:
    """The same where the event loop closes it, because nobody holds it any longer."""
    word = Word()

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            words = make_words(api, client, server, word)
            await read_to_true_async(words)

    asyncio.run(main())

    # From Python 3.13 on the SDK's own close may fail there, and then `except GeneratorExit` is not reached.
    was_said = word.said_at is not None
    assert abort_of(one_span(exporter)) == (SAID if was_said else ("aborted", "dropped", "text"))


# --- what a word does not do ---------------------------------------------------------------------------------------


def test_a_word_of_another_stream(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A stream whose reader says nothing keeps its reason, though another one's reader says a word meanwhile."""
    word = Word()
    with api.sdk.opened(server.url) as client:
        silent = api.opened(client, server)
        other = api.opened(client, server)
        api.read_to_text(silent)
        api.read_to_text(other)
        silent.close()
        word.say(other)
        other.close()
    spans = ended_spans(exporter)

    assert sorted(str(abort_of(span)[1]) for span in spans) == ["client_disconnected", "closed"]


def test_a_word_of_a_complete_stream(api: Api, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A word that is said in every `finally` changes nothing of a stream that was read to its end."""
    word = Word()
    with api.sdk.opened(server.url) as client:
        stream = api.opened(client, server)
        try:
            with stream:
                list(stream)
        finally:
            word.say(stream)

    assert abort_of(one_span(exporter)) == ("complete", None, None)


def test_a_snapshot_after_the_word(api: Api, server: MessagesServer) -> None:
    """The application that has left and said why reads back its word at once."""
    word = Word()
    with api.sdk.opened(server.url) as client:
        stream = api.opened(client, server)
        with stream:
            api.read_to_text(stream)
        word.say(stream)
        snapshot = stream_of(stream).snapshot()

    assert snapshot is not None
    assert (snapshot.ended, snapshot.outcome, snapshot.abort_reason) == (True, "aborted", "client_disconnected")


def say_words_too_late(name: str) -> None:
    """The program of the next test."""
    api = api_named(name)
    exporter = InMemorySpanExporter()
    logging.basicConfig(stream=sys.stdout, format="%(name)s %(levelname)s")
    word = Word()
    with instrumented_process(api.sdk, exporter), MessagesServer() as server, api.sdk.opened(server.url) as client:
        for _ in range(2):
            with api.opened(client, server) as stream:
                api.read_to_text(stream)
            finish_ends()
            word.say(stream)
    report([abort_of(span)[1] for span in ended_spans(exporter)])


def test_a_word_that_comes_too_late(api: Api) -> None:
    """Once the span is written a word has no effect; one warning in the life of the process says so."""
    done = run(say_words_too_late, api.name)

    assert (done.stdout.splitlines(), done.stderr) == (["streamspan.handle WARNING", '["closed", "closed"]'], "")
