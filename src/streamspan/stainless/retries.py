"""The SDK's retries within one call: which call tries again, why, and how long the SDK waits before it does.

The function that waits knows its client and no more. So the call in progress is named by a context variable, while the
SDK's `request` runs. It refers to its observer and its options weakly: tasks and threads that start meanwhile copy the
context and may live longer than the stream. A call that is not observed, made from inside one that is, hides it.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar, Token
from typing import Any
from weakref import ReferenceType, ref

from streamspan.guard import contained
from streamspan.observer import Observer

from .errors import error_type
from .values import typed

_Call = tuple["ReferenceType[Observer]", Callable[[], Any]]
"""Gives the observer, and the options."""
_calling: ContextVar[_Call | None] = ContextVar("streamspan_calling", default=None)
_NOTHING = nullcontext()


def is_calling() -> bool:
    """Whether this code runs inside an observed call."""
    return _calling.get() is not None


def is_calling_with(options: object) -> bool:
    """Whether the call with these options is observed already: `request` may be entered twice on its way."""
    call = _calling.get()
    return call is not None and call[1]() is options


class Calling:
    """Names the call in progress for a `with` block; None: one that is not observed."""

    __slots__ = ("_call", "_token")

    def __init__(self, observer: Observer | None, options: object = None) -> None:
        self._call = None if observer is None else (ref(observer), _weakly(options))

    def __enter__(self) -> None:
        self._token: Token[_Call | None] = _calling.set(self._call)

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):  # a coroutine that is closed from another context
            _calling.reset(self._token)


def unobserved(options: object) -> AbstractContextManager[object]:
    """For a call with these options, which has no observer of its own."""
    return Calling(None) if is_calling() and not is_calling_with(options) else _NOTHING


def _weakly(options: object) -> Callable[[], Any]:
    try:
        return ref(options)
    except TypeError:  # what the SDK gives can be referred to weakly
        return lambda: None


def back_off(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    observer = _backs_off(kwargs.get("response"))
    if observer is None:
        return wrapped(*args, **kwargs)
    try:
        return wrapped(*args, **kwargs)
    finally:
        observer.attempt_starts()


async def back_off_async(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    observer = _backs_off(kwargs.get("response"))
    if observer is None:
        return await wrapped(*args, **kwargs)
    try:
        return await wrapped(*args, **kwargs)
    finally:
        observer.attempt_starts()


@contained
def _backs_off(response: Any) -> Observer | None:
    """The observer of the call in progress, which is told why the SDK tries again."""
    call = _calling.get()
    observer = None if call is None else call[0]()
    if observer is not None:
        observer.backs_off(_reason(response))
    return observer


def _reason(response: Any) -> str:
    """The status code of the response, or our word for the exception that is being handled: then there is none."""
    status_code = typed(getattr(response, "status_code", None), int)
    error = sys.exc_info()[1]
    if status_code is not None:
        return str(status_code)
    return "client_error" if error is None else error_type(error)
