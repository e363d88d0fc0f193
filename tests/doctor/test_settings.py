"""What `streamspan doctor` says of the environment variables."""

import pytest

from streamspan.cli.doctor import settings
from streamspan.cli.doctor.finding import Finding
from streamspan.cli.doctor.report import Check, examined

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
SDK_CONTENT = "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE"
DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"


def told(check: Check, environment: dict[str, str]) -> list[tuple[str, str, str | None]]:
    return [(found.check.partition(".")[2], found.status, found.command) for found in check(environment)]


@pytest.mark.parametrize(
    ("environment", "findings"),
    [
        ({}, []),
        ({"OTEL_SDK_DISABLED": "false"}, []),
        ({"OTEL_SDK_DISABLED": "TRUE"}, [("OTEL_SDK_DISABLED", "problem", "unset OTEL_SDK_DISABLED")]),
        ({DISABLED: "redis,anthropic"}, []),
        ({DISABLED: "anthropic_stream"}, [(DISABLED, "warning", f"unset {DISABLED}")]),
        ({DISABLED: "redis, openai_stream,flask"}, [(DISABLED, "warning", f"export {DISABLED}=redis,flask")]),
        (
            {DISABLED: "anthropic_stream,openai_stream"},
            [
                (DISABLED, "problem", f"export {DISABLED}=openai_stream"),
                (DISABLED, "problem", f"export {DISABLED}=anthropic_stream"),
            ],
        ),
        ({DISABLED: "*"}, [(DISABLED, "problem", f"unset {DISABLED}")]),
    ],
)
def test_switched_off(environment: dict[str, str], findings: list[tuple[str, str, str | None]]) -> None:
    """What switches streamspan off is a problem, for one SDK of two a warning; the command takes out that word."""
    assert told(settings.switched_off, environment) == findings


@pytest.mark.parametrize(
    ("name", "argument", "status", "text"),
    [
        ("always_off", "", "problem", "drops every trace that begins here"),
        ("parentbased_always_off", "", "problem", "drops every trace that begins here"),
        ("traceidratio", "0", "problem", "drops every trace that begins here"),
        ("parentbased_traceidratio", "0.05", "note", "keeps 5.00% of the traces"),
        ("traceidratio", "a tenth", "warning", "OTEL_TRACES_SAMPLER_ARG is no number"),
        ("traceidratio", "10", "warning", "OTEL_TRACES_SAMPLER_ARG is no number from 0 to 1"),
        ("sometimes", "", "warning", "no sampler of this name is installed"),
    ],
)
def test_samplers(name: str, argument: str, status: str, text: str) -> None:
    """A sampler that drops all is a problem, one that drops some a note, one that is none a warning."""
    [found] = settings.sampler({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})

    assert found.status == status
    assert text in found.text


@pytest.mark.parametrize(
    "environment", [{}, {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}, {"OTEL_TRACES_SAMPLER_ARG": "0"}]
)
def test_samplers_that_keep_all(environment: dict[str, str]) -> None:
    """The default keeps all, and an argument without a sampler is none."""
    assert list(settings.sampler(environment)) == []


@pytest.mark.parametrize(
    ("variable", "value", "findings"),
    [
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "20", [("warning", "export STREAMSPAN_MAX_EVENTS=20")]),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "128", []),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "unset", []),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "few", [("problem", "unset OTEL_SPAN_EVENT_COUNT_LIMIT")]),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "16", [("warning", "unset OTEL_ATTRIBUTE_COUNT_LIMIT")]),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "2", [("warning", "unset OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT")]),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8", [("warning", "unset OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")]),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4096", []),
    ],
)
def test_limits(variable: str, value: str, findings: list[tuple[str, str]]) -> None:
    """A limit of the OpenTelemetry SDK that cuts our spans is a warning; one that it refuses is a problem."""
    assert [(found.status, found.command) for found in settings.limits({variable: value})] == findings


def test_a_limit_that_cuts_content() -> None:
    """Where content goes on spans, a limit below our own cap of it is a warning."""
    environment = {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "4096", CONTENT: "SPAN_ONLY"}

    assert told(settings.limits, environment) == [
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "warning", "unset OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
    ]


@pytest.mark.parametrize(
    ("environment", "findings"),
    [
        ({}, []),
        ({CONTENT: "NO_CONTENT"}, []),
        ({CONTENT: "sure"}, []),
        ({CONTENT: "EVENT_ONLY"}, [("content", "note", None)]),
        ({SDK_CONTENT: "content"}, [(SDK_CONTENT, "note", None)]),
    ],
)
def test_content(environment: dict[str, str], findings: list[tuple[str, str, str | None]]) -> None:
    """That prompts and answers are recorded, by us or by the SDK, is a note."""
    assert told(settings.content, environment) == findings


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("", []),
        ("http", ["nothing in it is about GenAI, so metrics have the names of semantic-conventions 1.41"]),
        ("http,gen_ai_latest_experimental", ["metrics have the names of the latest GenAI conventions, v0.1.0"]),
        (
            "gen_ai_latest_experimental/dup",
            ["metrics have the names of semantic-conventions 1.41 and those of the latest GenAI conventions, v0.1.0"],
        ),
    ],
)
def test_conventions(value: str, texts: list[str]) -> None:
    """Which conventions are chosen is one note, where the variable is set."""
    environment = {"OTEL_SEMCONV_STABILITY_OPT_IN": value}

    assert [(found.status, found.text) for found in settings.conventions(environment)] == [
        ("note", f"OTEL_SEMCONV_STABILITY_OPT_IN: {text}") for text in texts
    ]
    assert list(settings.of_streamspan(environment)) == []


def test_the_limit_of_events_is_measured_by_ours() -> None:
    """A limit that our own cap stays below cuts nothing."""
    environment = {"OTEL_SPAN_EVENT_COUNT_LIMIT": "20", "STREAMSPAN_MAX_EVENTS": "20"}

    assert list(settings.limits(environment)) == []


@pytest.mark.parametrize(
    ("variable", "value", "status", "text"),
    [
        ("STREAMSPAN_REPETITION", "off", "note", "STREAMSPAN_REPETITION=off"),
        (
            "STREAMSPAN_MAX_EVENTS",
            "many",
            "warning",
            "STREAMSPAN_MAX_EVENTS='many' must be a whole number, 0 or more; 100 is used",
        ),
        (
            "STREAMSPAN_REPETITON",
            "off",
            "warning",
            "STREAMSPAN_REPETITON is no setting of streamspan; STREAMSPAN_REPETITION is one",
        ),
        ("STREAMSPAN_COLOUR", "red", "warning", "STREAMSPAN_COLOUR is no setting of streamspan"),
    ],
)
def test_settings_of_ours(variable: str, value: str, status: str, text: str) -> None:
    """A setting is a note; a wrong value is told as the configuration does, a wrong name with what was meant."""
    [found] = settings.of_streamspan({variable: value})

    assert (found.status, found.text) == (status, text)


def test_a_check_that_fails() -> None:
    """A check that fails itself is a warning with no more than the kind of the failure."""

    def broken(_: object) -> list[Finding]:
        raise LookupError("MARKER")

    assert examined("settings", broken, {}) == [
        Finding("settings.broken", "warning", "this could not be checked, because of LookupError")
    ]
