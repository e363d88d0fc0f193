"""A real collector on free ports of 127.0.0.1, from the start to the end of its `with` block.

Its memory and its CPU time are read from Linux's /proc.
"""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.stack.loopback import get

if TYPE_CHECKING:
    from typing_extensions import Self

CONFIG = Path(__file__).parents[2] / "collector-config"
START_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05


class Collector:
    """A process. Its settings are those of the files, without their prefix: `DECISION_WAIT="5s"`."""

    def __init__(self, binary: Path, files: Sequence[str], folder: Path, settings: Mapping[str, str]) -> None:
        self._command = [str(binary), *(f"--config={CONFIG / name}" for name in files)]
        grpc, http, health, self_metrics = free_ports(4)
        self.grpc = f"127.0.0.1:{grpc}"
        self.http = f"http://127.0.0.1:{http}"
        self._health = f"http://127.0.0.1:{health}"
        self.self_metrics = f"127.0.0.1:{self_metrics}"
        defaults = {
            "OTLP_GRPC": self.grpc,
            "OTLP_HTTP": f"127.0.0.1:{http}",
            "HEALTH": f"127.0.0.1:{health}",
            "SELF_METRICS_PORT": str(self_metrics),
            "QUEUE_DIRECTORY": str(folder / "queue"),
            "ONWARD_INSECURE": "true",
        }
        self._environment = {
            name if name.startswith("GO") else f"STREAMSPAN_{name}": value  # GOMEMLIMIT and GOGC are Go's own
            for name, value in {**defaults, **settings}.items()
        }
        self.log = folder / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Self":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when the collector is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        try:
            wait_until(self._is_ready, seconds=START_SECONDS)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """As an operator would: a SIGTERM, and SIGKILL only if that does not help. Harmless if it has ended."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def peak_memory_mib(self) -> float:
        """The largest resident set so far."""
        return self._status_mib("VmHWM")

    @property
    def memory_mib(self) -> float:
        """The resident set now."""
        return self._status_mib("VmRSS")

    @property
    def cpu_seconds(self) -> float:
        """CPU time so far, of all threads."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100  # clock ticks of Linux

    def metric(self, name: str, *, having: str = "") -> float:
        """The sum of one of the collector's metrics about itself; 0 while it has none."""
        lines = get(f"http://{self.self_metrics}/metrics").body.decode().splitlines()
        found = (line for line in lines if re.match(rf"{name}(_total)?[{{ ]", line) and having in line)
        return sum(float(line.rpartition(" ")[2]) for line in found)

    @property
    def complaints(self) -> list[str]:
        """What the collector has logged as a warning or an error."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if re.search(r"\t(warn|error|fatal)\t", line)]

    def _status_mib(self, field: str) -> float:
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        [kib] = re.findall(rf"{field}:\s+(\d+) kB", status)
        return int(kib) / 1024

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the collector has ended: {self.log.read_text()[-2000:]}")
        try:
            return get(self._health).status == 200
        except (OSError, HTTPException):
            return False


class Start(Protocol):
    """Starts a collector from these files, with these settings."""

    def __call__(self, *files: str, **settings: str) -> Collector: ...


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nobody listens now, each another."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [held_socket.getsockname()[1] for held_socket in sockets]


def wait_until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Fails if the condition is not met in time."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, f"not within {seconds} s"
        time.sleep(POLL_SECONDS)
