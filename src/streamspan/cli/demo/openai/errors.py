"""What both APIs have for errors and keep-alives.

Source: https://platform.openai.com/docs/guides/error-codes
"""

from collections.abc import Mapping

from streamspan.cli.demo.answer import Failure, FallsBack, KeepAlive, Rejected
from streamspan.cli.demo.script import Script, http_error
from streamspan.cli.demo.sse import compact_json

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which the SDK skips."""
REQUEST_ID = "req_5b1f0c7e2a9d4f6381e4c0b7d2a95e13"
_TYPES: Mapping[Failure, tuple[str, str]] = {
    "overloaded": ("server_error", "server_error"),
    "bad request": ("invalid_request_error", "invalid_value"),
}
"""Type and code."""
_OVERLOADED = "The server is overloaded."


def error(failure: Failure, message: str = _OVERLOADED) -> Mapping[str, object]:
    error_type, code = _TYPES[failure]
    return {"message": message, "type": error_type, "param": None, "code": code}


def sent_by_both(part: KeepAlive | Rejected | FallsBack) -> Script:
    match part:
        case KeepAlive():
            return [KEEP_ALIVE]
        case Rejected():
            return error_response(part)
        case FallsBack():
            raise ValueError(f"OpenAI's APIs have no {part}")


def error_response(rejected: Rejected) -> Script:
    """An HTTP error with the API's JSON body."""
    body = compact_json({"error": error(rejected.failure, rejected.message)}).encode()
    if rejected.failure == "bad request":
        return http_error(400, body, {})
    return http_error(503, body, {"retry-after-ms": str(rejected.retry_after_ms), "x-should-retry": "true"})
