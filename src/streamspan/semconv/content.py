"""Content, for those who ask for it: four attributes, and the event that has them.

They are on the span, as JSON, if content goes there, and in the event, as structures, if it goes there.
"""

from typing import Final

from . import call, stream
from .records import event, span_attribute

_ASKED_FOR: Final = "if content is captured"
_GIVEN: Final = "if content is captured, and the call has any"

INPUT_MESSAGES: Final = span_attribute(
    "gen_ai.input.messages",
    "any",
    '[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]',
    "the conversation that the call sends",
    _GIVEN,
)
OUTPUT_MESSAGES: Final = span_attribute(
    "gen_ai.output.messages",
    "any",
    '[{"role":"assistant","parts":[{"type":"text","content":"Hello, y"}],"finish_reason":"error"}]',
    "the answer, as far as it came",
    "if content is captured, and a block had started",
)
SYSTEM_INSTRUCTIONS: Final = span_attribute(
    "gen_ai.system_instructions",
    "any",
    '[{"type":"text","content":"Be brief."}]',
    "the system instructions of the call",
    _GIVEN,
)
TOOL_DEFINITIONS: Final = span_attribute(
    "gen_ai.tool.definitions",
    "any",
    '[{"type":"function","name":"get","description":"Gets it.","parameters":{"type":"object"}}]',
    "the tools of the call",
    _GIVEN,
)
CONTENT_TRUNCATED: Final = span_attribute(
    "llm_stream.content.truncated",
    "boolean",
    False,
    "whether there was more than `content_chars` lets through; a part that was cut has `truncated` itself",
    _ASKED_FOR,
)
ERROR_MESSAGE: Final = span_attribute(
    "llm_stream.error.message",
    "string",
    "Overloaded",
    "the text of the error, which may repeat what was sent",
    "if content is captured, and the outcome is `error`",
)

OPERATION_DETAILS: Final = (
    call.OPERATION_NAME,
    call.PROVIDER_NAME,
    call.CONVERSATION_ID,
    call.SERVER_ADDRESS,
    call.SERVER_PORT,
    call.OUTPUT_TYPE,
    call.REQUEST_MODEL,
    call.REQUEST_STREAM,
    call.REQUEST_MAX_TOKENS,
    call.REQUEST_TEMPERATURE,
    call.REQUEST_TOP_P,
    call.REQUEST_TOP_K,
    call.REQUEST_STOP_SEQUENCES,
    call.RESPONSE_ID,
    call.RESPONSE_MODEL,
    call.RESPONSE_FINISH_REASONS,
    call.RESPONSE_TIME_TO_FIRST_CHUNK,
    call.USAGE_INPUT_TOKENS,
    call.USAGE_OUTPUT_TOKENS,
    call.USAGE_CACHE_READ_INPUT_TOKENS,
    call.USAGE_REASONING_OUTPUT_TOKENS,
    call.ERROR_TYPE,
    stream.OUTCOME,
    stream.PARTIAL,
    stream.ABORT_REASON,
)
"""What the event has beside the content: of what its span has, what the convention names, and how it ended."""

EVENT_OPERATION_DETAILS: Final = event(
    "gen_ai.client.inference.operation.details",
    "the stream has ended; its content, in a log record only",
    "if content goes there",
    (
        *OPERATION_DETAILS,
        INPUT_MESSAGES,
        OUTPUT_MESSAGES,
        SYSTEM_INSTRUCTIONS,
        TOOL_DEFINITIONS,
        CONTENT_TRUNCATED,
        ERROR_MESSAGE,
    ),
)
