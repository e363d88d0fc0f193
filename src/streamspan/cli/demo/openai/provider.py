"""OpenAI, as the demo needs to know it."""

from streamspan.cli.demo.provider import Provider
from streamspan.cli.demo.stories import STORIES
from streamspan.openai.instrumentor import OpenAIStreamInstrumentor

from .errors import REQUEST_ID
from .sdk import READS_REASONING, ChatApi, ResponsesApi

HEADERS = {"x-request-id": REQUEST_ID, "openai-processing-ms": "187", "openai-version": "2020-10-01"}
BY_RESPONSES = {"thinks": ResponsesApi()} if READS_REASONING else {}
PROVIDER = Provider(OpenAIStreamInstrumentor, STORIES, ChatApi(), BY_RESPONSES, HEADERS)
"""Reasoning is what OpenAI's own Chat Completions API does not stream."""
