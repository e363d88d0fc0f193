"""Prints the folder of `prometheus` and `promtool`: those on the path, else of Debian's package, only unpacked.

Unpacked into `${XDG_CACHE_HOME:-~/.cache}/streamspan/prometheus/`: nothing is started, and no root is needed, unless
the lists of packages have never been fetched. Standard library only.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NONE_HERE = """\
There are no `prometheus` and `promtool` on the path, and Debian's package could not be had. Either
  - install Prometheus 2.42 or newer: https://prometheus.io/download/, or your system's package, and run this again, or
  - as root: apt-get update && apt-get install prometheus"""


def main() -> int:
    """Gives the exit status: 0, or 1 if there is none in the end."""
    found = shutil.which("promtool")
    if found and shutil.which("prometheus"):
        print(Path(found).parent)
        return 0
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamspan" / "prometheus"
    folder = cache / "usr" / "bin"
    if not (folder / "promtool").exists() and not is_unpacked(cache):
        print(NONE_HERE, file=sys.stderr)
        return 1
    print(folder)
    return 0


def is_unpacked(into: Path) -> bool:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    with tempfile.TemporaryDirectory() as folder:
        if not is_done(["apt-get", "download", "prometheus"], folder):
            if os.geteuid() != 0 or not is_done(["apt-get", "update", "-qq"], folder):
                return False
            if not is_done(["apt-get", "download", "prometheus"], folder):
                return False
        into.mkdir(parents=True, exist_ok=True)
        return is_done(["dpkg-deb", "--extract", *map(str, Path(folder).glob("*.deb")), str(into)], folder)


def is_done(command: list[str], folder: str) -> bool:
    return subprocess.run(command, cwd=folder, stdout=sys.stderr, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
