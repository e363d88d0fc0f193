"""What the events of the SDK are to the core: kinds of blocks, tool calls, and the reasons that cut one off."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pytest

from streamspan.anthropic.events import Translator
from streamspan.core.model import BlockKind, BlockStart, Ending, Phase
from streamspan.core.stream import StreamState

Event = Mapping[str, object]


def block_start(block_type: str, index: object = 0) -> Event:
    block = {"type": block_type, "name": "search", "id": "id_1"}
    return {"type": "content_block_start", "index": index, "content_block": block}


def block_stop(index: int = 0) -> Event:
    return {"type": "content_block_stop", "index": index}


def message_delta(stop_reason: object) -> Event:
    return {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {"output_tokens": 9}}


def translated(events: Sequence[Event]) -> StreamState:
    state = StreamState(0.0)
    state.opened(1.0)
    translator = Translator()
    for event in events:
        translator.translate(event, 0.0, 2.0, state)
    return state


class Starts(StreamState):
    """Keeps what the core is told of each block that begins."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.starts: list[BlockStart] = []

    def block_started(self, start: BlockStart, at: float, content: str = "") -> tuple[()]:
        self.starts.append(start)
        return ()


@pytest.mark.parametrize(
    ("block_type", "kind"),
    [
        ("text", "text"),
        ("thinking", "thinking"),
        ("redacted_thinking", "hidden_thinking"),
        ("tool_use", "tool_call"),
        ("server_tool_use", "tool_call"),
        ("mcp_tool_use", "tool_call"),
        ("some_new_tool_use", "tool_call"),
        ("web_search_tool_result", "other"),
        ("tool_use_result", "other"),
        ("something_new", "other"),
    ],
)
def test_kinds_of_blocks(block_type: str, kind: BlockKind) -> None:
    """A tool call is a block whose type ends in `tool_use`: of the client, of a server, of what is to come."""
    state = Starts()
    Translator().translate(block_start(block_type), 0.0, 2.0, state)

    assert state.starts == [BlockStart(0, block_type, kind, "search", "id_1")]


@pytest.mark.parametrize("index", [None, "0", 1.5, True])
def test_an_index_that_is_none(index: object) -> None:
    """A block whose index is no number is a block all the same, which no delta belongs to."""
    state = Starts()
    Translator().translate(block_start("text", index), 0.0, 2.0, state)

    assert [start.index for start in state.starts] == [-1]


@pytest.mark.parametrize(
    ("stop_reasons", "completed", "incomplete"),
    [
        (["max_tokens"], 0, 1),
        (["model_context_window_exceeded"], 0, 1),
        ([None, "max_tokens"], 0, 1),
        (["max_tokens", "max_tokens"], 0, 1),
        (["tool_use"], 1, 0),
        (["stop_sequence"], 1, 0),
        ([None], 1, 0),
    ],
)
def test_reasons_that_cut_the_output(stop_reasons: Sequence[object], completed: int, incomplete: int) -> None:
    """A tool call without input is whole, unless a limit stopped the model before it could write any."""
    events = [block_start("tool_use"), block_stop(), *map(message_delta, stop_reasons)]

    summary = translated(events).ended(Ending("complete", 3.0))

    assert (summary.tool_calls_completed, summary.tool_calls_incomplete) == (completed, incomplete)


@pytest.mark.parametrize(
    ("stop_reason", "phase"), [("end_turn", "after_stop_reason"), (None, "waiting"), (7, "waiting")]
)
def test_a_message_delta_without_a_stop_reason(stop_reason: object, phase: Phase) -> None:
    """It reports tokens, and nothing has stopped."""
    summary = translated([message_delta(stop_reason)]).ended(Ending("closed", 3.0))

    assert (summary.phase, summary.usage.output_tokens) == (phase, 9)


def test_only_the_stop_of_the_message_finishes_it() -> None:
    """Its stop reason does not: more counts may come."""
    before = translated([message_delta("end_turn")])
    after = translated([message_delta("end_turn"), {"type": "message_stop"}])

    assert (before.finished, after.finished) == (False, True)


def model(**values: object) -> SimpleNamespace:
    return SimpleNamespace(**values)


def text_delta(index: object, text: object) -> SimpleNamespace:
    return model(type="content_block_delta", index=index, delta=model(type="text_delta", text=text))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(text_delta(0, "more"), "more", id="the same block and kind"),
        pytest.param(text_delta(0, ""), "", id="no text"),
        pytest.param(text_delta(1, "more"), None, id="another block"),
        pytest.param(text_delta(0, ["more"]), None, id="no text but a list"),
        pytest.param(text_delta(0, None), None, id="no text but null"),
        pytest.param(
            model(type="content_block_delta", index=0, delta=model(type="thinking_delta", thinking="more")),
            None,
            id="another kind",
        ),
        pytest.param(model(type="content_block_stop", index=0), None, id="no delta"),
        pytest.param({"type": "content_block_delta"}, None, id="no model"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_what_goes_on_with_the_last_chunk(event: object, expected: str | None) -> None:
    """Only a text of the same block and kind may be taken together with the chunk before it."""
    state = StreamState(0.0)
    translator = Translator()
    first = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "first"}}
    translator.translate(first, 0.0, 2.0, state)

    assert translator.continued(event) == expected


def test_nothing_goes_on_after_another_event() -> None:
    """A block that has stopped between two chunks ends what they have in common."""
    translator = Translator()
    state = StreamState(0.0)
    first = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "first"}}
    translator.translate(first, 0.0, 2.0, state)
    translator.translate(block_stop(), 0.0, 2.0, state)

    assert translator.continued(text_delta(0, "more")) is None
