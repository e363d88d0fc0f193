"""The latest GenAI conventions, which have changed since semantic-conventions 1.41: old names, new names, new forms.

They are written for those who ask for them, with `gen_ai_latest_experimental` in OTEL_SEMCONV_STABILITY_OPT_IN. Their
metrics are in a register of their own, because docs/semconv/ refers to 1.41 for all that is written by default.

Sources, in https://github.com/open-telemetry/semantic-conventions-genai, read in November 2026
    [inference]  docs/gen-ai/client-inference.md at v0.1.0
    [tokens]     docs/gen-ai/gen-ai-token-metrics.md, pull request 374
    [changes]    CHANGELOG.md, under v0.1.0: what has changed since 1.41
    [messages]   model/gen-ai/gen-ai-input-messages.json and -output-messages.json
    [generic]    changelog.d/584.breaking.md
    [reason]     changelog.d/363.deprecation.md, pull request 363
    [compacted]  pull request 162
and in https://github.com/open-telemetry/opentelemetry-python-contrib
    [opt-in]     opentelemetry/instrumentation/_semconv.py, which is private, and has no `/dup` for GenAI
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from . import call, content, metrics
from .records import AttributeType, Metric, attribute, span_attribute

INFERENCE: Final = (
    "https://github.com/open-telemetry/semantic-conventions-genai/blob/v0.1.0/docs/gen-ai/client-inference.md"
)
VERSION: Final = "v0.1.0"


class Conventions(NamedTuple):
    """Which names are written."""

    released: bool
    latest: bool


RELEASED: Final = Conventions(released=True, latest=False)

OptIn = Literal["default", "gen_ai_latest_experimental", "gen_ai_latest_experimental/dup"]
CONVENTIONS: Final[Mapping[OptIn, Conventions]] = {
    "default": RELEASED,
    "gen_ai_latest_experimental": Conventions(released=False, latest=True),
    "gen_ai_latest_experimental/dup": Conventions(released=True, latest=True),
}


def opt_in_of(variable: str) -> OptIn:
    """The choice in a comma-separated list, most of which is about other instrumentations. As [opt-in] reads it."""
    entries = {entry.strip() for entry in variable.split(",")}
    if "gen_ai_latest_experimental/dup" in entries:
        return "gen_ai_latest_experimental/dup"
    return "gen_ai_latest_experimental" if "gen_ai_latest_experimental" in entries else "default"


# --- attributes ----------------------------------------------------------------------------------------------------

CONVERSATION_COMPACTED: Final = span_attribute(
    "gen_ai.conversation.compacted",  # [compacted]: true, or not there
    "boolean",
    True,
    "that the model saw a compacted view of the conversation; never false",
    "if the latest conventions are asked for, and the request has a compaction or the provider has reported one",
    source=INFERENCE,
)
TOKEN_MODALITY: Final = attribute(
    "gen_ai.token.modality",  # [tokens]: `unknown` where the provider does not break its usage down
    "string",
    "unknown",
    "the modality of the tokens; it is always unknown, because the usage does not say it",
    values=Literal["unknown"],
    source=INFERENCE,
)
MODALITY_UNKNOWN: Final = "unknown"
TYPES: Final[Mapping[str, AttributeType]] = {call.REQUEST_TOP_K: "int"}  # [changes]
"""The types that differ, by name of the attribute. No attribute that we write has another name."""
TELL_OF_COMPACTION: Final = (call.ANTHROPIC_COMPACTION_INPUT_TOKENS,)
"""Attributes of an answer that are there if its provider has compacted the conversation for it."""

# --- content -------------------------------------------------------------------------------------------------------

PART_TYPES: Final = frozenset(  # [messages]
    {
        "text",
        "reasoning",
        "tool_call",
        "tool_call_response",
        "server_tool_call",
        "server_tool_call_response",
        "blob",
        "file",
        "uri",
        "compaction",
    }
)
GENERIC: Final = "generic"  # [generic]: the type of every other part
GENERIC_TYPE: Final = "generic_type"  # [generic]: where such a part says what it is
FINISH_REASON: Final = "finish_reason"  # [reason]: of a message; it stays in `gen_ai.response.finish_reasons`
MESSAGES: Final = (content.INPUT_MESSAGES, content.OUTPUT_MESSAGES)

# --- metrics -------------------------------------------------------------------------------------------------------

METRICS: Final[dict[str, Metric]] = {}
"""Those that only the latest conventions have, by name."""


def _metric(metric: Metric) -> Metric:
    METRICS[metric.name] = metric
    return metric


def _renamed(metric: Metric, name: str) -> Metric:
    return _metric(replace(metric, name=name))


def _counter(name: str, description: str) -> Metric:
    """Of tokens: 0 from the first stream on, as [tokens] wants it where nothing is reported."""
    present = "from the end of the first stream on"
    kind = "observable counter"
    return _metric(Metric(name, kind, "{token}", description, (TOKEN_MODALITY,), (), present, "ended streams"))


def _distribution(name: str, description: str) -> Metric:
    """Of tokens per stream. [tokens] wants a 0 where nothing is reported; we record nothing, as unknown is not 0."""
    attributes, buckets = (call.ERROR_TYPE,), metrics.TOKEN_USAGE.buckets  # [tokens] has the same buckets
    present = "when a stream has ended whose tokens are known"
    return _metric(Metric(name, "histogram", "{token}", description, attributes, buckets, present, "ended streams"))


RENAMED: Final[Mapping[Metric, Metric]] = {  # [inference]
    metrics.OPERATION_DURATION: _renamed(metrics.OPERATION_DURATION, "gen_ai.client.inference.duration"),
    metrics.TIME_TO_FIRST_CHUNK: _renamed(metrics.TIME_TO_FIRST_CHUNK, "gen_ai.client.inference.time_to_first_chunk"),
    metrics.TIME_PER_OUTPUT_CHUNK: _renamed(
        metrics.TIME_PER_OUTPUT_CHUNK, "gen_ai.client.inference.time_per_output_chunk"
    ),
}
"""What has another name and is the same otherwise: from the old metric to the new one."""

# [tokens]: these take the place of `gen_ai.client.token.usage` and of its attribute `gen_ai.token.type`.
INPUT_TOKENS: Final = _counter(
    "gen_ai.client.inference.usage.input_tokens",
    "Input tokens as the provider reports them, with those read from the cache and written to it.",
)
OUTPUT_TOKENS: Final = _counter(
    "gen_ai.client.inference.usage.output_tokens", "Output tokens as the provider reports them, with thinking."
)
CACHE_READ_TOKENS: Final = _counter(
    "gen_ai.client.inference.usage.cache_read.input_tokens", "Input tokens that were read from the prompt cache."
)
CACHE_WRITE_TOKENS: Final = _counter(
    "gen_ai.client.inference.usage.cache_write.input_tokens", "Input tokens that were written to the prompt cache."
)
REASONING_TOKENS: Final = _counter(
    "gen_ai.client.inference.usage.reasoning.output_tokens", "Output tokens of thinking, as the provider reports them."
)
COUNTERS: Final = (INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, REASONING_TOKENS)
INPUT_TOKENS_PER_STREAM: Final = _distribution(
    "gen_ai.client.inference.operation.input_tokens",
    "Input tokens of a stream as the provider reports them, with those read from the cache and written to it.",
)
OUTPUT_TOKENS_PER_STREAM: Final = _distribution(
    "gen_ai.client.inference.operation.output_tokens",
    "Output tokens of a stream as the provider reports them, with thinking.",
)
