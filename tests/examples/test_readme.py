"""The README of the examples is whole."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.examples.launched import ROOT, command

FOLDER = ROOT / "examples"
REQUIRED = re.findall(r"^[a-z-]+", (FOLDER / "requirements.txt").read_text(), re.MULTILINE)
OF_AN_SDK = re.compile("^from (anthropic|openai) import", re.MULTILINE)
EXAMPLES = [path for path in FOLDER.rglob("*.py") if OF_AN_SDK.search(path.read_text())]


@pytest.mark.parametrize("name", REQUIRED)
def test_what_the_examples_require_is_what_they_are_tested_with(name: str) -> None:
    """Each requirement is installed here, so the pins of the tests hold it."""
    assert version(name)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_each_example_has_its_command(example: Path) -> None:
    """One command of the README runs it, by auto-launch."""
    name = example.relative_to(FOLDER).with_suffix("").as_posix()

    assert command(name)[:3] == ["python", "examples/loopback.py", "opentelemetry-instrument"]
