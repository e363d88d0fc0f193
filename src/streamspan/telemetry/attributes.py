"""The attributes that a stream's span gets at its end."""

from collections.abc import Mapping

from opentelemetry.util.types import AttributeValue

from streamspan import semconv
from streamspan.core.model import Rumination, Summary

Attributes = Mapping[str, AttributeValue | None]
"""None: the value is unknown, so the attribute is not written."""
Written = dict[str, AttributeValue]
"""Attributes without those whose value is unknown."""


def without_unknown(attributes: dict[str, AttributeValue | None]) -> Written:
    """The same dict. Most values are known, and so deleting the others takes half as long as filtering all."""
    for name in [name for name, value in attributes.items() if value is None]:
        del attributes[name]
    return attributes


def end_attributes(summary: Summary, attributes: dict[str, AttributeValue | None], events_dropped: int) -> Written:
    """All that the span gets at the end. It is added to `attributes`, which what the summary does not tell is in."""
    if summary.outcome is None:
        attributes[semconv.OBSERVED] = False
        attributes[semconv.TIME_TO_HEADERS] = summary.time_to_headers
    else:
        _add_ending(attributes, summary)
        _add_repetition(attributes, summary)
        _add_rumination(attributes, summary)
        if summary.time_to_headers is not None:
            _add_content_counts(attributes, summary)
            _add_pace(attributes, summary)
    _add_response(attributes, summary)
    if events_dropped:
        attributes[semconv.EVENTS_DROPPED] = events_dropped
    return without_unknown(attributes)


def _add_ending(attributes: dict[str, AttributeValue | None], summary: Summary) -> None:
    attributes[semconv.OUTCOME] = summary.outcome
    attributes[semconv.PARTIAL] = summary.partial
    if summary.outcome != "complete":
        attributes[semconv.PHASE] = summary.phase
        attributes[semconv.ERROR_TYPE] = summary.error_type
    if summary.outcome == "aborted":
        attributes[semconv.ABORT_REASON] = summary.abort_reason
        attributes[semconv.ABORT_TOOL_CALLS_COMPLETED] = summary.tool_calls_completed
        attributes[semconv.ABORT_CONNECTION_CLOSED] = summary.connection_closed
    attributes[semconv.TIME_TO_HEADERS] = summary.time_to_headers
    attributes[semconv.RESPONSE_TIME_TO_FIRST_CHUNK] = summary.time_to_first_chunk
    attributes[semconv.TIME_TO_FIRST_TEXT] = summary.time_to_first_text


def _add_rumination(attributes: dict[str, AttributeValue | None], summary: Summary) -> None:
    if summary.looks_for_rumination:
        attributes[semconv.RUMINATION_DETECTED] = summary.rumination is not None
    if summary.rumination is not None:
        attributes.update(rumination_attributes(summary.rumination))


def rumination_attributes(rumination: Rumination) -> Mapping[str, AttributeValue]:
    """On the span and on its event."""
    return {
        semconv.RUMINATION_CHANNEL: rumination.channel,
        semconv.RUMINATION_START: rumination.start,
        semconv.RUMINATION_CHARS: rumination.chars,
        semconv.RUMINATION_SHARE: rumination.share,
        semconv.RUMINATION_TIME: rumination.time,
    }


def _add_repetition(attributes: dict[str, AttributeValue | None], summary: Summary) -> None:
    loop = summary.loop
    if loop is not None:
        attributes[semconv.REPETITION_DETECTED] = True
        attributes[semconv.REPETITION_KIND] = loop.kind
        attributes[semconv.REPETITION_CHANNEL] = loop.channel
        attributes[semconv.REPETITION_START] = loop.start
        attributes[semconv.REPETITION_PERIOD] = loop.period
        attributes[semconv.REPETITION_COUNT] = loop.count
        attributes[semconv.REPETITION_CHARS] = loop.chars
        attributes[semconv.REPETITION_TIME] = loop.time
        attributes[semconv.REPETITION_RECOVERED] = loop.recovered
    elif summary.looks_for_loops:
        attributes[semconv.REPETITION_DETECTED] = False


def _add_content_counts(attributes: dict[str, AttributeValue | None], summary: Summary) -> None:
    attributes[semconv.CHUNK_COUNT] = summary.chunk_count
    attributes[semconv.CONTENT_BLOCK_COUNT] = summary.block_count
    attributes[semconv.TEXT_CHARS] = summary.chars["text"]
    attributes[semconv.THINKING_CHARS] = summary.chars["thinking"]
    attributes[semconv.TOOL_INPUT_CHARS] = summary.chars["tool_input"]
    attributes[semconv.TOOL_CALL_COUNT] = summary.tool_call_count
    attributes[semconv.TOOL_CALL_INCOMPLETE] = summary.tool_calls_incomplete
    attributes[semconv.TOOL_CALL_INVALID_JSON] = summary.tool_calls_invalid


def _add_pace(attributes: dict[str, AttributeValue | None], summary: Summary) -> None:
    pace = summary.pace
    attributes[semconv.CHUNK_GAP_P50] = pace.gap_p50
    attributes[semconv.CHUNK_GAP_P95] = pace.gap_p95
    attributes[semconv.CHUNK_GAP_MAX] = pace.gap_max
    attributes[semconv.TIME_PER_OUTPUT_TOKEN] = summary.time_per_output_token
    attributes[semconv.PROVIDER_TIME] = pace.provider_time
    attributes[semconv.TRANSIT_TIME] = pace.transit_time
    attributes[semconv.CONSUMER_TIME] = pace.consumer_time
    attributes[semconv.STALL_COUNT] = pace.stall_count
    attributes[semconv.STALL_TIME] = pace.stall_time
    attributes[semconv.TOOL_CALL_PAUSE] = pace.tool_call_pause
    attributes[semconv.BUFFERED] = pace.buffered
    attributes[semconv.BLOCKED_TIME] = summary.blocked_time
    attributes[semconv.KEEPALIVE_COUNT] = summary.keepalive_count
    attributes[semconv.THINKING_TIME] = summary.thinking_time
    rebuffer = summary.rebuffer
    if rebuffer is not None:
        attributes[semconv.REBUFFER_TIME] = rebuffer.waiting_time
        attributes[semconv.REBUFFER_COUNT] = rebuffer.pause_count
        attributes[semconv.REBUFFER_RATIO] = rebuffer.ratio


def _add_response(attributes: dict[str, AttributeValue | None], summary: Summary) -> None:
    usage = summary.usage
    _add_refusal(attributes, summary)
    attributes[semconv.RESPONSE_ID] = summary.response_id
    attributes[semconv.RESPONSE_MODEL] = summary.model
    attributes[semconv.STOP_REASON] = summary.stop_reason
    if summary.outcome != "complete" or semconv.RESPONSE_FINISH_REASONS not in attributes:  # else of several answers
        attributes[semconv.RESPONSE_FINISH_REASONS] = _finish_reasons(summary)
    attributes[semconv.USAGE_INPUT_TOKENS] = usage.all_input_tokens
    attributes[semconv.USAGE_OUTPUT_TOKENS] = usage.output_tokens
    attributes[semconv.USAGE_CACHE_READ_INPUT_TOKENS] = usage.cache_read_tokens
    attributes[semconv.USAGE_CACHE_WRITE_INPUT_TOKENS] = usage.cache_write_tokens
    attributes[semconv.USAGE_REASONING_OUTPUT_TOKENS] = usage.reasoning_tokens
    attributes.update(usage.more)


def _add_refusal(attributes: dict[str, AttributeValue | None], summary: Summary) -> None:
    """And of a fallback."""
    refusal, fallback = summary.refusal, summary.fallback
    if fallback is not None:
        attributes[semconv.FALLBACK_FROM] = fallback.from_model
        attributes[semconv.FALLBACK_TO] = fallback.to_model
        attributes[semconv.FALLBACK_TRIGGER] = fallback.trigger
        attributes[semconv.FALLBACK_COUNT] = summary.fallback_count
    if refusal is not None:
        attributes[semconv.REFUSAL_CATEGORY] = refusal.category


def _finish_reasons(summary: Summary) -> tuple[str, ...] | None:
    """The convention's word for "expected but not received" is `error`."""
    if summary.outcome == "complete" and summary.stop_reason is not None:
        return (summary.stop_reason,)
    return None if summary.outcome is None else ("error",)
