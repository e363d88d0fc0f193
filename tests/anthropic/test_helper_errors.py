"""Whose exception it is that leaves the block: the SDK's, which cannot read what came, or the application's own."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Script, error_response
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.messages import path_of
from tests.anthropic.paths import REQUEST
from tests.anthropic.readers import MESSAGE, MIDDLE_OF_TEXT, async_client, helper, opened, read_events, sync_client
from tests.stainless.api import Seen
from tests.stainless.paths import Path, plain
from tests.stainless.spans import abort_of, attributes, ended_spans, ending_of

pytestmark = pytest.mark.usefixtures("quick_collection")


def broken_tool_input() -> Script:
    """A word without quotes, as fine-grained tool streaming may bring it."""
    return list(
        wire.whole_message(
            wire.text_block(0, "I look it up."),
            wire.tool_block(1, "get_weather", '{"city": Rome}'),
            stop_reason="tool_use",
        )
    )


def delta_without_usage() -> Script:
    """As some servers of other makers end a message."""
    whole = list(wire.whole_message(wire.text_block(0, "Hi you")))
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    return [*whole[:-2], wire.Event("message_delta", delta), whole[-1]]


def block_out_of_order() -> Script:
    """The first block has a number that leaves a gap."""
    return [wire.message_start(), *wire.text_block(3, "Hi you"), wire.message_delta("end_turn", 3), wire.message_stop()]


def delta_without_block() -> Script:
    """A delta of a block that never began."""
    return [wire.message_start(), *list(wire.text_block(0, "Hi"))[1:], wire.message_stop()]


def start_without_content() -> Script:
    """The message that begins has no list of blocks."""
    message = {"id": wire.MESSAGE_ID, "type": "message", "role": "assistant", "model": wire.MODEL}
    start = wire.Event("message_start", {"type": "message_start", "message": message})
    return [start, *wire.text_block(0, "Hi you"), wire.message_delta("end_turn", 3), wire.message_stop()]


BODIES = [
    pytest.param(block_out_of_order(), "text", id="block out of order"),
    pytest.param(delta_without_block(), "between_blocks", id="delta without block"),
    pytest.param(start_without_content(), "waiting", id="start without content"),
    pytest.param(broken_tool_input(), "tool_input", id="broken tool input"),
    pytest.param(delta_without_usage(), "after_stop_reason", id="delta without usage"),
]


def helper_error(phase: str) -> dict[str, object]:
    return {
        "llm_stream.outcome": "error",
        "error.type": "client_error",
        "llm_stream.phase": phase,
        "llm_stream.observed": None,
        "status": StatusCode.ERROR,
    }


def failure_of(span: ReadableSpan) -> dict[str, object]:
    """How it ended; without whether its content is whole, which is another question."""
    return {name: value for name, value in ending_of(span).items() if name != "llm_stream.partial"}


# --- readers of the helper -----------------------------------------------------------------------------------------


def events(client: Anthropic, seen: Seen) -> None:
    with client.messages.stream(**REQUEST) as stream:
        for event in stream:
            seen.append(plain(event))


def text(client: Anthropic, seen: Seen) -> None:
    with client.messages.stream(**REQUEST) as stream:
        for piece in stream.text_stream:
            seen.append(piece)


def final_message(client: Anthropic, seen: Seen) -> None:
    with client.messages.stream(**REQUEST) as stream:
        seen.append(plain(stream.get_final_message()))


def beta_events(client: Anthropic, seen: Seen) -> None:
    with client.beta.messages.stream(**REQUEST) as stream:
        for event in stream:
            seen.append(event.type)


def closed_in_finally(client: Anthropic, seen: Seen) -> None:
    stream = client.messages.stream(**REQUEST).__enter__()
    try:
        for event in stream:
            seen.append(plain(event))
    finally:
        stream.close()


def in_a_generator(client: Anthropic, seen: Seen) -> None:
    """A generator of the application has the block."""

    def pieces() -> Iterator[str]:
        with client.messages.stream(**REQUEST) as stream:
            yield from stream.text_stream

    seen.extend(pieces())


async def events_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.stream(**REQUEST) as stream:
        async for event in stream:
            seen.append(plain(event))


async def text_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.stream(**REQUEST) as stream:
        async for piece in stream.text_stream:
            seen.append(piece)


async def final_message_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.messages.stream(**REQUEST) as stream:
        seen.append(plain(await stream.get_final_message()))


async def beta_events_async(client: AsyncAnthropic, seen: Seen) -> None:
    async with client.beta.messages.stream(**REQUEST) as stream:
        async for event in stream:
            seen.append(event.type)


async def closed_in_finally_async(client: AsyncAnthropic, seen: Seen) -> None:
    stream = await client.messages.stream(**REQUEST).__aenter__()
    try:
        async for event in stream:
            seen.append(plain(event))
    finally:
        await stream.close()


async def in_a_generator_async(client: AsyncAnthropic, seen: Seen) -> None:
    async def pieces() -> AsyncIterator[str]:
        async with client.messages.stream(**REQUEST) as stream:
            async for piece in stream.text_stream:
                yield piece

    async for piece in pieces():
        seen.append(piece)


PATHS = [
    *(
        path_of(read.__name__, read)
        for read in (events, text, final_message, beta_events, closed_in_finally, in_a_generator)
    ),
    *(
        path_of(read.__name__, read)
        for read in (
            events_async,
            text_async,
            final_message_async,
            beta_events_async,
            closed_in_finally_async,
            in_a_generator_async,
        )
    ),
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
@pytest.mark.parametrize(("body", "phase"), BODIES)
def test_the_helper_cannot_read_what_came(
    path: Path,
    body: Script,
    phase: str,
    server: MessagesServer,
    instrumented: AnthropicStreamInstrumentor,
    exporter: InMemorySpanExporter,
) -> None:
    """What the SDK's helper raises above the stream is an error of the stream, in the phase that it was in."""
    server.scripts.extend([body, body])
    observed = path.run(server.url)
    spans = ended_spans(exporter)
    instrumented.uninstrument()
    bare = path.run(server.url)

    assert observed == bare
    assert [failure_of(span) for span in spans] == [helper_error(phase)]


@pytest.mark.usefixtures("instrumented")
def test_the_raw_stream_reads_what_came(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Without the helper nothing is raised for such bodies, and the streams are complete."""
    with sync_client(server.url) as client:
        list(opened(client, server, broken_tool_input()))
        list(opened(client, server, delta_without_usage()))

    assert [abort_of(span)[0] for span in ended_spans(exporter)] == ["complete", "complete"]


# --- the application's own exceptions ------------------------------------------------------------------------------


def reads_json(_: MessagesServer, __: Anthropic) -> None:
    """A ValueError, as the helper's is."""
    json.loads('{"city": Rome}')


def reads_json_as_the_sdk_does(_: MessagesServer, __: Anthropic) -> None:
    """Raised in a library that the SDK uses, called by the application."""
    anthropic.types.Message.model_validate({})


def calls_and_is_refused(server: MessagesServer, client: Anthropic) -> None:
    """Raised in the SDK, by a call that is not this stream."""
    server.scripts.append(error_response(400, "invalid_request_error", "no"))
    client.messages.create(**REQUEST)


def opens_a_stream_that_is_refused(server: MessagesServer, client: Anthropic) -> None:
    server.scripts.append(error_response(400, "invalid_request_error", "no"))
    client.messages.create(stream=True, **REQUEST)


def reads_another_stream_that_is_cut(server: MessagesServer, client: Anthropic) -> None:
    with opened(client, server, [*MESSAGE[:4], Ending.RESET]) as stream:
        list(stream)


def reads_another_stream_that_is_broken(server: MessagesServer, client: Anthropic) -> None:
    """Raised in the SDK's helper, above another stream."""
    with helper(client, server, broken_tool_input()) as stream:
        stream.until_done()


def asks_for_text_that_is_not_there(server: MessagesServer, client: Anthropic) -> None:
    """Raised in the SDK's helper, by a question of the application's about another stream, which came whole."""
    with helper(client, server, list(wire.whole_message(wire.tool_block(0, "get_weather", {})))) as stream:
        stream.get_final_text()


OWN_CODE: list[Callable[[MessagesServer, Anthropic], None]] = [
    reads_json,
    reads_json_as_the_sdk_does,
    calls_and_is_refused,
    opens_a_stream_that_is_refused,
    reads_another_stream_that_is_cut,
    reads_another_stream_that_is_broken,
    asks_for_text_that_is_not_there,
]


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("fail", OWN_CODE)
@pytest.mark.parametrize("open_stream", [opened, helper])
def test_the_applications_own_code_fails(
    server: MessagesServer, exporter: InMemorySpanExporter, fail: Any, open_stream: Any
) -> None:
    """What the application's own code meets in the block, be it raised by the SDK, is why the reader left."""
    with sync_client(server.url) as client:
        with suppress(Exception), open_stream(client, server) as stream:
            read_events(stream, MIDDLE_OF_TEXT)
            fail(server, client)
        spans = ended_spans(exporter)
    outer = min(spans, key=lambda span: span.start_time or 0)

    assert abort_of(outer) == ("aborted", "consumer_error", "text")
    assert outer.status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes(outer)


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("open_stream", [opened, helper])
def test_the_applications_own_code_fails_in_a_task(
    server: MessagesServer, exporter: InMemorySpanExporter, open_stream: Any
) -> None:
    """The same in a task, where another stream's helper raises in the block."""

    async def read_broken(client: AsyncAnthropic) -> None:
        async with helper(client, server, broken_tool_input()) as stream:
            await stream.until_done()

    async def main() -> None:
        async with async_client(server.url) as client:
            given = open_stream(client, server)
            async with given if open_stream is helper else await given as stream:
                for _ in range(MIDDLE_OF_TEXT):
                    await stream.__anext__()
                await read_broken(client)

    with suppress(ValueError):
        asyncio.run(main())
    outer, inner = sorted(ended_spans(exporter), key=lambda span: span.start_time or 0)

    assert abort_of(outer) == ("aborted", "consumer_error", "text")
    assert failure_of(inner) == helper_error("tool_input")
