"""What the tests read of spans."""

import gc
from collections.abc import Mapping

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import runtime


def ended_spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """All spans that have ended, after the garbage is collected and the ends that wait are written.

    Up to 1.13 the SDK's streams are cycles.
    """
    gc.collect()
    runtime.finish_ends()
    return list(exporter.get_finished_spans())


def attributes(span: ReadableSpan) -> Mapping[str, object]:
    return span.attributes or {}


def ending_of(span: ReadableSpan) -> Mapping[str, object]:
    """What the span says of how its stream ended; None: nothing."""
    names = ("llm_stream.outcome", "error.type", "llm_stream.phase", "llm_stream.partial", "llm_stream.observed")
    return {name: attributes(span).get(name) for name in names} | {"status": span.status.status_code}


def blame(span: ReadableSpan) -> Mapping[str, object]:
    """What the span holds against the provider, the way from it, or the model's answer. Empty: nothing."""
    names = ("stall.count", "buffered", "refusal.category", "fallback.count", "repetition.detected")
    said = {name: attributes(span).get(f"llm_stream.{name}") for name in names}
    return {name: value for name, value in said.items() if value}


def abort_of(span: ReadableSpan) -> tuple[object, ...]:
    """Outcome, reason and phase of a stream that its reader left."""
    names = ("llm_stream.outcome", "llm_stream.abort.reason", "llm_stream.phase")
    return tuple(attributes(span).get(name) for name in names)
