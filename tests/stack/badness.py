"""What a bad trace is, said a second time and in other words than the collector's policies."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan

SLOW_FIRST_CHUNK_SECONDS = 10.0
CUT_OR_REFUSED = {
    *("max_tokens", "model_context_window_exceeded", "refusal"),
    *("length", "max_output_tokens", "model_length", "content_filter"),  # OpenAI's, and servers like it
}


def is_bad(trace: Sequence[ReadableSpan]) -> bool:
    """Whether every span of this trace must reach the backend, whatever the share of the rest."""
    return any(map(_is_bad_span, trace))


def _is_bad_span(span: ReadableSpan) -> bool:
    facts = dict(span.attributes or {})
    reasons = facts.get("gen_ai.response.finish_reasons", ())
    first_chunk = facts.get("gen_ai.response.time_to_first_chunk", 0.0)
    assert isinstance(reasons, tuple)
    assert isinstance(first_chunk, float)
    return (
        span.status.status_code.name == "ERROR"
        or facts.get("llm_stream.outcome", "complete") != "complete"
        or any(facts.get(f"llm_stream.{count}") for count in ("stall.count", "repetition.detected", "buffered"))
        or any(facts.get(f"llm_stream.tool_call.{count}") for count in ("incomplete", "invalid_json"))
        or first_chunk >= SLOW_FIRST_CHUNK_SECONDS
        or not CUT_OR_REFUSED.isdisjoint(reasons)
        or any(event.name == "exception" for event in span.events)
    )
