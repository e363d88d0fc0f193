"""Attributes of the HTTP exchange, for either HTTP library. Neither is imported: SDKs moved from one to the other."""

import re
from typing import Any

from streamspan import semconv
from streamspan.telemetry.spans import Attributes, AttributeValue

from .provider import Provider
from .values import CHARS_AT_MOST, count, text

_HEADER_CHARS_AT_MOST = 4096
_WHOLE = re.compile(r"[0-9]{1,15}")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_RETRY_COUNT = b"x-stainless-retry-count"


def response_attributes(response: Any, provider: Provider) -> Attributes:
    """Attributes of a response, and of the request as it was sent last."""
    request = getattr(response, "_request", None)  # the public property raises where there is none
    attributes = _exchange(request, response, provider)
    attributes[semconv.HTTP_RESPONSE_STATUS_CODE] = count(response.status_code)
    return attributes


def request_attributes(request: Any, provider: Provider) -> Attributes:
    """Attributes of a request that has no response."""
    return _exchange(request, None, provider)


def _exchange(request: Any, response: Any, provider: Provider) -> dict[str, AttributeValue | None]:
    received = {} if response is None else _headers(response, provider)
    url: Any = getattr(request, "url", None)
    if not isinstance(getattr(url, "raw_path", None), bytes):  # none, or a test's double
        return {**provider.exchange(received, {})}
    sent = _headers(request, provider)
    # Without the query: nothing in it is of use here, and it may have a key.
    path = url.raw_path.partition(b"?")[0][:CHARS_AT_MOST].decode("ascii")
    netloc = url.netloc[:CHARS_AT_MOST].decode("ascii")
    return {
        **provider.exchange(received, sent),
        semconv.URL_SCHEME: text(url.scheme),
        semconv.URL_PATH: path,
        semconv.URL_FULL: f"{url.scheme}://{netloc}{path}",
        semconv.HTTP_REQUEST_RESEND_COUNT: whole_number(sent.get(_RETRY_COUNT.decode())) or None,
    }


def _headers(message: Any, provider: Provider) -> dict[str, str]:
    """The headers that are wanted, by lower-case name, in half the time that the HTTP library takes to look them up."""
    headers: dict[str, str] = {}
    wanted = provider.headers | {_RETRY_COUNT}
    for raw_name, raw_value in message.headers.raw:
        raw_name = raw_name.lower()  # noqa: PLW2901
        if raw_name in wanted:
            value = raw_value.decode("latin-1")
            name = raw_name.decode("ascii")
            headers[name] = (f"{headers[name]}, {value}" if name in headers else value)[:_HEADER_CHARS_AT_MOST]
    return headers


def whole_number(header: str | None) -> int | None:
    """None: it is no such number, or an absurd one."""
    return int(header) if header is not None and _WHOLE.fullmatch(header.strip()) else None


def seconds(header: str | None) -> float | None:
    """None: it is no such number, or an absurd one. A date is none: it would need the server's clock."""
    return float(header) if header is not None and _SECONDS.fullmatch(header.strip()) else None
