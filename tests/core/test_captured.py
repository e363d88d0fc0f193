"""The cap on captured content holds while it is collected, whatever comes."""

from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.captured import Budget, Output, Text, part_of
from streamspan.core.model import Ending
from streamspan.core.stream import StreamState

CAP = 200


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
    state = StreamState(0.0, content=output)
    for index, (block_type, pieces) in enumerate(blocks):
        state.block_started(index, block_type, 1.0, "get", f"id{index}")
        for piece in pieces:
            state.delta("text", index, piece, 1.0)
        state.block_stopped(index, 1.0)
    state.ended(Ending("body_end", 2.0))
    return output, budget


def test_parts_in_order() -> None:
    """Each block is a part in the conventions' form; a block that is redacted is none."""
    output, budget = delivered(
        ("thinking", ["Let me ", "see."]), ("redacted_thinking", []), ("text", ["Hello"]), ("news", []), cap=10_000
    )

    assert not budget.exceeded
    assert parts(output) == [
        {"type": "reasoning", "content": "Let me see."},
        {"type": "text", "content": "Hello"},
        {"type": "news", "content": ""},
    ]


def test_tool_calls() -> None:
    """Each is a tool call, also one of a tool of the provider's own; a name or an id that did not come is not there."""
    text = Text(Budget(9), "{}", is_json=True)

    assert part_of("tool_use", text, "get", "id1") == {
        "type": "tool_call",
        "id": "id1",
        "name": "get",
        "arguments": text,
    }
    assert part_of("server_tool_use", text, "web_search") == {
        "type": "tool_call",
        "name": "web_search",
        "arguments": text,
    }


def test_what_is_beyond_the_cap_is_cut() -> None:
    """The text that meets the cap is cut there, and what follows has no room."""
    output, budget = delivered(("text", ["a" * 100, "b" * 100]), ("text", ["c"]), cap=CAP)

    assert [len(str(part["content"])) for part in output.parts if isinstance(part, dict)] == [CAP - 64 - 4 - 3 - 3]
    assert (budget.exceeded, budget.left) == (True, 0)


@given(
    st.lists(st.tuples(st.sampled_from(["text", "thinking", "tool_use"]), st.lists(st.text(max_size=40), max_size=9))),
    st.integers(0, 1000),
)
def test_any_stream_stays_under_the_cap(blocks: list[tuple[str, list[str]]], cap: int) -> None:
    """Texts, names and ids together are never more than the cap, and what is captured is a beginning of what came."""
    output, budget = delivered(*blocks, cap=cap)
    captured = [str(value) for part in output.parts if isinstance(part, dict) for value in part.values()]
    wrote = ("".join(pieces) for _, pieces in blocks)

    assert sum(len(text) for text in captured) <= cap
    assert budget.left >= 0
    # In their order; a block that has no room is left out, and a shorter one behind it may have some.
    assert all(any(text.startswith(beginning) for text in wrote) for beginning in texts(output))


def texts(output: Output) -> list[str]:
    return [
        str(value)
        for part in output.parts
        if isinstance(part, dict)
        for value in part.values()
        if isinstance(value, Text)
    ]
