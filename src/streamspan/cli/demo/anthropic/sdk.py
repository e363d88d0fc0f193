"""The Anthropic SDK, as the applications of the stories use it."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import anthropic

from streamspan.cli.demo.applications import MAX_TOKENS, NO_PROXY, QUESTION
from streamspan.cli.demo.wire import MODEL

from .messages import Messages


def request(model: str = MODEL, max_tokens: int = MAX_TOKENS) -> dict[str, Any]:
    return {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": QUESTION}]}


@dataclass(frozen=True, slots=True)
class Client:
    """Sync or async, as the SDK's client is."""

    sdk: anthropic.Anthropic | anthropic.AsyncAnthropic

    def create(self, *, max_tokens: int = MAX_TOKENS) -> Any:
        return self.sdk.messages.create(**request(max_tokens=max_tokens), stream=True)

    def stream(self) -> Any:
        return self.sdk.messages.stream(**request())


class MessagesApi:
    error = anthropic.APIStatusError

    def wire(self) -> Messages:
        return Messages()

    @contextmanager
    def client(self, url: str) -> Generator[Client]:
        with sync_sdk(url) as sdk:
            yield Client(sdk)

    @asynccontextmanager
    async def async_client(self, url: str) -> AsyncGenerator[Client]:
        async with async_sdk(url) as sdk:
            yield Client(sdk)

    def wait_for_answer(self, stream: Any) -> None:
        stream.get_final_message()

    def texts(self, stream: Any) -> AsyncIterator[str]:
        return stream.text_stream

    def tool_input(self, event: Any) -> str:
        has_delta = event.type == "content_block_delta" and event.delta.type == "input_json_delta"
        return event.delta.partial_json if has_delta else ""


def sync_sdk(url: str) -> anthropic.Anthropic:
    http_client = anthropic.DefaultHttpxClient(mounts=NO_PROXY)
    return anthropic.Anthropic(base_url=url, api_key="demo", http_client=http_client)


def async_sdk(url: str) -> anthropic.AsyncAnthropic:
    http_client = anthropic.DefaultAsyncHttpxClient(mounts=NO_PROXY)
    return anthropic.AsyncAnthropic(base_url=url, api_key="demo", http_client=http_client)
