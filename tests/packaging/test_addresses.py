"""That the repository installs from whatever package index and machine its user has."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

REGISTRIES = r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|crates\.io|proxy\.golang\.org|maven\.org|debian\.org"
MACHINE_PATHS = r"(?<![\w.])/(?:root|work|home|Users|tmp/\w+|opt/\w+)/"


def tracked_files() -> list[Path]:
    """Every file of the repository but this one."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607 - git as the machine has it
    if listed.returncode != 0:
        pytest.skip("not a git work tree")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINE_PATHS], ids=["registries", "machine-paths"])
def test_no_file_names_a_registry_or_a_machine(pattern: str) -> None:
    """No file names the host of a package registry, or a path of one machine."""
    found = {
        (str(path.relative_to(ROOT)), match)
        for path in tracked_files()
        for match in re.findall(pattern, path.read_text(errors="ignore"))
    }

    assert found == set()
