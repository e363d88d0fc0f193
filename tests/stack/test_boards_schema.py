"""The boards against Grafana's own types: npm's `@grafana/schema`, and those for Go, which know each kind of panel."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.boards.committed import BOARDS, GRAFANA

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / ".schema"
TYPES = """
import type { AnnotationQuery, Dashboard } from '@grafana/schema';
// JSON has the values of enums, not their names.
type Plain<T> = T extends string ? `${T}` : T extends number | boolean ? T
    : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
// Those of Prometheus have their query in `expr`, which the common type does not know.
type Annotation = Plain<AnnotationQuery> & { expr?: string };
type Board = Omit<Plain<Dashboard>, 'annotations'> & { annotations?: { list?: Annotation[] } };
"""
STRICT = Path(__file__).parent / "strict"
"""Grafana's types for Go: see main.go."""
FLAGS = ["--noEmit", "--skipLibCheck", "--strict", "--module", "esnext", "--moduleResolution", "bundler"]


def complaints(name: str, boards: dict[str, Any]) -> str:
    """Of the compiler, about these as boards; empty if there are none."""
    if not (SCHEMA / "node_modules").exists():
        pytest.fail("there is no .schema/node_modules: run these tests with `make stack-test`", pytrace=False)
    written = (f"export const board{at}: Board = {json.dumps(board)};" for at, board in enumerate(boards.values()))
    source = SCHEMA / f"{name}.ts"
    source.write_text("\n".join([TYPES, *written]))
    command = [str(SCHEMA / "node_modules" / ".bin" / "tsc"), *FLAGS, str(source)]
    return subprocess.run(command, cwd=SCHEMA, capture_output=True, text=True, check=False).stdout


def unknown(path: Path) -> str:
    """What Go's types do not know in this board; empty if there is nothing."""
    go = shutil.which("go")
    if go is None:
        pytest.fail("there is no Go here: install it from https://go.dev/doc/install", pytrace=False)
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    done = subprocess.run(
        [go, "run", ".", str(path)], cwd=STRICT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_boards_are_what_grafana_reads() -> None:
    """Every board is a Dashboard for Grafana 13's own types."""
    assert complaints("boards", BOARDS) == ""


def test_the_compiler_would_see_a_wrong_board() -> None:
    """A board with a number for a title is none."""
    assert "not assignable" in complaints("wrong", {"wrong": {**BOARDS["streams-overview"], "title": 1}})


@pytest.mark.timeout(600)  # it is built the first time
@pytest.mark.parametrize("uid", BOARDS)
def test_nothing_of_a_board_is_unknown(uid: str) -> None:
    """Every field is known and has its type: of the board, of each panel's options, of each query."""
    assert unknown(GRAFANA / "dashboards" / f"{uid}.json") == ""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("options", {"graphMode": 3}, "options.graphMode"),
        ("options", {"sparkles": True}, "unexpected field 'sparkles'"),
        ("targets", [{"refId": "A", "exrp": "up", "datasource": {"type": "prometheus"}}], "unexpected field 'exrp'"),
    ],
)
def test_a_wrong_panel_would_be_seen(field: str, value: object, complaint: str, tmp_path: Path) -> None:
    """A panel with a wrong option or query is told of."""
    [_, panel, *_] = BOARDS["streams-overview"]["panels"]
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({**BOARDS["streams-overview"], "panels": [{**panel, field: value}]}))

    assert complaint in unknown(path)
