"""Where a setting comes from, and what becomes of a wrong one."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from streamspan import Config
from streamspan.config import SETTINGS

ROOT = Path(__file__).parents[2]
CONTENT_SIGNALS = "one of `NO_CONTENT` (or `false`), `SPAN_ONLY`, `EVENT_ONLY`, `SPAN_AND_EVENT` (or `true`)"
THRESHOLDS = "one to five numbers of seconds, more than 0, separated by commas"
DEFAULTS = {
    "native_span": "replace",
    "events": "span",
    "max_events": 100,
    "stall_seconds": 5.0,
    "repetition": "exact",
    "rumination": "off",
    "reading_speed": 24.0,
    "silence_seconds": (10.0, 60.0),
    "watch_event_loop": True,
    "time_per_output_chunk": False,
    "on_repetition": None,
    "on_rumination": None,
    "on_stall": None,
    "on_silence": None,
    "capture_content": "NO_CONTENT",
    "content_chars": 32_768,
    "redact": None,
    "semconv_stability_opt_in": "default",
}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting.environment or "", raising=False)


def test_the_defaults() -> None:
    """What is given nowhere has the default."""
    assert asdict(Config()) == DEFAULTS


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting has a variable, whose text is read; an empty one is none."""
    monkeypatch.setenv("STREAMSPAN_NATIVE_SPAN", "keep")
    monkeypatch.setenv("STREAMSPAN_MAX_EVENTS", " 7 ")
    monkeypatch.setenv("STREAMSPAN_STALL_SECONDS", "2.5")
    monkeypatch.setenv("STREAMSPAN_REPETITION", "")
    monkeypatch.setenv("STREAMSPAN_TIME_PER_OUTPUT_CHUNK", "TRUE")
    monkeypatch.setenv("STREAMSPAN_READING_SPEED", "12")
    monkeypatch.setenv("STREAMSPAN_SILENCE_SECONDS", "60, 5")
    monkeypatch.setenv("STREAMSPAN_WATCH_EVENT_LOOP", "false")

    assert asdict(Config()) == DEFAULTS | {
        "native_span": "keep",
        "max_events": 7,
        "stall_seconds": 2.5,
        "time_per_output_chunk": True,
        "reading_speed": 12.0,
        "silence_seconds": (5.0, 60.0),
        "watch_event_loop": False,
    }


@pytest.mark.parametrize(
    ("variable", "chosen"),
    [
        ("", "default"),
        ("http,database/dup", "default"),
        ("gen_ai_latest", "default"),
        ("GEN_AI_LATEST_EXPERIMENTAL", "default"),
        ("gen_ai_latest_experimental", "gen_ai_latest_experimental"),
        ("http/dup, gen_ai_latest_experimental ,database", "gen_ai_latest_experimental"),
        ("gen_ai_latest_experimental/dup", "gen_ai_latest_experimental/dup"),
        ("gen_ai_latest_experimental,gen_ai_latest_experimental/dup", "gen_ai_latest_experimental/dup"),
    ],
)
def test_the_conventions(
    variable: str, chosen: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the variable only the entries about GenAI count, and no other is wrong; `/dup` goes before the plain one."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", variable)

    assert Config().semconv_stability_opt_in == chosen
    assert Config(semconv_stability_opt_in=Config().semconv_stability_opt_in).semconv_stability_opt_in == chosen
    assert caplog.records == []


def test_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file goes before the environment, and the environment before the default."""
    monkeypatch.setenv("STREAMSPAN_MAX_EVENTS", "7")
    monkeypatch.setenv("STREAMSPAN_STALL_SECONDS", "2.5")

    assert asdict(Config.from_file({"max_events": 8})) == DEFAULTS | {"max_events": 8, "stall_seconds": 2.5}


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        ({"repetition": "drift"}, {"repetition": "drift"}),
        ({"repetition": False}, {"repetition": "off"}),
        ({"max_events": None}, {}),
        ({"max_events": "12", "stall_seconds": 3}, {"max_events": 12, "stall_seconds": 3.0}),
        ({"time_per_output_chunk": True}, {"time_per_output_chunk": True}),
        ({"silence_seconds": 30}, {"silence_seconds": (30.0,)}),
        ({"silence_seconds": [60, 5.5]}, {"silence_seconds": (5.5, 60.0)}),
        ({"watch_event_loop": False, "reading_speed": "12"}, {"watch_event_loop": False, "reading_speed": 12.0}),
    ],
)
def test_what_yaml_makes_of_a_value(section: Mapping[str, object], settings: Mapping[str, object]) -> None:
    """A file gives text, numbers and switches; a bare `off` comes as false, and a key without a value as None."""
    assert asdict(Config.from_file(section)) == {**DEFAULTS, **settings}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"native_span": "drop"}, "native_span='drop' must be one of `replace`, `keep`"),
        ({"native_span": False}, "native_span=False must be one of `replace`, `keep`"),
        ({"native_span": ["keep"]}, "native_span=['keep'] must be one of `replace`, `keep`"),
        ({"max_events": -1}, "max_events=-1 must be a whole number, 0 or more"),
        ({"max_events": 1.5}, "max_events=1.5 must be a whole number, 0 or more"),
        ({"max_events": True}, "max_events=True must be a whole number, 0 or more"),
        ({"max_events": "many"}, "max_events='many' must be a whole number, 0 or more"),
        ({"stall_seconds": 0}, "stall_seconds=0 must be a number of seconds, more than 0"),
        ({"stall_seconds": float("nan")}, "stall_seconds=nan must be a number of seconds, more than 0"),
        ({"stall_seconds": "soon"}, "stall_seconds='soon' must be a number of seconds, more than 0"),
        ({"stall_seconds": 10**400}, f"stall_seconds={10**400} must be a number of seconds, more than 0"),
        ({"repetition": "all"}, "repetition='all' must be one of `off`, `exact`, `drift`"),
        ({"time_per_output_chunk": 1}, "time_per_output_chunk=1 must be `true` or `false`"),
        ({"capture_content": "ALL"}, f"capture_content='ALL' must be {CONTENT_SIGNALS}"),
        ({"reading_speed": 0}, "reading_speed=0 must be a number, more than 0"),
        ({"silence_seconds": ()}, f"silence_seconds=() must be {THRESHOLDS}"),
        ({"silence_seconds": (1, 2, 3, 4, 5, 6)}, f"silence_seconds=(1, 2, 3, 4, 5, 6) must be {THRESHOLDS}"),
        ({"silence_seconds": (1, 0)}, f"silence_seconds=(1, 0) must be {THRESHOLDS}"),
        ({"silence_seconds": "10, soon"}, f"silence_seconds='10, soon' must be {THRESHOLDS}"),
        ({"silence_seconds": True}, f"silence_seconds=True must be {THRESHOLDS}"),
        ({"watch_event_loop": "no"}, "watch_event_loop='no' must be `true` or `false`"),
        ({"content_chars": -1}, "content_chars=-1 must be a whole number, 0 or more"),
    ],
)
def test_a_wrong_value(settings: dict[str, object], complaint: str, caplog: pytest.LogCaptureFixture) -> None:
    """As an argument it is an error that says what is right; in the file it is a line that says the same."""
    with pytest.raises(ValueError, match="must be") as raised:
        Config(**settings)  # pyright: ignore[reportArgumentType]  # wrong on purpose
    from_file = Config.from_file(settings)

    assert str(raised.value) == complaint
    assert asdict(from_file) == DEFAULTS
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", complaint.replace(" must be", " in the configuration file must be") + "; left out")
    ]


def test_a_wrong_variable(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong variable is a line in the log; the default is used."""
    monkeypatch.setenv("STREAMSPAN_STALL_SECONDS", "soon")

    assert asdict(Config()) == DEFAULTS
    assert [record.message for record in caplog.records] == [
        "STREAMSPAN_STALL_SECONDS='soon' must be a number of seconds, more than 0; using 5.0"
    ]


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ("span_only", "SPAN_ONLY"),
        ("EVENT_ONLY", "EVENT_ONLY"),
        ("True", "SPAN_AND_EVENT"),
        ("false", "NO_CONTENT"),
        ("yes", "NO_CONTENT"),
    ],
)
def test_the_gate_of_content(
    text: str, signal: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It knows the words that others use; an unknown one leaves it shut, and is one line in the log."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", text)

    assert Config().capture_content == signal
    assert [record.levelname for record in caplog.records] == ["ERROR"] * (text == "yes")


def test_a_redaction_is_a_function() -> None:
    """What cannot be called is an error; there is no other way to give one."""
    with pytest.raises(ValueError, match="redact='mask' must be a function"):
        Config(redact="mask")  # pyright: ignore[reportArgumentType]  # wrong on purpose


def test_an_unknown_name(caplog: pytest.LogCaptureFixture) -> None:
    """What is no setting is an error as an argument; in the file it is a line that names all that there are."""
    with pytest.raises(TypeError, match="max_event"):
        Config(max_event=1)  # pyright: ignore[reportCallIssue]  # wrong on purpose

    assert asdict(Config.from_file({"max_event": 1, "max_events": 2})) == DEFAULTS | {"max_events": 2}
    assert [record.message for record in caplog.records] == [
        "max_event in the configuration file is no setting of streamspan; there are "
        + ", ".join(name for name in DEFAULTS if SETTINGS[name].environment)
    ]


def test_the_page_is_current() -> None:
    """docs/ is what `make docs` writes."""
    check = [sys.executable, ROOT / "tools" / "docs.py", "--check"]
    ended = subprocess.run(check, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
