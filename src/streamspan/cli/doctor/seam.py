"""What of each SDK is patched, and who else makes spans of its calls.

What is patched is asked of `stainless/patch.py`, which is imported only here. Another instrumentation is known by its
entry point, which `opentelemetry-instrument` starts, or by its name if the application starts it.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points, requires
from typing import TYPE_CHECKING

from .file import ours
from .finding import DISABLED, Environment, Finding, import_failure, with_
from .packages import installed
from .sdks import SDKS, Sdk, installed_sdks

if TYPE_CHECKING:
    from streamspan.stainless.provider import Provider

ESSENTIAL = ("request", "__stream__")
"""Without these functions there is no span, or one with nothing inside."""
OURS = {sdk.instrumentor for sdk in SDKS}


def patched(_: Environment) -> Iterator[Finding]:
    for sdk in installed_sdks():
        yield from _patched(sdk)


def _patched(sdk: Sdk) -> Iterator[Finding]:
    package, cure = sdk.package, f'pip install --upgrade streamspan "{sdk.newest}"'
    if import_failure(package):
        text = f"without a package {package} that can be imported there is nothing to look at"
        yield Finding(f"seam.{package}", "note", text)
        return
    name = f"{package} {installed()[package].version}"
    failure = import_failure(_module(sdk))
    if failure:
        text = f"streamspan cannot be imported beside {name}: {failure}"
        yield Finding(f"seam.{package}", "problem", text, cure)
        return
    from streamspan.stainless.patch import resolved, targets  # noqa: PLC0415  # needs an SDK

    provider = _provider(sdk)
    library = "httpx2" if any(line.startswith("httpx2") for line in requires(package) or ()) else "httpx"
    generation = "no spans" if provider.replaced is None else "spans"
    yield Finding(f"seam.{package}", "ok", f"{name} reads over {library} and makes {generation} itself")
    modules = targets(provider, replaces_span=True)
    missing = [target for target, module in modules.items() if resolved(module, target) is None]
    if len(missing) < len(modules):
        there = ", ".join(target for target in modules if target not in missing)
        yield Finding(f"seam.{package}.targets", "ok", f"{package} has what is patched: {there}")
    for target in missing:
        is_essential = target.endswith(ESSENTIAL)
        yield Finding(
            f"seam.{package}.{target}",
            "problem" if is_essential else "warning",
            f"{name} has no {target}: {'streams are not seen' if is_essential else 'less is seen'}",
            cure,
        )


def _module(sdk: Sdk) -> str:
    return f"streamspan.{sdk.package}.provider"


def _provider(sdk: Sdk) -> "Provider":
    provider: Provider = getattr(import_module(_module(sdk)), sdk.package.upper())
    return provider


def native(environment: Environment) -> Iterator[Finding]:
    """An SDK's own span of each call: Anthropic's has one, from 1.14 on."""
    tracing = [sdk for sdk in installed_sdks() if not import_failure(_module(sdk)) and _provider(sdk).replaced]
    for sdk in tracing:
        if environment.get("ANTHROPIC_OPEN_TELEMETRY", "").lower() == "false":
            text = f"ANTHROPIC_OPEN_TELEMETRY=false switches off the own spans of {sdk.package}"
            yield Finding("spans.native", "ok", text)
        elif ours("native_span", environment) == "keep":
            text = f"STREAMSPAN_NATIVE_SPAN=keep: each streamed call has two spans, that of {sdk.package} and ours"
            yield Finding("spans.native", "warning", text, "unset STREAMSPAN_NATIVE_SPAN")
        else:
            text = f"ours takes the place of the span that {sdk.package} makes of a streamed call, not of a plain one"
            yield Finding("spans.native", "ok", text)
    if not tracing:
        yield Finding("spans.native", "ok", "no SDK here makes a span of its own")


def others(environment: Environment) -> Iterator[Finding]:
    points = [point for point in entry_points(group="opentelemetry_instrumentor") if point.name not in OURS]
    for sdk in installed_sdks():
        check, makes_span = f"spans.other.{sdk.package}", f"makes a span of each streamed call of {sdk.package}, too,"
        found = [point for point in points if sdk.is_named_by(point.name, point.value)]
        yield from (_launched(check, makes_span, point, environment) for point in found)
        started = {name: how for name, how in sdk.started.items() if name in installed()}
        for name, how in started.items():
            text = f"{name} {makes_span} if the application asks it to. To keep it away: {how}"
            yield Finding(check, "note", text)
        if not found and not started:
            yield Finding(check, "ok", f"no other instrumentation of {sdk.package} is installed")


def _launched(check: str, makes_span: str, point: EntryPoint, environment: Environment) -> Finding:
    """One that opentelemetry-instrument starts, if no variable keeps it from that."""
    package = point.dist.name if point.dist else point.value
    if {name.strip() for name in environment.get(DISABLED, "").split(",")} & {point.name, "*"}:
        return Finding(check, "ok", f"{package} is installed, and {DISABLED} switches it off")
    text = f"{package} {makes_span} where opentelemetry-instrument starts it"
    return Finding(check, "warning", text, with_(DISABLED, point.name, environment))
