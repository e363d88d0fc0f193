"""Watches: what the receiver takes goes through a short queue to the one task that joins, counts and shows it.

Until the queue has room, an exporter waits for its answer. A body that takes long to parse must not stop the view, so
that is done in a thread; one body at a time, so that the memory it takes is that of one.
"""

import asyncio
import errno
import io
import ipaddress
import sys
import time
from collections import Counter
from typing import cast

from rich.console import Console

from streamspan.cli.drawing.finished import NANOSECONDS, finished_stream, printable
from streamspan.semconv import TEST_SPAN

from .content import without_content
from .joined import Joined
from .otlp import Received, Span, received
from .receiver import Receiver
from .totals import Totals
from .view import Drawings, EndedStream, JsonLines, Lines, View

REFRESH_SECONDS = 0.2
_QUEUED_AT_MOST = 16
_TRACE_ID_BYTES = 16
_NONE_OF_OURS = "none of streamspan yet: try `streamspan doctor` in the application's environment"
_HOW_TO_SEND = """\
Listening on {url}; Ctrl-C ends. In another terminal:

  export OTEL_EXPORTER_OTLP_ENDPOINT={url}
  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
  export OTEL_BSP_SCHEDULE_DELAY=500 OTEL_METRIC_EXPORT_INTERVAL=2000
  opentelemetry-instrument python app.py

or, with no key: streamspan demo --otlp {url}
"""
_NOT_LOOPBACK = "whoever reaches this machine can send to it, and nothing is encrypted"


class Watch:
    """Everything that has come. `accept` is called by the receiver, the rest by one task."""

    def __init__(self, *, shows_content: bool) -> None:
        self._shows_content = shows_content
        self._parsing = asyncio.Lock()
        self._queue: asyncio.Queue[Received] = asyncio.Queue(_QUEUED_AT_MOST)
        self._joined = Joined(awaits_content=shows_content)
        self._totals = Totals()
        self._counts: Counter[str] = Counter()
        self._last_refusal = ""

    async def accept(self, path: str, media_type: str, body: bytes) -> None:
        """Raises what `received` raises."""
        async with self._parsing:
            batch = await asyncio.to_thread(received, path, media_type, body)
        await self._queue.put(batch)

    def refused(self, why: str) -> None:
        self._counts["requests refused"] += 1
        self._last_refusal = printable(why)

    def show(self, view: View) -> None:
        """What has come since, as much of it as there is time for until the next refresh."""
        now = time.monotonic()
        while not self._queue.empty():
            self._take(self._queue.get_nowait(), now)
            self._show_ready(view, now)
            if time.monotonic() - now >= REFRESH_SECONDS:
                break
        self._show_ready(view, now)
        view.refresh(self._totals, now, self._state())

    def finish(self, view: View) -> None:
        """Shows what is left, even what is waiting for its events."""
        now = time.monotonic()
        while not self._queue.empty():
            self._take(self._queue.get_nowait(), now)
        self._show_ready(view, float("inf"))
        view.finish(self._totals, now, self._state())

    def _take(self, batch: Received, now: float) -> None:
        self._counts["spans of others"] += batch.other_spans
        for event in batch.log_events:
            self._joined.take_event(event)
        for span in batch.spans:
            if span.name == TEST_SPAN:
                self._counts["test spans of streamspan doctor"] += 1
            else:
                self._joined.take_span(span, now)
        for gauge in batch.gauges:
            self._totals.set_gauge(gauge, now)

    def _show_ready(self, view: View, now: float) -> None:
        for span in self._joined.ready(now):
            ended = _ended_stream(span, shows_content=self._shows_content)
            self._totals.add(ended.service, ended.stream)
            view.show(ended)

    def _state(self) -> str:
        """Empty until something has come."""
        streams = self._totals.stream_count
        counts = {"streams": streams} if streams or list(self._totals) else {}
        parts = [f"{what}: {count}" for what, count in {**counts, **self._counts}.items() if count or what == "streams"]
        if self._counts["spans of others"] and not counts:
            parts.append(_NONE_OF_OURS)
        if self._last_refusal:
            parts.append(f"the last: {self._last_refusal}")
        return ", ".join(parts)


def _ended_stream(span: Span, *, shows_content: bool) -> EndedStream:
    stream = finished_stream(span.name, (span.start_ns, span.end_ns), span.status, span.attributes, span.events)
    return EndedStream(
        service=span.service,
        trace_id=span.id[:_TRACE_ID_BYTES].hex(),
        span_id=span.id[_TRACE_ID_BYTES:].hex(),
        ended_at=span.end_ns / NANOSECONDS,
        stream=stream if shows_content else without_content(stream),
        size=span.size,
    )


def run(host: str, port: int, *, as_json: bool, shows_content: bool) -> int:
    """Watches until Ctrl-C. Gives the exit status."""
    watched = Watch(shows_content=shows_content)
    views: list[View] = []

    async def watching() -> int:
        try:
            server = await Receiver(watched.accept, watched.refused).listen(host, port)
        except OSError as failure:
            print(f"streamspan: {_cannot_listen(failure, host, port)}", file=sys.stderr)
            return 1
        try:
            view = _view(_url(server), as_json=as_json)
            views.append(view)
            while True:
                watched.show(view)
                await asyncio.sleep(REFRESH_SECONDS)
        finally:
            server.close()  # not `async with server`, which from Python 3.12 on waits for the clients

    try:
        return asyncio.run(watching())
    except KeyboardInterrupt:
        return 0
    finally:
        for view in views:
            watched.finish(view)


def _cannot_listen(failure: OSError, host: str, port: int) -> str:
    if failure.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is taken, by a collector or another `streamspan watch`: stop that, "
            f"or watch with --port {port + 1} and send to that"
        )
    return f"cannot listen on port {port} of {host}: {failure.strerror or failure}"


def _url(server: asyncio.Server) -> str:
    """Warns if it is not on the loopback interface."""
    host, port = server.sockets[0].getsockname()[:2]
    addresses = {socket.getsockname()[0] for socket in server.sockets}
    if not all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses):
        print(f"streamspan: warning: {', '.join(sorted(addresses))} is not loopback: {_NOT_LOOPBACK}", file=sys.stderr)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _view(url: str, *, as_json: bool) -> View:
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):  # a stranger's words may not be in its encoding
            cast("io.TextIOWrapper", output).reconfigure(errors="backslashreplace")
    console = Console(highlight=False)
    if not as_json and console.is_terminal and not console.is_dumb_terminal:
        return Drawings(console, _HOW_TO_SEND.format(url=url))
    print(_HOW_TO_SEND.format(url=url), file=sys.stderr)
    return JsonLines() if as_json else Lines(console)
