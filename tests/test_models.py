"""The models that a newcomer copies from the README, the examples and the documentation can be called."""

import importlib
import re
from pathlib import Path
from typing import Any, get_args

import anthropic
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.yaml")]
CODE = [*(ROOT / "examples").rglob("*.py"), *(ROOT / "src").rglob("*.py")]
MESSAGES: Any = importlib.import_module("anthropic.resources.messages.messages")
SDK_VERSION = tuple(int(part) for part in anthropic.__version__.split(".")[:2])
NAMED = {name for path in (*PAGES, *CODE) for name in re.findall(r"claude-[a-z]+-[0-9][0-9-]*\b", path.read_text())}


def test_no_model_is_deprecated() -> None:
    """No page, example or source file names a model that the SDK warns of."""
    assert NAMED
    assert NAMED & MESSAGES.DEPRECATED_MODELS.keys() == set()


@pytest.mark.skipif(SDK_VERSION < (2, 14), reason="an SDK older than the models; make test has a newer one")
def test_every_model_is_one_that_the_sdk_lists() -> None:
    """Retired models leave the SDK's list, so each name is looked up there."""
    listed: Any = anthropic.types.Model

    assert {name for choice in get_args(listed) for name in get_args(choice)} >= NAMED
