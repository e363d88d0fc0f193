"""The committed rules and the runbook, as far as no Prometheus is needed: see tests/stack/test_alerts.py."""

import re

import pytest
from boards import rules

from streamspan import semconv
from tests.boards.committed import BOARDS, GRAFANA, RUNBOOK, panels_of

ALERTS = list(rules.alerts())
NAMES = sorted({alert.name for alert in ALERTS})
SECTIONS = dict(re.findall(r"^## (LLMStream\w+)\n(.*?)(?=^## |\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL))
TITLES = {panel["title"] for board in BOARDS.values() for panel in panels_of(board)}


@pytest.mark.parametrize("name", rules.files())
def test_the_committed_rules_are_built(name: str) -> None:
    """The committed file is what the sources build."""
    assert (GRAFANA / "alerts" / name).read_text() == rules.files()[name]


def test_every_alert_has_its_runbook() -> None:
    """One heading for each alert, and none for what is no alert."""
    assert sorted(SECTIONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_helps(name: str) -> None:
    """Meaning, impact, diagnosis and mitigation; the diagnosis names a panel that there is and a search."""
    parts = re.findall(r"^\*\*(\w+)\.\*\*", SECTIONS[name], re.MULTILINE)
    text = " ".join(SECTIONS[name].split())
    panels = set(re.findall(r"panel \*([^*]+)\*", text))
    searches = re.findall(r"`(\{(?:span|resource)\.[^`]+)`", text)
    attributes = set(re.findall(r"span\.([\w.]+)", " ".join(searches)))

    assert parts == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert panels
    assert panels <= TITLES
    assert searches
    assert attributes <= {value for value in vars(semconv).values() if isinstance(value, str)}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_can_be_acted_on(alert: rules.Alert) -> None:
    """It waits, and its words name the service."""
    assert alert.pending != "0s"
    assert "$labels.job" in alert.summary
    assert alert.description.endswith(".")


SHARES = [alert for alert in ALERTS if "humanizePercentage" in alert.description]


@pytest.mark.parametrize("alert", SHARES, ids=lambda alert: alert.name)
def test_a_share_waits_for_traffic(alert: rules.Alert) -> None:
    """One bad stream of two is no alert, nor is one of forty."""
    assert re.search(r"and\n.*>= 30", alert.expression)
    assert re.search(r"and\n.*>= 3\n", alert.expression) or alert.name == "LLMStreamAbortSpike"  # 10 points of 30
