"""What the API reports of tokens, under the names of either API, and where other servers put it.

Source: `openai/types/completion_usage.py` and `openai/types/responses/response_usage.py`.
"""

from collections.abc import Iterable
from typing import Any

from streamspan.core.model import Usage
from streamspan.stainless.values import count, field, fields


def usage_of(reported: Any) -> Usage | None:
    """None: there is none, or all of it is 0, as some servers fill in what they do not know."""
    if reported is None:
        return None
    counts = fields(reported)
    tokens_in = _first(counts, "prompt_tokens", "input_tokens")
    tokens_out = _first(counts, "completion_tokens", "output_tokens")
    if not tokens_in and not tokens_out:
        return None
    of_input = counts.get("prompt_tokens_details") or counts.get("input_tokens_details")
    of_output = counts.get("completion_tokens_details") or counts.get("output_tokens_details")
    cached = _first(of_input, "cached_tokens")
    if cached is None:
        cached = _first(counts, "prompt_cache_hit_tokens", "cached_tokens")  # DeepSeek; Moonshot and Together
    written = _first(of_input, "cache_write_tokens")
    if tokens_in is not None:  # which has those of the cache
        tokens_in = max(tokens_in - (cached or 0) - (written or 0), 0)
    return Usage(tokens_in, cached, written, tokens_out, _first(of_output, "reasoning_tokens"))


def sum_of(usages: Iterable[Usage | None]) -> Usage | None:
    """Of several answers to one prompt."""
    known = [usage for usage in usages if usage is not None]
    output_tokens = sum(usage.output_tokens or 0 for usage in known)
    reasoning_tokens = sum(usage.reasoning_tokens or 0 for usage in known) or None
    return known[0]._replace(output_tokens=output_tokens, reasoning_tokens=reasoning_tokens) if known else None


def _first(counts: Any, *names: str) -> int | None:
    return next((number for name in names if (number := count(field(counts, name))) is not None), None)
