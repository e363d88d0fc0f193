"""A pytest plugin: a run of all tests, without a failure, must have made streamspan emit the whole schema.

With workers each worker hands over what it has seen when it ends, and the session that started them judges.
"""

from typing import Any

import pytest

from tests.schema.checker import CHECKER, declared

NEVER_EMITTED = pytest.StashKey[list[tuple[str, str]]]()
"""The entries of the schema that no test has made streamspan emit, where all tests ran."""


def is_whole(config: pytest.Config) -> bool:
    """Whether this session runs every test there is."""
    options = config.option
    chosen = (options.keyword, options.markexpr, options.deselect, options.ignore, options.ignore_glob)
    cut_short = (options.collectonly, getattr(options, "lf", False), getattr(options, "stepwise", False))
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not any((*chosen, *cut_short))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended, with or without a last word."""
    seen = getattr(node, "workeroutput", {}).get("seen", [])
    CHECKER.seen |= {(where, name) for where, name in seen}


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config: Any = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["seen"] = sorted(CHECKER.seen)
    elif is_whole(config) and exitstatus == pytest.ExitCode.OK:
        config.stash[NEVER_EMITTED] = sorted(declared() - CHECKER.seen)
        if config.stash[NEVER_EMITTED]:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    never_emitted = config.stash.get(NEVER_EMITTED, None)
    if never_emitted:
        terminalreporter.section("no test has made streamspan emit", red=True)
        for where, name in never_emitted:
            terminalreporter.line(f"{where}: {name}")
