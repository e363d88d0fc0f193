"""OpenTelemetry instrumentation for streamed LLM calls: one span per stream, and what happened inside it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .config import Config
from .core.model import Loop, Rumination, Stall
from .handle import Snapshot, StreamHandle, stream_of

if TYPE_CHECKING:
    from .anthropic.instrumentor import AnthropicStreamInstrumentor
    from .openai.instrumentor import OpenAIStreamInstrumentor

__all__ = [
    "AnthropicStreamInstrumentor",
    "Config",
    "Loop",
    "OpenAIStreamInstrumentor",
    "Rumination",
    "Snapshot",
    "Stall",
    "StreamHandle",
    "stream_of",
]

_INSTRUMENTORS = {
    "AnthropicStreamInstrumentor": ".anthropic.instrumentor",
    "OpenAIStreamInstrumentor": ".openai.instrumentor",
}


def __getattr__(name: str) -> Any:
    """An instrumentor is imported on first use, so that `import streamspan` needs no SDK."""
    if name in _INSTRUMENTORS:
        return getattr(import_module(_INSTRUMENTORS[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
