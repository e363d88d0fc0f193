"""What is patched in an SDK, and how a streamed call begins.

    SyncAPIClient.request, AsyncAPIClient.request  every call goes through here: a stream begins, or fails to
    _sleep_for_retry, of either client             the SDK waits before it tries a call again
    Stream.__stream__, AsyncStream.__stream__      every event goes through here, once, however it is read
    Stream.close, AsyncStream.close                the reader leaves
    the same `request` on a client class           if another instrumentation has put a function of its own there, which
                                                   calls the SDK's own past ours
    Provider.replaced                              the SDK's own span of a call, where it makes one

The application gets what the SDK made: the same objects. The rest of a stream's life is seen on its body: `body.py`.
"""

import importlib
import logging
from collections.abc import Callable
from typing import Any

from wrapt import FunctionWrapper, resolve_path

from streamspan.config import Config
from streamspan.guard import contained
from streamspan.observer import Observer
from streamspan.telemetry.spans import Current, Telemetry, suppressed

from .body import Body, body_of, close_begins, end_by_raise
from .http import request_attributes, response_attributes
from .leaving import Reading
from .provider import Provider
from .reader import AsyncReader, Reader
from .retries import Calling, back_off, back_off_async, is_calling_with, unobserved

_log = logging.getLogger(__name__)

Wrapped = Callable[..., Any]
Arguments = tuple[Any, ...]
Keywords = dict[str, Any]

_SEAM = {
    "SyncAPIClient.request": "_base_client",
    "AsyncAPIClient.request": "_base_client",
    "Stream.__stream__": "_streaming",
    "AsyncStream.__stream__": "_streaming",
    "Stream.close": "_streaming",
    "AsyncStream.close": "_streaming",
    "SyncAPIClient._sleep_for_retry": "_base_client",
    "AsyncAPIClient._sleep_for_retry": "_base_client",
}
"""The module of each function, within the SDK."""
_DISPENSABLE = frozenset({"SyncAPIClient._sleep_for_retry", "AsyncAPIClient._sleep_for_retry"})
"""An SDK that retries in another way may lack these: then only its retries are not seen."""


def targets(provider: Provider, *, replaces_span: bool) -> dict[str, str]:
    """The functions that are patched, each with its module."""
    modules = {name: f"{provider.package}.{module}" for name, module in _SEAM.items()}
    if replaces_span and provider.replaced is not None:
        modules[provider.replaced[0]] = f"{provider.package}._base_client"
    return modules


def resolved(module: str, name: str) -> tuple[Any, str, Any] | None:
    """Where the function is, under which name, and what it is; None where this SDK does not have it."""
    try:
        return resolve_path(module, name)
    except (ImportError, AttributeError):
        return None


def covered_clients(provider: Provider) -> set[type]:
    """The SDK's client classes on which somebody has put a `request`: it may call the SDK's own without ours."""
    base = importlib.import_module(f"{provider.package}._base_client")
    # Not `isinstance`: a proxy that stands for a part of a client would make that client.
    public = [
        value for value in vars(importlib.import_module(provider.package)).values() if issubclass(type(value), type)
    ]
    return {value for value in public if issubclass(value, base.BaseClient) and "request" in vars(value)}


class Patch:
    """The SDK's functions, wrapped from `apply()` to `remove()`."""

    def __init__(self, provider: Provider, source: Telemetry, config: Config) -> None:
        self._provider = provider
        self._source = source
        self._config = config
        self._active = False
        self._looked_for_rivals = False
        self._wrapped: list[tuple[Any, str, Any, Any]] = []

    def apply(self) -> None:
        """Never raises: one warning names what the SDK does not have, and the rest works without it."""
        provider = self._provider
        wrappers: dict[str, Callable[..., Any]] = {
            "SyncAPIClient.request": self._request,
            "AsyncAPIClient.request": self._request_async,
            "Stream.__stream__": self._stream,
            "AsyncStream.__stream__": self._stream_async,
            "Stream.close": _close,
            "AsyncStream.close": _close_async,
            "SyncAPIClient._sleep_for_retry": back_off,
            "AsyncAPIClient._sleep_for_retry": back_off_async,
            **dict([provider.replaced] if provider.replaced else []),
        }
        modules = targets(provider, replaces_span=self._config.native_span == "replace")
        absent = [name for name, module in modules.items() if not self._wrap(module, name, wrappers[name])]
        if missing := [name for name in absent if name not in _DISPENSABLE]:
            version = importlib.import_module(provider.package).__version__
            _log.warning("%s %s has no %s; streamspan goes on without", provider.package, version, ", ".join(missing))
        self._cover_clients()
        self._active = True

    @contained
    def _cover_clients(self) -> None:
        base = importlib.import_module(f"{self._provider.package}._base_client")
        for client in covered_clients(self._provider):
            is_async = issubclass(client, base.AsyncAPIClient)
            self._put(client, "request", vars(client)["request"], self._request_async if is_async else self._request)

    def remove(self) -> None:
        """Put the SDK's own functions back. One that somebody else has wrapped since stays, and does nothing more."""
        self._active = False
        for parent, attribute, original, wrapper in self._wrapped:
            if vars(parent)[attribute] is wrapper:
                setattr(parent, attribute, original)
        self._wrapped.clear()

    def _wrap(self, module: str, name: str, wrapper: Callable[..., Any]) -> bool:
        found = resolved(module, name)
        if found is None:
            return False
        self._put(*found, wrapper)
        return True

    def _put(self, parent: Any, attribute: str, original: Any, wrapper: Callable[..., Any]) -> None:
        function = FunctionWrapper(original, wrapper)
        setattr(parent, attribute, function)
        self._wrapped.append((parent, attribute, original, function))

    # --- the call ------------------------------------------------------------------------------------------------

    def _request(self, wrapped: Wrapped, client: Any, args: Arguments, kwargs: Keywords) -> Any:
        begun = self._begin(client, args, kwargs, in_coroutine=False) if kwargs.get("stream") else None
        if begun is None:
            with unobserved(options_of(args, kwargs)):
                return wrapped(*args, **kwargs)
        observer, reading, args, kwargs = begun
        try:
            with Current(observer.telemetry.span), Calling(observer, options_of(args, kwargs)):
                result = wrapped(*args, **kwargs)
        except BaseException as error:
            _failed(observer, reading, error)
            raise
        _opened(observer, reading, result)
        return result

    async def _request_async(self, wrapped: Wrapped, client: Any, args: Arguments, kwargs: Keywords) -> Any:
        begun = self._begin(client, args, kwargs, in_coroutine=True) if kwargs.get("stream") else None
        if begun is None:
            with unobserved(options_of(args, kwargs)):
                return await wrapped(*args, **kwargs)
        observer, reading, args, kwargs = begun
        try:
            with Current(observer.telemetry.span), Calling(observer, options_of(args, kwargs)):
                result = await wrapped(*args, **kwargs)
        except BaseException as error:
            _failed(observer, reading, error)
            raise
        _opened(observer, reading, result)
        return result

    @contained
    def _begin(
        self, client: Any, args: Arguments, kwargs: Keywords, *, in_coroutine: bool
    ) -> tuple[Observer, Reading, Arguments, Keywords] | None:
        """The observer of a streamed inference call and the arguments to call with. None: it is another call."""
        if not self._active or not self._source.has_sdk() or suppressed():
            return None
        options = options_of(args, kwargs)
        if is_calling_with(options):
            return None
        call = self._provider.call(client, options)
        if call is None:
            return None
        if not self._looked_for_rivals:
            self._looked_for_rivals = True
            _warn_of_rivals(self._provider)
        reading = Reading(self._provider, self._provider.translator(call))
        observer = Observer(call, self._source, self._config)
        observer.cause_of_drop = reading.cause_of_drop
        observer.begins(in_coroutine=in_coroutine)
        content = observer.telemetry.content
        if content is not None:
            self._provider.capture(content, options)
        if self._config.native_span == "keep":
            return observer, reading, args, kwargs
        options = self._provider.replace_span(options, observer.telemetry) or options
        if len(args) > 1:
            return observer, reading, (args[0], options, *args[2:]), kwargs
        return observer, reading, args, {**kwargs, "options": options}

    # --- the events ----------------------------------------------------------------------------------------------

    def _stream(self, wrapped: Wrapped, stream: Any, args: Arguments, kwargs: Keywords) -> Any:
        """Without an SDK no stream is observed. With one, older SDKs call this before the response is observed."""
        events = wrapped(*args, **kwargs)
        return Reader(events, getattr(stream, "response", None)) if self._source.had_sdk else events

    def _stream_async(self, wrapped: Wrapped, stream: Any, args: Arguments, kwargs: Keywords) -> Any:
        events = wrapped(*args, **kwargs)
        return AsyncReader(events, getattr(stream, "response", None)) if self._source.had_sdk else events


def options_of(args: Arguments, kwargs: Keywords) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("options")


@contained
def _warn_of_rivals(provider: Provider) -> None:
    """Warn once of another instrumentation that makes a span of each streamed call too. It may have come after ours."""
    module, class_name, methods = provider.rivals
    resource: type = getattr(importlib.import_module(module), class_name)
    wrappers: list[Any] = [getattr(vars(resource).get(name), "_self_wrapper", None) for name in methods]
    others = {str(wrapper.__module__) for wrapper in wrappers if wrapper is not None}
    if others:
        _log.warning(
            "%s instruments the %s SDK too, so each streamed call has a span of either; "
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=%s switches off one that opentelemetry-instrument starts",
            ", ".join(sorted(others)),
            provider.title,
            provider.package,
        )


# --- the response ------------------------------------------------------------------------------------------------


def _failed(observer: Observer, reading: Reading, error: BaseException) -> None:
    """The call raised: no stream."""
    _describe_failure(observer, reading.provider, error)
    end_by_raise(observer, reading, error)


@contained
def _describe_failure(observer: Observer, provider: Provider, error: BaseException) -> None:
    response = getattr(error, "response", None)
    if response is not None:
        attributes = response_attributes(response, provider)
        observer.telemetry.response_came(attributes)
    else:
        attributes = request_attributes(getattr(error, "request", None), provider)
    observer.describe(attributes)


def _opened(observer: Observer, reading: Reading, result: Any) -> None:
    """The call returned: a stream, or a raw response that may become one."""
    if not _watch(observer, reading, result):
        observer.signal("unobservable")


@contained
def _watch(observer: Observer, reading: Reading, result: Any) -> bool:
    """Whether `result` has a response that can be observed from its beginning. A middleware may return anything."""
    response: Any = getattr(result, "http_response", None) or getattr(result, "response", None)
    body = getattr(response, "stream", None)
    if body is None or type(body) is Body:
        return False
    is_whole = hasattr(response, "_content")  # somebody has read it: what reads it from now on never asks the body
    if getattr(response, "is_stream_consumed", False) and not is_whole:
        return False  # a middleware has begun to read it, and did not keep what it read
    response.stream = Body(body, observer, reading)
    observer.opened()
    _describe_response(observer, reading.provider, response)
    if is_whole:
        observer.lifecycle.state = "bytes"
        observer.connection_closed()
    return True


@contained
def _describe_response(observer: Observer, provider: Provider, response: Any) -> None:
    telemetry = observer.telemetry
    if telemetry.is_recording or telemetry.has_metrics:
        attributes = response_attributes(response, provider)
        observer.describe(attributes)
        telemetry.response_came(attributes)


# --- the stream --------------------------------------------------------------------------------------------------


def _close(wrapped: Wrapped, stream: Any, args: Arguments, kwargs: Keywords) -> Any:
    body = body_of(getattr(stream, "response", None))
    if body is None:
        return wrapped(*args, **kwargs)
    close_begins(body, "closed")
    try:
        return wrapped(*args, **kwargs)
    finally:
        body.observer.close_ends()
        body.observer.exit_if_asked()


async def _close_async(wrapped: Wrapped, stream: Any, args: Arguments, kwargs: Keywords) -> Any:
    body = body_of(getattr(stream, "response", None))
    if body is None:
        return await wrapped(*args, **kwargs)
    close_begins(body, "closed")
    try:
        return await wrapped(*args, **kwargs)
    finally:
        body.observer.close_ends()
        body.observer.exit_if_asked()
