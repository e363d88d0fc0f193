"""Readers that stop in the middle of a stream, of whatever API."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from streamspan import stream_of


class ReaderError(Exception):
    """Raised by a reader's own code."""


def read_events(stream: Any, count: int) -> None:
    for _ in range(count):
        next(stream)


async def read_events_async(stream: Any, count: int) -> None:
    for _ in range(count):
        await stream.__anext__()


def read_to_true(values: Iterator[bool]) -> None:
    """Of a generator that says of each event whether it brings text."""
    while not next(values):
        pass


async def read_to_true_async(values: AsyncIterator[bool]) -> None:
    while not await values.__anext__():
        pass


class Word:
    """Says why a stream was left, and notes when it did."""

    said_at: int | None = None  # on the clock of spans: nanoseconds since 1970

    def say(self, stream: Any) -> None:
        self.said_at = time.time_ns()
        stream_of(stream).abort_reason("client_disconnected")
