"""Real collectors, an application and a backend of the tests' own: `make stack-test`.

These tests are collected only when they are named, because they need the binary that `make collector` builds.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.stack.backend import Backend
from tests.stack.collector import Collector, Start


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves this folder alone, unless the command line names it."""
    del collection_path
    return None if any("tests/stack" in argument for argument in config.args) else True


@pytest.fixture(scope="session")
def binary() -> Path:
    """The collector."""
    named = os.environ.get("STREAMSPAN_COLLECTOR")
    if not named or not Path(named).exists():
        pytest.fail("STREAMSPAN_COLLECTOR names no collector: run these tests with `make stack-test`", pytrace=False)
    return Path(named)


@pytest.fixture(scope="module")
def start(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a collector from files of `collector-config/`; all are ended with the module, whatever happens."""
    with ExitStack() as running:

        def start(*files: str, **settings: str) -> Collector:
            folder = tmp_path_factory.mktemp(files[0].partition(".")[0])
            return running.enter_context(Collector(binary, files, folder, settings))

        yield start


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """Where the telemetry goes in the end."""
    with Backend() as running:
        yield running
