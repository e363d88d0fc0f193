"""The one place where our own failures stop.

A failure of ours never reaches the application. It is counted by the function that failed (`failures`) and told at
debug level, without its message and without values, which may hold content. A stream whose observation fails three
times is not observed any further; it still ends, without an outcome. What is no `Exception` (cancellation, exit)
passes through.
"""

import functools
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, Protocol, TypeVar

_log = logging.getLogger(__name__)
_FAILURES_AT_MOST = 3  # per stream

failures: Counter[str] = Counter()
"""How often each guarded function of ours has failed in this process."""

reraises = False
"""Tests set this: then a failure of ours is an error."""

P = ParamSpec("P")
R = TypeVar("R")


class Observed(Protocol):
    """`raised`: the id of an exception of the application's own, which is on its way to the reader."""

    raised: int | None
    failure_count: int
    gave_up: bool


def contained(function: Callable[P, R]) -> Callable[P, R | None]:
    """`function` that returns None where it would raise."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            _count(function.__qualname__, error)
            return None

    return call


def observing_failed(where: str, observed: Observed, error: Exception) -> None:
    """For the one function that runs for every event, and so contains its failures itself."""
    if id(error) == observed.raised:
        try:
            raise error
        finally:
            del error  # the exception refers to this frame, which must not refer to it
    observed.failure_count += 1
    observed.gave_up = observed.failure_count >= _FAILURES_AT_MOST
    _count(where, error)


def _count(where: str, error: Exception) -> None:
    if reraises:
        raise error
    failures[where] += 1
    with suppress(Exception):  # a handler of the application's
        _log.debug("streamspan failed in %s with %s; the application is not affected", where, type(error).__name__)
