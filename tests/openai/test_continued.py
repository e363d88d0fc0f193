"""The hot path: a delta that goes on with the last one is told as any other."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types.chat import ChatCompletionChunk

from streamspan.core.model import Ending, Summary
from streamspan.core.stream import StreamState
from streamspan.openai.chat import ChatTranslator

PIECES = st.sampled_from(["a", "bc", '{"', '"', "", "}"])


def of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(fields)


FUNCTIONS = of(name=st.sampled_from([None, "now"]), arguments=PIECES)
CALLS = of(index=st.integers(0, 1), id=st.sampled_from([None, "", "a", "b"]), function=FUNCTIONS)
DELTAS = st.one_of(
    of(content=PIECES),
    of(content=PIECES, reasoning_content=st.none()),
    of(content=st.none(), reasoning_content=PIECES),
    of(content=st.just(""), reasoning=PIECES),
    of(content=PIECES, reasoning=PIECES),
    of(refusal=PIECES),
    of(tool_calls=st.lists(CALLS, min_size=1, max_size=2)),
    of(content=PIECES, tool_calls=st.lists(CALLS, min_size=1, max_size=1)),
    of(),
)
REASONS = st.sampled_from([None, None, None, None, None, None, "stop"])
CHUNKS = st.lists(st.lists(of(index=st.integers(0, 1), delta=DELTAS, finish_reason=REASONS), max_size=2), max_size=20)


def constructed(choices: Any) -> Any:
    value = {"id": "1", "model": "m", "object": "chat.completion.chunk", "created": 1, "choices": choices}
    return construct_type(type_=ChatCompletionChunk, value=value)


def summary(chunks: Any, *, by_hot_path: bool) -> Summary:
    """Of a stream of these chunks; those that go on with the last one are handed over as the reader does it."""
    state, translator = StreamState(0.0), ChatTranslator()
    for event in map(constructed, chunks):
        text = translator.continued(event) if by_hot_path else None
        if text:
            state.deltas([text], (), 1.0)
        else:
            translator.translate(event, 0.0, 1.0, state)
    return state.ended(Ending("closed", 1.0))


@given(CHUNKS)
def test_the_hot_path_tells_the_same(chunks: Any) -> None:
    """Whatever chunks come, the summary is the same as without it."""
    assert summary(chunks, by_hot_path=True) == summary(chunks, by_hot_path=False)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "Hi"},
        {"content": "Hi", "token_id": 7},
        {"content": "Hi", "reasoning_content": None},
        {"content": None, "reasoning_content": "Hi"},
        {"content": "", "reasoning": "Hi"},
        {"tool_calls": [{"index": 0, "function": {"arguments": "Hi"}}]},
        {"tool_calls": [{"index": 0, "id": "", "function": {"name": "", "arguments": "Hi"}}]},
    ],
)
def test_deltas_that_go_on(delta: Any) -> None:
    """The second of two of the same kind takes the hot path."""
    state, translator = StreamState(0.0), ChatTranslator()
    event = constructed([{"index": 0, "delta": delta, "finish_reason": None}])

    before = translator.continued(event)
    translator.translate(event, 0.0, 1.0, state)

    assert (before, translator.continued(event)) == (None, "Hi")


@pytest.mark.parametrize(
    "odd",
    cast(
        "list[Any]",
        [
            None,
            {},
            {"choices": None},
            {"choices": [None]},
            {"choices": [{"index": "0", "delta": [], "finish_reason": 7}]},
            {"choices": [{"index": -1, "delta": {"content": 7, "tool_calls": [None, 7, {"function": 7}]}}]},
            {"choices": [{"delta": {"content": [7, {"type": "text"}], "images": [7], "audio": 7, "function_call": 7}}]},
            {"choices": [{"index": 10**30, "delta": {"reasoning_details": [7], "reasoning": 7}}], "usage": 7},
            {"id": 7, "model": ["m"], "usage": {"prompt_tokens": -1, "prompt_tokens_details": 7}, "x_groq": 7},
        ],
    ),
)
def test_odd_chunks(odd: Any) -> None:
    """What nobody should send fails nothing, and is no content."""
    state, translator = StreamState(0.0), ChatTranslator()

    for event in (odd, constructed([]) if odd is None else construct_type(type_=ChatCompletionChunk, value=odd)):
        assert translator.continued(event) is None
        translator.translate(event, 0.0, 1.0, state)

    assert sum(state.ended(Ending("closed", 1.0)).chars.values()) == 0


def test_bounds() -> None:
    """A server may send any number of choices and of tool calls: what is held of them is bounded."""
    state, translator = StreamState(0.0), ChatTranslator()
    for number in range(1000):
        call = {"index": number, "id": f"c{number}", "function": {"name": "now", "arguments": "{"}}
        translator.translate(
            constructed([{"index": number, "delta": {"tool_calls": [call]}, "finish_reason": None}]), 0.0, 1.0, state
        )
        translator.translate(
            constructed([{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]), 0.0, 1.0, state
        )

    answers = translator._answers._answers
    assert len(answers) <= 128
    assert max(len(answer.calls) for answer in answers.values()) <= 64
    assert max(len(answer.open) for answer in answers.values()) <= 64
