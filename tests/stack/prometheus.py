"""A real Prometheus on a free port of 127.0.0.1, with the flags that the collector's layer asks for."""

import json
import os
import subprocess
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.stack.collector import START_SECONDS, free_ports, wait_until
from tests.stack.loopback import get_with_query

if TYPE_CHECKING:
    from typing_extensions import Self


class Prometheus:
    """Runs from the start to the end of its `with` block. `scraped`: host and port of each target.

    `before`: what it has from an earlier time, as OpenMetrics text.
    """

    def __init__(self, folder: Path, scraped: Sequence[str] = (), *, before: str = "") -> None:
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.write_url = f"{self.url}/api/v1/write"
        config = folder / "prometheus.json"
        jobs = [{"job_name": "otelcol", "scrape_interval": "1s", "static_configs": [{"targets": list(scraped)}]}]
        config.write_text(json.dumps({"scrape_configs": jobs if scraped else []}))
        binaries = Path(os.environ.get("STREAMSPAN_PROMETHEUS", ""))
        if before:
            text = folder / "before.txt"
            text.write_text(f"{before}\n# EOF\n")
            backfill = ["tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "data")]
            subprocess.run([str(binaries / "promtool"), *backfill], check=True, capture_output=True)
        self._command = [
            str(binaries / "prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            "--enable-feature=exemplar-storage",
        ]
        self._log = folder / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Self":
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        try:
            wait_until(self._is_ready, seconds=START_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def query(self, expression: str, at: float) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series at this time, in seconds."""
        answer = self._get("query", query=expression, time=f"{at:.3f}")
        return [(one["metric"], float(one["value"][1])) for one in answer["result"]]

    def sample_times(self, selector: str, at: float) -> list[float]:
        """When samples of the first series came, in the last ten minutes."""
        answer = self._get("query", query=f"{selector}[10m]", time=f"{at:.3f}")
        return [time for time, _ in answer["result"][0]["values"]]

    def exemplars(self, expression: str, begin: float, end: float) -> list[tuple[str, float]]:
        """The trace id and the value of each."""
        answer = self._get("query_exemplars", query=expression, start=f"{begin:.3f}", end=f"{end:.3f}")
        found = [exemplar for one in answer for exemplar in one["exemplars"]]
        return [(exemplar["labels"]["trace_id"], float(exemplar["value"])) for exemplar in found]

    def _get(self, what: str, **parameters: str) -> Any:
        answer = get_with_query(f"{self.url}/api/v1/{what}", urlencode(parameters))
        found = json.loads(answer.body)
        assert found["status"] == "success", (found, parameters)
        return found["data"]

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-2000:]
        try:
            return get_with_query(f"{self.url}/-/ready", "").status == 200
        except (OSError, HTTPException):
            return False
