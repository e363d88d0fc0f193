"""What is printed."""

from collections.abc import Mapping, Sequence
from statistics import quantiles

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
    for parts in zip(*map(heading, titles), strict=True):
        print(f"{'':{LABEL}}{''.join(f'{part:>{WIDTH}}' for part in parts)}".rstrip())
    for row, by_title in figures.items():
        of_titles = [by_title.get(title) for title in titles]
        least = [(its.least, its.added_least, its.spread) if its else None for its in of_titles]
        medians = [(its.cost, its.added, its.plus_minus) if its else None for its in of_titles]
        print(line(row.name, least, row.digits))
        print(line("    (median)", medians, row.digits), flush=True)


Cell = tuple[float, float, float] | None
"""A cost, what it is above the first, and plus or minus how much."""


def line(label: str, cells: Sequence[Cell], digits: int) -> str:
    """The first is the bare SDK's."""
    added = [f"{each[1] * 1e6:+.{digits}f} ±{each[2] * 1e6:.{digits}f}" if each else "" for each in cells[1:]]
    texts = [f"{cells[0][0] * 1e6:.{digits}f}" if cells[0] else "", *added]
    return f"{label:{LABEL}}{''.join(f'{text:>{WIDTH}}' for text in texts)}".rstrip()


def heading(title: str) -> list[str]:
    lines = [""]
    for word in title.split():
        if len(lines[-1]) + len(word) + 1 >= WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [""] * (3 - len(lines)) + lines[:3]


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


def print_calls(name: str, calls: Mapping[str, Calls]) -> None:
    """By variant."""
    print(f"\n{f'calls, {name}':{LABEL}}{''.join(f'{variant:>{WIDTH}}' for variant in calls)}")
    packages = {package for functions in calls.values() for package, *_ in functions.values()}
    for package in sorted(packages):
        totals = (sum(each[1] for each in functions.values() if each[0] == package) for functions in calls.values())
        print(f"  {package:{LABEL - 2}}{''.join(f'{total:{WIDTH}.1f}' for total in totals)}")
    for variant, functions in calls.items():
        print_functions({function: each for function, each in functions.items() if each[0] == variant})


def print_functions(functions: Calls) -> None:
    if not functions:
        return
    print(f"\n{'  by own time':{LABEL + 15}}{'calls':>9}{'own us':>9}{'with its calls':>16}")
    ordered = sorted(functions.items(), key=lambda item: -item[1][2])
    for function, (_, count, own, cumulative) in ordered[:SHOWN]:
        print(f"  {function:{LABEL + 13}}{count:9.2f}{own * 1e6:9.2f}{cumulative * 1e6:16.2f}")
