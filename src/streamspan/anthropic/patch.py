"""What is patched in the SDK, and how a stream is read under observation.

    SyncAPIClient.request, AsyncAPIClient.request  every call goes through here: a stream begins, or fails to
    Stream.__stream__, AsyncStream.__stream__      every event goes through here, once, however it is read
    Stream.close, AsyncStream.close                the reader leaves
    start_api_call_span                            the SDK's own span of a call, from 1.14 on

The application gets what the SDK made: the same objects, and from `__stream__` a generator as before. The rest of a
stream's life is seen on its body, see `body.py`; how our span takes the place of the SDK's, see `native.py`.
"""

import importlib
import importlib.util
import logging
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from wrapt import FunctionWrapper, resolve_path

from streamspan.config import Config, NativeSpan
from streamspan.core.model import Ending
from streamspan.guard import contained
from streamspan.observer import Observer
from streamspan.telemetry import spans as telemetry

from . import translate
from .body import (
    LOST,
    Body,
    close_unless_finalized,
    end_by_error,
    end_reading,
    identity,
    left_by_callback,
    left_by_close,
    observer_of,
)
from .content import capture_request
from .native import start_api_call_span, taken_over

_log = logging.getLogger(__name__)

Wrapped = Callable[..., Any]
Arguments = tuple[Any, ...]
Keywords = dict[str, Any]


TARGETS = {
    "SyncAPIClient.request": "anthropic._base_client",
    "AsyncAPIClient.request": "anthropic._base_client",
    "Stream.__stream__": "anthropic._streaming",
    "AsyncStream.__stream__": "anthropic._streaming",
    "Stream.close": "anthropic._streaming",
    "AsyncStream.close": "anthropic._streaming",
    "start_api_call_span": "anthropic._base_client",
}
"""The module of each."""
NATIVE_SPAN_TARGET = "start_api_call_span"


def traces_itself() -> bool:
    """Whether this SDK makes a span of each call itself, as from 1.14 on."""
    return importlib.util.find_spec("anthropic._tracing") is not None


def targets(native_span: NativeSpan) -> list[str]:
    """Those of TARGETS that are patched in this SDK."""
    native = native_span == "replace" and traces_itself()
    return [name for name in TARGETS if native or name != NATIVE_SPAN_TARGET]


def resolved(target: str) -> tuple[Any, str, Any] | None:
    """Where it is, under which name, and what it is; None where this SDK does not have it."""
    try:
        return resolve_path(TARGETS[target], target)
    except (ImportError, AttributeError):
        return None


@contained
def covered_clients() -> list[str]:
    """Functions that somebody has put on the SDK's client classes: they may call the SDK's own past ours."""
    base = importlib.import_module("anthropic._base_client")
    public = vars(importlib.import_module("anthropic")).values()
    clients = [value for value in public if isinstance(value, type) and issubclass(value, base.BaseClient)]
    return sorted({f"{client.__name__}.request" for client in clients if "request" in vars(client)})


class Patch:
    """The SDK's functions, wrapped from `apply()` to `remove()`."""

    def __init__(self, source: telemetry.Telemetry, config: Config) -> None:
        self._source = source
        self._config = config
        self._active = False
        self._looked_for_others = False
        self._wrapped: list[tuple[Any, str, Any, Any]] = []

    def apply(self) -> None:
        """Never raises: what the SDK does not have is told in one warning, and the rest works without it."""
        wrappers: dict[str, Callable[..., Any]] = {
            "SyncAPIClient.request": self._request,
            "AsyncAPIClient.request": self._request_async,
            "Stream.__stream__": _stream,
            "AsyncStream.__stream__": _stream_async,
            "Stream.close": _close,
            "AsyncStream.close": _close_async,
            NATIVE_SPAN_TARGET: start_api_call_span,
        }
        missing = [name for name in targets(self._config.native_span) if not self._wrap(name, wrappers[name])]
        if missing:
            version = importlib.import_module("anthropic").__version__
            _log.warning("anthropic %s has no %s; streamspan goes on without", version, ", ".join(missing))
        if covered := covered_clients():
            _log.warning(
                "another instrumentation has replaced %s; streams may have no span, unless streamspan starts first",
                ", ".join(covered),
            )
        self._active = True

    def remove(self) -> None:
        """Put the SDK's own functions back. One that somebody wrapped since stays, and does nothing of ours."""
        self._active = False
        for parent, attribute, original, wrapper in self._wrapped:
            if vars(parent)[attribute] is wrapper:
                setattr(parent, attribute, original)
        self._wrapped.clear()

    def _wrap(self, name: str, wrapper: Callable[..., Any]) -> bool:
        found = resolved(name)
        if found is None:
            return False
        parent, attribute, original = found
        function = FunctionWrapper(original, wrapper)
        setattr(parent, attribute, function)
        self._wrapped.append((parent, attribute, original, function))
        return True

    # --- the call ------------------------------------------------------------------------------------------------

    def _request(self, wrapped: Wrapped, client: Any, args: Arguments, kwargs: Keywords) -> Any:
        begun = self._begin(client, args, kwargs)
        if begun is None:
            return wrapped(*args, **kwargs)
        observer, args, kwargs = begun
        try:
            with telemetry.Current(observer.span):
                result = wrapped(*args, **kwargs)
        except BaseException as error:
            _failed(observer, error)
            raise
        _opened(observer, result)
        return result

    async def _request_async(self, wrapped: Wrapped, client: Any, args: Arguments, kwargs: Keywords) -> Any:
        begun = self._begin(client, args, kwargs)
        if begun is None:
            return await wrapped(*args, **kwargs)
        observer, args, kwargs = begun
        try:
            with telemetry.Current(observer.span):
                result = await wrapped(*args, **kwargs)
        except BaseException as error:
            _failed(observer, error)
            raise
        _opened(observer, result)
        return result

    @contained
    def _begin(self, client: Any, args: Arguments, kwargs: Keywords) -> tuple[Observer, Arguments, Keywords] | None:
        """The observer of a streamed inference call and the arguments to call with. None: it is another call."""
        if not self._active or not kwargs.get("stream") or not self._source.has_sdk() or telemetry.suppressed():
            return None
        options = args[1] if len(args) > 1 else kwargs["options"]
        call = translate.call(client, options)
        if call is None:
            return None
        if not self._looked_for_others:
            self._looked_for_others = True
            _warn_of_others()
        observer = Observer(call, self._source, self._config)
        observer.handled_at_start = identity(sys.exc_info()[1])
        if observer.content is not None:
            capture_request(observer.content, options)
        if self._config.native_span == "keep":
            return observer, args, kwargs
        options = taken_over(options, observer) or options
        if len(args) > 1:
            return observer, (args[0], options, *args[2:]), kwargs
        return observer, args, {**kwargs, "options": options}


def _warn_of_others() -> None:
    """Tell once of another instrumentation that makes a span of each streamed call too. It may have come after us."""
    messages: type = importlib.import_module("anthropic.resources.messages").Messages
    wrappers: list[Any] = [getattr(vars(messages).get(name), "_self_wrapper", None) for name in ("create", "stream")]
    others = {str(wrapper.__module__) for wrapper in wrappers if wrapper is not None}
    if others:
        _log.warning(
            "%s instruments the Anthropic SDK too, so each streamed call has a span of either; "
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=anthropic switches off one that opentelemetry-instrument starts",
            ", ".join(sorted(others)),
        )


# --- the response ------------------------------------------------------------------------------------------------


def _failed(observer: Observer, error: BaseException) -> None:
    """The call raised: no stream."""
    _describe_failure(observer, error)
    end_by_error(observer, error)


@contained
def _describe_failure(observer: Observer, error: BaseException) -> None:
    response = getattr(error, "response", None)
    if response is not None:
        _describe_response(observer, response)
    else:
        observer.attributes.update(translate.request_attributes(getattr(error, "request", None)))


@contained
def _describe_response(observer: Observer, response: Any) -> None:
    observer.attributes.update(translate.response_attributes(response))


def _opened(observer: Observer, result: Any) -> None:
    """The call returned: a stream, or a raw response that may become one."""
    if not _watch(observer, result):
        observer.end(Ending("unobserved", time.perf_counter()))


@contained
def _watch(observer: Observer, result: Any) -> bool:
    """Whether `result` has a response that can be watched from its beginning. A middleware may return anything."""
    response: Any = getattr(result, "http_response", None) or getattr(result, "response", None)
    body = getattr(response, "stream", None)
    if body is None or type(body) is Body:
        return False
    if getattr(response, "is_stream_consumed", False) and not hasattr(response, "_content"):
        return False  # a middleware has begun to read it, and did not keep what it read
    if hasattr(response, "_content"):  # somebody has read it whole: what reads it from now on never asks the body
        observer.reads_bytes = True
        observer.state.connection_closed()
    response.stream = Body(body, observer)
    observer.opened()
    _describe_response(observer, response)
    return True


# --- the events --------------------------------------------------------------------------------------------------


def _stream(wrapped: Wrapped, stream: Any, args: Arguments, kwargs: Keywords) -> Generator[Any, None, None]:
    return _read(wrapped(*args, **kwargs), getattr(stream, "response", None))


def _stream_async(wrapped: Wrapped, stream: Any, args: Arguments, kwargs: Keywords) -> AsyncGenerator[Any, None]:
    return _read_async(wrapped(*args, **kwargs), getattr(stream, "response", None))


# The two readers differ by `async` only. Up to 1.13 the SDK makes the generator while the call is still running, so the
# observer is looked up at the first event. They hold the response, not the stream, and no event, so that both go when
# the application lets go of them.


def _read(events: Generator[Any, None, None], response: Any) -> Generator[Any, None, None]:
    observer = observer_of(response)
    if observer is None or observer.is_read:  # of another call, or another reader's
        yield from events
        return
    observe = translate.recorder(observer) if observer.records_chunks else translate.watcher(observer)
    observer.is_read = True
    try:
        while True:
            observer.is_reading = True
            yield observe(next(events))
    except StopIteration:
        observer.is_reading = False
    except GeneratorExit:
        with observer.leaving(LOST):
            events.close()
        raise
    except BaseException as error:
        if id(error) == observer.raised:
            with observer.leaving(left_by_callback(error)):
                events.close()
        else:
            end_reading(observer, error)
        raise
    observer.end(Ending("body_end", time.perf_counter(), error_type=translate.TRUNCATED_ERROR_TYPE))


async def _read_async(events: AsyncGenerator[Any, None], response: Any) -> AsyncGenerator[Any, None]:
    observer = observer_of(response)
    if observer is None or observer.is_read:
        try:
            async for event in events:
                yield event
        finally:
            await close_unless_finalized(events)
        return
    observe = translate.recorder(observer) if observer.records_chunks else translate.watcher(observer)
    observer.is_read = True
    try:
        while True:
            observer.is_reading = True
            yield observe(await events.__anext__())
    except StopAsyncIteration:
        observer.is_reading = False
    except GeneratorExit:
        with observer.leaving(LOST):
            await close_unless_finalized(events)
        raise
    except BaseException as error:
        if id(error) == observer.raised:
            with observer.leaving(left_by_callback(error)):
                await close_unless_finalized(events)
        else:
            end_reading(observer, error)
        raise
    observer.end(Ending("body_end", time.perf_counter(), error_type=translate.TRUNCATED_ERROR_TYPE))


def _close(wrapped: Wrapped, stream: Any, args: Arguments, kwargs: Keywords) -> Any:
    observer = observer_of(getattr(stream, "response", None))
    if observer is None:
        return wrapped(*args, **kwargs)
    with observer.leaving(left_by_close(observer)):
        return wrapped(*args, **kwargs)


async def _close_async(wrapped: Wrapped, stream: Any, args: Arguments, kwargs: Keywords) -> Any:
    observer = observer_of(getattr(stream, "response", None))
    if observer is None:
        return await wrapped(*args, **kwargs)
    with observer.leaving(left_by_close(observer)):
        return await wrapped(*args, **kwargs)
