"""The APIs of OpenAI's SDK, as the tests of every API know them."""

from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from streamspan import OpenAIStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Head, Script
from streamspan.openai import chat, request
from streamspan.openai import responses as adapter
from tests.openai import responses
from tests.openai.chunks import DONE, call, chunk, delta, finish, frame, role, text, usage
from tests.openai.paths import READS_OF_CHAT, READS_OF_RESPONSES
from tests.openai.reading import REQUEST, helper_of
from tests.stainless.api import Api, Sdk, ServerEnding, common_endings


def http_error(status: int, error_type: str) -> Script:
    body = wire.compact_json({"error": {"message": "no", "type": error_type, "param": None, "code": None}}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), "retry-after-ms": "10"}
    return [Head(status, headers), body]


OPENAI = Sdk(
    module=openai,
    client=OpenAI,
    async_client=AsyncOpenAI,
    instrumentor=OpenAIStreamInstrumentor,
    title="OpenAI",
    other_route="/threads/thread_1/runs",
    refused=(http_error(400, "invalid_request_error"), "invalid_request_error"),
    busy=(http_error(503, "server_error"), 503, "server_error"),
)


def broken_data(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


ERROR = frame({"error": {"message": "m", "type": "server_error", "code": None}})

# --- Chat Completions --------------------------------------------------------------------------------------------

ANSWER: Script = [
    role(),
    delta(reasoning_content="First I think "),
    delta(reasoning_content="about it."),
    text("Then I say what "),
    text("I have to say about it."),
    call("", "get_weather", "call_1", index=0, type="function"),
    call('{"city":', index=0),
    call('"Zürich"}', index=0),
    finish("tool_calls"),
    usage(),
    DONE,
]
IN_THE_TEXT = ANSWER[:4]
NO_REASON = delta(finish_reason=None)


def chat_says(said: str, size: int = 12) -> Script:
    return [role(), *map(text, wire.pieces(said, size)), finish(), usage(), DONE]


def chat_text(event: Any) -> str:
    """The helper gives each chunk, and then what it makes of it."""
    if getattr(event, "type", None) == "content.delta":
        return event.delta
    return "".join(choice.delta.content or "" for choice in getattr(event, "choices", ()))


CHAT = Api(
    name="chat",
    sdk=OPENAI,
    request=REQUEST,
    resource=lambda client: client.chat.completions,
    route=("/chat/completions", ChatCompletion, ChatCompletionChunk),
    helper=lambda client: helper_of(client)(**REQUEST),
    reads=READS_OF_CHAT,
    says=chat_says,
    at_text=2,
    events=5,
    events_to_stop=4,
    stop_reason="stop",
    text_of=chat_text,
    endings=[
        *common_endings(
            ANSWER,
            IN_THE_TEXT,
            error=ERROR,
            error_type="server_error",
            broken=broken_data,
            novelty=delta(novelty="x"),
        ),
        ServerEnding("no [DONE]", ANSWER[:-1], "complete"),
        ServerEnding("no finish reason", [*IN_THE_TEXT, DONE], "complete", partial=True),
        ServerEnding("a finish reason that is null", [*IN_THE_TEXT, NO_REASON, DONE], "complete", partial=True),
        ServerEnding("an event after [DONE]", [*ANSWER, text("late")], "complete"),
        ServerEnding(
            "one of two choices",
            [role(), role(1), text("Hi"), text("Ho", 1), finish()],
            "truncated",
            "stream_truncated",
            "text",
            partial=True,
        ),
        ServerEnding("a content filter in the text", [*IN_THE_TEXT, finish("content_filter"), DONE], "complete"),
        ServerEnding(
            "an error after the finish reason",
            [*ANSWER[:-1], ERROR],
            "error",
            "server_error",
            "after_stop_reason",
        ),
        ServerEnding(
            "a field of the name error",
            [*IN_THE_TEXT, b'error: {"error": {"message": "no", "type": "overloaded"}}\n\n'],
            "error",
            "overloaded",
            "text",
            partial=True,
        ),
    ],
    inside=((request, "_provider"), (chat, "usage_of"), (chat, "pieces_of"), (chat.ChatTranslator, "_tells_more")),
    translator=chat.ChatTranslator,
)

# --- Responses ---------------------------------------------------------------------------------------------------

RESPONSE: Script = responses.whole(
    responses.reasoning(0, "First I think about it."),
    responses.message(1, "Then I say what ", "I have to say about it."),
    responses.function_call(2, '{"city":', '"Zürich"}'),
)
RESPONSE_IN_THE_TEXT = RESPONSE[:9]


def response_says(said: str, size: int = 12) -> Script:
    return responses.whole(
        responses.message(0, *wire.pieces(said, size)), end=responses.completed(output=responses.final_message(said))
    )


def response_text(event: Any) -> str:
    return event.delta if event.type == "response.output_text.delta" else ""


RESPONSES = Api(
    name="responses",
    sdk=OPENAI,
    request=responses.REQUEST,
    resource=lambda client: client.responses,
    route=("/responses", Response, ResponseStreamEvent),
    helper=lambda client: client.responses.stream(**responses.REQUEST),
    reads=READS_OF_RESPONSES,
    says=response_says,
    at_text=5,
    events=10,
    events_to_stop=10,
    stop_reason="stop",
    text_of=response_text,
    endings=[
        *common_endings(
            RESPONSE,
            RESPONSE_IN_THE_TEXT,
            error=responses.event("error", code="server_error", message="No.", param=None),
            error_type="server_error",
            broken=lambda data: b"event: response.output_text.delta\n" + broken_data(data),
            novelty=responses.event("response.novelty", x=1),
        ),
        ServerEnding(
            "failed",
            [*RESPONSE_IN_THE_TEXT, responses.failed("server_error")],
            "error",
            "server_error",
            "text",
            partial=True,
        ),
        ServerEnding(
            "an error, and failed",
            [
                *RESPONSE_IN_THE_TEXT,
                responses.event("error", code="rate_limit_exceeded", message="No."),
                responses.failed("server_error"),
            ],
            "error",
            "rate_limit_exceeded",
            "text",
            partial=True,
        ),
        ServerEnding("incomplete", [*RESPONSE[:-1], responses.incomplete("max_output_tokens")], "complete"),
        ServerEnding("[DONE] after the end", [*RESPONSE, DONE], "complete"),
        ServerEnding(
            "[DONE] alone is no end",
            [*RESPONSE_IN_THE_TEXT, DONE],
            "truncated",
            "stream_truncated",
            "text",
            partial=True,
        ),
        ServerEnding("an event after the end", [*RESPONSE, *responses.message(3, "late")], "complete"),
    ],
    inside=((request, "_provider"), (adapter, "usage_of"), (adapter.ResponsesTranslator, "_other")),
    translator=adapter.ResponsesTranslator,
)

# --- Completions, the legacy API ---------------------------------------------------------------------------------


def piece(said: str, finish_reason: str | None = None) -> bytes:
    return chunk(
        [{"index": 0, "text": said, "finish_reason": finish_reason, "logprobs": None}], object="text_completion"
    )


def completion_says(said: str, size: int = 12) -> Script:
    return [*map(piece, wire.pieces(said, size)), piece("", "stop"), DONE]


WHOLE = completion_says("Here I say what I have to say about it.")

COMPLETIONS = Api(
    name="completions",
    sdk=OPENAI,
    request={"model": "gpt-3.5-turbo-instruct", "prompt": "Hello"},
    resource=lambda client: client.completions,
    route=("/completions", Completion, Completion),
    helper=None,
    reads=(),
    says=completion_says,
    at_text=1,
    events=3,
    events_to_stop=3,
    stop_reason="stop",
    text_of=lambda event: "".join(choice.text for choice in event.choices),
    endings=[
        *common_endings(
            WHOLE,
            WHOLE[:2],
            error=ERROR,
            error_type="server_error",
            broken=broken_data,
            novelty=chunk([], novelty="x"),
        ),
        ServerEnding("no [DONE]", WHOLE[:-1], "complete"),
        ServerEnding("no finish reason", [*WHOLE[:2], DONE], "complete", partial=True),
    ],
    inside=((request, "_provider"),),
    translator=chat.ChatTranslator,
)
