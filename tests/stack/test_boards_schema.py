"""The boards against Grafana's own types: npm's `@grafana/schema`, checked by the TypeScript compiler."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.boards.committed import BOARDS

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


def test_the_boards_are_what_grafana_reads() -> None:
    """Every board is a Dashboard for Grafana 13's own types."""
    assert complaints("boards", BOARDS) == ""


def test_the_compiler_would_see_a_wrong_board() -> None:
    """A board with a number for a title is none."""
    assert "not assignable" in complaints("wrong", {"wrong": {**BOARDS["streams-overview"], "title": 1}})
