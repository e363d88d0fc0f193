"""A loopback API: plays scripts over HTTP/1.1 and records what the client did.

Runs in a thread and an event loop of its own, so that sync and async clients see the same server. Every
request is answered by the next script of the queue, or by the one that `choose` gives for it. With no script
left the answer is HTTP 500.

    with MessagesServer([script]) as server:
        client = anthropic.Anthropic(base_url=server.url, api_key="none")

While it plays a script the server also reads: the only thing a client can send then is the end of the
connection, which is how its leaving is seen, even during a pause.
"""

import asyncio
import json
import math
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from types import TracebackType
from typing import TYPE_CHECKING

from .script import (
    EVENT_STREAM,
    ORGANIZATION_ID,
    REQUEST_ID,
    Ending,
    Head,
    Pause,
    Script,
    Wait,
    error_response,
)
from .wire import Event

if TYPE_CHECKING:
    from typing_extensions import Self

NO_HEADERS: Mapping[str, str] = {}
OF_MESSAGES_API = {"request-id": REQUEST_ID, "anthropic-organization-id": ORGANIZATION_ID}
EXCHANGES_KEPT = 1000
WAIT_INTERVAL = 0.005
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
REASONS = {200: "OK", 400: "Bad Request", 429: "Too Many Requests", 503: "Service Unavailable", 529: "Overloaded"}


@dataclass(slots=True)
class Exchange:
    """One request that the server received, and whether the client saw its answer to the end."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: object
    """The JSON of the request; None if there was none."""
    disconnected: threading.Event = field(default_factory=threading.Event)
    """Set when the client left before the script was done. The SDK leaves unread what it will retry."""
    disconnected_at: float | None = None
    """`time.monotonic()` of that moment."""
    finished: threading.Event = field(default_factory=threading.Event)
    """Set when the script is done, or the client has left."""


class LoopbackServer:
    """The server, on a free port of 127.0.0.1; listens from the start to the end of its `with` block.

    `speed` divides the pauses, `headers` are those of every stream. Scripts may be added to `scripts` while it runs.
    """

    def __init__(
        self,
        scripts: Iterable[Script] = (),
        *,
        choose: Callable[[Exchange], Script] | None = None,
        speed: float = 1.0,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self.scripts = deque(scripts)
        self.exchanges: deque[Exchange] = deque(maxlen=EXCHANGES_KEPT)
        """The requests received, oldest first; the last 1000."""
        self.speed = speed
        self._headers = headers
        self._choose = choose or self._next_script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="streamspan-demo-server", daemon=True)

    def __enter__(self) -> "Self":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()

    def _next_script(self, exchange: Exchange) -> Script:
        if self.scripts:
            return self.scripts.popleft()
        missing = f"no script is left for {exchange.method} {exchange.path}"
        return error_response(500, "api_error", missing, headers={"x-should-retry": "false"})

    def _run(self) -> None:
        self._loop.run_until_complete(self._listen())

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._listener)
        await self._stopping.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(reader, writer, self.speed, self._headers)
        try:
            stays_open = True
            while stays_open and (exchange := await connection.request()) is not None:
                self.exchanges.append(exchange)
                stays_open = await connection.answer(exchange, self._choose(exchange))
        finally:
            await connection.close()


class MessagesServer(LoopbackServer):
    """A loopback Messages API, with the headers of Anthropic's."""

    def __init__(
        self,
        scripts: Iterable[Script] = (),
        *,
        choose: Callable[[Exchange], Script] | None = None,
        speed: float = 1.0,
    ) -> None:
        super().__init__(scripts, choose=choose, speed=speed, headers=OF_MESSAGES_API)


class _Connection:
    """One TCP connection: reads requests, plays scripts."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, speed: float, headers: Mapping[str, str]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._socket: socket.socket = writer.get_extra_info("socket")
        self._speed = speed
        self._headers = headers
        self._chunked: bool | None = None  # None until the head is sent
        self._upcoming = asyncio.ensure_future(self._first_byte())
        writer.transport.set_write_buffer_limits(high=0)  # a step is done when the kernel has its bytes
        # asyncio leaves this out for accepted sockets: 40 ms before a small second segment
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def request(self) -> Exchange | None:
        """The next request; None when the client has left."""
        try:
            head = await self._upcoming + await self._reader.readuntil(b"\r\n\r\n")
            request_line, *lines = head.decode("latin-1").rstrip().split("\r\n")
            fields = [line.partition(":") for line in lines]
            headers = {name.lower(): value.strip() for name, _, value in fields}
            content = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except (ConnectionError, asyncio.IncompleteReadError):
            return None
        self._upcoming = asyncio.ensure_future(self._first_byte())
        method, path, _ = request_line.split(" ", 2)
        return Exchange(method, path, headers, json.loads(content) if content else None)

    async def answer(self, exchange: Exchange, script: Script) -> bool:
        """Plays the script. False when the connection is no longer open."""
        try:
            return await self._play(script)
        except ConnectionError:
            exchange.disconnected_at = time.monotonic()
            exchange.disconnected.set()
            return False
        finally:
            exchange.finished.set()

    async def close(self) -> None:
        """After `Ending.RESET` this is what sends the reset."""
        self._upcoming.cancel()
        self._writer.transport.abort()  # loses nothing: the kernel has every step that was done
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _play(self, script: Script) -> bool:
        self._chunked = None
        for step in script:
            match step:
                case Head():
                    await self._send_head(step)
                case Pause(seconds, never_shorter):
                    await self._silence(seconds / (min(self._speed, 1.0) if never_shorter else self._speed))
                case Wait(until):
                    while not until.is_set():
                        await self._silence(WAIT_INTERVAL)
                case Ending():
                    return await self._end(step)
                case Event():
                    await self._send(step.encoded())
                case bytes():
                    await self._send(step)
        await self._finish()
        return True

    async def _send_head(self, head: Head) -> None:
        defaults = {
            "date": formatdate(usegmt=True),
            "content-type": EVENT_STREAM,
            "cache-control": "no-cache",
            **self._headers,
        }
        headers = {**defaults, **head.headers}
        self._chunked = "content-length" not in headers
        if self._chunked:
            headers["transfer-encoding"] = "chunked"
        lines = [f"HTTP/1.1 {head.status} {REASONS.get(head.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        await self._write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def _send(self, content: bytes) -> None:
        if self._chunked is None:
            await self._send_head(Head())
        await self._write(b"%x\r\n%b\r\n" % (len(content), content) if self._chunked else content)

    async def _finish(self) -> None:
        if self._chunked is None:
            await self._send_head(Head())
        if self._chunked:
            await self._write(b"0\r\n\r\n")

    async def _end(self, ending: Ending) -> bool:
        if ending is Ending.CLOSE:
            await self._finish()
        if ending is Ending.RESET:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        return False

    async def _write(self, content: bytes) -> None:
        await self._silence(0)
        self._writer.write(content)
        await self._writer.drain()

    async def _silence(self, seconds: float) -> None:
        """Waits; raises ConnectionError as soon as the client has left."""
        await asyncio.wait({self._upcoming}, timeout=None if seconds == math.inf else seconds)
        if self._upcoming.done() and not self._upcoming.result():
            raise ConnectionResetError("the client has left")

    async def _first_byte(self) -> bytes:
        """The first byte of the next request; empty when the client has left."""
        try:
            return await self._reader.read(1)
        except ConnectionError:
            return b""
