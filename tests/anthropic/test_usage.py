"""Tokens as the API and its imitators report them: counts that fall, steps inside the call, edits of the context."""

import pytest

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script
from tests.anthropic.one_stream import OneStream, Values

pytestmark = pytest.mark.usefixtures("quick_collection")

TOKENS = "gen_ai.usage."
ITERATION_LABELS = ("llm_stream.iteration.type", "gen_ai.token.type", "llm_stream.iteration.model")


def message(first: dict[str, object], *later: dict[str, object]) -> Script:
    """A message whose events report these usages."""
    return [
        wire.message_start(usage=first),
        *wire.text_block(0, "Some text."),
        *(wire.message_delta("end_turn", 20, usage=usage) for usage in later),
        wire.message_stop(),
    ]


def with_iterations(*entries: object) -> Script:
    return message({}, {"iterations": list(entries)})


def step(of_type: object, model: object = None, **tokens: object) -> dict[str, object]:
    return {"type": of_type, "model": model, "input_tokens": 10, "output_tokens": 3, **tokens}


@pytest.mark.parametrize("count", [0, 5, -1, "x", True, None, 1.5, [], {}, 10**30], ids=str)
def test_a_count_never_falls(app: OneStream, count: object) -> None:
    """A gateway that reports 0, less, or no count at all at the end does not undo what was reported before."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    told = app.read(
        message(
            {"input_tokens": 1500, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 100},
            dict.fromkeys(names, count),
        )
    )

    assert told.under(TOKENS) == {
        "gen_ai.usage.input_tokens": 2500,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 900,
        "gen_ai.usage.cache_write.input_tokens": 100,
    }


def test_a_compaction_is_counted_apart(app: OneStream) -> None:
    """The first event counts what the compaction has read; the last one does not, and is right."""
    compaction = step("compaction", input_tokens=100, cache_read_input_tokens=55_096)
    steps = [compaction, step("message")]
    last: dict[str, object] = {"input_tokens": 181, "cache_read_input_tokens": 0, "iterations": steps}
    told = app.read(message({"input_tokens": 100, "cache_read_input_tokens": 55_096}, last))

    assert told.has("gen_ai.usage.input_tokens", "anthropic.usage.compaction.input_tokens") == {
        "gen_ai.usage.input_tokens": 181,
        "anthropic.usage.compaction.input_tokens": 55_196,
    }


def test_tokens_of_an_advisor(app: OneStream) -> None:
    """No count of the usage has them, and they are billed: attributes and a counter have them, with the model."""
    told = app.read(
        with_iterations(
            step("message"),
            step("advisor_message", "claude-opus-5-5", input_tokens=15_000, cache_read_input_tokens=5),
            step("advisor_message", "claude-opus-5-5", output_tokens=700),
            step("fallback_message"),
        )
    )
    labels = {"llm_stream.iteration.type": "advisor_message", "llm_stream.iteration.model": "claude-opus-5-5"}

    assert told.under("anthropic.usage.") == {
        "anthropic.usage.advisor_message.input_tokens": 15_015,
        "anthropic.usage.advisor_message.output_tokens": 703,
        "anthropic.usage.advisor_message.model": "claude-opus-5-5",
    }
    assert told.values("llm_stream.iteration.tokens", *ITERATION_LABELS) == [
        ({**labels, "gen_ai.token.type": "input"}, 15_015),
        ({**labels, "gen_ai.token.type": "output"}, 703),
    ]


def test_steps_of_a_type_that_is_new(app: OneStream) -> None:
    """They have attributes of the same form, for a few types whose names are words; a sum never falls."""
    entries = [step(f"new_step_{number}") for number in range(100)]
    told = app.read(
        message({}, {"iterations": [step("a b"), step(7), step(None), 3, None, *entries]}, {"iterations": entries[:1]})
    )

    assert told.under("anthropic.usage.") == {
        f"anthropic.usage.new_step_{number}.{name}": tokens
        for number in range(4)
        for name, tokens in (("input_tokens", 10), ("output_tokens", 3))
    }


@pytest.mark.parametrize("tokens", ["x", -5, True, None, [], 10**30], ids=str)
def test_tokens_of_steps_that_are_no_count(app: OneStream, tokens: object) -> None:
    """They count as none."""
    told = app.read(with_iterations(step("compaction", input_tokens=tokens)))
    counted: Values = [({"gen_ai.token.type": "output"}, 3)]

    assert told.under("anthropic.usage.") == {
        "anthropic.usage.compaction.input_tokens": 0,
        "anthropic.usage.compaction.output_tokens": 3,
    }
    assert told.values("llm_stream.iteration.tokens", "gen_ai.token.type") == counted


def test_speed_and_geography(app: OneStream) -> None:
    """They stand beside the service tier, also where only the first event has them."""
    told = app.read(message({"speed": "fast", "inference_geo": "us"}, {}))

    assert told.under("anthropic.response.") == {
        "anthropic.response.service_tier": "standard",
        "anthropic.response.speed": "fast",
        "anthropic.response.inference_geo": "us",
    }


def test_speed_and_geography_that_are_no_words(app: OneStream) -> None:
    """They are left out."""
    told = app.read(message({"speed": 3, "inference_geo": ["us"], "service_tier": None}, {}))

    assert told.under("anthropic.response.") == {}


@pytest.mark.parametrize(
    ("context_management", "expected"),
    [
        (
            {"applied_edits": [{"type": "a", "cleared_input_tokens": 500}, {"type": "b", "cleared_input_tokens": 70}]},
            (2, 570),
        ),
        ({"applied_edits": []}, (0, 0)),
        ({"applied_edits": ["x", None, {"cleared_input_tokens": -3}]}, (3, 0)),
        ({"applied_edits": "x"}, None),
        ("x", None),
        (None, None),
    ],
)
def test_edits_of_the_context(app: OneStream, context_management: object, expected: tuple[int, int] | None) -> None:
    """How many were applied, and how many tokens they cleared."""
    script = message({}, {})
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
    edited = wire.Event("message_delta", {**delta, "context_management": context_management})
    told = app.read([*script[:-2], edited, script[-1]])
    found = told.under("anthropic.context_management.")

    assert tuple(found.values()) == (expected or ())
