"""The ends that wait to be written, and the streams that have not ended, wherever the package keeps them."""

import importlib
import importlib.util
from collections.abc import Collection, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.anthropic import spans

_HAS_RUNTIME = importlib.util.find_spec("streamspan.runtime") is not None
_KEEPER: Any = importlib.import_module("streamspan.runtime" if _HAS_RUNTIME else "streamspan.observer")


def finish_ends() -> None:
    """Have every end that was decided be written now."""
    write: Any = _KEEPER.finish_ends if _HAS_RUNTIME else _KEEPER.finish_waiting_ends
    write()


def open_streams() -> Collection[object]:
    """Every stream of this process that has not ended."""
    return _KEEPER.open_streams() if _HAS_RUNTIME else _KEEPER.open_streams


def ended_spans(exporter: InMemorySpanExporter) -> Sequence[ReadableSpan]:
    """All spans that have ended, after the garbage is collected and no end waits any longer."""
    spans.ended_spans(exporter)
    finish_ends()
    return exporter.get_finished_spans()
