"""One stream, observed: a clock, the core and the telemetry. It takes signals and events, and never raises of its own.

Who runs what. Events and the ends that a read brings are handled in the reader's thread. Every other end may come from
any thread, from a finalizer and from a signal handler, so it is only decided there: `runtime.py` has it written.

`_counting` is held while the core takes events, and while somebody asks what it has taken: a snapshot never sees half
an event. Nothing of the application's and nothing of OpenTelemetry's runs under it.

The observer refers to nothing of the application's, so that a stream is dropped as if it were not observed.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from . import guard, runtime
from .config import Config
from .core.lifecycle import Cause, Lifecycle, Signal, State
from .core.model import (
    AttributeValue,
    ContentBlock,
    Ending,
    Fact,
    Interval,
    LivePhase,
    Loop,
    Note,
    Report,
    Rumination,
    Stall,
    Summary,
)
from .core.stream import StreamState
from .event_loop import EventLoopWatch, watched
from .handle import StreamHandle, WhyNotSet
from .silence import SilenceHook
from .telemetry.labels import Labels
from .telemetry.metrics import Metrics
from .telemetry.spans import Attributes, Call, Telemetry

_log = logging.getLogger(__name__)

_WRITTEN_BY_THE_READER: frozenset[Signal] = frozenset({"finished", "exhausted", "unobservable"})
_UNTIMED = frozenset({"dropped", "never_read"})
_CLOSING_SECONDS = 30.0  # a close that takes longer no longer holds the end back
_NOTES_AT_MOST = 128
_OWN_ATTRIBUTES_AT_MOST = 16  # of the application's


class Incoming(Protocol):
    """Chunks that the reader has taken and has not handed over, and what only the provider knows of the stream.

    waiting_since  when the read began of the bytes that the next event needs; None: they have not been asked for
    bytes_at       when bytes came last that brought no event
    last_bytes     of the body, 4 KiB at the most; with those before them that brought no event
    earlier_bytes  what these were before the last read
    texts          chunks that go on with the block and kind of the last one
    attributes     the provider's own
    """

    waiting_since: float | None
    bytes_at: float
    last_bytes: bytes
    earlier_bytes: bytes

    @property
    def texts(self) -> Sequence[str]: ...
    @property
    def attributes(self) -> Attributes: ...
    def hand_over(self, state: StreamState) -> tuple[Fact, ...]: ...
    def wait_ends(self, at: float) -> None: ...
    def brought_no_event(self, size: int) -> None: ...


class Observer:
    """Observes one streamed call, which begins when this is made.

    cause_of_drop  says why nobody holds the stream any more
    due_at         when the end is to be written, once the stream has ended
    incoming       the reader's, from the first read on
    """

    __slots__ = (
        "__weakref__",
        "_attempt_at",
        "_attributes",
        "_counting",
        "_declared_reason",
        "_ending",
        "_event_loop",
        "_exit",
        "_failure_count",
        "_finished_at",
        "_loop",
        "_model",
        "_notes",
        "_own_attributes",
        "_silence_hook",
        "_started_ns",
        "_summary",
        "_written",
        "cause_of_drop",
        "config",
        "due_at",
        "incoming",
        "lifecycle",
        "state",
        "telemetry",
    )

    def __init__(self, call: Call, source: Telemetry, config: Config) -> None:
        self.lifecycle = Lifecycle()
        self._written = False
        self._ending: Ending | None = None
        self.cause_of_drop: Callable[[], Cause] = _no_cause
        self.due_at = 0.0
        self.incoming: Incoming | None = None
        self._attributes: dict[str, Any] = {}
        self._exit: SystemExit | None = None
        self._event_loop: EventLoopWatch | None = None
        self._finished_at: float | None = None
        self._silence_hook = None if config.on_silence is None else SilenceHook(config.silence_seconds)
        self._failure_count = 0
        self._loop: Loop | None = None
        self._model: str | None = None
        self._declared_reason: str | None = None
        self._own_attributes: dict[str, AttributeValue] = {}
        self._notes: deque[tuple[Note, float]] = deque(maxlen=_NOTES_AT_MOST)
        self._summary: Summary | None = None
        self._counting = threading.RLock()
        self.config = config
        self._started_ns = time.time_ns()
        started_at = time.perf_counter()
        self._attempt_at: float | None = started_at
        self.state = StreamState(
            started_at,
            stall_seconds=config.stall_seconds,
            loops=config.repetition,
            rumination=config.rumination,
            reports_chunks=config.time_per_output_chunk,
            reading_speed=config.reading_speed,
        )
        self.telemetry = source.stream(call)
        source.start(self.telemetry, call, self._started_ns)
        content = self.telemetry.content
        if content is not None:
            self.state.capture(content.output)
        runtime.opened(self, source.providers)

    def __del__(self) -> None:
        """Nobody holds the stream: it was interrupted at its start or at its end, or is part of a reference cycle."""
        if not hasattr(self, "telemetry"):
            return
        if not self._written:
            verdict = self.lifecycle.verdict("dropped", self.cause_of_drop())
            self._ending = self._ending or Ending(verdict or "cancelled")
            runtime.write_later(self)
        self._left()

    # --- the attempts at opening -------------------------------------------------------------------------------------

    def backs_off(self, error_type: str) -> None:
        """An attempt has failed by this, and the SDK waits before the next one: nobody waits for the provider."""
        self._attempt_at = None
        self.telemetry.retried(error_type)

    def attempt_starts(self) -> None:
        """The SDK has waited, and tries again."""
        self._attempt_at = at = time.perf_counter()
        self.telemetry.retry_time = at - self.state.started_at

    # --- what the adapter tells --------------------------------------------------------------------------------------

    def begins(self, *, in_coroutine: bool) -> None:
        """The call is about to be made. An asyncio loop that it runs in is watched while the stream is open."""
        if in_coroutine and self.config.watch_event_loop:
            self._event_loop = watched(self)
        if self._silence_hook is not None and self._event_loop is None:
            runtime.watch_silence()

    def blocked_time(self, since: float, until: float) -> float:
        """Seconds between these times in which the stream's event loop was blocked."""
        return 0.0 if self._event_loop is None else self._event_loop.blocked_time(since, until)

    def opened(self) -> None:
        """The response headers have come."""
        at = time.perf_counter()
        self.lifecycle.state = "unread"
        self.state.opened(at, self.blocked_time(self.state.started_at, at))

    def describe(self, attributes: Attributes) -> None:
        """Attributes of the request or of the response, for the span."""
        self._attributes.update(attributes)

    def bytes_came(self) -> None:
        self.state.event(0.0, time.perf_counter())

    def connection_closed(self) -> None:
        self.state.connection_closed = True

    def take(self, translate: Callable[[StreamState], tuple[Report, ...]] | None, at: float) -> None:
        """Hand the waiting chunks to the core, and one event after them; None: chunks only.

        The facts go to the timeline and to the callbacks. Raises only what a callback of the application raises.
        """
        try:
            facts = self._taken(translate)
            self._tell_model()
            self._add_notes()
            for fact in facts:
                self._add_event(fact, at)
            if self.state.failure_message and not self.lifecycle.has_ended:
                self.telemetry.failed_with(self.state.failure_message)
        except Exception as error:  # noqa: BLE001  # as `contained`, and counted for this stream
            self._failed(error)
            return
        if self.state.finished and not self.lifecycle.has_ended:
            try:
                failure = self.state.failure
                self.signal("finished", "none" if failure is None else "error", at=at, error_type=failure)
            except SystemExit as error:  # of a span processor: the reader gets its event first
                self._exit = error
        for fact in facts:
            self._call_back(fact)

    def exhausted(self, error_type: str | None = None) -> None:
        """The body has ended, with this error or none. Raises the exit that a processor asked for at the last event."""
        if not self.signal("exhausted", "none" if error_type is None else "error", error_type=error_type):
            self.body_ended()
        self.exit_if_asked()

    def exit_if_asked(self) -> None:
        error, self._exit = self._exit, None
        if error is not None:
            raise error

    def _taken(self, translate: Callable[[StreamState], tuple[Report, ...]] | None) -> tuple[Report, ...]:
        with self._counting:
            if self.lifecycle.has_ended:
                return ()
            waiting = () if self.incoming is None else self.incoming.hand_over(self.state)
            return waiting if translate is None else waiting + translate(self.state)

    def _tell_model(self) -> None:
        """Once it is known which model answers, and again where another goes on."""
        model = self.state.model
        if model is not self._model:
            self._model = model
            if model is not None:
                self.telemetry.answered(model)

    def _failed(self, error: Exception) -> None:
        self._failure_count += 1
        if self._failure_count >= guard.FAILURES_AT_MOST:
            self.signal("unobservable")
        guard.count("observe", error)

    # --- how it ends -------------------------------------------------------------------------------------------------

    def signal(
        self, signal: Signal, cause: Cause = "none", *, at: float | None = None, error_type: str | None = None
    ) -> bool:
        """Whether the stream ends by this. `at`: when, if not now."""
        state = self.lifecycle.state
        verdict = self.lifecycle.verdict(signal, cause)
        if verdict is None:
            return False
        if at is None and _is_timed(verdict, signal, state):
            at = time.perf_counter()
        self._ending = Ending(verdict, at, error_type)
        if signal == "finished":
            self._finished_at = at
        else:
            self._left()
        if signal in _WRITTEN_BY_THE_READER or (signal == "raised" and verdict == "error"):
            self.write()
        else:
            self.due_at = 0.0 if signal == "dropped" else time.perf_counter() + runtime.GRACE
            runtime.write_later(self)
        return True

    def body_ended(self, error_type: str | None = None) -> None:
        """A read has met the end of the body, or this error, after the provider's own end."""
        finished_at = self._finished_at
        if finished_at is not None:
            self.left()
            self.telemetry.body_ended(time.perf_counter() - finished_at, error_type, self.state.model)

    def left(self) -> None:
        """The reader reads no more of a stream that had come to the provider's own end."""
        self._finished_at = None
        self.incoming = None if self._written else self.incoming
        self._left()

    def _left(self) -> None:
        runtime.closed(self)
        if self._event_loop is not None:
            self._event_loop.remove(self)

    def close_begins(self) -> None:
        """The application's frame is closing the stream, which may take a while. `close_ends` follows."""
        self.due_at = time.perf_counter() + _CLOSING_SECONDS

    def close_ends(self) -> None:
        self.due_at = time.perf_counter() + runtime.GRACE

    def gone(self) -> None:
        """The stream has ended, and its object has gone: nobody can say any more why it was left."""
        self.due_at = 0.0
        self.left()

    @guard.contained
    def write(self) -> None:
        """Write the end that was decided. Whatever fails, the span ends."""
        ending = self._ending
        if ending is None or self._written:
            return
        try:
            incoming = self.incoming
            summary = self._named(self._summary or self._final_summary(ending))
            self._add_notes()
            attributes = {**self.telemetry.from_others, **self._own_attributes, **self._attributes}
            if incoming is not None:
                attributes.update(incoming.attributes)
            self.telemetry.end(summary, attributes, self._timestamp(self.state.started_at + summary.duration))
        except Exception:
            self.telemetry.abandon(self._timestamp(self.state.last_at))
            self._written = True
            self.incoming = None
            raise
        self._written = True
        if self._finished_at is None:  # else the reader may still wait for the end of the body
            self.incoming = None

    def _final_summary(self, ending: Ending) -> Summary:
        with guard.Briefly(self._counting):
            incoming, waiting_since = self.incoming, None
            facts: tuple[Fact, ...] = ()
            if incoming is not None:
                if self.lifecycle.state == "reading" and ending.at is not None:
                    waiting_since = incoming.waiting_since
                    incoming.wait_ends(ending.at)
                facts = incoming.hand_over(self.state)
            self._summary = self.state.ended(ending, waiting_since, facts)
            return self._summary

    def _named(self, summary: Summary) -> Summary:
        """With the application's own word for why it left, which it may say after the leaving."""
        word = self._declared_reason
        return summary._replace(abort_reason=word) if word is not None and summary.outcome == "aborted" else summary

    def shut_down(self) -> None:
        """The process ends."""
        self.signal("shutdown")

    def forget(self) -> None:
        """In a process that the stream does not belong to: it ends without a word."""
        self._counting = threading.RLock()
        self.lifecycle.verdict("shutdown")
        self._written = True

    # --- what gauges ask --------------------------------------------------------------------------------------------

    @property
    def labels(self) -> Labels:
        return self.telemetry.labels

    @property
    def metrics(self) -> Metrics:
        return self.telemetry.metrics

    # --- what the application says and asks, through its handle ------------------------------------------------------

    def abort_declared(self, reason: str) -> bool:
        """Whether the reason comes in time: the span has not been written."""
        if self._written:
            return False
        self._declared_reason = reason
        return True

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> WhyNotSet | None:
        """Set attributes of the application's, of which the last value counts. None: all are set."""
        if self._written:
            return "late"
        own = self._own_attributes
        reason: WhyNotSet | None = None
        for name, value in attributes.items():
            if name in own or len(own) < _OWN_ATTRIBUTES_AT_MOST:
                own[name] = value
            else:
                reason = "full"
        return reason

    def note(self, name: str, attributes: Mapping[str, AttributeValue]) -> None:
        """An event of the application's. It is written with the next event: it may come from a signal handler."""
        at = time.perf_counter()
        chars_delivered = sum(self.facts()[0].chars.values())
        if not self.lifecycle.has_ended:
            self._notes.append((Note(name, attributes, at - self.state.started_at, chars_delivered), at))

    def facts(self) -> tuple[Summary, bool]:
        """The summary as of now, or as of the end, and whether it is that of the end."""
        with self._counting:
            if self._ending is not None:
                return self._named(self._summary or self._final_summary(self._ending)), True
            texts = () if self.incoming is None else self.incoming.texts
            return self.state.so_far(time.perf_counter(), texts), False

    @property
    def loop(self) -> Loop | None:
        """The first loop that was found."""
        return self._loop

    def silence(self) -> float:
        """Seconds for which somebody has waited for the provider; 0.0 where nobody waits."""
        state, now = self.lifecycle.state, time.perf_counter()
        if state == "opening":
            at = self._attempt_at
            return 0.0 if at is None else max(now - at - self.blocked_time(at, now), 0.0)
        since = None if self.incoming is None else self.incoming.waiting_since
        if state != "reading" or since is None:
            return 0.0
        return max(self.state.waited + now - since - self.blocked_time(since, now), 0.0)

    def line_silence(self) -> float:
        """Seconds for which somebody has waited and no byte has come; 0.0 where nobody waits."""
        silence, incoming = self.silence(), self.incoming
        since = None if incoming is None else incoming.waiting_since
        if silence and incoming is not None and since is not None:
            return min(silence, time.perf_counter() - max(incoming.bytes_at, since))
        return silence

    @property
    def is_live(self) -> bool:
        """It has not ended, or its reader waits for the end of the body."""
        return not self.lifecycle.has_ended or (self._finished_at is not None and self.lifecycle.state == "reading")

    @property
    def live_phase(self) -> LivePhase:
        return self.state.live_phase

    def tell_of_silence(self) -> None:
        """Tell the application of a silence that has reached one of its thresholds. Never raises."""
        hook, on_silence = self._silence_hook, self.config.on_silence
        if hook is None or on_silence is None or self.lifecycle.has_ended:
            return
        seconds = self.silence()
        if hook.is_due(seconds, self.state.wait_count):
            try:
                on_silence(StreamHandle(self), seconds)
            except Exception as error:  # noqa: BLE001  # it runs outside the reader, so nobody else would catch it
                _log.warning("on_silence raised %s, which is ignored", type(error).__name__)

    @property
    def waits_for_thread(self) -> bool:
        """Whether no event loop drives `tell_of_silence`."""
        return self._silence_hook is not None and self._event_loop is None

    def span_identity(self) -> tuple[str | None, str | None]:
        return self.telemetry.identity()

    # --- events ------------------------------------------------------------------------------------------------------

    def _add_event(self, fact: Report, at: float) -> None:
        if isinstance(fact, Interval):
            self.telemetry.chunk(fact.seconds, self.state.model)
            return
        if isinstance(fact, Loop):
            self._loop = self._loop or fact
        if isinstance(fact, Stall):  # it is known later than it was over
            at = self.state.started_at + fact.start + fact.gap
        self.telemetry.event(fact, self._timestamp(at))
        if isinstance(fact, ContentBlock) and fact.tool_call is not None:
            self.telemetry.event(fact.tool_call, self._timestamp(at))

    def _add_notes(self) -> None:
        while self._notes:
            try:
                note, at = self._notes.popleft()
            except IndexError:  # another thread writes the end
                return
            self.telemetry.event(note, self._timestamp(at))

    def _call_back(self, fact: Report) -> None:
        """As the application asked. What it raises is for its reader."""
        callback: Callable[[], Any] | None = None
        if isinstance(fact, Loop) and self.config.on_repetition is not None:
            callback = partial(self.config.on_repetition, StreamHandle(self), fact)
        elif isinstance(fact, Rumination) and self.config.on_rumination is not None:
            callback = partial(self.config.on_rumination, StreamHandle(self), fact)
        elif isinstance(fact, Stall) and self.config.on_stall is not None:
            callback = partial(self.config.on_stall, StreamHandle(self), fact)
        if callback is None or self.lifecycle.has_ended:
            return
        try:
            callback()
        except (StopIteration, StopAsyncIteration) as error:  # which a reader would take for the end of the stream
            raise RuntimeError(f"a callback raised {type(error).__name__}") from error

    def _timestamp(self, at: float) -> int:
        return self._started_ns + int((at - self.state.started_at) * 1e9)


def _no_cause() -> Cause:
    return "none"


def _is_timed(verdict: str, signal: Signal, state: State) -> bool:
    """Whether the end is now. A finalizer runs at any time later, and so does the exit."""
    if signal == "shutdown":
        return state == "reading"
    return signal != "dropped" and verdict not in _UNTIMED
