"""The rules of the layers, read from the imports of every source file."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "streamspan"
MODULES = [PurePosixPath(path.relative_to(PACKAGE).as_posix()) for path in sorted(PACKAGE.rglob("*.py"))]

CORE = [module for module in MODULES if module.parts[0] == "core"]
STAINLESS = [module for module in MODULES if module.parts[0] == "stainless"]

WRITES_TELEMETRY = ["telemetry/*"]
DEMO = ["cli/demo/*", "cli/demo/*/*"]
CLI = ["cli/*", "cli/*/*", *DEMO]

MAY_IMPORT = {
    "anthropic": ["anthropic/*", "cli/demo/anthropic/*"],
    "openai": ["openai/*", "cli/demo/openai/*"],
    "wrapt": ["stainless/*"],
    "pydantic": [],
    "httpx": [],
    "httpx2": [],
    "opentelemetry": [
        *WRITES_TELEMETRY,
        "stainless/instrumentor.py",
        "anthropic/*",
        "cli/drawing/finished.py",
        "cli/demo/*",
        "cli/doctor/send.py",
        "cli/watch/*",
    ],
    "opentelemetry.trace": WRITES_TELEMETRY,
    "opentelemetry.metrics": WRITES_TELEMETRY,
    "opentelemetry._logs": WRITES_TELEMETRY,
    "opentelemetry.context": WRITES_TELEMETRY,
    "opentelemetry.propagate": WRITES_TELEMETRY,
    "opentelemetry.instrumentation": [*WRITES_TELEMETRY, "stainless/*"],
    "opentelemetry.sdk": ["cli/demo/*", "cli/doctor/send.py"],
    "opentelemetry.proto": ["cli/watch/otlp.py"],
    "rich": ["cli/drawing/*", "cli/demo/*", "cli/watch/table.py", "cli/watch/view.py", "cli/watch/watching.py"],
    "google": ["cli/watch/otlp.py"],
    "streamspan.anthropic": ["__init__.py", "anthropic/*", "cli/demo/anthropic/*", "cli/doctor/seam.py"],
    "streamspan.openai": ["__init__.py", "openai/*", "cli/demo/openai/*", "cli/doctor/seam.py"],
    "streamspan.stainless": [
        "stainless/*",
        "anthropic/*",
        "openai/*",
        "handle.py",
        "cli/demo/provider.py",
        "cli/doctor/seam.py",
    ],
    "streamspan.observer": ["stainless/*"],
    "streamspan.cli": ["__main__.py", *CLI],
    "streamspan.cli.drawing": ["cli/drawing/*", "cli/demo/*", "cli/watch/*"],
    "streamspan.cli.watch": ["cli/__init__.py", "cli/watch/*"],
    "streamspan.cli.demo": ["cli/__init__.py", *DEMO],
    "streamspan.cli.doctor": ["cli/__init__.py", "cli/doctor/*"],
}

PROVIDER_WORDS = re.compile(
    r"anthropic|claude|openai|gpt|azure|bedrock|vertex|gemini"
    r"|message_start|message_delta|message_stop|content_block|text_delta|thinking_delta|signature_delta|partial_json"
    r"|input_json|tool_use|redacted|end_turn|max_tokens|model_context_window|stop_sequence|pause_turn"
    r"|chat\.completion|finish_reason|tool_calls\[|reasoning_content|\[DONE\]"
    r"|overloaded_error|api_error",
    re.IGNORECASE,
)


def imported_names(source: str, module: PurePosixPath) -> set[str]:
    """Absolute names of all that the source imports, wherever in the file; `from a import b` gives `a.b`."""
    package = ["streamspan", *module.parts[:-1]]
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *(node.module.split(".") if node.module else [])])
            names |= {f"{origin}.{alias.name}" for alias in node.names}
    return names


@cache
def imports(module: PurePosixPath) -> frozenset[str]:
    return frozenset(imported_names((PACKAGE / module).read_text(), module))


def is_inside(name: str, package: str) -> bool:
    """`a.b` is inside `a` and inside `a.b`."""
    return f"{name}.".startswith(f"{package}.")


def importers(package: str) -> set[str]:
    """The modules that import the package or anything in it."""
    return {str(module) for module in MODULES for name in imports(module) if is_inside(name, package)}


def test_imports_are_seen_in_every_form() -> None:
    """The walk sees plain, aliased, relative, nested and type-checking imports."""
    source = """
import a, b.c as d
from .sibling import x
from ..core import y
from . import z
if TYPE_CHECKING:
    from e.f import g
def later():
    import h
"""

    assert imported_names(source, PurePosixPath("anthropic/provider.py")) == {
        "a",
        "b.c",
        "streamspan.anthropic.sibling.x",
        "streamspan.core.y",
        "streamspan.anthropic.z",
        "e.f.g",
        "h",
    }


@pytest.mark.parametrize("module", CORE, ids=str)
def test_the_core_imports_the_standard_library_and_itself_only(module: PurePosixPath) -> None:
    """core/ imports the standard library and itself only."""
    names = imports(module)
    foreign = {
        name
        for name in names
        if name.split(".")[0] not in sys.stdlib_module_names and not is_inside(name, "streamspan.core")
    }

    assert foreign == set()


@pytest.mark.parametrize("module", CORE, ids=str)
def test_the_core_has_no_clock_no_logging_no_input_or_output(module: PurePosixPath) -> None:
    """core/ imports no clock, no logging, no I/O and no threads."""
    names = imports(module)
    effects = {"asyncio", "datetime", "io", "logging", "os", "pathlib", "random", "socket", "sys", "threading", "time"}

    assert {name for name in names if name.split(".")[0] in effects} == set()


@pytest.mark.parametrize("module", CORE, ids=str)
def test_the_core_has_no_word_of_a_provider(module: PurePosixPath) -> None:
    """core/ names no provider, no model, no event, no block type and no stop reason of one, not even in a comment."""
    assert PROVIDER_WORDS.findall((PACKAGE / module).read_text()) == []


@pytest.mark.parametrize("module", STAINLESS, ids=str)
def test_the_seam_imports_no_sdk(module: PurePosixPath) -> None:
    """Of other packages, stainless/ imports wrapt and OpenTelemetry's base of instrumentors only."""
    names = imports(module)
    foreign = {
        name
        for name in names
        if name.split(".")[0] not in {*sys.stdlib_module_names, "streamspan", "wrapt"}
        and not is_inside(name, "opentelemetry.instrumentation")
    }

    assert foreign == set()


@pytest.mark.parametrize(("package", "allowed"), MAY_IMPORT.items(), ids=MAY_IMPORT)
def test_a_package_is_imported_only_where_its_layer_is(package: str, allowed: list[str]) -> None:
    """Only anthropic/ imports the SDK, only telemetry/ writes to OpenTelemetry, nobody imports the HTTP library."""
    strangers = {
        module for module in importers(package) if not any(PurePosixPath(module).match(pattern) for pattern in allowed)
    }

    assert strangers == set()


@pytest.mark.parametrize(
    ("module", "not_imported"),
    [
        (
            "streamspan",
            {
                "streamspan.cli",
                "streamspan.cli.demo",
                "streamspan.anthropic",
                "streamspan.openai",
                "streamspan.stainless",
            },
        ),
        ("streamspan.cli", {"opentelemetry.sdk", "streamspan.anthropic"}),
    ],
)
def test_importing_streamspan_imports_no_sdk(module: str, not_imported: set[str]) -> None:
    """`import streamspan` and the command's start import neither the SDK nor its HTTP library nor the demo's."""
    heavy = {"anthropic", "openai", "httpx", "httpx2", "pydantic", "rich", *not_imported}
    program = f"import sys, {module}; print(sorted({heavy} & sys.modules.keys()))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert printed == "[]\n"
