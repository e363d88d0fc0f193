"""Thousands of streams at once, seeded faults, readers of every kind: `make soak`, or `make soak ARGS=--short`.

    python -m tests.soak.soak [--short] [--seed 1]

The server is another process. Each of three rounds reads a third of the streams, on many threads and on many tasks of
one event loop at the same time, with clients of its own, and waits until all is quiet. A fourth, short one runs under
tracemalloc, which makes everything three times as slow. What must hold:

    spans        every stream that began has one ended span at each exporter, with an ending from `endings.py`
    streams      none is open after a round
    leaks        no task is pending after a round, and there are as many file descriptors and threads as after the
                 first; with the third the process (RSS) grows by no more than its allocator wavers;
                 of what our own code allocated in the fourth round, next to nothing is held
    complaints   no warning in any log, no exception that nobody caught, no failure in the guard

One exporter gets each span as it ends; the other is slow and gets them in batches, from a thread. Both only count, so
that what grows is not the test. Exits with 1 when something does not hold.
"""
# ruff: noqa: T201  # a script prints

import argparse
import asyncio
import faulthandler
import gc
import itertools
import logging
import os
import random
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult

import streamspan
from streamspan import AnthropicStreamInstrumentor, guard, runtime, semconv

from .descriptors import allow_many, open_descriptors
from .endings import LEFT, UNOBSERVED, possible_endings
from .faults import FAULTS, Fault, served
from .readers import ASYNC_READERS, CANCELLED, LEFT_TO_THE_COLLECTOR, READERS, Call

CANCELLED_WITHIN_SECONDS = 1.0
SLOW_EXPORT_SECONDS = 0.2  # for a batch of 512
SETTLING_SECONDS = 5.0  # for what the event loop still has to close
TOLD_AT_MOST = 20
OWN_BYTES_AT_MOST = 32 * 1024  # label sets of metrics that are kept for the next stream, mostly
RSS_GROWTH_BYTES = 8 * 1024 * 1024
"""Measured in full: from -15 to 3 MiB. A leak of 2 KiB per stream would be 14 MiB."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a round."""

    threads: int
    streams_per_thread: int
    tasks: int
    streams_per_task: int

    @property
    def streams_on_threads(self) -> int:
        return self.threads * self.streams_per_thread

    @property
    def streams_on_tasks(self) -> int:
        return self.tasks * self.streams_per_task


FULL = Size(threads=50, streams_per_thread=60, tasks=1000, streams_per_task=4)
SHORT = Size(threads=10, streams_per_thread=15, tasks=100, streams_per_task=2)
SECONDS_AT_MOST = 900


@dataclass(frozen=True, slots=True)
class Planned:
    """`cancelled_after`: seconds; None: nobody cancels it."""

    number: int
    fault: Fault
    reader: str
    cancelled_after: float | None = None


def planned(rounds: Sequence[Size], seed: int) -> list[list[Planned]]:
    """The streams of each round: first those of the threads, then those of the tasks, then the last."""
    chance, numbers = random.Random(seed), itertools.count()
    return [
        [
            *(planned_stream(next(numbers), READERS, chance) for _ in range(size.streams_on_threads)),
            *(planned_stream(next(numbers), ASYNC_READERS, chance) for _ in range(size.streams_on_tasks)),
            Planned(next(numbers), "none", "reads events"),
        ]
        for size in rounds
    ]


def planned_stream(number: int, readers: Iterable[str], chance: random.Random) -> Planned:
    reader = chance.choice([*readers])
    cancelled_after = chance.uniform(0, CANCELLED_WITHIN_SECONDS) if reader == CANCELLED else None
    return Planned(number, chance.choice(FAULTS), reader, cancelled_after)


# --- what is counted ---------------------------------------------------------------------------------------------


class Begun(SpanProcessor):
    """Counts the spans that start, by the number of the stream."""

    def __init__(self, plan: Sequence[Planned]) -> None:
        self.counts = bytearray(len(plan))
        self.most_open = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.counts[number_of(span)] += 1
        self.most_open = max(self.most_open, len(runtime.open_streams()) + 1)


class Ended(SpanExporter):
    """Counts the spans that have ended, by the number of the stream and by its ending."""

    def __init__(self, plan: Sequence[Planned], seconds: float = 0.0) -> None:
        self._plan = plan
        self._seconds = seconds
        self.counts = bytearray(len(plan))
        self.endings: Counter[str] = Counter()
        self.wrong: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        time.sleep(self._seconds)
        for span in spans:
            stream, ending = self._plan[number_of(span)], ending_of(span)
            self.counts[stream.number] += 1
            self.endings[ending] += 1
            possible = possible_endings(stream.fault, stream.reader)
            if ending not in possible and len(self.wrong) < TOLD_AT_MOST:
                self.wrong.append(f"{stream}: {ending!r} is not in {sorted(possible)}")
        return SpanExportResult.SUCCESS


def number_of(span: ReadableSpan) -> int:
    return int(str((span.attributes or {})["gen_ai.request.max_tokens"]))


def ending_of(span: ReadableSpan) -> str:
    """In the words of `endings.py`."""
    attributes = span.attributes or {}
    names = ("llm_stream.outcome", "llm_stream.abort.reason", "error.type")
    return " ".join(str(attributes[name]) for name in names if name in attributes) or UNOBSERVED


class Complaints(logging.Handler):
    """Warnings of any logger, and exceptions that nobody caught."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []
        logging.captureWarnings(capture=True)
        logging.getLogger().addHandler(self)
        sys.unraisablehook = lambda uncaught: self.add(f"{uncaught.err_msg}: {uncaught.exc_value!r}")
        threading.excepthook = lambda uncaught: self.add(f"in a thread: {uncaught.exc_value!r}")

    def emit(self, record: logging.LogRecord) -> None:
        self.add(self.format(record))

    def add(self, complaint: str) -> None:
        if len(self.told) < TOLD_AT_MOST:
            self.told.append(complaint)


# --- the readers at work -----------------------------------------------------------------------------------------


class Clients:
    """A sync and an async client, for one round.

    A sync stream that is left to the garbage collector has a client of its own. The collector may run while the thread
    holds the lock of a connection pool; the HTTP library's generator, when it is closed then, waits for that lock for
    ever if it is that of its own pool. Streams on anthropic 0.51 do it without streamspan, too.
    """

    def __init__(self, url: str) -> None:
        # No bound: a stream that is dropped unread keeps its connection until its client closes, which is so without
        # streamspan too.
        limits = type(anthropic.DEFAULT_CONNECTION_LIMITS)(max_connections=None, max_keepalive_connections=100)
        self._http: dict[str, Any] = {"verify": False, "limits": limits}
        self._options: dict[str, Any] = {"base_url": url, "api_key": "none", "max_retries": 0}
        self._sync = self._client()
        async_http = anthropic.DefaultAsyncHttpxClient(**self._http)
        self._async = AsyncAnthropic(**self._options, http_client=async_http)

    def _client(self) -> Anthropic:
        return Anthropic(**self._options, http_client=anthropic.DefaultHttpxClient(**self._http))

    async def aclose(self) -> None:
        self._sync.close()
        await self._async.close()

    def read(self, stream: Planned) -> None:
        """In this thread."""
        try:
            client = self._client() if stream.reader in LEFT_TO_THE_COLLECTOR else self._sync
            READERS[stream.reader](self._call(client, stream))
        except (Exception, KeyboardInterrupt):  # noqa: BLE001  # whatever it is, the span tells of it
            return

    async def read_async(self, stream: Planned) -> None:
        """In a task of its own."""
        task = asyncio.create_task(ASYNC_READERS[stream.reader](self._call(self._async, stream)))
        await asyncio.wait([task], timeout=stream.cancelled_after)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()

    def _call(self, client: Any, stream: Planned) -> Call:
        patient = client.with_options(max_retries=1) if stream.fault == "retried" else client
        return Call(patient, stream.number, stream.fault, stream.reader not in {*LEFT, CANCELLED})


def shares(streams: Sequence[Planned], size: int) -> Iterator[Sequence[Planned]]:
    return (streams[start : start + size] for start in range(0, len(streams), size))


def read_on_threads(clients: Clients, streams: Sequence[Planned], size: Size) -> None:
    def read(share: Sequence[Planned]) -> None:
        for stream in share:
            clients.read(stream)

    threads = [threading.Thread(target=read, args=(share,)) for share in shares(streams, size.streams_per_thread)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def read_on_tasks(clients: Clients, streams: Sequence[Planned], size: Size) -> None:
    async def read(share: Sequence[Planned]) -> None:
        for stream in share:
            await clients.read_async(stream)

    await asyncio.gather(*(read(share) for share in shares(streams, size.streams_per_task)))


async def read_round(url: str, streams: Sequence[Planned], size: Size) -> list[str]:
    """What is still there when it should not be."""
    async with aclosing(Clients(url)) as clients:
        await asyncio.gather(
            asyncio.to_thread(read_on_threads, clients, streams[: size.streams_on_threads], size),
            read_on_tasks(clients, streams[size.streams_on_threads : -1], size),
        )
        await settled()
        await asyncio.to_thread(clients.read, streams[-1])
        left = [f"open: {open_stream}" for open_stream in runtime.open_streams()]
    await settled()
    return left + [f"pending: {task}" for task in other_tasks()]


async def settled() -> None:
    """The event loop closes the generators of dropped streams in tasks of its own."""
    gc.collect()
    await asyncio.sleep(0.01)  # it makes them in its next turn
    if others := other_tasks():
        await asyncio.wait(others, timeout=SETTLING_SECONDS)


def other_tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


# --- the measurement ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """What the process holds when all is quiet. `own_bytes`: what our own code has allocated while tracemalloc ran."""

    descriptors: int
    threads: int
    rss_bytes: int
    own_bytes: int

    def __str__(self) -> str:
        own, rss = self.own_bytes / 1024, self.rss_bytes / 1024 / 1024
        return f"{self.descriptors} descriptors, {self.threads} threads, RSS {rss:.1f} MiB, own {own:.1f} KiB"


def held() -> Held:
    gc.collect()
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(
        open_descriptors(),
        threading.active_count(),
        resident_pages * os.sysconf("SC_PAGE_SIZE"),
        own_bytes() if tracemalloc.is_tracing() else 0,
    )


def own_bytes() -> int:
    ours = tracemalloc.Filter(inclusive=True, filename_pattern=f"{Path(streamspan.__file__).parent}/*")
    return sum(found.size for found in tracemalloc.take_snapshot().filter_traces([ours]).statistics("filename"))


def leaks(rounds: Sequence[Held]) -> list[str]:
    """The first round is the warm-up, the last the one under tracemalloc."""
    found = [
        f"{name}: {counts}"
        for name in ("descriptors", "threads")
        if len(set(counts := [getattr(after, name) for after in rounds])) > 1
    ]
    growth = rounds[2].rss_bytes - max(rounds[0].rss_bytes, rounds[1].rss_bytes)
    if growth > RSS_GROWTH_BYTES:
        found.append(f"the process grew by {growth} bytes")
    if rounds[-1].own_bytes > OWN_BYTES_AT_MOST:
        found.append(f"our own code holds {rounds[-1].own_bytes} bytes")
    return found


def miscounted(plan: Sequence[Planned], counts: bytearray, what: str) -> list[str]:
    wrong = (f"{stream}: {count} {what}" for stream, count in zip(plan, counts, strict=True) if count != 1)
    return list(itertools.islice(wrong, TOLD_AT_MOST))


def uncounted(streams: int, reader: InMemoryMetricReader) -> list[str]:
    """Every stream is counted once, and none is open."""
    data: Any = reader.get_metrics_data()
    metrics = {metric.name: metric for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics}
    counted = {
        name: sum(point.value for point in metrics[name].data.data_points)
        for name in (semconv.STREAMS.name, semconv.ACTIVE.name)
    }
    expected = {semconv.STREAMS.name: streams, semconv.ACTIVE.name: 0}
    return [] if counted == expected else [f"the metrics have {counted} instead of {expected}"]


def soak(size: Size, seed: int) -> list[str]:
    """Everything that does not hold."""
    sizes = [size, size, size, SHORT]
    rounds = planned(sizes, seed)
    plan = [stream for streams in rounds for stream in streams]
    complaints, begun = Complaints(), Begun(plan)
    at_once, in_batches = Ended(plan), Ended(plan, SLOW_EXPORT_SECONDS)
    provider = TracerProvider()
    provider.add_span_processor(begun)
    provider.add_span_processor(SimpleSpanProcessor(at_once))
    provider.add_span_processor(BatchSpanProcessor(in_batches, max_queue_size=len(plan)))  # room for all: none is lost
    trace.set_tracer_provider(provider)
    reader = InMemoryMetricReader()
    meter_provider = MeterProvider([reader])
    AnthropicStreamInstrumentor().instrument(meter_provider=meter_provider)
    wrong: list[str] = []
    after: list[Held] = []
    with served() as url:
        for streams, round_size in zip(rounds, sizes, strict=True):
            if streams is rounds[-1]:
                tracemalloc.start()
            start = time.monotonic()
            wrong += asyncio.run(read_round(url, streams, round_size))
            provider.force_flush()
            after.append(held())
            print(f"{len(streams)} streams, {time.monotonic() - start:.1f} s, then {after[-1]}", flush=True)
    print(f"{begun.most_open} open at once; {dict(at_once.endings.most_common())}")
    wrong += miscounted(plan, begun.counts, "spans begun") + leaks(after)
    for exporter in (at_once, in_batches):
        wrong += miscounted(plan, exporter.counts, "spans ended") + exporter.wrong
    wrong += uncounted(len(plan), reader)
    return wrong + complaints.told + [f"failed: {name} {count} times" for name, count in guard.failures.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="about 1,000 streams, not 20,000")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    faulthandler.dump_traceback_later(SECONDS_AT_MOST, exit=True)
    allow_many()
    print(f"anthropic {anthropic.__version__}, seed {arguments.seed}")
    wrong = soak(SHORT if arguments.short else FULL, arguments.seed)
    print(*wrong, f"{len(wrong)} things are wrong" if wrong else "all holds", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
