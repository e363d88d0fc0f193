"""From a request of the OpenAI SDK to what its span starts with, and from its headers to attributes.

Nothing here is validated by the SDK, so every value is checked before it is used.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from streamspan import semconv
from streamspan.stainless.hosts import provider_at
from streamspan.stainless.http import seconds, whole_number
from streamspan.stainless.options import SAMPLING, Fields, body_of, call_attributes, client_modules, path_of
from streamspan.stainless.values import count, field, strings, text
from streamspan.telemetry.spans import Attributes, Call


class Route(NamedTuple):
    """A streamed call that generates something. `api_type`: as the conventions name it."""

    path: str
    operation: str
    api_type: str | None


_ROUTES: Mapping[str, Route] = {
    r"/chat/completions": Route("/chat/completions", "chat", "chat_completions"),
    r"/completions": Route("/completions", "text_completion", None),
    r"/responses": Route("/responses", "chat", "responses"),
    r"/responses/[^/]+": Route("/responses/{response_id}", "chat", "responses"),
}
"""By how the path ends; the first counts. Threads and runs stream events of another kind, and are left alone."""
_CLIENTS: Mapping[str, str] = {"openai.lib.azure": "azure.ai.openai", "openai.lib.bedrock": "aws.bedrock"}


def _output_type(response_format: Any) -> str | None:
    """`text`, `json_object`, `json_schema`, and whatever a server may add."""
    name = text(response_format) or text(field(response_format, "type"))
    return "json" if name in {"json_object", "json_schema"} else name


_FIELDS: Fields = {
    **SAMPLING,
    "conversation": (semconv.CONVERSATION_ID, lambda given: text(given) or text(field(given, "id"))),
    "max_completion_tokens": (semconv.REQUEST_MAX_TOKENS, count),
    "max_output_tokens": (semconv.REQUEST_MAX_TOKENS, count),
    "n": (semconv.REQUEST_CHOICE_COUNT, lambda n: None if n == 1 else count(n)),
    "reasoning": (semconv.REQUEST_REASONING_LEVEL, lambda reasoning: text(field(reasoning, "effort"))),
    "reasoning_effort": (semconv.REQUEST_REASONING_LEVEL, text),
    "response_format": (semconv.OUTPUT_TYPE, _output_type),
    "service_tier": (semconv.OPENAI_REQUEST_SERVICE_TIER, text),
    "stop": (semconv.REQUEST_STOP_SEQUENCES, lambda stop: strings([stop] if isinstance(stop, str) else stop)),
    "text": (semconv.OUTPUT_TYPE, lambda options: _output_type(field(options, "format"))),
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
    route = next((route for ending, route in _ROUTES.items() if re.search(ending + "$", path)), None)
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
    by_client = (_CLIENTS[module] for module in client_modules(client) if module in _CLIENTS)
    return next(by_client, None) or provider_at(str(client.base_url.host)) or "openai"


def exchange(received: Mapping[str, str], _: Mapping[str, str]) -> Attributes:
    """Attributes of the headers of a response."""
    request_id = text(received.get(_REQUEST_ID))
    return {
        semconv.RESPONSE_HEADER_PREFIX + _REQUEST_ID: None if request_id is None else [request_id],
        semconv.RETRY_AFTER: seconds(received.get("retry-after")),
        **{attribute: whole_number(received.get(name)) for name, attribute in _LIMITS.items()},
    }
