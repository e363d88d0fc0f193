"""What goes wrong with a stream in the soak: the server's scripts, and the server in a process of its own.

A request names its fault as its model. Every stream that opens begins with a text delta, in one write with the
response headers, so that a reader that leaves there has not met the fault yet.
"""

import math
import multiprocessing
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from typing import Any, Literal, cast, get_args

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Pause, Script, error_response, overloaded
from streamspan.cli.demo.server import Exchange, MessagesServer

from . import descriptors

Fault = Literal[
    "none",
    "slow",
    "retried",
    "error event",
    "truncated",
    "cut",
    "reset",
    "silence",
    "malformed",
    "refused",
    "overloaded",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
CONNECTIONS_WAITING_AT_MOST = 2000


def _sent(events: list[wire.Event]) -> bytes:
    """In one write."""
    return b"".join(event.encoded() for event in events)


_MESSAGE = [
    *wire.whole_message(
        wire.text_block(0, "Some text to begin with."),
        wire.tool_block(1, "send_email", {"to": "a@b.c"}),
        wire.text_block(2, "And some more text after it."),
    )
]
_BEGINNING = _sent(_MESSAGE[:4])
_MIDDLE = _sent(_MESSAGE[4:10])
_END = _sent(_MESSAGE[10:])
_SCRIPTS: Mapping[Fault, Script] = {
    "none": [_BEGINNING, _MIDDLE, _END],
    "slow": [_BEGINNING, Pause(0.1), _MIDDLE, Pause(0.1), _END],
    "error event": [_BEGINNING, wire.error("overloaded_error", "Overloaded")],
    "truncated": [_BEGINNING],
    "cut": [_BEGINNING, Ending.CUT],
    "reset": [_BEGINNING, Pause(0.02), Ending.RESET],
    "silence": [_BEGINNING, Pause(math.inf)],
    "malformed": [_BEGINNING, b"event: content_block_delta\ndata: {broken\n\n"],
    "refused": error_response(400, "invalid_request_error", "no"),
    "overloaded": overloaded(),
}


def answer(exchange: Exchange) -> Script:
    """The script of the fault; what is retried fails the first time."""
    fault = cast("dict[str, Any]", exchange.body)["model"]
    if fault == "retried":
        return _SCRIPTS["overloaded" if exchange.headers["x-stainless-retry-count"] == "0" else "none"]
    return _SCRIPTS[fault]


def serve(parent: Connection) -> None:
    descriptors.allow_many()
    with MessagesServer(choose=answer) as server:
        lengthen_queue(server)
        parent.send(server.url)
        parent.recv()


def lengthen_queue(server: MessagesServer) -> None:
    """With asyncio's queue of 100, Linux resets one in some thousand connections (`SyncookiesFailed` in nstat)."""
    connection = HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/", '{"model": "none"}')
    connection.getresponse().read()  # so now asyncio has made its own
    connection.close()
    server._listener.listen(CONNECTIONS_WAITING_AT_MOST)


@contextmanager
def served() -> Generator[str]:
    """The address of a server in a process of its own."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    yield ours.recv()
    ours.send(None)
    process.join()
