"""What can be configured: one frozen Config, each field from the argument, else the environment, else the default.

A wrong argument raises ValueError. A wrong environment variable is logged as an error and its default is used, because
an exception there would stop every other instrumentation that `opentelemetry-instrument` is about to start.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from math import nan
from typing import Any, Literal, TypeVar, get_args

from .core.stream import LoopSearch

_log = logging.getLogger(__name__)

NativeSpan = Literal["replace", "keep"]
EventSignal = Literal["span", "log", "both", "none"]
T = TypeVar("T")


def _one_of(choices: object) -> Callable[[str], Any]:
    words = get_args(choices)

    def parse(text: str) -> Any:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return parse


def _max_events(text: Any) -> int:
    try:
        number = int(text)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number < 0:
        raise ValueError("must be a whole number, 0 or more")
    return number


def _seconds(text: Any) -> float:
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = nan
    if not number > 0:
        raise ValueError("must be a number of seconds, more than 0")
    return number


def _from_environment(name: str, parse: Callable[[str], T], default: T) -> T:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except ValueError as error:
        _log.error("%s=%r %s; using %r", name, text, error, default)  # the traceback says no more
        return default


def _switch(text: str | bool) -> bool:
    word = str(text).lower()
    if word not in {"true", "false"}:
        raise ValueError("must be true or false")
    return word == "true"


_native_span = _one_of(NativeSpan)
_events = _one_of(EventSignal)
_repetition = _one_of(LoopSearch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """native_span    `STREAMSPAN_NATIVE_SPAN`: what becomes of the span that the SDK itself makes of a streamed call
                   from 1.14 on: `replace` (default: one span per stream, ours) or `keep` (both).
    events         `STREAMSPAN_EVENTS`: where the events of a stream go: `span` (default: on its span), `log` (as log
                   records), `both`, or `none`.
    max_events     `STREAMSPAN_MAX_EVENTS`: events per stream at the most, default 100; what is beyond is counted
                   in `llm_stream.events_dropped`. The OpenTelemetry SDK keeps the last 128 of a span.
    stall_seconds  `STREAMSPAN_STALL_SECONDS`: a silence of the provider is a stall from this length on, default 5.
    repetition     `STREAMSPAN_REPETITION`: which loops are looked for: `exact` (default), `drift` (also those whose
                   copies differ in counters, case, punctuation or where they are cut: more CPU per chunk), or `off`.
    time_per_output_chunk
                   `STREAMSPAN_TIME_PER_OUTPUT_CHUNK`: record `gen_ai.client.operation.time_per_output_chunk`,
                   default false: a record for each chunk costs ten times what all else costs.
    """

    native_span: NativeSpan = field(
        default_factory=lambda: _from_environment("STREAMSPAN_NATIVE_SPAN", _native_span, "replace")
    )
    events: EventSignal = field(default_factory=lambda: _from_environment("STREAMSPAN_EVENTS", _events, "span"))
    max_events: int = field(default_factory=lambda: _from_environment("STREAMSPAN_MAX_EVENTS", _max_events, 100))
    stall_seconds: float = field(default_factory=lambda: _from_environment("STREAMSPAN_STALL_SECONDS", _seconds, 5.0))
    repetition: LoopSearch = field(
        default_factory=lambda: _from_environment("STREAMSPAN_REPETITION", _repetition, "exact")
    )
    time_per_output_chunk: bool = field(
        default_factory=lambda: _from_environment("STREAMSPAN_TIME_PER_OUTPUT_CHUNK", _switch, False)
    )

    def __post_init__(self) -> None:
        checks: tuple[tuple[str, Callable[[Any], object]], ...] = (
            ("native_span", _native_span),
            ("events", _events),
            ("max_events", _max_events),
            ("stall_seconds", _seconds),
            ("repetition", _repetition),
            ("time_per_output_chunk", _switch),
        )
        for name, check in checks:
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, check(value))
            except ValueError as error:
                raise ValueError(f"{name}={value!r} {error}") from None
