"""Every way to read a stream to its end that all APIs have, sync and async, and what an application sees of it.

What differs between two runs by nature (object identities, times) is not in it.
"""

import asyncio
import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.stainless.api import Api, Sdk, Seen


@dataclass(frozen=True)
class Path:
    """A way to read a stream.

    is_common  whether every API has it, and it is not the simplest
    """

    sdk: Sdk
    name: str
    read: Callable[[Any, Seen], Any]
    is_common: bool = False

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.read)

    def run(self, url: str, **options: Any) -> Seen:
        """What an application with a client of its own sees."""
        seen: Seen = []
        if self.is_async:
            asyncio.run(self._run_async(url, seen, options))
        else:
            with self.sdk.opened(url, **options) as client:
                try:
                    self.read(client, seen)
                except Exception as error:  # noqa: BLE001  # what the application saw
                    seen.append(plain_error(error))
        return seen

    async def _run_async(self, url: str, seen: Seen, options: dict[str, Any]) -> None:
        async with self.sdk.opened_async(url, **options) as client:
            try:
                await self.read(client, seen)
            except Exception as error:  # noqa: BLE001  # what the application saw
                seen.append(plain_error(error))


def plain_error(error: Exception) -> tuple[str, str]:
    return type(error).__name__, str(error)


def plain(value: Any) -> object:
    """A value that the SDK gave, as data."""
    return value.model_dump(warnings=False) if hasattr(value, "model_dump") else value


def read_all(values: Iterable[Any], seen: Seen) -> None:
    for value in values:
        seen.append(plain(value))


async def read_all_async(values: AsyncIterable[Any], seen: Seen) -> None:
    async for value in values:
        seen.append(plain(value))


# --- create(stream=True) -----------------------------------------------------------------------------------------


def create_for(api: Api, client: Any, seen: Seen) -> None:
    read_all(api.create(client), seen)


async def create_for_async(api: Api, client: Any, seen: Seen) -> None:
    await read_all_async(await api.create(client), seen)


def create_next(api: Api, client: Any, seen: Seen) -> None:
    stream = api.create(client)
    for _ in range(1000):
        seen.append(plain(next(stream)))


async def create_next_async(api: Api, client: Any, seen: Seen) -> None:
    stream = await api.create(client)
    for _ in range(1000):
        seen.append(plain(await stream.__anext__()))


def create_mixed(api: Api, client: Any, seen: Seen) -> None:
    stream = api.create(client)
    seen.append(plain(next(stream)))
    for event in stream:
        seen.append(plain(event))
        break
    read_all(stream, seen)


async def create_mixed_async(api: Api, client: Any, seen: Seen) -> None:
    stream = await api.create(client)
    seen.append(plain(await stream.__anext__()))
    async for event in stream:
        seen.append(plain(event))
        break
    await read_all_async(stream, seen)


def create_with(api: Api, client: Any, seen: Seen) -> None:
    with api.create(client) as stream:
        read_all(stream, seen)


async def create_with_async(api: Api, client: Any, seen: Seen) -> None:
    async with await api.create(client) as stream:
        await read_all_async(stream, seen)


def _post(api: Api, client: Any, stream_class: Any) -> Any:
    route, answer, event = api.route
    body = {**api.request, "stream": True}
    return client.post(route, cast_to=answer, body=body, stream=True, stream_cls=stream_class[event])


def post(api: Api, client: Any, seen: Seen) -> None:
    read_all(_post(api, client, api.sdk.module.Stream), seen)


async def post_async(api: Api, client: Any, seen: Seen) -> None:
    await read_all_async(await _post(api, client, api.sdk.module.AsyncStream), seen)


# --- raw responses -----------------------------------------------------------------------------------------------


def _raw(api: Api, client: Any) -> Any:
    return api.resource(client).with_raw_response.create(stream=True, **api.request)


def _streaming(api: Api, client: Any) -> Any:
    return api.resource(client).with_streaming_response.create(stream=True, **api.request)


async def _parsed(response: Any) -> Any:
    """In some versions of an SDK `parse()` is a coroutine."""
    parsed: Any = response.parse()
    return await parsed if inspect.isawaitable(parsed) else parsed


def raw_parse(api: Api, client: Any, seen: Seen) -> None:
    read_all(_raw(api, client).parse(), seen)


async def raw_parse_async(api: Api, client: Any, seen: Seen) -> None:
    await read_all_async(await _parsed(await _raw(api, client)), seen)


def raw_parse_twice(api: Api, client: Any, seen: Seen) -> None:
    response = _raw(api, client)
    stream = response.parse()
    seen.append(response.parse() is stream)
    read_all(stream, seen)


async def raw_parse_twice_async(api: Api, client: Any, seen: Seen) -> None:
    response = await _raw(api, client)
    stream = await _parsed(response)
    seen.append(await _parsed(response) is stream)
    await read_all_async(stream, seen)


def streaming_response_parse(api: Api, client: Any, seen: Seen) -> None:
    with _streaming(api, client) as response:
        read_all(response.parse(), seen)


async def streaming_response_parse_async(api: Api, client: Any, seen: Seen) -> None:
    async with _streaming(api, client) as response:
        await read_all_async(await response.parse(), seen)


def streaming_response_lines(api: Api, client: Any, seen: Seen) -> None:
    with _streaming(api, client) as response:
        read_all(response.iter_lines(), seen)


async def streaming_response_lines_async(api: Api, client: Any, seen: Seen) -> None:
    async with _streaming(api, client) as response:
        await read_all_async(response.iter_lines(), seen)


def streaming_response_bytes(api: Api, client: Any, seen: Seen) -> None:
    with _streaming(api, client) as response:
        seen.append(b"".join(response.iter_bytes()))


async def streaming_response_bytes_async(api: Api, client: Any, seen: Seen) -> None:
    async with _streaming(api, client) as response:
        seen.append(b"".join([chunk async for chunk in response.iter_bytes()]))


# --- the paths of an API -----------------------------------------------------------------------------------------

READS_OF_EVENTS: Sequence[Callable[[Api, Any, Seen], Any]] = (
    create_for,
    create_for_async,
    create_next,
    create_next_async,
    create_mixed,
    create_mixed_async,
    create_with,
    create_with_async,
    post,
    post_async,
    raw_parse,
    raw_parse_async,
    raw_parse_twice,
    raw_parse_twice_async,
    streaming_response_parse,
    streaming_response_parse_async,
)
READS_OF_BYTES: Sequence[Callable[[Api, Any, Seen], Any]] = (
    streaming_response_lines,
    streaming_response_lines_async,
    streaming_response_bytes,
    streaming_response_bytes_async,
)


def event_paths(api: Api) -> list[Path]:
    """Those of every API, and those that this API alone has."""
    common = [
        Path(api.sdk, read.__name__, partial(read, api), is_common=read not in {create_for, create_for_async})
        for read in READS_OF_EVENTS
    ]
    return [*common, *(Path(api.sdk, read.__name__, read) for read in api.reads)]


def bytes_paths(api: Api) -> list[Path]:
    return [Path(api.sdk, read.__name__, partial(read, api)) for read in READS_OF_BYTES]
