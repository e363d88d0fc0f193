"""How the reader uses the Anthropic SDK: see `sdk.py`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import anthropic

T = TypeVar("T")
PACKAGE = anthropic
CLIENT, ASYNC_CLIENT = anthropic.Anthropic, anthropic.AsyncAnthropic
INSTRUMENTOR = "AnthropicStreamInstrumentor"
ADDRESS = "https://api.anthropic.com"
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "request-id": "req_011CSHoEeqs5C35K2UUqR7Fy",
    "anthropic-organization-id": "7c1d6bb0-6d1f-4a0e-9a53-6f1a6a0ad6e5",
}
IMPORTED_BY_THE_FIRST_CALL = ("lib.streaming", "resources.messages", "resources.beta.messages")
ITEMS_BEFORE_THE_FIRST_DELTA = 2
"""`message_start` and `content_block_start`."""


def own_tracing(tracer_provider: object, *, on: bool) -> dict[str, Any]:
    """The client's option for it."""
    return {"open_telemetry": {"tracer_provider": tracer_provider, "traces": on}}


def request(model: str, deltas: int) -> dict[str, Any]:
    return {"model": model, "max_tokens": deltas, "messages": [{"role": "user", "content": "Tell me a story."}]}


def read(client: Any, path: str, consume: Callable[[Iterator[object]], T], *wish: Any) -> T:
    if path == "create":
        return consume(iter(client.messages.create(**request(*wish), stream=True)))
    with client.messages.stream(**request(*wish)) as stream:
        return consume(iter(stream.text_stream))


async def read_async(client: Any, path: str, consume: Callable[[AsyncIterator[object]], Awaitable[T]], *wish: Any) -> T:
    if path == "create":
        return await consume(aiter(await client.messages.create(**request(*wish), stream=True)))
    async with client.messages.stream(**request(*wish)) as stream:
        return await consume(aiter(stream.text_stream))
