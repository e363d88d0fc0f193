"""Sends spans to a real OTLP/HTTP endpoint."""

import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

CONNECT_TIMEOUT = 3.0
DEFAULT_PORTS = {"http": 80, "https": 443}
TRACES_PATH = "/v1/traces"


def failure_to_reach(endpoint: str) -> str | None:
    """Why nobody listens at this URL; None if somebody does."""
    try:
        url = urlsplit(endpoint)
        port = url.port or DEFAULT_PORTS[url.scheme]
        socket.create_connection((url.hostname or "", port), CONNECT_TIMEOUT).close()
    except (KeyError, ValueError):
        return "not an http or https URL"
    except OSError as failure:
        return str(failure)
    return None


def sent(spans: Sequence[ReadableSpan], endpoint: str) -> bool:
    """Whether the endpoint has accepted the spans."""
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/").removesuffix(TRACES_PATH) + TRACES_PATH)
    try:
        return exporter.export(spans) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()
