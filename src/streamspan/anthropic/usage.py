"""What the Messages API reports of tokens: counts, those of steps inside the call, and edits of the context.

A server may send anything here, as often as it likes, so of each list and each mapping only the first entries are
looked at.

Source: `anthropic/types/beta/`: `beta_usage.py`, `beta_iterations_usage.py`, `beta_context_management_response.py`.
"""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from streamspan import semconv
from streamspan.core.model import IterationTokens, Usage
from streamspan.stainless.values import count, field, fields, items, text

_NAMES_LOOKED_AT = 64
_SERVER_TOOL_COUNTS_AT_MOST = 16
_ITERATIONS_AT_MOST = 256
_TYPES_AT_MOST = 4  # of iterations
_EDITS_AT_MOST = 64
_SUM_AT_MOST = 2**40  # so that sums of many streams fit into the integers of OTLP
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")  # what a server may send there is text of any kind
_IN_THE_USAGE = frozenset({"message", "fallback_message"})
"""Types of iterations whose tokens the usage itself counts."""
_NO_COUNTS: Mapping[str, int] = {}
_WORDS = (
    ("service_tier", semconv.ANTHROPIC_RESPONSE_SERVICE_TIER),
    ("speed", semconv.ANTHROPIC_RESPONSE_SPEED),
    ("inference_geo", semconv.ANTHROPIC_RESPONSE_INFERENCE_GEO),
)
"""Fields of the usage that are words, each with its attribute."""
_INPUTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def usage_of(counts: Mapping[str, Any]) -> Usage:
    """Of the `usage` of a message or of an event."""
    more: dict[str, int | None] = {}
    if written := counts.get("cache_creation"):
        written = fields(written)
        more[semconv.ANTHROPIC_CACHE_CREATION_5M] = count(written.get("ephemeral_5m_input_tokens"))
        more[semconv.ANTHROPIC_CACHE_CREATION_1H] = count(written.get("ephemeral_1h_input_tokens"))
    details = counts.get("output_tokens_details")
    iterations: tuple[IterationTokens, ...] = ()
    if reported := counts.get("iterations"):
        iterations = _iterations(reported)
        more |= _by_type(iterations)
    if server_tools := counts.get("server_tool_use"):
        more |= _server_tool_requests(fields(server_tools))
    return Usage(
        count(counts.get("input_tokens")),
        count(counts.get("cache_read_input_tokens")),
        count(counts.get("cache_creation_input_tokens")),
        count(counts.get("output_tokens")),
        count(field(details, "thinking_tokens")) if details else None,
        {name: number for name, number in more.items() if number is not None} if more else _NO_COUNTS,
        iterations,
    )


def attributes_of(usage: Usage, counts: Mapping[str, Any]) -> dict[str, str]:
    """What the `usage` says in words."""
    words: dict[str, str] = {}
    for field_name, attribute in _WORDS:
        value = counts.get(field_name)
        if value is not None and (word := text(value)) is not None:
            words[attribute] = word
    for entry in usage.iterations:
        if entry.type == "advisor_message" and entry.model is not None:
            words.setdefault(semconv.ANTHROPIC_ADVISOR_MODEL, entry.model)
    return words


def fallback_model(counts: Mapping[str, Any]) -> str | None:
    """The model of the iteration that says that a fallback model gave the answer; None: there is none."""
    for entry in islice(items(counts.get("iterations")), _ITERATIONS_AT_MOST):
        if field(entry, "type") == "fallback_message":
            return text(field(entry, "model"))
    return None


def context_edits(context_management: Any) -> dict[str, int]:
    """How many edits of the context were applied, and what they cleared. Empty: none were asked for."""
    applied = field(context_management, "applied_edits")
    if not isinstance(applied, list):
        return {}
    edits = items(applied)[:_EDITS_AT_MOST]
    cleared = sum(count(field(edit, "cleared_input_tokens")) or 0 for edit in edits)
    return {
        semconv.ANTHROPIC_CONTEXT_EDITS: len(edits),
        semconv.ANTHROPIC_CONTEXT_CLEARED_TOKENS: min(cleared, _SUM_AT_MOST),
    }


def _iterations(reported: Any) -> tuple[IterationTokens, ...]:
    """The sums of each type and model, of those that the usage itself leaves out."""
    sums: dict[tuple[str, str | None], list[int]] = {}
    for entry in islice(items(reported), _ITERATIONS_AT_MOST):
        values = fields(entry)
        of_type = values.get("type")
        if of_type in _IN_THE_USAGE or not isinstance(of_type, str) or not _NAME.fullmatch(of_type):
            continue
        kind = of_type, text(values.get("model"))
        if kind in sums or len({known for known, _ in sums} | {of_type}) <= _TYPES_AT_MOST:
            tokens = sums.setdefault(kind, [0, 0])
            tokens[0] += sum(count(values.get(name)) or 0 for name in _INPUTS)
            tokens[1] += count(values.get("output_tokens")) or 0
    return tuple(
        IterationTokens(of_type, model, *(min(number, _SUM_AT_MOST) for number in tokens))
        for (of_type, model), tokens in islice(sums.items(), 2 * _TYPES_AT_MOST)
    )


def _by_type(iterations: tuple[IterationTokens, ...]) -> dict[str, int]:
    """As attributes."""
    sums: dict[str, int] = {}
    for entry in iterations:
        prefix = semconv.ANTHROPIC_ITERATION_PREFIX + entry.type
        for name, tokens in (("input_tokens", entry.input_tokens), ("output_tokens", entry.output_tokens)):
            sums[f"{prefix}.{name}"] = sums.get(f"{prefix}.{name}", 0) + tokens
    return sums


def _server_tool_requests(counts: Mapping[str, Any]) -> dict[str, int | None]:
    """`web_search_requests` and its like, of which there may be more than this version knows. They are billed."""
    looked_at = islice(counts, _NAMES_LOOKED_AT)
    names = [name for name in looked_at if name.endswith("_requests") and _NAME.fullmatch(name)]
    return {
        semconv.USAGE_SERVER_TOOL_PREFIX + name: count(counts[name]) for name in names[:_SERVER_TOOL_COUNTS_AT_MOST]
    }
