# ruff: noqa: T201  # a script prints
"""Measures what docs/collector.md says about sizes, on this machine:

    STREAMSPAN_COLLECTOR="$(make --silent collector)" .venv-test/bin/python -m tests.stack.sizing

The trace is a request with two siblings and a stream with two tool calls, as the library writes it.
"""

import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from streamspan.cli.demo.anthropic.provider import PROVIDER
from tests.stack.application import Application
from tests.stack.backend import Backend
from tests.stack.collector import Collector, wait_until
from tests.stack.flood import TRACES_PER_REQUEST, Flood, flood_of

SENDERS = 2
SECONDS = 8.0
RUNS = 3
HELD_REQUESTS = 400
PLENTY = {"MEMORY_MIB": "8000", "TRACES_WAITING": "1000000"}


def main() -> int:
    binary = Path(os.environ["STREAMSPAN_COLLECTOR"])
    with Application(None) as application:
        application.play([story for story in PROVIDER.stories if story.name == "tools"])
        flood = flood_of(application.spans)
    spans_per_trace = flood.spans_per_request // TRACES_PER_REQUEST
    print(f"a trace: {spans_per_trace} spans, {len(flood.body) // TRACES_PER_REQUEST} bytes on the wire")
    for title, files, settings in (
        ("gateway, keeps 10 %", ["gateway.yaml"], {}),
        ("gateway, keeps all", ["gateway.yaml"], {"SAMPLING_PERCENTAGE": "100"}),
        ("gateway, keeps 10 %, with metrics from spans", ["gateway.yaml", "metrics-from-spans.yaml"], {}),
    ):
        runs = [throughput(binary, flood, files, settings) for _ in range(RUNS)]
        cpu, rate = median(cpu for cpu, _ in runs), median(rate for _, rate in runs)
        print(f"{title}: {cpu:.0f} us of CPU a span, {1e6 / cpu:.0f} spans/s on one core; sent {rate:.0f} spans/s")
    heap, resident = held(binary, flood)
    print(f"a trace that waits: {heap / 1024:.1f} KiB of heap, {resident / 1024:.1f} KiB resident")
    return 0


def throughput(binary: Path, flood: Flood, files: list[str], settings: Mapping[str, str]) -> tuple[float, float]:
    """CPU microseconds per span, and the spans per second that were taken."""
    with Backend() as backend, TemporaryDirectory() as folder:
        few = {**PLENTY, "TRACES_WAITING": "10000", "BACKEND_ENDPOINT": backend.endpoint, **settings}
        with Collector(binary, files, Path(folder), few) as gateway:
            cpu_before, started_at = gateway.cpu_seconds, time.monotonic()

            def send() -> int:
                taken = 0
                while time.monotonic() < started_at + SECONDS:
                    taken += flood.send(gateway)
                return taken

            with ThreadPoolExecutor(SENDERS) as senders:
                sending = [senders.submit(send) for _ in range(SENDERS)]
                spans = sum(sent.result() for sent in sending) * flood.spans_per_request
            seconds = time.monotonic() - started_at
            return (gateway.cpu_seconds - cpu_before) / spans * 1e6, spans / seconds


def held(binary: Path, flood: Flood) -> tuple[float, float]:
    """Bytes of live heap and of resident memory for each trace that waits."""
    with TemporaryDirectory() as folder:
        settings = {**PLENTY, "SAMPLING_PERCENTAGE": "0", "GOGC": "10"}
        with Collector(binary, ["gateway.yaml"], Path(folder), settings) as gateway:
            heap_before, resident_before = heap_of(gateway), gateway.memory_mib
            for _ in range(HELD_REQUESTS):
                assert flood.send(gateway)
            traces = HELD_REQUESTS * TRACES_PER_REQUEST
            waiting = "otelcol_processor_tail_sampling_sampling_traces_on_memory"
            wait_until(lambda: gateway.metric(waiting) == traces)
            resident = (gateway.memory_mib - resident_before) * 1024 * 1024
            return (heap_of(gateway) - heap_before) / traces, resident / traces


def heap_of(gateway: Collector) -> float:
    return gateway.metric("otelcol_process_runtime_heap_alloc_bytes")


if __name__ == "__main__":
    sys.exit(main())
