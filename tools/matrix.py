"""Runs the tests on every generation of the SDKs, on the oldest and the newest Python there is: `make matrix`.

The newest SDKs get all tests, so that every Python has seen them; the others get those that depend on an SDK. SDKs of
two providers share an entry, so that a run is half as long. Each entry, `<anthropic>-<openai>-<python>`, also named
with `oldest` or `newest` for its Python, has an environment of its own under `.matrix/`, kept until its pins change:
the built wheel, the SDKs of those versions, and everything else as `requirements/matrix.txt` pins it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from fnmatch import filter as filter_names
from itertools import product
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MATRIX = ROOT / ".matrix"
UV = ROOT / ".venv" / "bin" / "uv"
PINS = (ROOT / "requirements" / "matrix.txt").read_text()

PINNED_SDK = re.compile(r"^(anthropic|openai)==(\S+).*\n(?:[ ]+.*\n)*", re.MULTILINE)
CONSTRAINTS = PINNED_SDK.sub("", PINS)


class SDKs(NamedTuple):
    """A version of each SDK."""

    anthropic: str
    openai: str


NEWEST = SDKs(**dict(PINNED_SDK.findall(PINS)))
GENERATIONS = (
    SDKs("0.51.0", "1.66.0"),  # the oldest that are supported
    SDKs("0.75.0", "1.109.1"),
    SDKs("0.125.0", "2.54.0"),  # the last on httpx
    SDKs("1.13.0", "3.0.0"),  # the last of Anthropic's with a plain `_iterator`; the first of OpenAI's on httpx2
    SDKs("1.17.0", "3.30.0"),  # Anthropic's traces itself
    NEWEST,
)
TESTS_OF_THE_SDKS = (
    "tests/anthropic",
    "tests/openai",
    "tests/stainless",
    "tests/launch",
    "tests/soak/test_loops.py",
    "tests/soak/test_processes.py",
    "tests/demo/test_stories.py",
    "tests/packaging/test_installed.py",
    "tests/doctor/test_doctor.py::test_everything_right",
    "tests/doctor/test_doctor.py::test_an_sdk_without_what_is_patched",
)
WORKERS = os.environ.get("WORKERS", "2")
CLOSING_LINE = re.compile(r" in \d+\.\d+s")
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ENTRY_TIMEOUT_SECONDS = 1200


class Result(NamedTuple):
    """How the tests ended on one entry."""

    entry: str
    passed: bool
    closing_line: str
    seconds: float


def interpreter(version: str) -> str | None:
    """The path of a Python of this version; None if the machine has none that starts."""
    if version == OWN_PYTHON:
        return sys.executable
    command = shutil.which(f"python{version}")
    if command is None:
        return None
    asked = subprocess.run(
        [command, "-c", "import sys; print(sys.executable)"],
        env=os.environ | {"PYENV_VERSION": version},  # pyenv's shims refuse to start without it
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() if asked.returncode == 0 else None


def prepared_environment(entry: str, sdks: SDKs, python: str) -> Path:
    """The entry's environment with the present wheel in it."""
    environment = MATRIX / entry
    stamp = environment / "pins.sha256"
    pyproject = (ROOT / "pyproject.toml").read_text()
    pins = hashlib.sha256(f"{sdks}\n{python}\n{CONSTRAINTS}\n{pyproject}".encode()).hexdigest()
    [wheel] = (ROOT / "dist").glob("*.whl")
    install = [UV, "pip", "install", "--quiet", "--python", environment, "--reinstall-package", "streamspan"]
    if not stamp.exists() or stamp.read_text() != pins:
        constraints = MATRIX / "constraints.txt"
        constraints.write_text(CONSTRAINTS)
        subprocess.run([UV, "venv", "--quiet", "--clear", "--python", python, environment], check=True)
        versions = [f"{name}=={version}" for name, version in sdks._asdict().items()]
        pinned = ["--constraints", constraints, "--group", "test", *versions, f"{wheel}[demo]"]
        subprocess.run([*install, *pinned], cwd=ROOT, check=True)
        stamp.write_text(pins)
    else:
        subprocess.run([*install, "--no-deps", wheel], check=True)
    return environment


def tested(entry: str, sdks: SDKs, python: str) -> Result:
    """The result of the tests on one entry; their output is in `.matrix/<entry>.log`."""
    started_at = time.monotonic()
    environment = prepared_environment(entry, sdks, python)
    chosen = () if sdks == NEWEST else TESTS_OF_THE_SDKS
    log = MATRIX / f"{entry}.log"
    with log.open("w") as output:
        ended = subprocess.run(
            [environment / "bin" / "pytest", "-n", WORKERS, "--dist", "loadgroup", "-p", "no:cacheprovider", *chosen],
            cwd=ROOT,
            env=os.environ | {"STREAMSPAN_TEST_WHEEL": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=ENTRY_TIMEOUT_SECONDS,
        )
    lines = log.read_text().splitlines()
    if ended.returncode != 0:
        print(*lines, sep="\n", flush=True)
    closing_lines = [line.strip("= ") for line in lines if CLOSING_LINE.search(line)]
    closing_line = closing_lines[-1] if closing_lines else "pytest did not finish"
    return Result(entry, ended.returncode == 0, closing_line, time.monotonic() - started_at)


def main(patterns: list[str]) -> int:
    """Runs the entries that match one of the patterns, all without patterns; 1 if any failed."""
    MATRIX.mkdir(exist_ok=True)
    found = {version: path for version in PYTHONS if (path := interpreter(version))} or {OWN_PYTHON: sys.executable}
    versions = list(found)
    roles = {"oldest": versions[0], "newest": versions[-1]}
    results: list[Result] = []
    unmatched = set(patterns)
    for sdks, version in product(GENERATIONS, dict.fromkeys(roles.values())):
        pythons = [version, *(role for role in roles if roles[role] == version)]
        names = ["-".join((*sdks, python)) for python in pythons]
        matched = {pattern for pattern in patterns or ["*"] if filter_names(names, pattern)}
        unmatched -= matched
        if matched:
            print(f"{names[0]}: testing", flush=True)
            results.append(tested(names[0], sdks, found[version]))
    print()
    for result in results:
        word = "ok    " if result.passed else "FAILED"
        print(f"{result.entry:<20} {word} {result.seconds:4.0f} s  {result.closing_line}")
    for pattern in unmatched:
        print(f"no entry matches {pattern}")
    return 0 if results and not unmatched and all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
