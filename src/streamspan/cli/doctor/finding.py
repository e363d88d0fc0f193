"""What a check has found."""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"

Environment = Mapping[str, str]
"""The environment variables."""

Status = Literal["ok", "note", "warning", "problem"]
"""note: a fact, neither good nor bad. warning: other telemetry than one expects. problem: telemetry is lost."""


@dataclass(frozen=True, slots=True)
class Finding:
    """check    what was looked at: a name for scripts, which stays the same
    text     what is so, and what follows from it
    command  what would put it right, to be pasted into a shell; None where there is nothing to do.
    """

    check: str
    status: Status
    text: str
    command: str | None = None


def import_failure(module: str) -> str | None:
    """Why the module cannot be imported, on one line; None if it can. A broken package may raise anything."""
    try:
        import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return one_line(error)
    return None


def one_line(error: BaseException) -> str:
    [line, *_] = [*str(error).splitlines(), ""]
    return f"{type(error).__name__}: {line}".removesuffix(": ")


def without(variable: str, word: str, environment: Environment) -> str:
    """The command that takes a word out of a variable that lists words."""
    words = [item.strip() for item in environment.get(variable, "").split(",")]
    rest = ",".join(item for item in words if item not in {word, ""})
    return f"export {variable}={rest}" if rest else f"unset {variable}"


def with_(variable: str, word: str, environment: Environment) -> str:
    """The command that adds a word to a variable that lists words."""
    return f"export {variable}={','.join(filter(None, [environment.get(variable, ''), word]))}"


@contextmanager
def logged() -> Generator[list[str]]:
    """What OpenTelemetry logs meanwhile, in the place of where it would be written."""
    messages: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, listener = logging.getLogger("opentelemetry"), Listener()
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield messages
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagated
