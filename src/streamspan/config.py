"""What can be configured: one frozen Config.

A setting is one entry in the body of `Config`, and docs/configuration.md is written from those by `make docs`. Its
value is that of the argument, else of OpenTelemetry's configuration file, else of the environment, else the default.

A wrong argument raises ValueError. What is wrong in the environment or in the file is logged as an error and left out,
because an exception there would stop every other instrumentation that `opentelemetry-instrument` is about to start.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from inspect import iscoroutinefunction
from typing import Any, Generic, Literal, TypeVar, cast, get_args

from .core.model import Loop, Rumination, Stall
from .core.stream import READING_SPEED, LoopSearch, RuminationSearchIn
from .handle import StreamHandle
from .semconv.latest import OptIn, opt_in_of

_log = logging.getLogger(__name__)

NativeSpan = Literal["replace", "keep"]
EventSignal = Literal["span", "log", "both", "none"]
ContentSignal = Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]
T = TypeVar("T")

_THRESHOLDS_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What a setting may be.

    words  what follows "must be"
    value  of what is given: an argument, the text of a variable, or what YAML made of it; None: it is not of this kind
    """

    words: str
    value: Callable[[object], T | None]

    def parsed(self, given: object) -> T:
        value = self.value(given)
        if value is None:
            raise ValueError(f"must be {self.words}")
        return value


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """environment  the variable; None: it can be given as an argument only
    meaning      a sentence or two in Markdown.
    """

    environment: str | None
    kind: Kind[T]
    default: T
    meaning: str

    def from_environment(self) -> T:
        text = os.environ.get(self.environment or "", "").strip()
        if not text:
            return self.default
        try:
            return self.kind.parsed(text)
        except ValueError as error:
            _log.error("%s=%r %s; using %r", self.environment, text, error, self.default)  # the traceback says no more
            return self.default


def _setting(environment: str | None, kind: Kind[T], default: T, meaning: str) -> T:
    setting = Setting(environment, kind, default, meaning)
    return field(default_factory=setting.from_environment, metadata={"setting": setting})


# --- kinds ---------------------------------------------------------------------------------------------------------


def _one_of(choices: object) -> Kind[Any]:
    """Of a Literal. YAML 1.1 takes a bare `off` for false."""
    words = get_args(choices)

    def value(given: object) -> object:
        word = "off" if given is False else given
        return word if word in words else None

    return Kind("one of " + ", ".join(f"`{word}`" for word in words), value)


def _whole_number(given: object) -> int | None:
    if isinstance(given, bool) or not isinstance(given, (int, str)):
        return None
    try:
        number = int(given)
    except ValueError:
        return None
    return number if number >= 0 else None


def _positive(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return None
    try:
        number = float(given)
    except (ValueError, OverflowError):
        return None
    return number if number > 0 else None


def _thresholds(given: object) -> tuple[float, ...] | None:
    """Of a list, or of a text with commas; in ascending order."""
    parts = cast("Sequence[object]", given) if isinstance(given, (list, tuple)) else str(given).split(",")
    numbers = [number for part in parts if (number := _positive(part)) is not None]
    is_right = 0 < len(numbers) == len(parts) <= _THRESHOLDS_AT_MOST
    return tuple(sorted(numbers)) if is_right else None


def _switch(given: object) -> bool | None:
    return {"true": True, "false": False}.get(str(given).lower())


def _callback(given: object) -> Callable[..., object] | None:
    return given if callable(given) and not iscoroutinefunction(given) else None


def _content_signal(given: object) -> object:
    """Those of the GenAI utilities of OpenTelemetry, and the two of the instrumentations before them."""
    word = str(given).upper()
    word = {"TRUE": "SPAN_AND_EVENT", "FALSE": "NO_CONTENT"}.get(word, word)
    return word if word in get_args(ContentSignal) else None


def _opt_in(given: object) -> OptIn | None:
    """No text is wrong: what is not about us is about another instrumentation."""
    return opt_in_of(given) if isinstance(given, str) else None


CALLBACK: Kind[Any] = Kind("a function, and no coroutine function", _callback)
CONTENT_SIGNAL: Kind[Any] = Kind(
    "one of `NO_CONTENT` (or `false`), `SPAN_ONLY`, `EVENT_ONLY`, `SPAN_AND_EVENT` (or `true`)", _content_signal
)
OPT_IN: Kind[Any] = Kind(
    "a comma-separated list, in which `gen_ai_latest_experimental` and `gen_ai_latest_experimental/dup` count", _opt_in
)
WHOLE_NUMBER = Kind("a whole number, 0 or more", _whole_number)
POSITIVE = Kind("a number, more than 0", _positive)
SECONDS = Kind("a number of seconds, more than 0", _positive)
THRESHOLDS = Kind("one to five numbers of seconds, more than 0, separated by commas", _thresholds)
SWITCH = Kind("`true` or `false`", _switch)

# --- settings ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What each setting means: docs/configuration.md. What is not given comes from the environment, else the default.

    Raises ValueError for a wrong value.
    """

    native_span: NativeSpan = _setting(
        "STREAMSPAN_NATIVE_SPAN",
        _one_of(NativeSpan),
        "replace",
        "what becomes of the span that the SDK itself makes of a call, from 1.14 on. `replace`: ours takes its place "
        "for streamed calls, with all its attributes, and plain calls keep theirs. `keep`: both",
    )
    events: EventSignal = _setting(
        "STREAMSPAN_EVENTS",
        _one_of(EventSignal),
        "span",
        "where the events of a stream go: on its `span`, as records to the `log`, to `both`, or `none`: see "
        "[events.md](events.md)",
    )
    max_events: int = _setting(
        "STREAMSPAN_MAX_EVENTS",
        WHOLE_NUMBER,
        100,
        "events per stream at the most; the rest is counted in `llm_stream.events_dropped`. The OpenTelemetry SDK "
        "keeps the last 128 of a span",
    )
    stall_seconds: float = _setting(
        "STREAMSPAN_STALL_SECONDS",
        SECONDS,
        5.0,
        "a silence of the provider is a stall from this length on",
    )
    repetition: LoopSearch = _setting(
        "STREAMSPAN_REPETITION",
        _one_of(LoopSearch),
        "exact",
        "which loops are looked for: `exact`; `drift`, which is also those whose copies differ in counters, case, "
        "punctuation or order, for more CPU per chunk; `off`: see [loops.md](loops.md)",
    )
    rumination: RuminationSearchIn = _setting(
        "STREAMSPAN_RUMINATION",
        _one_of(RuminationSearchIn),
        "off",
        "where to look for content that goes on without saying anything new: in the `thinking`, in `all`, which is "
        "also the text, or `off`, as it is where `repetition` is: see [loops.md](loops.md#rumination)",
    )
    reading_speed: float = _setting(
        "STREAMSPAN_READING_SPEED",
        POSITIVE,
        READING_SPEED,
        "characters a second that a person reads, for `llm_stream.rebuffer.*`",
    )
    silence_seconds: tuple[float, ...] = _setting(
        "STREAMSPAN_SILENCE_SECONDS",
        THRESHOLDS,
        (10.0, 60.0),
        "the silences at which `on_silence` is called, and from which on `llm_stream.silent` counts an open stream: up "
        "to five, separated by commas",
    )
    watch_event_loop: bool = _setting(
        "STREAMSPAN_WATCH_EVENT_LOOP",
        SWITCH,
        True,
        "whether a timer on the asyncio loop measures, while a stream is open on it, for how long the loop was blocked",
    )
    time_per_output_chunk: bool = _setting(
        "STREAMSPAN_TIME_PER_OUTPUT_CHUNK",
        SWITCH,
        False,
        "record `gen_ai.client.operation.time_per_output_chunk`: a record for each chunk costs ten times what all "
        "else costs",
    )
    on_repetition: Callable[[StreamHandle, Loop], object] | None = _setting(
        None,
        CALLBACK,
        None,
        "is called with the handle of a stream and the loop that was found in it: see [handle.md](handle.md)",
    )
    on_rumination: Callable[[StreamHandle, Rumination], object] | None = _setting(
        None,
        CALLBACK,
        None,
        "is called with the handle of a stream and the rumination that was found in it, if `rumination` is looked for: "
        "see [handle.md](handle.md)",
    )
    on_stall: Callable[[StreamHandle, Stall], object] | None = _setting(
        None,
        CALLBACK,
        None,
        "is called with the handle of a stream and the stall, once that is over: see [handle.md](handle.md)",
    )

    on_silence: Callable[[StreamHandle, float], object] | None = _setting(
        None,
        CALLBACK,
        None,
        "is called with the handle of an open stream and the seconds of its silence, at each of `silence_seconds`: see "
        "[handle.md](handle.md)",
    )

    capture_content: ContentSignal = _setting(
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        CONTENT_SIGNAL,
        "NO_CONTENT",
        "where prompts, answers, system instructions and tool definitions go: nowhere, on the span, into an event, or "
        "both: see [content.md](content.md)",
    )
    content_chars: int = _setting(
        "STREAMSPAN_CONTENT_CHARS",
        WHOLE_NUMBER,
        32_768,
        "characters of content per stream at the most, of the request and the answer together",
    )
    redact: Callable[[str], str] | None = _setting(
        None,
        CALLBACK,
        None,
        "is called with each text before it is written, and gives the text to write. If it fails, the text is left out",
    )

    semconv_stability_opt_in: OptIn = _setting(
        "OTEL_SEMCONV_STABILITY_OPT_IN",
        OPT_IN,
        "default",
        "which GenAI conventions name what is written: those of semantic-conventions 1.41, or with "
        "`gen_ai_latest_experimental` the latest, or with `gen_ai_latest_experimental/dup` both, where both can be. "
        "Other entries are for other instrumentations: see "
        "[schema.md](schema.md#the-latest-genai-conventions)",
    )

    def __post_init__(self) -> None:
        for name, setting in SETTINGS.items():
            value = getattr(self, name)
            if value is not setting.default:
                try:
                    object.__setattr__(self, name, setting.kind.parsed(value))
                except ValueError as error:
                    raise ValueError(f"{name}={value!r} {error}") from None

    @classmethod
    def from_file(cls, section: Mapping[str, object]) -> "Config":
        """Of a section of OpenTelemetry's configuration file. What is wrong in it is logged and left out."""
        right, wrong = judged(section)
        for line in wrong:
            _log.error("%s", line)
        return cls(**right)


SETTINGS: Mapping[str, Setting[Any]] = {entry.name: entry.metadata["setting"] for entry in fields(Config)}
"""By the name of the argument, which is that in the file."""


def judged(section: Mapping[str, object]) -> tuple[dict[str, Any], list[str]]:
    """The settings of a section of the configuration file, and what is wrong in it."""
    right: dict[str, Any] = {}
    wrong: list[str] = []
    for name, given in section.items():
        setting = SETTINGS.get(name)
        if setting is None or setting.environment is None:
            can_be_set = ", ".join(name for name, setting in SETTINGS.items() if setting.environment)
            wrong.append(f"{name} in the configuration file is no setting of streamspan; there are {can_be_set}")
        elif given is not None:
            try:
                right[name] = setting.kind.parsed(given)
            except ValueError as error:
                wrong.append(f"{name}={given!r} in the configuration file {error}; left out")
    return right, wrong
