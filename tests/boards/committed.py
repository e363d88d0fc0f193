"""The boards as they are committed."""

import json
import re
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).parents[2] / "grafana-dashboards"
BOARDS: dict[str, Any] = {path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("dashboards/*.json"))}
"""By uid."""
RUNBOOK = GRAFANA / "runbooks" / "streams.md"


def panels_of(board: Any) -> list[Any]:
    """Without the rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def all_chosen(expression: str) -> str:
    """The query as it is asked when all that there are is chosen at the top of the board."""
    return re.sub(r"\$(job|provider|model)\b", ".*", expression)


PANELS = [(uid, panel) for uid, board in BOARDS.items() for panel in panels_of(board)]
QUERIES = [(uid, panel["title"], target) for uid, panel in PANELS for target in panel["targets"] if "expr" in target]
SEARCHES = [(uid, panel["title"], target) for uid, panel in PANELS for target in panel["targets"] if "query" in target]
