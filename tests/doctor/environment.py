"""An environment with chosen packages only: a folder of links to those that are installed here."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import streamspan


def with_what_they_need(*names: str) -> set[str]:
    """The distributions and all that they need themselves, without extras."""
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needed = map(Requirement, distribution(name).requires or ())
            waiting += [one.name for one in needed if not one.marker or one.marker.evaluate({"extra": ""})]
    return found


def parts(of: Distribution) -> Iterator[tuple[Path, Path]]:
    """What to link, and where it is: its packages and its metadata, as whole folders."""
    files = [Path(file) for file in of.files or () if ".." not in file.parts]
    packages = {file.parent for file in files if file.name in {"__init__.py", "METADATA"}}
    for file in files:
        inside = [folder for folder in reversed(file.parents) if folder in packages]
        part = inside[0] if inside else file
        yield part, Path(str(of.locate_file(part)))


@dataclass(frozen=True, slots=True)
class Examined:
    status: int
    output: str
    errors: str

    @property
    def report(self) -> Mapping[str, Any]:
        return json.loads(self.output)

    @property
    def findings(self) -> dict[str, str]:
        """The statuses by check; of several that of the last."""
        return {item["check"]: item["status"] for item in self.report["findings"]}

    @property
    def bad(self) -> dict[str, str]:
        return {check: status for check, status in self.findings.items() if status in {"warning", "problem"}}

    def of(self, check: str) -> Mapping[str, str]:
        [found] = [item for item in self.report["findings"] if item["check"] == check]
        return found


class Environment:
    """Where `streamspan doctor` is run: in this folder, with these packages, and without this process' variables."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        for name in sorted(with_what_they_need(*names)):
            for part, origin in parts(distribution(name)):
                self.link(part, origin)
        self.link(Path("streamspan"), Path(streamspan.__file__).parent)

    def link(self, part: Path, origin: Path) -> None:
        link = self.folder / part
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(origin)

    def add(self, name: str, version: str, *, metadata: str = "", entry_points: str = "") -> None:
        """The metadata of a package that is not there. It is found before one of the same name that is."""
        info = self.folder / "first" / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}")
        (info / "entry_points.txt").write_text(entry_points)

    def add_module(self, name: str, source: str) -> None:
        (self.folder / "first").mkdir(exist_ok=True)
        (self.folder / "first" / f"{name}.py").write_text(source)

    @property
    def variables(self) -> dict[str, str]:
        """What a process needs to be in it."""
        return {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join([str(self.folder / "first"), str(self.folder)])}

    def pasted(self, commands: str) -> Examined:
        """Of a shell that knows the command `streamspan`."""
        shell = f'streamspan() {{ "{sys.executable}" -S -m streamspan "$@"; }}\n{commands}'
        return self._ended(["/bin/sh", "-c", shell], {})

    def examined(self, *arguments: str, **variables: str) -> Examined:
        # -S: no site-packages
        return self._ended([sys.executable, "-S", "-m", "streamspan", "doctor", *arguments], variables)

    def _ended(self, command: Sequence[str], variables: Mapping[str, str]) -> Examined:
        ended = subprocess.run(
            command,
            env={**self.variables, **variables},
            cwd=self.folder,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=240,
        )
        return Examined(ended.returncode, ended.stdout, ended.stderr)
