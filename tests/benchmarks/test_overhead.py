"""The measurement of the overhead, in small. No figure is looked at, only what there is a figure of."""

import json
import subprocess
import sys
from pathlib import Path

OVERHEAD = Path(__file__).parents[2] / "benchmarks" / "overhead.py"
SMALL = ("--sittings", "1", "--rounds", "1", "--segments", "1", "--streams", "1")
STREAM = "a stream of 5 deltas, create()"
ROWS = [
    "a delta by itself, create()",
    "a tool-input delta by itself, create()",
    "a delta by itself, text_stream",
    "a delta by itself, async create()",
    STREAM,
    "a delta in a burst, create()",
]


def overhead(*arguments: object) -> str:
    command = [sys.executable, OVERHEAD, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_delta_by_itself_leads_and_each_variant_watches_as_its_name_says(tmp_path: Path) -> None:
    """Each row has a line of the least times and one of medians. A variant that records spans has one for each stream,
    also where the SDK is older; the others have none.
    """
    measured = tmp_path / "measured.json"
    printed = overhead(*SMALL, "--variant", "streamspan", "--variant", "streamspan, [sn]*", "--json", measured)
    labels = [line[:40].strip() for line in printed.splitlines()[-12:]]
    figures = json.loads(measured.read_text())["costs"]

    assert labels[::2] == ROWS
    assert labels[1::2] == ["(median)"] * 6
    assert list(figures) == ROWS
    assert {title: its["spans"] for title, its in figures[STREAM].items()} == {
        "bare SDK": 0,
        "streamspan": 1,
        "streamspan, spans only": 1,
        "streamspan, sampled out": 0,
        "streamspan, no OpenTelemetry SDK": 0,
    }


def test_a_row_can_be_measured_over_sockets(tmp_path: Path) -> None:
    """The same streams come from a server."""
    measured = tmp_path / "measured.json"
    overhead(*SMALL, "--sockets", "--only", ROWS[3], "--variant", "streamspan", "--json", measured)
    figures = json.loads(measured.read_text())["costs"]

    assert {title: its["spans"] for title, its in figures[ROWS[3]].items()} == {"bare SDK": 0, "streamspan": 1}


def test_the_profile_counts_calls_of_the_bare_sdk_and_of_streamspan(tmp_path: Path) -> None:
    """The bare SDK calls nothing of streamspan, neither once a stream nor for a delta."""
    measured = tmp_path / "measured.json"
    overhead("--profile", "--json", measured)
    calls = json.loads(measured.read_text())["calls"]
    packages = {
        (counted, variant): "streamspan" in {package for package, *_ in functions.values()}
        for counted, by_variant in calls.items()
        for variant, functions in by_variant.items()
    }

    assert packages == {
        (STREAM, "bare SDK"): False,
        (STREAM, "streamspan"): True,
        (ROWS[0], "bare SDK"): False,
        (ROWS[0], "streamspan"): True,
    }
