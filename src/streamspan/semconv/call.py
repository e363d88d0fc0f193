"""The attributes of the call, which others have named: the GenAI and HTTP conventions, and the SDK's own span."""

from typing import Final

from .records import API, AT_START, SDK, span_attribute

_GIVEN = f"{AT_START}, if the caller gave it"
_HEADERS = "once the response headers have come"
_SENT = "once the request has been sent and answered"
_SAID = "if the header has it"
_REPORTED = "if the provider has reported it"

# --- the request ---------------------------------------------------------------------------------------------------

OPERATION_NAME: Final = span_attribute(
    "gen_ai.operation.name", "string", "chat", "`chat`, or `text_completion`", AT_START
)
PROVIDER_NAME: Final = span_attribute(
    "gen_ai.provider.name",
    "string",
    "anthropic",
    "whose API it is: by the SDK's client, else by a host that the conventions know. Any other server that is called "
    "by the OpenAI SDK is `openai`",
    AT_START,
)
REQUEST_MODEL: Final = span_attribute(
    "gen_ai.request.model", "string", "claude-sonnet-5-5", "the model asked for", _GIVEN
)
REQUEST_STREAM: Final = span_attribute("gen_ai.request.stream", "boolean", True, "true", AT_START)
SERVER_ADDRESS: Final = span_attribute("server.address", "string", "api.anthropic.com", "the host of the API", AT_START)
SERVER_PORT: Final = span_attribute("server.port", "int", 443, "its port", AT_START)
REQUEST_MAX_TOKENS: Final = span_attribute(
    "gen_ai.request.max_tokens", "int", 1024, "how many tokens may be generated", _GIVEN, unit="{token}"
)
REQUEST_TEMPERATURE: Final = span_attribute("gen_ai.request.temperature", "double", 0.7, "the temperature", _GIVEN)
REQUEST_TOP_P: Final = span_attribute("gen_ai.request.top_p", "double", 0.9, "`top_p`", _GIVEN)
REQUEST_PRESENCE_PENALTY: Final = span_attribute(
    "gen_ai.request.presence_penalty", "double", 0.1, "`presence_penalty`", _GIVEN
)
REQUEST_FREQUENCY_PENALTY: Final = span_attribute(
    "gen_ai.request.frequency_penalty", "double", 0.1, "`frequency_penalty`", _GIVEN
)
REQUEST_SEED: Final = span_attribute("gen_ai.request.seed", "int", 100, "`seed`", _GIVEN)
REQUEST_CHOICE_COUNT: Final = span_attribute(
    "gen_ai.request.choice.count", "int", 3, "how many answers were asked for", f"{_GIVEN} and it is not 1"
)
REQUEST_TOP_K: Final = span_attribute("gen_ai.request.top_k", "double", 40.0, "`top_k`", _GIVEN)
REQUEST_STOP_SEQUENCES: Final = span_attribute(
    "gen_ai.request.stop_sequences", "string[]", ("END",), "what ends the text", _GIVEN
)
REQUEST_REASONING_LEVEL: Final = span_attribute(
    "gen_ai.request.reasoning.level",
    "string",
    "high",
    "how much the model may reason: `output_config.effort`, or `reasoning_effort`",
    _GIVEN,
    source=SDK,
)
OUTPUT_TYPE: Final = span_attribute(
    "gen_ai.output.type",
    "string",
    "json",
    "`json`, or `text`",
    f"{AT_START}, if the caller gave a JSON schema or another format",
)
CONVERSATION_ID: Final = span_attribute(
    "gen_ai.conversation.id", "string", "conv_7", "the conversation that the SDK's client is in", _GIVEN
)
ANTHROPIC_THINKING_TYPE: Final = span_attribute(
    "anthropic.thinking.type", "string", "enabled", "whether and how the model may think", _GIVEN
)
ANTHROPIC_THINKING_BUDGET_TOKENS: Final = span_attribute(
    "anthropic.thinking.budget_tokens", "int", 2048, "how many tokens it may think for", _GIVEN, unit="{token}"
)
ANTHROPIC_BETA: Final = span_attribute(
    "anthropic.beta", "string[]", ("files-api-2025-04-14",), "the beta features asked for", _SENT + ", if there are any"
)
ANTHROPIC_REQUEST_SERVICE_TIER: Final = span_attribute(
    "anthropic.request.service_tier", "string", "auto", "the service tier asked for", _GIVEN
)
OPENAI_API_TYPE: Final = span_attribute(
    "openai.api.type", "string", "chat_completions", "`chat_completions` or `responses`", AT_START
)
OPENAI_REQUEST_SERVICE_TIER: Final = span_attribute(
    "openai.request.service_tier", "string", "flex", "the service tier asked for", _GIVEN
)

# --- the HTTP exchange ---------------------------------------------------------------------------------------------

HTTP_REQUEST_METHOD: Final = span_attribute("http.request.method", "string", "POST", "the method", AT_START)
HTTP_ROUTE: Final = span_attribute("http.route", "string", "/v1/messages", "the route of the operation", AT_START)
HTTP_RESPONSE_STATUS_CODE: Final = span_attribute("http.response.status_code", "int", 200, "the status", _HEADERS)
HTTP_REQUEST_RESEND_COUNT: Final = span_attribute(
    "http.request.resend_count", "int", 1, "how often the SDK has tried again", "if it has", unit="{request}"
)
RESPONSE_HEADER_PREFIX: Final = span_attribute(
    "http.response.header.",
    "template[string[]]",
    ("text/html",),
    "A header of the response: `x-request-id`, by which the provider's support finds the request, and `content-type` "
    "of a response that is no event stream.",
    "if the header has it; `content-type` if no event came of the body",
)
RESPONSE_BODY_SIZE: Final = span_attribute(
    "http.response.body.size",
    "int",
    512,
    "The size of the body of a response that is no event stream.",
    "if no event came of the body",
    unit="By",
)
URL_SCHEME: Final = span_attribute(
    "url.scheme", "string", "https", "the scheme of the request as it was sent last", _SENT
)
URL_PATH: Final = span_attribute("url.path", "string", "/v1/messages", "its path", _SENT)
URL_FULL: Final = span_attribute(
    "url.full", "string", "https://api.anthropic.com/v1/messages", "its address, without credentials and query", _SENT
)
ANTHROPIC_REQUEST_ID: Final = span_attribute(
    "anthropic.request.id", "string", "req_011CT", "the API's name of the request, for its support", _SAID
)
ANTHROPIC_ORGANIZATION_ID: Final = span_attribute(
    "anthropic.organization.id", "string", "a1b2c3d4", "the organization of the key", _SAID
)
ANTHROPIC_WORKSPACE_ID: Final = span_attribute("anthropic.workspace.id", "string", "wrkspc_01", "the workspace", _SAID)

# --- the response --------------------------------------------------------------------------------------------------

RESPONSE_ID: Final = span_attribute("gen_ai.response.id", "string", "msg_01", "of the message", _REPORTED)
RESPONSE_MODEL: Final = span_attribute(
    "gen_ai.response.model", "string", "claude-sonnet-5-5", "the model that answered", _REPORTED
)
RESPONSE_FINISH_REASONS: Final = span_attribute(
    "gen_ai.response.finish_reasons",
    "string[]",
    ("end_turn",),
    "the stop reason as the provider gave it; `error` where one was expected and did not come",
    "if the outcome is known",
)
MEDIA_SIZE: Final = span_attribute(
    "llm_stream.media.size",
    "int",
    48_000,
    "The size of the audio and the images in the stream, in bytes. They are counted only, never captured.",
    "if there were any",
    unit="By",
)
RESPONSE_TIME_TO_FIRST_CHUNK: Final = span_attribute(
    "gen_ai.response.time_to_first_chunk",
    "double",
    0.62,
    "from the call to the first delta with content of any kind; keep-alives and events without content do not count",
    "if there was one",
    unit="s",
)
ANTHROPIC_STOP_REASON: Final = span_attribute(
    "anthropic.message.stop_reason", "string", "end_turn", "why the model stopped", _REPORTED
)
ANTHROPIC_RESPONSE_SPEED: Final = span_attribute(
    "anthropic.response.speed", "string", "fast", "the speed at which the API served the call", _REPORTED, source=API
)
ANTHROPIC_RESPONSE_INFERENCE_GEO: Final = span_attribute(
    "anthropic.response.inference_geo",
    "string",
    "us",
    "the geography in which the model ran",
    _REPORTED,
    source=API,
)
ANTHROPIC_CONTEXT_EDITS: Final = span_attribute(
    "anthropic.context_management.applied_edits",
    "int",
    1,
    "how many edits of the context the API applied",
    _REPORTED,
    unit="{edit}",
    source=API,
)
ANTHROPIC_CONTEXT_CLEARED_TOKENS: Final = span_attribute(
    "anthropic.context_management.cleared_input_tokens",
    "int",
    50_000,
    "input tokens that the edits of the context cleared",
    _REPORTED,
    unit="{token}",
    source=API,
)
ANTHROPIC_RESPONSE_SERVICE_TIER: Final = span_attribute(
    "anthropic.response.service_tier", "string", "standard", "the service tier used", _REPORTED
)
OPENAI_RESPONSE_SERVICE_TIER: Final = span_attribute(
    "openai.response.service_tier", "string", "default", "the service tier used", _REPORTED
)
OPENAI_SYSTEM_FINGERPRINT: Final = span_attribute(
    "openai.response.system_fingerprint", "string", "fp_44709d6fcb", "the configuration of the backend", _REPORTED
)
ERROR_TYPE: Final = span_attribute(
    "error.type",
    "string",
    "overloaded_error",
    "the API's type of the error or its code, else the SDK's word for it, else the status code; `api_error` for an "
    "error event that has none of them; `stream_truncated` where the body ended without the provider's own end",
    "if the outcome is `error` or `truncated`",
)
UNEXPECTED_CONTENT_TYPE: Final = "unexpected_content_type"
"""The `error.type` of a stream whose response was no event stream: often an error page that has the status 200."""
STREAM_TRUNCATED: Final = "stream_truncated"
"""The `error.type` of a stream whose body ended without the provider's own end: most often a proxy cuts it there."""
USAGE_INPUT_TOKENS: Final = span_attribute(
    "gen_ai.usage.input_tokens",
    "int",
    2095,
    "of the prompt, with those read from the cache and written to it",
    _REPORTED,
    unit="{token}",
)
USAGE_OUTPUT_TOKENS: Final = span_attribute(
    "gen_ai.usage.output_tokens",
    "int",
    503,
    "of the answer: the last count that came, never a placeholder",
    _REPORTED,
    unit="{token}",
)
USAGE_CACHE_READ_INPUT_TOKENS: Final = span_attribute(
    "gen_ai.usage.cache_read.input_tokens", "int", 1800, "read from the cache", _REPORTED, unit="{token}"
)
USAGE_CACHE_WRITE_INPUT_TOKENS: Final = span_attribute(
    "gen_ai.usage.cache_write.input_tokens", "int", 248, "written to the cache", _REPORTED, unit="{token}", source=SDK
)
USAGE_REASONING_OUTPUT_TOKENS: Final = span_attribute(
    "gen_ai.usage.reasoning.output_tokens",
    "int",
    120,
    "of thinking, within the output tokens",
    _REPORTED,
    unit="{token}",
)
ANTHROPIC_CACHE_CREATION_5M: Final = span_attribute(
    "anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
    "int",
    248,
    "written to the cache for 5 minutes",
    _REPORTED,
    unit="{token}",
)
ANTHROPIC_CACHE_CREATION_1H: Final = span_attribute(
    "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
    "int",
    0,
    "written to the cache for an hour",
    _REPORTED,
    unit="{token}",
)
ANTHROPIC_COMPACTION_INPUT_TOKENS: Final = span_attribute(
    "anthropic.usage.compaction.input_tokens",
    "int",
    150_000,
    "that compactions have read, which the usage itself leaves out",
    _REPORTED,
    unit="{token}",
)
ANTHROPIC_COMPACTION_OUTPUT_TOKENS: Final = span_attribute(
    "anthropic.usage.compaction.output_tokens",
    "int",
    3200,
    "that compactions have written, which the usage itself leaves out",
    _REPORTED,
    unit="{token}",
)
ANTHROPIC_ITERATION_PREFIX: Final = span_attribute(
    "anthropic.usage.",
    "template[int]",
    15_000,
    "tokens of steps inside the call that the usage itself leaves out, by the type of the step: for example "
    "`anthropic.usage.advisor_message.input_tokens` and `anthropic.usage.advisor_message.output_tokens`. The input "
    "includes what was read from the cache and written to it",
    _REPORTED,
    unit="{token}",
    source=API,
)
ANTHROPIC_ADVISOR_MODEL: Final = span_attribute(
    "anthropic.usage.advisor_message.model",
    "string",
    "claude-opus-5-5",
    "the model that advised, whose tokens are billed beside those of the model that answered",
    "if an advisor was asked, and the provider has reported its model",
    source=API,
)
USAGE_SERVER_TOOL_PREFIX: Final = span_attribute(
    "llm_stream.usage.",
    "template[int]",
    3,
    "requests of a server tool, which are billed, e.g. `llm_stream.usage.web_search_requests`",
    _REPORTED,
    unit="{request}",
)
