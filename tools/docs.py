"""Writes the generated parts of docs/ from the installed package: `make docs`; `--check` only compares.

docs/configuration.md is written by hand but for what is between its two marker lines.
"""

import sys
from pathlib import Path

import schema_page
import weaver_registry
from schema_page import code, table

from streamspan.config import SETTINGS

DOCS = Path(__file__).resolve().parents[1] / "docs"
BEGIN, END = "<!-- written by `make docs` -->", "<!-- up to here -->"


def settings() -> str:
    rows = (
        (code(name), code(setting.environment), setting.kind.words, shown(setting.default), setting.meaning)
        for name, setting in SETTINGS.items()
    )
    return table(("setting", "environment", "must be", "default", "meaning"), *rows)


def shown(default: object) -> str:
    """As one writes it into the environment or into YAML."""
    return code(
        f"{default:g}" if isinstance(default, float) else str(default).lower() if isinstance(default, bool) else default
    )


def between_markers(path: Path, text: str) -> str:
    """The page with `text` between its markers."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def pages() -> dict[Path, str]:
    """What is to be in each file."""
    configuration = DOCS / "configuration.md"
    return {
        configuration: between_markers(configuration, settings()),
        DOCS / "schema.md": schema_page.text(),
        **{DOCS / "semconv" / name: text for name, text in weaver_registry.files().items()},
    }


def main(arguments: list[str]) -> int:
    """1 if a page is not what it should be, and `--check` was asked."""
    stale = {
        path: text for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        print(f"{path.relative_to(DOCS.parent)} {'is not current: make docs' if arguments else 'written'}")
        if not arguments:
            path.write_text(text, encoding="utf-8")
    return int(bool(arguments and stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
