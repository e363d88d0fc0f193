"""Whether an asyncio event loop was blocked: a timer on it that measures how late it runs.

Code that does not give way, such as a long computation or `time.sleep`, keeps every stream of its loop waiting, and
that is nobody else's silence. The timer runs while a stream is open on the loop. It keeps no loop alive, and nothing of
the application's runs in it but `on_silence`.
"""

import asyncio
from collections import deque
from contextvars import Context
from math import inf
from time import perf_counter
from typing import Protocol
from weakref import ReferenceType, WeakKeyDictionary, ref

from .guard import contained

INTERVAL = 0.1
LATE = 0.05
"""Seconds of lateness from which on the loop counts as blocked."""
_BLOCKS_AT_MOST = 256


class WatchedStream(Protocol):
    @property
    def is_live(self) -> bool: ...
    def tell_of_silence(self) -> None: ...


class EventLoopWatch:
    """One loop, watched while it has streams. A block is known to begin with the time at which the timer was due."""

    __slots__ = ("_blocks", "_due_at", "_loop", "_streams")

    def __init__(self) -> None:
        self._loop: ReferenceType[asyncio.AbstractEventLoop] | None = None
        self._blocks: deque[tuple[float, float]] = deque(maxlen=_BLOCKS_AT_MOST)
        self._due_at = inf  # nothing is scheduled
        self._streams: dict[int, ReferenceType[WatchedStream]] = {}

    def add(self, stream: WatchedStream, loop: asyncio.AbstractEventLoop) -> None:
        """Watch the loop until this stream is removed."""
        self._streams[id(stream)] = ref(stream)
        if self._due_at == inf:
            self._loop = ref(loop)
            self._schedule(loop)

    def remove(self, stream: WatchedStream) -> None:
        """May come from any thread and from a finalizer."""
        self._streams.pop(id(stream), None)

    def blocked_time(self, since: float, until: float) -> float:
        """Seconds between these times, of `time.perf_counter`, in which the loop was blocked."""
        is_late = until - self._due_at > LATE and self._is_running()
        blocked = until - max(self._due_at, since) if is_late else 0.0
        for start, end in reversed(self._blocks.copy()):
            if end <= since:
                break
            blocked += max(min(end, until) - max(start, since), 0.0)
        return min(blocked, until - since)

    @contained
    def _is_running(self) -> bool:
        """A loop that has stopped keeps nobody waiting: the stream may be read on another one."""
        loop = None if self._loop is None else self._loop()
        return loop is not None and loop.is_running()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_at = perf_counter() + INTERVAL
        # In a context of its own, because it would keep that of the application.
        loop.call_later(INTERVAL, self._tick, loop, context=Context())

    @contained
    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now, due_at = perf_counter(), self._due_at
        self._due_at = inf
        if now - due_at > LATE:
            self._blocks.append((due_at, now))
        for key, reference in list(self._streams.items()):
            stream = reference()
            if stream is not None and stream.is_live:
                stream.tell_of_silence()
            else:  # one that has come to its end, and that the application still holds, keeps no timer
                self._streams.pop(key, None)
        if self._streams:
            self._schedule(loop)


_watches: "WeakKeyDictionary[asyncio.AbstractEventLoop, EventLoopWatch]" = WeakKeyDictionary()


@contained
def watched(stream: WatchedStream) -> EventLoopWatch | None:
    """The watch of the loop that runs now, with this stream. None: it is none of asyncio's."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    watch = _watches.get(loop)
    if watch is None:
        watch = _watches[loop] = EventLoopWatch()
    watch.add(stream, loop)
    return watch
