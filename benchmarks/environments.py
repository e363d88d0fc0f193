"""Where streams are read: this environment, and one for each peer, with the reader's process in it.

A *peer* is another instrumentation of the same SDK. Its environment under `.peers/` is made of its newest release and
of the versions of the SDK and of OpenTelemetry that the run has; where the peer does not support those, of the newest
that it does. It is kept until the wish changes: delete the folder for a newer release. A peer runs as it comes, with
its own defaults.
"""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Protocol, cast

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".venv" / "bin" / "uv"
READER = Path(__file__).with_name("reader.py")
BARE = "bare SDK"
PEERS: Mapping[str, Mapping[str, str]] = {
    "anthropic": {
        "genai-anthropic": "opentelemetry-instrumentation-genai-anthropic",
        "openllmetry": "opentelemetry-instrumentation-anthropic",
        "openinference": "openinference-instrumentation-anthropic",
        "logfire": "logfire",
    },
    "openai": {
        "openai-v2": "opentelemetry-instrumentation-openai-v2",
        "genai-openai": "opentelemetry-instrumentation-genai-openai",
        "openllmetry": "opentelemetry-instrumentation-openai",
        "openinference": "openinference-instrumentation-openai",
        "logfire": "logfire",
    },
}
"""By provider, and by the name on the command line, the package. All of OpenTelemetry's own are pre-releases."""

PRE_RELEASES_ONLY = frozenset(
    {
        "opentelemetry-instrumentation-genai-anthropic",
        "opentelemetry-instrumentation-genai-openai",
        "opentelemetry-instrumentation-openai-v2",
    }
)


BESIDE: Mapping[str, tuple[str, ...]] = {
    "opentelemetry-instrumentation-openai-v2": ("httpx", "opentelemetry-util-genai>=1.0b0,<1.2b0"),
}
"""What a package needs besides, and does not say."""


class Ask(Protocol):
    """Gives a reader a command and returns its answer. Raises RuntimeError with what failed there."""

    def __call__(self, command: str, *arguments: object) -> Any: ...


@dataclass(frozen=True, slots=True)
class Environment:
    """`variants`: of the reader, BARE among them; `peer`: whose it is, None for this environment."""

    provider: str
    python: Path
    variants: tuple[str, ...]
    peer: str | None = None

    @property
    def packages(self) -> tuple[str, ...]:
        """Whose versions matter."""
        watching = "streamspan" if self.peer is None else PEERS[self.provider][self.peer]
        return (watching, self.provider, "opentelemetry-sdk")

    def title(self, variant: str) -> str:
        if self.peer is None:
            return variant
        return f"{self.peer}: {BARE}" if variant == BARE else self.peer

    @contextmanager
    def reader(self, url: str | None = None) -> Generator[Ask]:
        """A reader's process. Without a URL it reads what it is given by `prepare`."""
        variables = os.environ | {"PYTHONHASHSEED": "0"}
        if self.peer is not None:
            variables.pop("PYTHONPATH", None)
        command = [self.python, READER, self.provider, *([url] if url else [])]
        with subprocess.Popen(  # noqa: S603  # arguments of our own
            command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            commands, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)

            def ask(command: str, *arguments: object) -> Any:
                commands.write(json.dumps([command, *arguments]) + "\n")
                commands.flush()
                said = json.loads(answers.readline() or '{"error": "the process has ended"}')
                if "error" in said:
                    raise RuntimeError(f"{self.peer or 'reader'}: {command}: {said['error']}")
                return said["answer"]

            yield ask


def versions_of(*packages: str) -> dict[str, str]:
    return {"python": sys.version.split()[0], **{name: version(name) for name in packages}}


def peer_environment(provider: str, peer: str) -> Environment:
    """Made if it is not there. Raises RuntimeError, with the reason, where it cannot be made."""
    folder = ROOT / ".peers" / provider / peer
    stamp = folder / "wish"
    package = PEERS[provider][peer]
    wanted = f"{package}>=0b0" if package in PRE_RELEASES_ONLY else package
    same = [f"{name}=={version(name)}" for name in (provider, "opentelemetry-sdk", "pydantic")]
    wanted_too = [wanted, *BESIDE.get(package, ())]
    wish = "\n".join([sys.version, *wanted_too, *same])
    if not stamp.exists() or stamp.read_text() != wish:
        _make(folder, wanted_too, same, provider)
        stamp.write_text(wish)
    return Environment(provider, folder / "bin" / "python", (BARE, "logfire" if peer == "logfire" else "peer"), peer)


def _make(folder: Path, wanted: list[str], same: list[str], sdk: str) -> None:
    _run("venv", "--clear", "--python", sys.executable, folder)
    failure = None
    for others in (same, same[:1], [sdk]):
        failure = _run("pip", "install", "--python", folder, *wanted, "opentelemetry-sdk", *others)
        if failure is None:
            return
    raise RuntimeError(f"{wanted[0]} cannot be installed: {failure}")


def _run(*arguments: str | Path) -> str | None:
    """What uv said when it failed; None: it did not."""
    command = [UV, *arguments, "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # arguments of our own
    return None if ended.returncode == 0 else " ".join(ended.stderr.split())
