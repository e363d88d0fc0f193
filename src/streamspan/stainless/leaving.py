"""Who reads a stream, and why a stream is left: the causes of the signals in `core/lifecycle.py`."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, ref

from streamspan.core.lifecycle import Cause

from .errors import frames_of, is_closed_stream, is_torn_connection
from .provider import Provider, Translator


class ReadingTask:
    """An asyncio task that reads streams. It is not held, so that it may go with all that it holds.

    was_cancelled  it is done, and ended as cancelled
    """

    __slots__ = ("_task", "was_cancelled")

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = ref(task)
        self.was_cancelled = False
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self.was_cancelled = task.cancelled()

    @property
    def is_running(self) -> bool:
        """Whether this very code runs in the task."""
        return (task := _current_task()) is not None and task is self._task()

    @property
    def cancel_requests(self) -> int:
        """How many requests to cancel it are open. Python 3.10 does not say."""
        cancelling: Callable[[], int] | None = getattr(self._task(), "cancelling", None)
        return 0 if cancelling is None else cancelling()


_tasks: "WeakKeyDictionary[asyncio.Task[Any], ReadingTask]" = WeakKeyDictionary()


class Reading:
    """The circumstances in which one stream is read.

    body_closed_at  when the body was closed; None: it was not
    translator      of the events that are read
    """

    __slots__ = (
        "_cancel_requests",
        "_handled",
        "_let_go_cancelled",
        "_task",
        "body_closed_at",
        "provider",
        "translator",
    )

    def __init__(self, provider: Provider, translator: Translator) -> None:
        self.provider = provider
        self.translator = translator
        self.body_closed_at: float | None = None
        self._handled = _identity(sys.exc_info()[1])  # an exception that was handled at the call is no reason to leave
        self._task: ReadingTask | None = None
        self._cancel_requests = 0
        self._let_go_cancelled: bool | None = None

    def begins_in_task(self) -> None:
        """The task that runs now reads the stream first. On other event loops than asyncio's nothing is known of it."""
        task = _current_task()
        if task is not None:
            self._task = _tasks.get(task) or _tasks.setdefault(task, ReadingTask(task))
            self._cancel_requests = self._task.cancel_requests

    def let_go(self) -> None:
        """The reader of the events goes. A cancellation that its task meets later is no reason for that."""
        task = self._task
        if task is not None and task.is_running and sys.version_info >= (3, 11):
            self._let_go_cancelled = task.cancel_requests > self._cancel_requests

    @property
    def is_cancelled(self) -> bool:
        """Whether the task that read the stream first is being cancelled, or was when it let go of the stream."""
        task = self._task
        if task is None or self._let_go_cancelled is not None:
            return bool(self._let_go_cancelled)
        return task.was_cancelled or task.cancel_requests > self._cancel_requests

    def cause_of_drop(self) -> Cause:
        return "cancelled" if self.is_cancelled else "none"

    def cause_of_close(self, is_ours: Callable[[Any], bool]) -> Cause:
        """Why the stream is being closed. `is_ours`: whether an object of the SDK reads this very stream."""
        error = sys.exc_info()[1]
        while isinstance(error, (StopIteration, StopAsyncIteration)):  # that something has ended is no reason
            error = error.__context__
        if self.is_cancelled:
            return "cancelled"
        if error is None or _identity(error) == self._handled:
            return "none"
        if isinstance(error, GeneratorExit) or _is_closed_by_loop():
            return "generator"
        if not isinstance(error, Exception):
            return "cancelled"
        return "sdk_error" if self._is_raised_by_helper(error, is_ours) else "error"

    def cause_of_raise(self, error: BaseException) -> Cause:
        """What a read, or the call, has met."""
        if not isinstance(error, Exception):
            return "cancelled"
        was_closed = self.body_closed_at is not None and is_torn_connection(error)
        return "closed" if was_closed or is_closed_stream(error) else "error"

    def body_closes(self) -> None:
        """The body is being closed. The SDK's answer to a torn connection does not count."""
        error = sys.exc_info()[1]
        if error is None or not is_torn_connection(error):
            self.body_closed_at = time.perf_counter()

    def _is_raised_by_helper(self, error: Exception, is_ours: Callable[[Any], bool]) -> bool:
        """Whether the code of the SDK that reads this stream raised `error`: it, or a parser that it called."""
        frames = frames_of(error)
        for frame in reversed(frames):
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith(self.provider.helpers):
                return any(is_ours(frame.f_locals.get("self")) for frame in frames)
            if module.partition(".")[0] not in self.provider.parsers:
                return False
        return False


def _is_closed_by_loop() -> bool:
    """Whether this task only closes a generator that was dropped: asyncio makes such tasks, and may cancel them."""
    task = _current_task()
    return task is not None and type(task.get_coro()).__name__ == "async_generator_athrow"


def _current_task() -> "asyncio.Task[Any] | None":
    """None on other event loops than asyncio's, too."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _identity(error: BaseException | None) -> tuple[object, ...]:
    """Identifies an exception without a reference to it. The id alone may be that of another one by now."""
    return () if error is None else (id(error), type(error), id(error.__traceback__))
