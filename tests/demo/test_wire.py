"""The events of a streamed message."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.cli.demo import wire
from streamspan.cli.demo.wire import Event


def deltas(events: Iterable[Event], key: str) -> list[str]:
    """The texts of the deltas that carry `key`."""
    sent = [json.loads(event.encoded().partition(b"data: ")[2]) for event in events]
    return [data["delta"][key] for data in sent if key in data.get("delta", {})]


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_deltas_join_to_the_text(text: str, size: int) -> None:
    """The deltas of any block join to its whole content, whatever their size."""
    assert "".join(deltas(wire.text_block(0, text, size=size), "text")) == text
    assert "".join(deltas(wire.thinking_block(0, text, size=size), "thinking")) == text
    assert "".join(deltas(wire.tool_block(0, "f", text, size=size), "partial_json")) == text


@given(st.text())
def test_encoding_is_one_event_of_json(text: str) -> None:
    """An encoded event has one line of JSON, whatever the text holds."""
    name, data, *rest = wire.error("api_error", text).encoded().decode().split("\n")

    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"] == {"type": "api_error", "message": text}
    assert rest == ["", ""]


def test_refusal_has_its_details() -> None:
    """The stop reason of a refusal has its category beside it; other stop reasons have no details."""
    refused = wire.message_delta("refusal", 3, stop_details=wire.refusal("cyber")).data["delta"]

    assert refused == {
        "stop_reason": "refusal",
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": "This request was declined."},
    }
    assert wire.message_delta("end_turn", 3).data["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


@pytest.mark.parametrize(
    ("block", "names"),
    [
        (wire.text_block(0, "ab", size=1), ["start", "delta", "delta", "stop"]),
        (wire.thinking_block(0, "a"), ["start", "delta", "delta", "stop"]),
        (wire.tool_block(0, "f", {}), ["start", "delta", "delta", "stop"]),
        (wire.text_block(0, ""), ["start", "stop"]),
        (wire.fallback_block(0, "cyber"), ["start", "stop"]),
    ],
)
def test_block_starts_and_stops(block: Iterable[Event], names: list[str]) -> None:
    """A block is its start, its deltas and its stop; a tool call has an empty first delta."""
    assert [event.name.removeprefix("content_block_") for event in block] == names
