"""What the applications of the stories do with a client: read, stop, cancel, forget.

An application gets an API of a provider, and its URL. What it expects to fail stays inside it.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from typing import Protocol

from .answer import WireFormat

MAX_TOKENS = 1024
TOO_MANY_TOKENS = 900_000
LONGEST_TOOL_INPUT = 600
SECONDS_TO_STORE = 0.03
SECONDS_FOR_A_REPORT = 1.2
QUESTION = "Where is my order 4711, and can I still send the tent back?"
NO_PROXY = {"all://127.0.0.1": None}


class Client(Protocol):
    """A client of the SDK, which asks the same question each time."""

    def create(self, *, max_tokens: int = MAX_TOKENS) -> "Stream":
        """By `create(stream=True)`."""
        ...

    def stream(self) -> AbstractContextManager[Iterable[object]]:
        """By the SDK's helper `stream()`."""
        ...


class Stream(Iterable[object], AbstractContextManager["Stream"], Protocol):
    """The SDK's own, which leaving the `with` block closes."""


class AsyncClient(Protocol):
    async def create(self) -> AsyncIterable[object]: ...

    def stream(self) -> AbstractAsyncContextManager[AsyncIterable[object]]: ...


class Api(Protocol):
    """An API of a provider, as its server speaks it and as its SDK reads it. An event is one of the SDK's.

    error  what the SDK raises for an error of the API
    """

    @property
    def error(self) -> type[Exception]: ...

    def wire(self) -> WireFormat:
        """For one answer."""
        ...

    def client(self, url: str) -> AbstractContextManager[Client]:
        """That uses neither the key nor the proxy of the environment."""
        ...

    def async_client(self, url: str) -> AbstractAsyncContextManager[AsyncClient]: ...

    def wait_for_answer(self, stream: Iterable[object]) -> None:
        """By the method of the helper's stream that gives the whole answer."""
        ...

    def texts(self, stream: AsyncIterable[object]) -> AsyncIterator[str]:
        """The text of the helper's stream, as an application shows it."""
        ...

    def tool_input(self, event: object) -> str:
        """What the event brings of the JSON of a tool call; empty: nothing."""
        ...


Application = Callable[[Api, str], None]
"""What an application does with the API at this URL."""


def reads_every_event(api: Api, url: str) -> None:
    with api.client(url) as client:
        for _ in client.create():
            pass


def waits_for_the_answer(api: Api, url: str) -> None:
    with api.client(url) as client, client.stream() as stream:
        api.wait_for_answer(stream)


def shows_the_text(api: Api, url: str) -> None:
    async def show() -> None:
        async with api.async_client(url) as client, client.stream() as stream:
            async for _ in api.texts(stream):
                pass

    asyncio.run(show())


def apologises_for_an_api_error(api: Api, url: str) -> None:
    async def ask() -> None:
        async with api.async_client(url) as client:
            with suppress(api.error):
                async for _ in await client.create():
                    pass

    asyncio.run(ask())


def survives_a_lost_connection(api: Api, url: str) -> None:
    with suppress(Exception):  # with some SDKs an error of the HTTP library
        reads_every_event(api, url)


def stops_at_the_second_email(api: Api, url: str) -> None:
    written = ""
    with api.client(url) as client, client.stream() as stream:
        for event in stream:
            written += api.tool_input(event)
            if "lee@" in written:
                break


def limits_the_tool_input(api: Api, url: str) -> None:
    written = 0
    with api.client(url) as client, client.create() as stream:
        for event in stream:
            written += len(api.tool_input(event))
            if written > LONGEST_TOOL_INPUT:
                break


def stores_each_event(api: Api, url: str) -> None:
    with api.client(url) as client:
        for _ in client.create():
            time.sleep(SECONDS_TO_STORE)


def gives_up_after_some_text(api: Api, url: str) -> None:
    async def main() -> None:
        enough = asyncio.Event()
        async with api.async_client(url) as client:
            task = asyncio.create_task(_shows_until(api, client, "tent", enough))
            await enough.wait()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(main())


def writes_a_report_meanwhile(api: Api, url: str) -> None:
    """Another task of the same event loop computes for a while, and does not give way."""

    async def main() -> None:
        has_begun = asyncio.Event()

        async def write_a_report() -> None:
            await has_begun.wait()
            time.sleep(SECONDS_FOR_A_REPORT)  # noqa: ASYNC251  # what the story is about

        async with api.async_client(url) as client:
            await asyncio.gather(_shows_until(api, client, "warehouse", has_begun), write_a_report())

    asyncio.run(main())


async def _shows_until(api: Api, client: AsyncClient, word: str, is_shown: asyncio.Event) -> None:
    """Shows all of the text, and says when the word has been shown."""
    shown = ""
    async with client.stream() as stream:
        async for text in api.texts(stream):
            shown += text
            if word in shown:
                is_shown.set()


def never_reads(api: Api, url: str) -> None:
    with api.client(url) as client:
        client.create()
        gc.collect()  # with some SDKs the stream is part of a reference cycle


def asks_for_too_much(api: Api, url: str) -> None:
    with suppress(api.error), api.client(url) as client:
        client.create(max_tokens=TOO_MANY_TOKENS)
