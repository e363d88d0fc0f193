"""A run of all tests fails where a part of the schema was not emitted."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
A_FEW_TESTS = "tests/schema/test_checker.py"
EMITTED_BY_THEM = "metric: llm_stream.tool_calls\n"
NOT_EMITTED_BY_THEM = "span: llm_stream.outcome\n"


def test_what_no_test_emits_fails_a_whole_run() -> None:
    """The run fails though each of its tests passes, and names what is missing and nothing that a worker has seen."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-o", f"testpaths={A_FEW_TESTS}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert " passed in " in run.stdout
    assert "failed" not in run.stdout
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert NOT_EMITTED_BY_THEM in run.stdout
    assert EMITTED_BY_THEM not in run.stdout
