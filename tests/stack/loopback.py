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


def get_with_query(url: str, query: str) -> Answer:
    """The same, with parameters."""
    return _answer("GET", url, None, query)


def post_otlp(url: str, message: bytes) -> Answer:
    """The same, with a serialized message."""
    return _answer("POST", url, message)


def _answer(method: str, url: str, body: bytes | None, query: str = "") -> Answer:
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=30)) as connection:
        path = f"{parts.path or '/'}?{query}" if query else parts.path or "/"
        connection.request(method, path, body, {"content-type": "application/x-protobuf"})
        response = connection.getresponse()
        return Answer(response.status, response.read())
