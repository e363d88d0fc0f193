"""Every way to read a streamed message to its end, sync and async, as the SDK offers them.

A path returns what the application saw: the values, as plain data, and the exception that stopped it. What differs
between two runs by nature (object identities, times) is not in it.
"""

import asyncio
import inspect
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import anthropic
from anthropic import Anthropic, AsyncAnthropic

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
Seen = list[object]


@dataclass(frozen=True)
class Path:
    """`sees_events` false: the application reads bytes, and no `Stream` is made."""

    name: str
    read: Callable[[Any, Seen], object]
    is_async: bool = False
    sees_events: bool = True

    def run(self, url: str, **options: Any) -> Seen:
        """What an application with a client of its own sees."""
        seen: Seen = []
        if self.is_async:
            asyncio.run(self._run_async(url, seen, options))
        else:
            http_client = anthropic.DefaultHttpxClient(verify=False)
            with Anthropic(**_client_options(url, options), http_client=http_client) as client:
                try:
                    self.read(client, seen)
                except Exception as error:  # noqa: BLE001  # what the application saw
                    seen.append(plain_error(error))
        return seen

    async def _run_async(self, url: str, seen: Seen, options: dict[str, Any]) -> None:
        read: Any = self.read
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        async with AsyncAnthropic(**_client_options(url, options), http_client=http_client) as client:
            try:
                await read(client, seen)
            except Exception as error:  # noqa: BLE001  # what the application saw
                seen.append(plain_error(error))


def _client_options(url: str, options: dict[str, Any]) -> dict[str, Any]:
    """The HTTP client beside them loads no certificates, which would take most of the time."""
    return {"base_url": url, "api_key": "none", "max_retries": 0, **options}


def plain_error(error: Exception) -> tuple[str, str]:
    return type(error).__name__, str(error)


def plain(value: Any) -> object:
    """A value that the SDK gave, as data."""
    return value.model_dump() if hasattr(value, "model_dump") else value


def _all(values: Iterable[Any], seen: Seen) -> None:
    for value in values:
        seen.append(plain(value))


async def _all_async(values: AsyncIterable[Any], seen: Seen) -> None:
    async for value in values:
        seen.append(plain(value))


def _streamed(client: Any, **more: Any) -> Any:
    return client.messages.create(stream=True, **REQUEST, **more)


# --- create(stream=True) -----------------------------------------------------------------------------------------


def create_for(client: Anthropic, seen: Seen) -> None:
    _all(_streamed(client), seen)


async def create_for_async(client: AsyncAnthropic, seen: Seen) -> None:
    await _all_async(await _streamed(client), seen)


def create_next(client: Anthropic, seen: Seen) -> None:
    stream = _streamed(client)
    for _ in range(1000):
        seen.append(plain(next(stream)))


async def create_next_async(client: AsyncAnthropic, seen: Seen) -> None:
    stream = await _streamed(client)
    for _ in range(1000):
        seen.append(plain(await stream.__anext__()))


def create_mixed(client: Anthropic, seen: Seen) -> None:
    stream = _streamed(client)
    seen.append(plain(next(stream)))
    for event in stream:
        seen.append(plain(event))
        break
    _all(stream, seen)


async def create_mixed_async(client: AsyncAnthropic, seen: Seen) -> None:
    stream = await _streamed(client)
    seen.append(plain(await stream.__anext__()))
    async for event in stream:
        seen.append(plain(event))
        break
    await _all_async(stream, seen)


def create_with(client: Anthropic, seen: Seen) -> None:
    with _streamed(client) as stream:
        _all(stream, seen)


async def create_with_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with await _streamed(client) as stream:
        await _all_async(stream, seen)


def beta_create(client: Anthropic, seen: Seen) -> None:
    _all(client.beta.messages.create(stream=True, betas=["a-beta"], **REQUEST), seen)


async def beta_create_async(client: AsyncAnthropic, seen: Seen) -> None:
    await _all_async(await client.beta.messages.create(stream=True, betas=["a-beta"], **REQUEST), seen)


def post(client: Anthropic, seen: Seen) -> None:
    body = {**REQUEST, "stream": True}
    stream_class: Any = anthropic.Stream[anthropic.types.RawMessageStreamEvent]
    _all(
        client.post("/v1/messages", cast_to=anthropic.types.Message, body=body, stream=True, stream_cls=stream_class),
        seen,
    )


async def post_async(client: AsyncAnthropic, seen: Seen) -> None:
    body = {**REQUEST, "stream": True}
    stream_class: Any = anthropic.AsyncStream[anthropic.types.RawMessageStreamEvent]
    stream: Any = await client.post(
        "/v1/messages", cast_to=anthropic.types.Message, body=body, stream=True, stream_cls=stream_class
    )
    await _all_async(stream, seen)


# --- stream() ----------------------------------------------------------------------------------------------------


def stream_events(client: Anthropic, seen: Seen) -> None:
    with client.messages.stream(**REQUEST) as stream:
        _all(stream, seen)
        seen.append(plain(stream.current_message_snapshot))


async def stream_events_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.stream(**REQUEST) as stream:
        await _all_async(stream, seen)
        seen.append(plain(stream.current_message_snapshot))


def stream_text(client: Anthropic, seen: Seen) -> None:
    with client.messages.stream(**REQUEST) as stream:
        _all(stream.text_stream, seen)


async def stream_text_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.stream(**REQUEST) as stream:
        await _all_async(stream.text_stream, seen)


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
        _all(stream, seen)


async def beta_stream_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.beta.messages.stream(**REQUEST) as stream:
        await _all_async(stream, seen)


# --- raw responses -----------------------------------------------------------------------------------------------


def raw_parse(client: Anthropic, seen: Seen) -> None:
    response = client.messages.with_raw_response.create(stream=True, **REQUEST)
    _all(response.parse(), seen)


async def raw_parse_async(client: AsyncAnthropic, seen: Seen) -> None:
    response: Any = await client.messages.with_raw_response.create(stream=True, **REQUEST)
    await _all_async(await _parsed(response), seen)


async def _parsed(response: Any) -> Any:
    """From 1.0 on `parse()` is a coroutine."""
    parsed: Any = response.parse()
    return await parsed if inspect.isawaitable(parsed) else parsed


def raw_parse_twice(client: Anthropic, seen: Seen) -> None:
    response = client.messages.with_raw_response.create(stream=True, **REQUEST)
    stream = response.parse()
    seen.append(response.parse() is stream)
    _all(stream, seen)


async def raw_parse_twice_async(client: AsyncAnthropic, seen: Seen) -> None:
    response: Any = await client.messages.with_raw_response.create(stream=True, **REQUEST)
    stream = await _parsed(response)
    seen.append(await _parsed(response) is stream)
    await _all_async(stream, seen)


def streaming_response_parse(client: Anthropic, seen: Seen) -> None:
    with client.messages.with_streaming_response.create(stream=True, **REQUEST) as response:
        _all(response.parse(), seen)


async def streaming_response_parse_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.with_streaming_response.create(stream=True, **REQUEST) as response:
        await _all_async(await response.parse(), seen)


def streaming_response_lines(client: Anthropic, seen: Seen) -> None:
    with client.messages.with_streaming_response.create(stream=True, **REQUEST) as response:
        _all(response.iter_lines(), seen)


async def streaming_response_lines_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.with_streaming_response.create(stream=True, **REQUEST) as response:
        await _all_async(response.iter_lines(), seen)


def streaming_response_bytes(client: Anthropic, seen: Seen) -> None:
    with client.messages.with_streaming_response.create(stream=True, **REQUEST) as response:
        seen.append(b"".join(response.iter_bytes()))


async def streaming_response_bytes_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.with_streaming_response.create(stream=True, **REQUEST) as response:
        seen.append(b"".join([chunk async for chunk in response.iter_bytes()]))


EVENT_PATHS = [
    Path(f"{read.__name__}", read, is_async=is_async)
    for is_async, reads in (
        (
            False,
            (
                create_for,
                create_next,
                create_mixed,
                create_with,
                beta_create,
                post,
                stream_events,
                stream_text,
                stream_final_message,
                stream_final_text,
                stream_until_done,
                beta_stream,
                raw_parse,
                raw_parse_twice,
                streaming_response_parse,
            ),
        ),
        (
            True,
            (
                create_for_async,
                create_next_async,
                create_mixed_async,
                create_with_async,
                beta_create_async,
                post_async,
                stream_events_async,
                stream_text_async,
                stream_final_message_async,
                stream_final_text_async,
                stream_until_done_async,
                beta_stream_async,
                raw_parse_async,
                raw_parse_twice_async,
                streaming_response_parse_async,
            ),
        ),
    )
    for read in reads
]
BYTES_PATHS = [
    Path("streaming_response_lines", streaming_response_lines, sees_events=False),
    Path("streaming_response_bytes", streaming_response_bytes, sees_events=False),
    Path("streaming_response_lines_async", streaming_response_lines_async, is_async=True, sees_events=False),
    Path("streaming_response_bytes_async", streaming_response_bytes_async, is_async=True, sees_events=False),
]
