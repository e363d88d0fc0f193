"""The APIs that the tests of this folder are about: a provider is a row or a few more."""

from importlib import import_module

from tests.stainless.api import Api

ROWS = {
    "messages": "tests.anthropic.messages.MESSAGES",
}
"""Where the record of each API is."""


def api_named(name: str) -> Api:
    """Imports its SDK, and no other."""
    module, _, record = ROWS[name].rpartition(".")
    return getattr(import_module(module), record)


def apis() -> list[Api]:
    return [api_named(name) for name in ROWS]
