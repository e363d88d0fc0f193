"""The measurement of the overhead, in small."""

import json
import subprocess
import sys
from pathlib import Path

OVERHEAD = Path(__file__).parents[2] / "benchmarks" / "overhead.py"


def test_each_variant_watches_as_its_name_says(tmp_path: Path) -> None:
    """A variant that records spans has one for each stream, also where the SDK is older; the others have none."""
    measured = tmp_path / "measured.json"
    chosen = ["--only", "async text_stream, burst", "--variant", "streamspan", "--variant", "streamspan, *"]
    subprocess.run(
        [sys.executable, OVERHEAD, "--rounds", "1", "--deltas", "50", *chosen, "--json", measured], check=True
    )
    rows = json.loads(measured.read_text())["tables"]["async text_stream, burst"]

    assert {row["variant"]: row["spans"] for row in rows} == {
        "bare SDK": 0,
        "streamspan": 1,
        "streamspan, spans only": 1,
        "streamspan, sampled out": 0,
        "streamspan, no OpenTelemetry SDK": 0,
    }
