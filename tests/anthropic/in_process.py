"""A client whose answers are made in its own process, without a socket: for tests that make thousands of calls."""

import importlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import anthropic
from anthropic import Anthropic, AsyncAnthropic

from streamspan.cli.demo.wire import Event

_HTTP: Any = importlib.import_module(anthropic.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])


class _Body(_HTTP.SyncByteStream, _HTTP.AsyncByteStream):
    """Each event in a read of its own."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = list(chunks)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def _transport(events: Iterable[Event]) -> Any:
    chunks = [event.encoded() for event in events]

    def answer(_: object) -> Any:
        return _HTTP.Response(200, headers={"content-type": "text/event-stream"}, stream=_Body(chunks))

    return _HTTP.MockTransport(answer)


def client(events: Iterable[Event]) -> Anthropic:
    """Every call is answered with these events."""
    http_client = anthropic.DefaultHttpxClient(transport=_transport(events))
    return Anthropic(base_url="http://none", api_key="none", max_retries=0, http_client=http_client)


def async_client(events: Iterable[Event]) -> AsyncAnthropic:
    http_client = anthropic.DefaultAsyncHttpxClient(transport=_transport(events))
    made = AsyncAnthropic(base_url="http://none", api_key="none", max_retries=0, http_client=http_client)
    made._platform = "Linux"  # found out in a thread, else
    return made
