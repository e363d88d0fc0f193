"""Prints the path of Chromium, which has `chromedriver` beside it on the path; where one is missing, root installs it.

Installed as Debian's packages: unlike those of `prometheus.py`, they need many libraries of the system, and so cannot
only be unpacked. Standard library only.
"""

import os
import shutil
import subprocess
import sys

PACKAGES = ("chromium", "chromium-driver", "fonts-liberation")
# Without fonts a page has no letters; without the time-out another apt-get makes this one fail at once.
INSTALL = ["apt-get", "install", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *PACKAGES]
NONE_HERE = """\
There are no `chromium` and `chromedriver` on the path, and Debian's packages could not be installed. Either
  - install both, of the same version, from your system's packages, and run this again, or
  - as root: apt-get update && apt-get install chromium chromium-driver"""


def main() -> int:
    """Gives the exit status: 0, or 1 if there is none in the end."""
    if not (is_here() or is_installed()):
        print(NONE_HERE, file=sys.stderr)
        return 1
    print(shutil.which("chromium"))
    return 0


def is_here() -> bool:
    return shutil.which("chromium") is not None and shutil.which("chromedriver") is not None


def is_installed() -> bool:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    done = is_done(INSTALL) or (is_done(["apt-get", "update", "-qq"]) and is_done(INSTALL))
    return done and is_here()


def is_done(command: list[str]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
