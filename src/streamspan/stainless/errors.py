"""What an exception says of a stream, and its `error.type`. The HTTP library's classes are not imported."""

import re
from typing import Any

from .values import count, field, typed

_WORD = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.:/ ]{0,63}")  # what a server may send there is text of any kind
_MESSAGE_CHARS_AT_MOST = 4096


def error_type(error: BaseException) -> str:
    """The API's word for the error, else the status code, else `api_error` of an error event, else `client_error`."""
    names = _class_names(error)
    if names & {"APITimeoutError", "TimeoutException"}:
        return "client_timeout_error"
    if names & {"APIConnectionError", "TransportError"}:
        return "connection_error"
    status_code = count(field(error, "status_code"))
    word = error_word(_given_by(error))
    if word is not None:
        return word
    # An error event has no status, or that of the response that opened its stream, which is no error.
    if status_code is None or status_code < 400:  # noqa: PLR2004
        return "api_error" if "APIError" in names else "client_error"
    return str(status_code)


def error_message(error: BaseException) -> str:
    """The text of the error, which is content: the API's, else the exception's."""
    given = _given_by(error)
    message = message_of(given if isinstance(given, str) else field(given, "message"))
    return message or str(error)[:_MESSAGE_CHARS_AT_MOST]


def message_of(given: Any) -> str:
    """The start of a text that the API gives of an error; empty: it gives none."""
    return given[:_MESSAGE_CHARS_AT_MOST] if isinstance(given, str) else ""


def _given_by(error: BaseException) -> Any:
    """The error object of the API. Not every SDK keeps what is around it."""
    body = field(error, "body")
    given = field(body, "error")
    return body if given is None else given


def error_word(given: Any) -> str | None:
    """The code of an error if that is a word, else its type, else the number that its code is.

    Gateways send other forms than the API, too; a text is content.
    """
    if isinstance(given, str):
        return None
    values = (field(given, name) for name in ("code", "type"))
    words = [str(value) if count(value) is not None else typed(value, str) or "" for value in values]
    words = [word for word in words if _WORD.fullmatch(word)]
    return next((word for word in words if not word.isdecimal()), next(iter(words), None))


def is_torn_connection(error: BaseException) -> bool:
    """Whether `error` is what a read meets whose connection was closed meanwhile, or what an SDK makes of that."""
    return bool(_class_names(error) & {"TransportError", "StreamError", "APIConnectionError"})


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
