"""Attributes of the HTTP exchange, for either HTTP library. Neither is imported: SDKs moved from one to the other."""

from collections.abc import Mapping
from typing import Any

from streamspan import semconv
from streamspan.telemetry.spans import Attributes

from .provider import Provider
from .values import typed

_RETRY_COUNT = b"x-stainless-retry-count"


def response_attributes(response: Any, provider: Provider) -> Attributes:
    """Attributes of a response, and of the request as it was sent last."""
    request = getattr(response, "_request", None)  # the public property raises where there is none
    return {
        semconv.HTTP_RESPONSE_STATUS_CODE: typed(response.status_code, int),
        **_exchange(request, response, provider),
    }


def request_attributes(request: Any, provider: Provider) -> Attributes:
    """Attributes of a request that has no response."""
    return _exchange(request, None, provider)


def _exchange(request: Any, response: Any, provider: Provider) -> Attributes:
    received: Mapping[str, str] = {} if response is None else _headers(response, provider)
    if not isinstance(getattr(getattr(request, "url", None), "raw_path", None), bytes):  # none, or a test's double
        return provider.exchange(received, {})
    sent = _headers(request, provider)
    resend_count = sent.get(_RETRY_COUNT.decode(), "")
    url = request.url
    # Without the query: nothing in it is of use here, and it may have a key.
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    return {
        semconv.URL_SCHEME: url.scheme,
        semconv.URL_PATH: path,
        semconv.URL_FULL: f"{url.scheme}://{url.netloc.decode('ascii')}{path}",
        semconv.HTTP_REQUEST_RESEND_COUNT: int(resend_count) or None if resend_count.isdecimal() else None,
        **provider.exchange(received, sent),
    }


def _headers(message: Any, provider: Provider) -> Mapping[str, str]:
    """The headers that are wanted, by lower-case name, in half the time that the HTTP library takes to look them up."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in message.headers.raw:
        name = raw_name.lower()
        if name in provider.headers or name == _RETRY_COUNT:
            value = raw_value.decode("latin-1")
            name = name.decode("ascii")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
