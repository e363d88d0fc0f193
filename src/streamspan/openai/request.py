"""From a request of the OpenAI SDK to what its span starts with, and from its headers to attributes.

Nothing here is validated by the SDK, so every value is checked before it is used.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from streamspan import semconv
from streamspan.stainless.http import seconds, whole_number
from streamspan.stainless.options import Fields, body_of, call_attributes, client_modules, path_of
from streamspan.stainless.values import count, field, number, strings, text
from streamspan.telemetry.spans import Attributes, Call


class Route(NamedTuple):
    """A streamed call that generates something. `api_type`: as the conventions name it."""

    path: str
    operation: str
    api_type: str | None


CHAT: Final = "/chat/completions"
COMPLETIONS: Final = "/completions"
RESPONSES: Final = "/responses"
RESUMED: Final = "/responses/{response_id}"
_ROUTES: Mapping[re.Pattern[str], Route] = {
    re.compile(r"/chat/completions$"): Route(CHAT, "chat", "chat_completions"),
    re.compile(r"/completions$"): Route(COMPLETIONS, "text_completion", None),
    re.compile(r"/responses$"): Route(RESPONSES, "chat", "responses"),
    re.compile(r"/responses/[^/]+$"): Route(RESUMED, "chat", "responses"),
}
"""The first that matches counts. Threads and runs stream events of another kind, and are left alone."""

_CLIENTS: Mapping[str, str] = {"openai.lib.azure": "azure.ai.openai", "openai.lib.bedrock": "aws.bedrock"}
_HOSTS: Mapping[re.Pattern[str], str] = {
    re.compile(rf"(?:^|\.)(?:{host})$"): name
    for host, name in {
        r"openai\.azure\.com|cognitiveservices\.azure\.com": "azure.ai.openai",
        r"services\.ai\.azure\.com|models\.ai\.azure\.com|models\.inference\.ai\.azure\.com": "azure.ai.inference",
        r"bedrock-[a-z]+\.[-a-z0-9]+\.amazonaws\.com": "aws.bedrock",
        r"generativelanguage\.googleapis\.com": "gcp.gemini",
        r"(?:[-a-z0-9]+-)?aiplatform\.googleapis\.com": "gcp.vertex_ai",
        r"anthropic\.com": "anthropic",
        r"cohere\.(?:ai|com)": "cohere",
        r"deepseek\.com": "deepseek",
        r"groq\.com": "groq",
        r"mistral\.ai": "mistral_ai",
        r"ml\.cloud\.ibm\.com": "ibm.watsonx.ai",
        r"moonshot\.(?:ai|cn)": "moonshot_ai",
        r"perplexity\.ai": "perplexity",
        r"x\.ai": "x_ai",
    }.items()
}
"""The providers that the conventions name, by the host of their API."""


def _output_type(response_format: Any) -> str | None:
    """`text`, `json_object`, `json_schema`, and whatever a server may add."""
    name = text(response_format) or text(field(response_format, "type"))
    return "json" if name in {"json_object", "json_schema"} else name


def _choice_count(n: Any) -> int | None:
    return None if n == 1 else count(n)


def _id_of(conversation: Any) -> str | None:
    return text(conversation) or text(field(conversation, "id"))


_FIELDS: Fields = {
    "conversation": (semconv.CONVERSATION_ID, _id_of),
    "frequency_penalty": (semconv.REQUEST_FREQUENCY_PENALTY, number),
    "max_completion_tokens": (semconv.REQUEST_MAX_TOKENS, count),
    "max_output_tokens": (semconv.REQUEST_MAX_TOKENS, count),
    "max_tokens": (semconv.REQUEST_MAX_TOKENS, count),
    "n": (semconv.REQUEST_CHOICE_COUNT, _choice_count),
    "presence_penalty": (semconv.REQUEST_PRESENCE_PENALTY, number),
    "reasoning": (semconv.REQUEST_REASONING_LEVEL, lambda reasoning: text(field(reasoning, "effort"))),
    "reasoning_effort": (semconv.REQUEST_REASONING_LEVEL, text),
    "response_format": (semconv.OUTPUT_TYPE, _output_type),
    "seed": (semconv.REQUEST_SEED, count),
    "service_tier": (semconv.OPENAI_REQUEST_SERVICE_TIER, text),
    "stop": (semconv.REQUEST_STOP_SEQUENCES, lambda stop: strings([stop] if isinstance(stop, str) else stop)),
    "temperature": (semconv.REQUEST_TEMPERATURE, number),
    "text": (semconv.OUTPUT_TYPE, lambda options: _output_type(field(options, "format"))),
    "top_k": (semconv.REQUEST_TOP_K, number),
    "top_p": (semconv.REQUEST_TOP_P, number),
}
_LIMITS: Mapping[str, str] = {
    "x-ratelimit-remaining-requests": semconv.RATE_LIMIT_REQUESTS_REMAINING,
    "x-ratelimit-remaining-tokens": semconv.RATE_LIMIT_TOKENS_REMAINING,
}
"""What the rate limits still allow, by header. Source: https://platform.openai.com/docs/guides/rate-limits"""
_REQUEST_ID = "x-request-id"
HEADERS = frozenset((_REQUEST_ID.encode(), b"retry-after", *(name.encode() for name in _LIMITS)))


def call(client: Any, options: Any) -> Call | None:
    """What a streamed call starts with. None: it is a call that generates nothing."""
    path = path_of(options)
    route = next((route for pattern, route in _ROUTES.items() if pattern.search(path)), None)
    if route is None:
        return None
    body = body_of(options)
    attributes = {
        semconv.OPERATION_NAME: route.operation,
        semconv.PROVIDER_NAME: _provider(client),
        semconv.OPENAI_API_TYPE: route.api_type,
        semconv.HTTP_ROUTE: route.path,
        **call_attributes(client, options, body, _FIELDS),
    }
    return Call(route.operation, text(body.get("model")), attributes)


def _provider(client: Any) -> str:
    """By the module that the client's class comes from, else by the host where it is known."""
    modules, host = client_modules(client), str(client.base_url.host)
    by_client = (name for module, name in _CLIENTS.items() if module in modules)
    by_host = (name for pattern, name in _HOSTS.items() if pattern.search(host))
    return next(by_client, None) or next(by_host, "openai")


def exchange(received: Mapping[str, str], _: Mapping[str, str]) -> Attributes:
    """Attributes of the headers of a response."""
    request_id = text(received.get(_REQUEST_ID))
    return {
        semconv.RESPONSE_HEADER_PREFIX + _REQUEST_ID: None if request_id is None else [request_id],
        semconv.RETRY_AFTER: seconds(received.get("retry-after")),
        **{attribute: whole_number(received.get(name)) for name, attribute in _LIMITS.items()},
    }
