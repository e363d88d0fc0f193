"""Responses without a network: a transport of the SDK's HTTP library that answers from prepared pieces.

Each read of a response's body returns the next piece. Neither sockets nor another process take part, so what is
measured is the work of the SDK and of whoever watches it.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from sdk import SDK, http_library

HTTP = http_library()
Key = tuple[str, int]
"""A request's `model` and `max_tokens`."""


class Body(HTTP.SyncByteStream):
    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


class AsyncBody(HTTP.AsyncByteStream):
    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class PreparedTransport(HTTP.BaseTransport, HTTP.AsyncBaseTransport):
    """Answers each request with the pieces that `prepared` has for it, which may be added later."""

    def __init__(self, prepared: Mapping[Key, Sequence[bytes]]) -> None:
        self._prepared = prepared

    def handle_request(self, request: Any) -> Any:
        return HTTP.Response(200, headers=SDK.HEADERS, stream=Body(self._pieces(request)))

    async def handle_async_request(self, request: Any) -> Any:
        return HTTP.Response(200, headers=SDK.HEADERS, stream=AsyncBody(self._pieces(request)))

    def _pieces(self, request: Any) -> Sequence[bytes]:
        wish = json.loads(request.content)
        return self._prepared[wish["model"], wish["max_tokens"]]
