"""The events of the Responses API: what is in a stream, and how servers differ."""

import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseStreamEvent, ResponseTextDeltaEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import MessagesServer
from streamspan.cli.demo.wire import Event
from streamspan.core.stream import StreamState
from streamspan.openai.responses import ResponsesTranslator
from tests.openai import responses as api
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("openai_instrumented", "quick_collection")

Read = Callable[..., ReadableSpan]


@pytest.fixture
def read(server: MessagesServer, exporter: InMemorySpanExporter) -> Read:
    """Reads one stream and gives its span."""

    def span_of(script: Script, way: api.Read = api.created, **request: Any) -> ReadableSpan:
        server.scripts.append(script)
        way(server.url, {**api.REQUEST, **request})
        [span] = ended_spans(exporter)
        return span

    return span_of


def has(span: ReadableSpan, *names: str) -> Sequence[object]:
    """The attributes of these names; None is one that is absent."""
    return [attributes(span).get(name) for name in names]


def blocks(span: ReadableSpan, *names: str) -> Sequence[Sequence[object]]:
    """What the span's events say of each content block."""
    prefix = "llm_stream.content_block."
    return [
        [(event.attributes or {})[prefix + name] for name in names]
        for event in span.events
        if event.name == "llm_stream.content_block"
    ]


def chars(span: ReadableSpan) -> Mapping[str, object]:
    """Of each channel that has any."""
    channels = ("text", "thinking", "tool_input")
    counted = {name: attributes(span).get(f"llm_stream.{name}.chars") for name in channels}
    return {name: count for name, count in counted.items() if count}


def calls(span: ReadableSpan) -> Sequence[object]:
    """All tool calls, those that were cut, and those whose input is no JSON."""
    names = ("count", "incomplete", "invalid_json")
    return has(span, *(f"llm_stream.tool_call.{name}" for name in names))


# --- a whole answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", api.WAYS)
def test_an_answer(read: Read, way: api.Read) -> None:
    """Reasoning, text and a call are the same however the stream is read."""
    script = api.whole(
        api.reasoning(0, "First this. ", "Then that."),
        api.message(1, "I will ", "look."),
        api.function_call(2, '{"q":', '"x"}'),
    )

    span = read(script, way)

    assert span.name == "chat gpt-5.1"
    assert {name: value for name, value in attributes(span).items() if name in EXPECTED} == EXPECTED
    assert blocks(span, "index", "type", "chars", "chunk_count", "complete") == [
        [0, "reasoning", 22, 2, True],
        [1, "text", 12, 2, True],
        [2, "function_call", 9, 2, True],
    ]


EXPECTED: Mapping[str, object] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.1",
    "openai.api.type": "responses",
    "gen_ai.response.id": "resp_1",
    "gen_ai.response.model": "gpt-5.1-2025-11-13",
    "gen_ai.response.finish_reasons": ("tool_calls",),
    "llm_stream.stop_reason": "tool_calls",
    "llm_stream.outcome": "complete",
    "llm_stream.partial": False,
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.cache_read.input_tokens": 60,
    "gen_ai.usage.output_tokens": 40,
    "gen_ai.usage.reasoning.output_tokens": 25,
    "openai.response.service_tier": "default",
    "llm_stream.chunk.count": 6,
    "llm_stream.text.chars": 12,
    "llm_stream.thinking.chars": 22,
    "llm_stream.tool_input.chars": 9,
    "llm_stream.tool_call.count": 1,
    "llm_stream.tool_call.incomplete": 0,
}


def test_the_request(read: Read) -> None:
    """What is asked for is on the span under the names of the conventions."""
    span = read(
        api.whole(api.message(0, "{}")),
        max_output_tokens=500,
        temperature=0.5,
        top_p=0.9,
        reasoning={"effort": "low"},
        extra_body={"service_tier": "flex", "conversation": {"id": "conv_1"}},
        text={"format": {"type": "json_schema", "name": "answer", "schema": {}}},
    )

    assert (
        attributes(span).items()
        >= {
            "gen_ai.request.max_tokens": 500,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.top_p": 0.9,
            "gen_ai.request.reasoning.level": "low",
            "openai.request.service_tier": "flex",
            "gen_ai.conversation.id": "conv_1",
            "gen_ai.output.type": "json",
        }.items()
    )


# --- channels and blocks -----------------------------------------------------------------------------------------

TEXT, THINKING, INPUT = ({name: 4} for name in ("text", "thinking", "tool_input"))


@pytest.mark.parametrize(
    ("events", "block", "expected"),
    [
        (api.message(0, "a b", "."), "text", TEXT),
        (api.message(0, "No, ", part_type="refusal"), "refusal", TEXT),
        (api.reasoning(0, "Hm, ", content="reasoning_text"), "reasoning", THINKING),
        (api.reasoning(0, "H", "m, "), "reasoning", THINKING),
        (api.function_call(0, "[1", "2]"), "function_call", INPUT),
        (api.call(0, "mcp_call", "mcp_call_arguments", "arguments", "[12]"), "mcp_call", INPUT),
        (api.call(0, "custom_tool_call", "custom_tool_call_input", "input", "ls /"), "custom_tool_call", INPUT),
        (
            api.call(0, "code_interpreter_call", "code_interpreter_call_code", "code", "f(x)"),
            "code_interpreter_call",
            INPUT,
        ),
        (
            api.call(0, "code_interpreter_call", "code_interpreter_call.code", "code", "f(x)"),
            "code_interpreter_call",
            INPUT,
        ),
        (api.call(0, "shell_call", "shell_call_command", "command", "ls /"), "shell_call", INPUT),
        ([api.event("response.audio.transcript.delta", delta="Hey!")], "audio", TEXT),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_channels(read: Read, events: Sequence[Event], block: str, expected: Mapping[str, int]) -> None:
    """Each kind of content is in its channel, and in a block of its own."""
    span = read(api.whole(events))

    assert chars(span) == expected
    assert blocks(span, "type", "chars", "complete") == [[block, 4, True]]


@pytest.mark.parametrize(
    "item_type",
    [
        "web_search_call",
        "file_search_call",
        "image_generation_call",
        "computer_call",
        "local_shell_call",
        "apply_patch_call",
        "some_new_call",
    ],
)
def test_calls_without_input(read: Read, item_type: str) -> None:
    """A tool that the provider runs is a tool call, named by its type, whose input does not come in deltas."""
    item = {"id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
    events = [
        api.item_added(0, item_type, **item),
        api.event(f"response.{item_type}.in_progress", output_index=0, item_id="ws_1"),
        api.event(f"response.{item_type}.completed", output_index=0, item_id="ws_1"),
        api.item_done(0, item_type, **item),
    ]
    span = read(api.whole(events))

    [call] = [event.attributes for event in span.events if event.name == "llm_stream.tool_call"]
    assert call is not None
    assert [call["gen_ai.tool.name"], call["gen_ai.tool.call.id"]] == [item_type.removesuffix("_call"), "ws_1"]
    assert calls(span) == [1, 0, 0]


@pytest.mark.parametrize("item_type", ["mcp_list_tools", "compaction", "function_call_output", "unknown"])
def test_other_items(read: Read, item_type: str) -> None:
    """They are blocks, and no tool calls."""
    span = read(api.whole([api.item_added(0, item_type), api.item_done(0, item_type)]))

    assert blocks(span, "type", "chars") == [[item_type, 0]]
    assert calls(span)[0] == 0


def test_a_message_of_several_parts(read: Read) -> None:
    """Each part is a block."""
    events = api.message(0, "Some text.")
    where: dict[str, object] = {"item_id": "msg_0", "output_index": 0, "content_index": 1}
    second = [
        api.event("response.content_part.added", **where, part=api.part("refusal", "")),
        api.event("response.refusal.delta", **where, delta="No."),
        api.event("response.content_part.done", **where, part=api.part("refusal", "No.")),
    ]
    span = read(api.whole([*events[:-1], *second, events[-1]]))

    assert blocks(span, "index", "type", "chars", "complete") == [[0, "text", 10, True], [1, "refusal", 3, True]]
    assert has(span, "llm_stream.refusal.category") == [None]
    assert "llm_stream.refusal" in {event.name for event in span.events}


def test_hidden_reasoning(read: Read) -> None:
    """Reasoning that is not sent in plain text is a block with a duration and no chars."""
    encrypted = [
        api.item_added(0, "reasoning", id="rs_0", summary=[], encrypted_content="gAAAA"),
        api.item_done(0, "reasoning", id="rs_0", summary=[], encrypted_content="gAAAAB"),
    ]
    span = read(api.whole(encrypted, api.message(1, "Done.")))

    assert blocks(span, "type", "chars") == [["reasoning", 0], ["text", 5]]
    assert has(span, "llm_stream.thinking.time") != [None]


# --- what servers do otherwise -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (api.function_call(0, whole="[12]"), INPUT),
        (api.function_call(0, whole="[12]")[::2], INPUT),
        (api.function_call(0, whole="[12]")[-1:], INPUT),
        (api.call(0, "mcp_approval_request", "none", "arguments", whole="[12]")[::2], INPUT),
        ([event for event in api.message(0, "a b.") if not event.name.endswith("delta")], TEXT),
        ([event for event in api.message(0, "a b.") if event.name.startswith("response.output_item")], TEXT),
        (api.message(0, "a b.")[-1:], TEXT),
        (api.reasoning(0, "Hm, ")[-1:], THINKING),
        ([event for event in api.reasoning(0, "Hm, ") if not event.name.endswith("delta")], THINKING),
    ],
    ids=[
        "arguments with their last event",
        "arguments with the item",
        "an item that never began",
        "approval",
        "text with its last event",
        "text with the message",
        "a message that never began",
        "reasoning that never began",
        "reasoning with its last event",
    ],
)
def test_content_without_deltas(read: Read, events: Sequence[Event], expected: Mapping[str, int]) -> None:
    """Content that comes whole counts as one chunk, and its block is complete."""
    span = read(api.whole(events))

    assert chars(span) == expected
    assert has(span, "llm_stream.chunk.count", "llm_stream.tool_call.incomplete") == [1, 0]
    assert blocks(span, "chars", "complete") == [[4, True]]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (api.message(0, "a", " b.")[2:4], TEXT),
        (api.function_call(0, "[1", "2]")[1:3], INPUT),
        (api.function_call(0, "[1", "2] ")[2:], {"tool_input": 3}),
        (api.reasoning(0, "Hm", ", ")[1:-1], THINKING),
    ],
    ids=["text", "arguments", "the end of arguments", "reasoning"],
)
def test_deltas_that_nothing_announces(read: Read, events: Sequence[Event], expected: Mapping[str, int]) -> None:
    """A block begins with its first delta. Input whose beginning may be missing is not judged."""
    span = read(api.whole(events))

    assert chars(span) == expected
    assert blocks(span, "complete") == [[True]]
    assert has(span, "llm_stream.tool_call.invalid_json", "llm_stream.tool_call.incomplete") == [0, 0]


def test_ids_that_change(read: Read) -> None:
    """An item is known by its index: some servers change its id between its events."""
    events = api.function_call(0, "[1", "2]")
    changed = [Event(event.name, {**event.data, "item_id": f"tmp_{n}"}) for n, event in enumerate(events)]
    last = {**changed[-1].data, "item": {"type": "function_call", "id": "fc_9", "arguments": "[12]"}}
    span = read(api.whole([*changed[:-1], Event(changed[-1].name, last)]))

    assert blocks(span, "chars", "chunk_count", "complete") == [[4, 2, True]]
    assert calls(span) == [1, 0, 0]


def test_items_side_by_side(read: Read) -> None:
    """Deltas of two items may take turns."""
    first, second = api.function_call(0, "[1", "2]"), api.function_call(1, "[3", "4]")
    mixed = [event for pair in zip(first, second, strict=True) for event in pair]
    span = read(api.whole(mixed))

    assert blocks(span, "index", "chars", "chunk_count") == [[0, 4, 2], [1, 4, 2]]
    assert calls(span) == [2, 0, 0]


@pytest.mark.parametrize("where", [{}, {"output_index": None}, {"output_index": "x"}, {"output_index": [0]}], ids=str)
def test_no_index(read: Read, where: Mapping[str, object]) -> None:
    """A server that does not number its items is read all the same."""
    events = [event for event in api.message(0, "a b", ".") if event.name != "response.content_part.added"]
    unnumbered = [{name: value for name, value in event.data.items() if name != "output_index"} for event in events]
    span = read(api.whole([Event(str(values["type"]), {**values, **where}) for values in unnumbered]))

    assert chars(span) == TEXT
    assert has(span, "llm_stream.outcome") == ["complete"]


def test_keep_alives(read: Read) -> None:
    """An event that says that the line lives ends no gap, and is counted."""
    alive = [api.event("keepalive")] * 3
    events = api.message(0, "Some ", "text.")
    span = read(api.whole([*events[:3], *alive, *events[3:]]))

    assert has(span, "llm_stream.keepalive.count", "llm_stream.chunk.count") == [3, 2]


@pytest.mark.parametrize(
    "odd",
    [
        api.event("response.something_new.delta", delta="x", output_index=0),
        api.event("response.output_text.delta", output_index=0, content_index=0, delta=None),
        api.event("response.output_text.delta", output_index=0, content_index=0, delta={"text": "x"}),
        api.event("response.output_item.added", output_index=3, item=None),
        api.event("response.output_item.done", output_index=3, item="x"),
        api.event("response.content_part.added", output_index=0, part=[]),
        api.event("response.content_part.done", output_index=0),
        api.event("response.in_progress", response=None),
        Event("odd", {"type": None}),
        Event("odd", {}),
        Event("odd", {"type": ["response.completed"]}),
    ],
    ids=range(11),
)
def test_odd_events(read: Read, odd: Event) -> None:
    """Whatever a server sends between them, the deltas before and after are counted, and nothing fails."""
    events = api.message(0, "a b", ".")
    span = read(api.whole([*events[:3], odd, *events[3:]]))

    assert has(span, "llm_stream.outcome", "llm_stream.text.chars") == ["complete", 4]


# --- media -------------------------------------------------------------------------------------------------------


def test_media_are_counted(read: Read) -> None:
    """The size of audio and images, in bytes, is on the span."""
    events = [
        api.event("response.audio.delta", delta="AAAA"),
        api.event("response.audio.delta", delta=7),
        api.item_added(0, "image_generation_call", id="ig_0"),
        api.event("response.image_generation_call.partial_image", output_index=0, partial_image_b64="A" * 400),
        api.item_done(0, "image_generation_call", id="ig_0", result="A" * 4000),
    ]
    span = read(api.whole(events))

    assert has(span, "llm_stream.media.size", "llm_stream.chunk.count") == [3 + 300 + 3000, 0]


# --- the translator by itself ------------------------------------------------------------------------------------


def delta(text: object = "a", **values: object) -> Any:
    known = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "x"}
    return ResponseTextDeltaEvent.model_construct(**{**known, "delta": text, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (delta("more"), "more"),
        (delta("more", item_id="y"), "more"),
        (delta("more", output_index=1), None),
        (delta("more", content_index=1), None),
        (delta("more", type="response.refusal.delta"), None),
        (delta("more", type="response.output_text.done"), None),
        (delta(None), None),
        (delta(7), None),
        ({"type": "response.output_text.delta"}, None),
        (None, None),
    ],
    ids=range(10),
)
def test_what_goes_on(event: Any, expected: str | None) -> None:
    """Only a delta of the same part of the same item, known by its index, goes on with the last one."""
    translator = ResponsesTranslator()
    state = StreamState(0.0)
    state.opened(1.0)
    translator.translate(delta(), 0.0, 2.0, state)

    assert translator.continued(event) == expected


def unending() -> Iterator[Mapping[str, object]]:
    for index in range(20_000):
        item = {"type": "function_call", "name": f"f{index}", "call_id": f"call_{index}"}
        yield {"type": "response.output_item.added", "output_index": index, "item": item}


def test_memory() -> None:
    """A stream of items that never end uses no more than any other."""
    translator, state = ResponsesTranslator(), StreamState(0.0)
    state.opened(1.0)
    tracemalloc.start()
    for event in unending():
        translator.translate(event, 0.0, 2.0, state)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert used < 64 * 1024


# --- resumed -----------------------------------------------------------------------------------------------------


def test_a_resumed_stream(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A background response that is read on from some event has a span with what came since."""
    server.scripts.append([*api.message(0, "Some ", "text.")[3:], api.completed()])

    with api.client(server.url) as client:
        events: Sequence[Any] = list(
            client.get(
                "/responses/resp_1",
                options={"params": {"stream": True, "starting_after": 5}},
                cast_to=ResponseStreamEvent,
                stream=True,
                stream_cls=openai.Stream[ResponseStreamEvent],
            )
        )
    [span] = ended_spans(exporter)

    assert len(events) == 5
    assert has(span, "openai.api.type", "gen_ai.response.id", "gen_ai.response.model", "http.route") == [
        "responses",
        "resp_1",
        "gpt-5.1-2025-11-13",
        "/responses/{response_id}",
    ]
    assert has(span, "llm_stream.outcome", "llm_stream.text.chars", "llm_stream.stop_reason") == ["complete", 5, "stop"]


def test_a_plain_call_is_left_alone(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Neither a call without a stream nor a response that is fetched has a span."""
    with api.client(server.url) as client, pytest.raises(openai.InternalServerError):
        client.responses.retrieve("resp_1")

    assert ended_spans(exporter) == []
