"""What streamspan adds to a stream: CPU time of the reading thread, memory, import; against the bare SDK in one run.

    python benchmarks/overhead.py [--peer NAME ...] [--only PATTERN ...] [--rounds 15] [--deltas 10000] [--json FILE]

Real SDK, real sockets, the server in another process. In each round every variant reads the same streams, in an order
that turns from round to round. A cost is compared with that of the bare SDK *in the same round*, and the median of
these differences is printed with its quartiles: what disturbs the machine for a while disturbs both.

    delta     the slope between a long stream and one of 5 deltas; so long that it does not matter that an end costs
              more behind a long stream, which has put its code out of the caches
    stream    one of 5 deltas over a connection that is there already, from the call to the end
    added     above the bare SDK; what "bare SDK, once more" adds is the noise of the run
    x bare    the median of the ratios to the bare SDK
    spans     what one stream records

`burst`: all deltas come in one write, so nothing but work is measured. `singly`: each comes in a write of its own, so
the reader waits for each, as it does for a model; its wake-ups and reads cost, too.

The SDK's own tracing, which it has from 1.14 on, is off except in the lines that say so. A peer has an environment of
its own and is compared with the bare SDK there; see `environments.py`. What is measured and how: `reader.py`. Four
minutes; with all peers nine for the tables, then minutes for the memory of each: `--only "*, *"` leaves that out.
"""

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from environments import BARE, PEERS, Ask, Environment, peer_environment
from server import served

SHORT = 5  # deltas
HELD = 200_000  # deltas
STARTS = 7

TRACES_ITSELF = importlib.util.find_spec("anthropic._tracing") is not None

OWN = Environment(
    Path(sys.executable),
    (
        BARE,
        "bare SDK, once more",
        "a generator that does nothing",
        *(("the SDK's own tracing", "streamspan in place of the SDK's own") if TRACES_ITSELF else ()),
        "streamspan",
        "streamspan, spans only",
        "streamspan, sampled out",
        "streamspan, no OpenTelemetry SDK",
    ),
)
INSTRUMENTATION = "opentelemetry.instrumentation itself"
STARTED = frozenset({"streamspan, no OpenTelemetry SDK", "peer", "logfire"})
"""The variants whose import is timed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Seconds. The quartiles are those of what is added."""

    cost: float
    added: float
    quartiles: tuple[float, float]
    ratio: float

    @classmethod
    def of(cls, costs: Sequence[float], bare: Sequence[float]) -> "Comparison":
        added = [cost - reference for cost, reference in zip(costs, bare, strict=True)]
        low, _, high = quantiles(added, method="inclusive") if len(added) > 1 else added * 3
        ratio = median(cost / reference for cost, reference in zip(costs, bare, strict=True))
        return cls(median(costs), median(added), (low, high), ratio)

    def line(self, digits: int) -> str:
        """In microseconds."""
        cost, added, low, high = (seconds * 1e6 for seconds in (self.cost, self.added, *self.quartiles))
        spread = f"{low:+.{digits}f} {high:+.{digits}f}"
        return f"{cost:9.{digits}f}{added:+9.{digits}f}  [{spread:^13}]{self.ratio:7.2f}"


@dataclass(frozen=True, slots=True)
class Table:
    """One way of reading: `path` and `arrival` are the reader's. Singly takes time, so there is less of it."""

    path: str
    arrival: str

    @property
    def name(self) -> str:
        return f"{self.path}, {self.arrival}"

    def sizes(self, deltas: int) -> tuple[tuple[str, int, int], tuple[str, int, int]]:
        """(arrival, deltas, streams) of the short streams and of the long one."""
        if self.arrival == "burst":
            return ("burst", SHORT, 20), ("burst", deltas, 1)
        return ("singly", SHORT, 10), ("singly", max(deltas // 20, 2 * SHORT), 1)


TABLES = (
    Table("create", "burst"),
    Table("text_stream", "burst"),
    Table("async create", "burst"),
    Table("async text_stream", "burst"),
    Table("create", "singly"),
    Table("async create", "singly"),
)


@dataclass(frozen=True, slots=True)
class Row:
    variant: str
    spans: int
    delta: Comparison
    stream: Comparison


class Measured:
    """One variant's costs in one table, a value for each round."""

    def __init__(self, environment: Environment, variant: str, ask: Ask, table: Table) -> None:
        self.environment = environment
        self.variant = variant
        self.delta: list[float] = []
        self.stream: list[float] = []
        self._ask = ask
        self._table = table
        self._spans: int = ask("spans", variant, table.path)

    def measure(self, deltas: int) -> None:
        sizes = self._table.sizes(deltas)
        short, long = self._ask("cost", self.variant, self._table.path, sizes)
        self.stream.append(short)
        self.delta.append((long - short) / (sizes[1][1] - SHORT))

    def row(self, bare: "Measured") -> Row:
        delta = Comparison.of(self.delta, bare.delta)
        stream = Comparison.of(self.stream, bare.stream)
        return Row(self.environment.title(self.variant), self._spans, delta, stream)


def rows_of(table: Table, environments: Sequence[Environment], url: str, rounds: int, deltas: int) -> list[Row]:
    """By readers of its own: variants change the SDK's classes again and again, and from 3.13 on Python no longer
    caches the look-ups of a class that has changed a thousand times.
    """
    with ExitStack() as readers:
        measured: list[Measured] = []
        for environment in environments:
            ask = readers.enter_context(environment.reader(url))
            measured += [Measured(environment, variant, ask, table) for variant in environment.variants]
        for turn in range(rounds):
            first = turn % len(measured)
            for each in measured[first:] + measured[:first]:
                each.measure(deltas)
        bare = {each.environment.peer: each for each in measured if each.variant == BARE}
        return [each.row(bare[each.environment.peer]) for each in measured]


def memory(environments: Sequence[Environment], url: str) -> dict[str, dict[str, int]]:
    """Bytes, by variant: what a stream of many deltas holds while it is open, and the most that it held."""
    held: dict[str, dict[str, int]] = {}
    for environment in environments:
        for variant in environment.variants:
            if variant in {BARE, "streamspan", "peer", "logfire"}:
                with environment.reader(url) as ask:
                    held[environment.title(variant)] = ask("memory", variant, HELD)
    return held


def starts(environments: Sequence[Environment], url: str) -> dict[str, list[float]]:
    """Seconds, by variant: to import it and to instrument."""
    seconds: dict[str, list[float]] = {}
    for _ in range(STARTS):
        for environment in environments:
            for variant in STARTED.intersection(environment.variants):
                with environment.reader(url) as ask:
                    base, own = ask("start", variant)
                seconds.setdefault(INSTRUMENTATION, []).append(base)
                seconds.setdefault(environment.title(variant), []).append(own)
    return seconds


# --- what is printed -------------------------------------------------------------------------------------------------


def print_rows(name: str, rows: Sequence[Row]) -> None:
    group = f"{'cost':>9}{'added':>9}  {'[quartiles]':^15}{'x bare':>7}"
    print(f"\n{name:36}{'us per delta':^40}  {'us per stream':^40}{'spans':>6}\n{'':36}{group}  {group}")
    for row in rows:
        print(f"{row.variant:36}{row.delta.line(2)}  {row.stream.line(0)}{row.spans:6}", flush=True)


def print_memory(held: dict[str, dict[str, int]], environments: Sequence[Environment]) -> None:
    head = f"{'KiB retained':>14}{'added':>9}{'KiB at peak':>14}{'added':>9}{'KiB allocated by itself':>26}"
    print(f"\n{f'create, held open at {HELD:,} deltas':36}{head}")
    for environment in environments:
        bare = held[environment.title(BARE)]
        for title in map(environment.title, environment.variants):
            if title in held:
                columns = [(held[title][name], held[title][name] - bare[name]) for name in ("retained", "peak")]
                cells = [f"{size / 1024:14,.1f}{added / 1024:+9,.1f}" for size, added in columns]
                print(f"{title:36}{''.join(cells)}{held[title]['own'] / 1024:26,.1f}")


def print_starts(seconds: dict[str, list[float]]) -> None:
    print(f"\n{'import and instrument()':36}{'ms':>9}  {'[quartiles]':^15}")
    for title, values in seconds.items():
        low, middle, high = (value * 1e3 for value in quantiles(values, method="inclusive"))
        print(f"{title:36}{middle:9.1f}  [{low:6.1f} {high:6.1f}]")


def usable(peers: Sequence[str], url: str) -> list[Environment]:
    """Those whose environment can be made and that record a span of a stream; of the others, the reason is printed."""
    environments: list[Environment] = []
    for peer in peers:
        try:
            environment = peer_environment(peer)
            with environment.reader(url) as ask:
                if not any(ask("spans", environment.variants[-1], table.path) for table in TABLES):
                    raise RuntimeError("records no span")  # noqa: TRY301  # told like all that fails here
            environments.append(environment)
        except RuntimeError as error:
            print(f"{peer} is left out: {error}")
    return environments


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--deltas", type=int, default=10_000, help="of the long stream; singly, a twentieth")
    parser.add_argument("--peer", action="append", default=[], choices=[*PEERS, "all"], help="may be given again")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="'create, *', '*, singly', memory, import"
    )
    parser.add_argument("--variant", action="append", default=[], metavar="PATTERN", help="apart from the bare SDK")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured, in seconds and bytes")
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    def wanted(name: str) -> bool:
        return not arguments.only or any(fnmatch(name, pattern) for pattern in arguments.only)

    def narrowed(environment: Environment) -> Environment:
        named = [(variant, environment.title(variant)) for variant in environment.variants]
        chosen = [v for v, title in named if v == BARE or any(fnmatch(title, p) for p in arguments.variant or ["*"])]
        return replace(environment, variants=tuple(chosen))

    if hasattr(os, "sched_setaffinity"):
        # One core for the server and all readers, so that nobody moves between caches: halves the quartiles of singly.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    result: dict[str, Any] = {"rounds": arguments.rounds, "versions": {}, "tables": {}}
    with served() as url:
        peers = usable(list(PEERS) if "all" in arguments.peer else arguments.peer, url)
        environments = [narrowed(environment) for environment in (OWN, *peers)]
        print(f"medians over {arguments.rounds} rounds; CPU time of the reading thread")
        for environment in environments:
            with environment.reader(url) as ask:
                versions = ask("versions", *environment.packages)
            result["versions"][environment.peer or "here"] = versions
            print(f"  {environment.peer or 'here'}: {', '.join(f'{name} {its}' for name, its in versions.items())}")
        for table in TABLES:
            if wanted(table.name):
                rows = rows_of(table, environments, url, arguments.rounds, arguments.deltas)
                print_rows(table.name, rows)
                result["tables"][table.name] = [asdict(row) for row in rows]
        if wanted("memory"):
            result["memory"] = memory(environments, url)
            print_memory(result["memory"], environments)
        if wanted("import"):
            result["import"] = starts(environments, url)
            print_starts(result["import"])
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(parsed(sys.argv[1:]))
