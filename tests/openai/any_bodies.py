"""What a server of OpenAI's APIs may send, for tests of properties."""

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from streamspan.cli.demo.wire import Event
from tests.openai import chunks, responses
from tests.openai.apis import ERROR, completion_says, piece
from tests.stainless.api import body_of

texts = st.text(max_size=30)
numbers = st.integers(-1, 2)
anything = st.one_of(st.none(), st.integers(), texts, st.lists(st.integers()), st.dictionaries(texts, texts))
reasons = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "error", "", None])


def joined(pieces: Iterable[bytes]) -> bytes:
    return b"".join(pieces)


def mapped(names: Iterable[str], values: st.SearchStrategy[Any] = anything) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(list(names)), values)


# --- Chat Completions --------------------------------------------------------------------------------------------


def delta(index: int, of: Mapping[str, Any], reason: str | None) -> bytes:
    return chunks.chunk([{"index": index, "delta": of, "finish_reason": reason}])


def thought(text: str) -> bytes:
    return chunks.delta(reasoning_content=text)


def tool_call(arguments: str) -> bytes:
    return chunks.call("", "search", "call_1", index=0, type="function") + chunks.call(arguments, index=0)


CALL = mapped(["index", "id", "type", "function"])
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": anything,
        "reasoning": anything,
        "refusal": anything,
        "role": anything,
        "tool_calls": st.one_of(anything, st.lists(CALL, max_size=2)),
    },
)
CHAT_EVENTS = st.one_of(
    st.builds(chunks.text, texts, numbers),
    st.builds(delta, numbers, DELTA, reasons),
    st.builds(chunks.finish, st.sampled_from(["stop", "length", "tool_calls"]), numbers),
    st.builds(chunks.usage, completion_tokens=anything),
    st.builds(chunks.frame, mapped(["id", "choices", "usage", "model", "error", "x_groq"])),
    st.sampled_from([chunks.DONE, ERROR, b": a comment\n\n", b"error: no\n\n"]),
)
_PARTS = st.one_of(
    st.builds(chunks.text, texts),
    st.builds(thought, texts),
    st.builds(tool_call, texts),
    st.builds(tool_call, st.just("{}")),
)
_ENDS = st.sampled_from([chunks.finish() + chunks.DONE, chunks.finish(), chunks.usage() + chunks.DONE, chunks.DONE])
CHAT_ANSWERS = st.builds(joined, st.tuples(st.just(chunks.role()), st.lists(_PARTS, max_size=4).map(joined), _ENDS))

# --- Responses ---------------------------------------------------------------------------------------------------

_WORDS = ["created", "output_item.added", "output_text.delta", "output_item.done", "completed", "failed", "novelty"]


def response_event(word: str, values: Mapping[str, Any]) -> bytes:
    return Event(f"response.{word}", {"type": f"response.{word}", **values}).encoded()


def encoded(event: Event) -> bytes:
    return event.encoded()


def whole(parts: list[Iterable[Event]], end: Event) -> bytes:
    return body_of(responses.whole(*parts, end=end))


_ITEM = mapped(["type", "id", "content", "arguments", "name"])
_RESPONSE = mapped(["id", "output", "usage", "error", "incomplete_details"])
_VALUES: st.SearchStrategy[Mapping[str, Any]] = st.one_of(
    mapped(["output_index", "content_index", "delta", "item_id", "text", "sequence_number"]),
    st.fixed_dictionaries({"output_index": numbers, "item": st.one_of(anything, _ITEM)}),
    st.fixed_dictionaries({"response": st.one_of(anything, _RESPONSE)}),
)
RESPONSE_EVENTS = st.one_of(
    st.builds(response_event, st.sampled_from(_WORDS), _VALUES),
    st.builds(encoded, st.builds(responses.failed, anything)),
    st.builds(encoded, st.builds(responses.event, st.just("error"), code=anything)),
    st.sampled_from([chunks.DONE, b": a comment\n\n", responses.CREATED.encoded(), responses.completed().encoded()]),
)
_ITEMS = st.one_of(
    st.builds(responses.message, st.just(0), texts, texts),
    st.builds(responses.reasoning, st.just(1), texts),
    st.builds(responses.function_call, st.just(2), texts),
)
_LAST = st.sampled_from(
    [responses.completed(), responses.incomplete("max_output_tokens"), responses.failed("server_error")]
)
RESPONSE_ANSWERS = st.builds(whole, st.lists(_ITEMS, max_size=3), _LAST)

# --- Completions -------------------------------------------------------------------------------------------------

COMPLETION_EVENTS = st.one_of(
    st.builds(piece, texts, reasons),
    st.builds(chunks.frame, mapped(["id", "choices", "usage", "model", "error"])),
    st.sampled_from([chunks.DONE, ERROR, b": a comment\n\n"]),
)
COMPLETION_ANSWERS = st.builds(completion_says, texts).map(body_of)
