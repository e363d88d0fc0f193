"""The SDKs that streamspan instruments, by their packages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .packages import SDK_PACKAGES, installed


@dataclass(frozen=True, slots=True)
class Sdk:
    """An SDK.

    newest   what to install beside the newest streamspan
    started  what makes spans of its calls where the application starts it, and how to keep each away
    """

    package: str
    newest: str
    started: Mapping[str, str]

    @property
    def instrumentor(self) -> str:
        """Our entry point, as variables and the configuration file name it."""
        return f"{self.package}_stream"

    def is_named_by(self, *names: str) -> bool:
        """Whether another instrumentation with these names is one of this SDK, and not of one built on it."""
        words = rf"(?<![a-z0-9_]){self.package}(_v\d+)?(?![a-z0-9_])"
        return any(re.search(words, name.lower()) for name in names)


def _started(package: str) -> Mapping[str, str]:
    return {
        "logfire": f"leave out logfire.instrument_{package}(), beside which a streamed call may have no span of ours",
        "openlit": f'openlit.init(disabled_instrumentors=["{package}"])',
        "traceloop-sdk": f"Traceloop.init(block_instruments={{Instruments.{package.upper()}}})",
    }


_NEWEST = {"anthropic": "anthropic<3", "openai": "openai<4"}
SDKS = tuple(Sdk(package, _NEWEST[package], _started(package)) for package in SDK_PACKAGES)


def installed_sdks() -> list[Sdk]:
    found = installed()
    return [sdk for sdk in SDKS if sdk.package in found]
