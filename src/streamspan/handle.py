"""The handle of a stream: what an application may tell and ask of it. `stream_of(stream)` gives the handle.

A handle never acts on the stream, never raises into the application, and holds neither the stream nor its response,
only the observer. Its methods may be called from any thread, from a signal handler, and after the end, when what the
application tells no longer has an effect.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Protocol, cast

from . import semconv
from .core.model import AttributeValue, DeltaKind, Loop, Outcome, Phase, Summary
from .guard import contained

_log = logging.getLogger(__name__)

_WORD = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_OURS = "llm_stream."
_ATTRIBUTES_AT_MOST = 16
_ITEMS_AT_MOST = 16
_CHARS_AT_MOST = 256
_NAME_CHARS_AT_MOST = 128
_NUMBERS_BELOW = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a stream has come to: as of now, or as it ended. None: not known. Times are in seconds.

    outcome        `complete`, `truncated`, `error` or `aborted`; None while it is open, and where its body is read as
                   bytes
    abort_reason   of an aborted stream
    phase          where it is, or was when it ended
    duration       from the call until now, or to the end
    silence        how long somebody has waited for the provider until now; 0.0: nobody waits
    chars          delivered to the reader, by `text`, `thinking` and `tool_input`
    loop           the first, as it was when it was found; of a stream that has ended, as it was then
    stall_count    of stalls that are over; so is `stall_time`
    trace_id       and `span_id`: in hexadecimal digits
    """

    ended: bool
    outcome: Outcome | None
    abort_reason: str | None
    phase: Phase
    duration: float
    time_to_first_chunk: float | None
    silence: float
    chars: Mapping[DeltaKind, int]
    chunk_count: int
    block_count: int
    tool_call_count: int
    tool_calls_completed: int
    stop_reason: str | None
    stall_count: int
    stall_time: float
    loop: Loop | None
    message_id: str | None
    model: str | None
    trace_id: str | None
    span_id: str | None


WhyNotSet = Literal["late", "full"]
"""Why attributes were not set: the span has been written, or it has as many of the application's as it may have."""


class Observed(Protocol):
    """A stream's observer, as far as a handle needs it."""

    @property
    def loop(self) -> Loop | None: ...
    def abort_declared(self, reason: str) -> bool: ...
    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> WhyNotSet | None: ...
    def note(self, name: str, attributes: Mapping[str, AttributeValue]) -> None: ...
    def silence(self) -> float: ...
    def facts(self) -> tuple[Summary, bool]: ...
    def span_identity(self) -> tuple[str | None, str | None]: ...


class StreamHandle:
    """One stream, for the application that reads it. Of a stream that is not observed it does nothing."""

    __slots__ = ("_observed",)

    def __init__(self, observed: Observed | None) -> None:
        self._observed = observed

    @property
    def observed(self) -> bool:
        return self._observed is not None

    @contained
    def abort_reason(self, reason: str) -> None:
        """Say why the stream is about to be left: `llm_stream.abort.reason` if, and only if, it then ends aborted.

        The last one counts. `reason`: a word such as `user_stop`, up to 64 of `a-z 0-9 _ .`, and one of a small set,
        because it is an attribute of a metric. Any other is ignored, with one warning in the log.
        """
        if not _is_word(reason):
            _warn_once("abort_reason() takes a word such as user_stop: up to 64 of a-z, 0-9, _ and .; ignored")
        elif self._observed is not None:
            in_time = self._observed.abort_declared(reason)
            if not in_time:
                _warn_once("abort_reason() came after the span of its stream had been written; ignored")

    @contained
    def event(self, name: str, attributes: Mapping[str, object] | None = None) -> None:
        """Put an event of this name on the span, with `llm_stream.offset` and `llm_stream.chars_delivered`.

        It counts towards `max_events`. `name`: a word as for `abort_reason`, not under `llm_stream.`. `attributes` are
        the application's own content and are exported as they are: up to 16, each a bool, a number, a text (cut
        after 256 chars) or a list of up to 16 of one of them. What is none of that is left out, with one warning.
        """
        if not _is_word(name) or name.startswith(_OURS):
            _warn_once("event() takes a name such as guardrail.triggered: up to 64 of a-z, 0-9, _ and .; ignored")
        elif self._observed is not None:
            self._observed.note(name, _bounded_attributes(attributes or {}, _OF_EVENTS))

    @contained
    def set_attribute(self, name: str, value: object) -> None:
        """Put an attribute on the span, and on no metric: see `set_attributes`."""
        self._set({name: value})

    @contained
    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Put attributes on the span, and on no metric, such as the version of a prompt. The last value counts.

        They are the application's own content and are exported as they are: up to 16 of a stream, each a bool, a
        number, a text (cut after 256 chars) or a list of up to 16 of one of them. What is none of that is left out,
        with one warning; so is a name that streamspan writes itself or that is under `llm_stream.`, and what comes
        after the span has been written.
        """
        self._set(attributes)

    def _set(self, attributes: object) -> None:
        if not isinstance(attributes, Mapping):
            _warn_once("set_attributes() takes a mapping of names to values; ignored")
            return
        given = cast("Mapping[object, object]", attributes)
        free = {name: value for name, value in given.items() if not _is_reserved(name)}
        if len(free) < len(given):
            _warn_once("set_attribute() takes no name that streamspan writes itself, such as llm_stream.*; ignored")
        if self._observed is not None:
            refusal = self._observed.set_attributes(_bounded_attributes(free, _OF_STREAMS))
            if refusal is not None:
                _warn_once(_REFUSALS[refusal])

    @contained
    def snapshot(self) -> Snapshot | None:
        """The facts as of now, or as of the end. None: the stream is not observed."""
        return None if self._observed is None else _snapshot(self._observed)


def stream_of(stream: object) -> StreamHandle:
    """The handle of a stream, however it was made; one that does nothing if it is not observed. Never raises."""
    from .stainless.body import observer_of  # noqa: PLC0415  # which needs OpenTelemetry, and this module

    return StreamHandle(observer_of(stream))


def _snapshot(observed: Observed) -> Snapshot:
    summary, ended = observed.facts()
    trace_id, span_id = observed.span_identity()
    return Snapshot(
        ended=ended,
        outcome=summary.outcome,
        abort_reason=summary.abort_reason,
        phase=summary.phase,
        duration=summary.duration,
        time_to_first_chunk=summary.time_to_first_chunk,
        silence=0.0 if ended else observed.silence(),
        chars=dict(summary.chars),
        chunk_count=summary.chunk_count,
        block_count=summary.block_count,
        tool_call_count=summary.tool_call_count,
        tool_calls_completed=summary.tool_calls_completed,
        stop_reason=summary.stop_reason,
        stall_count=summary.pace.stall_count,
        stall_time=summary.pace.stall_time,
        loop=summary.loop or observed.loop,
        message_id=summary.response_id,
        model=summary.model,
        trace_id=trace_id,
        span_id=span_id,
    )


# --- what the application gives --------------------------------------------------------------------------------------

_OF_EVENTS = "event() takes up to 16 attributes: bools, numbers, texts and lists of them; the rest is left out"
_OF_STREAMS = (
    "set_attribute() takes up to 16 of a stream: bools, numbers, texts and lists of them; the rest is left out"
)
_REFUSALS: Mapping[WhyNotSet, str] = {
    "late": "set_attribute() came after the span of its stream had been written; ignored",
    "full": _OF_STREAMS,
}


@cache
def _warn_once(message: str) -> None:
    """The value is left out, for it may be content."""
    _log.warning(message)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _bounded_attributes(attributes: Mapping[Any, object], warning: str) -> dict[str, AttributeValue]:
    bounded: dict[str, AttributeValue] = {}
    for name, value in attributes.items():
        fit = _bounded(value) if _is_name(name) and len(bounded) < _ATTRIBUTES_AT_MOST else None
        if fit is None:
            _warn_once(warning)
        else:
            bounded[name] = fit
    return bounded


def _is_reserved(name: object) -> bool:
    """Whether it is ours to write."""
    return isinstance(name, str) and (name.startswith(_OURS) or name in semconv.ATTRIBUTES)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= _NAME_CHARS_AT_MOST and name.isprintable()


def _bounded(value: object) -> AttributeValue | None:
    """`value` as every exporter can encode it. None: it cannot be one."""
    if isinstance(value, (list, tuple)):
        items = [_bounded_item(item) for item in cast("Sequence[object]", value)[:_ITEMS_AT_MOST]]
        return cast("Any", items) if None not in items and len({type(item) for item in items}) <= 1 else None
    return _bounded_item(value)


def _bounded_item(value: object) -> bool | int | float | str | None:
    if isinstance(value, str):
        return str.__str__(value)[:_CHARS_AT_MOST].encode(errors="replace").decode()  # a lone surrogate fails exporters
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if -_NUMBERS_BELOW <= value < _NUMBERS_BELOW else None
    return value if isinstance(value, (bool, float)) else None
