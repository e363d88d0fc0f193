"""`AnthropicStreamInstrumentor`."""

from collections.abc import Collection

from streamspan.stainless.instrumentor import StreamInstrumentor

from .provider import ANTHROPIC


class AnthropicStreamInstrumentor(StreamInstrumentor):
    """One span per streamed call of the Anthropic SDK, sync and async, on every client of the process.

    instrument(tracer_provider=None, meter_provider=None, logger_provider=None, config=None)
        Providers default to the global ones. `config` is a `streamspan.Config`; settings that it was not given come
        from the environment. Raises TypeError for a `config` of another type. A second call changes nothing and logs a
        warning. Settings by name are how OpenTelemetry hands over its configuration file: see `Config.from_file`.
    uninstrument()
        Puts the SDK's own functions back. Streams that are open still end their spans.
    """

    provider = ANTHROPIC

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("anthropic >= 0.51, < 3",)
