"""Scores the loop detector on a set that it makes itself.

    python benchmarks/repetition.py            every measure, on some 3,000 texts
    python benchmarks/repetition.py --short    for CI: fewer texts; exits 1 on a miss that must not be

The texts come from seeded generators, so the set is the same on every machine and no text is kept here.
A *reader* is the char at which a reasonable reader says "it loops": three cycles and at least 150 chars, or
400 chars of signs that say nothing. Delays are counted from there, in chars.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from loop_kinds import CHINESE, LOOKS_LIKE_ONE, LOOPS, loop_of_kind, rumination
from loop_texts import (
    DRIFTS,
    FAMILIES,
    MEANT,
    NAMES,
    UNITS,
    Case,
    Family,
    degenerating_text,
    drifting_loop,
    exact_loop,
    prose,
    quotation,
    stammer,
)

from streamspan.core.loops.detector import Repetition, RepetitionDetector
from streamspan.core.loops.rumination import RuminationSearch

Cut = Callable[[str, random.Random], list[str]]


@dataclass(frozen=True, slots=True)
class Result:
    case: Case
    found: Repetition | None
    fed: int


def cases(copies: int) -> Iterator[Case]:
    """`copies` texts of every kind, each from its own seed."""
    for n in range(copies):
        for kind in UNITS:
            yield exact_loop(kind, random.Random(f"exact {kind} {n}"))
        for kind in DRIFTS:
            yield drifting_loop(kind, random.Random(f"drift {kind} {n}"))
        yield stammer(random.Random(f"stammer {n}"))
        for kind in ("words", "chars"):
            yield degenerating_text(kind, random.Random(f"chain {kind} {n}"))
        for kind in LOOPS:
            yield loop_of_kind(kind, random.Random(f"kind {kind} {n}"))
        yield rumination(random.Random(f"rumination {n}"))
        for kind, make in {**MEANT, **LOOKS_LIKE_ONE}.items():
            yield Case(kind, "meant", make(random.Random(f"meant {kind} {n}")))
        yield quotation(random.Random(f"twice {n}"))


# --- measures ---


def small_deltas(text: str, chance: random.Random) -> list[str]:
    pieces: list[str] = []
    at = 0
    while at < len(text):
        size = chance.randint(1, 30)
        pieces.append(text[at : at + size])
        at += size
    return pieces


def single_chars(text: str, chance: random.Random) -> list[str]:  # noqa: ARG001 - a Cut
    return list(text)


def one_delta(text: str, chance: random.Random) -> list[str]:  # noqa: ARG001 - a Cut
    return [text]


def result_of(case: Case, cut: Cut, *, drift: bool) -> Result:
    detector = RepetitionDetector(drift=drift)
    fed = 0
    for piece in cut(case.text, random.Random(len(case.text))):
        fed += len(piece)
        if found := detector.feed(piece):
            return Result(case, found, fed)
    return Result(case, detector.finish(), fed)


def is_hit(result: Result) -> bool:
    return result.found is not None and result.fed >= result.case.start


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else 0.0


def share(values: Sequence[bool]) -> str:
    return f"{sum(values)}/{len(values)} ({sum(values) / max(len(values), 1):.1%})"


def starts_right(result: Result) -> bool:
    """Where cycles differ, the start is less sharp: it may be off by one in fifty of the chars read since then."""
    found, case = result.found, result.case
    slack = 0 if case.family == "exact" else (result.fed - case.start) / 50
    return found is not None and abs(found.start - case.start) <= max(case.period, 1) + slack


def period_right(result: Result) -> bool:
    found, case = result.found, result.case
    slack = max(1, case.period / 10) if case.family == "drift" else 0
    return found is not None and abs(found.period - case.period) <= slack


def cuts_agree(case: Case, *, drift: bool) -> bool:
    verdicts = {
        found and (found.start, found.period, found.count)
        for cut in (small_deltas, single_chars, one_delta)
        for found in [result_of(case, cut, drift=drift).found]
    }
    return len(verdicts) == 1


def seconds(pieces: Sequence[Sequence[str]], *, drift: bool) -> float:
    best = float("inf")
    for _ in range(3):
        gc.collect()
        began = time.process_time()
        for text in pieces:
            feed = RepetitionDetector(drift=drift).feed
            for piece in text:
                feed(piece)
        best = min(best, time.process_time() - began)
    return best


def slowest_feed_us(text: str, *, drift: bool) -> float:
    """The smallest of three worst feeds: the others are the scheduler's."""
    worst: list[float] = []
    for _ in range(3):
        feed = RepetitionDetector(drift=drift).feed
        slowest = 0
        for piece in small_deltas(text, random.Random(1)):
            began = time.thread_time_ns()
            feed(piece)
            slowest = max(slowest, time.thread_time_ns() - began)
        worst.append(slowest / 1_000)
    return min(worst)


def adversaries() -> dict[str, str]:
    short, long = "a", "ab"
    while len(long) < 60_000:
        short, long = long, long + short
    chance = random.Random(7)
    return {
        "one char": "a" * 60_000,
        "Fibonacci": long[:60_000],
        "near repeats": "".join(
            f"line {i * i % 977} of the table is as long as this, more or less\n" for i in range(900)
        ),
        "long period": "".join(chance.choices("abcdefghij \n", k=3_000)) * 20,
        "Thue-Morse": "".join("我你"[number.bit_count() & 1] for number in range(60_000)),
        "few lines": "".join(f"{chance.choice(NAMES)} goes home\n" for _ in range(4_000)),
    }


def memory_bytes(text: str, *, drift: bool) -> int:
    pieces = small_deltas(text, random.Random(1))
    tracemalloc.start()
    detector = RepetitionDetector(drift=drift)
    for piece in pieces:
        detector.feed(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held


# --- the report ---


def of(results: Sequence[Result], *families: Family) -> list[Result]:
    return [result for result in results if result.case.family in families]


def print_measure(name: str, value: str) -> None:
    print(f"  {name:32} {value}")


def print_verdicts(results: Sequence[Result], *, drift: bool) -> None:
    for family in ("exact", "degenerate", "drift"):
        found = of(results, family)
        print_measure(f"{family} loops found", share([is_hit(result) for result in found]))
        missed = Counter(result.case.kind for result in found if not is_hit(result))
        if missed and (drift or family != "drift"):
            print_measure("  missed", str(dict(missed)))
    alarms = Counter(result.case.kind for result in of(results, "meant") if result.found)
    print_measure("false alarms", f"{sum(alarms.values())} in {len(of(results, 'meant'))} {dict(alarms)}")
    twice = of(results, "two copies")
    print_measure("alarms on two copies", str(sum(result.found is not None for result in twice)))
    hits = [result for result in of(results, "exact", "degenerate", "drift") if is_hit(result)]
    delays = [result.fed - result.case.reader for result in hits]
    half, most = percentile(delays, 0.5), percentile(delays, 0.9)
    print_measure("chars after the reader, p50/p90", f"{half:.0f} / {most:.0f}")
    print_measure("start within one period", share([starts_right(result) for result in hits]))
    print_measure("period exact", share([period_right(result) for result in hits]))


def print_costs(texts: Sequence[str], *, drift: bool) -> None:
    pieces = [small_deltas(text, random.Random(1)) for text in texts]
    cpu = seconds(pieces, drift=drift) / sum(map(len, texts)) * 1e9
    print_measure("CPU, ns per char", f"{cpu:.0f}")
    for name, text in adversaries().items():
        cpu = seconds([small_deltas(text, random.Random(1))], drift=drift) / len(text) * 1e9
        worst = slowest_feed_us(text, drift=drift)
        print_measure(f"adversary: {name}", f"{cpu:.0f} ns per char, worst delta {worst:.0f} us")
    held = memory_bytes("".join(texts)[:200_000], drift=drift)
    print_measure("memory held, KiB", f"{held / 1024:.0f}")


def print_by_default(results: Sequence[Result]) -> None:
    """What is found of all loops of the set, whatever their kind, where nothing is configured."""
    loops = of(results, "exact", "degenerate", "drift", "rumination")
    found = share([is_hit(result) for result in loops])
    print_measure("of all loops, by default", found)


def ruminates(text: str, chance: random.Random) -> bool:
    search = RuminationSearch()
    return any(search.feed(piece, 0.0) for piece in small_deltas(text, chance))


def print_rumination(made: Sequence[Case]) -> list[str]:
    """What the search for rumination sees, apart from all loops; and what must not be."""
    chance = random.Random(1)
    seen = {family: Counter[str]() for family in FAMILIES}
    for case in made:
        seen[case.family][case.kind] += ruminates(case.text, chance)
    thoughts = [case for case in made if case.family == "rumination"]
    meant = [case for case in made if case.family == "meant"]
    found, alarms = seen["rumination"].total(), seen["meant"].total()
    print(f"rumination: {len(made)} texts")
    print_measure("rumination seen", f"{found}/{len(thoughts)} ({found / len(thoughts):.1%})")
    print_measure("false alarms", f"{alarms} in {len(meant)} {dict(+seen['meant'])}")
    print_measure("alarms on two copies", str(seen["two copies"].total()))
    wrong = [f"rumination: only {found} of {len(thoughts)}"] if found < 0.8 * len(thoughts) else []
    return wrong + [f"rumination: false alarm: {kind}" for kind in +seen["meant"]]


def print_rumination_costs() -> None:
    for script, text in {"English": prose(random.Random(2), 60_000), "Chinese": "".join(CHINESE) * 1_500}.items():
        pieces = small_deltas(text, random.Random(1))
        best = float("inf")
        for _ in range(5):
            search = RuminationSearch()
            began = time.process_time()
            for piece in pieces:
                search.feed(piece, 0.0)
            best = min(best, time.process_time() - began)
        print_measure(f"CPU, {script}, ns per char", f"{best / len(text) * 1e9:.0f}")


def failures(results: Sequence[Result], *, drift: bool, agree: bool) -> list[str]:
    """What CI must not let pass: the exact loops and the texts that are meant allow no exception."""
    wrong = [f"missed: {result.case.kind}" for result in of(results, "exact") if not is_hit(result)]
    wrong += [f"false alarm: {result.case.kind}" for result in of(results, "meant", "two copies") if result.found]
    least: dict[Family, float] = {"degenerate": 0.95, "drift": 0.97 if drift else 0}
    for family, bar in least.items():
        found = [is_hit(result) for result in of(results, family)]
        if sum(found) < bar * len(found):
            wrong.append(f"{family} loops: only {share(found)}")
    if not agree:
        wrong.append("the verdict depends on how the text was cut")
    return wrong


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--short", action="store_true", help="fewer texts, no costs; exit 1 on a failure")
    short = bool(options.parse_args().short)
    made = list(cases(6 if short else 36))
    wrong: list[str] = []
    chars = sum(len(case.text) for case in made)
    for drift in (False, True):
        print(f"{'exact and drift' if drift else 'exact only, the default'}: {len(made)} texts, {chars:,} chars")
        results = [result_of(case, small_deltas, drift=drift) for case in made]
        print_verdicts(results, drift=drift)
        agreements = [cuts_agree(case, drift=drift) for case in made[:: 3 if short else 5]]
        print_measure("same finding however cut", share(agreements))
        if not drift:
            print_by_default(results)
        wrong += failures(results, drift=drift, agree=all(agreements))
        if not short:
            print_costs([result.case.text for result in of(results, "meant")][:200], drift=drift)
    wrong += print_rumination(made)
    if not short:
        print_rumination_costs()
    print("\n".join(wrong))
    return 1 if wrong and short else 0


if __name__ == "__main__":
    sys.exit(main())
