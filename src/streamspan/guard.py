"""The one place where our own failures stop.

A failure of ours never reaches the application. It is counted by the function that failed (`failures`) and logged at
debug level, without its message and without values, which may hold content. A stream whose observation has failed
`FAILURES_AT_MOST` times is not observed any further: its span ends, without an outcome. What is not an `Exception`
(cancellation, exit) passes through.
"""

import functools
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, Protocol, TypeVar

_log = logging.getLogger(__name__)
FAILURES_AT_MOST = 3

failures: Counter[str] = Counter()
"""How often each guarded function of ours has failed in this process."""

reraises = False
"""Tests set this: then a failure of ours is an error."""

P = ParamSpec("P")
R = TypeVar("R")


def contained(function: Callable[P, R]) -> Callable[P, R | None]:
    """`function` that returns None where it would raise."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            count(function.__qualname__, error)
            return None

    return call


class Lock(Protocol):
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...  # as it is
    def release(self) -> None: ...


class Briefly:
    """Holds a lock for a `with` block, or goes on without it after a second.

    An interrupt between the last line of another `with` block and the release leaves its lock held for ever.
    """

    __slots__ = ("_is_held", "_lock")

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._is_held = False

    def __enter__(self) -> None:
        self._is_held = self._lock.acquire(timeout=1.0)

    def __exit__(self, *_: object) -> None:
        if self._is_held:
            self._lock.release()


def count(where: str, error: Exception) -> None:
    """Count and log a failure of ours."""
    if reraises:
        raise error
    failures[where] += 1
    with suppress(Exception):  # a logging handler of the application's may fail
        _log.debug("streamspan failed in %s with %s; the application is not affected", where, type(error).__name__)
