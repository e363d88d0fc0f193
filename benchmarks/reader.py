"""Reads streams and measures what that costs, on command: one process, in the environment of whoever is measured.

    python benchmarks/reader.py [URL]      then commands on stdin, answers on stdout: a line of JSON each

Without a URL, the client's transport is `transport.py`, and the command `prepare` gives it its responses.

All variants of an environment are measured in the same process, put on and taken off again for each measurement:
between two processes the very same code differs by 2 %, which is as much as streamspan adds to a delta; within one it
is a tenth of that. What is measured is CPU time of the thread that reads, in which an event loop runs as well. The
garbage collector runs between measurements, not in them.
"""

import asyncio
import gc
import importlib
import importlib.util
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anthropic
from calls import Calls, counted
from transport import Key, PreparedTransport
from variants import RECORDING, SPANS, VARIANTS, folder_of

URL = sys.argv[1] if len(sys.argv) > 1 else None
LOOP = asyncio.new_event_loop()
PREPARED: dict[Key, Sequence[bytes]] = {}
TRACES_ITSELF = importlib.util.find_spec("anthropic._tracing") is not None  # from 1.14 on

for module in ("lib.streaming", "resources.messages", "resources.beta.messages"):  # what the first call would import
    importlib.import_module(f"anthropic.{module}")


# --- how a stream is read --------------------------------------------------------------------------------------------


class Clients:
    """A sync and an async client, with the SDK's own tracing on or off."""

    def __init__(self, *, traces_itself: bool) -> None:
        options: dict[str, Any] = {"base_url": URL or "https://api.anthropic.com", "api_key": "none", "max_retries": 0}
        if TRACES_ITSELF:
            options["open_telemetry"] = {"tracer_provider": RECORDING, "traces": traces_itself}
        transport: Any = PreparedTransport(PREPARED)
        http_client = None if URL else anthropic.DefaultHttpxClient(transport=transport)
        http_client_async = None if URL else anthropic.DefaultAsyncHttpxClient(transport=transport)
        self.synchronous = anthropic.Anthropic(**options, http_client=http_client)
        self.asynchronous = anthropic.AsyncAnthropic(**options, http_client=http_client_async)


@cache
def clients_of(variant: str) -> Clients:
    return Clients(traces_itself=VARIANTS[variant].traces_itself)


def request(model: str, deltas: int) -> dict[str, Any]:
    return {"model": model, "max_tokens": deltas, "messages": [{"role": "user", "content": "Tell me a story."}]}


def read(client: anthropic.Anthropic, path: str, model: str, deltas: int) -> None:
    if path == "create":
        for _ in client.messages.create(**request(model, deltas), stream=True):
            pass
    else:
        with client.messages.stream(**request(model, deltas)) as stream:
            for _ in stream.text_stream:
                pass


async def read_async(client: anthropic.AsyncAnthropic, path: str, model: str, deltas: int) -> None:
    if path == "create":
        async for _ in await client.messages.create(**request(model, deltas), stream=True):
            pass
    else:
        async with client.messages.stream(**request(model, deltas)) as stream:
            async for _ in stream.text_stream:
                pass


def cpu_seconds(clients: Clients, path: str, model: str, deltas: int, streams: int) -> float:
    """Of one of so many streams, read one after the other."""

    async def read_all_async() -> float:
        started_at = time.thread_time()
        for _ in range(streams):
            await read_async(clients.asynchronous, path.removeprefix("async "), model, deltas)
        return time.thread_time() - started_at

    def read_all() -> float:
        started_at = time.thread_time()
        for _ in range(streams):
            read(clients.synchronous, path, model, deltas)
        return time.thread_time() - started_at

    gc.collect()
    gc.disable()
    try:
        total = LOOP.run_until_complete(read_all_async()) if path.startswith("async ") else read_all()
    finally:
        gc.enable()
    return total / streams


# --- the commands ----------------------------------------------------------------------------------------------------


def versions(*names: str) -> dict[str, str]:
    return {"python": sys.version.split()[0], **{name: version(name) for name in names}}


def prepare(model: str, deltas: int, pieces: list[str]) -> None:
    """The response to such a request, read by read."""
    PREPARED[model, deltas] = [piece.encode() for piece in pieces]


def spans(variant: str, path: str, model: str, deltas: int) -> int:
    """How many spans of a stream are recorded. Raises RuntimeError where the variant changes the SDK for good."""
    clients = clients_of(variant)
    before = attributes_of_the_sdk()
    with VARIANTS[variant].watched():
        cpu_seconds(clients, path, model, deltas, 1)
        SPANS.count = 0
        cpu_seconds(clients, path, model, deltas, 1)
    after = attributes_of_the_sdk()
    changed = [f"{cls.__qualname__}.{name}" for cls, name in before if after.get((cls, name)) is not before[cls, name]]
    if changed:
        raise RuntimeError("stays in the SDK: " + ", ".join(sorted(changed)))
    return SPANS.count


def attributes_of_the_sdk() -> dict[tuple[type, str], object]:
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "anthropic"]
    things: list[Any] = [thing for module in modules for thing in vars(module).values()]
    # Not isinstance(), which some stand-ins for missing packages answer with an import.
    classes: set[type] = {thing for thing in things if issubclass(type(thing), type)}
    own = [cls for cls in classes if cls.__module__.split(".")[0] == "anthropic"]
    return {(cls, name): value for cls in own for name, value in vars(cls).items() if callable(value)}


def cost(variant: str, path: str, model: str, sizes: list[tuple[int, int]]) -> list[float]:
    """Seconds of CPU time of one stream, for each (deltas, streams that are timed together).

    The first streams are not timed: Python specializes its code again after a variant has been put on.
    """
    clients = clients_of(variant)
    with VARIANTS[variant].watched():
        cpu_seconds(clients, path, model, *sizes[0])
        return [cpu_seconds(clients, path, model, *size) for size in sizes]


def calls(variant: str, path: str, model: str, deltas: int) -> Calls:
    """What the profiler counts in one such stream."""
    clients = clients_of(variant)
    with VARIANTS[variant].watched():
        cpu_seconds(clients, path, model, deltas, 5)
        return counted(lambda: cpu_seconds(clients, path, model, deltas, 1))


def start(variant: str) -> list[float]:
    """Seconds of CPU time: to import what every instrumentation is built on, then to import this one and instrument.

    The SDK and OpenTelemetry's are imported already, as in an application that uses them.
    """
    started_at = time.process_time()
    importlib.import_module("opentelemetry.instrumentation.instrumentor")
    base_at = time.process_time()
    with VARIANTS[variant].watched():
        return [base_at - started_at, time.process_time() - base_at]


def memory(variant: str, model: str, deltas: int) -> dict[str, int]:
    """Bytes that one stream holds after so many deltas, the most that it held until then, and those of the first that
    the variant's own code allocated.
    """
    client = clients_of(variant).synchronous
    with VARIANTS[variant].watched():
        read(client, "create", model, 5)
        gc.collect()
        tracemalloc.start()
        stream = client.messages.create(**request(model, deltas), stream=True)
        for _ in zip(range(deltas + 2), stream, strict=False):  # message_start and content_block_start come first
            pass
        _, peak = tracemalloc.get_traced_memory()
        gc.collect()
        retained, _ = tracemalloc.get_traced_memory()
        own = allocated_in(folder_of(variant))
        tracemalloc.stop()
        stream.close()
    return {"retained": retained, "peak": peak, "own": own}


def allocated_in(folder: Path | None) -> int:
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, f"{folder}/*")])
    return sum(trace.size for trace in snapshot.traces)


COMMANDS: dict[str, Callable[..., object]] = {
    function.__name__: function for function in (versions, prepare, spans, cost, calls, start, memory)
}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anybody prints is no answer
    gc.collect()
    gc.freeze()  # what the imports made is not looked at again by each collection
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        try:
            answer = {"answer": COMMANDS[command](*arguments)}
        except Exception as error:  # noqa: BLE001  # for the other side to tell
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
