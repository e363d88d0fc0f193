"""The Anthropic Python SDK, as `stainless/` needs to know it."""

import importlib.util

from streamspan.stainless.provider import Provider
from streamspan.telemetry.spans import Expected

from .capture import capture_request
from .events import Translator
from .native import replace_span, start_api_call_span
from .request import HEADERS, call, exchange

TRACES_ITSELF = importlib.util.find_spec("anthropic._tracing") is not None
"""Whether this SDK makes a span of each call itself, as it does from 1.14 on."""

ANTHROPIC = Provider(
    title="Anthropic",
    package="anthropic",
    helpers=("anthropic.lib.streaming", "anthropic._streaming"),
    parsers=frozenset({"json", "jiter", "pydantic", "pydantic_core"}),
    call=call,
    translator=lambda _: Translator(),
    headers=HEADERS,
    exchange=exchange,
    capture=capture_request,
    replace_span=replace_span,
    replaced=("start_api_call_span", start_api_call_span) if TRACES_ITSELF else None,
    rivals=("anthropic.resources.messages", "Messages", ("create", "stream")),
    expected=Expected(
        stop_reasons=("end_turn", "tool_use", "max_tokens", "stop_sequence", "pause_turn", "refusal"),
        error_types=("overloaded_error",),
        opening_error_types=("overloaded_error", "rate_limit_error", "api_error"),
        retried_statuses=("429", "500", "529"),
    ),
)
