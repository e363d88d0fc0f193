"""What the last bytes of a body tell that brought no event."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.stainless.last_bytes import BYTES_AT_MOST, error_type_in, keepalives_in

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
ERROR = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}\n\n'
CHINESE = 'event: content_block_delta\ndata: {"delta": {"text": "你好世界'.encode()


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(PING, 1, id="a ping"),
        pytest.param(PING * 3, 3, id="three pings"),
        pytest.param(PING.replace(b"\n", b"\r\n"), 1, id="with CRLF"),
        pytest.param(PING.replace(b"\n", b"\r"), 1, id="with CR"),
        pytest.param(b": ping\n\n", 1, id="a comment as a frame"),
        pytest.param(b":\n", 1, id="a comment as a line"),
        pytest.param(b": keep\r", 1, id="a comment that ends with CR"),
        pytest.param(b": half a com", 0, id="half a comment"),
        pytest.param(b'data: {"type": "content_bl', 0, id="a part of a frame"),
        pytest.param(CHINESE, 0, id="a part of a frame, not in ASCII"),
        pytest.param(CHINESE[:-1], 0, id="cut in a character"),
        pytest.param(CHINESE[-2:] + b'"}}', 0, id="the rest of one that was cut in a character"),
        pytest.param(PING + CHINESE[:-2], 1, id="a ping, and a part of a frame"),
        pytest.param(gzip.compress(PING), 1, id="compressed"),
        pytest.param(gzip.compress(PING)[10:], 1, id="a part of what is compressed"),
        pytest.param(ERROR, 0, id="an error"),
        pytest.param(ERROR + PING, 0, id="an error, and a ping"),
    ],
)
def test_keep_alives(chunk: bytes, expected: int) -> None:
    """Whole frames count, and so does a comment and what is compressed. A part of a frame does not, nor an error."""
    assert keepalives_in(chunk) == expected


def test_the_end_of_an_event_is_no_comment() -> None:
    """A colon begins a comment at the start of a line only."""
    assert keepalives_in(b': "a"}\n', b'data: {"text"') == 0
    assert keepalives_in(b": ping\n", PING) == 1


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        pytest.param(b"", None, id="nothing"),
        pytest.param(PING, None, id="a ping"),
        pytest.param(ERROR, "overloaded_error", id="a frame"),
        pytest.param(PING + ERROR, "overloaded_error", id="after a ping"),
        pytest.param(ERROR.replace(b"\n", b"\r\n"), "overloaded_error", id="with CRLF"),
        pytest.param(ERROR + PING, None, id="it is not the last frame"),
        pytest.param(b'{"error": {"type": "rate_limit_error"}}', "rate_limit_error", id="a body"),
        pytest.param(b'{\n  "error": {\n    "code": "limited"\n  }\n}\n', "limited", id="a body in lines, with a code"),
        pytest.param(b'{"error": {"message": "no"}}', "api_error", id="without a type"),
        pytest.param(b'{"error": "no"}', "api_error", id="a text"),
        pytest.param(b'{"error": {"type": 7, "code": ["a"]}}', "7", id="a number"),
        pytest.param(b'{"error": null}', None, id="null"),
        pytest.param(b'{"delta": {"text": "\\"error\\""}}', None, id="the word in a text"),
        pytest.param(b'["error"]', None, id="a list"),
        pytest.param(b'data: {"error": {"type": "cut', None, id="cut"),
        pytest.param(b'{"error": {"type": "' + b"x" * 1000 + b'"}}', "api_error", id="a type of a thousand chars"),
        pytest.param(b'{"error": ' + b"9" * 4000 + b"9" * 400 + b"}", None, id="a number of 4,400 digits"),
        pytest.param(b'{"error": ' + b"[" * 4000, None, id="deeply nested"),
    ],
)
def test_errors(chunk: bytes, expected: str | None) -> None:
    """The type or the code of the error in the last frame, or in a body that is JSON, if it is a word."""
    assert error_type_in(chunk) == expected


PIECES = st.sampled_from([PING, ERROR, b"data:", b'"error"', b"\n\n", b"\r", b"{", b"[", b"}", b":", CHINESE, b"\xff"])
JSON_VALUES = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | inner)
BODIES = st.dictionaries(st.sampled_from(["error", "type", "code"]), JSON_VALUES).map(
    lambda body: json.dumps(body).encode()
)


@given(st.binary(max_size=200) | st.lists(PIECES | st.binary(max_size=8), max_size=12).map(b"".join) | BODIES)
def test_any_bytes(chunk: bytes) -> None:
    """Whatever a server sends, nothing is raised, and what is told is bounded."""
    last = chunk[-BYTES_AT_MOST:]

    assert 0 <= keepalives_in(last) <= max(len(last), 1)
    assert len(error_type_in(last) or "") <= 64
