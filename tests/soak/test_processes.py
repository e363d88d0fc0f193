"""Processes that fork, that exit with streams open, that collect garbage inside the OpenTelemetry SDK.

Each runs in a process of its own, see `applications.py`.
"""

import inspect
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import anthropic
import pytest

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Pause, Script
from streamspan.cli.demo.server import Exchange, MessagesServer

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 240
MESSAGE = list(wire.whole_message(wire.text_block(0, "Some text to begin with.")))


def answer(exchange: Exchange) -> Script:
    """A message; that of the model `hangs` has no end."""
    model = cast("dict[str, Any]", exchange.body)["model"]
    return [*MESSAGE[:4], Pause(math.inf)] if model == "hangs" else MESSAGE


@pytest.fixture
def server() -> Iterator[MessagesServer]:
    with MessagesServer(choose=answer) as running:
        yield running


def lines(application: str, server: MessagesServer) -> list[str]:
    """What it has printed. Nothing may be on the standard error."""
    ended = subprocess.run(
        # From 3.12 on a fork beside a thread, such as an exporter's, is warned of.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.soak.applications", application, server.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def test_fork(server: MessagesServer) -> None:
    """A stream that is open at a fork ends once, in the parent, though the child drops it; the child has its own."""
    assert lines("forks", server) == ["child of-the-child complete", "parent of-the-parent complete"]


def test_prefork_server(server: MessagesServer) -> None:
    """What is instrumented before the workers are forked is instrumented in each, and every span is exported once."""
    of_the_workers = [f"child {worker}-{stream} complete" for worker in range(3) for stream in range(4)]

    assert sorted(lines("prefork_server", server)) == [*of_the_workers, "parent of-the-master complete"]


STREAM: Any = anthropic.AsyncStream
SDK_CLOSES = "finally" in inspect.getsource(STREAM.__stream__)  # else nothing says that the loop closes its generators


@pytest.mark.parametrize(
    ("application", "reason"),
    [
        ("exits_with_a_stream", "shutdown"),
        ("exits_while_a_daemon_reads", "shutdown"),
        ("exits_with_a_loop_open", "shutdown"),
        ("exits_from_a_task", "cancelled"),
        ("exits_after_the_loop", "dropped" if SDK_CLOSES else "shutdown"),
    ],
)
def test_exit(server: MessagesServer, application: str, reason: str) -> None:
    """A stream that is open when its process exits has its span. What asyncio ends before that was not shut down."""
    assert lines(application, server) == [f"parent hangs aborted {reason}"]


def test_garbage_is_collected_inside_the_sdk(server: MessagesServer) -> None:
    """Streams that the collector finds there have ended after a flush, and nothing locks."""
    assert sorted(lines("collects_in_the_sdk", server)) == [
        "parent",  # a span of the application's own
        "parent another complete",
        "parent garbage-0 aborted dropped",
        "parent garbage-1 aborted dropped",
        "parent garbage-2 aborted dropped",
    ]
