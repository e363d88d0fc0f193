"""The body of a streamed response, watched: the one thing that every way of reading has in common.

A `Body` stands in for `response.stream` and passes for it (same class to `isinstance`, same attributes). The SDK's
streams find their observer on it. It learns what nothing else tells:

    the body is closed          by the SDK behind its last event, or by the application through the raw response
    the body is read as bytes   no `Stream` sees the events then; the span ends with the bytes, `observed` false
    the response is dropped     never read, or read in part; it goes when the last reference to the response goes

It refers to the body and to the observer, never to the response. The HTTP library's classes are not imported, because
the SDK changed libraries at 1.0 (httpx, httpx2).
"""

import gc
import inspect
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any, cast

import wrapt

from streamspan.core.stream import AbortReason, Ending
from streamspan.guard import contained
from streamspan.observer import Observer

from . import translate


class Body(wrapt.ObjectProxy):  # pyright: ignore[reportMissingTypeArgument]  # wrapt 1 has none
    """`response.stream` with its observer."""

    __wrapped__: Any
    _self_observer: Observer

    # From 1.14 on the SDK asks for this at every event. Without one here, each time costs 2 us for the way through
    # the proxy to an AttributeError.
    stream_observer: Any = None

    def __init__(self, stream: Any, observer: Observer) -> None:
        super().__init__(stream)  # pyright: ignore[reportUnknownMemberType]  # of the type argument
        self._self_observer = observer
        self.stream_observer = getattr(stream, "stream_observer", None)

    @property
    def observer(self) -> Observer:
        return self._self_observer

    def __iter__(self) -> Iterator[bytes]:
        chunks = iter(self.__wrapped__)
        return chunks if self._self_observer.is_read else _bytes(chunks, self._self_observer)

    def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self.__wrapped__)
        return chunks if self._self_observer.is_read else _bytes_async(chunks, self._self_observer)

    def close(self) -> None:
        closes(self._self_observer)
        self.__wrapped__.close()

    async def aclose(self) -> None:
        closes(self._self_observer)
        await self.__wrapped__.aclose()

    def __del__(self) -> None:
        observer: Observer | None = getattr(self, "_self_observer", None)
        if observer is not None:
            dropped(observer)


def observer_of(response: Any) -> Observer | None:
    """The observer of an HTTP response, None where it has none. Never raises."""
    body = getattr(response, "stream", None)
    return body.observer if type(body) is Body else None


def reason_to_leave(observer: Observer) -> AbortReason:
    """Why the application closes: because of the exception that it handles, unless it did when it made the call."""
    error = sys.exc_info()[1]
    return "closed" if id(error) == observer.handled_at_start else translate.abort_reason(error)


@contained
def closes(observer: Observer) -> None:
    """The body is about to be closed."""
    observer.state.connection_closed()
    error = sys.exc_info()[1]
    if isinstance(error, GeneratorExit) and _inside_the_sdks_generator():
        # The collector may find the SDK's generator before the reader around it, which then tells of its end.
        return
    if observer.waiting_since is None:
        # Nobody is reading, so it is the application that closes. A `Stream` that was left has ended before this.
        kind = "unobserved" if observer.reads_bytes else "reader_left"
        observer.end(Ending(kind, time.perf_counter(), reason_to_leave(observer)))
    elif error is None or not translate.is_torn_connection(error):
        # Behind the last event, or somebody else closes while the reader waits: what the reader meets will tell.
        observer.torn_at = time.perf_counter()


def _inside_the_sdks_generator() -> bool:
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "__stream__":
        frame = frame.f_back
    return frame is not None


@contained
def dropped(observer: Observer) -> None:
    """The last reference to the response is gone."""
    if observer.reads_bytes:
        observer.end(Ending("unobserved"))
    else:
        observer.end(Ending("reader_left", None, "dropped" if observer.is_read else "never_read"))


def _bytes(chunks: Iterator[bytes], observer: Observer) -> Iterator[bytes]:
    observer.reads_bytes = True
    try:
        for chunk in chunks:
            observer.state.touched(time.perf_counter())
            yield chunk
    except Exception as error:
        observer.end(translate.ending(error, time.perf_counter()))
        raise
    finally:
        observer.end(Ending("unobserved"))


async def _bytes_async(chunks: AsyncIterator[bytes], observer: Observer) -> AsyncIterator[bytes]:
    observer.reads_bytes = True
    try:
        async for chunk in chunks:
            observer.state.touched(time.perf_counter())
            yield chunk
    except Exception as error:
        observer.end(translate.ending(error, time.perf_counter()))
        raise
    finally:
        observer.end(Ending("unobserved"))
        if isinstance(chunks, AsyncGenerator):
            await close_unless_finalized(cast("AsyncGenerator[bytes]", chunks))


async def close_unless_finalized(generator: AsyncGenerator[Any]) -> None:
    """Close a generator in the task that reads it. Left alone, the event loop would do so later, in a task of its own.

    One that the collector has found together with its reader is being closed in such a task already, which would fail.
    """
    if not gc.is_finalized(generator):
        await generator.aclose()
