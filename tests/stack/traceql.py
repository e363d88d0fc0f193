"""TraceQL without a Tempo: read by the grammar of Grafana's own editor (npm's `@grafana/lezer-traceql`).

What a search means is said by grafana-dashboards/traceql.mjs, and asked of spans of the tests' own.
"""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pytest

from tests.boards.committed import GRAFANA

SCHEMA = GRAFANA.parent / ".schema"
ASK = """
import { readFileSync } from 'node:fs';
import { parser } from '@grafana/lezer-traceql';
import { search } from '../grafana-dashboards/traceql.mjs';
const { queries, spans } = JSON.parse(readFileSync(0, 'utf8'));
const answers = queries.map((query) => {
  try {
    const { columns, meets } = search(parser, query);
    return { error: '', columns, found: spans.filter(meets).map(({ spanId }) => spanId) };
  } catch (error) { return { error: String(error), columns: [], found: [] }; }
});
console.log(JSON.stringify(answers));
"""


@dataclass(frozen=True, slots=True)
class SearchedSpan:
    """What a search can ask of a span; times in milliseconds."""

    traceId: str  # noqa: N815 - as Tempo says it
    spanId: str  # noqa: N815
    name: str
    start: float
    duration: float
    resource: Mapping[str, object]
    attributes: Mapping[str, object]
    isRoot: bool = True  # noqa: N815


@dataclass(frozen=True, slots=True)
class Answer:
    error: str
    """Empty if there is none."""
    columns: list[str]
    found: list[str]
    """Ids of spans."""


def chosen(query: str) -> str:
    """With everything chosen at the top of the board, and a series of any model clicked."""
    return re.sub(r"\$\{((?:service|provider|model):pipe|__field\.labels\.\w+)\}", ".*", query)


def answers(queries: Sequence[str], spans: Sequence[SearchedSpan] = ()) -> list[Answer]:
    if not (SCHEMA / "node_modules").exists():
        pytest.fail("there is no .schema/node_modules: run these tests with `make stack-test`", pytrace=False)
    script = SCHEMA / "ask.mjs"
    script.write_text(ASK)
    asked = json.dumps({"queries": [chosen(query) for query in queries], "spans": [asdict(span) for span in spans]})
    command = ["node", str(script)]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    return [Answer(**answer) for answer in json.loads(done.stdout)]
