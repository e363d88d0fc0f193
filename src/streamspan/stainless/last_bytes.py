"""What the last bytes of a body tell that brought no event: keep-alives, and errors that the SDK does not hand on."""

import json
from codecs import utf_8_decode
from typing import Any

from .errors import error_word
from .values import field

BYTES_AT_MOST = 4096
ENOUGH_BYTES = 1024  # of one read; of a shorter one, the bytes before it are kept as well
_ERROR = b'"error"'
_CONTINUES_A_CHARACTER = bytes(range(0x80, 0xC0))  # of UTF-8


def keepalives_in(chunk: bytes, before: bytes = b"") -> int:
    """How many whole frames there are in bytes of which none was an event. A part of a frame is no keep-alive.

    Compressed bytes are taken for one, and an error is none. `before`: the bytes before these.
    """
    if _ERROR in chunk:
        return 0
    try:
        utf_8_decode(chunk.lstrip(_CONTINUES_A_CHARACTER))  # which may end in the midst of a character
    except UnicodeDecodeError:
        return 1
    frames = chunk.count(b"\n\n") + chunk.count(b"\r\n\r\n") + chunk.count(b"\r\r")
    is_comment = chunk[:1] == b":" and chunk[-1:] in {b"\n", b"\r"} and before[-1:] in {b"", b"\n", b"\r"}
    return frames or int(is_comment)


def error_type_in(chunk: bytes) -> str | None:
    """The type of the error in the last frame, or in a body that is JSON. None: there is none.

    Some servers send an error as a field of its own, which the SDK ignores.
    """
    name, separator, value = chunk.rstrip().rpartition(b"\n")[2].partition(b":")
    is_error = bool(separator) and name == b"error"
    data = value if is_error or name == b"data" else chunk
    if _ERROR not in data and not is_error:
        return None
    try:
        body: Any = json.loads(data)
    except (ValueError, RecursionError):
        return "api_error" if is_error else None
    error = field(body, "error")
    return None if error is None and not is_error else error_word(error) or "api_error"
