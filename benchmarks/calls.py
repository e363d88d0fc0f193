"""What `--profile` counts: the calls of each function, by the package that it is from. Times are the profiler's own,
which are too long for short functions: compare them with each other, not with what `overhead.py` measures without it.
"""

import cProfile
import pstats
import re
from collections.abc import Callable
from typing import Any, cast

Calls = dict[str, tuple[str, int, float]]
"""By the function, as "observer.py:58 __init__": its package, its calls, and seconds in itself."""

_PACKAGE = re.compile(r"(?:site-packages|src)/([^/]+)/(.*)")
_PYTHON = "built in and Python's library"


def counted(function: Callable[[], object]) -> Calls:
    profile = cProfile.Profile()
    profile.runcall(function)
    stats: dict[tuple[str, int, str], tuple[Any, int, float, Any, Any]] = cast("Any", pstats.Stats(profile)).stats
    found: Calls = {}
    for (file, line, name), (_, count, seconds, *_) in stats.items():
        match = _PACKAGE.search(file)
        package, path = (match[1], match[2]) if match else (_PYTHON, file)
        found[f"{path}:{line} {name}" if line else name] = (package, count, seconds)
    return found
