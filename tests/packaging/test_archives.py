"""What the wheel and the source archive carry."""

import re
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIST_INFO = "streamspan-0.1.0.dist-info"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and a source archive that were just built."""
    folder = tmp_path_factory.mktemp("archives")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "--directory", folder], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(archives: Path) -> dict[str, str]:
    """Name and text of every file in the wheel."""
    [path] = archives.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(wheel: dict[str, str]) -> Message:
    """The wheel's core metadata."""
    return Parser().parsestr(wheel[f"{DIST_INFO}/METADATA"])


@pytest.fixture(scope="module")
def source_archive(archives: Path) -> set[str]:
    """Names of the files in the source archive, without its top folder."""
    [path] = archives.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_the_wheel_carries_the_package_and_nothing_else(wheel: dict[str, str]) -> None:
    """The wheel holds every file of the package: no tests, no benchmarks, no tools."""
    sources = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    assert {name for name in wheel if not name.startswith(f"{DIST_INFO}/")} == sources


def test_the_wheel_says_that_it_is_typed(wheel: dict[str, str]) -> None:
    """A type checker of the application reads our annotations."""
    assert wheel["streamspan/py.typed"] == ""


def test_the_wheel_carries_its_licence(wheel: dict[str, str], metadata: Message) -> None:
    """The text of the licence is in the wheel, and its metadata names it."""
    assert wheel[f"{DIST_INFO}/licenses/LICENSE"] == (ROOT / "LICENSE").read_text()
    assert metadata["License-Expression"] == "Apache-2.0"


def test_the_entry_points_are_the_instrumentors_and_the_command(wheel: dict[str, str]) -> None:
    """Auto-launch finds the instrumentors under names that no other package has."""
    entry_points = ConfigParser()
    entry_points.read_string(wheel[f"{DIST_INFO}/entry_points.txt"])

    assert {section: dict(entry_points[section]) for section in entry_points.sections()} == {
        "console_scripts": {"streamspan": "streamspan.cli:main"},
        "opentelemetry_instrumentor": {
            "anthropic_stream": "streamspan.anthropic.instrumentor:AnthropicStreamInstrumentor",
            "openai_stream": "streamspan.openai.instrumentor:OpenAIStreamInstrumentor",
        },
    }


def test_a_bare_install_brings_four_libraries(metadata: Message) -> None:
    """A bare install brings neither the SDK of the provider nor an OpenTelemetry SDK."""
    bare = {
        requirement.split(";")[0].strip()
        for requirement in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in requirement
    }

    assert {re.split(r"[<>=~]", requirement)[0] for requirement in bare} == {
        "opentelemetry-api",
        "opentelemetry-instrumentation",
        "opentelemetry-semantic-conventions",
        "wrapt",
    }


def test_the_extras_are_the_documented_ones(metadata: Message) -> None:
    """Each extra of the README exists, and no other."""
    assert set(metadata.get_all("Provides-Extra", [])) == {
        "anthropic",
        "demo",
        "instruments-any",
        "openai",
        "otlp",
        "watch",
        "zero-code",
    }


def test_the_source_archive_can_be_tested(source_archive: set[str]) -> None:
    """The source archive holds what `make test` needs."""
    files = {"Makefile", "LICENSE", "README.md", "pyproject.toml", "requirements/test.txt", "tests/test_layers.py"}
    needed = files | {"examples/README.md", "examples/fastapi_chat/page.html"}

    assert needed - source_archive == set()


def test_the_source_archive_holds_no_leftovers(source_archive: set[str]) -> None:
    """No environment, cache or built file is in the source archive."""
    leftovers = re.compile(r"(^|/)(\.venv|\.matrix|dist|__pycache__|\.[a-z]+_cache)(/|$)")

    assert {name for name in source_archive if leftovers.search(name)} == set()
