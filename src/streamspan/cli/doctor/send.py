"""One test span, sent through the exporter of traces that the environment sets up, as an application's would be."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import unquote

from streamspan.semconv import SCOPE, TEST_SPAN

from .endpoint import PREFIX, other_protocol, variable_of
from .export import Exporter, exporters
from .file import VARIABLE, is_named
from .finding import Environment, Finding, logged, one_line

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

CHECK = "export.send"


def send(environment: Environment) -> Iterator[Finding]:
    """For an environment in which nothing is wrong with the exporter of traces."""
    if is_named(environment):
        yield Finding(CHECK, "problem", f"no test span is sent: it would go by variables, not by {VARIABLE}")
        return
    points = [(one, one.entry_point()) for one in exporters("traces", environment)]
    for one, point in points:
        if point:
            yield sent(one, point.load(), environment)
    if not any(point for _, point in points):
        text = "no test span is sent: the environment sets up no exporter for traces"
        yield Finding(CHECK, "problem", text, 'pip install "streamspan[zero-code]"')


def sent(one: Exporter, exporter_type: "type[SpanExporter]", environment: Environment) -> Finding:
    """Sends one span, whatever the sampler of the application says."""
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: PLC0415  # not in a bare install
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    span = provider.get_tracer(SCOPE, version("streamspan")).start_span(TEST_SPAN)
    span.end()
    if not isinstance(span, ReadableSpan):
        return Finding(CHECK, "problem", "no test span is sent: the SDK is switched off", "unset OTEL_SDK_DISABLED")
    with logged() as messages:
        failure = failure_to_export(exporter_type, span)
    if failure is None:
        service = span.resource.attributes.get("service.name")
        trace_id = f"{span.get_span_context().trace_id:032x}"
        text = f"a test span was accepted: {TEST_SPAN!r}, service.name {service!r}, trace {trace_id}"
        return Finding(CHECK, "ok", text)
    reason = without_secrets(" ".join([*messages[:1], failure]), environment).partition(", retrying in")[0]
    command = cure_for_refused(reason, one, environment)
    return Finding(CHECK, "problem", f"the test span was not accepted: {reason}", command)


def cure_for_refused(reason: str, one: Exporter, environment: Environment) -> str | None:
    """Credentials, or else the other protocol; None where it is the receiver that has to be looked at."""
    if re.search(r"\b40[13]\b|UNAUTHENTICATED|PERMISSION_DENIED", reason):
        return f"export {PREFIX}HEADERS=authorization=...  # what your backend asks for"
    if one.protocol is None or re.search(r"\b[45]\d\d\b", reason):
        return None
    variable = variable_of("PROTOCOL", one.signal, environment) or f"{PREFIX}PROTOCOL"
    return f"export {variable}={other_protocol(one.protocol)}  # if that is what is spoken there"


def failure_to_export(exporter_type: "type[SpanExporter]", span: "ReadableSpan") -> str | None:
    from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415  # not in a bare install

    try:
        exporter = exporter_type()
        try:
            result = exporter.export([span])
        finally:
            exporter.shutdown()
    except Exception as error:  # noqa: BLE001  # what is wrong with it is what is asked for
        return one_line(error)
    return None if result is SpanExportResult.SUCCESS else ""


def without_secrets(text: str, environment: Environment) -> str:
    for secret in sorted(secrets(environment), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def secrets(environment: Environment) -> set[str]:
    """Values of headers, and what addresses hold besides host and path."""
    found: set[str] = set()
    for variable, value in environment.items():
        if variable.startswith(PREFIX) and variable.endswith("HEADERS"):
            found |= {item.partition("=")[2].strip() for item in value.split(",")}
        elif variable.upper().endswith(("ENDPOINT", "_PROXY")):
            user = value.rpartition("@")[0].rpartition("//")[2]
            found |= {user, user.partition(":")[2], value.partition("?")[2]}
    return {form for secret in found if secret for form in (secret, unquote(secret))}
