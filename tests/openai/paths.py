"""The ways to read a stream that only an API of OpenAI's SDK has, sync and async."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from openai.resources.responses import Responses

from tests.openai import responses
from tests.openai.reading import REQUEST, helper_of
from tests.stainless.api import Seen
from tests.stainless.paths import plain, read_all, read_all_async

# --- chat.completions.stream() -----------------------------------------------------------------------------------


def stream_events(client: Any, seen: Seen) -> None:
    with helper_of(client)(**REQUEST) as stream:
        read_all(stream, seen)
        seen.append(plain(stream.current_completion_snapshot))


async def stream_events_async(client: Any, seen: Seen) -> None:
    async with helper_of(client)(**REQUEST) as stream:
        await read_all_async(stream, seen)
        seen.append(plain(stream.current_completion_snapshot))


def stream_until_done(client: Any, seen: Seen) -> None:
    with helper_of(client)(**REQUEST) as stream:
        stream.until_done()
        seen.append(plain(stream.current_completion_snapshot))


async def stream_until_done_async(client: Any, seen: Seen) -> None:
    async with helper_of(client)(**REQUEST) as stream:
        await stream.until_done()
        seen.append(plain(stream.current_completion_snapshot))


def stream_final_completion(client: Any, seen: Seen) -> None:
    with helper_of(client)(**REQUEST) as stream:
        seen.append(plain(stream.get_final_completion()))


async def stream_final_completion_async(client: Any, seen: Seen) -> None:
    async with helper_of(client)(**REQUEST) as stream:
        seen.append(plain(await stream.get_final_completion()))


def beta_stream(client: Any, seen: Seen) -> None:
    with client.beta.chat.completions.stream(**REQUEST) as stream:
        read_all(stream, seen)


async def beta_stream_async(client: Any, seen: Seen) -> None:
    async with client.beta.chat.completions.stream(**REQUEST) as stream:
        await read_all_async(stream, seen)


READS_OF_CHAT: Sequence[Callable[[Any, Seen], Any]] = (
    stream_events,
    stream_events_async,
    stream_until_done,
    stream_until_done_async,
    stream_final_completion,
    stream_final_completion_async,
    beta_stream,
    beta_stream_async,
)

# --- responses ---------------------------------------------------------------------------------------------------

RESUMED: dict[str, Any] = {"response_id": responses.RESPONSE_ID, "starting_after": 0}
"""All of the events have a greater number."""


def response_events(client: Any, seen: Seen) -> None:
    with client.responses.stream(**responses.REQUEST) as stream:
        read_all(stream, seen)


async def response_events_async(client: Any, seen: Seen) -> None:
    async with client.responses.stream(**responses.REQUEST) as stream:
        await read_all_async(stream, seen)


def response_until_done(client: Any, seen: Seen) -> None:
    with client.responses.stream(**responses.REQUEST) as stream:
        seen.append(stream.until_done() is stream)


async def response_until_done_async(client: Any, seen: Seen) -> None:
    async with client.responses.stream(**responses.REQUEST) as stream:
        seen.append(await stream.until_done() is stream)


def response_final(client: Any, seen: Seen) -> None:
    with client.responses.stream(**responses.REQUEST) as stream:
        seen.append(plain(stream.get_final_response()))


async def response_final_async(client: Any, seen: Seen) -> None:
    async with client.responses.stream(**responses.REQUEST) as stream:
        seen.append(plain(await stream.get_final_response()))


def background(client: Any, seen: Seen) -> None:
    read_all(client.responses.create(stream=True, background=True, **responses.REQUEST), seen)


async def background_async(client: Any, seen: Seen) -> None:
    await read_all_async(await client.responses.create(stream=True, background=True, **responses.REQUEST), seen)


def retrieved(client: Any, seen: Seen) -> None:
    read_all(client.responses.retrieve(**RESUMED, stream=True), seen)


async def retrieved_async(client: Any, seen: Seen) -> None:
    await read_all_async(await client.responses.retrieve(**RESUMED, stream=True), seen)


def resumed(client: Any, seen: Seen) -> None:
    with client.responses.stream(**RESUMED) as stream:
        read_all(stream, seen)


async def resumed_async(client: Any, seen: Seen) -> None:
    async with client.responses.stream(**RESUMED) as stream:
        await read_all_async(stream, seen)


_READS_OF_LATER_VERSIONS: Sequence[Callable[[Any, Seen], Any]] = (
    background,
    background_async,
    retrieved,
    retrieved_async,
    resumed,
    resumed_async,
)
_HAS_BACKGROUND = "background" in inspect.signature(Responses.create).parameters

READS_OF_RESPONSES: Sequence[Callable[[Any, Seen], Any]] = (
    response_events,
    response_events_async,
    response_until_done,
    response_until_done_async,
    response_final,
    response_final_async,
    *(_READS_OF_LATER_VERSIONS if _HAS_BACKGROUND else ()),
)
