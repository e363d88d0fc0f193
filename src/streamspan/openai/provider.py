"""The OpenAI Python SDK, as `stainless/` needs to know it."""

import re
from collections.abc import Callable, Mapping

from streamspan import semconv
from streamspan.stainless.provider import Provider, Translator
from streamspan.telemetry.spans import Call, Expected

from .capture import capture_request
from .chat import ChatTranslator
from .request import HEADERS, call, exchange
from .responses import ResponsesTranslator


def _translator(call: Call) -> Translator:
    """By the API that is called."""
    return _TRANSLATORS.get(call.attributes[semconv.OPENAI_API_TYPE], ChatTranslator)()


_TRANSLATORS: Mapping[object, Callable[[], Translator]] = {
    "chat_completions": ChatTranslator,
    "responses": ResponsesTranslator,
}

OPENAI = Provider(
    title="OpenAI",
    package="openai",
    helpers=("openai.lib", "openai._streaming", "openai._compat"),
    parsers=frozenset({"json", "jiter", "pydantic", "pydantic_core"}),
    call=call,
    translator=_translator,
    end_mark=re.compile(rb"(?:^|[\r\n])data: ?\[DONE\]"),
    headers=HEADERS,
    exchange=exchange,
    capture=capture_request,
    rivals=("openai.resources.chat.completions", "Completions", ("create", "stream")),
    expected=Expected(
        stop_reasons=("stop", "tool_calls", "length", "content_filter"),
        error_types=("server_error",),
        opening_error_types=("rate_limit_exceeded", "insufficient_quota", "server_error"),
        retried_statuses=("429", "500", "503"),
    ),
)
