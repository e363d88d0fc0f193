"""How the reader uses the OpenAI SDK, by chat completions: see `sdk.py`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import openai

T = TypeVar("T")
PACKAGE = openai
CLIENT, ASYNC_CLIENT = openai.OpenAI, openai.AsyncOpenAI
INSTRUMENTOR = "OpenAIStreamInstrumentor"
ADDRESS = "https://api.openai.com/v1"
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "x-request-id": "req_7d8f9f3f2b0c4a1e9d65d1a8b2c3e4f5",
    "openai-organization": "example",
    "openai-processing-ms": "412",
}
IMPORTED_BY_THE_FIRST_CALL = (
    "lib.streaming.chat",
    "resources.chat.completions.completions",
    "resources.responses.responses",
)
ITEMS_BEFORE_THE_FIRST_DELTA = 1
"""The chunk with the role."""


def own_tracing(tracer_provider: object, *, on: bool) -> dict[str, Any]:  # noqa: ARG001  # it has none
    """The client's option for it."""
    return {}


def request(model: str, deltas: int) -> dict[str, Any]:
    usage = {"stream_options": {"include_usage": True}}
    return {
        "model": model,
        "max_tokens": deltas,
        "messages": [{"role": "user", "content": "Tell me a story."}],
        **usage,
    }


def read(client: Any, path: str, consume: Callable[[Iterator[object]], T], *wish: Any) -> T:
    if path == "create":
        return consume(iter(client.chat.completions.create(**request(*wish), stream=True)))
    with client.chat.completions.stream(**request(*wish)) as stream:
        return consume(event for event in stream if event.type == "content.delta")


async def read_async(client: Any, path: str, consume: Callable[[AsyncIterator[object]], Awaitable[T]], *wish: Any) -> T:
    if path == "create":
        return await consume(aiter(await client.chat.completions.create(**request(*wish), stream=True)))
    async with client.chat.completions.stream(**request(*wish)) as stream:
        return await consume(event async for event in stream if event.type == "content.delta")
