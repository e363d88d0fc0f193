"""A flush or a shutdown of a tracer provider first writes the ends that wait, because it would miss their spans.

An application flushes at the end of a script, of an invocation or of a lifespan, often right after it has left a
stream.
"""

import functools
from collections.abc import Callable
from typing import Any

from streamspan.guard import contained

_METHODS = ("force_flush", "shutdown")


@contained
def write_before_flush(provider: object, write_ends: Callable[[], None]) -> None:
    """Have the class of `provider` call `write_ends` before each flush.

    It stays so, because streams that are open outlive `uninstrument()`.
    """
    provider_class = type(provider)
    for name in _METHODS:
        function: Any = getattr(provider_class, name, None)
        if function is not None and not hasattr(function, "_writes_ends"):
            setattr(provider_class, name, _writing(function, write_ends))


def _writing(function: Callable[..., Any], write_ends: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def flush(*args: Any, **kwargs: Any) -> Any:
        write_ends()
        return function(*args, **kwargs)

    flush.__dict__["_writes_ends"] = True
    return flush
