"""Other instrumentations of the OpenAI SDK, each beside ours: `make peer-test`.

These tests are collected only when they are named, because the others have an environment of their own: every one of
them has the entry point `openai`, so `opentelemetry-instrument` would start them all in the tests of launching.
"""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves this folder alone, unless the command line names it."""
    del collection_path
    return None if any("tests/peers" in argument for argument in config.args) else True
