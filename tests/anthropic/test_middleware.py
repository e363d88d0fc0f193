"""Middleware of the application and of the SDK: whatever it does to a streamed call, one span ends for the call."""

import importlib
import importlib.util
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script, Step, error_response
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import open_streams
from tests.anthropic.messages import NAMED_PATHS, path_of
from tests.anthropic.paths import REQUEST, beta_create, beta_create_async
from tests.stainless.api import Seen
from tests.stainless.paths import Path, plain
from tests.stainless.spans import abort_of, attributes, ended_spans

SDK = tuple(int(number) for number in anthropic.__version__.split(".")[:2])
pytestmark = [
    pytest.mark.usefixtures("quick_collection"),
    pytest.mark.skipif(
        "middleware" not in inspect.signature(Anthropic.__init__).parameters, reason="this SDK has no middleware"
    ),
]

MESSAGE: list[Step] = list(wire.whole_message(wire.text_block(0, "Some text to begin with.")))
CACHED: Any = object()


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    yield
    assert not open_streams()


# --- what middleware does ----------------------------------------------------------------------------------------


def pass_through(request: Any, call_next: Any) -> Any:
    return call_next(request)


async def pass_through_async(request: Any, call_next: Any) -> Any:
    return await call_next(request)


def retry(request: Any, call_next: Any) -> Any:
    response = call_next(request)
    if response.status_code < 400:
        return response
    response.close()
    return call_next(request)


async def retry_async(request: Any, call_next: Any) -> Any:
    response = await call_next(request)
    if response.status_code < 400:
        return response
    await response.close()
    return await call_next(request)


def buffer(request: Any, call_next: Any) -> Any:
    response = call_next(request)
    response.read()
    return response


async def buffer_async(request: Any, call_next: Any) -> Any:
    response = await call_next(request)
    await response.read()
    return response


def parse(request: Any, call_next: Any) -> Any:
    return call_next(request).parse()


async def parse_async(request: Any, call_next: Any) -> Any:
    return await (await call_next(request)).parse()


def replay(request: Any, call_next: Any) -> Any:
    """Gives a response of its own, as a cache on disk would."""
    response = call_next(request)
    response.close()
    return recorded(response)


async def replay_async(request: Any, call_next: Any) -> Any:
    response = await call_next(request)
    await response.close()
    return recorded(response)


def recorded(response: Any) -> Any:
    """The whole message as a response that never was on a wire."""
    body = b"".join(step.encoded() for step in MESSAGE if isinstance(step, wire.Event))
    received = response.http_response
    return type(response)(
        raw=type(received)(200, headers={"content-type": "text/event-stream"}, content=body, request=received.request),
        cast_to=response._cast_to,
        client=response._client,
        stream=True,
        stream_cls=response._stream_cls,
        options=response._options,
        retries_taken=0,
    )


def short_circuit(request: Any, call_next: Any) -> Any:
    return CACHED


async def short_circuit_async(request: Any, call_next: Any) -> Any:
    return CACHED


def generate(request: Any, call_next: Any) -> Any:
    """Gives a generator of its own in place of the SDK's stream."""
    stream = call_next(request).parse()
    return (event for event in stream)


async def generate_async(request: Any, call_next: Any) -> Any:
    stream = await (await call_next(request)).parse()
    return _each(stream)


async def _each(stream: Any) -> AsyncIterator[Any]:
    async for event in stream:
        yield event


def fail(request: Any, call_next: Any) -> Any:
    call_next(request).close()
    raise LookupError("no such tenant")


async def fail_async(request: Any, call_next: Any) -> Any:
    await (await call_next(request)).close()
    raise LookupError("no such tenant")


# --- what the application does -----------------------------------------------------------------------------------


def take(client: Any, seen: Seen) -> None:
    seen.append(client.messages.create(stream=True, **REQUEST) is CACHED)


async def take_async(client: Any, seen: Seen) -> None:
    seen.append(await client.messages.create(stream=True, **REQUEST) is CACHED)


def leave(client: Any, seen: Seen) -> None:
    with client.beta.messages.create(stream=True, **REQUEST) as stream:
        for event in stream:
            seen.append(plain(event))
            if event.type == "content_block_delta":
                break


async def leave_async(client: Any, seen: Seen) -> None:
    async with await client.beta.messages.create(stream=True, **REQUEST) as stream:
        async for event in stream:
            seen.append(plain(event))
            if event.type == "content_block_delta":
                break


# --- middleware of the application -------------------------------------------------------------------------------

COMPLETE: Mapping[str, object] = {
    "llm_stream.outcome": "complete",
    "llm_stream.observed": None,
    "llm_stream.text.chars": 24,
    "gen_ai.response.finish_reasons": ("end_turn",),
    "gen_ai.usage.output_tokens": 20,
    "error.type": None,
}
NOTHING: Mapping[str, object] = dict.fromkeys(COMPLETE)
UNOBSERVED = {**NOTHING, "llm_stream.observed": False}
FAILED = {
    **NOTHING,
    "llm_stream.outcome": "error",
    "gen_ai.response.finish_reasons": ("error",),
    "error.type": "client_error",
}


@dataclass(frozen=True)
class Case:
    """What a middleware does, how the server answers, and what the span of the call says."""

    middleware: Callable[..., Any]
    middleware_async: Callable[..., Any]
    facts: Mapping[str, object] = field(default_factory=lambda: COMPLETE)
    scripts: Sequence[Script] = (MESSAGE,)
    paths: tuple[Path, Path] = (NAMED_PATHS["create_for"], NAMED_PATHS["create_for_async"])


CASES = [
    Case(pass_through, pass_through_async),
    Case(pass_through, pass_through_async, paths=(NAMED_PATHS["stream_events"], NAMED_PATHS["stream_events_async"])),
    Case(pass_through, pass_through_async, paths=(NAMED_PATHS["raw_parse"], NAMED_PATHS["raw_parse_async"])),
    Case(retry, retry_async, scripts=(error_response(529, "overloaded_error", "Overloaded"), MESSAGE)),
    Case(buffer, buffer_async),
    Case(parse, parse_async),
    Case(replay, replay_async, scripts=([],)),
    Case(
        short_circuit, short_circuit_async, UNOBSERVED, (), (path_of("take", take), path_of("take_async", take_async))
    ),
    Case(generate, generate_async, UNOBSERVED),
    Case(fail, fail_async, FAILED),
]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.middleware.__name__}-{case.paths[0].name}")
def test_one_span_whatever_middleware_does(
    case: Case,
    is_async: bool,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """The span tells what reached the application, or that nothing of it could be seen, or what middleware raised.

    The application and the server see what they see without us.
    """
    path = case.paths[1 if is_async else 0]
    middleware = [case.middleware_async if is_async else case.middleware]
    server.scripts.extend([*case.scripts, *case.scripts])
    observed, requests = path.run(server.url, middleware=middleware), len(server.exchanges)
    (span,) = ended_spans(exporter)
    instrumented.uninstrument()
    bare = path.run(server.url, middleware=middleware)

    assert observed == bare
    assert len(server.exchanges) == 2 * requests
    assert {name: attributes(span).get(name) for name in COMPLETE} == case.facts


# --- the SDK's own middleware ------------------------------------------------------------------------------------

FALLBACK_MODEL = "claude-opus-5-5"
READS = [path_of("sync", beta_create), path_of("async", beta_create_async)]
LEAVES = [path_of("sync", leave), path_of("async", leave_async)]


def refused(*blocks: Iterator[wire.Event]) -> Script:
    """A message that the model breaks off, with the right to go on elsewhere."""
    details = {"type": "refusal", "category": None, "explanation": None, "fallback_credit_token": "token"}
    refusal = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    data: dict[str, object] = {"type": "message_delta", "delta": refusal, "usage": {"output_tokens": 3}}
    return [
        wire.message_start(),
        *(event for block in blocks for event in block),
        wire.Event("message_delta", data),
        wire.message_stop(),
    ]


def fallen_back() -> Script:
    return [wire.message_start(model=FALLBACK_MODEL), *MESSAGE[1:]]


@pytest.fixture
def fallbacks() -> list[Any]:
    """The middleware that goes on with another model after a refusal."""
    if importlib.util.find_spec("anthropic.lib.middleware") is None:
        pytest.skip("this SDK has no middleware of its own")
    module: Any = importlib.import_module("anthropic.lib.middleware")
    return [module.BetaRefusalFallbackMiddleware([{"model": FALLBACK_MODEL}])]


def facts_of(span: ReadableSpan) -> Mapping[str, object]:
    return {name: attributes(span).get(name) for name in (*COMPLETE, "llm_stream.content_block.count")}


@pytest.mark.parametrize("path", READS, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("first", "facts"),
    [
        (refused(), {**COMPLETE, "llm_stream.content_block.count": 2}),
        (
            refused(wire.text_block(0, "I can")),
            {**COMPLETE, "llm_stream.text.chars": 29, "llm_stream.content_block.count": 3},
        ),
    ],
    ids=["before the text", "after some text"],
)
def test_a_stream_that_falls_back_is_one(
    first: Script,
    facts: Mapping[str, object],
    path: Path,
    fallbacks: list[Any],
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """Two responses spliced into one stream are one stream: the refused text, the mark between them, the rest."""
    server.scripts.extend([first, fallen_back(), first, fallen_back()])
    observed = path.run(server.url, middleware=fallbacks)
    (span,) = ended_spans(exporter)
    instrumented.uninstrument()
    bare = path.run(server.url, middleware=fallbacks)

    assert observed == bare
    assert len(server.exchanges) == 4
    assert facts_of(span) == facts


@pytest.mark.parametrize("path", READS, ids=lambda path: path.name)
def test_a_fallback_that_fails_leaves_the_refusal(
    path: Path,
    fallbacks: list[Any],
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """The application then gets the refusal, which is a stop reason like another."""
    script = refused(wire.text_block(0, "I can"))
    server.scripts.extend([script, error_response(500, "api_error", "no")])
    path.run(server.url, middleware=fallbacks)
    (span,) = ended_spans(exporter)

    assert facts_of(span) == {
        **COMPLETE,
        "llm_stream.text.chars": 5,
        "llm_stream.content_block.count": 1,
        "gen_ai.response.finish_reasons": ("refusal",),
        "gen_ai.usage.output_tokens": 3,
    }


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: path.name)
def test_leaving_a_spliced_stream(
    path: Path,
    fallbacks: list[Any],
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """A reader that leaves before the splice aborts the one stream; no second request is made."""
    server.scripts.append(refused(wire.text_block(0, "I can")))
    path.run(server.url, middleware=fallbacks)
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "closed", "text")
    assert len(server.exchanges) == 1


@pytest.mark.skipif(SDK < (1, 14), reason="this SDK sends no traceparent")
@pytest.mark.parametrize("path", READS, ids=lambda path: path.name)
def test_every_request_of_the_stream_names_our_span(
    path: Path,
    fallbacks: list[Any],
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """The request after the refusal, which is made while the application reads, has our `traceparent` too."""
    server.scripts.extend([refused(wire.text_block(0, "I can")), fallen_back()])
    path.run(server.url, middleware=fallbacks, open_telemetry={"tracer_provider": tracer_provider})
    (span,) = ended_spans(exporter)
    context = span.get_span_context()
    assert context is not None
    sent = [exchange.headers["traceparent"][:52] for exchange in server.exchanges]

    assert sent == [f"00-{context.trace_id:032x}-{context.span_id:016x}"] * 2
