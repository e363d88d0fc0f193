"""The APIs that the tests of this folder are about: a provider is a row or a few more."""

from importlib import import_module

from tests.stainless.api import Api

ROWS = {
    "messages": "tests.anthropic.messages.MESSAGES",
    "chat": "tests.openai.apis.CHAT",
    "responses": "tests.openai.apis.RESPONSES",
    "completions": "tests.openai.apis.COMPLETIONS",
}
"""Where the record of each API is."""


def api_named(name: str) -> Api:
    """Imports its SDK, and no other."""
    module, _, record = ROWS[name].rpartition(".")
    return getattr(import_module(module), record)


def apis() -> list[Api]:
    return [api_named(name) for name in ROWS]


def first_apis() -> list[Api]:
    """One of each SDK, for what is the SDK's and not the API's."""
    return [api_named(name) for name in ("messages", "chat")]
