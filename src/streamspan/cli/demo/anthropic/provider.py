"""Anthropic, as the demo needs to know it."""

from typing import Any

from streamspan.anthropic.instrumentor import AnthropicStreamInstrumentor
from streamspan.cli.demo.answer import FallsBack, answer, text, thinking
from streamspan.cli.demo.applications import Api
from streamspan.cli.demo.provider import Provider
from streamspan.cli.demo.script import Pause
from streamspan.cli.demo.server import OF_MESSAGES_API
from streamspan.cli.demo.stories import POLICY, SHIPPED, STORIES, Story

from .sdk import MessagesApi, request, sync_sdk


def lets_another_model_go_on(_: Api, url: str) -> None:
    """By the beta API, which has fallbacks."""
    with sync_sdk(url) as sdk:
        stream: Any = sdk.beta.messages.create(**request(), stream=True)
        for _event in stream:
            pass


FALLS_BACK = Story(
    "falls-back",
    "The model refuses while it thinks. Another goes on in the same stream.",
    (answer(thinking(POLICY[:60]), [Pause(0.3), FallsBack("cyber"), Pause(0.3)], text(SHIPPED)),),
    lets_another_model_go_on,
    "complete",
    findings=("falls back",),
)
PROVIDER = Provider(AnthropicStreamInstrumentor, (*STORIES, FALLS_BACK), MessagesApi(), headers=OF_MESSAGES_API)
