"""The server of `--sockets`: the demo's, in a process of its own. What it sends: `streams.py`."""

import multiprocessing
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, cast

from streams import pieces

from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import Exchange, MessagesServer

PAUSE = 0.0003  # seconds after each write: longer than a reader needs for a delta, 0.2 ms with the slowest client


class Paused(list[bytes]):
    """A script that pauses after each step. It blocks the server, which has one reader at a time: asyncio's own
    pauses are whole milliseconds.
    """

    def __iter__(self) -> Iterator[bytes]:
        for step in super().__iter__():
            yield step
            time.sleep(PAUSE)


def _serve(provider: str, parent: Connection) -> None:
    def answer(exchange: Exchange) -> Script:
        body = cast("dict[str, Any]", exchange.body)
        return Paused(pieces(provider, body["model"], body["max_tokens"]))

    with MessagesServer(choose=answer) as server:
        parent.send(server.url)
        parent.recv()


@contextmanager
def served(provider: str) -> Generator[str]:
    """The server's address."""
    process_context = multiprocessing.get_context("spawn")
    ours, theirs = process_context.Pipe()
    process = process_context.Process(target=_serve, args=(provider, theirs), daemon=True)
    process.start()
    yield ours.recv()
    ours.send(None)
    process.join()
