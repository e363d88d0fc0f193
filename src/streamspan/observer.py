"""One stream's observer: a clock, the core and the telemetry. The first end wins; nothing raises into the caller.

Who runs what: the verbs run in the thread or task that reads. An end may come from any thread, from a finalizer that
the garbage collector runs, and from a signal handler; the last two may interrupt any line, of this module too. So the
lock is reentrant, and an end that finds the OpenTelemetry SDK or the application's redaction running in its thread,
whose locks are not, waits until the next stream begins or ends, or until the process exits.

`_lock` is held while the end is claimed, and `_counting` while what a block has is added up: who asks for the facts
waits for it. Nothing else runs under either.

What holds what: `open_streams` holds the observer until its end, the observer holds the span. The observer never
refers to the application's stream or to its response, so those are dropped as if it were not there.
"""

import atexit
import inspect
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from types import FrameType

from .config import Config
from .core.model import AttributeValue, ContentBlock, DeltaKind, Ending, Fact, FirstToken, Loop, Note, Stall, Summary
from .core.stream import StreamState
from .guard import contained
from .handle import StreamHandle
from .telemetry import content
from .telemetry import spans as telemetry
from .telemetry.events import StreamFact
from .telemetry.labels import Labels
from .telemetry.metrics import Metrics

open_streams: set["Observer"] = set()
"""Every stream of this process that has not ended."""

_waiting_ends: deque[Callable[[], None]] = deque()
_exit_is_behind: object = None
_MAY_HOLD_A_LOCK = ("opentelemetry.sdk", "opentelemetry.exporter", content.__name__)


class Observer:
    """Watches one streamed call, which begins when this is made.

    attributes     what else the span gets at the end; the provider's own
    waiting_since  when the reader began to wait for the bytes that it waits for; None while it does not
    is_reading     the reader is inside the read of an event
    loop           the first that was told
    is_read        the events are being read, or have been
    records_chunks each chunk goes to a metric of its own
    reads_bytes    the application reads the bytes of the body itself, or may have done so unseen
    raised         the id of what a callback of the application raised, which is on its way to the reader
    gave_up        observing has failed too often to go on
    handled_at_start  which exception the application handled when it made the call
    torn_at        when the body was closed while the reader waited; None: it was not
    """

    __slots__ = (
        "_config",
        "_counting",
        "_ended",
        "_lock",
        "_started_ns",
        "_summary",
        "_telemetry",
        "attributes",
        "failure_count",
        "gave_up",
        "handled_at_start",
        "is_read",
        "is_reading",
        "loop",
        "raised",
        "reads_bytes",
        "records_chunks",
        "state",
        "torn_at",
        "waiting_since",
    )

    def __init__(self, call: telemetry.Call, source: telemetry.Telemetry, config: Config) -> None:
        finish_waiting_ends()
        self._started_ns = time.time_ns()
        self._config = config
        started_at = time.perf_counter()
        self._telemetry = source.begin(call, self._started_ns)
        self.state = StreamState(
            started_at,
            stall_seconds=config.stall_seconds,
            loops=config.repetition,
            content=None if self.content is None else self.content.output,
        )
        self.attributes: dict[str, telemetry.AttributeValue | None] = {}
        self.waiting_since: float | None = None
        self.is_read = False
        self.is_reading = False
        self.reads_bytes = False
        self.torn_at: float | None = None
        self.handled_at_start: tuple[object, ...] = ()
        self.raised: int | None = None
        self.failure_count = 0
        self.gave_up = False
        self.records_chunks = config.time_per_output_chunk
        self.loop: Loop | None = None
        self._ended = False
        self._summary: Summary | None = None
        self._lock = threading.RLock()
        self._counting = threading.RLock()
        _remember(self, source)

    # --- what the gauges ask ---------------------------------------------------------------------------------------

    @property
    def span(self) -> telemetry.Span:
        return self._telemetry.span

    @property
    def content(self) -> content.Content | None:
        return self._telemetry.content

    @property
    def labels(self) -> Labels:
        return self._telemetry.labels

    @property
    def metrics(self) -> Metrics:
        return self._telemetry.metrics

    def silence(self) -> float:
        """Seconds that somebody has waited for the provider until now; 0.0: nobody waits."""
        since = self.waiting_since if self.state.is_open else self.state.started_at
        return 0.0 if since is None else time.perf_counter() - since

    # --- verbs ---------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """The response headers have come."""
        self.state.opened(time.perf_counter())

    @contained
    def waited(self) -> None:
        """The wait for bytes is over, whatever it has brought."""
        since, self.waiting_since = self.waiting_since, None
        if since is not None:
            self.state.waited(since, time.perf_counter())

    def heard(self, at: float) -> None:
        """An event that is no chunk has come."""
        self.tell(self.state.heard(), at)

    @contained
    def record_chunk(self, previous_at: float | None) -> None:
        """Behind an event: if it was a chunk, the time since the previous one goes to a metric."""
        at = self.state.last_chunk_at
        if previous_at is not None and at is not None and at != previous_at:
            self._telemetry.chunk(at - previous_at, self.state.model)

    def block_started(
        self, index: int, block_type: str, at: float, tool_name: str | None = None, tool_id: str | None = None
    ) -> None:
        with self._counting:
            facts = self.state.block_started(index, block_type, at, tool_name, tool_id)
        self.tell(facts, at)

    def delta(self, kind: DeltaKind, index: object, text: str, at: float) -> None:
        """One that is not put aside."""
        with self._counting:
            facts = self.state.delta(kind, index, text, at)
        self.tell(facts, at)

    def block_stopped(self, index: object, at: float) -> None:
        with self._counting:
            facts = self.state.block_stopped(index, at)
        self.tell(facts, at)

    def message_stopped(self, at: float) -> None:
        self.state.touched(at)
        self.end(Ending("message_stop", at))

    # --- what the application says and asks, through its handle -------------------------------------------------------

    def abort_declared(self, reason: str) -> None:
        if not self._ended:
            self.state.abort_declared(reason)

    def noted(self, name: str, attributes: Mapping[str, AttributeValue]) -> None:
        at = time.perf_counter()
        chars_delivered = sum(self.facts()[0].chars.values())
        if _may_hold_a_lock():  # a signal handler has interrupted it
            self._telemetry.drop_event()
            return
        self._add_event(Note(name, attributes, at - self.state.started_at, chars_delivered), at)

    def facts(self) -> tuple[Summary, bool]:
        """The summary as of now, or as of the end, and whether it is that of the end."""
        with self._counting:
            if self._summary is not None:
                return self._summary, True
            return self.state.so_far(time.perf_counter()), False

    def span_identity(self) -> tuple[str | None, str | None]:
        return self._telemetry.identity()

    def _call_back(self, fact: Fact) -> None:
        """As the application asked. It may end the stream in there, and what it raises is for its reader."""
        callback = None if self._ended else self._callback(fact)
        if callback is None:
            return
        try:
            try:
                callback()
            except (StopIteration, StopAsyncIteration) as error:  # which a reader would take for the end of the stream
                raise RuntimeError(f"a callback raised {type(error).__name__}") from error
        except BaseException as error:
            self.raised = id(error)
            raise

    def _callback(self, fact: Fact) -> Callable[[], object] | None:
        if isinstance(fact, Loop) and self._config.on_repetition is not None:
            return partial(self._config.on_repetition, StreamHandle(self), fact)
        if isinstance(fact, Stall) and self._config.on_stall is not None:
            return partial(self._config.on_stall, StreamHandle(self), fact)
        return None

    # --- the end -------------------------------------------------------------------------------------------------

    def end(self, ending: Ending) -> None:
        """Ends the span, unless it has ended. Never raises."""
        if self._claim():
            self._finish(ending)
        finish_waiting_ends()

    @contextmanager
    def leaving(self, ending: Ending) -> Generator[None]:
        """The reader leaves, and closes the stream in this block: whatever fails now is part of this end."""
        claimed = self._claim()
        try:
            yield
        finally:
            if claimed:
                self._finish(ending)
            finish_waiting_ends()

    def forget(self) -> None:
        """Ends without a word, in a process that the stream does not belong to."""
        # The old ones may be held by a thread that this process does not have.
        self._lock, self._counting = threading.RLock(), threading.RLock()
        self._ended = True

    def _claim(self) -> bool:
        with self._lock:
            ended, self._ended = self._ended, True
        return not ended

    @contained
    def _finish(self, ending: Ending) -> None:
        if ending.kind != "message_stop" and _may_hold_a_lock():  # a reader at its last event is no finalizer
            _waiting_ends.append(partial(self._finish, ending))
            return
        open_streams.discard(self)
        # In a copy of the context, because span processors set variables. Up to Python 3.11 a finalizer may run in the
        # middle of a `ContextVar.set`, which crashes if a variable of the same context is set meanwhile.
        copy_context().run(self._write, ending)

    def _write(self, ending: Ending) -> None:
        end_ns = self._timestamp(self.state.last_at if ending.at is None else ending.at)
        try:
            with self._counting:
                ending = Ending("unobserved", ending.at) if self.gave_up else ending
                summary = self._summary = self.state.ended(ending, self.waiting_since)
        except BaseException:
            self._telemetry.span.end(end_ns)
            raise
        self.loop = self.loop or next((fact for fact in summary.at_the_end if isinstance(fact, Loop)), None)
        self._telemetry.end(summary, self.attributes, end_ns)

    # --- events --------------------------------------------------------------------------------------------------

    def tell(self, facts: tuple[Fact, ...], at: float) -> None:
        if not facts:
            return
        for fact in facts:
            reserved = isinstance(fact, FirstToken) or (isinstance(fact, Loop) and self.loop is None)
            if isinstance(fact, Loop):
                self.loop = self.loop or fact
            self._add_event(fact, at, reserved=reserved)
            if isinstance(fact, ContentBlock) and fact.tool_call is not None:
                self._add_event(fact.tool_call, at)
        for fact in facts:
            self._call_back(fact)

    def _add_event(self, fact: StreamFact, at: float, *, reserved: bool = False) -> None:
        """Nothing is added once the stream has ended."""
        if not self._ended:
            self._telemetry.event(fact, self._timestamp(at), reserved=reserved)

    def _timestamp(self, at: float) -> int:
        return self._started_ns + int((at - self.state.started_at) * 1e9)


@contained
def finish_waiting_ends() -> None:
    if not _waiting_ends or _may_hold_a_lock():
        return
    with suppress(IndexError):  # another thread was faster
        while True:
            _waiting_ends.popleft()()


def _may_hold_a_lock() -> bool:
    """Whether a function of the SDK, of an exporter or of a redaction is running in this thread: it may hold a lock."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if type(module) is str and module.startswith(_MAY_HOLD_A_LOCK):
            return True
        frame = frame.f_back
    return False


def _remember(observer: Observer, source: telemetry.Telemetry) -> None:
    """Put among the open streams, and have those end at exit, before the providers shut down.

    What is registered last runs first, so this has to come after the application made its providers.
    """
    global _exit_is_behind  # noqa: PLW0603
    providers = source.providers
    if providers != _exit_is_behind:
        _exit_is_behind = providers
        atexit.unregister(_end_at_exit)
        atexit.register(_end_at_exit)
    open_streams.add(observer)


def _end_at_exit() -> None:
    finish_waiting_ends()
    for observer in tuple(open_streams):
        at = None if observer.waiting_since is None else time.perf_counter()
        observer.end(Ending("reader_left", at, "shutdown"))


def _forget_in_child() -> None:
    """The streams that are open at a fork go on in the parent, which tells of them."""
    for observer in tuple(open_streams):
        observer.forget()
    open_streams.clear()
    _waiting_ends.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
