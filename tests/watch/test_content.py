"""What was said, in words."""

import json
from dataclasses import replace

import pytest

from streamspan.cli.drawing.finished import FinishedStream, StreamEvent
from streamspan.cli.watch.content import INPUT, OUTPUT, SYSTEM, said, without_content

STREAM = FinishedStream("chat", 2.0, "UNSET", {}, [])


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ({"type": "text", "content": "Hi"}, "Hi"),
        ({"type": "reasoning", "content": "Hm"}, "(reasoning) Hm"),
        ({"type": "tool_call", "id": "1", "name": "get", "arguments": {"a": 1}}, '(tool_call) get {"a": 1}'),
        ({"type": "tool_call", "id": "1", "name": "get", "arguments": '{"a'}, '(tool_call) get {"a'),
        ({"type": "tool_call_response", "id": "1", "response": ["x"]}, '(tool_call_response) ["x"]'),
        ({"type": "image", "size": 3}, '{"type": "image", "size": 3}'),
        ("no part", "no part"),
        (5, "5"),
    ],
)
def test_part_in_words(part: object, line: str) -> None:
    """Each kind of part of a message is one line of who and what."""
    value = json.dumps([{"role": "assistant", "parts": [part]}])

    assert list(said(replace(STREAM, attributes={OUTPUT: value}))) == [("assistant", line)]


@pytest.mark.parametrize("value", ["no JSON", "[" * 100_000, "{}", "5", '[{"parts": 7}]', ["a list"], 5, True])
def test_any_value_has_words(value: str | list[str] | int | bool) -> None:
    """What is not of the convention's form is given as it is."""
    assert [who for who, _ in said(replace(STREAM, attributes={INPUT: value}))] == ["user"]


NESTED = [
    "[" * depth + "]" * depth
    for limit in (900, 1490, 9990)  # near the limits of Python up to 3.11, of 3.12 and of 3.13
    for depth in range(limit, limit + 110)
]


@pytest.mark.parametrize(
    "value",
    ["NESTED", '[{"parts": NESTED}]', '[{"role": NESTED}]', '[{"type": NESTED, "content": "x"}]'],
)
def test_value_of_any_depth_has_words(value: str) -> None:
    """JSON that can be read and not be written is no failure."""
    told = [list(said(replace(STREAM, attributes={INPUT: value.replace("NESTED", nested)}))) for nested in NESTED]

    assert [len(lines) for lines in told] == [1] * len(NESTED)


def test_order() -> None:
    """The system is first, then the request, then the answer, wherever they came; a long text is cut, and says so."""
    lines = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "line\n" * 50}]}])
    event = StreamEvent(
        "gen_ai.client.inference.operation.details", 1.0, {SYSTEM: '[{"type": "text", "content": "s"}]'}
    )
    told = list(said(replace(STREAM, attributes={OUTPUT: '"o"', INPUT: lines}, events=[event])))

    assert told[0] == ("system", "s")
    assert told[1:-2] == [("user", "line")] * 40
    assert told[-2:] == [("user", "(10 more lines)"), ("assistant", "o")]


def test_a_generic_part() -> None:
    """A part of the latest conventions whose type is generic is told by what it says it is."""
    part = {"type": "generic", "generic_type": "search_result", "content": "found"}
    told = list(said(replace(STREAM, attributes={INPUT: json.dumps([{"role": "user", "parts": [part]}])})))

    assert told == [("user", "(search_result) found")]


def test_all_of_it_can_be_left_out() -> None:
    """Without content a stream keeps the rest of its attributes and of its events'."""
    event = StreamEvent("details", 1.0, {INPUT: "secret", "a": 1})
    stream = replace(STREAM, attributes={OUTPUT: "secret", "b": 2}, events=[event])

    assert without_content(stream) == replace(STREAM, attributes={"b": 2}, events=[replace(event, attributes={"a": 1})])
