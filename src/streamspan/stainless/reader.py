"""The hot path: how the events of a stream are read under observation.

The two readers stand in for the SDK's generators, and differ by `async` only. They are not generators: an event loop
that ends closes every async generator it knows, and would have to close two of each stream.

Nearly every event is a delta of the same block and kind as the one before. Such a chunk costs two clocks, one look by
the provider's translator and one `append`; the core gets whole batches of them. Everything else, and a chunk after a
wait that matters, goes to the observer at once.
"""

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from time import perf_counter
from typing import Any

from streamspan.core.model import Fact
from streamspan.core.pacing import SHORTEST_GAP
from streamspan.core.stream import StreamState
from streamspan.guard import contained
from streamspan.observer import Observer
from streamspan.telemetry.spans import Attributes

from .body import body_of, end_by_raise
from .leaving import Reading
from .provider import Translator

CHUNKS = 48
CHARS = 128  # per chunk, so that what waits has 24 KiB at the most
COST_OF_WAIT = 5  # a chunk that the reader waited for takes the room of six: a loop in such chunks is not found late


class Intake:
    """Takes each event as it comes, and owns the chunks that the core has not got yet."""

    __slots__ = (
        "_append",
        "_continued",
        "_gaps",
        "_last_at",
        "_observer",
        "_reading",
        "_room",
        "_stall_seconds",
        "_texts",
        "_translator",
        "lifecycle",
        "waiting_since",
    )

    def __init__(self, observer: Observer, reading: Reading, translator: Translator) -> None:
        self._observer = observer
        self._reading = reading
        self._translator = translator
        self._continued: Callable[[Any], str | None] = translator.continued
        self._stall_seconds = observer.config.stall_seconds
        self._texts: list[str] = []
        self._append = self._texts.append
        self._room = CHUNKS
        self._gaps: list[float] = []
        self._last_at = 0.0
        self.waiting_since = 0.0
        self.lifecycle = observer.lifecycle
        if observer.config.time_per_output_chunk:  # each chunk has a record of its own
            self._continued = _never

    def take(self, event: Any, since: float) -> None:
        """An event has come, for which the reader had waited since then.

        Raises only what a callback of the application raises.
        """
        at = perf_counter()
        self.lifecycle.state = "between_reads"
        text = self._continued(event)
        if text is not None and len(text) <= CHARS and (room := self._room) > 0:
            gap = at - since
            if gap >= SHORTEST_GAP:
                if gap >= self._stall_seconds:
                    self._hand_on(event, gap, at)
                    return
                self._gaps.append(gap)
                room -= COST_OF_WAIT
            self._room = room - 1
            self._append(text)
            self._last_at = at
            return
        self._hand_on(event, at - since, at)

    def _hand_on(self, event: Any, gap: float, at: float) -> None:
        self._observer.take(lambda state: self._translator.translate(event, gap, at, state), at)

    def hand_over(self, state: StreamState) -> tuple[Fact, ...]:
        """Give the core the chunks that wait."""
        if not self._texts:
            return ()
        texts, gaps = tuple(self._texts), tuple(self._gaps)
        self._texts.clear()
        self._gaps.clear()
        self._room = CHUNKS
        return state.deltas(texts, gaps, self._last_at)

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
        self._observer.exhausted()

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
        if self._response is not None:
            self._response, self._intake = None, begun(self._response)
        intake = self._intake
        if intake is None:
            return next(self._events)
        intake.lifecycle.state = "reading"
        intake.waiting_since = since = perf_counter()
        try:
            event = next(self._events)
            intake.take(event, since)
        except StopIteration:
            intake.exhausted()
            raise
        except BaseException as error:
            if intake.stopped(error):
                self._events.close()
            raise
        return event

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
        if self._response is not None:
            self._response, self._intake = None, begun(self._response, in_task=True)
        intake = self._intake
        if intake is None:
            return await self._events.__anext__()
        intake.lifecycle.state = "reading"
        intake.waiting_since = since = perf_counter()
        try:
            event = await self._events.__anext__()
            intake.take(event, since)
        except StopAsyncIteration:
            intake.exhausted()
            raise
        except BaseException as error:
            if intake.stopped(error):
                await self._events.aclose()
            raise
        return event

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
def begun(response: Any, *, in_task: bool = False) -> Intake | None:
    """The intake of a stream that is read for the first time. None: it is another call's, or it is read already."""
    body = body_of(response)
    if body is None or body.observer.lifecycle.state not in {"unread", "bytes"} or body.observer.lifecycle.has_ended:
        return None
    reading = body.reading
    if in_task:
        reading.begins_in_task()
    intake = Intake(body.observer, reading, reading.provider.translator())
    body.observer.incoming = intake
    return intake
