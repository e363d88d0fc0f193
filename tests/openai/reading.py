"""One stream of the OpenAI SDK, read over a socket: what its span says."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import MessagesServer
from tests.stainless.spans import attributes, ended_spans

REQUEST: Mapping[str, Any] = {"model": "gpt-5.5-mini", "messages": [{"role": "user", "content": "Hi"}]}
FAILURES = (openai.OpenAIError, ValueError, TypeError, AssertionError)
"""What the SDK and its helpers raise on bodies that are broken or odd."""


def sync_client(url: str) -> OpenAI:
    """A client that loads no certificates, which would take most of the time."""
    http_client = openai.DefaultHttpxClient(verify=False)
    return OpenAI(base_url=url, api_key="none", max_retries=0, http_client=http_client)


def async_client(url: str) -> AsyncOpenAI:
    http_client = openai.DefaultAsyncHttpxClient(verify=False)
    return AsyncOpenAI(base_url=url, api_key="none", max_retries=0, http_client=http_client)


def helper_of(client: Any) -> Any:
    """Where a version of the SDK has it."""
    return getattr(client.chat.completions, "stream", None) or client.beta.chat.completions.stream


def create(url: str, request: Mapping[str, Any]) -> None:
    with sync_client(url) as client:
        for _ in client.chat.completions.create(stream=True, **request):
            pass


def create_async(url: str, request: Mapping[str, Any]) -> None:
    async def read() -> None:
        async with async_client(url) as client:
            async for _ in await client.chat.completions.create(stream=True, **request):
                pass

    asyncio.run(read())


def helper(url: str, request: Mapping[str, Any]) -> None:
    with sync_client(url) as client, helper_of(client)(**request) as stream:
        for _ in stream:
            pass


def helper_async(url: str, request: Mapping[str, Any]) -> None:
    async def read() -> None:
        async with async_client(url) as client, helper_of(client)(**request) as stream:
            async for _ in stream:
                pass

    asyncio.run(read())


Way = Callable[[str, Mapping[str, Any]], None]
WAYS: tuple[Way, ...] = (create, helper_async)
"""Two of the four, of which each half is in one: the path matrix has them all."""
CREATED: tuple[Way, ...] = (create, create_async)


class OneStream:
    """Reads one stream after the other, each to its end or its error."""

    def __init__(self, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
        self._server = server
        self._exporter = exporter

    def span(self, script: Script, way: Way = create, **request: Any) -> ReadableSpan:
        self._server.scripts.append(script)
        self._exporter.clear()
        with suppress(*FAILURES):
            way(self._server.url, {**REQUEST, **request})
        [span] = ended_spans(self._exporter)
        return span

    def told(self, script: Script, way: Way = create, **request: Any) -> Mapping[str, object]:
        return attributes(self.span(script, way, **request))


def blocks(span: ReadableSpan) -> list[tuple[object, ...]]:
    """Of each block: its type, its chars, whether it was complete."""
    names = ("llm_stream.content_block.type", "llm_stream.content_block.chars", "llm_stream.content_block.complete")
    return [
        tuple((event.attributes or {}).get(name) for name in names)
        for event in span.events
        if event.name == "llm_stream.content_block"
    ]


def calls(span: ReadableSpan) -> list[tuple[object, ...]]:
    """Of each tool call: its name, its id, the chars of its input, whether it was complete."""
    names = ("gen_ai.tool.name", "gen_ai.tool.call.id", "llm_stream.tool_call.input_chars")
    return [
        tuple((event.attributes or {}).get(name) for name in (*names, "llm_stream.tool_call.complete"))
        for event in span.events
        if event.name == "llm_stream.tool_call"
    ]
