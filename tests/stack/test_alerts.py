"""Every alert on real Prometheus' own terms: `promtool` lints the rules and plays series to them, firing and silent."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from boards import names, rules, slo
from boards.names import series

from streamspan import semconv
from streamspan.semconv import Metric, latest
from tests.boards.committed import GRAFANA

FILES = [str(path) for path in sorted(GRAFANA.glob("alerts/*.yaml"))]
MODEL = {"job": "chat", names.PROVIDER: "p", names.MODEL: "m"}
DAY = 24 * 60


@pytest.fixture(scope="session")
def promtool() -> str:
    folder = os.environ.get("STREAMSPAN_PROMETHEUS")
    if not folder:
        pytest.fail("STREAMSPAN_PROMETHEUS names no folder: run these tests with `make stack-test`", pytrace=False)
    return str(Path(folder) / "promtool")


@dataclass(frozen=True, slots=True)
class Series:
    """Labels, and values by the minute in promtool's notation."""

    name: str
    labels: Mapping[str, str]
    values: str

    @property
    def text(self) -> str:
        labels = ", ".join(f'{key}="{value}"' for key, value in {**MODEL, **self.labels}.items())
        return f"{self.name}{{{labels}}}"


def failures(values: str) -> Series:
    return Series(series(semconv.INSTRUMENTATION_FAILURES), {names.FAILURE_WHERE: "record"}, values)


def ended(outcome: str, values: str, phase: str = "") -> Series:
    return Series(series(semconv.STREAMS), {names.OUTCOME: outcome, **({names.PHASE: phase} if phase else {})}, values)


def anomaly(kind: str, values: str) -> Series:
    return Series(series(semconv.ANOMALIES), {names.ANOMALY: kind}, values)


def tool_calls(completed: str, values: str, outcome: str = "complete") -> Series:
    return Series(series(semconv.TOOL_CALLS), {names.TOOL_CALL_COMPLETED: completed, names.OUTCOME: outcome}, values)


def silent(values: str, at_least: str = "60", **labels: str) -> Series:
    return Series(series(semconv.SILENT), {names.AT_LEAST: at_least, **labels}, values)


def line_silence(values: str) -> Series:
    return Series(series(semconv.LINE_SILENCE), {}, values)


def first_chunks(
    within_5: str, within_10: str, within_15: str, *, metric: Metric = semconv.TIME_TO_FIRST_CHUNK
) -> list[Series]:
    """Cumulative: streams with their first chunk within 5 s, 10 s and 15 s."""
    of = series(metric)
    steps = {"5": within_5, "10": within_10, "15": within_15, "+Inf": within_15}
    buckets = [Series(f"{of}_bucket", {"le": bound}, values) for bound, values in steps.items()]
    return [*buckets, Series(f"{of}_count", {}, within_15)]


@dataclass(frozen=True, slots=True)
class Case:
    """Series, and for each minute that is looked at, how many alerts fire, by `long` where the alert has windows."""

    about: str
    alert: str
    given: Sequence[Series]
    expected: Mapping[int, Mapping[str, int]] = field(default_factory=dict[int, Mapping[str, int]])


FIRES = {"": 1}
SILENT: dict[str, int] = {}
BURN = "LLMStreamCompletionBudgetBurn"
FIRST = "LLMStreamFirstChunkSlow"
HANGS = "LLMStreamSilent"
BROKEN = "LLMStreamMidStreamErrors"
SPIKE = "LLMStreamAbortSpike"
STALLS = "LLMStreamStalls"
LOOPS = "LLMStreamRepetition"
BUFFERED = "LLMStreamBuffered"
TOOLS = "LLMStreamToolCallsIncomplete"
ABSENT = "LLMStreamTelemetryAbsent"
FAILING = "LLMStreamInstrumentationFailing"

ALIVE = series(semconv.INSTRUMENTATION_FAILURES)
ACTIVE = series(semconv.ACTIVE)


def shares(alert: str, part: str) -> list[Case]:
    """The same for the alerts on an anomaly's share of the streams."""
    return [
        Case("many", alert, [ended("complete", "0+10x60"), anomaly(part, "0+3x60")], {3: SILENT, 30: FIRES}),
        Case("few", alert, [ended("complete", "0+1000x60"), anomaly(part, "0+2x60")], {30: SILENT, 60: SILENT}),
        Case("low traffic", alert, [ended("complete", "0+0x9 1x51"), anomaly(part, "0+0x9 1x51")], {30: SILENT}),
        Case("two", alert, [ended("complete", "0+1x60"), anomaly(part, "0+0x20 2+0x40")], {30: SILENT, 45: SILENT}),
        Case("never any", alert, [ended("complete", "0+10x60")], {30: SILENT}),
        Case("no traffic", alert, [ended("complete", "5+0x60"), anomaly(part, "5+0x60")], {30: SILENT}),
        Case("reset", alert, [ended("complete", "0+10x20 0+10x20"), anomaly(part, "0+0x40")], {25: SILENT, 40: SILENT}),
        Case("many, reset", alert, [ended("complete", "0+10x20 0+10x20"), anomaly(part, "0+3x20 0+3x20")], {40: FIRES}),
        Case("born at N", alert, [ended("complete", "0+10x60"), anomaly(part, "_x20 900+0x40")], {30: SILENT}),
        Case(
            "over",
            alert,
            [ended("complete", "0+10x30 310+10x60"), anomaly(part, "0+3x30 90+0x60")],
            {30: FIRES, 80: SILENT},
        ),
    ]


CASES = [
    Case("a fifth fails", BURN, [ended("complete", "0+80x20"), ended("error", "0+20x20", "text")], {10: {"1h": 1}}),
    Case("8 % fail", BURN, [ended("complete", "0+92x60"), ended("truncated", "0+8x60")], {10: SILENT, 40: {"6h": 1}}),
    Case("4 % fail", BURN, [ended("complete", "0+96x200"), ended("error", "0+4x200")], {40: SILENT, 150: {"1d": 1}}),
    Case("2 % fail", BURN, [ended("complete", "0+98x360"), ended("error", "0+2x360")], {150: SILENT, 330: {"3d": 1}}),
    Case("half a per cent fails", BURN, [ended("complete", "0+199x360"), ended("error", "0+1x360")], {330: SILENT}),
    Case("half are aborted", BURN, [ended("complete", "0+50x60"), ended("aborted", "0+50x60")], {60: SILENT}),
    Case("low traffic", BURN, [ended("complete", "0+0x60"), ended("error", "0 0 1 1 1 2 2 3 3+0x50")], {30: SILENT}),
    Case(
        "one of few in days",
        BURN,
        [ended("complete", "0+1x40 40+0x400"), ended("error", "0+0x20 1+0x420", "text")],
        {150: SILENT, 330: SILENT},
    ),
    Case("none but failures", BURN, [ended("error", "0+20x20", "text")], {10: {"1h": 1}}),
    Case("reset", BURN, [ended("complete", "0+90x15 0+90x15"), ended("error", "0+0x30")], {16: SILENT, 30: SILENT}),
    Case(
        "a fifth fails, reset",
        BURN,
        [ended("complete", "0+80x8 0+80x8"), ended("error", "0+20x8 0+20x8")],
        {12: {"1h": 1}},
    ),
    Case("born at N", BURN, [ended("complete", "0+90x60"), ended("error", "_x20 900+0x40")], {22: SILENT, 30: SILENT}),
    Case(
        "over",
        BURN,
        [ended("complete", "0+80x15 1200+100x45"), ended("error", "0+20x15 300+0x45")],
        {14: {"1h": 1}, 58: SILENT},
    ),
    Case("slow", FIRST, first_chunks("0+5x30", "0+8x30", "0+10x30"), {3: SILENT, 15: FIRES}),
    Case("quick", FIRST, first_chunks("0+95x30", "0+98x30", "0+100x30"), {15: SILENT, 30: SILENT}),
    Case(
        "slow, latest names",
        FIRST,
        first_chunks("0+5x30", "0+8x30", "0+10x30", metric=latest.RENAMED[semconv.TIME_TO_FIRST_CHUNK]),
        {3: SILENT, 15: FIRES},
    ),
    Case(
        "low traffic, both names",
        FIRST,
        [
            *first_chunks("0+0x30", "0+0x30", "0+2x30"),
            *first_chunks("0+0x30", "0+0x30", "0+2x30", metric=latest.RENAMED[semconv.TIME_TO_FIRST_CHUNK]),
        ],
        {15: SILENT, 30: SILENT},
    ),
    Case("low traffic", FIRST, first_chunks("0+0x30", "0+0x30", "0+1x30"), {15: SILENT, 30: SILENT}),
    Case("no traffic", FIRST, first_chunks("5+0x30", "6+0x30", "90+0x30"), {15: SILENT}),
    Case("slow, reset", FIRST, first_chunks("0+5x10 0+5x20", "0+8x10 0+8x20", "0+10x10 0+10x20"), {20: FIRES}),
    Case("quick, reset", FIRST, first_chunks("0+95x10 0+95x20", "0+98x10 0+98x20", "0+99x10 0+99x20"), {20: SILENT}),
    Case("hang", HANGS, [silent("0 3x9")], {1: SILENT, 4: FIRES}),
    Case("hang on dead lines", HANGS, [silent("3x9"), line_silence("60+60x9")], {4: FIRES}),
    Case("hang with keep-alives", HANGS, [silent("3x9"), line_silence("8x9")], {4: FIRES}),
    Case("two hang", HANGS, [silent("2x9")], {5: SILENT, 9: SILENT}),
    Case("hang in three processes", HANGS, [silent("1x9", instance=name) for name in ("a", "b", "c")], {4: FIRES}),
    Case("hang for less long", HANGS, [silent("9x9", "10"), silent("0x9")], {5: SILENT}),
    Case("hang, as Prometheus' own exporter writes it", HANGS, [silent("3x9", "60.0")], {4: FIRES}),
    Case("go on", HANGS, [silent("0 3 0 0 3 0 0 0")], {2: SILENT, 5: SILENT, 7: SILENT}),
    Case("hang alone, no stream ends", HANGS, [silent("3x9"), ended("complete", "7x9")], {5: FIRES}),
    Case("ended", HANGS, [silent("3x3 0x6")], {3: FIRES, 9: SILENT}),
    Case("break off", BROKEN, [ended("complete", "0+10x30"), ended("error", "0+1x30", "text")], {3: SILENT, 15: FIRES}),
    Case("are truncated", BROKEN, [ended("complete", "0+10x30"), ended("truncated", "0+1x30", "text")], {15: FIRES}),
    Case("one breaks off", BROKEN, [ended("complete", "0+4x30"), ended("error", "0+0x9 1+0x30", "text")], {16: SILENT}),
    Case("never open", BROKEN, [ended("complete", "0+10x30"), ended("error", "0+9x30", "opening")], {15: SILENT}),
    Case("few break off", BROKEN, [ended("complete", "0+99x30"), ended("error", "0+1x30", "text")], {15: SILENT}),
    Case("low traffic", BROKEN, [ended("complete", "0+1x30"), ended("error", "0+1x30", "text")], {15: SILENT}),
    Case("reset", BROKEN, [ended("complete", "0+9x9 0+9x21"), ended("error", "0+0x30", "text")], {15: SILENT}),
    Case("born at N", BROKEN, [ended("complete", "0+9x40"), ended("error", "_x9 99x31", "text")], {15: SILENT}),
    Case("as yesterday", SPIKE, [ended("complete", "0+9x2000"), ended("aborted", "0+5x2000")], {DAY + 60: SILENT}),
    Case(
        "spike",
        SPIKE,
        [ended("complete", f"0+9x{DAY} {DAY * 9}+5x99"), ended("aborted", f"0+1x{DAY} {DAY}+5x99")],
        {DAY - 1: SILENT, DAY + 60: FIRES},
    ),
    Case(
        "twice of little",
        SPIKE,
        [ended("complete", f"0+97x{DAY + 99}"), ended("aborted", f"0+1x{DAY} {DAY}+4x99")],
        {DAY + 60: SILENT},
    ),
    Case("no day before", SPIKE, [ended("complete", "0+1x99"), ended("aborted", "0+9x99")], {60: SILENT}),
    Case(
        "low traffic the day before",
        SPIKE,
        [ended("complete", f"0+0x{DAY} 0+5x99"), ended("aborted", f"0+0x{DAY} 0+9x99")],
        {DAY + 60: SILENT},
    ),
    Case(
        "spike, reset",
        SPIKE,
        [ended("complete", f"0+9x{DAY} 0+5x20 0+5x99"), ended("aborted", f"0+1x{DAY} 0+5x20 0+5x99")],
        {DAY + 60: FIRES},
    ),
    *shares(STALLS, "stall"),
    *shares(LOOPS, "repetition"),
    *shares(BUFFERED, "buffered"),
    Case("cut", TOOLS, [tool_calls("true", "0+9x60"), tool_calls("false", "0+1x60")], {3: SILENT, 30: FIRES}),
    Case(
        "cut by readers who leave",
        TOOLS,
        [tool_calls("true", "0+9x60"), tool_calls("false", "0+5x60", "aborted")],
        {30: SILENT},
    ),
    Case("one cut", TOOLS, [tool_calls("true", "0+1x60"), tool_calls("false", "0+0x20 1+0x40")], {45: SILENT}),
    Case("few cut", TOOLS, [tool_calls("true", "0+99x60"), tool_calls("false", "0+1x60")], {30: SILENT}),
    Case("low traffic", TOOLS, [tool_calls("true", "0+0x60"), tool_calls("false", "0 0 1 2 3 4x55")], {30: SILENT}),
    Case("cut, reset", TOOLS, [tool_calls("true", "0+9x9 0+9x50"), tool_calls("false", "0+1x9 0+1x50")], {30: FIRES}),
    Case("reset", TOOLS, [tool_calls("true", "0+9x9 0+9x50"), tool_calls("false", "5+0x59")], {30: SILENT}),
    Case("tells", ABSENT, [Series(ALIVE, {}, "0x60")], {30: SILENT, 60: SILENT}),
    Case("no longer tells", ABSENT, [Series(ALIVE, {}, "0x30 stale _x500")], {30: SILENT, 50: FIRES, 450: SILENT}),
    Case(
        "started again, and has had no stream since",
        ABSENT,
        [Series(ALIVE, {}, "0x60"), Series(ACTIVE, {}, "0x20 stale _x40")],
        {30: SILENT, 50: SILENT},
    ),
    Case("a gap", ABSENT, [Series(ALIVE, {}, "0x30 stale _x5 0x30")], {33: SILENT, 40: SILENT}),
    Case(
        "one of two instances is gone",
        ABSENT,
        [Series(ALIVE, {"instance": "a"}, "0x20 stale _x40"), Series(ALIVE, {"instance": "b"}, "0x60")],
        {50: SILENT},
    ),
    Case("fails", FAILING, [failures("0x5 1+1x30")], {20: FIRES}),
    Case("does not fail", FAILING, [failures("0x30")], {20: SILENT}),
    Case("born at its first failure", FAILING, [failures("_x20 1x60")], {20: SILENT, 28: FIRES, 60: SILENT}),
    Case("failed before", FAILING, [failures("7x60")], {30: SILENT, 60: SILENT}),
    Case("failed before, reset", FAILING, [failures("7x30 0x30")], {30: SILENT, 50: SILENT}),
]


def as_promtool_reads(case: Case) -> str:
    """YAML, of which JSON is a part."""
    firing = f'count by (long) (ALERTS{{alertname="{case.alert}", alertstate="firing"}})'
    asked = [
        {
            "expr": firing,
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{long="{long}"}}' if long else "{}", "value": 1} for long in expected],
        }
        for minute, expected in case.expected.items()
    ]
    given = [{"series": one.text, "values": one.values} for one in case.given]
    tests = [{"interval": "1m", "input_series": given, "promql_expr_test": asked}]
    return json.dumps({"rule_files": FILES, "evaluation_interval": "1m", "tests": tests})


def run(*command: str) -> str:
    """What it says if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_rules_are_clean(promtool: str) -> None:
    """promtool's own lint finds nothing."""
    assert run(promtool, "check", "rules", "--lint=all", "--lint-fatal", *FILES) == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.about}")
def test_an_alert(case: Case, promtool: str, tmp_path: Path) -> None:
    """It fires when it should, and only then: also at low traffic, and when a counter starts again or late."""
    path = tmp_path / "case.json"
    path.write_text(as_promtool_reads(case))

    assert run(promtool, "test", "rules", str(path)) == ""


@pytest.mark.parametrize("name", sorted({alert.name for alert in rules.alerts()}))
def test_every_alert_is_tested_both_ways(name: str) -> None:
    """For every alert there is a case in which it fires, and one in which it never does."""
    looks = [case.expected.values() for case in CASES if case.alert == name]

    assert any(any(look) for look in looks)
    assert any(not any(look) for look in looks)


def words(alert: str, minute: int, given: Sequence[Series], summary: str, description: str) -> str:
    """A case for promtool: this page, with these words."""
    annotations = {
        "summary": summary,
        "description": description,
        "runbook_url": f"{rules.RUNBOOKS}{alert.lower()}",
    }
    expected = {"exp_labels": {**MODEL, "severity": "page"}, "exp_annotations": annotations}
    asked = [{"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": [expected]}]
    series = [{"series": one.text, "values": one.values} for one in given]
    tests = [{"interval": "1m", "input_series": series, "alert_rule_test": asked}]
    return json.dumps({"rule_files": FILES, "evaluation_interval": "1m", "tests": tests})


def test_the_words_of_an_alert(promtool: str, tmp_path: Path) -> None:
    """The words say which service and model, by how much, and where the runbook is."""
    given = [ended("complete", "0+90x30"), ended("error", "0+10x30", "text")]
    summary = "Streams of chat, m of p break off after they began."
    description = "10% were truncated or failed after the headers. Their HTTP status was 200."
    path = tmp_path / "words.json"
    path.write_text(words(BROKEN, 15, given, summary, description))

    assert run(promtool, "test", "rules", str(path)) == ""


DEAD_LINE = " At least one line is dead: no byte has come on it for 1m 35s."
LIVING_LINE = " The lines live: keep-alives come on each of them, and the model is silent."


@pytest.mark.parametrize(
    ("longest", "line"), [("95x9", DEAD_LINE), ("8x9", LIVING_LINE), ("_x9", "")], ids=["dead", "living", "unknown"]
)
def test_the_alert_on_silence_says_which_line_it_is(longest: str, line: str, promtool: str, tmp_path: Path) -> None:
    """A dead line, or one that lives while the model is silent; nothing of it where that is unknown."""
    given = [silent("4x9"), line_silence(longest)]
    summary = "Streams of chat, m of p hang now."
    counted = "4 open streams have been silent for 60 s and longer while somebody waits."
    path = tmp_path / "words.json"
    path.write_text(words(HANGS, 5, given, summary, f"{counted}{line} They have no trace until they end."))

    assert run(promtool, "test", "rules", str(path)) == ""


def test_the_limit_of_slow_is_a_bucket() -> None:
    """A quantile is exact only where a bucket ends."""
    assert slo.FIRST_CHUNK_SECONDS in semconv.TIME_TO_FIRST_CHUNK.buckets
    assert slo.GAP_SECONDS in semconv.GAP_MAX.buckets
