"""The cap on captured content holds while it is collected, whatever comes."""

from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.captured import Budget, Output, Text, part_of
from streamspan.core.model import BlockKind, BlockStart, Ending
from streamspan.core.stream import StreamState

CAP = 200
KINDS: dict[str, BlockKind] = {"text": "text", "thinking": "thinking", "hidden": "hidden_thinking", "call": "tool_call"}


def parts(output: Output) -> list[object]:
    """With the texts as they are now."""
    return [
        {key: str(value) if isinstance(value, Text) else value for key, value in part.items()}
        for part in output.parts
        if isinstance(part, dict)
    ]


def delivered(*blocks: tuple[str, list[str]], cap: int) -> tuple[Output, Budget]:
    """What is captured of a stream with these blocks, of a type and of pieces."""
    budget = Budget(cap)
    output = Output(budget)
    state = StreamState(0.0)
    state.capture(output)
    for index, (block_type, pieces) in enumerate(blocks):
        state.block_started(BlockStart(index, block_type, KINDS.get(block_type, "other"), "get", f"id{index}"), 1.0)
        for piece in pieces:
            state.delta("text", index, piece, 1.0)
        state.block_stopped(index, 1.0)
    state.ended(Ending("truncated", 2.0))
    return output, budget


def test_parts_in_order() -> None:
    """Each block is a part in the conventions' form; one of hidden thinking is none."""
    output, budget = delivered(
        ("thinking", ["Let me ", "see."]), ("hidden", []), ("text", ["Hello"]), ("news", []), cap=10_000
    )

    assert not budget.exceeded
    assert parts(output) == [
        {"type": "reasoning", "content": "Let me see."},
        {"type": "text", "content": "Hello"},
        {"type": "news", "content": ""},
    ]


def test_tool_calls() -> None:
    """Each is a tool call, whatever its type; a name or an id that did not come is not there."""
    text = Text(Budget(9), "{}", is_json=True)

    assert part_of(BlockStart(0, "call", "tool_call", "get", "id1"), text) == {
        "type": "tool_call",
        "id": "id1",
        "name": "get",
        "arguments": text,
    }
    assert part_of(BlockStart(0, "call_of_the_server", "tool_call", "search"), text) == {
        "type": "tool_call",
        "name": "search",
        "arguments": text,
    }


def test_only_the_input_of_a_tool_call_is_json() -> None:
    """A text that happens to be JSON stays a text."""
    output = Output(Budget(1000))
    texts = [output.part(BlockStart(0, block_type, KINDS[block_type])) for block_type in ("text", "call")]

    assert [text.is_json for text in texts if text is not None] == [False, True]


def test_many_small_pieces_are_few_objects() -> None:
    """A text that comes char by char takes the room of a few strings."""
    text = Text(Budget(1000))
    for char in "abcdefghij" * 50:
        text.add(char)

    assert (str(text), text.truncated) == ("abcdefghij" * 50, False)
    assert len(text._pieces) <= 64


def test_what_is_beyond_the_cap_is_cut() -> None:
    """The text that meets the cap is cut there, and what follows has no room."""
    output, budget = delivered(("text", ["a" * 100, "b" * 100]), ("text", ["c"]), cap=CAP)

    assert [len(str(part["content"])) for part in output.parts if isinstance(part, dict)] == [CAP - 64 - 4 - 3 - 3]
    assert (budget.exceeded, budget.left) == (True, 0)


def test_a_budget_remembers_that_it_was_exceeded() -> None:
    """Whether a text or a frame had no room, and whatever follows."""
    of_text, of_frames = Budget(3), Budget(64)
    taken = [of_text.taken(5), of_text.taken(0)]
    has_room = [of_frames.has_frame("a name"), of_frames.has_frame(None)]

    assert (taken, has_room) == ([3, 0], [False, True])
    assert (of_text.exceeded, of_frames.exceeded) == (True, True)


@given(
    st.lists(st.tuples(st.sampled_from(["text", "thinking", "call"]), st.lists(st.text(max_size=40), max_size=9))),
    st.integers(0, 1000),
)
def test_any_stream_stays_under_the_cap(blocks: list[tuple[str, list[str]]], cap: int) -> None:
    """Texts, names and ids together are never more than the cap, and what is captured is a beginning of what came."""
    output, budget = delivered(*blocks, cap=cap)
    captured = [str(value) for part in output.parts if isinstance(part, dict) for value in part.values()]
    wrote = ("".join(pieces) for _, pieces in blocks)

    assert sum(len(text) for text in captured) <= cap
    assert budget.left >= 0
    # In their order; a block that has no room is left out, and a shorter one after it may have some.
    assert all(any(text.startswith(beginning) for text in wrote) for beginning in texts(output))


def texts(output: Output) -> list[str]:
    return [
        str(value)
        for part in output.parts
        if isinstance(part, dict)
        for value in part.values()
        if isinstance(value, Text)
    ]
