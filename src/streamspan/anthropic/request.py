"""From a request of the Anthropic SDK to what its span starts with, and from its headers to attributes.

Nothing here is validated by the SDK, so every value is checked before it is used. Sources: `anthropic/_tracing.py`
and `anthropic/lib/_tracing/`, the attributes of the SDK's own span and how it reads them.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from streamspan import semconv
from streamspan.guard import contained
from streamspan.stainless.http import seconds, whole_number
from streamspan.stainless.options import SAMPLING, Fields, body_of, call_attributes, client_modules, path_of
from streamspan.stainless.values import count, field, items, strings, text
from streamspan.telemetry.spans import Attributes, AttributeValue, Call

OPERATIONS: Mapping[str, str] = {"/v1/messages": "chat", "/v1/complete": "text_completion"}
"""The streamed calls that generate something, by route. Sessions and threads stream events of another kind."""

_PLATFORMS: Mapping[str, str] = {"anthropic.lib.bedrock": "aws.bedrock", "anthropic.lib.vertex": "gcp.vertex_ai"}
_FIELDS: Fields = {
    **SAMPLING,
    "max_tokens_to_sample": (semconv.REQUEST_MAX_TOKENS, count),
    "stop_sequences": (semconv.REQUEST_STOP_SEQUENCES, strings),
    "service_tier": (semconv.ANTHROPIC_REQUEST_SERVICE_TIER, text),
}
"""Fields of the request's body, each with its attribute."""
_RECEIVED: Fields = {
    "request-id": (semconv.ANTHROPIC_REQUEST_ID, text),
    "anthropic-organization-id": (semconv.ANTHROPIC_ORGANIZATION_ID, text),
    "anthropic-workspace-id": (semconv.ANTHROPIC_WORKSPACE_ID, text),
    "retry-after": (semconv.RETRY_AFTER, seconds),
    "anthropic-ratelimit-requests-remaining": (semconv.RATE_LIMIT_REQUESTS_REMAINING, whole_number),
    "anthropic-ratelimit-input-tokens-remaining": (semconv.RATE_LIMIT_INPUT_TOKENS_REMAINING, whole_number),
    "anthropic-ratelimit-output-tokens-remaining": (semconv.RATE_LIMIT_OUTPUT_TOKENS_REMAINING, whole_number),
    "anthropic-ratelimit-tokens-remaining": (semconv.RATE_LIMIT_TOKENS_REMAINING, whole_number),
}
"""Headers of the response, each with its attribute. Those of what the rate limits still allow:
https://platform.claude.com/docs/en/api/rate-limits
"""
_BETA = "anthropic-beta"
HEADERS = frozenset(name.encode() for name in (*_RECEIVED, _BETA))
_BETAS_AT_MOST = 32


def call(client: Any, options: Any) -> Call | None:
    """What a streamed call starts with. None: it is a call that generates nothing."""
    path = path_of(options)
    route = next((route for route in OPERATIONS if path.endswith(route)), None)
    if route is None:
        return None
    operation = OPERATIONS[route]
    body = body_of(options)
    attributes = {
        semconv.OPERATION_NAME: operation,
        semconv.PROVIDER_NAME: _provider(client),
        semconv.HTTP_ROUTE: route,
        **call_attributes(client, options, body, _FIELDS),
    }
    if (conversation_id := getattr(getattr(client, "_otel", None), "conversation_id", None)) is not None:
        attributes[semconv.CONVERSATION_ID] = text(conversation_id)
    if thinking := body.get("thinking"):
        attributes[semconv.ANTHROPIC_THINKING_TYPE] = text(field(thinking, "type"))
        attributes[semconv.ANTHROPIC_THINKING_BUDGET_TOKENS] = count(field(thinking, "budget_tokens"))
    output_format = body.get("output_format")  # the deprecated form of `output_config.format`
    if config := body.get("output_config"):
        attributes[semconv.REQUEST_REASONING_LEVEL] = text(field(config, "effort"))
        output_format = field(config, "format") or output_format
    if output_format and field(output_format, "type") == "json_schema":
        attributes[semconv.OUTPUT_TYPE] = "json"
    return Call(operation, text(body.get("model")), attributes, partial(_has_compaction, body))


@contained
def _has_compaction(body: Mapping[str, Any]) -> bool:
    """Whether the request hands back what the API has made of a conversation that it compacted."""
    return any(
        field(block, "type") == "compaction"
        for message in reversed(items(body.get("messages")))
        for block in items(field(message, "content"))
    )


def _provider(client: Any) -> str:
    """As the client says, from 1.14 on; before that, by the module that its class comes from."""
    name = text(getattr(client, "_gen_ai_provider_name", None))
    if name is not None:
        return name
    modules = client_modules(client)
    return next((name for path, name in _PLATFORMS.items() if any(m.startswith(path) for m in modules)), "anthropic")


def exchange(received: Mapping[str, str], sent: Mapping[str, str]) -> Attributes:
    """Attributes of the headers of a response and of its request."""
    attributes: dict[str, AttributeValue | None] = {}
    for name, value in received.items():
        if (entry := _RECEIVED.get(name)) is not None:
            attributes[entry[0]] = entry[1](value)
    if _BETA in sent:
        betas = [beta.strip() for beta in sent[_BETA].split(",") if beta.strip()]
        attributes[semconv.ANTHROPIC_BETA] = strings(betas[:_BETAS_AT_MOST])
    return attributes
