"""The class behind `instrument()` and behind `opentelemetry-instrument`, for any SDK of this kind."""

import threading
from typing import Any, ClassVar

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from streamspan.config import Config
from streamspan.runtime import collected_streams, finish_ends
from streamspan.telemetry.spans import Telemetry

from .patch import Patch
from .provider import Provider

_ARGUMENTS = {"tracer_provider", "meter_provider", "logger_provider", "config"}
_changing = threading.Lock()


class StreamInstrumentor(BaseInstrumentor):
    """Instruments one SDK, whose record a subclass names."""

    provider: ClassVar[Provider]
    _patch: Patch | None = None

    def instrument(self, **kwargs: Any) -> Any:
        """One thread at a time: two that patched at once would patch twice.

        The launcher checks that one of the SDKs is there, and this may be the instrumentor of another.
        """
        if kwargs.pop("skip_dep_check", False):
            kwargs["raise_exception_on_conflict"] = True
        with _changing:
            return super().instrument(**kwargs)

    def uninstrument(self, **kwargs: Any) -> Any:
        with _changing:
            return super().uninstrument(**kwargs)

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
            collected_streams,
            self.provider.expected,
            finish_ends,
        )
        self._patch = Patch(self.provider, telemetry, config)
        self._patch.apply()

    def _uninstrument(self, **_: Any) -> None:
        if self._patch is not None:
            self._patch.remove()
            self._patch = None
