"""The parts of the local stack fit together. The whole is not run: there is no container engine here."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "compose.yaml").read_text()
PROVISIONING = ROOT / "grafana-dashboards" / "provisioning"
MOUNTS = dict(re.findall(r"^ +- \./(\S+?):(/\S+?):ro$", COMPOSE, re.MULTILINE))
"""From where in the repository to where in the container."""


def test_what_is_mounted_is_there() -> None:
    """Every mount is a file or a folder of the repository."""
    assert len(MOUNTS) == COMPOSE.count(":ro")
    assert [path for path in MOUNTS if not (ROOT / path).exists()] == []


def test_the_boards_are_found_where_they_are_mounted() -> None:
    """Grafana looks for boards where they are mounted, and Prometheus for rules."""
    provider = (PROVISIONING / "dashboards" / "streamspan.yaml").read_text()
    prometheus = (PROVISIONING / "prometheus.yaml").read_text()

    assert f"path: {MOUNTS['grafana-dashboards/dashboards']}\n" in provider
    assert f"- {MOUNTS['grafana-dashboards/alerts']}/*.yaml\n" in prometheus


def test_only_this_machine_can_reach_it() -> None:
    """Every port is bound to loopback, and OTLP and Grafana are where their users look for them."""
    ports = re.findall(r"^ +- (\S+):(\d+):(\d+)$", COMPOSE, re.MULTILINE)

    assert {host for host, _, _ in ports} == {"127.0.0.1"}
    assert {outside for _, outside, _ in ports} >= {"3000", "4317", "4318"}
    assert all(outside == inside for _, outside, inside in ports)


def test_exemplars_lead_to_the_traces_source() -> None:
    """The label that exemplars have leads to the data source of the traces."""
    sources = (PROVISIONING / "datasources" / "streamspan.yaml").read_text()

    assert re.search(r"- name: trace_id\n\s+datasourceUid: tempo\n", sources)
    assert set(re.findall(r"^ +uid: (\w+)$", sources, re.MULTILINE)) == {"prometheus", "tempo"}
