"""From the SDK's words to ours: the request, the events, the errors.

Nothing here is validated by the SDK, which hands on what the server sent, so every value is checked before it is used.
Sources: `anthropic/_tracing.py` and `anthropic/lib/_tracing/` (the attributes of the SDK's own span and how it reads
them), `anthropic/types/` (the events).
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.util.types import AttributeValue

from streamspan import semconv
from streamspan.core.model import AbortReason, DeltaKind, Ending, Usage
from streamspan.core.stream import ASIDE_CHARS, ASIDE_CHUNKS
from streamspan.guard import observing_failed
from streamspan.observer import Observer
from streamspan.telemetry.spans import Attributes, Call, Expected

from .values import field, fields, items, mapping, number, strings, typed

OPERATIONS: Mapping[str, str] = {"/v1/messages": "chat", "/v1/complete": "text_completion"}
"""What the streamed calls that generate something are, by route. Sessions and threads stream events of another kind."""

TRUNCATED_ERROR_TYPE = semconv.STREAM_TRUNCATED
"""Of a body that ends without `message_stop`."""

EXPECTED = Expected(
    stop_reasons=("end_turn", "tool_use", "max_tokens", "stop_sequence", "pause_turn", "refusal"),
    error_types=("overloaded_error", "connection_error", "client_timeout_error"),
    opening_error_types=(
        "overloaded_error",
        "rate_limit_error",
        "api_error",
        "connection_error",
        "client_timeout_error",
    ),
)
"""The likely ends of a stream, for the counters that start at 0."""

_PLATFORMS: Mapping[str, str] = {"anthropic.lib.bedrock": "aws.bedrock", "anthropic.lib.vertex": "gcp.vertex_ai"}
_NUMBERS: Mapping[str, str] = {
    "temperature": semconv.REQUEST_TEMPERATURE,
    "top_p": semconv.REQUEST_TOP_P,
    "top_k": semconv.REQUEST_TOP_K,
}
_WANTED_HEADERS = frozenset(
    (
        b"request-id",
        b"anthropic-organization-id",
        b"anthropic-workspace-id",
        b"anthropic-beta",
        b"x-stainless-retry-count",
    )
)
_DELTAS: Mapping[DeltaKind, tuple[str, str]] = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_input": ("input_json_delta", "partial_json"),
}
"""The types of the deltas with content, and the names of what has it."""
_SERVER_TOOL_COUNTS_AT_MOST = 16
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")  # what a server may send there is text of any kind

# --- the request -------------------------------------------------------------------------------------------------


def call(client: Any, options: Any) -> Call | None:
    """What a streamed call starts with. None: it generates nothing."""
    path = "/" + str(options.url).partition("?")[0].strip("/")
    route = next((known for known in OPERATIONS if path.endswith(known)), None)
    if route is None:
        return None
    operation = OPERATIONS[route]
    body = body_of(options)
    base_url = client.base_url
    model = typed(body.get("model"), str)
    attributes: dict[str, AttributeValue | None] = {
        semconv.OPERATION_NAME: operation,
        semconv.PROVIDER_NAME: _provider(client),
        semconv.REQUEST_MODEL: model,
        semconv.REQUEST_STREAM: True,
        semconv.SERVER_ADDRESS: base_url.host,
        semconv.SERVER_PORT: base_url.port or (80 if base_url.scheme == "http" else 443),
        semconv.HTTP_REQUEST_METHOD: str(options.method).upper(),
        semconv.HTTP_ROUTE: route,
        semconv.REQUEST_MAX_TOKENS: typed(body.get("max_tokens", body.get("max_tokens_to_sample")), int),
        semconv.CONVERSATION_ID: typed(field(field(client, "_otel"), "conversation_id"), str),
        semconv.REQUEST_STOP_SEQUENCES: strings(body.get("stop_sequences")),
        semconv.REQUEST_REASONING_LEVEL: typed(field(body.get("output_config"), "effort"), str),
        semconv.OUTPUT_TYPE: "json" if _asks_for_json(body) else None,
        semconv.ANTHROPIC_REQUEST_SERVICE_TIER: typed(body.get("service_tier"), str),
        **{name: number(body[key]) for key, name in _NUMBERS.items() if key in body},
    }
    if thinking := body.get("thinking"):
        attributes[semconv.ANTHROPIC_THINKING_TYPE] = typed(field(thinking, "type"), str)
        attributes[semconv.ANTHROPIC_THINKING_BUDGET_TOKENS] = typed(field(thinking, "budget_tokens"), int)
    return Call(operation, model, attributes)


def body_of(options: Any) -> Mapping[str, Any]:
    """The JSON body with `extra_body` merged in, as the SDK merges it: by the top level."""
    return {**mapping(options.json_data), **mapping(field(options, "extra_json"))}


def _provider(client: Any) -> str:
    """As the client says, from 1.14 on; before that, by the module that its class comes from."""
    said = typed(field(client, "_gen_ai_provider_name"), str)
    if said is not None:
        return said
    modules = [cls.__module__ for cls in type(client).__mro__]
    return next((name for path, name in _PLATFORMS.items() if any(m.startswith(path) for m in modules)), "anthropic")


def _asks_for_json(body: Mapping[str, Any]) -> bool:
    """`output_format` is the deprecated form of `output_config.format`."""
    formats = (field(body.get("output_config"), "format"), body.get("output_format"))
    return any(field(a_format, "type") == "json_schema" for a_format in formats)


# --- the HTTP exchange -------------------------------------------------------------------------------------------


def response_attributes(response: Any) -> Attributes:
    """Of an HTTP response of either HTTP library."""
    headers = _headers(response)
    return {
        semconv.HTTP_RESPONSE_STATUS_CODE: typed(response.status_code, int),
        semconv.ANTHROPIC_REQUEST_ID: headers.get("request-id"),
        semconv.ANTHROPIC_ORGANIZATION_ID: headers.get("anthropic-organization-id"),
        semconv.ANTHROPIC_WORKSPACE_ID: headers.get("anthropic-workspace-id"),
        **request_attributes(getattr(response, "_request", None)),  # the public property raises where there is none
    }


def request_attributes(request: Any) -> Attributes:
    """Of the HTTP request as it was sent last. The query is left out: it has nothing of ours, and may have a key."""
    if not isinstance(getattr(getattr(request, "url", None), "raw_path", None), bytes):  # none, or a test's double
        return {}
    url, headers = request.url, _headers(request)
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    betas = [beta.strip() for beta in headers.get("anthropic-beta", "").split(",") if beta.strip()]
    resend_count = headers.get("x-stainless-retry-count", "")
    return {
        semconv.URL_SCHEME: url.scheme,
        semconv.URL_PATH: path,
        semconv.URL_FULL: f"{url.scheme}://{url.netloc.decode('ascii')}{path}",
        semconv.ANTHROPIC_BETA: betas or None,
        semconv.HTTP_REQUEST_RESEND_COUNT: int(resend_count) or None if resend_count.isdecimal() else None,
    }


def _headers(message: Any) -> Mapping[str, str]:
    """The wanted ones by lower-case name, in half the time that the HTTP library takes to look them up."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in message.headers.raw:
        name = raw_name.lower()
        if name in _WANTED_HEADERS:
            value = raw_value.decode("latin-1")
            name = name.decode("ascii")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


# --- the events --------------------------------------------------------------------------------------------------


def watcher(observer: Observer) -> Callable[[Any], Any]:
    """What tells `observer` of an event that has come, and gives it back. Never raises.

    It runs for every event, and nearly all are deltas like the one before. So it contains its failures itself, and
    looks for such a one in the fields of the SDK's models, at half the cost of asking the models.
    """
    state, clock = observer.state, time.perf_counter
    type_before, name = "", ""  # of the last delta, and where its text is

    def observe(event: Any) -> Any:
        nonlocal type_before, name
        observer.is_reading = False
        try:
            try:
                fields = event.__dict__
                delta = fields["delta"].__dict__
                if (
                    delta["type"] == type_before
                    and fields["index"] == state.alike
                    and len(text := delta[name]) <= ASIDE_CHARS
                    and len(aside := state.aside) < ASIDE_CHUNKS
                ):
                    state.last_chunk_at = clock()
                    aside.append(text)
                    return event
            except (AttributeError, KeyError, TypeError):
                pass
            if observer.gave_up:
                type_before = ""
            else:
                type_before, name = _observe(event, observer, clock())
        except Exception as error:  # noqa: BLE001
            observing_failed("observe", observer, error)
        return event

    return observe


def recorder(observer: Observer) -> Callable[[Any], Any]:
    """The same, with a record of each chunk."""
    observe = watcher(observer)

    def record(event: Any) -> Any:
        previous_at = observer.state.last_chunk_at
        observe(event)
        observer.record_chunk(previous_at)
        return event

    return record


def _observe(event: Any, observer: Observer, at: float) -> tuple[str, str]:
    """Any event. The type of its delta and where its text is, if it has one: what comes next is often like it."""
    delta = getattr(event, "delta", None)
    if delta is not None:
        delta_type = getattr(delta, "type", None)
        for kind, (its_type, name) in _DELTAS.items():
            if isinstance(text := getattr(delta, name, None), str) and delta_type in {its_type, None}:
                observer.delta(kind, getattr(event, "index", None), text, at)
                return its_type, name
    _other_event(event, observer, at)
    return "", ""


def _other_event(event: Any, observer: Observer, at: float) -> None:
    """Whatever is no delta with content: a signature, a citation, something new or malformed, too."""
    event_type = getattr(event, "type", None)
    if event_type == "completion":
        _completion(event, observer, at)
        return
    observer.heard(at)
    if event_type == "content_block_start":
        _content_block_start(event, observer, at)
    elif event_type == "content_block_stop":
        observer.block_stopped(getattr(event, "index", None), at)
    elif event_type == "message_start":
        _message_start(getattr(event, "message", None), observer, at)
    elif event_type == "message_delta":
        _message_delta(event, observer, at)
    elif event_type == "message_stop":
        observer.message_stopped(at)
    else:
        observer.state.touched(at)


def _content_block_start(event: Any, observer: Observer, at: float) -> None:
    block = getattr(event, "content_block", None)
    block_type = typed(field(block, "type"), str) or "unknown"
    model = typed(field(field(block, "to"), "model"), str) if block_type == "fallback" else None
    if model is not None:
        observer.state.model_changed(model)
    observer.block_started(
        _index(event),
        block_type,
        at,
        tool_name=typed(field(block, "name"), str),
        tool_id=typed(field(block, "id"), str),
    )


def _index(event: Any) -> int:
    index = typed(getattr(event, "index", None), int)
    return -1 if index is None else index


def _message_start(message: Any, observer: Observer, at: float) -> None:
    usage = field(message, "usage")
    observer.state.message_started(
        typed(field(message, "id"), str), typed(field(message, "model"), str), _usage(usage), at
    )
    observer.attributes[semconv.ANTHROPIC_RESPONSE_SERVICE_TIER] = typed(field(usage, "service_tier"), str)


def _message_delta(event: Any, observer: Observer, at: float) -> None:
    stop_reason = typed(field(field(event, "delta"), "stop_reason"), str)
    _stop_reason(stop_reason, _usage(field(event, "usage")), observer, at)


def _stop_reason(stop_reason: str | None, usage: Usage, observer: Observer, at: float) -> None:
    observer.state.message_delta(stop_reason, usage, at)
    if stop_reason is not None:
        observer.attributes[semconv.ANTHROPIC_STOP_REASON] = stop_reason


def _completion(event: Any, observer: Observer, at: float) -> None:
    """The one event of the completions API, which SDKs before 1.0 have: a piece of one text."""
    state = observer.state
    if not state.has_blocks:
        state.message_started(typed(field(event, "id"), str), typed(field(event, "model"), str), Usage(), at)
        observer.block_started(0, "text", at)
    observer.delta("text", 0, typed(field(event, "completion"), str) or "", at)
    stop_reason = typed(field(event, "stop_reason"), str)
    if stop_reason is not None:
        observer.block_stopped(0, at)
        _stop_reason(stop_reason, Usage(), observer, at)
        observer.message_stopped(at)


def _usage(usage: Any) -> Usage:
    counts = fields(usage)
    more: dict[str, int | None] = {}
    if written := fields(counts.get("cache_creation")):
        more[semconv.ANTHROPIC_CACHE_CREATION_5M] = typed(written.get("ephemeral_5m_input_tokens"), int)
        more[semconv.ANTHROPIC_CACHE_CREATION_1H] = typed(written.get("ephemeral_1h_input_tokens"), int)
    if iterations := counts.get("iterations"):
        more |= _compaction(iterations)
    if server_tools := fields(counts.get("server_tool_use")):
        more |= _server_tool_requests(server_tools)
    return Usage(
        typed(counts.get("input_tokens"), int),
        typed(counts.get("cache_read_input_tokens"), int),
        typed(counts.get("cache_creation_input_tokens"), int),
        typed(counts.get("output_tokens"), int),
        typed(field(counts.get("output_tokens_details"), "thinking_tokens"), int),
        {name: count for name, count in more.items() if count is not None},
    )


def _compaction(iterations: Any) -> dict[str, int | None]:
    """The tokens of compactions, which the usage itself leaves out."""
    compactions = [entry for entry in items(iterations) if field(entry, "type") == "compaction"]
    if not compactions:
        return {}
    inputs = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return {
        semconv.ANTHROPIC_COMPACTION_INPUT_TOKENS: sum(
            typed(field(entry, name), int) or 0 for entry in compactions for name in inputs
        ),
        semconv.ANTHROPIC_COMPACTION_OUTPUT_TOKENS: sum(
            typed(field(entry, "output_tokens"), int) or 0 for entry in compactions
        ),
    }


def _server_tool_requests(counts: Mapping[str, Any]) -> dict[str, int | None]:
    """`web_search_requests` and its like, of which there may be more than this version knows. They are billed."""
    known = [name for name in counts if name.endswith("_requests") and _NAME.fullmatch(name)]
    return {
        semconv.USAGE_SERVER_TOOL_PREFIX + name: typed(counts[name], int)
        for name in known[:_SERVER_TOOL_COUNTS_AT_MOST]
    }


# --- errors ------------------------------------------------------------------------------------------------------


def ending(error: BaseException, at: float) -> Ending:
    """What `error`, raised by the SDK or into it, makes of the stream. What is no Exception is a cancellation."""
    if isinstance(error, Exception):
        return Ending("failure", at, error_type=error_type(error))
    return Ending("reader_left", at, "cancelled")


def abort_reason(error: BaseException | None) -> AbortReason:
    """Why the reader closes a stream while it handles `error`."""
    if error is None:
        return "closed"
    return "consumer_error" if isinstance(error, Exception) else "cancelled"


def error_type(error: Exception) -> str:
    """In the SDK's words, which it has from 1.14 on: the API's type of the error, else the status code."""
    names = _class_names(error)
    if names & {"APITimeoutError", "TimeoutException"}:
        return "client_timeout_error"
    if names & {"APIConnectionError", "TransportError"}:
        return "connection_error"
    said = typed(field(field(field(error, "body"), "error"), "type"), str)
    status_code = typed(field(error, "status_code"), int)
    if said and _NAME.fullmatch(said):
        return said
    # An error event has the status of the response that opened its stream, which is no error.
    return str(status_code) if status_code is not None and status_code >= 400 else "client_error"  # noqa: PLR2004


def is_torn_connection(error: BaseException) -> bool:
    """Whether `error` is what a read meets whose connection was closed meanwhile."""
    return bool(_class_names(error) & {"TransportError", "StreamError"})


def is_closed_stream(error: BaseException) -> bool:
    """Whether `error` is what a read meets that begins after the application closed the response."""
    return "StreamClosed" in _class_names(error)


def _class_names(error: BaseException) -> set[str]:
    """Of the error and its bases: the HTTP library's classes are not imported."""
    return {cls.__name__ for cls in type(error).__mro__}
