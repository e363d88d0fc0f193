"""The attributes of the stream: our own.

Everything of our own is under `llm_stream.`. A point in the stream is an offset in seconds from the start of the call.
"""

from typing import Final, Literal

from streamspan.core.model import AbortReason, DeltaKind, FallbackTrigger, LivePhase, LoopKind, Outcome, Phase

from .records import span_attribute

_OBSERVED = "if the stream was observed"
_EARLY = "if the outcome is not `complete`"
_ABORTED = "if the outcome is `aborted`"
_OPENED = "if it was observed, and the response headers had come"
_TWO_CHUNKS = "if two chunks or more had come"
_LOOPED = "if there was a loop"
_RUMINATED = "if there was rumination"
_FELL_BACK = "if another model went on"
_LIMITED = "if a header of the response has it"

# --- how it ended --------------------------------------------------------------------------------------------------

OBSERVED: Final = span_attribute(
    "llm_stream.observed", "boolean", False, "false: the body was read as bytes, so nobody saw its events", "if false"
)
OUTCOME: Final = span_attribute(
    "llm_stream.outcome",
    "string",
    "aborted",
    "how it ended. `truncated`: the body ended without the provider's own end. `aborted`: the reader left, which is no "
    "error",
    _OBSERVED,
    values=Outcome,
)
PARTIAL: Final = span_attribute(
    "llm_stream.partial",
    "boolean",
    True,
    "whether content is missing: false once the stop reason has come and every block is closed",
    _OBSERVED,
)
PHASE: Final = span_attribute(
    "llm_stream.phase",
    "string",
    "text",
    "Where the stream was when it ended, or at the time of the event. Of open streams, `streaming` stands for `text`, "
    "`tool_input` and `between_blocks`.",
    _EARLY,
    values=Literal[Phase, LivePhase],
)
STOP_REASON: Final = span_attribute(
    "llm_stream.stop_reason",
    "string",
    "end_turn",
    "why the model stopped, in the provider's own word. A response of OpenAI's Responses API has none unless it is "
    "incomplete: it is `tool_calls` if the application has calls to make, else `stop`",
    "if the provider has reported it",
)
ABORT_REASON: Final = span_attribute(
    "llm_stream.abort.reason",
    "string",
    "cancelled",
    "why the reader left. Also any word of the application's own",
    _ABORTED,
    values=AbortReason,
)
ABORT_TOOL_CALLS_COMPLETED: Final = span_attribute(
    "llm_stream.abort.tool_calls_completed",
    "int",
    1,
    "tool calls that had come whole by then: side effects that may have happened",
    _ABORTED,
    unit="{call}",
)
ABORT_CONNECTION_CLOSED: Final = span_attribute(
    "llm_stream.abort.connection_closed",
    "boolean",
    True,
    "whether the connection had been closed when the end was noticed",
    "if the outcome is `aborted`, and it is known",
)

# --- what had come -------------------------------------------------------------------------------------------------

TIME_TO_HEADERS: Final = span_attribute(
    "llm_stream.time_to_headers",
    "double",
    0.41,
    "from the call to the response headers, with all attempts",
    "if they had come",
    unit="s",
)
RETRY_TIME: Final = span_attribute(
    "llm_stream.retry.time",
    "double",
    1.4,
    "from the call to the start of the SDK's last attempt: the attempts that failed, and the waits between them",
    "if the SDK has retried",
    unit="s",
)
TIME_TO_FIRST_TEXT: Final = span_attribute(
    "llm_stream.time_to_first_text",
    "double",
    3.8,
    "from the call to the first text, which may come long after thinking",
    "if there was text",
    unit="s",
)
CHUNK_COUNT: Final = span_attribute(
    "llm_stream.chunk.count", "int", 212, "deltas with content: text, thinking or tool input", _OPENED, unit="{chunk}"
)
CONTENT_BLOCK_COUNT: Final = span_attribute(
    "llm_stream.content_block.count", "int", 2, "content blocks", _OPENED, unit="{block}"
)
TEXT_CHARS: Final = span_attribute(
    "llm_stream.text.chars", "int", 1834, "Unicode code points of text", _OPENED, unit="{char}"
)
THINKING_CHARS: Final = span_attribute(
    "llm_stream.thinking.chars", "int", 0, "Unicode code points of thinking", _OPENED, unit="{char}"
)
TOOL_INPUT_CHARS: Final = span_attribute(
    "llm_stream.tool_input.chars", "int", 97, "Unicode code points of tool input", _OPENED, unit="{char}"
)
TOOL_CALL_COUNT: Final = span_attribute(
    "llm_stream.tool_call.count",
    "int",
    2,
    "tool calls: of the application, of the server, of MCP",
    _OPENED,
    unit="{call}",
)
TOOL_CALL_INCOMPLETE: Final = span_attribute(
    "llm_stream.tool_call.incomplete",
    "int",
    1,
    "tool calls that were cut before they were whole",
    _OPENED,
    unit="{call}",
)
TOOL_CALL_INVALID_JSON: Final = span_attribute(
    "llm_stream.tool_call.invalid_json",
    "int",
    0,
    "tool calls whose input, as it was sent and not as the SDK repaired it, is not valid JSON",
    _OPENED,
    unit="{call}",
)
EVENTS_DROPPED: Final = span_attribute(
    "llm_stream.events_dropped", "int", 17, "events beyond `max_events`", "if there were any", unit="{event}"
)

# --- the pace ------------------------------------------------------------------------------------------------------

CHUNK_GAP_P50: Final = span_attribute(
    "llm_stream.chunk.gap.p50",
    "double",
    0.021,
    "the median gap between chunks. A gap is time that the reader waits for the provider, never the reader's own time",
    _TWO_CHUNKS,
    unit="s",
)
CHUNK_GAP_P95: Final = span_attribute(
    "llm_stream.chunk.gap.p95", "double", 0.11, "the 95th percentile of the gaps between chunks", _TWO_CHUNKS, unit="s"
)
CHUNK_GAP_MAX: Final = span_attribute(
    "llm_stream.chunk.gap.max", "double", 6.4, "the longest gap between chunks", _TWO_CHUNKS, unit="s"
)
PROVIDER_TIME: Final = span_attribute(
    "llm_stream.provider.time",
    "double",
    7.9,
    "How long the reader waited for the provider after the first chunk, without `llm_stream.transit.time` and "
    "`llm_stream.event_loop.blocked_time`.",
    "if a chunk had come",
    unit="s",
)
CONSUMER_TIME: Final = span_attribute(
    "llm_stream.consumer.time",
    "double",
    0.3,
    "how long the stream waited for its reader after the first chunk",
    "if a chunk had come",
    unit="s",
)
TRANSIT_TIME: Final = span_attribute(
    "llm_stream.transit.time",
    "double",
    0.0,
    "How long the reader waited, after the first chunk, for chunks that something between the provider and the reader "
    "held back and then let go at once.",
    "if a chunk had come",
    unit="s",
)
BLOCKED_TIME: Final = span_attribute(
    "llm_stream.event_loop.blocked_time",
    "double",
    0.0,
    "How long the reader waited because its own asyncio event loop was blocked.",
    _OPENED,
    unit="s",
)
KEEPALIVE_COUNT: Final = span_attribute(
    "llm_stream.keepalive.count",
    "int",
    4,
    "Keep-alives that came while the reader waited: pings, comments, and deltas without content.",
    _OPENED,
    unit="{keepalive}",
)
THINKING_TIME: Final = span_attribute(
    "llm_stream.thinking.time",
    "double",
    3.2,
    "Total duration of the thinking blocks, whether or not their content was sent.",
    "if there was one",
    unit="s",
)
REBUFFER_TIME: Final = span_attribute(
    "llm_stream.rebuffer.time",
    "double",
    0.0,
    "How long a person who reads the text as it comes, at `reading_speed`, had to wait for more.",
    "if there was text",
    unit="s",
)
REBUFFER_COUNT: Final = span_attribute(
    "llm_stream.rebuffer.count",
    "int",
    0,
    "How often a person who reads the text as it comes had to wait for more.",
    "if there was text",
    unit="{pause}",
)
REBUFFER_RATIO: Final = span_attribute(
    "llm_stream.rebuffer.ratio",
    "double",
    0.0,
    "The share of waiting in the time that a person needs to read the text as it comes.",
    "if there was text",
    unit="1",
)
TIME_PER_OUTPUT_TOKEN: Final = span_attribute(
    "llm_stream.time_per_output_token",
    "double",
    0.016,
    "from the first chunk to the last, per output token after the first",
    "if the output tokens are known",
    unit="s",
)
STALL_COUNT: Final = span_attribute(
    "llm_stream.stall.count",
    "int",
    1,
    "Silences of the provider of at least `stall_seconds`.",
    _OPENED,
    unit="{stall}",
)
STALL_TIME: Final = span_attribute(
    "llm_stream.stall.time", "double", 6.4, "Total duration of the provider's stalls.", _OPENED, unit="s"
)
TOOL_CALL_PAUSE: Final = span_attribute(
    "llm_stream.tool_call.pause",
    "double",
    1.9,
    "the longest silence before a tool call starts",
    "if one came after a chunk",
    unit="s",
)
BUFFERED: Final = span_attribute(
    "llm_stream.buffered",
    "boolean",
    False,
    "Whether most chunks came many at once after long waits, as from a proxy that holds them back.",
    "if enough came to tell",
)

# --- loops ---------------------------------------------------------------------------------------------------------

REPETITION_DETECTED: Final = span_attribute(
    "llm_stream.repetition.detected", "boolean", True, "whether the stream repeated itself", "if loops are looked for"
)
REPETITION_KIND: Final = span_attribute(
    "llm_stream.repetition.kind",
    "string",
    "exact",
    "`exact`: the copies are the same. `drift`: nearly so. `tool_call`: the same tool call, name and input, came again "
    "and again",
    _LOOPED,
    values=LoopKind,
)
REPETITION_CHANNEL: Final = span_attribute(
    "llm_stream.repetition.channel", "string", "text", "what repeated itself", _LOOPED, values=DeltaKind
)
REPETITION_START: Final = span_attribute(
    "llm_stream.repetition.start",
    "int",
    830,
    "where in its channel the first loop starts, counted over all content blocks",
    _LOOPED,
    unit="{char}",
)
REPETITION_PERIOD: Final = span_attribute(
    "llm_stream.repetition.period", "int", 64, "the length of what comes again", _LOOPED, unit="{char}"
)
REPETITION_COUNT: Final = span_attribute(
    "llm_stream.repetition.count", "int", 21, "full cycles, or equal tool calls", _LOOPED, unit="{cycle}"
)
REPETITION_CHARS: Final = span_attribute(
    "llm_stream.repetition.chars", "int", 1344, "of the whole loop", _LOOPED, unit="{char}"
)
REPETITION_TIME: Final = span_attribute(
    "llm_stream.repetition.time", "double", 9.2, "from the loop's first char to its last", _LOOPED, unit="s"
)
REPETITION_RECOVERED: Final = span_attribute(
    "llm_stream.repetition.recovered", "boolean", False, "whether the content left the loop and went on", _LOOPED
)

RUMINATION_DETECTED: Final = span_attribute(
    "llm_stream.rumination.detected",
    "boolean",
    False,
    "whether the stream went on without saying anything new, in other words or in another order",
    "if `rumination` is looked for",
)
RUMINATION_CHANNEL: Final = span_attribute(
    "llm_stream.rumination.channel", "string", "thinking", "what said nothing new", _RUMINATED, values=DeltaKind
)
RUMINATION_START: Final = span_attribute(
    "llm_stream.rumination.start",
    "int",
    5120,
    "where in its channel the first rumination starts, counted over all content blocks, to about 640 chars",
    _RUMINATED,
    unit="{char}",
)
RUMINATION_CHARS: Final = span_attribute(
    "llm_stream.rumination.chars", "int", 2560, "from its start until it was seen", _RUMINATED, unit="{char}"
)
RUMINATION_SHARE: Final = span_attribute(
    "llm_stream.rumination.share",
    "double",
    0.95,
    "how much of it had been said within the last 1,500 words, from 0 to 1",
    _RUMINATED,
    unit="1",
)
RUMINATION_TIME: Final = span_attribute(
    "llm_stream.rumination.time", "double", 31.0, "from its first char until it was seen", _RUMINATED, unit="s"
)

# --- refusals, fallbacks, limits -----------------------------------------------------------------------------------

REFUSAL_CATEGORY: Final = span_attribute(
    "llm_stream.refusal.category",
    "string",
    "cyber",
    "the policy category of a refusal, in the provider's word; `_OTHER` for one that is not known",
    "if the model refused, and the provider names a category; in the event of a fallback, that of its trigger",
)
FALLBACK_FROM: Final = span_attribute(
    "llm_stream.fallback.from",
    "string",
    "claude-fable-5",
    "the model that was replaced within the stream; on the span the first one",
    _FELL_BACK + ", and the provider names the model before it",
)
FALLBACK_TO: Final = span_attribute(
    "llm_stream.fallback.to",
    "string",
    "claude-opus-5-5",
    "the model that went on in its place; on the span the last one",
    _FELL_BACK + ", and the provider names it",
)
FALLBACK_TRIGGER: Final = span_attribute(
    "llm_stream.fallback.trigger",
    "string",
    "refusal",
    "why another model went on: the one before it refused (`refusal`), or a second message of another model began in "
    "the stream, as from a gateway (`second_message`); `_OTHER` for a reason that is not known",
    _FELL_BACK,
    values=FallbackTrigger,
)
FALLBACK_COUNT: Final = span_attribute(
    "llm_stream.fallback.count",
    "int",
    1,
    "how many times another model went on within the stream",
    _FELL_BACK,
    unit="{fallback}",
)
RATE_LIMIT_REQUESTS_REMAINING: Final = span_attribute(
    "llm_stream.rate_limit.requests.remaining",
    "int",
    49,
    "requests that the rate limit still allowed when the response began",
    _LIMITED,
    unit="{request}",
)
RATE_LIMIT_INPUT_TOKENS_REMAINING: Final = span_attribute(
    "llm_stream.rate_limit.input_tokens.remaining",
    "int",
    48_000,
    "input tokens that the rate limit still allowed when the response began",
    _LIMITED,
    unit="{token}",
)
RATE_LIMIT_OUTPUT_TOKENS_REMAINING: Final = span_attribute(
    "llm_stream.rate_limit.output_tokens.remaining",
    "int",
    7_500,
    "output tokens that the rate limit still allowed when the response began",
    _LIMITED,
    unit="{token}",
)
RATE_LIMIT_TOKENS_REMAINING: Final = span_attribute(
    "llm_stream.rate_limit.tokens.remaining",
    "int",
    55_000,
    "tokens of either kind that the rate limit still allowed when the response began",
    _LIMITED,
    unit="{token}",
)
RETRY_AFTER: Final = span_attribute(
    "llm_stream.rate_limit.retry_after",
    "double",
    12.0,
    "how long the server asks to wait before the next try, in seconds",
    _LIMITED,
    unit="s",
)
