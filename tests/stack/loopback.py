"""HTTP to servers on this machine, past any proxy of the environment."""

from contextlib import closing
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    status: int
    body: bytes


def get(url: str) -> Answer:
    """Raises OSError or HTTPException if nobody answers."""
    return _answer("GET", url, None)


def post_otlp(url: str, message: bytes) -> Answer:
    """The same, with a serialized message."""
    return _answer("POST", url, message)


def _answer(method: str, url: str, body: bytes | None) -> Answer:
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=30)) as connection:
        connection.request(method, parts.path or "/", body, {"content-type": "application/x-protobuf"})
        response = connection.getresponse()
        return Answer(response.status, response.read())
