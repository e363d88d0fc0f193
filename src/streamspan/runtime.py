"""What this process holds of its streams: those that are open, and those that have ended and are not written yet.

An end may be noticed in a finalizer or in a signal handler, which interrupt any line, also one of the OpenTelemetry
SDK that holds a lock. So such an end is only put in a queue, in one step of the interpreter, and is written by a thread
that starts when there is something to write and stops when there is nothing left. The same queue gives an application
that leaves a stream the time to say why: see `GRACE`.

Observers are known weakly while they are open: one that nobody else holds ends itself.
"""

import _thread
import atexit
import os
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Protocol
from weakref import ReferenceType, ref

from .core.model import LivePhase
from .telemetry.labels import Labels
from .telemetry.metrics import Metrics

GRACE = 0.1
"""Seconds for which the end of a stream that its reader has left waits for the application's word."""
_SILENCE_SECONDS = 0.25  # between two looks for a silence that the application wants to be told of
_EXIT_SECONDS = 5.0  # for which the exit waits for a span that is being written just then


class Stream(Protocol):
    """An observed stream. `due_at`: when its end is to be written, on the clock of `time.perf_counter`."""

    due_at: float

    @property
    def is_live(self) -> bool: ...
    @property
    def waits_for_thread(self) -> bool: ...
    @property
    def live_phase(self) -> LivePhase: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def labels(self) -> Labels: ...
    def silence(self) -> float: ...
    def line_silence(self) -> float: ...
    def tell_of_silence(self) -> None: ...

    def write(self) -> None: ...
    def shut_down(self) -> None: ...
    def forget(self) -> None: ...


_open: dict[int, "ReferenceType[Stream]"] = {}
_waiting: deque[Stream] = deque()
_thread_runs = threading.Lock()
_silence_thread_runs = threading.Lock()
_writing = threading.RLock()
_exit_comes_before: object = None


def opened(stream: Stream, providers: object) -> None:
    """Count the stream among the open ones, and end those at exit before these providers shut down.

    What is registered last runs first, so this comes after the application has made its providers.
    """
    global _exit_comes_before  # noqa: PLW0603
    _open[id(stream)] = ref(stream)
    if providers != _exit_comes_before:
        _exit_comes_before = providers
        atexit.unregister(_shut_down)
        atexit.register(_shut_down)


def closed(stream: Stream) -> None:
    _open.pop(id(stream), None)


def collected_streams() -> list[Stream]:
    """The open streams, for a collection of metrics: it counts the streams that have ended, too, so it waits for those.

    It does not write them itself, because the metrics SDK holds a lock while it collects.
    """
    deadline = time.perf_counter() + 2 * GRACE
    while _waiting and time.perf_counter() < deadline:
        time.sleep(GRACE / 10)
    if _writing.acquire(timeout=GRACE):
        _writing.release()
    return open_streams()


def open_streams() -> list[Stream]:
    """Every stream of this process that has not ended, or whose reader still waits for the end of its body."""
    # A list: up to Python 3.11 the making of a tuple may run the garbage collector in the midst of the iteration.
    streams = [reference() for reference in list(_open.values())]
    return [stream for stream in streams if stream is not None and stream.is_live]


# --- ends that wait --------------------------------------------------------------------------------------------------


def write_later(stream: Stream) -> None:
    """Have the end of `stream` written once it is due. May interrupt anything, and be interrupted by anything."""
    _waiting.append(stream)
    _start_thread()


def _start_thread() -> None:
    if not _thread_runs.acquire(blocking=False):
        return
    starts = False
    try:
        # Not `threading.Thread`, which takes locks that a finalizer may have interrupted. Looked up at each call,
        # because gevent replaces it, and `time.sleep` too.
        with suppress(RuntimeError):  # no more threads, or the interpreter is going down: the exit writes what is left
            _thread.start_new_thread(_write_until_none_waits, ())
            starts = True
    finally:
        if not starts:
            _thread_runs.release()


def _write_until_none_waits() -> None:
    try:
        while _waiting:
            with _writing:
                _write_due(time.perf_counter())
            if _waiting:
                time.sleep(GRACE / 5)
    finally:
        _thread_runs.release()
    if _waiting:  # one was put in the queue after the last look
        _start_thread()


def _write_due(now: float) -> None:
    for _ in range(len(_waiting)):
        try:
            stream = _waiting.popleft()
        except IndexError:
            return
        if stream.due_at > now:
            _waiting.append(stream)
        else:
            stream.write()


def finish_ends() -> None:
    """Write all ends that wait, due or not. Only for ordinary code: it waits for a span that is being written."""
    if _writing.acquire(timeout=_EXIT_SECONDS):
        try:
            with suppress(IndexError):
                while True:
                    _waiting.popleft().write()
        finally:
            _writing.release()


# --- silence that goes on --------------------------------------------------------------------------------------------


def watch_silence() -> None:
    """Have the open streams that no event loop drives told of their silence, by a thread that ends with the last."""
    if not _silence_thread_runs.acquire(blocking=False):
        return
    try:
        threading.Thread(target=_tell_of_silence, name="streamspan silence", daemon=True).start()
    except RuntimeError:  # no more threads, or the interpreter is going down
        _silence_thread_runs.release()


def _told_of_silence() -> int:
    """How many streams there were to tell. They are not held between two looks."""
    streams = [stream for stream in open_streams() if stream.waits_for_thread]
    for stream in streams:
        stream.tell_of_silence()
    return len(streams)


def _tell_of_silence() -> None:
    try:
        while _told_of_silence():
            time.sleep(_SILENCE_SECONDS)
    finally:
        _silence_thread_runs.release()
    if any(stream.waits_for_thread for stream in open_streams()):  # one was opened after the last look
        watch_silence()


def _shut_down() -> None:
    finish_ends()
    for stream in open_streams():
        stream.shut_down()
    finish_ends()


def _forget_in_child() -> None:
    """After a fork: the streams go on in the parent, which reports them. Locks may be held by threads of the parent."""
    global _thread_runs, _silence_thread_runs, _writing
    _thread_runs, _silence_thread_runs, _writing = threading.Lock(), threading.Lock(), threading.RLock()
    for stream in open_streams():
        stream.forget()
    for stream in tuple(_waiting):
        stream.forget()
    _open.clear()
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
