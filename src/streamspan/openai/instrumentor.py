"""`OpenAIStreamInstrumentor`."""

from collections.abc import Collection

from streamspan.stainless.instrumentor import StreamInstrumentor

from .provider import OPENAI


class OpenAIStreamInstrumentor(StreamInstrumentor):
    """One span per streamed call of the OpenAI SDK, sync and async, on every client of the process.

    `instrument()` and `uninstrument()` are those of `AnthropicStreamInstrumentor`; both may be active at once.
    """

    provider = OPENAI

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("openai >= 1.66, < 4",)
