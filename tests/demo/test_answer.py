"""An answer that is told once comes out of every SDK as it was told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streamspan.cli.demo.answer import (
    AtOnce,
    Fails,
    FallsBack,
    KeepAlive,
    Rejected,
    StopReason,
    answer,
    begun,
    parts_of,
    scripted,
    text,
    thinking,
    tool,
)
from streamspan.cli.demo.anthropic.sdk import MessagesApi
from streamspan.cli.demo.applications import Api
from streamspan.cli.demo.openai.chat import Chat
from streamspan.cli.demo.openai.responses import Responses
from streamspan.cli.demo.openai.sdk import ChatApi, ResponsesApi
from streamspan.cli.demo.provider import provider_named
from streamspan.cli.demo.script import Pause
from streamspan.cli.demo.server import LoopbackServer

TEXT, THOUGHT, TOOL_INPUT = "Grüße aus Köln: let me look.", "Köln is in Germany.", '{"city":"Köln","days":[1,2]}'
CALL = answer(thinking(THOUGHT), text(TEXT), tool("get_weather", TOOL_INPUT), stop_reason="tool call", output_tokens=31)
APIS = {"messages": MessagesApi(), "chat": ChatApi(), "responses": ResponsesApi()}
FAST = 1e9

every_api = pytest.mark.parametrize("api", APIS.values(), ids=APIS.keys())


@every_api
def test_deltas_join_to_what_was_told(api: Api) -> None:
    """The text and the tool input that the SDK's events bring are those of the answer."""

    async def shown(url: str) -> str:
        async with api.async_client(url) as client, client.stream() as stream:
            texts: AsyncIterator[str] = api.texts(stream)
            return "".join([piece async for piece in texts])

    with LoopbackServer([scripted(CALL, api.wire()), scripted(CALL, api.wire())], speed=FAST) as server:
        with api.client(server.url) as client, client.create() as stream:
            tool_input = "".join(map(api.tool_input, stream))
        text_shown = asyncio.run(shown(server.url))

    assert (text_shown, tool_input) == (TEXT, TOOL_INPUT)


@pytest.mark.parametrize(
    ("told", "reason"),
    [("end", "end_turn"), ("tool call", "tool_use"), ("length", "max_tokens"), ("refusal", "refusal")],
)
def test_messages_helper(told: StopReason, reason: str) -> None:
    """Anthropic's helper puts the message together."""
    message = final_answer(MessagesApi(), "get_final_message", told)

    assert (message["stop_reason"], message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (
        reason,
        412,
        31,
    )
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
    assert message["content"][2]["input"] == {"city": "Köln", "days": [1, 2]}


@pytest.mark.parametrize(("told", "reason"), [("end", "stop"), ("tool call", "tool_calls")])
def test_chat_helper(told: StopReason, reason: str) -> None:
    """OpenAI's helper for Chat Completions puts the completion together."""
    completion = final_answer(ChatApi(), "get_final_completion", told)
    [choice] = completion["choices"]
    message = choice["message"]

    assert (choice["finish_reason"], completion["usage"]["completion_tokens"]) == (reason, 31)
    assert (message["content"], message["reasoning_content"]) == (TEXT, THOUGHT)
    assert message["tool_calls"][0]["function"]["arguments"] == TOOL_INPUT


@pytest.mark.parametrize(
    ("told", "status", "details"),
    [
        ("end", "completed", None),
        ("tool call", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_responses_events(told: StopReason, status: str, details: object) -> None:
    """The last event has the whole response, and every event its number."""
    with (
        LoopbackServer([scripted(ended(told), Responses())], speed=FAST) as server,
        ResponsesApi().client(server.url) as client,
    ):
        events: list[Any] = [*client.create()]
    response = events[-1].response.to_dict()
    thought, message, call = response["output"]

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (response["status"], response["incomplete_details"]) == (status, details)
    assert (thought["summary"][0]["text"], message["content"][0]["text"]) == (THOUGHT, TEXT)
    assert (call["arguments"], call["status"], response["usage"]["output_tokens"]) == (TOOL_INPUT, "completed", 31)


def test_responses_helper() -> None:
    """OpenAI's helper for Responses puts the response together."""
    response = final_answer(ResponsesApi(), "get_final_response", "end")

    assert [item["type"] for item in response["output"]] == ["reasoning", "message", "function_call"]


def ended(stop_reason: StopReason) -> Any:
    return answer(
        thinking(THOUGHT), text(TEXT), tool("get_weather", TOOL_INPUT), stop_reason=stop_reason, output_tokens=31
    )


def final_answer(api: Api, method: str, stop_reason: StopReason) -> Any:
    with (
        LoopbackServer([scripted(ended(stop_reason), api.wire())], speed=FAST) as server,
        api.client(server.url) as client,
        client.stream() as stream,
    ):
        answered: Any = getattr(stream, method)()
        return answered.to_dict()


@every_api
def test_error_in_the_middle(api: Api) -> None:
    """An error in the stream is one that the SDK knows, or a response that says that it has failed."""
    script = scripted([*begun(text(TEXT)), Fails("overloaded")], api.wire())
    with LoopbackServer([script], speed=FAST) as server, api.client(server.url) as client:
        failure = failure_of(api, client.create())

    assert "verloaded" in failure


def failure_of(api: Api, stream: Any) -> str:
    try:
        events = [*stream]
    except api.error as error:
        return str(error)
    return events[-1].response.error.message


@every_api
def test_keep_alives_bring_no_event(api: Api) -> None:
    """A keep-alive in the middle changes nothing for the application."""
    head, body = CALL[:3], CALL[3:]
    alive = [*head, *(step for part in body for step in (KeepAlive(), part))]

    assert count_of(api, alive) == count_of(api, CALL)


@every_api
def test_at_once(api: Api) -> None:
    """What comes at once is one chunk of the body, with all that comes of its parts."""
    at_once = [AtOnce(parts_of(CALL))]

    assert [type(step) for step in scripted(at_once, api.wire())] == [bytes]
    assert count_of(api, at_once) == count_of(api, CALL)


def count_of(api: Api, steps: Any) -> int:
    with LoopbackServer([scripted(steps, api.wire())], speed=FAST) as server, api.client(server.url) as client:
        return len([*client.create()])


@every_api
def test_rejected(api: Api) -> None:
    """An overloaded API is asked again, a bad request is an error."""
    scripts = [[Rejected("overloaded")], CALL, [Rejected("bad request", "too many tokens")]]
    with (
        LoopbackServer([scripted(steps, api.wire()) for steps in scripts], speed=FAST) as server,
        api.client(server.url) as client,
    ):
        count = len([*client.create()])
        with pytest.raises(api.error, match="too many tokens"):
            client.create()

    assert count == count_of(api, CALL)
    assert len(server.exchanges) == 3


@pytest.mark.parametrize("wire", [Chat(), Responses()])
def test_no_fallback(wire: Chat | Responses) -> None:
    """An API that has no fallbacks says so, and does not play another story."""
    with pytest.raises(ValueError, match="OpenAI's APIs have no FallsBack"):
        scripted([FallsBack("cyber")], wire)


@pytest.mark.parametrize("name", ["anthropic", "openai"])
def test_every_story_is_told_once(name: str) -> None:
    """The stories of a provider have different names, and play in forty seconds."""
    stories = provider_named(name).stories
    steps = (step for story in stories for steps in story.answers for step in steps)

    assert len({story.name for story in stories}) == len(stories)
    assert sum(step.seconds for step in steps if isinstance(step, Pause)) < 40
