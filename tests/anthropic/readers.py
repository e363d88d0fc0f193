"""What the tests of endings share: a message, clients that load no certificates, readers that stop in the middle."""

import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from math import inf
from typing import Any

import anthropic
from anthropic import Anthropic, AsyncAnthropic

from streamspan import stream_of
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Pause, Script
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.paths import REQUEST

MESSAGE: Script = list(wire.whole_message(wire.text_block(0, "Some text to begin with.")))
HANGS_IN_THE_TEXT: Script = [*MESSAGE[:4], Pause(inf)]
MIDDLE_OF_TEXT = 3  # events up to the first text delta


class ReaderError(Exception):
    """Raised by a reader's own code."""


@contextmanager
def sync_client(url: str) -> Generator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


@asynccontextmanager
async def async_client(url: str) -> AsyncGenerator[AsyncAnthropic]:
    http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
    async with AsyncAnthropic(base_url=url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


def opened(client: Any, server: MessagesServer, script: Script = MESSAGE) -> Any:
    """A stream, or what gives one when it is awaited."""
    server.scripts.append(script)
    return client.messages.create(stream=True, **REQUEST)


def helper(client: Any, server: MessagesServer, script: Script = MESSAGE) -> Any:
    """The same as the SDK's helper opens it: a context manager."""
    server.scripts.append(script)
    return client.messages.stream(**REQUEST)


def read_events(stream: Any, count: int) -> None:
    for _ in range(count):
        next(stream)


async def read_events_async(stream: Any, count: int) -> None:
    for _ in range(count):
        await stream.__anext__()


class Word:
    """Says why a stream was left, and notes when it did."""

    said_at: int | None = None  # on the clock of spans: nanoseconds since 1970

    def say(self, stream: Any) -> None:
        self.said_at = time.time_ns()
        stream_of(stream).abort_reason("client_disconnected")
