"""OpenTelemetry's configuration file, read as the OpenTelemetry SDK reads it, and what it says of streamspan.

Its values may be secret: none is shown but the settings of streamspan and the addresses of exporters, as `endpoint.py`
shows them.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import cast

from streamspan.config import SETTINGS, judged

from .endpoint import Signal
from .finding import DISABLED, Environment, Finding, import_failure, logged, one_line, with_
from .sdks import SDKS, Sdk, installed_sdks

VARIABLE = "OTEL_CONFIG_FILE"
CHECK = f"settings.{VARIABLE}"
FORMER = "OTEL_EXPERIMENTAL_CONFIG_FILE"
PIPELINES: dict[Signal, tuple[str, str]] = {
    "traces": ("tracer_provider", "processors"),
    "metrics": ("meter_provider", "readers"),
    "logs": ("logger_provider", "processors"),
}
"""Where in the file each signal has its exporters."""


def is_named(environment: Environment) -> bool:
    return bool(environment.get(VARIABLE))


def model(environment: Environment) -> object:
    """None: there is no file, or the OpenTelemetry SDK cannot read it."""
    path = environment.get(VARIABLE)
    read = _read(path) if path else None
    return None if isinstance(read, Exception) else read


@cache
def _read(path: str) -> object:
    """What is in the file, or the exception that says what is wrong."""
    try:
        with logged():
            return import_module("opentelemetry.configuration").load_config_file(path)
    except Exception as error:  # noqa: BLE001  # what is wrong with it is what is asked for
        return error


def exporters(signal: Signal, environment: Environment) -> list[tuple[str, str | None]]:
    """The name in the file and the address of each."""
    provider, pipelines = PIPELINES[signal]
    found: list[tuple[str, str | None]] = []
    for pipeline in getattr(getattr(model(environment), provider, None), pipelines, None) or ():
        for kind in _given(pipeline).values():
            exporter = _given(getattr(kind, "exporter", None))
            found += [(name, getattr(settings, "endpoint", None)) for name, settings in exporter.items()]
    return found


def _given(node: object) -> dict[str, object]:
    """What the file gives of a node; names that OpenTelemetry does not know, too."""
    fields = dict(getattr(node, "__dict__", {}))
    fields |= fields.pop("additional_properties", {})
    return {name: value for name, value in fields.items() if value is not None}


def section(sdk: Sdk, environment: Environment) -> dict[str, object]:
    """What the file says of streamspan for this SDK."""
    instrumentation = getattr(model(environment), "instrumentation_development", None)
    of_python = cast("Mapping[str, Mapping[str, object]]", getattr(instrumentation, "python", None) or {})
    return {**of_python.get(sdk.instrumentor, {})}


def ours(name: str, environment: Environment) -> object:
    """The setting of streamspan that the file or else this environment makes; a wrong one is left out.

    The file may say it for one SDK only, or for each another; then that of the first counts.
    """
    setting = SETTINGS[name]
    in_file: dict[str, object] = {}
    for sdk in reversed(SDKS):
        right, _ = judged(section(sdk, environment))
        in_file |= right
    try:
        in_environment = setting.kind.parsed(environment.get(setting.environment or "", "").strip() or setting.default)
    except ValueError:
        in_environment = setting.default
    return in_file.get(name, in_environment)


# --- findings ------------------------------------------------------------------------------------------------------


def findings(environment: Environment) -> Iterator[Finding]:
    """Of the file itself, which takes the place of OpenTelemetry's other variables, and of our section."""
    if environment.get(FORMER) and not is_named(environment):
        text = f"{FORMER} is set, and OpenTelemetry for Python reads {VARIABLE}"
        yield Finding(f"settings.{FORMER}", "warning", text, f'export {VARIABLE}="${FORMER}"')
    if not is_named(environment) or import_failure("opentelemetry.sdk._configuration"):
        return
    failure = _failure(environment[VARIABLE])
    if failure:
        yield failure
        return
    yield Finding(CHECK, "note", f"{VARIABLE} sets up the SDK in the place of its other variables")
    if getattr(model(environment), "disabled", None):
        yield Finding(f"{CHECK}.disabled", "problem", f"{VARIABLE} says disabled: true: no spans and no metrics at all")
    for sdk in installed_sdks():
        yield from _of_our_section(sdk, environment)


def _failure(path: str) -> Finding | None:
    """Why the OpenTelemetry SDK does not read it."""
    if not hasattr(import_module("opentelemetry.sdk._configuration"), VARIABLE):
        text = f"this OpenTelemetry SDK does not read {VARIABLE}"
        return Finding(CHECK, "warning", text, "pip install --upgrade opentelemetry-sdk")
    if import_failure("opentelemetry.configuration"):
        text = f"{VARIABLE} is set and the package that reads it is missing: the OpenTelemetry SDK does not start"
        return Finding(CHECK, "problem", text, 'pip install "opentelemetry-sdk[file-configuration]"')
    if not Path(path).is_file():
        text = f"{VARIABLE} names no file: the OpenTelemetry SDK does not start"
        return Finding(CHECK, "problem", text, f"unset {VARIABLE}")
    read = _read(path)
    if isinstance(read, Exception):
        text = f"{VARIABLE}: {_why(read)}: the OpenTelemetry SDK does not start"
        python = f"from opentelemetry.configuration import load_config_file; load_config_file({path!r})"
        return Finding(CHECK, "problem", text, f"python -c {shlex.quote(python)}")
    return None


def _why(error: Exception) -> str:
    """Where it is wrong. What is there may be secret, and the words of both parsers have it."""
    path: Iterable[object] | None = getattr(error.__cause__, "absolute_path", None)
    if path is not None:
        return f"{'.'.join(map(str, path)) or 'the file'} is not as the schema of such files wants it"
    mark: object = getattr(error.__cause__, "problem_mark", None)
    if mark is not None:
        return f"it is no YAML, from line {getattr(mark, 'line', 0) + 1} on"
    return one_line(error)


def _of_our_section(sdk: Sdk, environment: Environment) -> Iterator[Finding]:
    name, said = sdk.instrumentor, section(sdk, environment)
    check = f"{CHECK}.{name}"
    if not said.pop("enabled", True):
        text = f"enabled: false of {name} in {VARIABLE} does not keep opentelemetry-instrument from starting it"
        yield Finding(check, "warning", text, with_(DISABLED, name, environment))
    right, wrong = judged(said)
    for line in wrong:
        yield Finding(check, "warning", line)
    if right:
        settings = ", ".join(f"{name}={value}" for name, value in right.items())
        yield Finding(check, "note", f"{VARIABLE} sets {settings} for {sdk.package}")
