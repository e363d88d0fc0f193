"""That the tests test what a user would install."""

import os
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import pytest

import streamspan

INSTALLED = Path(sysconfig.get_path("purelib"))


@pytest.mark.skipif("STREAMSPAN_TEST_WHEEL" not in os.environ, reason="only `make test` promises the built wheel")
def test_the_tests_run_on_the_installed_wheel() -> None:
    """The package under test is the wheel in site-packages, not the source tree."""
    assert Path(streamspan.__file__).parent == INSTALLED / "streamspan"


def test_every_entry_point_can_be_loaded() -> None:
    """What the metadata names exists and is importable."""
    loaded = {point.name: point.load() for point in distribution("streamspan").entry_points}

    assert {name: target.__name__ for name, target in loaded.items()} == {
        "anthropic_stream": "AnthropicStreamInstrumentor",
        "openai_stream": "OpenAIStreamInstrumentor",
        "streamspan": "main",
    }
