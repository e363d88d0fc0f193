"""What can be said of the files of `collector-config/` without any traffic."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from streamspan import semconv
from tests.stack.collector import CONFIG
from tests.stack.metrics import TOLD_BY_SPANS

LAYERS_OF = {
    "agent.yaml": ["debug.yaml"],
    "gateway-loadbalancer.yaml": ["debug.yaml"],
    "gateway.yaml": ["debug.yaml", "metrics-from-spans.yaml", "prometheus-remote-write.yaml"],
}
ALONE = [[base] for base in LAYERS_OF]
LAYERED = [[base, layer] for base, layers in LAYERS_OF.items() for layer in layers]
ALL_TOGETHER = [[base, *layers] for base, layers in LAYERS_OF.items() if len(layers) > 1]
FILES = sorted(path.name for path in CONFIG.glob("*.yaml") if path.name != "builder-config.yaml")

# What otelcol-contrib is built from, as far as it concerns us. Source: distributions/otelcol-contrib/manifest.yaml of
# https://github.com/open-telemetry/opentelemetry-collector-releases, and `distributions` in the modules' metadata.yaml.
CORE = "go.opentelemetry.io/collector"
CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"
IN_OTELCOL_CONTRIB = {
    f"{CORE}/confmap/provider/envprovider",
    f"{CORE}/confmap/provider/fileprovider",
    f"{CORE}/confmap/provider/yamlprovider",
    f"{CORE}/connector/forwardconnector",
    f"{CORE}/exporter/debugexporter",
    f"{CORE}/exporter/otlpexporter",
    f"{CORE}/exporter/otlphttpexporter",
    f"{CORE}/processor/memorylimiterprocessor",
    f"{CORE}/receiver/otlpreceiver",
    f"{CONTRIB}/connector/countconnector",
    f"{CONTRIB}/connector/signaltometricsconnector",
    f"{CONTRIB}/connector/spanmetricsconnector",
    f"{CONTRIB}/connector/sumconnector",
    f"{CONTRIB}/exporter/fileexporter",
    f"{CONTRIB}/exporter/loadbalancingexporter",
    f"{CONTRIB}/exporter/prometheusexporter",
    f"{CONTRIB}/exporter/prometheusremotewriteexporter",
    f"{CONTRIB}/extension/healthcheckextension",
    f"{CONTRIB}/extension/storage/filestorage",
    f"{CONTRIB}/processor/attributesprocessor",
    f"{CONTRIB}/processor/deltatocumulativeprocessor",
    f"{CONTRIB}/processor/filterprocessor",
    f"{CONTRIB}/processor/redactionprocessor",
    f"{CONTRIB}/processor/resourceprocessor",
    f"{CONTRIB}/processor/tailsamplingprocessor",
    f"{CONTRIB}/processor/transformprocessor",
}
ADDED_AFTER = {semconv.CACHE_HIT, semconv.CACHE_USE, semconv.TOKEN_TYPE, semconv.TOOL_CALL_COMPLETED, semconv.ANOMALY}
"""What a processor adds after the connector."""
WALL = "transform/content_wall"
SECRET = re.compile(r"(bearer\s+\w|api[-_]?key|password|secret)\s*[:=]?\s*\w{6}", re.IGNORECASE)


def validated(binary: Path, files: list[str]) -> "subprocess.CompletedProcess[str]":
    command = [str(binary), "validate", *(f"--config={CONFIG / name}" for name in files)]
    return subprocess.run(command, env={}, capture_output=True, text=True, check=False)


def resolved(binary: Path, *files: str) -> Any:
    """The configuration as the collector understands it, aliases and defaults filled in."""
    command = [str(binary), "print-config", "--format=json", *(f"--config={CONFIG / name}" for name in files)]
    return json.loads(subprocess.run(command, env={}, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("files", ALONE + LAYERED + ALL_TOGETHER, ids=" + ".join)
def test_the_files_are_valid(binary: Path, files: list[str]) -> None:
    """With an empty environment, each file and each layer is a configuration that the collector takes."""
    result = validated(binary, files)

    assert (result.returncode, result.stderr) == (0, "")


def test_every_file_is_validated() -> None:
    """No file is left out of the test above."""
    assert sorted({name for files in ALONE + LAYERED for name in files}) == FILES


def test_a_wrong_key_is_found(binary: Path, tmp_path: Path) -> None:
    """The validation can fail: a misspelt key has a name and an exit status."""
    broken = tmp_path / "broken.yaml"
    broken.write_text((CONFIG / "gateway.yaml").read_text().replace("num_traces:", "number_of_traces:"))
    result = validated(binary, [str(broken)])

    assert result.returncode == 1
    assert "number_of_traces" in result.stderr


def test_the_public_distribution_has_every_component() -> None:
    """The binary has nothing that otelcol-contrib lacks, so what is valid here is valid there."""
    modules = set(re.findall(r"gomod: (\S+) v", (CONFIG / "builder-config.yaml").read_text()))

    assert modules - IN_OTELCOL_CONTRIB == set()


@pytest.mark.parametrize("name", FILES)
def test_each_setting_has_a_safe_default(name: str) -> None:
    """Every variable has a default; addresses are of this machine, nothing is plain text that leaves it, no secret."""
    text = (CONFIG / name).read_text()
    defaults = dict(re.findall(r"\$\{env:(\w+):-([^}]*)\}", text))
    addresses = [default for default in defaults.values() if re.search(r":\d+", default)]

    assert re.findall(r"\$\{env:\w+\}", text) == []
    assert [address for address in addresses if "127.0.0.1" not in address] == []
    assert {
        variable for variable, default in defaults.items() if variable.endswith("INSECURE") and default != "false"
    } == set()
    assert SECRET.findall(text) == []


def test_the_wall_is_the_same_everywhere(binary: Path) -> None:
    """Agent and gateway strip the same content, in spans, span events and logs."""
    [agent, gateway] = [resolved(binary, name)["processors"][WALL] for name in ("agent.yaml", "gateway.yaml")]

    assert agent == gateway
    assert [group["context"] for group in agent["trace_statements"] + agent["log_statements"]] == [
        "span",
        "spanevent",
        "log",
    ]


def test_the_metrics_from_spans_are_the_librarys(binary: Path) -> None:
    """Each metric that an ended span can tell is there: name, unit, buckets and attributes as in semconv."""
    config = resolved(binary, "gateway.yaml", "metrics-from-spans.yaml")
    made = config["connectors"]["signal_to_metrics/streams"]["spans"]

    assert {(name_of(metric), metric["unit"], buckets_of(metric)) for metric in made} == {
        (metric.name, metric.unit, metric.buckets) for metric in TOLD_BY_SPANS
    }
    assert {(name_of(metric), each["key"]) for metric in made for each in metric["attributes"]} == {
        (metric.name, attribute)
        for metric in TOLD_BY_SPANS
        for attribute in {*semconv.STREAM_METRIC_ATTRIBUTES, *metric.attributes} - ADDED_AFTER
    }


def name_of(metric: Any) -> str:
    """Without what rides in it up to the next processor."""
    return metric["name"].partition("/")[0]


def buckets_of(metric: Any) -> tuple[float, ...]:
    """None if it is a counter."""
    return tuple(metric["histogram"]["buckets"]) if metric["histogram"] else ()
