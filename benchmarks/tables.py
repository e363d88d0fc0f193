"""What is printed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Any

from calls import Calls
from costs import Figures, Row
from environments import BARE, Environment

WIDTH = 15  # of a column
LABEL = 40
SHOWN = 15  # functions


def print_costs(figures: Mapping[Row, Mapping[str, Figures]]) -> None:
    """A column for each variant, under its title in three lines."""
    titles = list(dict.fromkeys(title for by_title in figures.values() for title in by_title))
    print()
    for line in zip(*(heading(title) for title in titles), strict=True):
        print(f"{'':{LABEL}}{''.join(f'{part:>{WIDTH}}' for part in line)}".rstrip())
    for row, by_title in figures.items():
        bare = next(its for title, its in by_title.items() if title.endswith(BARE))
        cells = [cell(by_title.get(title), row.digits) for title in titles]
        cells[0] = f"{bare.cost * 1e6:.{row.digits}f}"
        print(f"{row.name:{LABEL}}{''.join(f'{text:>{WIDTH}}' for text in cells)}")
        least = [f"{its.at_least * 1e6:+.{row.digits}f}     " if (its := by_title.get(t)) else "" for t in titles]
        least[0] = f"{bare.least * 1e6:.{row.digits}f}"
        print(f"{'    by the least times':{LABEL}}{''.join(f'{text:>{WIDTH}}' for text in least)}".rstrip(), flush=True)


def heading(title: str) -> list[str]:
    lines = [""]
    for word in title.split():
        if len(lines[-1]) + len(word) + 1 >= WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [""] * (3 - len(lines)) + lines[:3]


def cell(figures: Figures | None, digits: int) -> str:
    if figures is None:
        return ""
    spread = f"±{figures.plus_minus * 1e6:.{digits}f}"
    return f"{figures.added * 1e6:+.{digits}f} {spread:<5}"


def print_memory(held: Mapping[str, Mapping[str, int]], environments: Sequence[Environment], deltas: int) -> None:
    head = f"{'KiB retained':>14}{'added':>9}{'KiB at peak':>14}{'added':>9}{'KiB allocated by itself':>26}"
    print(f"\n{f'create, held open at {deltas:,} deltas':{LABEL}}{head}")
    for environment in environments:
        bare = held[environment.title(BARE)]
        for title in map(environment.title, environment.variants):
            columns = [(held[title][name], held[title][name] - bare[name]) for name in ("retained", "peak")]
            cells = [f"{size / 1024:14,.1f}{added / 1024:+9,.1f}" for size, added in columns]
            print(f"{title:{LABEL}}{''.join(cells)}{held[title]['own'] / 1024:26,.1f}")


def print_starts(seconds: Mapping[str, Sequence[float]]) -> None:
    print(f"\n{'import and instrument()':{LABEL}}{'ms':>9}  {'[quartiles]':^15}")
    for title, values in seconds.items():
        low, middle, high = (value * 1e3 for value in quantiles(values, method="inclusive"))
        print(f"{title:{LABEL}}{middle:9.1f}  [{low:6.1f} {high:6.1f}]")


def print_calls(calls: Mapping[str, Mapping[str, Any]], more: int) -> None:
    """`calls`: by variant, of a short stream and of one with `more` deltas more."""
    streams = {variant: tuple(by_deltas.values())[0] for variant, by_deltas in calls.items()}
    deltas = {variant: difference(*by_deltas.values(), more) for variant, by_deltas in calls.items()}
    short = min(map(int, calls[BARE]))
    for name, counted in ((f"a stream of {short} deltas", streams), ("a delta by itself", deltas)):
        print_packages(name, counted)
        print_functions({function: its for function, its in counted["streamspan"].items() if its[0] == "streamspan"})


def difference(few: Calls, many: Calls, deltas: int) -> dict[str, tuple[str, float, float]]:
    """For each of `deltas`."""
    found: dict[str, tuple[str, float, float]] = {}
    for function, (package, count, seconds) in many.items():
        _, count_few, seconds_few = few.get(function, (package, 0, 0.0))
        found[function] = (package, (count - count_few) / deltas, (seconds - seconds_few) / deltas)
    return found


def print_packages(name: str, counted: Mapping[str, Mapping[str, tuple[str, float, float]]]) -> None:
    print(f"\n{f'calls, {name}':{LABEL}}{''.join(f'{variant:>{WIDTH}}' for variant in counted)}")
    by_variant = {variant: Counter[str]() for variant in counted}
    for variant, functions in counted.items():
        for package, count, _ in functions.values():
            by_variant[variant].update({package: round(count, 1)})  # pyright: ignore
    packages = sorted(set().union(*by_variant.values()))
    for package in packages:
        cells = [f"{by_variant[variant][package]:{WIDTH}.1f}" for variant in counted]
        print(f"  {package:{LABEL - 2}}{''.join(cells)}")


def print_functions(functions: Mapping[str, tuple[str, float, float]]) -> None:
    print(f"\n{'  by own time':{LABEL + 15}}{'calls':>9}{'us':>9}")
    ordered = sorted(functions.items(), key=lambda item: -item[1][2])
    for function, (_, count, seconds) in ordered[:SHOWN]:
        print(f"  {function:{LABEL + 13}}{count:9.2f}{seconds * 1e6:9.2f}")
