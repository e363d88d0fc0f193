"""The server of the measurement: the demo's, in a process of its own, with long streams of prose.

A request says in its `model` how the deltas arrive and in its `max_tokens` how many.

    burst    all in one write: nothing of the cost is waiting
    singly   each in a write of its own, while the reader waits for it: as a model writes, only faster
    held     the last few singly, all before them in one write: the reader's buffers are small in the end
"""

import multiprocessing
import random
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import Connection
from typing import Any, cast

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import Exchange, MessagesServer

CHARS_PER_DELTA = 15
PAUSE = 0.0003  # seconds after each write: longer than a reader needs for a delta, 0.2 ms with the slowest client
SYLLABLES = ("al", "be", "cor", "den", "est", "fa", "gri", "hol", "in", "ja", "ko", "lum", "men", "no", "or", "pel")


class Singly(list[bytes]):
    """A script that pauses after each step. It blocks the server, which has one reader at a time: asyncio's own
    pauses are whole milliseconds.
    """

    def __iter__(self) -> Iterator[bytes]:
        for step in super().__iter__():
            yield step
            time.sleep(PAUSE)


def prose(chars: int) -> str:
    """Words that nobody has said before, and no loop: a loop is something that streamspan looks for."""
    chance = random.Random(1)
    words: list[str] = []
    while chars > 0:
        word = "".join(chance.choices(SYLLABLES, k=chance.randint(1, 4)))
        words.append(word)
        chars -= len(word) + 1
    return " ".join(words)


@cache
def script(arrival: str, deltas: int) -> Script:
    """The same for all who ask: exactly as many text deltas."""
    text = prose(deltas * CHARS_PER_DELTA).ljust(deltas * CHARS_PER_DELTA, ".")[: deltas * CHARS_PER_DELTA]
    block = wire.text_block(0, text, size=CHARS_PER_DELTA)
    events = [event.encoded() for event in wire.whole_message(block, output_tokens=deltas)]
    at_once = {"burst": len(events), "singly": 1, "held": len(events) - 20}[arrival]
    return Singly([b"".join(events[:at_once]), *events[at_once:]])


def answer(exchange: Exchange) -> Script:
    body = cast("dict[str, Any]", exchange.body)
    return script(body["model"], body["max_tokens"])


def _serve(parent: Connection) -> None:
    with MessagesServer(choose=answer) as server:
        parent.send(server.url)
        parent.recv()


@contextmanager
def served() -> Generator[str]:
    """The server's address."""
    process_context = multiprocessing.get_context("spawn")
    ours, theirs = process_context.Pipe()
    process = process_context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    yield ours.recv()
    ours.send(None)
    process.join()
