"""Content blocks as gateways send them: whole in their start, never stopped, or of a message that has ended."""

import json

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import Config
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.one_stream import OneStream, one_stream

pytestmark = pytest.mark.usefixtures("quick_collection")


def tool(tool_input: object, *, index: int = 0) -> wire.Event:
    return wire.block_start(index, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": tool_input})


def message(*blocks: wire.Event, stop_reason: str | None = "tool_use") -> Script:
    return [wire.message_start(), *blocks, wire.message_delta(stop_reason, 20), wire.message_stop()]


def test_content_in_the_start_of_a_block(app: OneStream) -> None:
    """It is the block's first chunk: it counts, and it has a time."""
    told = app.read(
        message(
            wire.block_start(0, {"type": "thinking", "thinking": "Hm.", "signature": ""}),
            wire.block_stop(0),
            wire.block_start(1, {"type": "text", "text": "The whole answer."}),
            wire.block_stop(1),
            tool({"a": 1, "b": "zwölf"}, index=2),
            wire.block_stop(2),
        )
    )
    [first] = told.events("llm_stream.first_token")
    [call] = told.events("llm_stream.tool_call")
    counts = told.has(
        "llm_stream.chunk.count",
        "llm_stream.text.chars",
        "llm_stream.thinking.chars",
        "llm_stream.tool_input.chars",
        "llm_stream.tool_call.incomplete",
    )

    assert counts == {
        "llm_stream.chunk.count": 3,
        "llm_stream.text.chars": 17,
        "llm_stream.thinking.chars": 3,
        "llm_stream.tool_input.chars": len('{"a":1,"b":"zwölf"}'),
        "llm_stream.tool_call.incomplete": 0,
    }
    assert first["llm_stream.first_token.kind"] == "thinking"
    assert len(told.has("gen_ai.response.time_to_first_chunk", "llm_stream.time_to_first_text")) == 2
    assert (call["llm_stream.tool_call.complete"], call["llm_stream.tool_call.input_chars"]) == (True, 19)


@pytest.mark.parametrize("block", [{"type": "text", "text": ""}, {"type": "text", "text": 3}, {"type": "text"}, {}])
def test_a_start_without_content(app: OneStream, block: dict[str, object]) -> None:
    """It is no chunk."""
    told = app.read(message(wire.block_start(0, block), wire.block_stop(0)))

    assert told.has("llm_stream.chunk.count", "llm_stream.time_to_first_text") == {"llm_stream.chunk.count": 0}


@pytest.mark.parametrize("deltas", [[], ['{"path"', ':"b.py"}']])
def test_input_in_the_start_of_a_tool_call_is_captured(
    server: MessagesServer, tracer_provider: TracerProvider, exporter: InMemorySpanExporter, deltas: list[str]
) -> None:
    """As JSON; deltas that follow take its place, as they do in the SDK."""
    pieces = [wire.block_delta(0, {"type": "input_json_delta", "partial_json": piece}) for piece in deltas]
    with one_stream(server, tracer_provider, exporter, Config(capture_content="SPAN_ONLY")) as app:
        told = app.read(message(tool({"path": "a.py"}), *pieces, wire.block_stop(0)))
    [answer] = json.loads(str(told.has("gen_ai.output.messages")["gen_ai.output.messages"]))
    [call] = answer["parts"]

    assert call["arguments"] == {"path": "b.py" if deltas else "a.py"}


@pytest.mark.parametrize(
    ("piece", "stop_reason", "counts"),
    [
        ('{"q":"x"}', "tool_use", (0, 0)),
        ('{"q":', "tool_use", (1, 0)),
        ("{q}", "tool_use", (0, 1)),
        ("", "max_tokens", (1, 0)),
    ],
)
def test_a_block_that_never_stops(app: OneStream, piece: str, stop_reason: str, counts: tuple[int, int]) -> None:
    """The end of the message closes it: a call whose input is whole is completed. Its event says that no stop came."""
    delta = wire.block_delta(0, {"type": "input_json_delta", "partial_json": piece})
    told = app.read(message(tool({}), delta, stop_reason=stop_reason))
    [block] = told.events("llm_stream.content_block")

    assert (block["llm_stream.content_block.complete"], block["llm_stream.content_block.stopped"]) == (True, False)
    assert told.has("llm_stream.tool_call.incomplete", "llm_stream.tool_call.invalid_json", "llm_stream.partial") == {
        "llm_stream.tool_call.incomplete": counts[0],
        "llm_stream.tool_call.invalid_json": counts[1],
        "llm_stream.partial": False,
    }


def test_the_stream_is_cut(app: OneStream) -> None:
    """Without the end of the message a block that never stops is cut."""
    told = app.read([wire.message_start(), *list(wire.text_block(0, "Some text."))[:-1]])
    [block] = told.events("llm_stream.content_block")

    assert (block["llm_stream.content_block.complete"], block["llm_stream.content_block.stopped"]) == (False, False)


def test_a_message_that_ends_without_a_stop_reason(app: OneStream) -> None:
    """A reason was expected and did not come: the word of the conventions is `error`, and the outcome `complete`."""
    told = app.read([wire.message_start(), *wire.text_block(0, "Half an answer"), wire.message_stop()])

    assert told.has("llm_stream.outcome", "gen_ai.response.finish_reasons", "llm_stream.stop_reason") == {
        "llm_stream.outcome": "complete",
        "gen_ai.response.finish_reasons": ("error",),
    }


def test_an_empty_stop_reason_is_none(app: OneStream) -> None:
    """A stream that is cut after it is cut in its text."""
    text = list(wire.text_block(0, "Half of it"))
    told = app.read([wire.message_start(), *text[:2], wire.message_delta("", 1), *text[2:-1]])

    assert told.has(
        "llm_stream.outcome", "llm_stream.phase", "llm_stream.stop_reason", "anthropic.message.stop_reason"
    ) == {
        "llm_stream.outcome": "truncated",
        "llm_stream.phase": "text",
    }


@pytest.mark.parametrize(
    "late",
    [
        list(wire.whole_message(wire.text_block(0, "Another message"))),
        [wire.block_delta(0, {"type": "text_delta", "text": "more"})],
        [wire.message_delta("refusal", 9, usage={"iterations": [{"type": "fallback_message", "model": "x"}]})],
        [wire.error("overloaded_error", "too late")],
        [wire.block_start(0, {"type": "fallback", "to": {"model": "x"}})],
    ],
)
def test_events_after_the_end(app: OneStream, late: Script) -> None:
    """They change nothing that is told of the stream."""
    whole = list(wire.whole_message(wire.text_block(0, "Hello")))
    expected, told = app.read(whole), app.read([*whole, *late])
    names = [name for name in expected.under("") if not isinstance(expected.under("")[name], float)]

    assert told.has(*names, "error.type") == expected.has(*names, "error.type")
    assert [event.name for event in told.span.events] == [event.name for event in expected.span.events]


@pytest.mark.parametrize("value", ["text", "5", -1, 1.5, True, None, [], {}, {"type": 3}, [[]]], ids=str)
def test_values_of_the_wrong_type(app: OneStream, value: object) -> None:
    """Nothing is raised, and no attribute has a value of another type: the schema is checked after each test."""
    usage = {"input_tokens": value, "service_tier": value, "iterations": value, "server_tool_use": value}
    told = app.read(
        [
            wire.Event(
                "message_start", {"type": "message_start", "message": {"id": value, "model": value, "usage": usage}}
            ),
            wire.Event("message_start", {"type": "message_start", "message": value}),
            wire.Event("content_block_start", {"type": "content_block_start", "index": value, "content_block": value}),
            wire.block_start(0, {"type": value, "name": value, "id": value, "input": value, "text": value}),
            wire.block_start(
                1, {"type": "fallback", "from": value, "to": {"model": value}, "trigger": {"type": value}}
            ),
            wire.Event("content_block_delta", {"type": "content_block_delta", "index": value, "delta": value}),
            wire.Event("content_block_stop", {"type": "content_block_stop", "index": value}),
            wire.Event("message_delta", {"type": "message_delta", "delta": value, "usage": value}),
            wire.Event(
                "message_delta",
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": value, "stop_details": value},
                    "usage": usage,
                    "context_management": value,
                },
            ),
            wire.Event("something_new", {"type": "something_new", "value": value}),
            wire.message_stop(),
        ]
    )

    assert told.has("llm_stream.outcome") == {"llm_stream.outcome": "complete"}
