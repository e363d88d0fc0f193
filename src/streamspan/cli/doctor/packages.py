"""What is installed, and whether it fits."""

import platform
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING

from .finding import Environment, Finding, import_failure

if TYPE_CHECKING:
    from packaging.requirements import Requirement

SHOWN = (
    "streamspan",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "opentelemetry-semantic-conventions",
    "opentelemetry-distro",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-exporter-otlp-proto-grpc",
)
SDK_PACKAGES = ("anthropic", "openai")
NEEDED = {
    "streamspan": "has no metadata here, so opentelemetry-instrument does not find it",
    "opentelemetry-sdk": "is missing: nothing records and nothing sends",
}
IMPORTED = {**{name: name for name in SDK_PACKAGES}, "opentelemetry-sdk": "opentelemetry.sdk.trace"}


def installed() -> dict[str, Distribution]:
    """Every distribution of this environment by its normalized name; where there are two, that which is imported."""
    found: dict[str, Distribution] = {}
    for distribution in distributions():
        try:
            found.setdefault(normalized(distribution.metadata["Name"]), distribution)
        except (AttributeError, KeyError, TypeError, ValueError):  # an installation has left it half done
            continue
    return found


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def present(_: Environment) -> Iterator[Finding]:
    found = installed()
    yield Finding("installed.python", "ok", f"Python {platform.python_version()}: {sys.executable}")
    for name in SHOWN:
        if name == SHOWN[1]:
            yield from sdks(found)
        if name in found:
            yield Finding(f"installed.{name}", "ok", f"{name} {found[name].version}")
        elif name in NEEDED:
            yield Finding(f"installed.{name}", "problem", f"{name} {NEEDED[name]}", install(found))


def sdks(found: Mapping[str, Distribution]) -> Iterator[Finding]:
    """One is enough."""
    ranges = (found["streamspan"].requires if "streamspan" in found else None) or ()
    for name in filter(found.__contains__, SDK_PACKAGES):
        supported = next((line.partition(";")[0][len(name) :] for line in ranges if re.match(rf"{name}\b", line)), "")
        text = f"{name} {found[name].version}{f' (supported: {supported})' if supported else ''}"
        yield Finding(f"installed.{name}", "ok", text)
    if not any(name in found for name in SDK_PACKAGES):
        text = f"neither {' nor '.join(SDK_PACKAGES)} is installed: there is nothing to instrument"
        yield Finding("installed.sdk", "problem", text, install(found))


def install(found: Mapping[str, Distribution]) -> str:
    """The command that brings all that is needed."""
    sdk = [] if any(name in found for name in SDK_PACKAGES) else [SDK_PACKAGES[0]]
    extras = [*sdk, *([] if "opentelemetry-sdk" in found else ["zero-code"])]
    other = f"  # or {SDK_PACKAGES[1]}" if sdk else ""
    return f'pip install "streamspan[{",".join(extras)}]"{other}' if extras else "pip install streamspan"


def fitting(_: Environment) -> Iterator[Finding]:
    """What the packages need in another version than is installed, or need and miss."""
    found = installed()
    for name, needed, is_extra in sorted(needs(found), key=str):
        other = found.get(normalized(needed.name))
        if (other is None and is_extra) or (other and needed.specifier.contains(other.version, prereleases=True)):
            continue
        here = f"{other.version} is installed" if other else "that is missing"
        yield Finding(
            f"installed.{normalized(needed.name)}.version",
            "problem" if name == "streamspan" else "warning",
            f"{name} needs {needed.name}{needed.specifier}, and {here}",
            f'pip install "{needed.name}{needed.specifier}"',
        )


def needs(found: Mapping[str, Distribution]) -> set[tuple[str, "Requirement", bool]]:
    """Who needs what, and whether that is an extra: of streamspan those count too, as ranges of what is installed."""
    from packaging.requirements import Requirement  # noqa: PLC0415  # may be missing, too

    all_of_them: set[tuple[str, Requirement, bool]] = set()
    for name, distribution in found.items():
        if name in {"streamspan", *SDK_PACKAGES} or name.startswith("opentelemetry-"):
            extras = distribution.metadata.get_all("Provides-Extra", []) if name == "streamspan" else []
            for needed in map(Requirement, distribution.requires or ()):
                applies = [not needed.marker or needed.marker.evaluate({"extra": extra}) for extra in ["", *extras]]
                needed.marker = None
                if any(applies):
                    all_of_them.add((name, needed, not applies[0]))
    return all_of_them


def importable(_: Environment) -> Iterator[Finding]:
    found = installed()
    for name, module in IMPORTED.items():
        failure = import_failure(module) if name in found else None
        if failure:
            yield Finding(
                f"installed.{name}.import",
                "problem",
                f"{module} cannot be imported, here or in an application: {failure}",
                f'python -c "import {module}"',
            )


def launcher(_: Environment) -> Iterator[Finding]:
    """An opentelemetry-instrument that is found first, and starts the application in another environment."""
    command = shutil.which("opentelemetry-instrument")
    here = Path(sys.executable).parent
    if command and Path(command).parent != here and (here / "opentelemetry-instrument").exists():
        text = f"opentelemetry-instrument is found in {Path(command).parent}, which is another environment"
        yield Finding("installed.launcher", "warning", text, f'export PATH="{here}:$PATH"')
