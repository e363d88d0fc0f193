"""What streamspan adds to a stream: CPU time of the reading thread, against the bare SDK in the same run.

    python benchmarks/overhead.py [--rounds 15] [--deltas 2000]

Every variant reads the same streams through the real SDK over a real socket; the server is another process. The
variants take turns in every round, so that what disturbs the machine disturbs them all. Printed are medians over the
rounds: the cost of one delta (the slope between a long stream and one of 5 deltas), of one stream of 5 deltas, and
what that is above the bare SDK.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, cast

import anthropic
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

from streamspan import AnthropicStreamInstrumentor
from streamspan.demo import wire
from streamspan.demo.script import Script
from streamspan.demo.server import Exchange, MessagesServer

SHORT = 5
STREAMS_AT_ONCE = 20  # short streams timed together
WORDS = "The stream goes on and on, one delta after the other, about fifteen chars each. " * 4

Read = Callable[[str, int], None]


def answer(exchange: Exchange) -> Script:
    """As many deltas as the request's `max_tokens` asks for, in one write."""
    deltas = int(cast("dict[str, Any]", exchange.body)["max_tokens"])
    text = (WORDS * (deltas * 15 // len(WORDS) + 1))[: deltas * 15]
    events = wire.whole_message(wire.text_block(0, text, size=15), output_tokens=deltas)
    return [b"".join(event.encoded() for event in events)]


def serve(parent: Connection) -> None:
    with MessagesServer(choose=answer) as server:
        parent.send(server.url)
        parent.recv()


@contextmanager
def served() -> Generator[str]:
    """The address of a server in a process of its own."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    yield ours.recv()
    ours.send(None)
    process.join()


# --- what reads ----------------------------------------------------------------------------------------------------


def sync_create(url: str, deltas: int) -> None:
    for _ in CLIENTS[url].messages.create(stream=True, max_tokens=deltas, model="m", messages=[]):
        pass


def sync_text_stream(url: str, deltas: int) -> None:
    with CLIENTS[url].messages.stream(max_tokens=deltas, model="m", messages=[]) as stream:
        for _ in stream.text_stream:
            pass


def async_create(url: str, deltas: int) -> None:
    async def read() -> None:
        stream = await ASYNC_CLIENTS[url].messages.create(stream=True, max_tokens=deltas, model="m", messages=[])
        async for _ in stream:
            pass

    LOOP.run_until_complete(read())


CLIENTS: dict[str, anthropic.Anthropic] = {}
ASYNC_CLIENTS: dict[str, anthropic.AsyncAnthropic] = {}
LOOP = asyncio.new_event_loop()
READS: dict[str, Read] = {"create": sync_create, "text_stream": sync_text_stream, "async create": async_create}

# --- what watches --------------------------------------------------------------------------------------------------


@contextmanager
def bare() -> Generator[None]:
    yield


@contextmanager
def streamspan(provider: TracerProvider | NoOpTracerProvider) -> Generator[None]:
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield
    instrumentor.uninstrument()


VARIANTS = {
    "bare SDK": bare,
    "streamspan, recording": lambda: streamspan(TracerProvider()),
    "streamspan, sampled out": lambda: streamspan(TracerProvider(sampler=ALWAYS_OFF)),
    "streamspan, no SDK": lambda: streamspan(NoOpTracerProvider()),
}

# --- the measurement -----------------------------------------------------------------------------------------------


def cpu_seconds(read: Read, url: str, deltas: int, times: int) -> float:
    """CPU time of this thread for one of `times` streams."""
    gc.collect()
    gc.disable()
    start = time.thread_time()
    for _ in range(times):
        read(url, deltas)
    seconds = (time.thread_time() - start) / times
    gc.enable()
    return seconds


def measure(url: str, read: Read, rounds: int, deltas: int) -> dict[str, tuple[float, float]]:
    """By variant: the cost of a delta and of a stream of 5 deltas, in seconds."""
    per_delta: dict[str, list[float]] = {name: [] for name in VARIANTS}
    per_stream: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for name, watched in VARIANTS.items():
            with watched():
                read(url, SHORT)
                short = cpu_seconds(read, url, SHORT, STREAMS_AT_ONCE)
                long = cpu_seconds(read, url, deltas, 1)
            per_delta[name].append((long - short) / (deltas - SHORT))
            per_stream[name].append(short)
    return {name: (statistics.median(per_delta[name]), statistics.median(per_stream[name])) for name in VARIANTS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--deltas", type=int, default=2000)
    arguments = parser.parse_args()
    print(
        f"anthropic {anthropic.__version__}; medians over {arguments.rounds} rounds; CPU time of the reading thread\n"
    )
    print(f"{'':14}{'':26}{'per delta':>12}{'added':>10}{'per stream':>12}{'added':>10}")
    with served() as url:
        os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"  # "bare" is the SDK without its own spans
        CLIENTS[url] = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)
        ASYNC_CLIENTS[url] = anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0)
        for path, read in READS.items():
            costs = measure(url, read, arguments.rounds, arguments.deltas)
            bare_delta, bare_stream = costs["bare SDK"]
            for name, (delta, stream) in costs.items():
                print(
                    f"{path:14}{name:26}{delta * 1e6:9.2f} us{(delta - bare_delta) * 1e6:+7.2f} us"
                    f"{stream * 1e6:9.0f} us{(stream - bare_stream) * 1e6:+7.0f} us"
                )


if __name__ == "__main__":
    main()
