"""Writes the boards and the rules: `make dashboards`, which is `python -m boards.build` one folder up."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from . import by_model, overview, pipeline, rules, traces

HERE = Path(__file__).resolve().parent.parent
ONLY_OF_INTERVALS = ("auto", "auto_min", "auto_count")
"""What the builder gives to variables of every kind, and Grafana's own type knows for none of ours."""
BOARDS = (overview, by_model, traces, pipeline)


def files() -> dict[Path, str]:
    """What is written, and where."""
    boards = [module.built().build() for module in BOARDS]
    built = {HERE / "dashboards" / f"{board.uid}.json": to_json(board) for board in boards}
    return {**built, **{HERE / "alerts" / name: text for name, text in rules.files().items()}}


def to_json(board: object) -> str:
    """Numbered panels: annotations and links can name them, and an import keeps them."""
    data = json.loads(JSONEncoder().encode(board))
    for number, panel in enumerate(data["panels"], 1):
        panel["id"] = number
    for variable in data["templating"]["list"]:
        for name in ONLY_OF_INTERVALS:
            variable.pop(name, None)
    return json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def main(arguments: Sequence[str]) -> int:
    """With --check writes nothing: 1 if a committed file differs from what the sources build, or has none."""
    built = files()
    if "--check" in arguments:
        committed = {*HERE.glob("dashboards/*"), *HERE.glob("alerts/*")}
        wrong = sorted(path for path in {*built, *committed} if not is_built(path, built))
        for path in wrong:
            print(f"{path.relative_to(HERE)} is not what the sources build: run `make dashboards`", file=sys.stderr)
        return 1 if wrong else 0
    for path, text in built.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return 0


def is_built(path: Path, built: Mapping[Path, str]) -> bool:
    return path.exists() and path.read_text() == built.get(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
