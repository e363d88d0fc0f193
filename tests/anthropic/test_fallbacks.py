"""Another model goes on within a stream: by the API's fallback, or because a gateway begins a second message."""

from typing import Any

import pytest

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script
from tests.anthropic.one_stream import OneStream

pytestmark = pytest.mark.usefixtures("quick_collection")

FIRST, SECOND, THIRD = "claude-fable-5", "claude-opus-5-5", "claude-haiku-5-5"
MODEL = "gen_ai.response.model"


def fallback_block(index: int, before: str, after: str, **more: object) -> list[wire.Event]:
    block: dict[str, Any] = {"type": "fallback", "from": {"model": before}, "to": {"model": after}, **more}
    return [wire.block_start(index, block), wire.block_stop(index)]


def message(*blocks: list[wire.Event], usage: dict[str, object] | None = None) -> Script:
    body = [event for block in blocks for event in block]
    return [
        wire.message_start(model=FIRST),
        *body,
        wire.message_delta("end_turn", 20, usage=usage),
        wire.message_stop(),
    ]


def test_the_api_falls_back(app: OneStream) -> None:
    """One event with both models and the trigger; the span sums up, and names the model that finished."""
    refusal = {"type": "refusal", "category": "cyber"}
    told = app.read(
        message(fallback_block(0, FIRST, SECOND, trigger=refusal), list(wire.text_block(1, "A safe answer.")))
    )
    fallback = {
        "llm_stream.fallback.from": FIRST,
        "llm_stream.fallback.to": SECOND,
        "llm_stream.fallback.trigger": "refusal",
    }

    assert told.events("llm_stream.fallback") == [{**fallback, "llm_stream.refusal.category": "cyber"}]
    assert told.under("llm_stream.fallback.") == {**fallback, "llm_stream.fallback.count": 1}
    assert told.has(MODEL, "llm_stream.refusal.category") == {MODEL: SECOND}
    assert told.values("llm_stream.anomalies") == []


@pytest.mark.parametrize("trigger", [None, {"type": "overloaded"}, {"type": 3}, "refusal", {"category": []}])
def test_a_trigger_that_is_not_known(app: OneStream, trigger: object) -> None:
    """Two in a row: from the first model to the last, for a reason that is not known."""
    told = app.read(
        message(fallback_block(0, FIRST, SECOND, trigger=trigger), fallback_block(1, SECOND, THIRD, trigger=trigger))
    )

    assert told.under("llm_stream.fallback.") == {
        "llm_stream.fallback.from": FIRST,
        "llm_stream.fallback.to": THIRD,
        "llm_stream.fallback.trigger": "_OTHER",
        "llm_stream.fallback.count": 2,
    }


@pytest.mark.parametrize("block", [{}, {"to": None}, {"from": {"model": 3}, "to": [], "trigger": {}}])
def test_a_fallback_that_names_no_model(app: OneStream, block: dict[str, object]) -> None:
    """It is told of, and the model stays the one that is known."""
    told = app.read(message([wire.block_start(0, {"type": "fallback", **block})]))

    assert told.events("llm_stream.fallback") == [{"llm_stream.fallback.trigger": "_OTHER"}]
    assert told.has(MODEL) == {MODEL: FIRST}


def test_only_the_usage_says_so(app: OneStream) -> None:
    """Where no model before it had begun, there is no block; the usage has an entry of the fallback's model."""
    iterations = [{"type": "fallback_message", "model": SECOND, "input_tokens": 1, "output_tokens": 2}]
    told = app.read(message(list(wire.text_block(0, "An answer.")), usage={"iterations": iterations}))

    assert told.under("llm_stream.fallback.") == {
        "llm_stream.fallback.to": SECOND,
        "llm_stream.fallback.trigger": "_OTHER",
        "llm_stream.fallback.count": 1,
    }
    assert told.has(MODEL) == {MODEL: SECOND}


def test_a_gateway_begins_a_second_message(app: OneStream) -> None:
    """Id, model and usage are those of the message that finished."""
    told = app.read(
        [
            wire.message_start(model=FIRST, message_id="msg_a", usage={"input_tokens": 100}),
            *list(wire.text_block(0, "The begin"))[:-1],
            wire.message_start(model=SECOND, message_id="msg_b", usage={"input_tokens": 60}),
            *wire.text_block(0, "The beginning and the end."),
            wire.message_delta("end_turn", 12),
            wire.message_stop(),
        ]
    )

    assert told.under("llm_stream.fallback.") == {
        "llm_stream.fallback.from": FIRST,
        "llm_stream.fallback.to": SECOND,
        "llm_stream.fallback.trigger": "second_message",
        "llm_stream.fallback.count": 1,
    }
    assert told.has(MODEL, "gen_ai.response.id", "gen_ai.usage.input_tokens", "llm_stream.outcome") == {
        MODEL: SECOND,
        "gen_ai.response.id": "msg_b",
        "gen_ai.usage.input_tokens": 60,
        "llm_stream.outcome": "complete",
    }
    assert [block["llm_stream.content_block.complete"] for block in told.events("llm_stream.content_block")] == [
        False,
        True,
    ]


def test_the_same_message_begins_again(app: OneStream) -> None:
    """Nobody fell back."""
    told = app.read([wire.message_start(), *wire.whole_message(wire.text_block(0, "Hello"))])

    assert told.under("llm_stream.fallback.") == {}
