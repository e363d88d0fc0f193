"""Reads streams and measures what that costs, on command: one process, in the environment of whoever is measured.

    python benchmarks/reader.py PROVIDER [URL]      then commands on stdin, answers on stdout: a line of JSON each

Without a URL, the client's transport is `transport.py`, and the command `prepare` gives it its responses.

All variants of an environment are measured in the same process, put on and taken off again for each measurement:
between two processes the very same code differs by 2 %, which is as much as streamspan adds to a delta; within one it
is a tenth of that. What is measured is CPU time of the thread that reads, in which an event loop runs as well. The
garbage collector runs between measurements, not in them.
"""

import asyncio
import gc
import importlib
import json
import os
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from calls import Calls, counted
from environments import versions_of
from sdk import PROVIDER, SDK, TRACES_ITSELF
from transport import Key, PreparedTransport
from variants import RECORDING, SPANS, VARIANTS, folder_of

URL = sys.argv[2] if len(sys.argv) > 2 else None
LOOP = asyncio.new_event_loop()
REPEATS = 10  # of a profile
PREPARED: dict[Key, Sequence[bytes]] = {}

for module in SDK.IMPORTED_BY_THE_FIRST_CALL:
    importlib.import_module(f"{PROVIDER}.{module}")


# --- how a stream is read --------------------------------------------------------------------------------------------


class Clients:
    """A sync and an async client, with the SDK's own tracing on or off."""

    def __init__(self, *, traces_itself: bool) -> None:
        options: dict[str, Any] = {"base_url": URL or SDK.ADDRESS, "api_key": "none", "max_retries": 0}
        if TRACES_ITSELF:
            options |= SDK.own_tracing(RECORDING, on=traces_itself)
        transport: Any = PreparedTransport(PREPARED)
        http_client = None if URL else SDK.PACKAGE.DefaultHttpxClient(transport=transport)
        http_client_async = None if URL else SDK.PACKAGE.DefaultAsyncHttpxClient(transport=transport)
        self.synchronous = SDK.CLIENT(**options, http_client=http_client)
        self.asynchronous = SDK.ASYNC_CLIENT(**options, http_client=http_client_async)


@cache
def clients_of(variant: str) -> Clients:
    return Clients(traces_itself=VARIANTS[variant].traces_itself)


def exhaust(items: Iterator[object]) -> None:
    for _ in items:
        pass


async def exhaust_async(items: AsyncIterator[object]) -> None:
    async for _ in items:
        pass


def run(variant: str, path: str, model: str, deltas: int) -> None:
    """Read one stream to its end."""
    clients = clients_of(variant)
    if path.startswith("async "):
        wish = (path.removeprefix("async "), exhaust_async, model, deltas)
        LOOP.run_until_complete(SDK.read_async(clients.asynchronous, *wish))
    else:
        SDK.read(clients.synchronous, path, exhaust, model, deltas)


class Segments:
    """Reads a stream and takes the time of one segment after the other, so many items each. What comes before the
    first is not timed: the call, and the items by which Python specializes its code for a variant just put on.
    """

    def __init__(self, skipped: int, size: int, count: int) -> None:
        self._skipped = skipped
        self._size = size
        self._count = count

    def consume(self, items: Iterator[object]) -> list[float]:
        exhaust(islice(items, self._skipped))
        marks = [time.thread_time()]
        for _ in range(self._count):
            for _ in islice(items, self._size):
                pass
            marks.append(time.thread_time())
        exhaust(items)
        return [end - start for start, end in pairwise(marks)]

    async def consume_async(self, items: AsyncIterator[object]) -> list[float]:
        for _ in range(self._skipped):
            await anext(items)
        marks = [time.thread_time()]
        for _ in range(self._count):
            for _ in range(self._size):
                await anext(items)
            marks.append(time.thread_time())
        await exhaust_async(items)
        return [end - start for start, end in pairwise(marks)]


@contextmanager
def undisturbed() -> Generator[None]:
    """No garbage collection in this block."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# --- the commands ----------------------------------------------------------------------------------------------------


def prepare(model: str, deltas: int, pieces: list[str]) -> None:
    """The response to such a request, read by read."""
    PREPARED[model, deltas] = [piece.encode() for piece in pieces]


def spans(variant: str, path: str, model: str, deltas: int) -> int:
    """How many spans of a stream are recorded. Raises RuntimeError where the variant changes the SDK for good."""
    before = attributes_of_the_sdk()
    with VARIANTS[variant].watched():
        run(variant, path, model, deltas)
        SPANS.count = 0
        run(variant, path, model, deltas)
    after = attributes_of_the_sdk()
    changed = [f"{cls.__qualname__}.{name}" for cls, name in before if after.get((cls, name)) is not before[cls, name]]
    if changed:
        raise RuntimeError("stays in the SDK: " + ", ".join(sorted(changed)))
    freeze()
    return SPANS.count


def attributes_of_the_sdk() -> dict[tuple[type, str], object]:
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == PROVIDER]
    things: list[Any] = [thing for module in modules for thing in vars(module).values()]
    # Not isinstance(), which some stand-ins for missing packages answer with an import.
    classes: set[type] = {thing for thing in things if issubclass(type(thing), type)}
    own = [cls for cls in classes if cls.__module__.split(".")[0] == PROVIDER]
    return {(cls, name): value for cls in own for name, value in vars(cls).items() if callable(value)}


def delta_cost(variant: str, path: str, model: str, segments: tuple[int, int, int]) -> list[float]:
    """Seconds of CPU time of each segment of one stream; `segments`: see Segments."""
    skipped, size, count = segments
    clients, timed = clients_of(variant), Segments(*segments)
    wish = (model, skipped + size * count)
    with VARIANTS[variant].watched(), undisturbed():
        if not path.startswith("async "):
            return SDK.read(clients.synchronous, path, timed.consume, *wish)
        reading = SDK.read_async(clients.asynchronous, path.removeprefix("async "), timed.consume_async, *wish)
        return LOOP.run_until_complete(reading)


def stream_cost(variant: str, path: str, model: str, deltas: int, streams: int) -> list[float]:
    """Seconds of CPU time of each of so many streams, after two that are not timed."""
    with VARIANTS[variant].watched(), undisturbed():
        marks: list[float] = []
        for _ in range(streams + 2):
            run(variant, path, model, deltas)
            marks.append(time.thread_time())
        return [end - start for start, end in pairwise(marks[1:])]


def calls(variant: str, path: str, model: str, deltas: int) -> Calls:
    """What the profiler counts in one such stream."""
    with VARIANTS[variant].watched():
        for _ in range(5):
            run(variant, path, model, deltas)
        return counted(lambda: run(variant, path, model, deltas), REPEATS)


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
    held: dict[str, int] = {}

    def consume(items: Iterator[object]) -> None:
        exhaust(islice(items, SDK.ITEMS_BEFORE_THE_FIRST_DELTA + deltas))
        _, held["peak"] = tracemalloc.get_traced_memory()
        gc.collect()
        held["retained"], _ = tracemalloc.get_traced_memory()
        held["own"] = allocated_in(folder_of(variant))

    with VARIANTS[variant].watched():
        run(variant, "create", model, 5)
        gc.collect()
        tracemalloc.start()
        SDK.read(clients_of(variant).synchronous, "create", consume, model, deltas)
        tracemalloc.stop()
    return held


def allocated_in(folder: Path | None) -> int:
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, f"{folder}/*")])
    return sum(trace.size for trace in snapshot.traces)


COMMANDS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for function in (versions_of, prepare, spans, delta_cost, stream_cost, calls, start, memory)
}


def freeze() -> None:
    """What has been imported is not looked at again by each collection."""
    gc.collect()
    gc.freeze()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anybody prints is no answer
    freeze()
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
