"""The models that a newcomer copies from the README, the examples and the documentation can be called."""

import importlib
import re
from pathlib import Path
from typing import Any, get_args

import anthropic
import openai
import pytest
from openai.types import ChatModel

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.yaml")]
CODE = [*(ROOT / "examples").rglob("*.py"), *(ROOT / "src").rglob("*.py")]
MESSAGES: Any = importlib.import_module("anthropic.resources.messages.messages")
SDK_VERSION = tuple(int(part) for part in anthropic.__version__.split(".")[:2])
OPENAI_VERSION = tuple(int(part) for part in openai.__version__.split(".")[:2])


def named(pattern: str) -> set[str]:
    return {name for path in (*PAGES, *CODE) for name in re.findall(pattern, path.read_text())}


NAMED = named(r"claude-[a-z]+-[0-9][0-9-]*\b")
NAMED_OF_OPENAI = named(r"\bgpt-[0-9][0-9a-z.-]*[0-9a-z]\b")


def test_no_model_is_deprecated() -> None:
    """No page, example or source file names a model that the SDK warns of."""
    assert NAMED
    assert NAMED & MESSAGES.DEPRECATED_MODELS.keys() == set()


@pytest.mark.skipif(SDK_VERSION < (2, 14), reason="an SDK older than the models; make test has a newer one")
def test_every_model_is_one_that_the_sdk_lists() -> None:
    """Retired models leave the SDK's list, so each name is looked up there."""
    listed: Any = anthropic.types.Model

    assert {name for choice in get_args(listed) for name in get_args(choice)} >= NAMED


@pytest.mark.skipif(OPENAI_VERSION < (3, 57), reason="an SDK older than the models; make test has a newer one")
def test_every_model_is_one_that_openais_sdk_lists() -> None:
    """The names of OpenAI's models are those of its SDK, which marks none as deprecated."""
    assert NAMED_OF_OPENAI
    assert set(get_args(ChatModel)) >= NAMED_OF_OPENAI
