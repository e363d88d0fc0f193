"""Every name that streamspan writes into telemetry: attributes and events.

Rules
    A name that a convention or the SDK already has keeps its name, type and meaning; the group says whose it is.
    Everything of our own is under `llm_stream.`.
    A point in the stream is given as an offset in seconds (double) from the start of the call.
    Closed sets of values are `Literal`s in `core/`, where they are decided.

Sources
    [genai]   https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (released conventions, 1.41)
    [http]    https://opentelemetry.io/docs/specs/semconv/http/http-spans/
    [sdk]     the `anthropic` SDK's own client span, `anthropic/_tracing.py` from 1.14 on
"""

from dataclasses import dataclass
from typing import Final, Literal

SCOPE: Final = "streamspan"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"

# --- the request: set when the span starts, so that samplers see the first six [genai] -----------------------------

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
OUTPUT_TYPE: Final = "gen_ai.output.type"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
ANTHROPIC_THINKING_TYPE: Final = "anthropic.thinking.type"  # [sdk]
ANTHROPIC_THINKING_BUDGET_TOKENS: Final = "anthropic.thinking.budget_tokens"  # [sdk]
ANTHROPIC_BETA: Final = "anthropic.beta"  # [sdk]
ANTHROPIC_REQUEST_SERVICE_TIER: Final = "anthropic.request.service_tier"  # [sdk]

# --- the HTTP exchange [http] ------------------------------------------------------------------------------------

HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_REQUEST_RESEND_COUNT: Final = "http.request.resend_count"
URL_SCHEME: Final = "url.scheme"
URL_PATH: Final = "url.path"
URL_FULL: Final = "url.full"
ANTHROPIC_REQUEST_ID: Final = "anthropic.request.id"  # [sdk]
ANTHROPIC_ORGANIZATION_ID: Final = "anthropic.organization.id"  # [sdk]
ANTHROPIC_WORKSPACE_ID: Final = "anthropic.workspace.id"  # [sdk]

# --- the response [genai] ----------------------------------------------------------------------------------------

RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
ANTHROPIC_STOP_REASON: Final = "anthropic.message.stop_reason"  # [sdk]
ANTHROPIC_RESPONSE_SERVICE_TIER: Final = "anthropic.response.service_tier"  # [sdk]
ERROR_TYPE: Final = "error.type"

USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE_INPUT_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"  # [sdk]
USAGE_REASONING_OUTPUT_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
ANTHROPIC_CACHE_CREATION_5M: Final = "anthropic.usage.cache_creation.ephemeral_5m_input_tokens"  # [sdk]
ANTHROPIC_CACHE_CREATION_1H: Final = "anthropic.usage.cache_creation.ephemeral_1h_input_tokens"  # [sdk]
ANTHROPIC_COMPACTION_INPUT_TOKENS: Final = "anthropic.usage.compaction.input_tokens"  # [sdk]
ANTHROPIC_COMPACTION_OUTPUT_TOKENS: Final = "anthropic.usage.compaction.output_tokens"  # [sdk]
USAGE_SERVER_TOOL_PREFIX: Final = "llm_stream.usage."
"""Prefix of the billed requests of server tools, e.g. `llm_stream.usage.web_search_requests`."""

# --- the stream: our own attributes --------------------------------------------------------------------------------

TIME_TO_HEADERS: Final = "llm_stream.time_to_headers"
TIME_TO_FIRST_TEXT: Final = "llm_stream.time_to_first_text"
OBSERVED: Final = "llm_stream.observed"
OUTCOME: Final = "llm_stream.outcome"
PARTIAL: Final = "llm_stream.partial"
PHASE: Final = "llm_stream.phase"
ABORT_REASON: Final = "llm_stream.abort.reason"
ABORT_TOOL_CALLS_COMPLETED: Final = "llm_stream.abort.tool_calls_completed"
ABORT_CONNECTION_CLOSED: Final = "llm_stream.abort.connection_closed"
CHUNK_COUNT: Final = "llm_stream.chunk.count"
CONTENT_BLOCK_COUNT: Final = "llm_stream.content_block.count"
TEXT_CHARS: Final = "llm_stream.text.chars"
THINKING_CHARS: Final = "llm_stream.thinking.chars"
TOOL_INPUT_CHARS: Final = "llm_stream.tool_input.chars"
TOOL_CALL_COUNT: Final = "llm_stream.tool_call.count"
TOOL_CALL_INCOMPLETE: Final = "llm_stream.tool_call.incomplete"
TOOL_CALL_INVALID_JSON: Final = "llm_stream.tool_call.invalid_json"
CHUNK_GAP_P50: Final = "llm_stream.chunk.gap.p50"
CHUNK_GAP_P95: Final = "llm_stream.chunk.gap.p95"
CHUNK_GAP_MAX: Final = "llm_stream.chunk.gap.max"
PROVIDER_TIME: Final = "llm_stream.provider.time"
CONSUMER_TIME: Final = "llm_stream.consumer.time"
TIME_PER_OUTPUT_TOKEN: Final = "llm_stream.time_per_output_token"
STALL_COUNT: Final = "llm_stream.stall.count"
STALL_TIME: Final = "llm_stream.stall.time"
TOOL_CALL_PAUSE: Final = "llm_stream.tool_call.pause"
BUFFERED: Final = "llm_stream.buffered"
REPETITION_DETECTED: Final = "llm_stream.repetition.detected"
REPETITION_KIND: Final = "llm_stream.repetition.kind"
REPETITION_CHANNEL: Final = "llm_stream.repetition.channel"
REPETITION_START: Final = "llm_stream.repetition.start"
REPETITION_PERIOD: Final = "llm_stream.repetition.period"
REPETITION_COUNT: Final = "llm_stream.repetition.count"
REPETITION_CHARS: Final = "llm_stream.repetition.chars"
REPETITION_TIME: Final = "llm_stream.repetition.time"
REPETITION_RECOVERED: Final = "llm_stream.repetition.recovered"
EVENTS_DROPPED: Final = "llm_stream.events_dropped"

# --- events and their attributes -----------------------------------------------------------------------------------

EVENT_FIRST_TOKEN: Final = "llm_stream.first_token"
FIRST_TOKEN_KIND: Final = "llm_stream.first_token.kind"
FIRST_TOKEN_TIME: Final = "llm_stream.first_token.time"

EVENT_CONTENT_BLOCK: Final = "llm_stream.content_block"
BLOCK_INDEX: Final = "llm_stream.content_block.index"
BLOCK_TYPE: Final = "llm_stream.content_block.type"
BLOCK_START: Final = "llm_stream.content_block.start"
BLOCK_DURATION: Final = "llm_stream.content_block.duration"
BLOCK_CHARS: Final = "llm_stream.content_block.chars"
BLOCK_CHUNK_COUNT: Final = "llm_stream.content_block.chunk_count"
BLOCK_COMPLETE: Final = "llm_stream.content_block.complete"

EVENT_TOOL_CALL: Final = "llm_stream.tool_call"
TOOL_NAME: Final = "gen_ai.tool.name"  # [genai]
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"  # [genai]
TOOL_CALL_TYPE: Final = "llm_stream.tool_call.type"
TOOL_CALL_INPUT_CHARS: Final = "llm_stream.tool_call.input_chars"
TOOL_CALL_COMPLETE: Final = "llm_stream.tool_call.complete"
TOOL_CALL_VALID_JSON: Final = "llm_stream.tool_call.valid_json"

EVENT_STALL: Final = "llm_stream.stall"
STALL_GAP: Final = "llm_stream.stall.gap"

EVENT_REPETITION: Final = "llm_stream.repetition"
"""When the loop is found: its attributes are those of the span, as of then."""

EVENT_ABORT: Final = "llm_stream.abort"
EVENT_TRUNCATED: Final = "llm_stream.truncated"
EVENT_ERROR: Final = "llm_stream.error"
OFFSET: Final = "llm_stream.offset"
"""Seconds from the call: of a stall to its beginning, of an end to the end; of the application's own events, too."""
CHARS_DELIVERED: Final = "llm_stream.chars_delivered"

# --- metrics -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """An instrument. An observable counter is one that we add up ourselves, at a tenth of the cost, without exemplars.

    attributes  besides those that every metric of a stream has, `STREAM_METRIC_ATTRIBUTES`
    buckets     upper bounds of a histogram, in its unit
    """

    name: str
    kind: Literal["histogram", "counter", "observable counter", "observable up-down counter", "observable gauge"]
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


STREAM_METRIC_ATTRIBUTES: Final = (
    OPERATION_NAME,
    PROVIDER_NAME,
    REQUEST_MODEL,
    RESPONSE_MODEL,
    SERVER_ADDRESS,
    SERVER_PORT,
)
"""Those of a stream that is open lack the response model."""

TOKEN_TYPE: Final = "gen_ai.token.type"  # `input`, `output` [genai]
CACHE_HIT: Final = "llm_stream.cache_hit"
ANOMALY: Final = "llm_stream.anomaly"
STOP_REASON: Final = ANTHROPIC_STOP_REASON
TOOL_CALL_COMPLETED: Final = TOOL_CALL_COMPLETE
FAILURE_WHERE: Final = "llm_stream.instrumentation.where"

# [genai] gives 0.01 s doubled up to 81.92 s; streams last longer, so three more.
_DURATION: Final = tuple(0.01 * 2**power for power in range(17))
# [genai] gives a ladder up to 10 s for the same time at the server; this one has the range that SLOs are written in.
_FIRST: Final = (
    0.1,
    0.2,
    0.3,
    0.5,
    0.75,
    1.0,
    1.5,
    2.0,
    3.0,
    5.0,
    7.5,
    10.0,
    15.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
)
# From a chunk of a slow model to a connection that hangs. 5 s is the default of `stall_seconds`.
_SILENCE: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
# [genai] gives 10 ms up to 2.5 s; today's models begin below, and a stalled stream is above.
_PER_TOKEN: Final = (
    *(0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5),
    *(10.0, 60.0, 600.0),
)
_TOKENS: Final = tuple(float(4**power) for power in range(14))  # [genai]

OPERATION_DURATION: Final = Metric(
    "gen_ai.client.operation.duration",  # [genai]
    "histogram",
    "s",
    "From the call to the end of the stream.",
    (ERROR_TYPE,),
    _DURATION,
)
TIME_TO_FIRST_CHUNK: Final = Metric(
    "gen_ai.client.operation.time_to_first_chunk",  # [genai]
    "histogram",
    "s",
    "From the call to the first delta with content, of whatever kind.",
    (CACHE_HIT,),
    _FIRST,
)
TIME_PER_OUTPUT_CHUNK: Final = Metric(
    "gen_ai.client.operation.time_per_output_chunk",  # [genai]
    "histogram",
    "s",
    "From one delta with content to the next. Off by default: a record costs more than all else that a delta costs.",
    (),
    _SILENCE,
)
TOKEN_USAGE: Final = Metric(
    "gen_ai.client.token.usage",  # [genai]
    "histogram",
    "{token}",
    "Tokens as the provider reports them.",
    (TOKEN_TYPE,),
    _TOKENS,
)
STREAMS: Final = Metric(
    "llm_stream.streams",
    "counter",
    "{stream}",
    "Streams that have ended, by how.",
    (OUTCOME, ABORT_REASON, STOP_REASON, ERROR_TYPE, PHASE),
)
ACTIVE: Final = Metric("llm_stream.active", "observable up-down counter", "{stream}", "Streams that are open now.")
SILENCE: Final = Metric(
    "llm_stream.silence",
    "observable gauge",
    "s",
    "The longest that the provider has been silent until now while somebody waits for it, of the open streams.",
)
FIRST_TEXT: Final = Metric(
    "llm_stream.time_to_first_text",
    "histogram",
    "s",
    "From the call to the first text, which may come long behind thinking.",
    (),
    _FIRST,
)
GAP_MAX: Final = Metric(
    "llm_stream.chunk.gap.max",
    "histogram",
    "s",
    "The longest silence of the provider within a stream, behind its first chunk.",
    (),
    _SILENCE,
)
PER_OUTPUT_TOKEN: Final = Metric(
    "llm_stream.time_per_output_token",
    "histogram",
    "s",
    "From the first chunk to the last, per output token behind the first.",
    (),
    _PER_TOKEN,
)
ANOMALIES: Final = Metric(
    "llm_stream.anomalies",
    "counter",
    "{anomaly}",
    "`stall`, `repetition`, `buffered`, `incomplete_tool_call`, `invalid_tool_json`: one for each that a stream had.",
    (ANOMALY,),
)
TOOL_CALLS: Final = Metric(
    "llm_stream.tool_calls",
    "counter",
    "{call}",
    "Tool calls, by whether they came whole, and by the outcome of their stream.",
    (TOOL_CALL_COMPLETED, OUTCOME),
)
INCOMPLETE_DURATION: Final = Metric(
    "llm_stream.incomplete.duration",
    "histogram",
    "s",
    "From the call to the end, of streams that did not end complete. The timeout of a proxy shows as a wall.",
    (OUTCOME,),
    _DURATION,
)
PAUSE_BEFORE_TOOL_CALL: Final = Metric(
    "llm_stream.tool_call.pause",
    "histogram",
    "s",
    "The longest silence within a stream before a tool call starts.",
    (),
    _SILENCE,
)
WAITED_FOR_PROVIDER: Final = Metric(
    "llm_stream.provider.time",
    "observable counter",
    "s",
    "How long readers waited for the provider, behind the first chunk.",
)
WAITED_FOR_CONSUMER: Final = Metric(
    "llm_stream.consumer.time",
    "observable counter",
    "s",
    "How long streams waited for their readers, behind the first chunk.",
)
OUTPUT_CHARS: Final = Metric(
    "llm_stream.output.chars",
    "observable counter",
    "{char}",
    "Chars delivered: of aborted streams, too, which report no tokens.",
    (OUTCOME, REPETITION_DETECTED),
)
INSTRUMENTATION_FAILURES: Final = Metric(
    "llm_stream.instrumentation.failures",
    "observable counter",
    "{failure}",
    "Failures of streamspan itself, which the application never sees, by the function of ours that failed.",
    (FAILURE_WHERE,),
)
INSTRUMENTATION_EVENTS_DROPPED: Final = Metric(
    "llm_stream.instrumentation.events_dropped",
    "counter",
    "{event}",
    "Span events left out because a stream had more than `max_events`.",
)

METRICS: Final = tuple(value for value in tuple(globals().values()) if isinstance(value, Metric))
"""Every metric."""
