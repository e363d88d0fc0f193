"""OpenAI, as the demo needs to know it."""

from streamspan.cli.demo.provider import Provider
from streamspan.cli.demo.stories import STORIES
from streamspan.openai.instrumentor import OpenAIStreamInstrumentor

from .errors import REQUEST_ID
from .sdk import ChatApi, ResponsesApi

HEADERS = {"x-request-id": REQUEST_ID, "openai-processing-ms": "187", "openai-version": "2020-10-01"}
PROVIDER = Provider(OpenAIStreamInstrumentor, STORIES, ChatApi(), {"thinks": ResponsesApi()}, HEADERS)
"""Reasoning is what OpenAI's own Chat Completions API does not stream."""
