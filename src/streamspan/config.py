"""What can be configured: one frozen Config, each field from the argument, else the environment, else the default.

A wrong argument raises ValueError. A wrong environment variable is logged as an error and its default is used, because
an exception there would stop every other instrumentation that `opentelemetry-instrument` is about to start.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar, cast, get_args

_log = logging.getLogger(__name__)

NativeSpan = Literal["replace", "keep"]
T = TypeVar("T")


def _native_span(text: str) -> NativeSpan:
    if text not in get_args(NativeSpan):
        raise ValueError(f"must be one of {', '.join(get_args(NativeSpan))}")
    return cast("NativeSpan", text)


def _max_events(text: str | int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError("must be a whole number, 0 or more")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """native_span  `STREAMSPAN_NATIVE_SPAN`: what becomes of the span that the SDK itself makes of a streamed call from
                 1.14 on: `replace` (default: one span per stream, ours) or `keep` (both).
    max_events   `STREAMSPAN_MAX_EVENTS`: span events per stream at the most, default 100; what is beyond is counted in
                 `llm_stream.events_dropped`. The OpenTelemetry SDK keeps the last 128 of a span.
    """

    native_span: NativeSpan = field(
        default_factory=lambda: _from_environment("STREAMSPAN_NATIVE_SPAN", _native_span, "replace")
    )
    max_events: int = field(default_factory=lambda: _from_environment("STREAMSPAN_MAX_EVENTS", _max_events, 100))

    def __post_init__(self) -> None:
        checks: tuple[tuple[str, Callable[[], object]], ...] = (
            ("native_span", lambda: _native_span(self.native_span)),
            ("max_events", lambda: _max_events(self.max_events)),
        )
        for name, check in checks:
            try:
                check()
            except ValueError as error:
                raise ValueError(f"{name}={getattr(self, name)!r} {error}") from None
