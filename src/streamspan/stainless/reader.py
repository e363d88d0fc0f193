"""The hot path: how the events of a stream are read under observation.

The two readers stand in for the SDK's generators, and differ by `async` only. They are not generators: an event loop
that ends closes every async generator it knows, and would have to close two of each stream.

Nearly every event is a delta of the same block and kind as the one before. Such a chunk costs a clock, one look by the
provider's translator and one `append`; the core gets whole batches of them. Everything else, and a chunk after a
wait that matters, goes to the observer at once. What every event takes stands in both readers: a method would be one
more call for each.

A wait begins where the SDK asks the body for bytes (`body.py`). An event whose bytes are there ends none.

    keep-alives  bytes that brought no event: the body tells of them when the SDK asks for more in the same read
"""

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from math import inf
from time import perf_counter
from typing import Any

from streamspan import semconv
from streamspan.core.model import Fact
from streamspan.core.pacing import LONG_WAIT, SHORTEST_GAP
from streamspan.core.stream import StreamState
from streamspan.event_loop import LATE
from streamspan.guard import contained
from streamspan.observer import Observer
from streamspan.telemetry.spans import Attributes

from . import values
from .body import body_of, end_by_raise
from .last_bytes import BYTES_AT_MOST, error_type_in, keepalives_in
from .leaving import Reading

ROOM = 2048  # chars that wait at the most, so that they take 16 KiB with what their strings take besides
ROOM_OF_CHUNK = 24  # beside its chars: 46 chunks of prose are handed over together
ROOM_OF_WAIT = 200  # a chunk that the reader waited for takes the room of six: a loop in such chunks is not found late
_CONTENT_TYPE = "content-type"


class Intake:
    """Takes each event as it comes, and owns the chunks that the core has not got yet."""

    __slots__ = (
        "_blocked",
        "_body_size",
        "_content_type",
        "_end_mark",
        "_gaps",
        "_keepalives",
        "_long_wait",
        "_observer",
        "_reading",
        "_texts",
        "_translator",
        "append",
        "bytes_at",
        "continued",
        "earlier_bytes",
        "hand_over_by",
        "last_at",
        "last_bytes",
        "lifecycle",
        "room",
        "waiting_since",
    )

    def __init__(self, observer: Observer, reading: Reading, content_type: str) -> None:
        self._observer = observer
        self._reading = reading
        self._translator = reading.translator
        self.continued: Callable[[Any], str | None] = reading.translator.continued
        self._end_mark = reading.provider.end_mark
        self._content_type = content_type
        self._long_wait = min(LONG_WAIT, observer.config.stall_seconds)
        self.hand_over_by = inf
        self._keepalives = 0
        self._blocked = 0.0
        self._body_size = 0
        self.bytes_at = 0.0
        self.last_bytes = self.earlier_bytes = b""
        self._texts: list[str] = []
        self.append = self._texts.append
        self.room = ROOM
        self._gaps: list[float] = []
        self.last_at = 0.0
        self.waiting_since: float | None = perf_counter()  # the first bytes are about to be asked for
        self.lifecycle = observer.lifecycle
        if observer.config.time_per_output_chunk:  # each chunk has a record of its own
            self.continued = _never

    def take(self, event: Any, text: str | None, gap: float, at: float) -> None:
        """An event has come after a wait of `gap` seconds: one that the reader has not kept. `text`: what goes on.

        Raises only what a callback of the application raises.
        """
        if text and gap < self._long_wait and at < self.hand_over_by:
            self.append(text)
            self.last_at = at
            if gap >= SHORTEST_GAP:
                self._gaps.append(gap)
                self.room -= len(text) + ROOM_OF_CHUNK + ROOM_OF_WAIT
                if self.room > 0:
                    return
            self._observer.take(None, at)
        else:
            if gap >= LATE:
                self._blocked += self._observer.blocked_time(at - gap, at)
            self._observer.take(lambda state: self._translator.translate(event, gap, at, state), at)
        self.hand_over_by = self._observer.state.hand_over_by

    def hand_over(self, state: StreamState) -> tuple[Fact, ...]:
        """Give the core the chunks that wait, and what is known of the wait that goes on."""
        facts: tuple[Fact, ...] = ()
        if self._texts:
            texts, gaps = tuple(self._texts), tuple(self._gaps)
            self._texts.clear()
            self._gaps.clear()
            self.room = ROOM
            facts = state.deltas(texts, gaps, self.last_at)
        if self._keepalives:
            state.kept_alive(self._keepalives)
            self._keepalives = 0
        if self._blocked:
            state.blocked(self._blocked)
            self._blocked = 0.0
        return facts

    def wait_ends(self, at: float) -> None:
        """The stream has ended at `at`, in the midst of a read."""
        if self.waiting_since is not None:
            self._blocked += self._observer.blocked_time(self.waiting_since, at)

    @contained
    def brought_no_event(self, size: int) -> None:
        """The SDK asks for more in the same read: the last bytes, of which there were `size`, have ended no event."""
        self.bytes_at = perf_counter()
        self._body_size += size
        count = keepalives_in(self.last_bytes, self.earlier_bytes)
        self.last_bytes = (self.earlier_bytes + self.last_bytes)[-BYTES_AT_MOST:]
        self.earlier_bytes = b""
        if count and not self._is_marked():
            self._keepalives += count
            self.hand_over_by = -inf

    @property
    def texts(self) -> Sequence[str]:
        return tuple(self._texts)

    @property
    def attributes(self) -> Attributes:
        return self._translator.attributes

    @contained
    def let_go(self) -> None:
        self._reading.let_go()

    def exhausted(self) -> None:
        """The body has ended."""
        error_type = None
        if not self.lifecycle.has_ended:
            self.last_bytes = self.earlier_bytes + self.last_bytes
            error_type = self._failure()
            if error_type is None:
                self._end_if_complete()
        self._observer.exhausted(error_type)

    @contained
    def _end_if_complete(self) -> None:
        """End a stream whose provider marks its end by no event, unless the end is missing."""
        if self._translator.is_complete(marked=self._is_marked()):
            at = perf_counter()
            self.wait_ends(at)
            gap = 0.0 if self.waiting_since is None else at - self.waiting_since
            self._observer.take(lambda state: state.event(gap, at) + state.message_ended(at), at)

    def _is_marked(self) -> bool:
        """Whether the end mark has come in the last bytes."""
        return self._end_mark is not None and self._end_mark.search(self.last_bytes) is not None

    @contained
    def _failure(self) -> str | None:
        """The `error.type` of a body that ended without the provider's own end, if its bytes show one."""
        error_type = error_type_in(self.last_bytes)
        if self._observer.state.has_started or not self._content_type or "event" in self._content_type:
            return error_type
        self._observer.describe(
            {
                f"{semconv.RESPONSE_HEADER_PREFIX}{_CONTENT_TYPE}": [self._content_type],
                semconv.RESPONSE_BODY_SIZE: self._body_size,
            }
        )
        return error_type or semconv.UNEXPECTED_CONTENT_TYPE

    def stopped(self, error: BaseException) -> bool:
        """`error` has stopped the reader. Whether it did so while it looked at an event, so that the stream is left."""
        if self.lifecycle.state == "reading":
            end_by_raise(self._observer, self._reading, error)
            return False
        self._observer.signal("interrupted", "error" if isinstance(error, Exception) else "cancelled")
        return True


def _never(_: Any) -> None:
    return None


class Reader:
    """The events of one stream."""

    __slots__ = ("_events", "_intake", "_response")

    def __init__(self, events: Generator[Any, None, None], response: Any) -> None:
        self._events = events
        self._response = response  # up to 1.13 the SDK makes its generator before the response is observed
        self._intake: Intake | None = None

    def __iter__(self) -> "Reader":
        return self

    def __next__(self) -> Any:
        intake = self._intake
        if intake is None:
            return self._first()
        lifecycle = intake.lifecycle
        lifecycle.state = "reading"
        try:
            event = next(self._events)
            at = perf_counter()
            lifecycle.state = "between_reads"
            gap = 0.0
            if intake.waiting_since is not None:
                gap = at - intake.waiting_since
                intake.waiting_since = None
            text = intake.continued(event)
            if (
                text
                and gap < SHORTEST_GAP
                and at < intake.hand_over_by
                and (room := intake.room - len(text) - ROOM_OF_CHUNK) > 0
            ):
                intake.room = room
                intake.append(text)
                intake.last_at = at
            else:
                intake.take(event, text, gap, at)
        except StopIteration:
            intake.exhausted()
            raise
        except BaseException as error:
            if intake.stopped(error):
                self._events.close()
            raise
        return event

    def _first(self) -> Any:
        """The first read, and every read of a stream that is not observed."""
        if self._response is None:
            return next(self._events)
        self._response, self._intake = None, begun(self._response)
        return self.__next__()

    def send(self, value: Any) -> Any:
        return next(self) if value is None else self._events.send(value)

    def throw(self, *error: Any) -> Any:
        return self._events.throw(*error)

    def close(self) -> None:
        self._events.close()


class AsyncReader:
    """The same, asynchronously."""

    __slots__ = ("_events", "_intake", "_response")

    def __init__(self, events: AsyncGenerator[Any, None], response: Any) -> None:
        self._events = events
        self._response = response
        self._intake: Intake | None = None

    def __aiter__(self) -> "AsyncReader":
        return self

    async def __anext__(self) -> Any:
        intake = self._intake
        if intake is None:
            return await self._first()
        lifecycle = intake.lifecycle
        lifecycle.state = "reading"
        try:
            event = await self._events.__anext__()
            at = perf_counter()
            lifecycle.state = "between_reads"
            gap = 0.0
            if intake.waiting_since is not None:
                gap = at - intake.waiting_since
                intake.waiting_since = None
            text = intake.continued(event)
            if (
                text
                and gap < SHORTEST_GAP
                and at < intake.hand_over_by
                and (room := intake.room - len(text) - ROOM_OF_CHUNK) > 0
            ):
                intake.room = room
                intake.append(text)
                intake.last_at = at
            else:
                intake.take(event, text, gap, at)
        except StopAsyncIteration:
            intake.exhausted()
            raise
        except BaseException as error:
            if intake.stopped(error):
                await self._events.aclose()
            raise
        return event

    async def _first(self) -> Any:
        """The first read, and every read of a stream that is not observed."""
        if self._response is None:
            return await self._events.__anext__()
        self._response, self._intake = None, begun(self._response, in_task=True)
        return await self.__anext__()

    def __del__(self) -> None:
        """Runs in the task that lets go of the stream; the SDK's generator is closed by the event loop, later."""
        intake: Intake | None = getattr(self, "_intake", None)
        if intake is not None:
            intake.let_go()

    async def asend(self, value: Any) -> Any:
        return await self.__anext__() if value is None else await self._events.asend(value)

    async def athrow(self, *error: Any) -> Any:
        return await self._events.athrow(*error)

    async def aclose(self) -> None:
        await self._events.aclose()


@contained
def _content_type(response: Any) -> str | None:
    """None: the response does not say, as the double of a test may not."""
    return values.text(response.headers.get(_CONTENT_TYPE))


@contained
def begun(response: Any, *, in_task: bool = False) -> Intake | None:
    """The intake of a stream that is read for the first time. None: it is another call's, or it is read already."""
    body = body_of(response)
    if body is None or body.observer.lifecycle.state not in {"unread", "bytes"} or body.observer.lifecycle.has_ended:
        return None
    reading = body.reading
    if in_task:
        reading.begins_in_task()
    intake = Intake(body.observer, reading, _content_type(response) or "")
    body.observer.incoming = intake
    return intake
