"""What a server of the Messages API may send, for tests of properties."""

from collections.abc import Iterable

from hypothesis import strategies as st

from streamspan.cli.demo import wire

BLOCKS: list[dict[str, object]] = [{"type": "text", "text": ""}, {"type": "novelty"}]
texts = st.text(max_size=30)


def text_delta(text: str) -> dict[str, object]:
    return {"type": "text_delta", "text": text}


def encoded(event: wire.Event) -> bytes:
    return event.encoded()


def whole(blocks: list[Iterable[wire.Event]]) -> bytes:
    return b"".join(event.encoded() for event in wire.whole_message(*blocks))


events = st.one_of(
    st.builds(wire.message_start),
    st.builds(wire.ping),
    st.builds(wire.message_stop),
    st.builds(wire.message_delta, st.sampled_from(["end_turn", "max_tokens", "tool_use", None]), st.integers(0, 99)),
    st.builds(wire.error, st.sampled_from(["overloaded_error", "novel_error"]), texts),
    st.builds(wire.block_start, st.integers(0, 2), st.sampled_from(BLOCKS)),
    st.builds(wire.block_delta, st.integers(0, 2), st.builds(text_delta, texts)),
    st.builds(wire.block_stop, st.integers(0, 2)),
    st.builds(
        wire.Event,
        st.sampled_from(["content_block_delta", "content_block_start", "message_start", "message_delta", "novelty"]),
        st.dictionaries(
            st.sampled_from(["type", "index", "delta", "message", "usage", "content_block"]),
            st.one_of(st.none(), st.integers(), texts, st.lists(st.integers()), st.dictionaries(texts, texts)),
        ),
    ),
)
blocks = st.one_of(
    st.builds(wire.text_block, st.just(0), texts),
    st.builds(wire.thinking_block, st.just(1), texts),
    st.builds(wire.tool_block, st.just(2), texts, texts),
    st.builds(wire.tool_block, st.just(3), texts, st.dictionaries(texts, texts)),
)

ANSWERS = st.builds(whole, st.lists(blocks, max_size=3))
"""Whole ones, as bytes."""
EVENTS = st.builds(encoded, events)
"""Single ones, as bytes."""
