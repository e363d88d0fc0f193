"""Sends spans and metrics to a real OTLP/HTTP endpoint."""

import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

CONNECT_TIMEOUT = 3.0
DEFAULT_PORTS = {"http": 80, "https": 443}
TRACES_PATH, METRICS_PATH = "/v1/traces", "/v1/metrics"
EXPORT_MILLIS = 1000
"""Shorter than a story, so that its stream is seen while it is open."""


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


class Destination:
    """An endpoint that the demo sends to. `reader` exports the metrics of the meter provider that gets it."""

    def __init__(self, endpoint: str) -> None:
        base = endpoint.rstrip("/").removesuffix(TRACES_PATH)
        self._spans = OTLPSpanExporter(endpoint=base + TRACES_PATH)
        self._metrics = _UntilRefused(endpoint=base + METRICS_PATH)
        self.reader = PeriodicExportingMetricReader(self._metrics, export_interval_millis=EXPORT_MILLIS)
        self._endpoint = endpoint
        self._sent = 0

    def takes(self, spans: Sequence[ReadableSpan]) -> bool:
        """Sends the spans. Whether the endpoint has accepted them."""
        is_taken = self._spans.export(spans) is SpanExportResult.SUCCESS
        self._sent += len(spans) if is_taken else 0
        return is_taken

    def close(self) -> str:
        """What it has taken, in words. Closes all but the reader, which the meter provider does."""
        self._spans.shutdown()
        metrics = "no metrics, which it refused," if self._metrics.is_refused else "the metrics"
        return f"Sent {self._sent} spans and {metrics} to {self._endpoint}."


class _UntilRefused(OTLPMetricExporter):
    """Sends no more once the endpoint has refused: it would be said each second."""

    is_refused = False

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: object
    ) -> MetricExportResult:
        if not self.is_refused:
            result = super().export(metrics_data, timeout_millis, **kwargs)  # pyright: ignore[reportUnknownMemberType]  # its kwargs
            self.is_refused = result is not MetricExportResult.SUCCESS
        return MetricExportResult.FAILURE if self.is_refused else MetricExportResult.SUCCESS
