"""The metrics, their buckets, and the attributes that only they have.

Sources
    [genai]  https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/ (released conventions, 1.41)
"""

from typing import Final, Literal

from . import call, events, stream
from .records import Metric, attribute, metric

STREAM_METRIC_ATTRIBUTES: Final = (
    call.OPERATION_NAME,
    call.PROVIDER_NAME,
    call.REQUEST_MODEL,
    call.RESPONSE_MODEL,
    call.SERVER_ADDRESS,
    call.SERVER_PORT,
)
"""Those of a stream that is open lack the response model."""

TOKEN_TYPE: Final = attribute(
    "gen_ai.token.type", "string", "output", "which tokens are counted", values=Literal["input", "output"]
)
CACHE_HIT: Final = attribute(
    "llm_stream.cache_hit", "boolean", True, "whether anything was read from the prompt cache", "if the usage says it"
)
CACHE_USE: Final = attribute(
    "llm_stream.cache.use",
    "string",
    "read",
    "whether the tokens were read from the prompt cache or written to it",
    values=Literal["read", "write"],
)
ANOMALY: Final = attribute(
    "llm_stream.anomaly",
    "string",
    "stall",
    "what was odd",
    values=Literal[
        "stall",
        "repetition",
        "rumination",
        "buffered",
        "incomplete_tool_call",
        "invalid_tool_json",
        "refusal",
        "slower_than_reading",
    ],
)
AT_LEAST: Final = attribute(
    "llm_stream.silence.at_least",
    "double",
    10.0,
    "The seconds of silence from which on an open stream is counted: one of `silence_seconds`.",
    unit="s",
)
ITERATION_TYPE: Final = attribute(
    "llm_stream.iteration.type",
    "string",
    "advisor_message",
    "the type of a step inside the call, in the provider's word",
)
ITERATION_MODEL: Final = attribute(
    "llm_stream.iteration.model",
    "string",
    "claude-opus-5-5",
    "the model that took a step inside the call",
    "if the provider has reported it",
)
RATE_LIMIT_RESOURCE: Final = attribute(
    "llm_stream.rate_limit.resource",
    "string",
    "output_tokens",
    "what the rate limit counts",
    values=Literal["requests", "input_tokens", "output_tokens", "tokens"],
)
TOOL_CALL_COMPLETED: Final = events.TOOL_CALL_COMPLETE
FAILURE_WHERE: Final = attribute(
    "llm_stream.instrumentation.where", "string", "observe", "the function of ours that failed", "if one has"
)

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
# Streams are cut at round times. What is cut ends just after one, so each has an edge, and one more before the next.
_WALLS: Final = (
    *(0.1, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 12.5, 15.0, 20.0, 30.0, 45.0, 55.0, 60.0, 65.0, 80.0, 95.0, 100.0, 105.0),
    *(115.0, 125.0, 200.0, 300.0, 450.0, 600.0, 900.0),
)
_TOKENS: Final = tuple(float(4**power) for power in range(14))  # [genai]

OPERATION_DURATION: Final = metric(
    "gen_ai.client.operation.duration",  # [genai]
    "histogram",
    "s",
    "From the call to the end of the stream.",
    (call.ERROR_TYPE,),
    _DURATION,
)
TIME_TO_FIRST_CHUNK: Final = metric(
    "gen_ai.client.operation.time_to_first_chunk",  # [genai]
    "histogram",
    "s",
    "From the call to the first delta with content, of whatever kind.",
    (CACHE_HIT,),
    _FIRST,
    present="when a stream has ended that had a chunk",
)
TIME_PER_OUTPUT_CHUNK: Final = metric(
    "gen_ai.client.operation.time_per_output_chunk",  # [genai]
    "histogram",
    "s",
    "From one delta with content to the next. Off by default: a record costs more than all else that a delta costs.",
    (),
    _SILENCE,
    present="with each chunk but the first, if `time_per_output_chunk` is set",
)
TOKEN_USAGE: Final = metric(
    "gen_ai.client.token.usage",  # [genai]
    "histogram",
    "{token}",
    "Tokens as the provider reports them.",
    (TOKEN_TYPE,),
    _TOKENS,
    present="when a stream has ended whose tokens are known",
)
TOKENS: Final = metric(
    "llm_stream.tokens",
    "observable counter",
    "{token}",
    "Tokens as the provider reports them, by the outcome of their stream: those of aborted and failed streams show, as "
    "far as the provider had reported them.",
    (TOKEN_TYPE, stream.OUTCOME),
    present="from the first answer of a model on",
)
CACHE_TOKENS: Final = metric(
    "llm_stream.cache.tokens",
    "observable counter",
    "{token}",
    "Input tokens that were read from the prompt cache or written to it. They are in the token usage, too.",
    (CACHE_USE,),
    present="from the first answer of a model on",
)
STREAMS: Final = metric(
    "llm_stream.streams",
    "observable counter",
    "{stream}",
    "Streams that have ended, by how.",
    (stream.OUTCOME, stream.ABORT_REASON, stream.STOP_REASON, call.ERROR_TYPE, stream.PHASE),
    present="from the start of the first stream on, and when one has ended",
)
RETRIES: Final = metric(
    "llm_stream.retries",
    "counter",
    "{retry}",
    "Attempts of the SDK at a call after one that failed, by the status code or the error of the one that failed.",
    (call.ERROR_TYPE,),
    present="from the start of the first stream on, and when the SDK retries",
    counts="open streams",
)
HEADERS: Final = metric(
    "llm_stream.time_to_headers",
    "histogram",
    "s",
    "From the start of the SDK's last attempt at the call to the response headers. Failed attempts are not in it.",
    (),
    _FIRST,
    present="when a stream has ended whose response headers had come",
)
ACTIVE: Final = metric(
    "llm_stream.active",
    "observable up-down counter",
    "{stream}",
    "Streams that are open now.",
    present="from the first stream on",
    counts="open streams",
)
SILENCE: Final = metric(
    "llm_stream.silence",
    "observable gauge",
    "s",
    "The longest that the reader of an open stream has waited until now for the next event, by where the stream is. "
    "A keep-alive ends no wait, and a blocked event loop is none.",
    (stream.PHASE,),
    present="from the first stream on",
    counts="open streams",
)
LINE_SILENCE: Final = metric(
    "llm_stream.line_silence",
    "observable gauge",
    "s",
    "The longest that the reader of an open stream has waited until now without a single byte. Far below the silence: "
    "the line lives, and the model is silent.",
    present="from the first stream on",
    counts="open streams",
)
SILENT: Final = metric(
    "llm_stream.silent",
    "observable up-down counter",
    "{stream}",
    "Open streams whose reader has waited for at least so long until now.",
    (AT_LEAST,),
    present="from the first stream on",
    counts="open streams",
)
THINKING: Final = metric(
    "llm_stream.thinking.time",
    "histogram",
    "s",
    "Total duration of the thinking blocks of a stream, whether or not their content was sent.",
    (),
    _FIRST,
    present="when a stream has ended that had thinking",
)
CLOSE_DELAY: Final = metric(
    "llm_stream.close_delay",
    "histogram",
    "s",
    "How long the body stayed open after the provider's own end had come, where that was 10 ms or more. The "
    "application waits for it.",
    (),
    _SILENCE,
    present="when a body has ended late",
)
LATE_ERRORS: Final = metric(
    "llm_stream.late_errors",
    "counter",
    "{error}",
    "Errors that the application got after the provider's own end had come. The stream counts as complete.",
    (call.ERROR_TYPE,),
    present="when there was one",
)
FIRST_TEXT: Final = metric(
    "llm_stream.time_to_first_text",
    "histogram",
    "s",
    "From the call to the first text, which may come long after thinking.",
    (),
    _FIRST,
    present="when a stream has ended that had text",
)
GAP_MAX: Final = metric(
    "llm_stream.chunk.gap.max",
    "histogram",
    "s",
    "The longest wait of the reader within a stream, after its first chunk.",
    (),
    _SILENCE,
    present="when a stream has ended that had two chunks or more",
)
PER_OUTPUT_TOKEN: Final = metric(
    "llm_stream.time_per_output_token",
    "histogram",
    "s",
    "From the first chunk to the last, per output token after the first.",
    (),
    _PER_TOKEN,
    present="when a stream has ended whose output tokens are known",
)
ANOMALIES: Final = metric(
    "llm_stream.anomalies",
    "counter",
    "{anomaly}",
    "What was odd in streams: one for each that a stream had. `slower_than_reading`: a person who reads the text as it "
    "comes waited for more than 5 % of the time.",
    (ANOMALY,),
    present="from the first answer of a model on, and when one has ended that had any",
)
TOOL_CALLS: Final = metric(
    "llm_stream.tool_calls",
    "counter",
    "{call}",
    "Tool calls, by whether they came whole, and by the outcome of their stream.",
    (TOOL_CALL_COMPLETED, stream.OUTCOME),
    present="from the first answer of a model on, and when one has ended that had any",
)
INCOMPLETE_DURATION: Final = metric(
    "llm_stream.incomplete.duration",
    "histogram",
    "s",
    "From the call to the end, of streams that did not end complete. The timeout of a proxy shows as a wall.",
    (stream.OUTCOME,),
    _WALLS,
    present="when a stream has ended otherwise than complete",
)
PAUSE_BEFORE_TOOL_CALL: Final = metric(
    "llm_stream.tool_call.pause",
    "histogram",
    "s",
    "The longest silence within a stream before a tool call starts.",
    (),
    _SILENCE,
    present="when a stream has ended that had a tool call after a chunk",
)
WAITED_FOR_PROVIDER: Final = metric(
    "llm_stream.provider.time",
    "observable counter",
    "s",
    "How long readers waited for the provider after the first chunk.",
    present="from the first answer of a model on",
)
WAITED_FOR_CONSUMER: Final = metric(
    "llm_stream.consumer.time",
    "observable counter",
    "s",
    "How long streams waited for their readers after the first chunk.",
    present="from the first answer of a model on",
)
WAITED_FOR_TRANSIT: Final = metric(
    "llm_stream.transit.time",
    "observable counter",
    "s",
    "How long readers waited, after the first chunk, for chunks that something on the way held back.",
    present="from the end of the first stream on",
)
WAITED_FOR_EVENT_LOOP: Final = metric(
    "llm_stream.event_loop.blocked_time",
    "observable counter",
    "s",
    "How long readers waited because their own event loop was blocked.",
    present="from the end of the first stream on",
)
READING_TIME: Final = metric(
    "llm_stream.reading.time",
    "observable counter",
    "s",
    "How long a person needs to read the text of the streams that have ended, at `reading_speed`.",
    present="from the end of the first stream on",
)
REBUFFERING_TIME: Final = metric(
    "llm_stream.rebuffer.time",
    "observable counter",
    "s",
    "How long a person who reads the text as it comes had to wait for more.",
    present="from the end of the first stream on",
)
OUTPUT_CHARS: Final = metric(
    "llm_stream.output.chars",
    "observable counter",
    "{char}",
    "Chars delivered: of aborted streams, too, which report no tokens.",
    (stream.OUTCOME, stream.REPETITION_DETECTED),
    present="from the first answer of a model on",
)
ITERATION_TOKENS: Final = metric(
    "llm_stream.iteration.tokens",
    "counter",
    "{token}",
    "Tokens of steps inside a call that its token usage leaves out and that are billed, such as those of an advisor.",
    (ITERATION_TYPE, TOKEN_TYPE, ITERATION_MODEL),
    present="when a stream has ended that had any",
)
RATE_LIMIT_REMAINING: Final = metric(
    "llm_stream.rate_limit.remaining",
    "observable gauge",
    "{resource}",
    "What the rate limit still allowed when the last response began, of requests and of tokens.",
    (RATE_LIMIT_RESOURCE,),
    present="for 5 minutes from the response that says it",
    counts="open streams",
)
INSTRUMENTATION_FAILURES: Final = metric(
    "llm_stream.instrumentation.failures",
    "observable counter",
    "{failure}",
    "Failures of streamspan itself, which the application never sees, by the function of ours that failed.",
    (FAILURE_WHERE,),
    present="always",
    counts="streamspan itself",
)
INSTRUMENTATION_EVENTS_DROPPED: Final = metric(
    "llm_stream.instrumentation.events_dropped",
    "counter",
    "{event}",
    "Span events left out because a stream had more than `max_events`.",
    present="always",
    counts="streamspan itself",
)


def metric_attributes(of: Metric) -> tuple[str, ...]:
    """All that a metric has."""
    if of.counts == "streamspan itself":
        return of.attributes
    shared = STREAM_METRIC_ATTRIBUTES
    if of.counts == "open streams":
        shared = tuple(name for name in shared if name != call.RESPONSE_MODEL)
    return (*shared, *of.attributes)
