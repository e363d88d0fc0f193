"""A blocked event loop over a socket: the application's own time, and nobody's stall but its own."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config, event_loop, runtime
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script, Wait
from streamspan.cli.demo.server import MessagesServer
from streamspan.event_loop import INTERVAL
from tests.anthropic.paths import REQUEST
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

BLOCK = 0.4
SEEN = BLOCK - INTERVAL - 0.01  # of it, at the least
MESSAGE = list(wire.whole_message(wire.text_block(0, "Your order left our warehouse this morning.", size=8)))


@pytest.fixture
def started(tracer_provider: TracerProvider) -> Iterator[Callable[..., None]]:
    instrumentor = AnthropicStreamInstrumentor()

    def start(**settings: Any) -> None:
        instrumentor.instrument(tracer_provider=tracer_provider, config=Config(stall_seconds=0.25, **settings))

    yield start
    instrumentor.uninstrument()


def sleep() -> None:
    time.sleep(BLOCK)


def compute() -> None:
    until = time.perf_counter() + BLOCK
    while time.perf_counter() < until:
        sum(range(1000))


async def read(url: str, between: Callable[[int], None]) -> None:
    http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
    async with AsyncAnthropic(base_url=url, api_key="none", max_retries=0, http_client=http_client) as client:
        number = 0
        async for _ in await client.messages.create(**REQUEST, stream=True):
            between(number)
            number += 1


def nothing(number: int) -> None:
    del number


async def blocked_by_another_task(server: MessagesServer, at: int, block: Callable[[], None]) -> int:
    """Read a stream whose server goes on, after so many events, when the loop is blocked. Gives the watches."""
    goes_on = threading.Event()
    script: Script = [*MESSAGE[:at], Wait(goes_on), *MESSAGE[at:]]
    server.scripts.append(script)
    reading = asyncio.create_task(read(server.url, nothing))
    while not is_waiting(at):  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0.005)
    watches = int(asyncio.get_running_loop() in event_loop._watches)
    goes_on.set()
    block()
    await reading
    return watches


def is_waiting(at: int) -> bool:
    """Whether the reader has read so many events, and is inside the next read. Without any: it waits for headers."""
    streams: list[Any] = [*runtime.open_streams()]
    states = [stream.lifecycle.state for stream in streams]
    if not at:
        return states == ["opening"]
    chunks = [stream.facts()[0].chunk_count for stream in streams]
    return states == ["reading"] and chunks == [max(at - 3, 0)]  # the start, a ping and the block are no chunks


def numbers(exporter: InMemorySpanExporter) -> tuple[dict[str, Any], list[object]]:
    """Our attributes without their prefix, with the duration of the span; and whom each stall is ascribed to."""
    [span] = ended_spans(exporter)
    found: dict[str, Any] = {name.removeprefix("llm_stream."): value for name, value in attributes(span).items()}
    found["duration"] = ((span.end_time or 0) - (span.start_time or 0)) / 1e9
    stalls = [event.attributes or {} for event in span.events if event.name == "llm_stream.stall"]
    return found, [stall["llm_stream.stall.waited_for"] for stall in stalls]


@pytest.mark.parametrize("block", [sleep, compute])
def test_a_block_in_a_read_is_the_loops(
    block: Callable[[], None],
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    started: Callable[..., None],
) -> None:
    """It is `blocked_time` and a stall of the event loop's. The provider's time is only the rest of the wait."""
    started()
    asyncio.run(blocked_by_another_task(server, 5, block))

    found, stalls = numbers(exporter)
    times = [found[name] for name in ("provider.time", "transit.time", "event_loop.blocked_time", "consumer.time")]

    assert found["event_loop.blocked_time"] >= SEEN
    assert "event_loop" in stalls
    assert sum(times) == pytest.approx(found["duration"] - found["gen_ai.response.time_to_first_chunk"], abs=0.001)


def test_a_block_while_the_call_opens(
    server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[..., None]
) -> None:
    """It counts before the first chunk, too, where there is no time of the provider's."""
    started()
    asyncio.run(blocked_by_another_task(server, 0, sleep))

    found, stalls = numbers(exporter)

    assert found["event_loop.blocked_time"] >= SEEN
    assert stalls == []


def test_a_loop_that_is_not_watched(
    server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[..., None]
) -> None:
    """No timer is made, and the block is the provider's, as far as anybody can tell."""
    started(watch_event_loop=False)
    watches = asyncio.run(blocked_by_another_task(server, 5, sleep))

    found, stalls = numbers(exporter)

    assert (watches, found["event_loop.blocked_time"], stalls) == (0, 0.0, ["provider"])
    assert found["provider.time"] >= BLOCK
    assert found["stall.count"] == 1


def test_a_reader_that_blocks_its_own_loop_between_two_reads(
    server: MessagesServer, exporter: InMemorySpanExporter, started: Callable[..., None]
) -> None:
    """It waits for nobody then: that is the reader's time."""
    started()
    server.scripts.append([b"".join(event.encoded() for event in MESSAGE)])
    asyncio.run(read(server.url, lambda number: sleep() if number == 5 else None))

    found, stalls = numbers(exporter)

    assert (found["event_loop.blocked_time"], stalls) == (0.0, [])
    assert found["consumer.time"] >= BLOCK
