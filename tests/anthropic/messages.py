"""The Messages API of Anthropic's SDK, as the tests of every API know it."""

from collections.abc import Callable
from typing import Any

import anthropic
from anthropic import Anthropic, AsyncAnthropic

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

# --- the API -----------------------------------------------------------------------------------------------------


def resource(client: Any) -> Any:
    return client.messages


def helper(client: Any) -> Any:
    return client.messages.stream(**REQUEST)


def text_of(event: Any) -> str:
    is_of_text = event.type == "content_block_delta" and event.delta.type == "text_delta"
    return event.delta.text if is_of_text else ""


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
    text_of=text_of,
    endings=SERVER_ENDINGS,
    inside=(
        (request, "_provider"),
        (events.Translator, "_message_start"),
        (events.Translator, "_message_delta"),
        (events.Translator, "_block_start"),
        (events, "usage_of"),
        (native, "stand_in"),
    ),
    translator=events.Translator,
)
EVENT_PATHS = event_paths(MESSAGES)
BYTES_PATHS = bytes_paths(MESSAGES)
NAMED_PATHS = {path.name: path for path in EVENT_PATHS}


def path_of(name: str, read: Callable[[Any, Seen], Any]) -> Path:
    """One that a test makes itself."""
    return Path(ANTHROPIC, name, read)
