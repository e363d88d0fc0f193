"""Refusals: told as one event, one anomaly and a category that is bounded. Why in words is content, and never told."""

import pytest

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script
from tests.anthropic.one_stream import OneStream

pytestmark = pytest.mark.usefixtures("quick_collection")

MARKER = "xyzzy-explanation"


def refused(details: object, stop_reason: str = "refusal") -> Script:
    delta = {"stop_reason": stop_reason, "stop_sequence": None, "stop_details": details}
    message_delta = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}}
    return [
        wire.message_start(),
        *wire.text_block(0, "I can not"),
        wire.Event("message_delta", message_delta),
        wire.message_stop(),
    ]


@pytest.mark.parametrize(
    ("details", "category"),
    [
        ({"type": "refusal", "category": "cyber", "explanation": MARKER}, {"llm_stream.refusal.category": "cyber"}),
        ({"type": "refusal", "category": MARKER}, {"llm_stream.refusal.category": "_OTHER"}),
        ({"type": "refusal", "category": None, "explanation": MARKER}, {}),
        ({"type": "refusal", "category": {"a": MARKER}}, {}),
        (None, {}),
        (MARKER, {}),
    ],
)
def test_a_refusal(app: OneStream, details: object, category: dict[str, str]) -> None:
    """The stream is complete, and its stop reason says what it was; the category is one of those that are known."""
    told = app.read(refused(details))

    assert told.has("llm_stream.outcome", "llm_stream.stop_reason", "llm_stream.refusal.category") == {
        "llm_stream.outcome": "complete",
        "llm_stream.stop_reason": "refusal",
        **category,
    }
    assert told.events("llm_stream.refusal") == [category]
    assert told.values("llm_stream.anomalies", "llm_stream.anomaly") == [({"llm_stream.anomaly": "refusal"}, 1)]
    assert MARKER not in told.span.to_json()


def test_other_details_are_no_refusal(app: OneStream) -> None:
    """Neither is a stop reason of another kind."""
    told = app.read(refused({"type": "pause", "category": "cyber"}, "end_turn"))

    assert told.events("llm_stream.refusal") == []
    assert told.values("llm_stream.anomalies") == []
