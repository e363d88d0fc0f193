"""An example in a process of its own, started as the README of the examples says."""

import inspect
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anthropic import Stream

from tests.launch.receiver import OtlpReceiver, ReceivedSpan
from tests.stack.collector import free_ports, wait_until

ROOT = Path(__file__).parents[2]
README = ROOT / "examples" / "README.md"
SECONDS_TO_START = 240
SECONDS_TO_END = 60
SCOPE = "streamspan"
STREAM: type[Stream[object]] = Stream
SDK_CLOSES = "finally" in inspect.getsource(STREAM.__stream__)
"""Whether the SDK itself closes the response of a reader that is stopped, as it does not in 0.51."""


def command(example: str) -> list[str]:
    """The one command of the README that runs it."""
    lines = re.findall(r"^python examples/loopback\.py .*$", README.read_text(encoding="utf-8"), re.MULTILINE)
    [line] = [line for line in lines if example in line]
    return shlex.split(line)


@dataclass(frozen=True, slots=True)
class Running:
    """An example that serves, or has something to print."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path
    """What it has printed, and what its logs say."""

    def interrupt(self) -> int:
        """What Ctrl-C does, which reaches the whole group of processes. Gives the exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(SECONDS_TO_END)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@contextmanager
def running(example: str, environment: Mapping[str, str], folder: Path) -> Generator[Running]:
    """Started on a free port; interrupted at the end of the `with` block, if it has not ended by then."""
    [port] = free_ports(1)
    output = folder / "output.txt"
    with output.open("wb") as printed:
        process = subprocess.Popen(
            command(example),
            env={
                **environment,
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]]),
                "PORT": str(port),
                "FLASK_RUN_PORT": str(port),
                "OTEL_BSP_SCHEDULE_DELAY": "50",
            },
            cwd=ROOT,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    example_running = Running(process, port, output)
    try:
        yield example_running
    finally:
        if process.poll() is None:
            example_running.interrupt()


@contextmanager
def serving(example: str, environment: Mapping[str, str], folder: Path) -> Generator[Running]:
    """The same, of one that listens; it does when the block begins."""
    with running(example, environment, folder) as started:
        wait_until(started.answers, seconds=SECONDS_TO_START)
        yield started


def streams(receiver: OtlpReceiver, count: int = 1) -> list[ReceivedSpan]:
    """The spans of the streams, as soon as there are `count`."""
    wait_until(lambda: len(_streams(receiver)) >= count)
    return _streams(receiver)


def _streams(receiver: OtlpReceiver) -> list[ReceivedSpan]:
    return [span for span in tuple(receiver.spans) if span.scope == SCOPE]


def parent(span: ReceivedSpan, receiver: OtlpReceiver) -> str:
    """The name of the span that it is a child of, as soon as that has ended."""
    wait_until(lambda: any(other.span_id == span.parent_id for other in tuple(receiver.spans)))
    return next(other.name for other in tuple(receiver.spans) if other.span_id == span.parent_id)


def told(span: ReceivedSpan, *names: str) -> dict[str, object]:
    """The named attributes under `llm_stream.`; None is one that is absent."""
    return {name: span.attributes.get(f"llm_stream.{name}") for name in names}


def answer_text(events: Sequence[tuple[str, object]]) -> str:
    return "".join(str(data) for name, data in events if name == "text")
