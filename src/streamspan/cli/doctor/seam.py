"""What of the provider's SDK is patched, and who else makes spans of its calls.

What is patched is asked of `stainless/patch.py`, which is imported only here. Another instrumentation is known by its
entry point, which `opentelemetry-instrument` starts, or by its name if the application starts it.
"""

from collections.abc import Iterator
from importlib.metadata import entry_points, requires

from .file import ours
from .finding import DISABLED, OUR_NAME, Environment, Finding, import_failure, with_
from .packages import installed

ESSENTIAL = ("request", "__stream__")
"""Without these functions there is no span, or one with nothing inside."""
PROVIDER = "streamspan.anthropic.provider"
CURE = 'pip install --upgrade streamspan "anthropic<3"'
STARTED_BY_THE_APPLICATION = {
    "logfire": "leave out logfire.instrument_anthropic(), beside which a streamed call may have no span of ours",
    "openlit": 'openlit.init(disabled_instrumentors=["anthropic"])',
    "traceloop-sdk": "Traceloop.init(block_instruments={Instruments.ANTHROPIC})",
}
"""How the application keeps each of them from the Anthropic SDK."""


def patched(_: Environment) -> Iterator[Finding]:
    if import_failure("anthropic"):
        yield Finding("seam.sdk", "note", "without an anthropic that can be imported there is nothing to look at")
        return
    version = installed()["anthropic"].version
    failure = import_failure(PROVIDER)
    if failure:
        text = f"streamspan cannot be imported beside anthropic {version}: {failure}"
        yield Finding("seam.sdk", "problem", text, CURE)
        return
    from streamspan.anthropic.provider import ANTHROPIC, TRACES_ITSELF  # noqa: PLC0415  # needs the SDK
    from streamspan.stainless.patch import resolved, targets  # noqa: PLC0415  # the same

    library = "httpx2" if any(line.startswith("httpx2") for line in requires("anthropic") or ()) else "httpx"
    generation = "makes spans itself" if TRACES_ITSELF else "makes no spans itself"
    yield Finding("seam.sdk", "ok", f"anthropic {version} reads over {library} and {generation}")
    modules = targets(ANTHROPIC, replaces_span=True)
    missing = [name for name, module in modules.items() if resolved(module, name) is None]
    if len(missing) < len(modules):
        there = ", ".join(name for name in modules if name not in missing)
        yield Finding("seam.targets", "ok", f"it has what is patched: {there}")
    for name in missing:
        is_essential = name.endswith(ESSENTIAL)
        yield Finding(
            f"seam.{name}",
            "problem" if is_essential else "warning",
            f"anthropic {version} has no {name}: {'streams are not seen' if is_essential else 'less is seen'}",
            CURE,
        )


def native(environment: Environment) -> Iterator[Finding]:
    """The SDK's own span of each call, from 1.14 on."""
    if import_failure(PROVIDER):
        return
    from streamspan.anthropic.provider import TRACES_ITSELF  # noqa: PLC0415  # needs the SDK

    if not TRACES_ITSELF:
        yield Finding("spans.native", "ok", "the SDK makes no span of its own")
    elif environment.get("ANTHROPIC_OPEN_TELEMETRY", "").lower() == "false":
        yield Finding("spans.native", "ok", "ANTHROPIC_OPEN_TELEMETRY=false switches off the SDK's own spans")
    elif ours("native_span", environment) == "keep":
        text = "STREAMSPAN_NATIVE_SPAN=keep: each streamed call has two spans, the SDK's own and ours"
        yield Finding("spans.native", "warning", text, "unset STREAMSPAN_NATIVE_SPAN")
    else:
        text = "ours takes the place of the SDK's own span for streamed calls; plain calls keep theirs"
        yield Finding("spans.native", "ok", text)


def others(environment: Environment) -> Iterator[Finding]:
    disabled = {name.strip() for name in environment.get(DISABLED, "").split(",")}
    found = [
        point
        for point in entry_points(group="opentelemetry_instrumentor")
        if point.name != OUR_NAME and "anthropic" in f"{point.name} {point.value}".lower()
    ]
    for point in found:
        package = point.dist.name if point.dist else point.value
        if disabled & {point.name, "*"}:
            yield Finding("spans.other", "ok", f"{package} is installed, and {DISABLED} switches it off")
        else:
            text = f"{package} makes a span of each streamed call, too, where opentelemetry-instrument starts it"
            yield Finding("spans.other", "warning", text, with_(DISABLED, point.name, environment))
    started = {name: how for name, how in STARTED_BY_THE_APPLICATION.items() if name in installed()}
    for name, how in started.items():
        text = f"{name} makes a span of each streamed call, too, if the application asks it to. To keep it away: {how}"
        yield Finding("spans.other", "note", text)
    if not found and not started:
        yield Finding("spans.other", "ok", "no other instrumentation of anthropic is installed")
