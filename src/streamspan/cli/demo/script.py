"""What the server does for one request: a script is a list of steps, done in order.

    bytes    sent as they are, as one chunk of the body
    Event    sent as one chunk of the body
    Head     the status line and the headers; without one, `Head()` goes out before the body
    Pause    silence, for some seconds or for ever; a higher speed of the server shortens it
    Wait     silence until a `threading.Event` is set
    Ending   how the connection ends; without one, the body ends cleanly and the connection stays open

Faults are scripts: a read timeout is `Pause(inf)`, malformed JSON is bytes, an empty body is `[]`.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from . import wire
from .sse import Event

EVENT_STREAM = "text/event-stream; charset=utf-8"
REQUEST_ID = "req_011CSHoEeqs5C35K2UUqR7Fy"
ORGANIZATION_ID = "3f1c6a52-8f0e-4c1b-9d65-6c1d5b0d7a10"


@dataclass(frozen=True, slots=True)
class Head:
    """The status line and the headers.

    The body is chunked, unless the headers have a `content-length`.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence for some seconds; `math.inf` is for ever. Ends early when the client leaves.

    never_shorter: at any speed, because what it shows is known by its length.
    """

    seconds: float
    never_shorter: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Silence until the event is set, or the client leaves."""

    until: threading.Event


class Ending(Enum):
    """How the connection ends, where that is not cleanly."""

    CUT = "closed without the final chunk"
    RESET = "reset: the client's next read fails"
    CLOSE = "closed after the final chunk"


Step = bytes | Event | Head | Pause | Wait | Ending
Script = Sequence[Step]
AnyStep = TypeVar("AnyStep")


def error_response(status: int, error_type: str, message: str, *, headers: Mapping[str, str] | None = None) -> Script:
    """An HTTP error with the API's JSON body."""
    body = wire.error_body(error_type, message, REQUEST_ID)
    return http_error(status, body, {"request-id": REQUEST_ID, **(headers or {})})


def http_error(status: int, body: bytes, headers: Mapping[str, str]) -> Script:
    """An HTTP error with a body of JSON."""
    head = {"content-type": "application/json", "content-length": str(len(body))}
    return [Head(status, {**head, **headers}), body]


def overloaded(*, retry_after_ms: int = 10) -> Script:
    """HTTP 529, which the SDK retries after the given time."""
    headers = {"retry-after-ms": str(retry_after_ms), "x-should-retry": "true"}
    return error_response(529, "overloaded_error", "Overloaded", headers=headers)


def paced(steps: Iterable[AnyStep], seconds: float) -> Iterator[AnyStep | Pause]:
    """The steps, each after a pause."""
    for step in steps:
        yield Pause(seconds)
        yield step
