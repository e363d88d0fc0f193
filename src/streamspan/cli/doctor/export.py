"""Which exporters the environment sets up, and whether somebody listens where they send to.

opentelemetry-distro and what takes its place have the environment decide. Without one the application decides in its
code, and the environment holds for the OTLP exporters that it makes without arguments.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import cast, get_args

from . import file
from .endpoint import (
    PREFIX,
    Protocol,
    Signal,
    doubtful,
    endpoint,
    local_address,
    reached,
    value_of,
    variable_of,
)
from .finding import Environment, Finding, one_line
from .packages import installed

NAMES: dict[Protocol, str] = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
PACKAGES: dict[str, str] = {
    "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
    "otlp_proto_http": "opentelemetry-exporter-otlp-proto-http",
}
IN_FILE: dict[str, Protocol] = {"otlp_http": "http/protobuf", "otlp_grpc": "grpc"}
"""The names that the configuration file has for the exporters of OTLP."""


@dataclass(frozen=True, slots=True)
class Exporter:
    """name      that of its entry point
    protocol  of OTLP; None: it is none of OTLP's.
    """

    signal: Signal
    name: str
    protocol: Protocol | None

    def entry_point(self) -> EntryPoint | None:
        points = entry_points(group=f"opentelemetry_{self.signal}_exporter", name=self.name)
        return next(iter(points), None)


def is_set_up_by_environment() -> bool:
    return bool(entry_points(group="opentelemetry_configurator"))


def exporters(signal: Signal, environment: Environment) -> list[Exporter]:
    """Raises ValueError, with what is wrong, where the OpenTelemetry SDK would refuse."""
    default = "otlp" if is_set_up_by_environment() or variable_of("ENDPOINT", signal, environment) else ""
    words = environment.get(f"OTEL_{signal.upper()}_EXPORTER", default).strip()
    if words.lower() in {"", "none"}:
        return []
    return [exporter(signal, word.strip(), environment) for word in words.split(",")]


def exporter(signal: Signal, word: str, environment: Environment) -> Exporter:
    for protocol, name in NAMES.items():
        if word == name:
            return Exporter(signal, name, protocol)
    if word != "otlp":
        return Exporter(signal, word, None)
    protocol = value_of("PROTOCOL", signal, environment) or default_protocol()
    if protocol not in get_args(Protocol):
        origin = variable_of("PROTOCOL", signal, environment)
        raise ValueError(f"{origin}={protocol} is neither grpc nor http/protobuf: the OpenTelemetry SDK does not start")
    name = cast("Protocol", protocol)
    return Exporter(signal, NAMES[name], name)


def default_protocol() -> str:
    """grpc, except where the application makes its exporter, and can make the other one only."""
    is_http = PACKAGES["otlp_proto_grpc"] not in installed() and PACKAGES["otlp_proto_http"] in installed()
    return "http/protobuf" if is_http and not is_set_up_by_environment() else "grpc"


def setup(environment: Environment) -> Iterator[Finding]:
    if file.is_named(environment) and is_set_up_by_environment():
        text = f"opentelemetry-instrument sets up the SDK and its exporters by {file.VARIABLE}"
        yield Finding("export.setup", "ok", text)
    elif file.is_named(environment):
        text = f"opentelemetry-distro is not installed, so the application has to read {file.VARIABLE} in its code"
        yield Finding("export.setup", "note", text, 'pip install "streamspan[zero-code]"')
    elif is_set_up_by_environment():
        yield Finding("export.setup", "ok", "opentelemetry-instrument sets up the SDK and its exporters by variables")
    elif variable_of("ENDPOINT", "traces", environment):
        text = "the application sets up the SDK; what follows holds for OTLP exporters that it makes without arguments"
        yield Finding("export.setup", "note", text)
    else:
        text = (
            "opentelemetry-distro is not installed and no endpoint is set, so the application has to set up the SDK "
            "and its exporters in its code"
        )
        yield Finding("export.setup", "note", text, 'pip install "streamspan[zero-code]"')


def service(environment: Environment) -> Iterator[Finding]:
    is_named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    if is_set_up_by_environment() and not file.is_named(environment) and not is_named:
        text = "OTEL_SERVICE_NAME is not set: the backend shows these streams under unknown_service"
        yield Finding("export.service", "note", text, "export OTEL_SERVICE_NAME=chat")


def traces(environment: Environment) -> Iterator[Finding]:
    yield from of_signal("traces", environment)


def metrics(environment: Environment) -> Iterator[Finding]:
    yield from of_signal("metrics", environment)


def logs(environment: Environment) -> Iterator[Finding]:
    """Only where our events or content go there."""
    has_content = file.ours("capture_content", environment) in {"EVENT_ONLY", "SPAN_AND_EVENT"}
    if has_content or file.ours("events", environment) in {"log", "both"}:
        yield from of_signal("logs", environment)


def of_signal(signal: Signal, environment: Environment) -> Iterator[Finding]:
    if "opentelemetry-sdk" not in installed():
        return
    if file.is_named(environment):
        yield from of_file(signal, environment)
        return
    check, variable = f"export.{signal}", f"OTEL_{signal.upper()}_EXPORTER"
    try:
        named = exporters(signal, environment)
    except ValueError as error:
        origin = variable_of("PROTOCOL", signal, environment)
        yield Finding(check, "problem", str(error), f"export {origin}=http/protobuf")
        return
    if named:
        for one in named:
            yield from of_exporter(one, environment)
    elif variable in environment:
        status = "problem" if signal == "traces" else "warning"
        text = f"{variable}={environment[variable]}: no {signal} are sent"
        yield Finding(check, status, text, f"export {variable}=otlp")
    else:
        yield Finding(check, "note", f"the environment names no exporter for {signal}")


def of_file(signal: Signal, environment: Environment) -> Iterator[Finding]:
    """As the configuration file names them. What it says of TLS is not looked at."""
    configured = file.model(environment)
    if configured is None or getattr(configured, "disabled", None):
        return
    named = file.exporters(signal, environment)
    for name, address in named:
        yield in_file(signal, name, address, environment)
    if not named:
        status = "problem" if signal == "traces" else "warning"
        yield Finding(f"export.{signal}", status, f"{file.VARIABLE} names no exporter for {signal}: none are sent")


def in_file(signal: Signal, name: str, address: str | None, environment: Environment) -> Finding:
    """Of one exporter. It asks the variables where the file gives no address."""
    check, protocol = f"export.{signal}", IN_FILE.get(name)
    if protocol is None:
        return Finding(check, "ok", f"{signal} go to the exporter {name} ({file.VARIABLE})")
    one = Exporter(signal, NAMES[protocol], protocol)
    failure = failure_to_load(one, environment)
    if failure:
        return replace(failure, command=f"pip install {PACKAGES[one.name]}")
    variable = f"{PREFIX}{signal.upper()}_ENDPOINT"
    try:
        target = endpoint(protocol, signal, {**environment, variable: address} if address else environment)
    except ValueError as error:
        return Finding(check, "problem", str(error).replace(variable, f"the endpoint in {file.VARIABLE}"))
    found = reached(signal, replace(target, origin=file.VARIABLE) if address else target, environment)
    is_cured = found.command and found.command.startswith("streamspan watch")  # no variable would
    return found if is_cured else replace(found, command=None)


def of_exporter(one: Exporter, environment: Environment) -> Iterator[Finding]:
    failure = failure_to_load(one, environment)
    if failure:
        yield failure
        return
    check = f"export.{one.signal}"
    if one.protocol is None:
        yield Finding(check, "ok", f"{one.signal} go to the exporter {one.name}")
        return
    try:
        target = endpoint(one.protocol, one.signal, environment)
    except ValueError as error:
        origin = variable_of("ENDPOINT", one.signal, environment)
        yield Finding(check, "problem", str(error), local_address(str(origin), one.signal, one.protocol))
        return
    yield reached(one.signal, target, environment)
    yield from doubtful(one.signal, target, environment)


def failure_to_load(one: Exporter, environment: Environment) -> Finding | None:
    check, point = f"export.{one.signal}.exporter", one.entry_point()
    if point is None:
        text = f"no exporter {one.name} for {one.signal} is installed: the OpenTelemetry SDK does not start"
        return Finding(check, "problem", text, cure_for_missing(one, environment))
    try:
        point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a broken package may raise anything
        text = f"the exporter {one.name} cannot be imported: {one_line(error)}"
        return Finding(check, "problem", text, f'python -c "import {point.module}"')
    return None


def cure_for_missing(one: Exporter, environment: Environment) -> str:
    """Where nobody asked for a protocol, the one that can be spoken; else the package."""
    is_by_default = one.protocol == "grpc" and not value_of("PROTOCOL", one.signal, environment)
    if is_by_default and PACKAGES["otlp_proto_http"] in installed():
        return f"export {PREFIX}PROTOCOL=http/protobuf"
    if one.name in PACKAGES:
        return f"pip install {PACKAGES[one.name]}"
    return f"export OTEL_{one.signal.upper()}_EXPORTER=otlp"
