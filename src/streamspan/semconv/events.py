"""The events, and the attributes that only they have."""

from typing import Final

from streamspan.core.model import DeltaKind, WaitedFor

from . import call, stream
from .records import attribute, event

OFFSET: Final = attribute(
    "llm_stream.offset",
    "double",
    4.2,
    "from the call: to the stall's beginning, to the end, to the application's own event",
    unit="s",
)
CHARS_DELIVERED: Final = attribute(
    "llm_stream.chars_delivered", "int", 1931, "of all kinds, that the reader had by then", unit="{char}"
)

FIRST_TOKEN_KIND: Final = attribute(
    "llm_stream.first_token.kind", "string", "thinking", "what it is of", values=DeltaKind
)
FIRST_TOKEN_TIME: Final = attribute("llm_stream.first_token.time", "double", 0.62, "from the call", unit="s")
EVENT_FIRST_TOKEN: Final = event(
    "llm_stream.first_token",
    "the first delta with content of any kind",
    "at most once",
    (FIRST_TOKEN_KIND, FIRST_TOKEN_TIME),
)

BLOCK_INDEX: Final = attribute("llm_stream.content_block.index", "int", 0, "as the provider numbers it")
BLOCK_TYPE: Final = attribute("llm_stream.content_block.type", "string", "tool_use", "as the provider names it")
BLOCK_START: Final = attribute("llm_stream.content_block.start", "double", 0.6, "offset from the call", unit="s")
BLOCK_DURATION: Final = attribute("llm_stream.content_block.duration", "double", 3.1, "from its start", unit="s")
BLOCK_CHARS: Final = attribute("llm_stream.content_block.chars", "int", 97, "what came of it", unit="{char}")
BLOCK_CHUNK_COUNT: Final = attribute("llm_stream.content_block.chunk_count", "int", 9, "in so many", unit="{chunk}")
BLOCK_COMPLETE: Final = attribute(
    "llm_stream.content_block.complete", "boolean", True, "false: it was cut by the end of the stream"
)
BLOCK_STOPPED: Final = attribute(
    "llm_stream.content_block.stopped",
    "boolean",
    True,
    "whether the block's own stop came; false: the end of its message closed it, or the end of the stream cut it",
)
EVENT_CONTENT_BLOCK: Final = event(
    "llm_stream.content_block",
    "a content block has stopped, or was cut",
    "for each block",
    (
        BLOCK_INDEX,
        BLOCK_TYPE,
        BLOCK_START,
        BLOCK_DURATION,
        BLOCK_CHARS,
        BLOCK_CHUNK_COUNT,
        BLOCK_COMPLETE,
        BLOCK_STOPPED,
    ),
)

TOOL_NAME: Final = attribute("gen_ai.tool.name", "string", "send_email", "the tool", "if the provider gave it")
TOOL_CALL_ID: Final = attribute("gen_ai.tool.call.id", "string", "toolu_01", "of the call", "if the provider gave it")
TOOL_CALL_TYPE: Final = attribute("llm_stream.tool_call.type", "string", "tool_use", "the type of its block")
TOOL_CALL_INPUT_CHARS: Final = attribute(
    "llm_stream.tool_call.input_chars", "int", 97, "of the input's JSON", unit="{char}"
)
TOOL_CALL_COMPLETE: Final = attribute(
    "llm_stream.tool_call.complete", "boolean", True, "whether its block was closed, with valid JSON in it"
)
TOOL_CALL_VALID_JSON: Final = attribute(
    "llm_stream.tool_call.valid_json", "boolean", True, "of the JSON as it was sent, not as the SDK repaired it"
)
EVENT_TOOL_CALL: Final = event(
    "llm_stream.tool_call",
    "a tool call has come, or was cut",
    "for each, after the event of its block",
    (TOOL_NAME, TOOL_CALL_ID, TOOL_CALL_TYPE, TOOL_CALL_INPUT_CHARS, TOOL_CALL_COMPLETE, TOOL_CALL_VALID_JSON),
)

STALL_GAP: Final = attribute("llm_stream.stall.gap", "double", 6.4, "how long it was", unit="s")
STALL_WAITED_FOR: Final = attribute(
    "llm_stream.stall.waited_for",
    "string",
    "provider",
    "Whom the wait is ascribed to: the provider, something on the way from it, or the application's own event loop.",
    values=WaitedFor,
)
STALL_KEEPALIVES: Final = attribute(
    "llm_stream.stall.keepalives",
    "int",
    3,
    "Keep-alives that came during the wait. With none the line was dead; with some the model was silent.",
    unit="{keepalive}",
)
STALL_RELEASED: Final = attribute(
    "llm_stream.stall.released",
    "int",
    1,
    "Chunks that came within 50 ms of the wait's end. A model goes on with one; many had been held back.",
    unit="{chunk}",
)
EVENT_STALL: Final = event(
    "llm_stream.stall",
    "The reader waited for `stall_seconds` or more. Told once it is known what the wait ended with.",
    "for each",
    (STALL_GAP, OFFSET, stream.PHASE, STALL_WAITED_FOR, STALL_KEEPALIVES, STALL_RELEASED),
)
EVENT_REPETITION: Final = event(
    "llm_stream.repetition",
    "a loop is found: the attributes are those of the span, as of then",
    "for the first loop of each channel",
    (
        stream.REPETITION_KIND,
        stream.REPETITION_CHANNEL,
        stream.REPETITION_START,
        stream.REPETITION_PERIOD,
        stream.REPETITION_COUNT,
        stream.REPETITION_CHARS,
        stream.REPETITION_TIME,
    ),
)
EVENT_RUMINATION: Final = event(
    "llm_stream.rumination",
    "the content goes on without saying anything new: the attributes are those of the span",
    "for the first of each channel, if `rumination` is looked for and no loop was found in it",
    (
        stream.RUMINATION_CHANNEL,
        stream.RUMINATION_START,
        stream.RUMINATION_CHARS,
        stream.RUMINATION_SHARE,
        stream.RUMINATION_TIME,
    ),
)

EVENT_REFUSAL: Final = event(
    "llm_stream.refusal", "the model has refused to answer, or to go on", "if it did", (stream.REFUSAL_CATEGORY,)
)
EVENT_FALLBACK: Final = event(
    "llm_stream.fallback",
    "another model goes on within the stream",
    "for each",
    (stream.FALLBACK_FROM, stream.FALLBACK_TO, stream.FALLBACK_TRIGGER, stream.REFUSAL_CATEGORY),
)

_END = (stream.PHASE, OFFSET, CHARS_DELIVERED)
EVENT_ABORT: Final = event(
    "llm_stream.abort",
    "the reader left",
    "if the outcome is `aborted`",
    (*_END, stream.ABORT_REASON, stream.ABORT_TOOL_CALLS_COMPLETED),
)
EVENT_TRUNCATED: Final = event(
    "llm_stream.truncated", "the body ended too early", "if the outcome is `truncated`", _END
)
EVENT_ERROR: Final = event("llm_stream.error", "it failed", "if the outcome is `error`", (*_END, call.ERROR_TYPE))
