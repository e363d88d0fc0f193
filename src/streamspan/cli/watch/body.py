"""The body of an HTTP request, as it was before its codings, never more than `BODY_AT_MOST` bytes of it in memory.

Knows nothing of what is in it. What is wrong with it is a `RefusedError`, which says what to answer.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping

BODY_AT_MOST = 8 * 1024 * 1024
"""Bytes, as sent and as decompressed. A batch of 512 spans with all their events has about 2 MiB."""
_PIECE = 64 * 1024
_LINE_AT_MOST = 1024
_TRAILERS_AT_MOST = 100
_TOO_LARGE = f"The body has more than {BODY_AT_MOST >> 20} MiB: lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE."
_WINDOWS = {"gzip": 31, "deflate": 15}
"""zlib's number for each container."""


class RefusedError(Exception):
    """What a request is answered with instead: a status of HTTP, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Decoder:
    """Takes a body in pieces, in this content coding. Raises RefusedError where it is too large or broken."""

    def __init__(self, coding: str) -> None:
        if coding not in {*_WINDOWS, "identity", ""}:
            raise RefusedError(415, "The Content-Encoding must be gzip, deflate or identity.")
        self._zlib = zlib.decompressobj(_WINDOWS[coding]) if coding in _WINDOWS else None
        self._body = bytearray()
        self._sent = 0

    def feed(self, piece: bytes) -> None:
        self._sent += len(piece)
        try:
            self._body += piece if self._zlib is None else self._zlib.decompress(piece, self._room + 1)
        except zlib.error as broken:
            raise RefusedError(400, f"The body cannot be decompressed: {broken}.") from None
        if self._sent > BODY_AT_MOST or self._room < 0:
            raise RefusedError(413, _TOO_LARGE)

    @property
    def _room(self) -> int:
        return BODY_AT_MOST - len(self._body)

    def body(self) -> bytes:
        """All of it, after the last piece."""
        if self._zlib is not None and self._sent and (not self._zlib.eof or self._zlib.unused_data):
            raise RefusedError(400, "The compressed body is cut off, or more follows it.")
        return bytes(self._body)


async def read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """The body that these headers (names in lower case) announce, decompressed."""
    decoder = Decoder(headers.get("content-encoding", "").lower())
    async for piece in _pieces(reader, headers):
        decoder.feed(piece)
    return decoder.body()


def _pieces(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """Of the body as it was sent."""
    length = headers.get("content-length")
    coding = headers.get("transfer-encoding")
    if coding is None:
        return _bytes(reader, _length(length or "0"))
    if coding.lower() != "chunked" or length is not None:
        raise RefusedError(400, "The Transfer-Encoding must be chunked, and without a Content-Length.")
    return _chunks(reader)


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise RefusedError(400, "The Content-Length is no number.")
    if len(text.lstrip("0")) > len(str(BODY_AT_MOST)) or int(text) > BODY_AT_MOST:
        raise RefusedError(413, _TOO_LARGE)
    return int(text)


async def _bytes(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length:
        piece = await reader.read(min(length, _PIECE))
        if not piece:
            raise RefusedError(400, "The body is shorter than its length.")
        length -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """As https://www.rfc-editor.org/rfc/rfc9112#section-7.1 has it."""
    while size := _chunk_size(await _line(reader)):
        async for piece in _bytes(reader, size):
            yield piece
        if await _line(reader):
            raise RefusedError(400, "A chunk is longer than its size.")
    for _ in range(_TRAILERS_AT_MOST):
        if not await _line(reader):
            return
    raise RefusedError(400, "There are too many trailers.")


def _chunk_size(line: bytes) -> int:
    text = line.partition(b";")[0].strip()
    if not text or text.strip(b"0123456789abcdefABCDEF"):
        raise RefusedError(400, "The size of a chunk is no number.")
    size = int(text, 16)
    if size > BODY_AT_MOST:
        raise RefusedError(413, _TOO_LARGE)
    return size


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Without its end."""
    try:
        line = await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError:
        line = b" " * _LINE_AT_MOST
    except asyncio.IncompleteReadError:
        raise RefusedError(400, "The body is shorter than its chunks.") from None
    if len(line) > _LINE_AT_MOST:
        raise RefusedError(400, "A line of the chunks is too long.")
    return line.removesuffix(b"\r\n")
