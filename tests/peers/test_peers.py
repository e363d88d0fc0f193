"""Other instrumentations of the OpenAI SDK beside ours, each in a process of its own: see `program.py`."""

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from tests.peers.program import INSTRUMENTORS, READERS

PEERS = [name for name in INSTRUMENTORS if name != "streamspan"]
OUTCOMES = {
    "create": "complete",
    "create, async": "complete",
    "create, cut": "truncated",
    "create, left": "aborted",
    "create, refused": "error",
    "stream()": "complete",
}
OFFICIAL = "openai-v2"
LATEST = "gen_ai_latest_experimental"


@cache
def ran(*names: str, conventions: str = "") -> dict[str, Any]:
    """What the application saw and which spans came, by the way of reading."""
    command = [sys.executable, "-m", "tests.peers.program", *names]
    environment = os.environ | {"OTEL_SEMCONV_STABILITY_OPT_IN": conventions, "NO_PROXY": "127.0.0.1"}
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def spans_of(result: Any, *, ours: bool) -> list[Any]:
    return [span for span in result["spans"] if (span["scope"] == "streamspan") == ours]


def orders(peer: str) -> list[Any]:
    return [
        pytest.param(("streamspan", peer), id=f"{peer} second"),
        pytest.param((peer, "streamspan"), id=f"{peer} first"),
    ]


IN_BOTH_ORDERS = [order for peer in PEERS for order in orders(peer)]


@pytest.mark.parametrize("way", READERS)
@pytest.mark.parametrize("names", IN_BOTH_ORDERS)
def test_the_application_sees_what_it_sees_without_ours(names: tuple[str, str], way: str) -> None:
    """Beside another instrumentation, ours changes nothing: neither what the application gets nor the other's span."""
    [peer] = set(names) - {"streamspan"}
    alone, both = ran(peer)[way], ran(*names)[way]

    assert both["seen"] == alone["seen"]
    assert [(span["name"], span["status"]) for span in spans_of(both, ours=False)] == [
        (span["name"], span["status"]) for span in spans_of(alone, ours=False)
    ]


@pytest.mark.parametrize("names", IN_BOTH_ORDERS)
def test_every_stream_has_one_span_of_ours(names: tuple[str, str]) -> None:
    """With the right end, whoever started first."""
    outcomes = {
        way: [span["attributes"]["llm_stream.outcome"] for span in spans_of(result, ours=True)]
        for way, result in ran(*names).items()
    }

    assert outcomes == {way: [outcome] for way, outcome in OUTCOMES.items()}


def test_the_application_sees_what_it_sees_bare() -> None:
    """Without any other instrumentation, too."""
    assert {way: result["seen"] for way, result in ran("streamspan").items()} == {
        way: result["seen"] for way, result in ran().items()
    }


@pytest.mark.parametrize("way", ["create", "create, async", "stream()"])
@pytest.mark.parametrize("conventions", ["", LATEST])
def test_ours_has_what_the_official_one_has(conventions: str, way: str) -> None:
    """Every attribute of the official instrumentation's span is on ours, with the same value."""
    result = ran("streamspan", OFFICIAL, conventions=conventions)[way]
    [ours], [theirs] = spans_of(result, ours=True), spans_of(result, ours=False)

    assert ours["name"] == theirs["name"]
    assert {name: ours["attributes"].get(name) for name in theirs["attributes"]} == theirs["attributes"]
    assert len(theirs["attributes"]) >= 15
