"""Bodies of every shape over a real socket through the real SDK: the span says what a reader of the body alone says.

`STREAMSPAN_RECORDINGS` names a folder with more of them, recorded ones, in files that end in `.sse`.
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anthropic
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic import sse
from tests.anthropic.bodies import BODIES, Body
from tests.anthropic.spans import blame

RECORDED = [
    Body(path.stem, path.read_bytes(), is_beta=True)
    for path in sorted(Path(os.environ.get("STREAMSPAN_RECORDINGS", os.devnull)).glob("*.sse"))
]
REQUEST: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "Hi"}],
}

Events = Sequence[Mapping[str, object]]
"""What the application saw."""


def messages_of(client: Any, body: Body) -> Any:
    return client.beta.messages if body.is_beta else client.messages


def dumped(event: Any) -> Mapping[str, object]:
    """The event as data. SDKs older than a recording keep values that their types do not have."""
    return {"class": type(event).__name__, **event.model_dump(warnings=False)}


def created(url: str, body: Body) -> Events:
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
        return [dumped(event) for event in messages_of(client, body).create(stream=True, **REQUEST)]


def streamed(url: str, body: Body) -> Events:
    with (
        anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client,
        messages_of(client, body).stream(**REQUEST) as stream,
    ):
        return [dumped(event) for event in stream]


async def _created_async(url: str, body: Body) -> Events:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
        stream = await messages_of(client, body).create(stream=True, **REQUEST)
        return [dumped(event) async for event in stream]


async def _streamed_async(url: str, body: Body) -> Events:
    async with (
        anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client,
        messages_of(client, body).stream(**REQUEST) as stream,
    ):
        return [dumped(event) async for event in stream]


def created_async(url: str, body: Body) -> Events:
    return asyncio.run(_created_async(url, body))


def streamed_async(url: str, body: Body) -> Events:
    return asyncio.run(_streamed_async(url, body))


Read = Callable[[str, Body], Events]
every_body = pytest.mark.parametrize("body", [pytest.param(body, id=body.name) for body in (*BODIES, *RECORDED)])
every_way = pytest.mark.parametrize("read", [created, streamed, created_async, streamed_async])


def cut_anywhere(data: bytes) -> Iterator[bytes]:
    """The body in pieces of 1 to 200 bytes, cut without regard to lines, events or chars; always the same."""
    lengths = random.Random(len(data))
    start = 0
    while start < len(data):
        end = start + lengths.randint(1, 200)
        yield data[start:end]
        start = end


def picked(facts: Mapping[str, object] | None, names: Mapping[str, object]) -> Mapping[str, object]:
    """The facts of these names; None is one that is absent."""
    return {name: (facts or {}).get(name) for name in names}


def events_of(span: ReadableSpan, name: str, expected: Sequence[Mapping[str, object]]) -> Events:
    """The attributes of the span's events of this name, those that are expected of them."""
    names = dict.fromkeys(key for facts in expected for key in facts)
    return [picked(event.attributes, names) for event in span.events if event.name == name]


def said(span: ReadableSpan, expected: sse.Recorded) -> sse.Recorded:
    """What the span says of all that is expected of it."""
    [first_token] = [event.attributes or {} for event in span.events if event.name == "llm_stream.first_token"]
    return sse.Recorded(
        attributes=picked(span.attributes, expected.attributes),
        first_token_kind=str(first_token["llm_stream.first_token.kind"]),
        content_blocks=events_of(span, "llm_stream.content_block", expected.content_blocks),
        tool_calls=events_of(span, "llm_stream.tool_call", expected.tool_calls),
    )


@every_way
@every_body
@pytest.mark.usefixtures("instrumented")
def test_the_span_says_what_the_body_says(
    body: Body, read: Read, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """Blocks, stop reason, usage, chars, chunks and tool calls are those of the body, in one piece or in many."""
    expected = sse.recorded(body.data.decode())
    server.scripts += [[body.data], [*cut_anywhere(body.data)]]

    read(server.url, body)
    read(server.url, body)

    spans = exporter.get_finished_spans()
    assert [said(span, expected) for span in spans] == [expected, expected]
    assert [blame(span) for span in spans] == [{}, {}]


@every_way
@every_body
def test_the_application_sees_the_same_events(
    body: Body, read: Read, server: MessagesServer, instrumented: AnthropicStreamInstrumentor
) -> None:
    """Every event of the SDK, derived ones too, is of the same class and content as without instrumentation."""
    script = [*cut_anywhere(body.data)]
    server.scripts += [script] * 3

    read(server.url, body)  # SDK 0.51 builds some models in another way when it meets their types first
    observed = read(server.url, body)
    instrumented.uninstrument()
    bare = read(server.url, body)

    assert observed == bare


def test_the_reading_of_a_body() -> None:
    """The reader of bodies makes of one what a person reads in it."""
    body = """event: message_start
data: {"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "usage": {"input_tokens": 7,
data: "cache_read_input_tokens": 100, "cache_creation_input_tokens": 10, "output_tokens": 1}}}

event: content_block_start
data: {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm é"}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "abc"}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 0}

event: content_block_start
data: {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t_1", "name": "get"}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{]"}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 1}

event: message_delta
data: {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"input_tokens": null,
data: "output_tokens": 20, "server_tool_use": {"web_search_requests": 2}}}

event: message_stop
data: {"type": "message_stop"}
"""

    assert sse.recorded(body) == sse.Recorded(
        attributes={
            "gen_ai.response.id": "msg_1",
            "gen_ai.response.model": "claude-x",
            "gen_ai.response.finish_reasons": ("tool_use",),
            "anthropic.message.stop_reason": "tool_use",
            "llm_stream.stop_reason": "tool_use",
            "anthropic.response.service_tier": None,
            "llm_stream.outcome": "complete",
            "llm_stream.partial": False,
            "llm_stream.phase": None,
            "llm_stream.abort.reason": None,
            "error.type": None,
            "llm_stream.chunk.count": 2,
            "llm_stream.content_block.count": 2,
            "llm_stream.text.chars": 0,
            "llm_stream.thinking.chars": 4,
            "llm_stream.tool_input.chars": 2,
            "llm_stream.tool_call.count": 1,
            "llm_stream.tool_call.incomplete": 0,
            "llm_stream.tool_call.invalid_json": 1,
            "llm_stream.events_dropped": None,
            "gen_ai.usage.input_tokens": 117,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 100,
            "gen_ai.usage.cache_write.input_tokens": 10,
            "gen_ai.usage.reasoning.output_tokens": None,
            "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": None,
            "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": None,
            "anthropic.usage.compaction.input_tokens": None,
            "anthropic.usage.compaction.output_tokens": None,
            "anthropic.usage.advisor_message.input_tokens": None,
            "anthropic.usage.advisor_message.output_tokens": None,
            "anthropic.usage.advisor_message.model": None,
            "llm_stream.usage.web_search_requests": 2,
            "llm_stream.usage.web_fetch_requests": None,
        },
        first_token_kind="thinking",
        content_blocks=[
            {
                "llm_stream.content_block.index": 0,
                "llm_stream.content_block.type": "thinking",
                "llm_stream.content_block.chars": 4,
                "llm_stream.content_block.chunk_count": 1,
                "llm_stream.content_block.complete": True,
            },
            {
                "llm_stream.content_block.index": 1,
                "llm_stream.content_block.type": "tool_use",
                "llm_stream.content_block.chars": 2,
                "llm_stream.content_block.chunk_count": 1,
                "llm_stream.content_block.complete": True,
            },
        ],
        tool_calls=[
            {
                "gen_ai.tool.name": "get",
                "gen_ai.tool.call.id": "t_1",
                "llm_stream.tool_call.type": "tool_use",
                "llm_stream.tool_call.input_chars": 2,
                "llm_stream.tool_call.complete": False,
                "llm_stream.tool_call.valid_json": False,
            },
        ],
    )
