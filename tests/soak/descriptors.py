"""File descriptors: how many this process may have, and has."""

import resource
from pathlib import Path

_NEEDED = 8192


def allow_many() -> None:
    """A thousand connections are more than many systems allow at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _NEEDED:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_NEEDED, hard), hard))


def open_descriptors() -> int:
    """Of this process; the one that this call itself opens is not counted."""
    return len(list(Path("/proc/self/fd").iterdir())) - 1
