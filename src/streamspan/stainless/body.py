"""The body of a streamed response, observed: the one thing that every way of reading has in common.

A `Body` stands in for `response.stream` and passes for it (same class to `isinstance`, same attributes). An SDK's
stream finds its observer there. It learns what nothing else tells:

    the body is closed          by the SDK after its last event, or by the application through the raw response
    the body is read as bytes   no stream of the SDK sees the events then
    the response is dropped     never read, or read in part, when the last reference to the response goes
    bytes that are no event     keep-alives, which the SDK swallows

It refers to the SDK's body and to the observer, never to the response.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from time import perf_counter
from typing import Any

from streamspan.guard import contained
from streamspan.observer import Incoming, Observer

from .errors import error_message, error_type
from .last_bytes import BYTES_AT_MOST, ENOUGH_BYTES
from .leaving import Reading


class Body:
    """`response.stream` with its observer. Everything that is not here is the body's own."""

    # The Anthropic SDK asks for `stream_observer` at every event from 1.14 on. As an attribute of this class it costs
    # 0.1 us; through `wrapt.ObjectProxy`, 0.25 us. The other names are ones that no body has.
    __slots__ = ("__weakref__", "_self_observer", "_self_reading", "_self_stream", "stream_observer")

    def __init__(self, stream: Any, observer: Observer, reading: Reading) -> None:
        self._self_stream = stream
        self._self_reading = reading
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
        """A copy is the SDK's body: only one body tells of the end of the stream."""
        return self._self_stream.__reduce_ex__(protocol)

    @property
    def observer(self) -> Observer:
        return self._self_observer

    @property
    def reading(self) -> Reading:
        return self._self_reading

    def __iter__(self) -> Iterator[bytes]:
        chunks, observer = iter(self._self_stream), self._self_observer
        if _begin_bytes(observer):
            return Bytes(chunks, observer, self._self_reading)
        return chunks if observer.incoming is None else event_bytes(chunks, observer.incoming)

    def __aiter__(self) -> AsyncIterator[bytes]:
        chunks, observer = aiter(self._self_stream), self._self_observer
        if _begin_bytes(observer):
            return AsyncBytes(chunks, observer, self._self_reading)
        return chunks if observer.incoming is None else AsyncEventBytes(chunks, observer.incoming)

    def close(self) -> None:
        close_begins(self, "body_closed")
        try:
            self._self_stream.close()
            self._self_observer.connection_closed()
        finally:
            self._self_observer.close_ends()

    async def aclose(self) -> None:
        close_begins(self, "body_closed")
        try:
            await self._self_stream.aclose()
            self._self_observer.connection_closed()
        finally:
            self._self_observer.close_ends()

    def __del__(self) -> None:
        observer: Observer | None = getattr(self, "_self_observer", None)
        if observer is not None:
            _dropped(observer, self._self_reading)


def body_of(response: Any) -> Body | None:
    """The observed body of an HTTP response; None where it has none. Never raises."""
    body = getattr(response, "stream", None)
    return body if type(body) is Body else None


@contained
def observer_of(stream: Any) -> Observer | None:
    """The observer of whatever an SDK gives for a streamed call: a stream, a raw response, an entered manager."""
    name = type(stream).__name__
    entered = getattr(stream, f"_{name}__stream", None) or getattr(stream, f"_{name}__response", None)
    given = stream if entered is None else entered
    response = getattr(given, "http_response", None) or getattr(given, "response", None)
    body = body_of(response or getattr(given, "_response", given))  # some helpers have it under this name only
    return None if body is None else body.observer


@contained
def close_begins(body: Body, signal: Any) -> None:
    """The stream (`closed`) or its body (`body_closed`) is about to be closed. `close_ends` of the observer follows."""
    observer, reading = body.observer, body.reading
    if observer.lifecycle.has_ended:
        observer.close_begins()
        if observer.lifecycle.state != "reading":
            observer.left()
        return
    if signal == "body_closed":
        reading.body_closes()  # whatever the reader does: another thread may begin a read just now
        if observer.lifecycle.state == "reading":
            return
    cause = reading.cause_of_close(lambda candidate: observer_of(candidate) is observer)
    error = sys.exc_info()[1] if cause == "sdk_error" else None
    tell_message(observer, error)
    observer.signal(signal, cause, error_type=None if error is None else error_type(error))
    observer.close_begins()


@contained
def _dropped(observer: Observer, reading: Reading) -> None:
    """The last reference to the response is gone."""
    if observer.lifecycle.has_ended:
        observer.gone()
    else:
        observer.signal("dropped", reading.cause_of_drop())


@contained
def _begin_bytes(observer: Observer) -> bool:
    """Whether the application begins to read the body itself. The reader of events says so before it reads."""
    lifecycle = observer.lifecycle
    if lifecycle.state not in {"unread", "bytes"} or lifecycle.has_ended:
        return False
    lifecycle.state = "bytes"
    return True


@contained
def tell_message(observer: Observer, error: BaseException | None) -> None:
    """Capture the text of the error, where content is captured."""
    if error is not None and observer.telemetry.content is not None:
        observer.telemetry.failed_with(error_message(error))


@contained
def end_by_raise(observer: Observer, reading: Reading, error: BaseException) -> None:
    """A read raised, or the call did."""
    cause = reading.cause_of_raise(error)
    tell_message(observer, error if cause == "error" else None)
    at = reading.body_closed_at if cause == "closed" else None
    word = error_type(error) if cause == "error" else None
    if not observer.signal("raised", cause, at=at, error_type=word):
        observer.body_ended(word)


# Not generators: each async generator of ours would be one more for the event loop to close at its end.


class Bytes:
    """The bytes of a body that the application reads itself."""

    __slots__ = ("_chunks", "_observer", "_reading")

    def __init__(self, chunks: Iterator[bytes], observer: Observer, reading: Reading) -> None:
        self._chunks = chunks
        self._observer = observer
        self._reading = reading

    def __iter__(self) -> "Bytes":
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self._observer.signal("exhausted")
            raise
        except BaseException as error:
            end_by_raise(self._observer, self._reading, error)
            raise
        self._observer.bytes_came()
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chunks, name)


class AsyncBytes:
    """The same, asynchronously."""

    __slots__ = ("_chunks", "_observer", "_reading")

    def __init__(self, chunks: AsyncIterator[bytes], observer: Observer, reading: Reading) -> None:
        self._chunks = chunks
        self._observer = observer
        self._reading = reading

    def __aiter__(self) -> "AsyncBytes":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._observer.signal("exhausted")
            raise
        except BaseException as error:
            end_by_raise(self._observer, self._reading, error)
            raise
        self._observer.bytes_came()
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chunks, name)


def event_bytes(chunks: Iterator[bytes], incoming: Incoming) -> Iterator[bytes]:
    """The bytes of a body that the SDK makes events of. The reader waits from here until it has an event."""
    for chunk in chunks:
        size = len(chunk)
        incoming.earlier_bytes = incoming.last_bytes if size < ENOUGH_BYTES else b""
        incoming.last_bytes = chunk if size <= BYTES_AT_MOST else chunk[-BYTES_AT_MOST:]
        yield chunk
        if incoming.waiting_since is None:
            incoming.waiting_since = perf_counter()
        else:
            incoming.brought_no_event(size)


class AsyncEventBytes:
    """The same, asynchronously. Not a generator: see above."""

    __slots__ = ("_chunks", "_incoming", "_size")

    def __init__(self, chunks: AsyncIterator[bytes], incoming: Incoming) -> None:
        self._chunks = chunks
        self._incoming = incoming
        self._size = 0

    def __aiter__(self) -> "AsyncEventBytes":
        return self

    async def __anext__(self) -> bytes:
        incoming = self._incoming
        if incoming.waiting_since is None:
            incoming.waiting_since = perf_counter()
        elif self._size:
            incoming.brought_no_event(self._size)
        chunk = await self._chunks.__anext__()
        self._size = size = len(chunk)
        incoming.earlier_bytes = incoming.last_bytes if size < ENOUGH_BYTES else b""
        incoming.last_bytes = chunk if size <= BYTES_AT_MOST else chunk[-BYTES_AT_MOST:]
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chunks, name)
