"""The clients of the platforms that resell the API: their own paths, credentials and framing, and the same truth."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anthropic
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Step, error_response
from streamspan.cli.demo.server import Exchange, MessagesServer
from streamspan.runtime import open_streams
from tests.anthropic.aws_event_stream import event_stream, exception
from tests.anthropic.messages import EVENT_PATHS, path_of
from tests.anthropic.paths import REQUEST
from tests.stainless.api import Seen
from tests.stainless.paths import Path
from tests.stainless.spans import abort_of, attributes, ended_spans, ending_of

SDK = tuple(int(number) for number in anthropic.__version__.split(".")[:2])
TRACES_ITSELF = SDK >= (1, 14)
# On 0.75 the SDK's own models of beta.messages.stream() warn when they are made data.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
traces_itself = pytest.mark.skipif(not TRACES_ITSELF, reason="this SDK makes no spans of its own")
EXCEPTION_FRAME_ERROR_TYPE = "throttlingException" if SDK >= (1, 0) else "client_error"

AWS_KEYS = {"aws_access_key": "AKIDEXAMPLE", "aws_secret_key": "none", "aws_region": "us-east-1"}
MODEL_PATH = "/v1/projects/a-project/locations/a-region/publishers/anthropic/models/claude-sonnet-5-5"


@dataclass(frozen=True)
class Platform:
    """`name`: of the sync client; the async one has `Async` before it. `steps`: a script in the platform's framing."""

    name: str
    provider: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    base_path: str = ""
    steps: Callable[[Iterable[Step]], list[Step]] = list
    signed: bool = False

    def client(self, server: MessagesServer, *, is_async: bool = False, **options: Any) -> Any:
        http_client = anthropic.DefaultAsyncHttpxClient if is_async else anthropic.DefaultHttpxClient
        return self.client_class(is_async=is_async)(
            base_url=server.url + self.base_path,
            max_retries=0,
            http_client=http_client(verify=False),
            **self.options,
            **options,
        )

    def client_class(self, *, is_async: bool = False) -> Any:
        name = f"Async{self.name}" if is_async else self.name
        if not hasattr(anthropic, name):
            pytest.skip(f"anthropic {anthropic.__version__} has no {name}")
        return getattr(anthropic, name)


PLAIN = Platform("Anthropic", "anthropic", "/v1/messages", {"api_key": "none"})
BEDROCK = Platform(
    "AnthropicBedrock",
    "aws.bedrock",
    "/model/claude-sonnet-5-5/invoke-with-response-stream",
    AWS_KEYS,
    steps=event_stream,
    signed=True,
)
MANTLE = Platform(
    "AnthropicBedrockMantle", "aws.bedrock", "/anthropic/v1/messages", AWS_KEYS, "/anthropic", signed=True
)
VERTEX = Platform(
    "AnthropicVertex",
    "gcp.vertex_ai",
    f"{MODEL_PATH}:streamRawPredict",
    {"access_token": "none", "project_id": "a-project", "region": "a-region"},
    "/v1",
)
FOUNDRY = Platform("AnthropicFoundry", "anthropic", "/anthropic/v1/messages", {"api_key": "none"}, "/anthropic")
AWS = Platform("AnthropicAWS", "anthropic", "/v1/messages", {**AWS_KEYS, "workspace_id": "a-workspace"}, signed=True)
GOOGLE_CLOUD = Platform(
    "AnthropicGoogleCloud",
    "anthropic",
    "/invoke/v1/messages",
    {"project": "a-project", "workspace_id": "a-workspace", "token_provider": lambda: "none"},
    "/invoke",
)
PLATFORMS = [BEDROCK, MANTLE, VERTEX, FOUNDRY, AWS, GOOGLE_CLOUD]
SIGNED = [platform for platform in PLATFORMS if platform.signed]

READS = ("create_for", "create_with", "stream_events", "stream_text", "beta_create", "beta_stream", "raw_parse")
PATHS = [path for path in EVENT_PATHS if path.name.removesuffix("_async") in READS]


def read_to_the_text(client: Any, seen: Seen) -> None:
    with client.messages.create(stream=True, **REQUEST) as stream:
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                break


async def read_to_the_text_async(client: Any, seen: Seen) -> None:
    async with await client.messages.create(stream=True, **REQUEST) as stream:
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                break


def sync_and_async(name: str) -> list[Path]:
    return [path for path in PATHS if path.name in {name, f"{name}_async"}]


CREATE = sync_and_async("create_for")
BREAK = [path_of("break", read_to_the_text), path_of("break_async", read_to_the_text_async)]


def message() -> list[Step]:
    return list(
        wire.whole_message(
            wire.thinking_block(0, "First I think about it."),
            wire.text_block(1, "Then I say what I have to say about it."),
            wire.tool_block(2, "get_weather", {"city": "Zürich"}),
            stop_reason="tool_use",
        )
    )


IN_THE_TEXT: Sequence[Step] = message()[:11]


@pytest.fixture(autouse=True)
def nothing_stays_open(quick_collection: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """And nothing of the machine's own AWS account is used."""
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield
    assert not open_streams()


@pytest.fixture(params=PLATFORMS, ids=lambda platform: platform.name)
def platform(request: pytest.FixtureRequest) -> Platform:
    return request.param


def read(client: Any, path: Path) -> Seen:
    """What an application sees that reads a stream of `client`, and closes it."""
    if path.name.startswith("beta_stream") and not hasattr(client.beta.messages, "stream"):
        pytest.skip(f"anthropic {anthropic.__version__} has no beta.messages.stream() on this platform")
    seen: Seen = []
    try:
        if path.is_async:
            asyncio.run(_read_async(client, path, seen))
        else:
            with client:
                path.read(client, seen)
    except (anthropic.AnthropicError, ValueError) as error:
        seen.append((type(error), str(error)))
    return seen


async def _read_async(client: Any, path: Path, seen: Seen) -> None:
    any_read: Any = path.read
    async with client:
        await any_read(client, seen)


def one_span(exporter: InMemorySpanExporter) -> ReadableSpan:
    """The only span that has ended since the last one was asked for."""
    (span,) = ended_spans(exporter)
    exporter.clear()
    return span


def facts(span: ReadableSpan) -> Mapping[str, object]:
    """What is the same in two runs: all but the measured times, and the keep-alives, which may come with an event."""
    return {
        name: value
        for name, value in attributes(span).items()
        if not isinstance(value, float) and name != "llm_stream.keepalive.count"
    }


def at_platform(platform: Platform, server: MessagesServer) -> Mapping[str, object]:
    return {
        "gen_ai.provider.name": platform.provider,
        "url.path": platform.path,
        "url.full": server.url + platform.path,
    }


# --- read to the end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_platform_tells_what_the_plain_client_tells(
    platform: Platform,
    path: Path,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """One span, which differs from the plain client's by the provider and the address; and the same values."""
    client = platform.client(server, is_async=path.is_async)
    server.scripts.extend([platform.steps(message()), message()])
    seen, span = read(client, path), one_span(exporter)
    plainly_seen, plain_span = read(PLAIN.client(server, is_async=path.is_async), path), one_span(exporter)

    assert seen == plainly_seen
    assert span.name == "chat claude-sonnet-5-5"
    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert facts(span) == {**facts(plain_span), **at_platform(platform, server)}


@pytest.mark.parametrize("path", CREATE, ids=lambda path: path.name)
def test_the_request_is_that_of_the_bare_sdk(
    platform: Platform,
    path: Path,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """Path, body and headers are what the SDK sends without us; and what it gives is, too."""
    server.scripts.extend([platform.steps(message()), platform.steps(message())])
    observed = read(traced_client(platform, server, tracer_provider, path), path)
    instrumented.uninstrument()
    bare = read(traced_client(platform, server, tracer_provider, path), path)
    sent_observed, sent_bare = server.exchanges

    assert observed == bare
    assert as_sent(sent_observed) == as_sent(sent_bare)


def traced_client(platform: Platform, server: MessagesServer, provider: TracerProvider, path: Path) -> Any:
    """A client whose SDK traces itself, where it can."""
    options = {"open_telemetry": {"tracer_provider": provider}} if TRACES_ITSELF else {}
    return platform.client(server, is_async=path.is_async, **options)


def as_sent(exchange: Exchange) -> tuple[object, ...]:
    """What is the same in two runs."""
    headers = {name: value for name, value in exchange.headers.items() if name not in {"traceparent", "x-amz-date"}}
    authorization = headers.pop("authorization", "").partition("Signature=")[0]
    return exchange.method, exchange.path, headers, authorization, "traceparent" in exchange.headers, exchange.body


def test_frames_may_be_cut_anywhere(
    server: MessagesServer, exporter: InMemorySpanExporter, instrumented: AnthropicStreamInstrumentor
) -> None:
    """A Bedrock stream is the same whether its frames arrive whole or in pieces of seven bytes."""
    head, *frames = BEDROCK.steps(message())
    body = b"".join(frame for frame in frames if isinstance(frame, bytes))
    server.scripts.append([head, *(body[start : start + 7] for start in range(0, len(body), 7))])
    server.scripts.append([head, *frames])
    in_pieces, in_pieces_span = read(BEDROCK.client(server), CREATE[0]), one_span(exporter)
    whole, whole_span = read(BEDROCK.client(server), CREATE[0]), one_span(exporter)

    assert in_pieces == whole
    assert facts(in_pieces_span) == facts(whole_span)
    assert attributes(whole_span)["llm_stream.outcome"] == "complete"


# --- the ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BREAK, ids=lambda path: path.name)
def test_a_reader_leaves_in_the_middle(
    platform: Platform,
    path: Path,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """What has come by then is told, and that the reader closed."""
    server.scripts.append(platform.steps(message()))
    read(platform.client(server, is_async=path.is_async), path)
    span = one_span(exporter)

    assert abort_of(span) == ("aborted", "closed", "text")
    assert {
        "gen_ai.provider.name": platform.provider,
        "gen_ai.response.id": wire.MESSAGE_ID,
        "llm_stream.thinking.chars": 23,
        "llm_stream.text.chars": 12,
        "llm_stream.abort.connection_closed": True,
    }.items() <= attributes(span).items()


@pytest.mark.parametrize("path", CREATE, ids=lambda path: path.name)
def test_a_body_ends_without_message_stop(
    platform: Platform,
    path: Path,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """Truncated, whatever the framing."""
    server.scripts.append(platform.steps(IN_THE_TEXT))
    read(platform.client(server, is_async=path.is_async), path)

    assert ending_of(one_span(exporter)) == {
        "llm_stream.outcome": "truncated",
        "error.type": "stream_truncated",
        "llm_stream.phase": "text",
        "llm_stream.partial": True,
        "llm_stream.observed": None,
        "status": StatusCode.ERROR,
    }


@pytest.mark.parametrize("path", CREATE, ids=lambda path: path.name)
def test_an_exception_frame_is_an_error(
    path: Path, server: MessagesServer, exporter: InMemorySpanExporter, instrumented: AnthropicStreamInstrumentor
) -> None:
    """The error has the platform's word for it where the SDK hands it on; before that it was a bare ValueError."""
    script = [*BEDROCK.steps(IN_THE_TEXT), exception("throttlingException", "Too many tokens")]
    server.scripts.extend([script, script])
    observed, span = read(BEDROCK.client(server, is_async=path.is_async), path), one_span(exporter)
    instrumented.uninstrument()
    bare = read(BEDROCK.client(server, is_async=path.is_async), path)

    assert observed == bare
    assert ending_of(span) == {
        "llm_stream.outcome": "error",
        "error.type": EXCEPTION_FRAME_ERROR_TYPE,
        "llm_stream.phase": "text",
        "llm_stream.partial": True,
        "llm_stream.observed": None,
        "status": StatusCode.ERROR,
    }


@pytest.mark.parametrize("path", CREATE, ids=lambda path: path.name)
def test_a_refused_call_is_an_error(
    platform: Platform,
    path: Path,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """An HTTP error before the stream."""
    server.scripts.append(error_response(403, "permission_error", "no"))
    read(platform.client(server, is_async=path.is_async), path)
    span = one_span(exporter)

    assert ending_of(span) == {
        "llm_stream.outcome": "error",
        "error.type": "permission_error",
        "llm_stream.phase": "opening",
        "llm_stream.partial": True,
        "llm_stream.observed": None,
        "status": StatusCode.ERROR,
    }
    assert {**at_platform(platform, server), "http.response.status_code": 403}.items() <= attributes(span).items()


# --- other clients of a platform ---------------------------------------------------------------------------------


def test_copies(
    platform: Platform,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """`copy()` and `with_options()` give clients of the same platform."""
    if platform is FOUNDRY and SDK < (0, 125):
        pytest.skip("this SDK's own copy() of a Foundry client raises TypeError")
    client = platform.client(server)
    server.scripts.extend([platform.steps(message())] * 3)
    read(client.with_options(timeout=20), CREATE[0])
    with_options = facts(one_span(exporter))
    read(platform.client(server).copy(max_retries=1), CREATE[0])
    copied = facts(one_span(exporter))
    read(platform.client(server), CREATE[0])
    original = facts(one_span(exporter))

    assert with_options == copied == original


@pytest.mark.parametrize("path", CREATE, ids=lambda path: path.name)
def test_a_client_made_before(
    platform: Platform,
    path: Path,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    """A client made before `instrument()` is observed as well."""
    client = platform.client(server, is_async=path.is_async)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    server.scripts.append(platform.steps(message()))
    read(client, path)
    instrumentor.uninstrument()

    assert {**at_platform(platform, server), "llm_stream.outcome": "complete"}.items() <= facts(
        one_span(exporter)
    ).items()


def test_a_subclass(
    platform: Platform,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """An application's own class of client is of the platform that it comes from."""
    http_client = anthropic.DefaultHttpxClient(verify=False)
    own_class: Any = type("OwnClient", (platform.client_class(),), {})
    client = own_class(base_url=server.url + platform.base_path, http_client=http_client, **platform.options)
    server.scripts.append(platform.steps(message()))
    read(client, CREATE[0])

    assert {**at_platform(platform, server), "llm_stream.outcome": "complete"}.items() <= facts(
        one_span(exporter)
    ).items()


# --- the SDK's own tracing ---------------------------------------------------------------------------------------


@traces_itself
@pytest.mark.parametrize(
    ("script", "differs"),
    [(message(), {}), (IN_THE_TEXT, {"error.type": "stream_truncated"}), (None, {})],
    ids=["complete", "truncated", "refused"],
)
def test_ours_says_what_the_native_span_says(
    script: Sequence[Step] | None,
    differs: Mapping[str, str],
    platform: Platform,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """Every attribute of the SDK's span of a platform's stream is on ours, with the same value but for a truncation."""
    steps = error_response(403, "permission_error", "no") if script is None else platform.steps(script)
    server.scripts.extend([steps, steps])
    read(traced_client(platform, server, tracer_provider, CREATE[0]), CREATE[0])
    ours = one_span(exporter)
    instrumented.uninstrument()
    read(traced_client(platform, server, tracer_provider, CREATE[0]), CREATE[0])
    native = one_span(exporter)

    assert scope_of(ours) == "streamspan"
    assert scope_of(native).startswith("com.anthropic.sdk.python")
    assert {name: facts(ours).get(name) for name in facts(native)} == {**facts(native), **differs}


def scope_of(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope else ""


@traces_itself
@pytest.mark.parametrize("path", CREATE, ids=lambda path: path.name)
@pytest.mark.parametrize("platform", SIGNED, ids=lambda platform: platform.name, indirect=True)
def test_traceparent_is_sent_unsigned(
    platform: Platform,
    path: Path,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """`traceparent` names our span, and no signature covers it: a proxy on the way may replace it."""
    server.scripts.append(platform.steps(message()))
    read(traced_client(platform, server, tracer_provider, path), path)
    context = one_span(exporter).get_span_context()
    assert context is not None
    headers = server.exchanges[-1].headers

    assert headers["traceparent"].startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    assert "host" in signed_headers(headers)
    assert "traceparent" not in signed_headers(headers)


def signed_headers(headers: Mapping[str, str]) -> Sequence[str]:
    return headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
