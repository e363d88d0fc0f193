"""The OpenAI SDK, as the applications of the stories use it, for two APIs."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import openai

from streamspan.cli.demo.applications import MAX_TOKENS, NO_PROXY, QUESTION

from .chat import MODEL, Chat
from .responses import Responses

AnySdk = openai.OpenAI | openai.AsyncOpenAI
MESSAGES = [{"role": "user", "content": QUESTION}]


@dataclass(frozen=True, slots=True)
class ChatClient:
    """Sync or async, as the SDK's client is."""

    sdk: AnySdk

    def create(self, *, max_tokens: int = MAX_TOKENS) -> Any:
        return self.sdk.chat.completions.create(**self._request(max_tokens), stream=True)

    def stream(self) -> Any:
        completions: Any = self.sdk.chat.completions
        if not hasattr(completions, "stream"):  # before 1.92
            completions = self.sdk.beta.chat.completions
        return completions.stream(**self._request(MAX_TOKENS))

    def _request(self, max_tokens: int) -> dict[str, Any]:
        usage = {"include_usage": True}
        return {"model": MODEL, "max_completion_tokens": max_tokens, "messages": MESSAGES, "stream_options": usage}


@dataclass(frozen=True, slots=True)
class ResponsesClient:
    """The same for the other API."""

    sdk: AnySdk

    def create(self, *, max_tokens: int = MAX_TOKENS) -> Any:
        return self.sdk.responses.create(model=MODEL, input=QUESTION, max_output_tokens=max_tokens, stream=True)

    def stream(self) -> Any:
        return self.sdk.responses.stream(model=MODEL, input=QUESTION, max_output_tokens=MAX_TOKENS)


class _Clients:
    """Makes the clients of one API."""

    error = openai.APIError

    def __init__(self, of_sdk: Callable[[AnySdk], Any]) -> None:
        self._of_sdk = of_sdk

    @contextmanager
    def client(self, url: str) -> Generator[Any]:
        with sync_sdk(url) as sdk:
            yield self._of_sdk(sdk)

    @asynccontextmanager
    async def async_client(self, url: str) -> AsyncGenerator[Any]:
        async with async_sdk(url) as sdk:
            yield self._of_sdk(sdk)


class ChatApi(_Clients):
    def __init__(self) -> None:
        super().__init__(ChatClient)

    def wire(self) -> Chat:
        return Chat()

    def wait_for_answer(self, stream: Any) -> None:
        stream.get_final_completion()

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for event in stream:
            if event.type == "content.delta":
                yield event.delta

    def tool_input(self, event: Any) -> str:
        """Of a chunk, which the helper wraps and adds other events to."""
        if getattr(event, "type", "chunk") != "chunk":
            return ""
        chunk = getattr(event, "chunk", event)
        calls = [call for choice in chunk.choices for call in choice.delta.tool_calls or ()]
        return "".join(call.function.arguments for call in calls)


class ResponsesApi(_Clients):
    def __init__(self) -> None:
        super().__init__(ResponsesClient)

    def wire(self) -> Responses:
        return Responses()

    def wait_for_answer(self, stream: Any) -> None:
        stream.get_final_response()

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for event in stream:
            if event.type == "response.output_text.delta":
                yield event.delta

    def tool_input(self, event: Any) -> str:
        return event.delta if event.type == "response.function_call_arguments.delta" else ""


def sync_sdk(url: str) -> openai.OpenAI:
    http_client = openai.DefaultHttpxClient(mounts=NO_PROXY)
    return openai.OpenAI(base_url=f"{url}/v1", api_key="demo", http_client=http_client)


def async_sdk(url: str) -> openai.AsyncOpenAI:
    http_client = openai.DefaultAsyncHttpxClient(mounts=NO_PROXY)
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="demo", http_client=http_client)
