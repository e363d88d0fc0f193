"""Builds the collector of `collector-config/builder-config.yaml` and prints the path of its binary: `make collector`.

The binary is kept outside the tree, by the manifest's hash, in `${XDG_CACHE_HOME:-~/.cache}/streamspan/collector/`.
A binary named by `STREAMSPAN_COLLECTOR`, such as the public otelcol-contrib, is taken as it is.
Needs Go only where there is none yet. Standard library only.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MANIFEST = Path(__file__).resolve().parent.parent / "collector-config" / "builder-config.yaml"
BUILDER = "go.opentelemetry.io/collector/cmd/builder"
OLDEST_GO = (1, 26)
NO_GO = """\
There is no Go {oldest} or newer here{found}, and the collector is built from Go modules. Either
  - install Go: https://go.dev/doc/install, or your system's package, and run this again, or
  - name a binary of otelcol-contrib {version}: STREAMSPAN_COLLECTOR=/path/to/otelcol-contrib"""


def main() -> int:
    """Gives the exit status: 0, or 1 if there is no binary in the end."""
    named = os.environ.get("STREAMSPAN_COLLECTOR")
    if named:
        print(named)
        return 0
    manifest = MANIFEST.read_text()
    binary = cached_binary(manifest)
    if not binary.exists() and not is_built(manifest, binary):
        return 1
    print(binary)
    return 0


def cached_binary(manifest: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(manifest.encode()).hexdigest()[:16]
    return cache / "streamspan" / "collector" / key / field(manifest, "name")


def is_built(manifest: str, binary: Path) -> bool:
    """Builds the binary; says on the standard error what is missing if it could not."""
    version = field(manifest, "version")
    go = shutil.which("go")
    found = go_version(go) if go else None
    if found is None or found < OLDEST_GO:
        words = {"oldest": dotted(OLDEST_GO), "found": f" (only {dotted(found)})" if found else "", "version": version}
        print(NO_GO.format(**words), file=sys.stderr)
        return False
    print(f"Building the collector {version}; with no module in Go's caches this takes some minutes.", file=sys.stderr)
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=binary.parent.parent) as folder:
        changed = Path(folder) / MANIFEST.name
        changed.write_text(re.sub(r"^  output_path: .*$", f"  output_path: {folder}", manifest, flags=re.MULTILINE))
        command = [str(go), "run", f"{BUILDER}@v{version}", "--config", str(changed)]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
            print("The collector could not be built: see above what Go says.", file=sys.stderr)
            return False
        (Path(folder) / binary.name).replace(binary)  # in one step: whoever runs at the same time sees all or nothing
    return True


def field(manifest: str, name: str) -> str:
    """A field of the manifest's `dist`, which alone is indented by two spaces and has no dash."""
    match = re.search(rf"^  {name}: (\S+)", manifest, re.MULTILINE)
    if match is None:
        raise ValueError(f"{MANIFEST} has no {name}")
    return match[1]


def go_version(go: str) -> tuple[int, int] | None:
    """Major and minor; None if this Go does not start."""
    asked = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    match = re.match(r"go(\d+)\.(\d+)", asked.stdout)
    return (int(match[1]), int(match[2])) if match else None


def dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


if __name__ == "__main__":
    sys.exit(main())
