"""OpenTelemetry instrumentation for streamed LLM calls: one span per stream, and what happened inside it."""

from typing import TYPE_CHECKING, Any

from .config import Config
from .core.model import Loop, Rumination, Stall
from .handle import Snapshot, StreamHandle, stream_of

if TYPE_CHECKING:
    from .anthropic.instrumentor import AnthropicStreamInstrumentor

__all__ = [
    "AnthropicStreamInstrumentor",
    "Config",
    "Loop",
    "Rumination",
    "Snapshot",
    "Stall",
    "StreamHandle",
    "stream_of",
]


def __getattr__(name: str) -> Any:
    """The instrumentor is imported on first use, so that `import streamspan` does not need the SDK."""
    if name == "AnthropicStreamInstrumentor":
        from .anthropic.instrumentor import AnthropicStreamInstrumentor  # noqa: PLC0415

        return AnthropicStreamInstrumentor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
