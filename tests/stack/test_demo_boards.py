"""`streamspan demo --otlp` -> the real gateway -> the real Prometheus: the boards have something to show."""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from boards import names

from streamspan import semconv
from streamspan.cli.demo.anthropic.provider import PROVIDER
from tests.boards.committed import QUERIES, all_chosen
from tests.stack.backend import Backend
from tests.stack.collector import Start, wait_until
from tests.stack.prometheus import Prometheus

WINDOW = "4m"
"""What `$__rate_interval` is in the stack of compose.yaml: four times its point a minute."""
TIMES = 2
STREAMS = f"sum by ({names.OUTCOME}) ({names.series(semconv.STREAMS)})"
NOT_IN_THE_DEMO = {
    ("streams-overview", "First chunk p95, cache hit against miss", "A"),  # nothing is read from a cache
    ("streams-overview", "Tool calls", "C"),
    ("streams-by-model", "First chunk p95, now against the day before", "B"),
    ("streams-pipeline", "Failures by function", "A"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    prometheus: Prometheus
    printed: str
    at: float

    def values(self, expression: str) -> list[float]:
        """Without NaN."""
        windowed = re.sub(r"\[(\$__rate_interval|\$__range|\d+[mhd])\]", f"[{WINDOW}]", expression)
        found = self.prometheus.query(all_chosen(windowed), self.at)
        return [value for _, value in found if value == value]  # noqa: PLR0124


@pytest.fixture(scope="module")
def shown(start: Start, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with Prometheus(tmp_path_factory.mktemp("prometheus")) as prometheus:
        gateway = start(
            "gateway.yaml",
            "prometheus-remote-write.yaml",
            PROMETHEUS_ENDPOINT=prometheus.write_url,
            BACKEND_ENDPOINT=backend.endpoint,
            SAMPLING_PERCENTAGE="100",
            DECISION_WAIT="1s",
        )
        command = [sys.executable, "-m", "streamspan", "demo", "--speed", "4", "--json", "--otlp", gateway.http]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        total = TIMES * len(PROVIDER.stories)
        wait_until(lambda: sum(value for _, value in prometheus.query(STREAMS, time.time())) == total)
        wait_until(lambda: len(backend.traces) == total)
        yield Shown(prometheus, printed, time.time())


def test_the_demo_says_what_it_sent(shown: Shown) -> None:
    """Each story twice, and the metrics."""
    assert f"Sent {TIMES * len(PROVIDER.stories)} spans and the metrics to " in shown.printed


def test_prometheus_has_every_stream(shown: Shown) -> None:
    """By outcome, as the stories say it."""
    outcomes = Counter(str(story.outcome) for story in PROVIDER.stories)

    found = {labels[names.OUTCOME]: value for labels, value in shown.prometheus.query(STREAMS, shown.at)}

    assert found == {outcome: TIMES * count for outcome, count in outcomes.items()}


ASKED = [
    query
    for query in QUERIES
    if "otelcol" not in query[2]["expr"] and (query[0], query[1], query[2]["refId"]) not in NOT_IN_THE_DEMO
]


@pytest.mark.parametrize("query", ASKED, ids=lambda query: f"{query[0]}: {query[1]} {query[2]['refId']}")
def test_a_panel_has_something_to_show(query: tuple[str, str, dict[str, str]], shown: Shown) -> None:
    """A value, in the seconds after the end of the demo."""
    assert shown.values(query[2]["expr"]) != []


@pytest.mark.parametrize(
    ("title", "least", "most"),
    [
        ("Ended per second", 0.05, 1.0),
        ("Completion", 0.6, 0.85),
        ("First chunk p95", 0.1, 2.5),
        ("Mid-stream errors", 0.1, 0.3),
        ("Repetition", 0.05, 0.2),
        ("Buffered streams", 0.02, 0.2),
        ("Stalls per stream", 0.02, 0.2),
        ("Tool calls completed before an abort", 0.001, 0.1),
    ],
)
def test_a_rate_is_seen(title: str, least: float, most: float, shown: Shown) -> None:
    """Shares are about those of the stories, though the process is short: no counter is born at its last value."""
    [expression] = [target["expr"] for uid, name, target in ASKED if (uid, name) == ("streams-overview", title)]

    [value] = shown.values(expression)

    assert least <= value <= most
