"""What the environment switches off or changes."""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import entry_points

from streamspan.config import SETTINGS
from streamspan.semconv import latest

from .file import is_named, ours
from .finding import DISABLED, Environment, Finding, without
from .sdks import installed_sdks

OURS = {setting.environment: setting for setting in SETTINGS.values() if setting.environment}
SAMPLER = "OTEL_TRACES_SAMPLER"
OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
CONVENTIONS = {
    "default": "nothing in it is about GenAI, so metrics have the names of semantic-conventions 1.41",
    "gen_ai_latest_experimental": f"metrics have the names of the latest GenAI conventions, {latest.VERSION}",
    "gen_ai_latest_experimental/dup": "metrics have the names of semantic-conventions 1.41 and those of the latest "
    f"GenAI conventions, {latest.VERSION}",
}
EVENTS_LIMIT = "OTEL_SPAN_EVENT_COUNT_LIMIT"
LENGTH_LIMITS = ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT")
LOW = {
    "OTEL_ATTRIBUTE_COUNT_LIMIT": 80,
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": 80,
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": 10,
    **dict.fromkeys(LENGTH_LIMITS, 64),
}
"""More attributes than our spans and events ever have, and characters than a model's name or an id."""


def switched_off(environment: Environment) -> Iterator[Finding]:
    if is_true(environment, "OTEL_SDK_DISABLED"):
        text = "OTEL_SDK_DISABLED=true: no spans and no metrics at all"
        yield Finding("settings.OTEL_SDK_DISABLED", "problem", text, "unset OTEL_SDK_DISABLED")
    words = {word.strip() for word in environment.get(DISABLED, "").split(",")}
    names = {sdk.instrumentor: sdk.package for sdk in installed_sdks()}
    nothing_is_left = "*" in words or words >= names.keys()
    for word in sorted(words & {*names, "*"}):
        of = f" for {names[word]}" if word in names else ""
        text = f"{DISABLED} has {word}: opentelemetry-instrument does not start streamspan{of}"
        status = "problem" if nothing_is_left else "warning"
        yield Finding(f"settings.{DISABLED}", status, text, without(DISABLED, word, environment))


def is_true(environment: Environment, variable: str) -> bool:
    return environment.get(variable, "").strip().lower() == "true"


def sampler(environment: Environment) -> Iterator[Finding]:
    if is_named(environment):  # nobody asks the variable
        return
    name = environment.get(SAMPLER, "").strip()
    kind = name.removeprefix("parentbased_")
    share: float | None = None
    if kind == "always_off":
        share = 0.0
    elif kind == "traceidratio":
        share = share_of(environment.get(f"{SAMPLER}_ARG", ""))
        if share is None:
            text = f"{SAMPLER}_ARG is no number from 0 to 1, so {name} keeps every trace"
            yield Finding(f"settings.{SAMPLER}", "warning", text, f"export {SAMPLER}_ARG=0.1")
    elif name and not entry_points(group="opentelemetry_traces_sampler", name=name):
        text = f"{SAMPLER}={name}: no sampler of this name is installed, so every trace is kept"
        yield Finding(f"settings.{SAMPLER}", "warning", text, f"unset {SAMPLER}")
    if share == 0:
        text = f"{SAMPLER}={name} drops every trace that begins here; metrics do not depend on it"
        yield Finding(f"settings.{SAMPLER}", "problem", text, f"unset {SAMPLER}")
    elif share is not None and share < 1:
        text = f"{SAMPLER}={name} keeps {share:.2%} of the traces that begin here; metrics do not depend on it"
        yield Finding(f"settings.{SAMPLER}", "note", text)


def share_of(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def limits(environment: Environment) -> Iterator[Finding]:
    """Of the OpenTelemetry SDK. One that is no number lets it fail to start."""
    if is_named(environment):  # nobody asks the variables
        return
    for variable, least in least_limits(environment).items():
        text = environment.get(variable, "").strip().lower()
        if variable not in environment or text == "unset":
            continue
        if not text.isdecimal():
            text = f"{variable} must be a whole number, 0 or more: the OpenTelemetry SDK does not start"
            yield Finding(f"settings.{variable}", "problem", text, f"unset {variable}")
        elif int(text) < least:
            lost = "the first events of a long stream are lost" if variable == EVENTS_LIMIT else "our spans are cut"
            better = f"export STREAMSPAN_MAX_EVENTS={text}" if variable == EVENTS_LIMIT else f"unset {variable}"
            yield Finding(f"settings.{variable}", "warning", f"{variable}={text}: {lost}", better)


def least_limits(environment: Environment) -> dict[str, int]:
    """What each limit has to let through."""
    least = {**LOW, EVENTS_LIMIT: int(str(ours("max_events", environment)))}
    if ours("capture_content", environment) in {"SPAN_ONLY", "SPAN_AND_EVENT"}:
        least |= dict.fromkeys(LENGTH_LIMITS, int(str(ours("content_chars", environment))))
    return least


def of_streamspan(environment: Environment) -> Iterator[Finding]:
    for variable in sorted(environment):
        text = environment[variable].strip()
        if variable in OURS and text and variable != OPT_IN:
            yield of_ours(variable, text)
        elif variable.startswith("STREAMSPAN_") and variable not in OURS:
            close = get_close_matches(variable, OURS, n=1, cutoff=0.85)
            meant = f"; {close[0]} is one" if close else ""
            text = f"{variable} is no setting of streamspan{meant}"
            yield Finding(f"settings.{variable}", "warning", text, f"unset {variable}")


def of_ours(variable: str, text: str) -> Finding:
    setting = OURS[variable]
    try:
        setting.kind.parsed(text)
    except ValueError as error:
        text = f"{variable}={text!r} {error}; {setting.default!r} is used"
        return Finding(f"settings.{variable}", "warning", text, f"unset {variable}")
    return Finding(f"settings.{variable}", "note", f"{variable}={text}")


def conventions(environment: Environment) -> Iterator[Finding]:
    """Which GenAI conventions are chosen, where the variable or the file says anything."""
    chosen = ours("semconv_stability_opt_in", environment)
    if chosen != "default" or environment.get(OPT_IN, "").strip():
        yield Finding(f"settings.{OPT_IN}", "note", f"{OPT_IN}: {CONVENTIONS[str(chosen)]}")


def content(environment: Environment) -> Iterator[Finding]:
    """Whether prompts and answers are recorded, by us or by the SDK in its own spans."""
    if ours("capture_content", environment) != "NO_CONTENT":
        yield Finding("settings.content", "note", "our telemetry holds prompts and answers: see docs/content.md")
    mode = "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE"
    if environment.get(mode, "").lower() == "content":
        text = f"{mode}=content: the SDK's own spans hold prompts and answers"
        yield Finding(f"settings.{mode}", "note", text)
