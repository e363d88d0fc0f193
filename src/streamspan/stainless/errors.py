"""What an exception says of a stream, and its `error.type`. The HTTP library's classes are not imported."""

import re
from typing import Any

from .values import field, typed

_WORD = re.compile(r"[A-Za-z0-9_]{1,64}")  # what a server may send there is text of any kind


def error_type(error: BaseException) -> str:
    """The API's word for the error, else the status code, else `client_error`."""
    names = _class_names(error)
    if names & {"APITimeoutError", "TimeoutException"}:
        return "client_timeout_error"
    if names & {"APIConnectionError", "TransportError"}:
        return "connection_error"
    word = typed(field(field(field(error, "body"), "error"), "type"), str)
    status_code = typed(field(error, "status_code"), int)
    if word and _WORD.fullmatch(word):
        return word
    # An error event has the status of the response that opened its stream, which is no error.
    return str(status_code) if status_code is not None and status_code >= 400 else "client_error"  # noqa: PLR2004


def is_torn_connection(error: BaseException) -> bool:
    """Whether `error` is what a read meets whose connection was closed meanwhile."""
    return bool(_class_names(error) & {"TransportError", "StreamError"})


def is_closed_stream(error: BaseException) -> bool:
    """Whether `error` is what a read meets that begins after the application closed the response."""
    return "StreamClosed" in _class_names(error)


def _class_names(error: BaseException) -> set[str]:
    """The names of the error's class and of its bases."""
    return {cls.__name__ for cls in type(error).__mro__}


def frames_of(error: BaseException) -> list[Any]:
    """The frames that `error` has passed, the innermost last."""
    frames: list[Any] = []
    traceback = error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames
