"""The ways to read a streamed message that only the Messages API of Anthropic's SDK has, sync and async."""

from typing import Any

from anthropic import Anthropic, AsyncAnthropic

from tests.stainless.api import Seen
from tests.stainless.paths import plain, read_all, read_all_async

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}


def beta_create(client: Anthropic, seen: Seen) -> None:
    read_all(client.beta.messages.create(stream=True, betas=["a-beta"], **REQUEST), seen)


async def beta_create_async(client: AsyncAnthropic, seen: Seen) -> None:
    await read_all_async(await client.beta.messages.create(stream=True, betas=["a-beta"], **REQUEST), seen)


# --- stream() ----------------------------------------------------------------------------------------------------


def stream_events(client: Anthropic, seen: Seen) -> None:
    with client.messages.stream(**REQUEST) as stream:
        read_all(stream, seen)
        seen.append(plain(stream.current_message_snapshot))


async def stream_events_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.stream(**REQUEST) as stream:
        await read_all_async(stream, seen)
        seen.append(plain(stream.current_message_snapshot))


def stream_text(client: Anthropic, seen: Seen) -> None:
    with client.messages.stream(**REQUEST) as stream:
        read_all(stream.text_stream, seen)


async def stream_text_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.stream(**REQUEST) as stream:
        await read_all_async(stream.text_stream, seen)


def stream_final_message(client: Anthropic, seen: Seen) -> None:
    with client.messages.stream(**REQUEST) as stream:
        seen.append(plain(stream.get_final_message()))


async def stream_final_message_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.stream(**REQUEST) as stream:
        seen.append(plain(await stream.get_final_message()))


def stream_final_text(client: Anthropic, seen: Seen) -> None:
    with client.messages.stream(**REQUEST) as stream:
        seen.append(stream.get_final_text())


async def stream_final_text_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.stream(**REQUEST) as stream:
        seen.append(await stream.get_final_text())


def stream_until_done(client: Anthropic, seen: Seen) -> None:
    with client.messages.stream(**REQUEST) as stream:
        stream.until_done()
        seen.append(plain(stream.current_message_snapshot))


async def stream_until_done_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.stream(**REQUEST) as stream:
        await stream.until_done()
        seen.append(plain(stream.current_message_snapshot))


def beta_stream(client: Anthropic, seen: Seen) -> None:
    with client.beta.messages.stream(**REQUEST) as stream:
        read_all(stream, seen)


async def beta_stream_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.beta.messages.stream(**REQUEST) as stream:
        await read_all_async(stream, seen)


READS = (
    beta_create,
    beta_create_async,
    stream_events,
    stream_events_async,
    stream_text,
    stream_text_async,
    stream_final_message,
    stream_final_message_async,
    stream_final_text,
    stream_final_text_async,
    stream_until_done,
    stream_until_done_async,
    beta_stream,
    beta_stream_async,
)
