"""The Messages API of Anthropic's SDK, as the tests of every API know it."""

from collections.abc import Callable, Iterable
from typing import Any

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from hypothesis import strategies as st

from streamspan import AnthropicStreamInstrumentor
from streamspan.anthropic import events, native, request
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script, error_response, overloaded
from tests.anthropic.paths import READS, REQUEST
from tests.stainless.api import Api, Sdk, Seen, ServerEnding, common_endings
from tests.stainless.paths import Path, bytes_paths, event_paths

ANTHROPIC = Sdk(
    module=anthropic,
    client=Anthropic,
    async_client=AsyncAnthropic,
    instrumentor=AnthropicStreamInstrumentor,
    title="Anthropic",
    other_route="/v1/sessions/s1/events/stream",
    refused=(error_response(400, "invalid_request_error", "no"), "invalid_request_error"),
    busy=(overloaded(), 529, "overloaded_error"),
    inside=(
        (request, "_provider"),
        (events.Translator, "_message_start"),
        (events.Translator, "_message_delta"),
        (events.Translator, "_block_start"),
        (events, "usage_of"),
        (native, "stand_in"),
    ),
)

# --- what the server sends ---------------------------------------------------------------------------------------


def says(text: str, size: int = 12) -> Script:
    return list(wire.whole_message(wire.text_block(0, text, size=size)))


def message() -> Script:
    """Thinking, text and a tool call; the first 11 events end in the middle of the text."""
    return list(
        wire.whole_message(
            wire.thinking_block(0, "First I think about it."),
            wire.text_block(1, "Then I say what I have to say about it."),
            wire.tool_block(2, "get_weather", {"city": "Zürich"}),
            stop_reason="tool_use",
        )
    )


def broken(data: bytes) -> bytes:
    return b"event: content_block_delta\ndata: " + data + b"\n\n"


SERVER_ENDINGS = [
    *common_endings(
        message(),
        message()[:11],
        error=wire.error("overloaded_error", "Overloaded"),
        error_type="overloaded_error",
        broken=broken,
        novelty=wire.Event("novelty", {"type": "novelty", "x": 1}),
    ),
    ServerEnding(
        "no message_stop after the stop reason", message()[:-1], "truncated", "stream_truncated", "after_stop_reason"
    ),
    ServerEnding("event after message_stop", [*message(), wire.ping(), *wire.text_block(9, "late")], "complete"),
]

# --- what it may send --------------------------------------------------------------------------------------------

BLOCKS: list[dict[str, object]] = [{"type": "text", "text": ""}, {"type": "novelty"}]
texts = st.text(max_size=30)


def text_delta(text: str) -> dict[str, object]:
    return {"type": "text_delta", "text": text}


def encoded(event: wire.Event) -> bytes:
    return event.encoded()


def whole(blocks: list[Iterable[wire.Event]]) -> bytes:
    return b"".join(event.encoded() for event in wire.whole_message(*blocks))


any_events = st.one_of(
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

# --- the API -----------------------------------------------------------------------------------------------------


def resource(client: Any) -> Any:
    return client.messages


def helper(client: Any) -> Any:
    return client.messages.stream(**REQUEST)


def is_text(event: Any) -> bool:
    return event.type == "content_block_delta"


MESSAGES = Api(
    name="messages",
    sdk=ANTHROPIC,
    request=REQUEST,
    resource=resource,
    route=("/v1/messages", anthropic.types.Message, anthropic.types.RawMessageStreamEvent),
    helper=helper,
    reads=READS,
    says=says,
    at_text=4,
    events=7,
    events_to_stop=6,
    stop_reason="end_turn",
    is_text=is_text,
    endings=SERVER_ENDINGS,
    answers=st.builds(whole, st.lists(blocks, max_size=3)),
    single_events=st.builds(encoded, any_events),
)
EVENT_PATHS = event_paths(MESSAGES)
BYTES_PATHS = bytes_paths(MESSAGES)
NAMED_PATHS = {path.name: path for path in EVENT_PATHS}


def path_of(name: str, read: Callable[[Any, Seen], Any]) -> Path:
    """One that a test makes itself."""
    return Path(ANTHROPIC, name, read)
