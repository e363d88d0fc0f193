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
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from streamspan.core.model import Ending
from streamspan.guard import contained
from streamspan.handle import finders
from streamspan.observer import Observer

from . import translate

LOST = Ending("reader_left", None, "dropped")


class Body:
    """`response.stream` with its observer. Everything that is not here is the stream's own."""

    # The SDK asks for `stream_observer` at every event from 1.14 on. As an attribute of ours it costs it 0.1 us;
    # through `wrapt.ObjectProxy`, 0.25 us. The names of the others are none that a stream may have, as `_stream` is.
    __slots__ = ("__weakref__", "_self_observer", "_self_stream", "stream_observer")

    def __init__(self, stream: Any, observer: Observer) -> None:
        self._self_stream = stream
        self._self_observer = observer
        self.stream_observer: Any = getattr(stream, "stream_observer", None)

    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._self_stream.__class__

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_self_stream"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in Body.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self._self_stream, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._self_stream, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy is the stream's: the observer goes with one body, whose end it takes for that of the stream."""
        return self._self_stream.__reduce_ex__(protocol)

    @property
    def observer(self) -> Observer:
        return self._self_observer

    def __iter__(self) -> Iterator[bytes]:
        observer = self._self_observer
        chunks = iter(self._self_stream)
        return Reads(chunks, observer) if observer.is_read else _bytes(chunks, observer)

    def __aiter__(self) -> AsyncIterator[bytes]:
        observer = self._self_observer
        chunks = aiter(self._self_stream)
        return AsyncReads(chunks, observer) if observer.is_read else _bytes_async(chunks, observer)

    def close(self) -> None:
        with closing(self._self_observer) or nullcontext():
            self._self_stream.close()
            self._self_observer.state.connection_closed()

    async def aclose(self) -> None:
        with closing(self._self_observer) or nullcontext():
            await self._self_stream.aclose()
            self._self_observer.state.connection_closed()

    def __del__(self) -> None:
        observer: Observer | None = getattr(self, "_self_observer", None)
        if observer is not None:
            dropped(observer)


def observer_of(response: Any) -> Observer | None:
    """The observer of an HTTP response, None where it has none. Never raises."""
    body = getattr(response, "stream", None)
    return body.observer if type(body) is Body else None


@contained
def observer_of_stream(stream: Any) -> Observer | None:
    """Of whatever the SDK gives for a streamed call: the stream, a raw response, the manager that was entered."""
    name = type(stream).__name__
    entered = getattr(stream, f"_{name}__stream", None) or getattr(stream, f"_{name}__response", None)
    given = stream if entered is None else entered
    return observer_of(getattr(given, "http_response", None) or getattr(given, "response", given))


finders.append(observer_of_stream)


def left_by_close(observer: Observer) -> Ending:
    """The application closes: because of the exception that it handles, unless it did when it made the call."""
    error = sys.exc_info()[1]
    reason = "closed" if identity(error) == observer.handled_at_start else translate.abort_reason(error)
    return Ending("reader_left", time.perf_counter(), reason)


def left_by_callback(error: BaseException) -> Ending:
    """A callback of the application raised `error`, which its reader gets."""
    return Ending("reader_left", time.perf_counter(), translate.abort_reason(error))


def identity(error: BaseException | None) -> tuple[object, ...]:
    """Without a reference. The id alone may be another exception's by now."""
    return () if error is None else (id(error), type(error), id(error.__traceback__))


@contained
def closing(observer: Observer) -> AbstractContextManager[None] | None:
    """The block in which the body is closed; None: this close says nothing of how the stream ends."""
    error = sys.exc_info()[1]
    if observer.is_reading:
        if error is None or not translate.is_torn_connection(error):
            # Behind the last event, or somebody else closes while the reader waits: what the reader meets will tell.
            observer.torn_at = time.perf_counter()
        return None
    if observer.reads_bytes:
        return observer.leaving(Ending("unobserved", time.perf_counter()))
    if observer.is_read and isinstance(error, GeneratorExit):
        # A generator between the body and the reader, which the collector or the event loop may close before the
        # reader itself: that one tells.
        return None
    # Nobody is reading, so it is the application that closes. A `Stream` that was left has ended before this.
    return observer.leaving(left_by_close(observer))


@contained
def end_by_error(observer: Observer, error: BaseException) -> None:
    """A read raised, or the call did."""
    now = time.perf_counter()
    ending = translate.ending(error, now)
    if translate.is_closed_stream(error) or (observer.torn_at is not None and translate.is_torn_connection(error)):
        # Somebody closed the response while the reader waited, or just before, and it met what was left.
        ending = Ending("reader_left", observer.torn_at or now, "closed")
    observer.end(ending)


def end_reading(observer: Observer, error: BaseException) -> None:
    """A reader was stopped: by its read, or while it was in none.

    The latter is an event loop that ends: it cancels the task in which it closes the generator of a dropped stream.
    """
    if observer.is_reading or isinstance(error, (KeyboardInterrupt, SystemExit)):  # while we looked at an event
        end_by_error(observer, error)
    else:
        observer.end(LOST)


@contained
def dropped(observer: Observer) -> None:
    """The last reference to the response is gone."""
    if observer.is_read:
        observer.end(LOST)
    else:
        observer.end(Ending("unobserved") if observer.reads_bytes else Ending("reader_left", None, "never_read"))


# No generators, of which each that is dropped is one more for the event loop to close.


class Reads:
    """The bytes of a body whose events are read, with the wait for each piece of them."""

    __slots__ = ("_chunks", "_observer")

    def __init__(self, chunks: Iterator[bytes], observer: Observer) -> None:
        self._chunks = chunks
        self._observer = observer

    def __iter__(self) -> "Reads":
        return self

    def __next__(self) -> bytes:
        self._observer.waiting_since = time.perf_counter()
        try:
            return next(self._chunks)
        finally:
            self._observer.waited()


class AsyncReads:
    """The same."""

    __slots__ = ("_chunks", "_observer")

    def __init__(self, chunks: AsyncIterator[bytes], observer: Observer) -> None:
        self._chunks = chunks
        self._observer = observer

    def __aiter__(self) -> "AsyncReads":
        return self

    async def __anext__(self) -> bytes:
        self._observer.waiting_since = time.perf_counter()
        try:
            return await anext(self._chunks)
        finally:
            self._observer.waited()


def _bytes(chunks: Iterator[bytes], observer: Observer) -> Iterator[bytes]:
    observer.reads_bytes = True
    try:
        for chunk in chunks:
            observer.state.touched(time.perf_counter())
            yield chunk
    except Exception as error:
        end_by_error(observer, error)
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
        end_by_error(observer, error)
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
