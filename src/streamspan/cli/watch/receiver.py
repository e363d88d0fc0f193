"""A server of OTLP/HTTP, as https://opentelemetry.io/docs/specs/otlp/#otlphttp has it.

Rules
    Whatever a client sends is answered, or its connection is closed: nothing ends the server, and nothing lets it grow.
    One request for each connection, so that an idle client holds nothing. Its head and its body have `SECONDS` each.
    `BODIES_AT_ONCE` are read at a time, others wait; beyond `CONNECTIONS_AT_MOST` the answer is 503, which exporters
    take for "later".
    What is in a body is judged by `otlp.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus

from .body import RefusedError, read_body
from .otlp import JSON, MEDIA_TYPES, PATHS, BadDataError, empty_answer, status_message

SECONDS = 10.0
BODIES_AT_ONCE = 16
CONNECTIONS_AT_MOST = 256
_HEAD_AT_MOST = 16 * 1024
_LINGER = 1.0
_ONLY_ONCE = {"content-length", "transfer-encoding", "content-type", "content-encoding"}
_SPEAKS_TLS = "Somebody speaks TLS here: the endpoint must begin with http://."
_SPEAKS_GRPC = "Somebody speaks gRPC here: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf."

Accept = Callable[[str, str, bytes], Awaitable[None]]
"""Takes a body, with its path and its media type. Raises BadDataError or RefusedError."""


class Receiver:
    """Hands bodies to `accept`, and tells `refused` why a request was not taken."""

    def __init__(self, accept: Accept, refused: Callable[[str], None]) -> None:
        self._accept = accept
        self._refused = refused
        self._bodies = asyncio.Semaphore(BODIES_AT_ONCE)
        self._connections = 0

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Raises OSError where it cannot."""
        return await asyncio.start_server(self._connected, host, port, limit=_HEAD_AT_MOST)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            with suppress(OSError):  # the client has left
                await self._answer(reader, writer)
        finally:
            self._connections -= 1
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = _Request(reader, writer)
        try:
            await self._take(request)
        except asyncio.TimeoutError:
            refusal = RefusedError(408, "The request took too long.")
        except BadDataError as bad:
            refusal = RefusedError(400, str(bad))
        except RefusedError as error:
            refusal = error
        else:
            await request.answer(200, empty_answer(request.media_type))
            return
        self._refused(refusal.why)
        await request.answer(refusal.status, status_message(request.media_type, refusal.why))
        if refusal.status != HTTPStatus.SERVICE_UNAVAILABLE:
            await _discard(reader)  # what is unread would reset the connection, and the client would not see why

    async def _take(self, request: "_Request") -> None:
        if self._connections > CONNECTIONS_AT_MOST:
            raise RefusedError(503, "There are too many connections.")
        path, headers = await asyncio.wait_for(request.head(), SECONDS)
        async with self._bodies:
            body = await asyncio.wait_for(request.body(headers), SECONDS)
            await self._accept(path, request.media_type, body)


class _Request:
    """media_type: what the answer is in, too; JSON until the client has said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.media_type = JSON

    async def head(self) -> tuple[str, Mapping[str, str]]:
        """Its path, and its headers by their names in lower case. Raises RefusedError."""
        method, path, headers = _parsed(await self._head())
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type in MEDIA_TYPES:
            self.media_type = media_type
        if path not in PATHS:
            raise RefusedError(404, f"There is nothing here but {', '.join(PATHS)}.")
        if method != "POST":
            raise RefusedError(405, "The method must be POST.")
        if media_type not in MEDIA_TYPES:
            raise RefusedError(415, f"The Content-Type must be {' or '.join(MEDIA_TYPES)}.")
        return path, headers

    async def body(self, headers: Mapping[str, str]) -> bytes:
        """Raises RefusedError."""
        if headers.get("expect", "").lower() == "100-continue":
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await read_body(self._reader, headers)

    async def _head(self) -> bytes:
        try:
            first = await self._reader.readexactly(1)
            if first == b"\x16":
                raise RefusedError(400, _SPEAKS_TLS)
            return first + await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise RefusedError(431, "The head of the request is too long.") from None
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None

    async def answer(self, status: int, body: bytes) -> None:
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"Content-Type: {self.media_type}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(["Allow: POST"] if status == HTTPStatus.METHOD_NOT_ALLOWED else []),
            *(["Retry-After: 1"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
        ]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        self._writer.write_eof()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._writer.drain(), _LINGER)


def _parsed(head: bytes) -> tuple[str, str, Mapping[str, str]]:
    """Method, path, and headers by their names in lower case."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = first.split(" ")
    if words[0] == "PRI":
        raise RefusedError(400, _SPEAKS_GRPC)
    if len(words) != len(("method", "target", "version")) or not words[2].startswith("HTTP/1."):
        raise RefusedError(400, "This is no request of HTTP/1.1.")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or name != name.strip() or (name in headers and name in _ONLY_ONCE):
            raise RefusedError(400, "A header is malformed, or is there twice.")
        headers[name] = value.strip()
    return words[0], words[1].partition("?")[0], headers


async def _discard(reader: asyncio.StreamReader) -> None:
    """What still comes, for a moment."""

    async def until_end() -> None:
        while await reader.read(_HEAD_AT_MOST):
            pass

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(until_end(), _LINGER)
