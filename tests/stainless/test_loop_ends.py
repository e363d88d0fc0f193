"""Async streams that are open when their event loop ends, or that the garbage collector finds."""

import asyncio
import gc
import io
import logging
import re
from contextlib import redirect_stderr
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import open_streams
from tests.stainless.api import Api
from tests.stainless.apis import api_named
from tests.stainless.programs import instrumented_process, report, report_of
from tests.stainless.readers import read_events_async
from tests.stainless.spans import abort_of, attributes, ended_spans

IN_THE_MIDDLE = 3
CONNECTION_CLOSED = "llm_stream.abort.connection_closed"

# --- an event loop ends --------------------------------------------------------------------------------------------

LOOPS = 4
STREAMS = 5  # in each
held: list[Any] = []
READERS = ("create", "stream")
HOLDERS = ("nobody", "the module")


async def leave_open(api: Api, url: str, reader: str, holder: str) -> None:
    """Reads streams to the middle, and closes neither them nor their client."""
    client = api.sdk.unclosed_async(url)
    streams: list[Any] = []
    for _ in range(STREAMS):
        if reader == "create":
            stream = await api.create(client)
        else:
            stream = await api.helped(client).__aenter__()
        await api.read_to_text_async(stream)
        streams.append(stream)
    if holder == "the module":
        held.extend(streams)


def run_loop(api: Api, backend: str, url: str, reader: str, holder: str) -> None:
    if backend == "asyncio":
        asyncio.run(leave_open(api, url, reader, holder))
    else:
        library, options = {"uvloop": ("asyncio", {"use_uvloop": True}), "trio": ("trio", {})}[backend]
        anyio.run(leave_open, api, url, reader, holder, backend=library, backend_options=options)


def complaints_at_loop_ends(api: Api, backend: str, url: str) -> list[str]:
    """What is logged or written to stderr, each kind once: how often, the order of a set decides, of addresses."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    with redirect_stderr(output):
        for reader in READERS:
            for holder in HOLDERS:
                output.write(f"{reader}, held by {holder}:\n")
                for _ in range(LOOPS):
                    run_loop(api, backend, url, reader, holder)
                held.clear()
                gc.collect()
    logging.getLogger().removeHandler(handler)
    kinds: list[str] = []
    case = ""
    for line in output.getvalue().splitlines():
        if line.endswith(":") and "held by" in line:
            case = line
        elif re.match(r"[A-Za-z.]+(Error|Warning|Exit)?(:| [A-Z]+ )|Exception ignored", line):
            kinds.append(f"{case} {re.sub('<.*|0x[0-9a-f]+', '', line)}")
    return sorted(set(kinds))


def report_loop_ends(name: str, backend: str) -> None:
    """The program of the next test: event loops that end with streams open, without us and with us."""
    api = api_named(name)
    exporter = InMemorySpanExporter()
    with MessagesServer(choose=lambda _: api.text) as server:
        bare = complaints_at_loop_ends(api, backend, server.url)
        with instrumented_process(api.sdk, exporter):
            observed = complaints_at_loop_ends(api, backend, server.url)
            spans = ended_spans(exporter)
    report(
        {
            "new complaints": sorted({*observed} - {*bare}),
            "spans": len(spans),
            "aborts": [list(abort) for abort in {abort_of(span) for span in spans}],
            "open": len(open_streams()),
        }
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_an_event_loop_ends_with_streams_open(api: Api, backend: str) -> None:
    """Nobody complains of anything that he does not complain of without us, and each stream was dropped."""
    facts = report_of(report_loop_ends, api.name, backend, timeout=110)

    assert facts == {
        "new complaints": [],
        "spans": len(READERS) * len(HOLDERS) * LOOPS * STREAMS,
        "aborts": [["aborted", "dropped", "text"]],
        "open": 0,
    }


# --- the garbage collector -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented", "quick_collection")
@pytest.mark.parametrize("read", [0, IN_THE_MIDDLE])
def test_the_collector_finds_a_stream_of_a_loop_that_runs(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, read: int
) -> None:
    """Whether the connection of such an async stream is closed is not known, so nothing is said of it."""

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client:
            cycle: list[Any] = [await api.opened(client, server)]
            cycle.append(cycle)
            await read_events_async(cycle[0], read)
            del cycle
            gc.collect()

    asyncio.run(main())
    (span,) = ended_spans(exporter)

    assert abort_of(span)[0] == "aborted"
    assert CONNECTION_CLOSED not in attributes(span)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("instrumented", "quick_collection")
@pytest.mark.parametrize("read", [0, IN_THE_MIDDLE])
def test_the_collector_finds_a_stream_of_a_loop_that_is_closed(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, read: int
) -> None:
    """The same for a stream that outlives its event loop."""

    async def main() -> None:
        client = api.sdk.unclosed_async(server.url)
        cycle: list[Any] = [await api.opened(client, server)]
        cycle.append(cycle)
        await read_events_async(cycle[0], read)

    gc.disable()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    gc.enable()
    (span,) = ended_spans(exporter)

    assert abort_of(span)[0] == "aborted"
    assert CONNECTION_CLOSED not in attributes(span)


@pytest.mark.usefixtures("instrumented", "quick_collection")
@pytest.mark.parametrize("read", [0, IN_THE_MIDDLE])
def test_an_async_stream_is_closed(api: Api, server: MessagesServer, exporter: InMemorySpanExporter, read: int) -> None:
    """The connection of an async stream that its reader closes is closed, and the span says so."""

    async def main() -> None:
        async with api.sdk.opened_async(server.url) as client, await api.opened(client, server) as stream:
            await read_events_async(stream, read)

    asyncio.run(main())
    (span,) = ended_spans(exporter)

    assert attributes(span)[CONNECTION_CLOSED] is True
