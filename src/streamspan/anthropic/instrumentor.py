"""`AnthropicStreamInstrumentor`: the class behind `instrument()` and behind `opentelemetry-instrument`."""

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from streamspan.config import Config
from streamspan.observer import open_streams
from streamspan.telemetry.spans import Telemetry

from .patch import Patch
from .translate import EXPECTED

_ARGUMENTS = {"tracer_provider", "meter_provider", "logger_provider", "config"}


class AnthropicStreamInstrumentor(BaseInstrumentor):
    """One span per streamed call of the Anthropic SDK, sync and async, on every client of the process.

    instrument(tracer_provider=None, meter_provider=None, logger_provider=None, config=None)
        Providers default to the global ones. `config`: a `streamspan.Config`; what it was not given comes from the
        environment. Raises TypeError for a `config` of another type. A second call changes nothing and logs a warning.
        Settings by name are how OpenTelemetry hands over its configuration file: see `Config.from_file`.
    uninstrument()
        Puts the SDK's own functions back. Streams that are open still end their spans.
    """

    _patch: Patch | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("anthropic >= 0.51, < 3",)

    def _instrument(self, **kwargs: Any) -> None:
        config = kwargs.get("config")
        if config is None:
            config = Config.from_file({name: value for name, value in kwargs.items() if name not in _ARGUMENTS})
        if not isinstance(config, Config):
            raise TypeError(f"config must be a streamspan.Config, not {type(config).__name__}")
        telemetry = Telemetry(
            config,
            kwargs.get("tracer_provider"),
            kwargs.get("meter_provider"),
            kwargs.get("logger_provider"),
            lambda: tuple(open_streams),
            EXPECTED,
        )
        self._patch = Patch(telemetry, config)
        self._patch.apply()

    def _uninstrument(self, **_: Any) -> None:
        if self._patch is not None:
            self._patch.remove()
            self._patch = None
