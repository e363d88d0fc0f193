"""What the API reports of tokens, under the names of either API, and where other servers put it.

Source: `openai/types/completion_usage.py` and `openai/types/responses/response_usage.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from streamspan.core.model import Usage
from streamspan.stainless.values import count, field, fields

_CACHED = ("prompt_cache_hit_tokens", "cached_tokens")  # DeepSeek; Moonshot and Together


def usage_of(reported: Any) -> Usage | None:
    """None: there is none, or all of it is 0, as some servers fill in what they do not know."""
    counts = fields(reported)
    tokens_in = _first(counts, "prompt_tokens", "input_tokens")
    tokens_out = _first(counts, "completion_tokens", "output_tokens")
    if not tokens_in and not tokens_out:
        return None
    details = counts.get("prompt_tokens_details") or counts.get("input_tokens_details")
    cached = _first(fields(details), "cached_tokens")
    cached = _first(counts, *_CACHED) if cached is None else cached
    written = count(field(details, "cache_write_tokens"))
    details_out = counts.get("completion_tokens_details") or counts.get("output_tokens_details")
    from_cache = (cached or 0) + (written or 0)  # which the API counts among those of the prompt
    return Usage(
        None if tokens_in is None else max(tokens_in - from_cache, 0),
        cached,
        written,
        tokens_out,
        count(field(details_out, "reasoning_tokens")),
    )


def sum_of(usages: Iterable[Usage | None]) -> Usage | None:
    """Of several answers to one prompt, as servers report it that count each by itself."""
    known = [usage for usage in usages if usage is not None]
    if not known:
        return None
    return known[0]._replace(
        output_tokens=sum(usage.output_tokens or 0 for usage in known),
        reasoning_tokens=None if (total := sum(usage.reasoning_tokens or 0 for usage in known)) == 0 else total,
    )


def _first(counts: Mapping[str, Any], *names: str) -> int | None:
    return next((number for name in names if (number := count(counts.get(name))) is not None), None)
