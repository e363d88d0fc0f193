"""The measurement of the overhead, in small. No figure is looked at, only what there is a figure of."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

OVERHEAD = Path(__file__).parents[2] / "benchmarks" / "overhead.py"
SMALL = ("--sittings", "1", "--rounds", "1", "--segments", "1", "--streams", "1")
STREAM = "a stream of 5 deltas, create()"
ALONE = "a delta by itself, create()"
ASYNC = "a delta by itself, async create()"
HELPERS = {"anthropic": "text_stream", "openai": "stream()"}
each_provider = pytest.mark.parametrize("provider", HELPERS)


def overhead(*arguments: object) -> str:
    command = [sys.executable, OVERHEAD, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@each_provider
def test_a_delta_by_itself_leads_and_each_variant_watches_as_its_name_says(provider: str, tmp_path: Path) -> None:
    """Each row has a line of the least times and one of medians. A variant that records spans has one for each stream,
    also where the SDK is older; the others have none.
    """
    rows = [
        ALONE,
        "a tool-input delta by itself, create()",
        f"a delta by itself, {HELPERS[provider]}",
        ASYNC,
        STREAM,
        "a delta in a burst, create()",
    ]
    measured = tmp_path / "measured.json"
    variants = ("--variant", "streamspan", "--variant", "streamspan, [sn]*")
    printed = overhead("--provider", provider, *SMALL, *variants, "--json", measured)
    labels = [line[:40].strip() for line in printed.splitlines()[-12:]]
    figures = json.loads(measured.read_text())["costs"]

    assert labels[::2] == rows
    assert labels[1::2] == ["(median)"] * 6
    assert list(figures) == rows
    assert {title: its["spans"] for title, its in figures[STREAM].items()} == {
        "bare SDK": 0,
        "streamspan": 1,
        "streamspan, spans only": 1,
        "streamspan, sampled out": 0,
        "streamspan, no OpenTelemetry SDK": 0,
    }


@each_provider
def test_a_row_can_be_measured_over_sockets(provider: str, tmp_path: Path) -> None:
    """The same streams come from a server."""
    measured = tmp_path / "measured.json"
    chosen = ("--only", ASYNC, "--variant", "streamspan")
    overhead("--provider", provider, *SMALL, "--sockets", *chosen, "--json", measured)
    figures = json.loads(measured.read_text())["costs"]

    assert {title: its["spans"] for title, its in figures[ASYNC].items()} == {"bare SDK": 0, "streamspan": 1}


@each_provider
def test_the_profile_counts_calls_of_the_bare_sdk_and_of_streamspan(provider: str, tmp_path: Path) -> None:
    """The bare SDK calls nothing of streamspan, neither once a stream nor for a delta."""
    measured = tmp_path / "measured.json"
    overhead("--provider", provider, "--profile", "--json", measured)
    calls = json.loads(measured.read_text())["calls"]
    packages = {
        (counted, variant): "streamspan" in {package for package, *_ in functions.values()}
        for counted, by_variant in calls.items()
        for variant, functions in by_variant.items()
    }

    assert packages == {
        (STREAM, "bare SDK"): False,
        (STREAM, "streamspan"): True,
        (ALONE, "bare SDK"): False,
        (ALONE, "streamspan"): True,
    }
