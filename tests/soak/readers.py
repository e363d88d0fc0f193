"""How a stream is read in the soak, and how its reader leaves it: by name, sync and async side by side.

A reader that leaves does so at the first text delta. What it raises, the SDK's errors among it, is for its caller.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from .faults import Fault

SILENCE_SECONDS = 0.5  # the read timeout of those who wait for an end that does not come
PATIENCE_SECONDS = 100.0  # of all others: more than a slow machine takes


class ReaderError(Exception):
    """Raised by a reader's own code."""


@dataclass(frozen=True, slots=True)
class Call:
    """One streamed call. `number` is the stream's own, and goes on its span as `gen_ai.request.max_tokens`."""

    client: Any
    number: int
    fault: Fault
    waits_for_the_end: bool

    @property
    def request(self) -> dict[str, Any]:
        return {
            "model": self.fault,
            "max_tokens": self.number,
            "messages": [{"role": "user", "content": "Hello"}],
            "timeout": SILENCE_SECONDS if self.fault == "silence" and self.waits_for_the_end else PATIENCE_SECONDS,
        }

    def opened(self) -> Any:
        """The stream; from an async client, the awaitable of it."""
        return self.client.messages.create(stream=True, **self.request)


def to_the_first_delta(stream: Any) -> None:
    for event in stream:
        if event.type == "content_block_delta":
            break


async def to_the_first_delta_async(stream: Any) -> None:
    async for event in stream:
        if event.type == "content_block_delta":
            break


# --- to the end --------------------------------------------------------------------------------------------------


def reads_events(call: Call) -> None:
    for _ in call.opened():
        pass


async def reads_events_async(call: Call) -> None:
    async for _ in await call.opened():
        pass


def reads_text(call: Call) -> None:
    with call.client.messages.stream(**call.request) as stream:
        for _ in stream.text_stream:
            pass


async def reads_text_async(call: Call) -> None:
    async with call.client.messages.stream(**call.request) as stream:
        async for _ in stream.text_stream:
            pass


def reads_bytes(call: Call) -> None:
    with call.client.messages.with_streaming_response.create(stream=True, **call.request) as response:
        for _ in response.iter_bytes():
            pass


async def reads_bytes_async(call: Call) -> None:
    async with call.client.messages.with_streaming_response.create(stream=True, **call.request) as response:
        async for _ in response.iter_bytes():
            pass


# --- not to the end ----------------------------------------------------------------------------------------------


def breaks(call: Call) -> None:
    with call.opened() as stream:
        to_the_first_delta(stream)


async def breaks_async(call: Call) -> None:
    async with await call.opened() as stream:
        await to_the_first_delta_async(stream)


def closes(call: Call) -> None:
    stream = call.opened()
    to_the_first_delta(stream)
    stream.close()
    stream.close()


async def closes_async(call: Call) -> None:
    stream = await call.opened()
    await to_the_first_delta_async(stream)
    await stream.close()
    await stream.close()


def drops_unread(call: Call) -> None:
    call.opened()


async def drops_unread_async(call: Call) -> None:
    await call.opened()


def drops(call: Call) -> None:
    to_the_first_delta(call.opened())


async def drops_async(call: Call) -> None:
    await to_the_first_delta_async(await call.opened())


def drops_in_a_cycle(call: Call) -> None:
    holder = {"stream": call.opened()}
    holder["holder"] = holder
    to_the_first_delta(holder["stream"])


async def drops_in_a_cycle_async(call: Call) -> None:
    holder = {"stream": await call.opened()}
    holder["holder"] = holder
    await to_the_first_delta_async(holder["stream"])


def raises(call: Call) -> None:
    with call.opened() as stream:
        to_the_first_delta(stream)
        raise ReaderError


async def raises_async(call: Call) -> None:
    async with await call.opened() as stream:
        await to_the_first_delta_async(stream)
        raise ReaderError


def interrupted(call: Call) -> None:
    with call.opened() as stream:
        to_the_first_delta(stream)
        raise KeyboardInterrupt


async def cancelled_at_work(call: Call) -> None:
    async with await call.opened() as stream:
        await to_the_first_delta_async(stream)
        task = asyncio.current_task()
        if task is not None:
            task.cancel()
        await asyncio.sleep(0)


# --- by name -----------------------------------------------------------------------------------------------------

CANCELLED = "cancelled"
"""The async reader that reads events until somebody cancels it, at any time; who that is, is not told here."""

LEFT_TO_THE_COLLECTOR = frozenset({"reads events", "drops", "drops in a cycle"})
"""Those that do not close their stream. The SDK does, but up to 1.13 not after an error event or malformed data."""

READERS: Mapping[str, Callable[[Call], None]] = {
    "reads events": reads_events,
    "reads text": reads_text,
    "reads bytes": reads_bytes,
    "breaks": breaks,
    "closes": closes,
    "drops unread": drops_unread,
    "drops": drops,
    "drops in a cycle": drops_in_a_cycle,
    "raises": raises,
    "interrupted": interrupted,
}
ASYNC_READERS: Mapping[str, Callable[[Call], Coroutine[Any, Any, None]]] = {
    "reads events": reads_events_async,
    "reads text": reads_text_async,
    "reads bytes": reads_bytes_async,
    "breaks": breaks_async,
    "closes": closes_async,
    "drops unread": drops_unread_async,
    "drops": drops_async,
    "drops in a cycle": drops_in_a_cycle_async,
    "raises": raises_async,
    "interrupted": cancelled_at_work,
    CANCELLED: reads_events_async,
}
