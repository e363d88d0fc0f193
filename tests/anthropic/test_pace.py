"""Pace and loops over a real socket: the server's silences, the reader's own time, and content that repeats.

No test asserts that something was quick: a server's pause is a lower bound, and what must not wait comes in one chunk
of the body, so that no scheduler is between its events.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Head, Pause, Script, Step
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.messages import EVENT_PATHS
from tests.anthropic.paths import REQUEST
from tests.stainless.paths import Path
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

STALL_SECONDS = 0.25
SILENCE = 0.6
LEAST = 0.3  # of the silence, where the reader was late for it
TEXT = "Your order left our warehouse this morning and should be with you on Thursday, if the weather holds."
SENTENCES = (
    "I should look at the failing test first. It expects two rows and the query returns three. "
    "So the join must be wrong somewhere, and I will read it again. "
)
READS = {"create_for", "create_next", "beta_create", "stream_text", "stream_final_message", "raw_parse"}
PATHS = [path for path in EVENT_PATHS if path.name.removesuffix("_async") in READS]


def at_once(*events: wire.Event) -> bytes:
    """Events in one chunk of the body."""
    return b"".join(event.encoded() for event in events)


BEGIN = at_once(wire.message_start(), wire.ping())
END = at_once(wire.message_delta("end_turn", 21), wire.message_stop())
BLOCK = list(wire.text_block(0, TEXT, size=4))
FIRST_HALF, SECOND_HALF = at_once(*BLOCK[:14]), at_once(*BLOCK[14:])  # each of fewer chunks than a clump has
WHOLE = [BEGIN + FIRST_HALF + SECOND_HALF + END]
FROZEN: Script = [BEGIN + FIRST_HALF, Pause(SILENCE), at_once(*BLOCK[20:30], BLOCK[-1]) + END]
FREEZES_FOR_EVER: Script = [BEGIN + FIRST_HALF, Pause(inf)]


@pytest.fixture
def server() -> Iterator[MessagesServer]:
    with MessagesServer() as server:
        yield server


@pytest.fixture(autouse=True)
def instrumented(tracer_provider: TracerProvider) -> Iterator[None]:
    instrumentor = AnthropicStreamInstrumentor()
    config = Config(stall_seconds=STALL_SECONDS, repetition="exact")
    instrumentor.instrument(tracer_provider=tracer_provider, config=config)
    yield
    instrumentor.uninstrument()


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


def opened(client: Anthropic, server: MessagesServer, script: Script) -> Any:
    server.scripts.append(script)
    return client.messages.create(**REQUEST, stream=True)


def events(span: ReadableSpan, name: str) -> list[Mapping[str, Any]]:
    return [event.attributes or {} for event in span.events if event.name == f"llm_stream.{name}"]


def numbers(span: ReadableSpan) -> dict[str, Any]:
    """Our attributes without their prefix."""
    return {name.removeprefix("llm_stream."): value for name, value in attributes(span).items()}


# --- silence and stalls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_the_providers_silence_is_a_gap(path: Path, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """However the stream is read: the silence is the longest gap, a stall, and the provider's time."""
    server.scripts.append(FROZEN)
    path.run(server.url)

    [span] = ended_spans(exporter)
    [stall] = events(span, "stall")
    found = numbers(span)

    assert stall["llm_stream.stall.gap"] >= LEAST
    assert stall["llm_stream.phase"] == "text"
    assert stall["llm_stream.offset"] >= attributes(span)["gen_ai.response.time_to_first_chunk"]
    assert (found["stall.count"], found["stall.time"]) == (1, stall["llm_stream.stall.gap"])
    assert found["chunk.gap.max"] == stall["llm_stream.stall.gap"] <= found["provider.time"]
    assert found["chunk.gap.p50"] < LEAST


def test_pings_are_no_progress(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A silence with pings in it is one gap; each part would be too short for a stall."""
    part = STALL_SECONDS * 0.7
    ping = wire.ping()
    list(
        opened(
            client,
            server,
            [BEGIN + FIRST_HALF, Pause(part), ping, Pause(part), ping, at_once(*BLOCK[20:30], BLOCK[-1]) + END],
        )
    )

    [span] = ended_spans(exporter)

    assert [stall["llm_stream.stall.gap"] >= 1.9 * part for stall in events(span, "stall")] == [True]


def test_a_slow_reader_is_no_stalled_model(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The server has sent everything; the reader sleeps between two reads, longer than a stall."""
    for number, _ in enumerate(opened(client, server, WHOLE)):
        if number in {10, 20}:
            time.sleep(STALL_SECONDS * 1.2)

    [span] = ended_spans(exporter)
    found = numbers(span)

    assert found["consumer.time"] >= STALL_SECONDS * 2.3
    assert found["provider.time"] < found["consumer.time"]
    assert (found["stall.count"], found["buffered"], events(span, "stall")) == (0, False, [])


def test_a_slow_async_reader_is_no_stalled_model(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The same for a task that sleeps."""
    server.scripts.append(WHOLE)

    async def read() -> None:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        async with (
            AsyncAnthropic(base_url=server.url, api_key="none", http_client=http_client) as client,
            client.messages.stream(**REQUEST) as stream,
        ):
            number = 0
            async for _ in stream.text_stream:
                number += 1
                if number in {10, 20}:
                    await asyncio.sleep(STALL_SECONDS * 1.2)

    asyncio.run(read())

    [span] = ended_spans(exporter)
    found = numbers(span)

    assert found["consumer.time"] >= STALL_SECONDS * 2.3
    assert (found["stall.count"], found["buffered"]) == (0, False)


def test_silence_before_the_first_chunk_is_no_stall(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The clock to the first chunk tells of it."""
    list(opened(client, server, [BEGIN, Pause(SILENCE), FIRST_HALF + SECOND_HALF + END]))

    [span] = ended_spans(exporter)

    assert numbers(span)["stall.count"] == 0
    assert numbers(span)["gen_ai.response.time_to_first_chunk"] >= LEAST


def close_from_another_thread(client: Anthropic, stream: Any) -> None:
    del client
    closer = threading.Timer(SILENCE, stream.close)
    closer.start()
    with contextlib.suppress(Exception):
        list(stream)
    closer.join()


def run_into_the_timeout(client: Anthropic, stream: Any) -> None:
    del client
    with contextlib.suppress(Exception):
        list(stream)


@pytest.mark.parametrize(
    ("leave", "timeout", "outcome", "last_event"),
    [
        pytest.param(close_from_another_thread, 2.0, "aborted", "abort", id="closed"),
        pytest.param(run_into_the_timeout, SILENCE, "error", "error", id="read timeout"),
    ],
)
def test_a_stream_that_ends_during_a_stall(
    leave: Callable[[Any, Any], None],
    timeout: float,
    outcome: str,
    last_event: str,
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
) -> None:
    """The stall is told before the end, and it lasted until then."""
    stream = opened(client.with_options(timeout=timeout), server, FREEZES_FOR_EVER)
    leave(client, stream)

    [span] = ended_spans(exporter)
    [stall] = events(span, "stall")

    assert (numbers(span)["outcome"], numbers(span)["stall.count"]) == (outcome, 1)
    assert stall["llm_stream.stall.gap"] >= LEAST
    names = [event.name.removeprefix("llm_stream.") for event in span.events]
    assert names == ["first_token", "stall", "content_block", last_event]


def test_a_task_that_is_cancelled_during_a_stall(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The user gave up on a frozen stream: aborted, with the stall that explains it."""
    server.scripts.append(FREEZES_FOR_EVER)

    async def read(frozen: asyncio.Event) -> None:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        async with AsyncAnthropic(base_url=server.url, api_key="none", http_client=http_client) as client:
            stream = await client.messages.create(**REQUEST, stream=True)
            for _ in range(1 + FIRST_HALF.count(b"event: ")):
                await anext(stream)
            frozen.set()
            await anext(stream)

    async def give_up() -> None:
        frozen = asyncio.Event()
        task = asyncio.create_task(read(frozen))
        await frozen.wait()
        await asyncio.sleep(SILENCE)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(give_up())

    [span] = ended_spans(exporter)

    assert (numbers(span)["outcome"], numbers(span)["abort.reason"]) == ("aborted", "cancelled")
    assert (numbers(span)["stall.count"], len(events(span, "stall"))) == (1, 1)


# --- buffering, pauses, tokens -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "busy_before", "expected"),
    [
        pytest.param([Head(), Pause(1.1), *WHOLE], 0.0, True, id="held back"),
        pytest.param([Pause(1.1), *WHOLE], 0.0, True, id="held back with its headers"),
        pytest.param(WHOLE, 0.0, False, id="quick"),
        pytest.param(WHOLE, 1.1, False, id="the reader came late"),
        pytest.param(
            [BEGIN + FIRST_HALF, *(step for event in BLOCK[14:] for step in (Pause(0.005), event)), END],
            0.0,
            False,
            id="as a model writes",
        ),
    ],
)
def test_a_stream_in_one_burst_was_buffered(
    script: list[Step],
    busy_before: float,
    expected: bool,
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
) -> None:
    """By somebody on the way: after a long wait everything comes at once, and the reader was waiting for it."""
    stream = opened(client, server, script)
    time.sleep(busy_before)
    list(stream)

    [span] = ended_spans(exporter)

    assert numbers(span)["buffered"] is expected


def test_the_pause_before_a_tool_call(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The model thinks about its tool before the block starts; without a tool call there is no pause."""
    tool = at_once(*wire.tool_block(1, "get_order", {"id": 4711}))
    list(opened(client, server, [BEGIN + FIRST_HALF + SECOND_HALF, Pause(SILENCE), tool + END]))
    list(opened(client, server, WHOLE))

    with_tool, without = ended_spans(exporter)

    assert numbers(with_tool)["tool_call.pause"] >= LEAST
    assert "tool_call.pause" not in numbers(without)


def test_time_per_output_token(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """From the first chunk to the last over the tokens after the first; unknown where the stream was cut."""
    list(opened(client, server, FROZEN))
    list(opened(client, server, FROZEN[:-1]))

    whole, cut = ended_spans(exporter)

    assert numbers(whole)["time_per_output_token"] >= LEAST / 20
    assert "time_per_output_token" not in numbers(cut)


# --- loops -------------------------------------------------------------------------------------------------------

LOOPING_BLOCKS = {
    "text": wire.text_block(0, TEXT + SENTENCES * 8),
    "thinking": wire.thinking_block(0, TEXT + SENTENCES * 8),
    "tool_input": wire.tool_block(0, "write", '{"t":"' + TEXT[:95] + SENTENCES * 8),
}


@pytest.mark.parametrize("channel", LOOPING_BLOCKS)
def test_a_loop_is_found_in_every_channel(
    channel: str, client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """Told by an event while it goes on, and at the end with its final count; with offsets and no content."""
    list(opened(client, server, [wire.message_start(), *LOOPING_BLOCKS[channel], END]))

    [span] = ended_spans(exporter)
    [told] = events(span, "repetition")
    found = {name.removeprefix("repetition."): value for name, value in numbers(span).items() if "repetition" in name}

    assert found.pop("time") > told["llm_stream.repetition.time"] >= 0
    assert found == {
        "detected": True,
        "kind": "exact",
        "channel": channel,
        "start": len(TEXT) if channel != "tool_input" else 6 + 95,
        "period": len(SENTENCES),
        "count": 8,
        "chars": 8 * len(SENTENCES),
        "recovered": False,
    }
    assert told["llm_stream.repetition.start"] == found["start"]
    assert 3 <= told["llm_stream.repetition.count"] < 8
    assert "failing" not in span.to_json()


def test_what_does_not_loop(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """`detected` is there, and false."""
    list(opened(client, server, WHOLE))

    [span] = ended_spans(exporter)

    assert {name: value for name, value in numbers(span).items() if "repetition" in name} == {
        "repetition.detected": False
    }
