"""What streamspan adds to a delta and to a stream: CPU time of the reading thread, against the bare SDK in one run.

    python benchmarks/overhead.py [--only ROW ...] [--variant NAME ...] [--peer NAME ...] [--json FILE]
    python benchmarks/overhead.py --sockets | --profile | --memory | --import
    python benchmarks/overhead.py --provider openai ...

The real SDK reads responses that are prepared in its own process (`transport.py`), so nothing else takes part, and
0.1 us can be seen. With `--sockets` they come from a server in another process, and the reader waits for each write, as
it does for a model: its wake-ups cost, too, and blur what is seen.

Each round measures all variants, one right after the other, in an order that turns from round to round; a few sittings,
each with a process of its own, share the rounds. In microseconds, a row has two lines:

    least    by the least times: what disturbs a machine adds to a time and never takes away; with half of the range
             that it has when one sitting or another is left out
    median   over the rounds, of the differences in the same round; with half of its 95 % interval

What "bare SDK, once more" adds is the noise of the run. "bare SDK" has its own tracing off, which it has from 1.14 on;
"the SDK's own span" has it on; so has "streamspan", whose span then takes the place of the SDK's own, as in an
application that changes no option. `--variant` can name "streamspan, the SDK's tracing off", too, and "a generator that
does nothing", which is the least that anything that sees each event can cost. Spans are recorded and dropped at their
end, metrics aggregated and never collected: exporting is not part of it.

A peer has an environment of its own and is compared with the bare SDK there; see `environments.py`. `costs.py` says how
a cost comes from the times, `reader.py` how these are taken. `--profile` counts the calls of Python functions in a
stream of 5 deltas and per delta; `--memory` and `--import` take a minute each.
"""

import argparse
import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from calls import Calls, difference
from costs import ROWS, SHORT, Amount, Row, Times, figures_of, measured
from environments import BARE, PEERS, Ask, Environment, peer_environment, versions_of
from streams import pieces
from tables import print_calls, print_costs, print_memory, print_starts

HELD = 50_000  # deltas of the stream whose memory is measured
STARTS = 7
MANY = 1_000  # deltas more, when calls are counted

DEFAULT = (
    BARE,
    "bare SDK, once more",
    "the SDK's own span",
    "streamspan",
    "streamspan, spans only",
    "streamspan, sampled out",
    "streamspan, no OpenTelemetry SDK",
)
OF_ITS_OWN = ("the SDK's own span", "the SDK's tracing off")
ON_REQUEST = ("streamspan, the SDK's tracing off", "a generator that does nothing")
INSTRUMENTATION = "opentelemetry.instrumentation itself"
PROFILED = (BARE, "streamspan")
STARTED = frozenset({"streamspan, no OpenTelemetry SDK", "peer", "logfire"})
"""The variants whose import is timed."""


def own_environment(provider: str) -> Environment:
    traces_itself = importlib.util.find_spec(f"{provider}._tracing") is not None
    variants = tuple(name for name in DEFAULT + ON_REQUEST if traces_itself or not name.endswith(OF_ITS_OWN))
    return Environment(provider, Path(sys.executable), variants)


# --- what is measured ------------------------------------------------------------------------------------------------


def prepare(ask: Ask, provider: str, model: str, *sizes: int) -> None:
    for deltas in sizes:
        ask("prepare", model, deltas, [piece.decode() for piece in pieces(provider, model, deltas)])


def costs(
    environment: Environment, rows: Sequence[Row], url: str | None, options: argparse.Namespace
) -> dict[tuple[Row, str], Times]:
    amount = Amount(options.segments, options.streams)
    times: dict[tuple[Row, str], Times] = {}
    for sitting in range(options.sittings):
        with environment.reader(url) as ask:
            for row in rows:
                prepare(ask, environment.provider, row.model, SHORT, amount.deltas)
                for variant in filter(row.has, environment.variants if sitting == 0 else ()):
                    spans = ask("spans", variant, row.path, row.model, SHORT)
                    times[row, variant] = Times(row, environment.title(variant), spans)
            for key, its in measured(ask, times, amount, options.rounds).items():
                times[key].sittings.append(its)
    return times


def profiled(environment: Environment, row: Row) -> dict[str, dict[str, Calls]]:
    """What the profiler counts, by what is counted and by variant."""
    stream, delta = f"a stream of {SHORT} deltas, create()", row.name
    counted: dict[str, dict[str, Calls]] = {stream: {}, delta: {}}
    with environment.reader() as ask:
        prepare(ask, environment.provider, row.model, SHORT, SHORT + MANY)
        for variant in PROFILED:
            few, many = (ask("calls", variant, row.path, row.model, deltas) for deltas in (SHORT, SHORT + MANY))
            counted[stream][variant], counted[delta][variant] = few, difference(few, many, MANY)
    return counted


def memory(environments: Sequence[Environment]) -> dict[str, dict[str, int]]:
    """Bytes, by variant: what a stream of many deltas holds while it is open, and the most that it held."""
    held: dict[str, dict[str, int]] = {}
    for environment in environments:
        [row, *_] = ROWS[environment.provider]
        for variant in environment.variants:
            with environment.reader() as ask:
                prepare(ask, environment.provider, row.model, SHORT, HELD)
                held[environment.title(variant)] = ask("memory", variant, row.model, HELD)
    return held


def starts(environments: Sequence[Environment]) -> dict[str, list[float]]:
    """Seconds, by variant: to import it and to instrument."""
    seconds: dict[str, list[float]] = {}
    for _ in range(STARTS):
        for environment in environments:
            for variant in STARTED.intersection(environment.variants):
                with environment.reader() as ask:
                    base, own = ask("start", variant)
                seconds.setdefault(INSTRUMENTATION, []).append(base)
                seconds.setdefault(environment.title(variant), []).append(own)
    return seconds


# --- the command -----------------------------------------------------------------------------------------------------


def usable(provider: str, peers: Sequence[str]) -> list[Environment]:
    """Those whose environment can be made and that record a span of a stream; of the others, the reason is printed."""
    environments: list[Environment] = []
    for peer in peers:
        try:
            environment = peer_environment(provider, peer)
            with environment.reader() as ask:
                rows = ROWS[provider]
                for row in rows:
                    prepare(ask, provider, row.model, SHORT)
                if not any(ask("spans", environment.variants[-1], row.path, row.model, SHORT) for row in rows):
                    raise RuntimeError("records no span")  # noqa: TRY301  # told like all that fails here
            environments.append(environment)
        except RuntimeError as error:
            print(f"{peer} is left out: {error}")
    return environments


def narrowed(environment: Environment, patterns: Sequence[str]) -> Environment:
    def is_chosen(variant: str) -> bool:
        if not patterns:
            return variant not in ON_REQUEST
        return variant == BARE or any(fnmatch(environment.title(variant), pattern) for pattern in patterns)

    return replace(environment, variants=tuple(filter(is_chosen, environment.variants)))


def versions(environment: Environment) -> dict[str, str]:
    if environment.peer is None:
        return versions_of(*environment.packages)
    with environment.reader() as ask:
        return ask("versions_of", *environment.packages)


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--provider", choices=[*PEERS], default="anthropic", help="whose SDK")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="rows: 'a stream *'")
    parser.add_argument("--variant", action="append", default=[], metavar="PATTERN", help="apart from the bare SDK")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME", help="or `all`; may be given again")
    parser.add_argument("--sockets", action="store_true", help="real sockets, the server in another process")
    parser.add_argument("--profile", action="store_true", help="count calls of functions")
    parser.add_argument("--memory", action="store_true", help="of an open stream")
    parser.add_argument("--import", action="store_true", dest="starts", help="time to import and to instrument")
    parser.add_argument("--sittings", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=15, help="of each sitting")
    parser.add_argument("--segments", type=int, default=8, help="of 50 deltas each, in one stream")
    parser.add_argument("--streams", type=int, default=8, help="of 5 deltas each, one after the other")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured, in seconds and bytes")
    options = parser.parse_args(arguments)
    unknown = {*options.peer} - {*PEERS[options.provider], "all"}
    if unknown:
        parser.error(f"--peer: none of {', '.join(PEERS[options.provider])}, all: {', '.join(sorted(unknown))}")
    return options


def sockets(provider: str) -> AbstractContextManager[str]:
    """Imported only where it is needed: that takes as long as a small measurement."""
    return importlib.import_module("server").served(provider)


def measure_costs(environments: Sequence[Environment], options: argparse.Namespace) -> dict[str, Any]:
    rows = [
        row for row in ROWS[options.provider] if any(fnmatch(row.name, pattern) for pattern in options.only or ["*"])
    ]
    print(f"{options.sittings} sittings of {options.rounds} rounds; CPU time of the reading thread in microseconds")
    result: dict[str, Any] = {row.name: {} for row in rows}
    for environment in environments:
        with sockets(options.provider) if options.sockets else nullcontext() as url:
            times = costs(environment, rows, url, options)
        figures = figures_of(times)
        print_costs(figures)
        for row, by_title in figures.items():
            result[row.name] |= {title: asdict(its) for title, its in by_title.items()}
        for its in times.values():
            result[its.row.name][its.title]["spans"] = its.spans
    return result


def main(options: argparse.Namespace) -> None:
    peers = usable(options.provider, list(PEERS[options.provider]) if "all" in options.peer else options.peer)
    own = own_environment(options.provider)
    environments = [narrowed(environment, options.variant) for environment in (own, *peers)]
    result: dict[str, Any] = {"versions": {(each.peer or "here"): versions(each) for each in environments}}
    for place, its in result["versions"].items():
        print(f"{place}: {', '.join(f'{name} {version}' for name, version in its.items())}")
    if options.profile:
        result["calls"] = profiled(own, ROWS[options.provider][0])
        for name, calls in result["calls"].items():
            print_calls(name, calls)
    if options.memory:
        result["memory"] = memory(environments)
        print_memory(result["memory"], environments, HELD)
    if options.starts:
        result["import"] = starts(environments)
        print_starts(result["import"])
    if not (options.profile or options.memory or options.starts):
        result["costs"] = measure_costs(environments, options)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(parsed(sys.argv[1:]))
