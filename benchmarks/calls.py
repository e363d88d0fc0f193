"""What `--profile` counts: the calls of each function and the profiler's times, by the package that it is from.

The profiler makes short functions too expensive: compare its times with each other, not with those of `overhead.py`.
"""

import cProfile
import pstats
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

Counted = tuple[str, float, float, float]
"""The package of a function, its calls, seconds in itself, and seconds with what it calls."""
Calls = dict[str, Counted]
"""By the function, as "observer.py:58 __init__"."""

_PACKAGE = re.compile(r"(?:site-packages|src)/([^/]+)/(.*)")
_HERE = str(Path(__file__).parent)
_PYTHON = "built in and Python's library"


def counted(function: Callable[[], object], repeats: int) -> Calls:
    """One call of it. Each time is the least of the repeats."""
    least = _counted(function)
    for _ in range(repeats - 1):
        for name, (_, _, own, cumulative) in _counted(function).items():
            package, count, least_own, least_cumulative = least.get(name, ("", 0, own, cumulative))
            if package:
                least[name] = (package, count, min(own, least_own), min(cumulative, least_cumulative))
    return least


def _counted(function: Callable[[], object]) -> Calls:
    profile = cProfile.Profile()
    profile.runcall(function)
    stats: dict[tuple[str, int, str], tuple[Any, int, float, float, Any]] = cast("Any", pstats.Stats(profile)).stats
    found: Calls = {}
    for (file, line, name), (_, count, own, cumulative, _) in stats.items():
        if not file.startswith(_HERE):
            match = _PACKAGE.search(file)
            package, path = (match[1], match[2]) if match else (_PYTHON, file)
            found[f"{path}:{line} {name}" if line else name] = (package, count, own, cumulative)
    return found


def difference(few: Calls, many: Calls, deltas: int) -> Calls:
    """For each of `deltas`, that `many` has more."""
    found: Calls = {}
    for function, (package, *numbers) in many.items():
        _, *numbers_few = few.get(function, (package, 0, 0, 0))
        calls, own, cumulative = ((more - less) / deltas for more, less in zip(numbers, numbers_few, strict=True))
        found[function] = (package, calls, own, cumulative)
    return found
