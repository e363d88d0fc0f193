"""What an application says and asks through `stream_of`: on every object of the SDK, from threads, after the end."""

import asyncio
import gc
import logging
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.resources.beta.messages import Messages
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from streamspan import AnthropicStreamInstrumentor, Config, Loop, Snapshot, guard, handle, stream_of
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Pause, Step
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.paths import REQUEST
from tests.stainless.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

IS_A_CYCLE = sys.version_info < (3, 11) or tuple(map(int, anthropic.__version__.split(".")[:2])) < (1, 14)
"""What leads to a response that is dropped: the SDK's own stream, or what contextlib made of the exception then."""
TEXT = "Some text to begin with."
MESSAGE: list[Step] = list(
    wire.whole_message(
        wire.text_block(0, TEXT),
        wire.tool_block(1, "send_email", {"to": "a@b.c"}),
        wire.text_block(2, "And some more text after it."),
        stop_reason="end_turn",
    )
)
MIDDLE_OF_TEXT = 3  # events up to the first text delta
IN_THE_TOOL_CALL = 9


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


@asynccontextmanager
async def async_client(server: MessagesServer) -> AsyncGenerator[AsyncAnthropic]:
    http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
    async with AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What our own log says from here on, each message once."""
    handle._warn_once.cache_clear()
    yield lambda: [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    handle._warn_once.cache_clear()


def opened(client: Any, server: MessagesServer, script: Sequence[Step] = MESSAGE) -> Any:
    server.scripts.append(script)
    return client.messages.create(stream=True, **REQUEST)


def read_events(stream: Any, count: int) -> None:
    for _ in range(count):
        next(stream)


def event_of(exporter: InMemorySpanExporter, name: str) -> Mapping[str, object]:
    """The attributes of the only event of this name."""
    (event,) = [event for span in ended_spans(exporter) for event in span.events if event.name == name]
    return event.attributes or {}


def span_id_of(span: ReadableSpan) -> str | None:
    return None if span.context is None else f"{span.context.span_id:016x}"


# --- every object that the SDK gives for a stream --------------------------------------------------------------------


def created(client: Any) -> Any:
    return client.messages.create(stream=True, **REQUEST)


def helped(client: Any) -> Any:
    return client.messages.stream(**REQUEST)


def created_beta(client: Any) -> Any:
    return client.beta.messages.create(stream=True, betas=["a-beta"], **REQUEST)


def helped_beta(client: Any) -> Any:
    return client.beta.messages.stream(**REQUEST)


def streaming_response(client: Any) -> Any:
    return client.messages.with_streaming_response.create(stream=True, **REQUEST)


SyncGiver = Callable[[Anthropic], AbstractContextManager[object]]
AsyncGiver = Callable[[AsyncAnthropic], AbstractAsyncContextManager[object]]


def what_with_gives(call: Callable[[Any], Any]) -> SyncGiver:
    @contextmanager
    def give(client: Anthropic) -> Generator[object]:
        with call(client) as given:
            yield given

    return give


def the_manager(call: Callable[[Any], Any]) -> SyncGiver:
    @contextmanager
    def give(client: Anthropic) -> Generator[object]:
        manager = call(client)
        with manager:
            yield manager

    return give


@contextmanager
def http_response(client: Anthropic) -> Generator[object]:
    with created(client) as stream:
        yield stream.response


@contextmanager
def raw_response(client: Anthropic) -> Generator[object]:
    response: Any = client.messages.with_raw_response.create(stream=True, **REQUEST)
    yield response
    response.http_response.close()


@contextmanager
def parsed_response(client: Anthropic) -> Generator[object]:
    with streaming_response(client) as response:
        yield response.parse()


@contextmanager
def tool_runner(client: Anthropic) -> Generator[object]:
    runner: Any = client.beta.messages.tool_runner(stream=True, tools=[], **REQUEST)
    for stream in runner:
        yield stream
        stream.close()
        break


NO_TOOL_RUNNER = pytest.mark.skipif(not hasattr(Messages, "tool_runner"), reason="this SDK has no tool runner")
NO_BETA_STREAM = pytest.mark.skipif(not hasattr(Messages, "stream"), reason="this SDK has no beta stream()")
GIVERS = [
    pytest.param(what_with_gives(created), id="create"),
    pytest.param(what_with_gives(helped), id="stream"),
    pytest.param(what_with_gives(created_beta), id="beta create"),
    pytest.param(what_with_gives(helped_beta), id="beta stream", marks=NO_BETA_STREAM),
    pytest.param(what_with_gives(streaming_response), id="streaming response"),
    pytest.param(the_manager(helped), id="manager"),
    pytest.param(the_manager(helped_beta), id="beta manager", marks=NO_BETA_STREAM),
    pytest.param(the_manager(streaming_response), id="manager of a streaming response"),
    pytest.param(http_response, id="http response"),
    pytest.param(raw_response, id="raw response"),
    pytest.param(parsed_response, id="parsed response"),
    pytest.param(tool_runner, id="tool runner", marks=NO_TOOL_RUNNER),
]


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("give", GIVERS)
def test_every_object(
    give: SyncGiver, client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """Whatever the SDK gives for a stream leads to it: the reason, the event and the facts are that stream's."""
    server.scripts.append(MESSAGE)
    with give(client) as given:
        stream = stream_of(given)
        stream.event("guardrail.triggered", {"rule": "no_advice"})
        stream.abort_reason("user_stop")

    (span,) = ended_spans(exporter)
    snapshot = stream.snapshot()

    assert abort_of(span) == ("aborted", "user_stop", "waiting")
    assert event_of(exporter, "guardrail.triggered")["rule"] == "no_advice"
    assert event_of(exporter, "llm_stream.abort")["llm_stream.abort.reason"] == "user_stop"
    assert snapshot is not None
    assert snapshot.span_id == span_id_of(span)


def what_async_with_gives(call: Callable[[Any], Any], *, awaits: bool = False) -> AsyncGiver:
    @asynccontextmanager
    async def give(client: AsyncAnthropic) -> AsyncGenerator[object]:
        manager = await call(client) if awaits else call(client)
        async with manager as given:
            yield given

    return give


def the_async_manager(call: Callable[[Any], Any]) -> AsyncGiver:
    @asynccontextmanager
    async def give(client: AsyncAnthropic) -> AsyncGenerator[object]:
        manager = call(client)
        async with manager:
            yield manager

    return give


@asynccontextmanager
async def async_raw_response(client: AsyncAnthropic) -> AsyncGenerator[object]:
    response: Any = await client.messages.with_raw_response.create(stream=True, **REQUEST)
    yield response
    await response.http_response.aclose()


@asynccontextmanager
async def async_parsed_response(client: AsyncAnthropic) -> AsyncGenerator[object]:
    async with streaming_response(client) as response:
        yield await response.parse()


@asynccontextmanager
async def async_tool_runner(client: AsyncAnthropic) -> AsyncGenerator[object]:
    runner: Any = client.beta.messages.tool_runner(stream=True, tools=[], **REQUEST)
    async for stream in runner:
        yield stream
        await stream.close()
        break


ASYNC_GIVERS = [
    pytest.param(what_async_with_gives(created, awaits=True), id="create"),
    pytest.param(what_async_with_gives(helped), id="stream"),
    pytest.param(what_async_with_gives(created_beta, awaits=True), id="beta create"),
    pytest.param(what_async_with_gives(helped_beta), id="beta stream", marks=NO_BETA_STREAM),
    pytest.param(what_async_with_gives(streaming_response), id="streaming response"),
    pytest.param(the_async_manager(helped), id="manager"),
    pytest.param(the_async_manager(helped_beta), id="beta manager", marks=NO_BETA_STREAM),
    pytest.param(the_async_manager(streaming_response), id="manager of a streaming response"),
    pytest.param(async_raw_response, id="raw response"),
    pytest.param(async_parsed_response, id="parsed response"),
    pytest.param(async_tool_runner, id="tool runner", marks=NO_TOOL_RUNNER),
]


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("give", ASYNC_GIVERS)
def test_every_async_object(give: AsyncGiver, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The same for what the asynchronous client gives."""
    server.scripts.append(MESSAGE)

    async def main() -> Snapshot | None:
        async with async_client(server) as client:
            async with give(client) as given:
                stream = stream_of(given)
                stream.event("guardrail.triggered", {"rule": "no_advice"})
                stream.abort_reason("user_stop")
            return stream.snapshot()

    snapshot = asyncio.run(main())
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "user_stop", "waiting")
    assert event_of(exporter, "guardrail.triggered")["rule"] == "no_advice"
    assert snapshot is not None
    assert snapshot.span_id == span_id_of(span)


# --- what is no stream of ours ---------------------------------------------------------------------------------------


def nothing_comes_of(given: object) -> bool:
    """Whether a handle does nothing, and says so."""
    stream = stream_of(given)
    stream.abort_reason("user_stop")
    stream.event("guardrail.triggered", {"rule": "no_advice"})
    return not stream.observed and stream.snapshot() is None


@pytest.mark.parametrize("given", [None, 1, "a stream", object(), dict[str, str](), lambda: 1])
def test_a_foreign_object(given: object) -> None:
    """Anything else has a handle that does nothing."""
    assert nothing_comes_of(given)


def test_no_instrumentation(client: Anthropic, server: MessagesServer) -> None:
    """A stream of an SDK that is not instrumented has one, too."""
    with opened(client, server) as stream:
        assert nothing_comes_of(stream)


class Odd:
    @property
    def response(self) -> object:
        raise LookupError("an application's own property")


@pytest.mark.usefixtures("instrumented")
def test_an_object_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an object raises when it is asked for its response does not reach the application."""
    monkeypatch.setattr(guard, "reraises", False)

    assert nothing_comes_of(Odd())


@pytest.mark.usefixtures("instrumented")
def test_a_manager_that_was_not_entered(client: Anthropic) -> None:
    """Before its `with` a manager has made no call, so there is no stream yet."""
    assert nothing_comes_of(helped(client))


def test_sampled_out(client: Anthropic, server: MessagesServer) -> None:
    """The declared reason reaches the metrics, and the facts can be asked for, where the span is not sampled."""
    reader = InMemoryMetricReader()
    meter_provider = MeterProvider([reader])
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=TracerProvider(ALWAYS_OFF), meter_provider=meter_provider)
    with opened(client, server) as stream:
        read_events(stream, MIDDLE_OF_TEXT)
        stream_of(stream).event("guardrail.triggered")
        stream_of(stream).abort_reason("user_stop")
    snapshot = stream_of(stream).snapshot()
    data: Any = reader.get_metrics_data()
    instrumentor.uninstrument()
    meter_provider.shutdown()
    points = [
        point.value
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in (metric.data.data_points if metric.name == "llm_stream.streams" else ())
        if point.attributes.get("llm_stream.abort.reason") == "user_stop"
    ]

    assert points == [1]
    assert snapshot is not None
    assert (snapshot.outcome, snapshot.abort_reason) == ("aborted", "user_stop")


def test_metrics_only(client: Anthropic, server: MessagesServer) -> None:
    """Without an SDK for spans a stream has no span of its own, and the ids are not those of the span around it."""
    around = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1))
    meter_provider = MeterProvider([InMemoryMetricReader()])
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(meter_provider=meter_provider)
    with trace.use_span(trace.NonRecordingSpan(around)), opened(client, server) as stream:
        snapshot = stream_of(stream).snapshot()
    instrumentor.uninstrument()
    meter_provider.shutdown()

    assert snapshot is not None
    assert (snapshot.trace_id, snapshot.span_id) == (None, None)


# --- abort_reason ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_the_last_reason_counts(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Of two reasons before the end is written the later one counts, and none that is declared after that."""
    with opened(client, server) as stream:
        read_events(stream, MIDDLE_OF_TEXT)
        stream_of(stream).abort_reason("user_stop")
        stream_of(stream).abort_reason("guardrail")
    (span,) = ended_spans(exporter)
    stream_of(stream).abort_reason("too_late")

    assert abort_of(span) == ("aborted", "guardrail", "text")


@pytest.mark.usefixtures("instrumented")
def test_a_reason_of_a_stream_that_completes(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A stream that is not aborted has no abort reason, whatever was declared."""
    with opened(client, server) as stream:
        stream_of(stream).abort_reason("user_stop")
        list(stream)

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("complete", None, None)


@pytest.mark.usefixtures("instrumented")
def test_a_reason_beside_an_exception(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A declared reason says more than that the reader raised."""
    with pytest.raises(LookupError), opened(client, server) as stream:
        read_events(stream, MIDDLE_OF_TEXT)
        stream_of(stream).abort_reason("quota.exceeded")
        raise LookupError

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "quota.exceeded", "text")


@pytest.mark.usefixtures("instrumented")
def test_a_reason_beside_a_cancellation(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Declared in one task, it is the reason of the stream that another task reads and that is cancelled then."""

    async def main() -> None:
        async with async_client(server) as client:
            stream = await opened(client, server, [*MESSAGE[:4], Pause(30)])
            has_text = asyncio.Event()
            reading = asyncio.ensure_future(read_to_the_end_async(stream, has_text))
            await has_text.wait()
            stream_of(stream).abort_reason("user_stop")
            reading.cancel()
            await asyncio.wait([reading])

    asyncio.run(main())
    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "user_stop", "text")


async def read_to_the_end_async(stream: Any, has_text: asyncio.Event) -> None:
    async for event in stream:
        if event.type == "content_block_delta":
            has_text.set()


BAD_WORDS: list[Any] = ["", "User stop", "the secret marker", "1st", "a" * 65, "stop\n", None, 7, b"user_stop"]


@pytest.mark.usefixtures("instrumented")
def test_bad_reasons(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    warnings: Callable[[], list[str]],
) -> None:
    """What is no word is ignored with one warning, which does not repeat it: it may be content."""
    with opened(client, server) as stream:
        for word in BAD_WORDS:
            stream_of(stream).abort_reason(word)

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "closed", "waiting")
    assert warnings() == [
        "abort_reason() takes a word such as user_stop: up to 64 of a-z, 0-9, _ and .; ignored",
    ]


# --- event -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_an_event_says_what_was_out(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """At every event, the chars that the reader has got by then, with those of chunks that came together."""
    delivered: list[int] = []
    with opened(client, server) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                delivered.append(len(getattr(event.delta, "text", None) or getattr(event.delta, "partial_json", "")))
                stream_of(stream).event("app.seen")

    (span,) = ended_spans(exporter)
    told = [event.attributes or {} for event in span.events if event.name == "app.seen"]

    assert [event["llm_stream.chars_delivered"] for event in told] == [
        sum(delivered[: count + 1]) for count in range(len(delivered))
    ]
    assert all(0 < float(str(event["llm_stream.offset"])) < 60 for event in told)


class Colour(str):
    __slots__ = ()


def test_attributes_are_bounded(warnings: Callable[[], list[str]]) -> None:
    """An event has up to 16 attributes of types that every exporter knows, and a text of it up to 256 chars."""
    fit: dict[str, object] = {
        "flag": True,
        "count": 3,
        "score": 0.5,
        "text": "x" * 300,
        "half": "a\ud800b",
        "colour": Colour("red"),
        "list": ["a", "b"],
        "numbers": (1, 2),
    }
    unfit: dict[str, object] = {
        "none": None,
        "object": object(),
        "bytes": b"a",
        "huge": 2**63,
        "mixed": [1, "a"],
        "nested": [[1]],
        "dict": {},
        "": 1,
        "a\nb": 1,
    }
    many: dict[str, object] = {f"n{number}": number for number in range(20)}

    assert handle._bounded_attributes({**fit, **unfit}, "a warning") == {
        **fit,
        "text": "x" * 256,
        "half": "a?b",
        "numbers": [1, 2],
    }
    assert handle._bounded_attributes(many, "a warning") == {f"n{number}": number for number in range(16)}
    assert len(warnings()) == 1


@pytest.mark.usefixtures("instrumented")
def test_our_own_attributes_are_ours(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """An application cannot overwrite where the stream was."""
    with opened(client, server) as stream:
        stream_of(stream).event("app.seen", {"llm_stream.chars_delivered": 7, "llm_stream.offset": "x"})

    event = event_of(exporter, "app.seen")

    assert event["llm_stream.chars_delivered"] == 0
    assert isinstance(event["llm_stream.offset"], float)


@pytest.mark.usefixtures("instrumented")
def test_bad_event_names(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    warnings: Callable[[], list[str]],
) -> None:
    """An event whose name is no word, or is one of ours, is ignored with one warning."""
    with opened(client, server) as stream:
        for name in [*BAD_WORDS, "llm_stream.first_token"]:
            stream_of(stream).event(name)

    (span,) = ended_spans(exporter)

    assert [event.name for event in span.events] == ["llm_stream.abort"]
    assert len(warnings()) == 1


def test_events_count_towards_the_cap(
    client: Anthropic, server: MessagesServer, tracer_provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """What an application says too often is counted as dropped; how the stream ended still has its event."""
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider, config=Config(max_events=8))
    with opened(client, server) as stream:
        for _ in range(10):
            stream_of(stream).event("app.seen")
    instrumentor.uninstrument()

    (span,) = ended_spans(exporter)

    assert [event.name for event in span.events] == ["app.seen", "app.seen", "llm_stream.abort"]
    assert attributes(span)["llm_stream.events_dropped"] == 8


@pytest.mark.usefixtures("instrumented")
def test_an_event_after_the_end(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Nothing is added to a stream that has ended."""
    with opened(client, server) as stream:
        read_events(stream, MIDDLE_OF_TEXT)
    stream_of(stream).event("app.seen")

    (span,) = ended_spans(exporter)

    assert [event.name for event in span.events if event.name == "app.seen"] == []


# --- attributes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes_given",
    [
        pytest.param([{"app.deploy": "2026-11-28.3", "app.prompt.version": "v12"}], id="together"),
        pytest.param(
            [{"app.deploy": "old", "app.prompt.version": "v12"}, {"app.deploy": "2026-11-28.3"}], id="last value"
        ),
    ],
)
def test_attributes_are_on_the_span_only(
    client: Anthropic,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    attributes_given: list[dict[str, str]],
) -> None:
    """The version of the deployment and of the prompt, set while the stream runs; no metric has them."""
    reader = InMemoryMetricReader()
    instrumentor = AnthropicStreamInstrumentor()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meters)
    with opened(client, server) as stream:
        for given in attributes_given:
            read_events(stream, 1)
            stream_of(stream).set_attributes(given)
        list(stream)
    instrumentor.uninstrument()
    (span,) = ended_spans(exporter)

    assert attributes(span)["app.deploy"] == "2026-11-28.3"
    assert attributes(span)["app.prompt.version"] == "v12"
    assert "app." not in str(reader.get_metrics_data())


@pytest.mark.usefixtures("instrumented")
def test_one_attribute_of_a_stream_that_is_left(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, warnings: Callable[[], list[str]]
) -> None:
    """It may be set after the leaving, until the span is written."""
    with opened(client, server) as stream:
        read_events(stream, MIDDLE_OF_TEXT)
    stream_of(stream).set_attribute("app.prompt.version", "v12")
    (span,) = ended_spans(exporter)

    assert attributes(span)["app.prompt.version"] == "v12"
    assert warnings() == []


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize(
    "name",
    [
        "llm_stream.outcome",
        "llm_stream.mine",
        "gen_ai.request.model",
        "gen_ai.input.messages",
        "error.type",
        "url.full",
    ],
)
def test_what_we_write_is_not_overwritten(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    warnings: Callable[[], list[str]],
    name: str,
) -> None:
    """Such a name is left out, with one warning; a name beside it is set."""
    with opened(client, server) as stream:
        for _ in range(2):
            stream_of(stream).set_attributes({name: "mine", "app.conversation": "c-1"})
        list(stream)
    (span,) = ended_spans(exporter)

    assert attributes(span).get(name) != "mine"
    assert attributes(span)["app.conversation"] == "c-1"
    assert len(warnings()) == 1


@pytest.mark.usefixtures("instrumented")
def test_attributes_of_a_stream_are_bounded(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, warnings: Callable[[], list[str]]
) -> None:
    """Up to 16 in all, each as in an event; those that are there may still change."""
    with opened(client, server) as stream:
        watched = stream_of(stream)
        for number in range(40):
            watched.set_attribute(f"app.n{number}", "x" * 300)
        watched.set_attribute("app.n0", "changed")
        list(stream)
    (span,) = ended_spans(exporter)
    own = {name: value for name, value in attributes(span).items() if name.startswith("app.")}

    assert own == {"app.n0": "changed", **{f"app.n{number}": "x" * 256 for number in range(1, 16)}}
    assert len(warnings()) == 1


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize(
    "given",
    [None, 7, "text", ["a"], {1: 2}, {None: "a"}, {"": 1}, {"a\nb": 1}, {"a": b"bytes"}, {"a": None}, {"a": 2**63}],
    ids=repr,
)
def test_bad_attributes(
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    warnings: Callable[[], list[str]],
    given: Any,
) -> None:
    """They are left out, with one warning that does not repeat them, and nothing is raised."""
    with opened(client, server) as stream:
        watched = stream_of(stream)
        watched.set_attributes(given)
        watched.set_attributes(given)
        list(stream)
    (span,) = ended_spans(exporter)

    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert len(warnings()) == 1


@pytest.mark.usefixtures("instrumented")
def test_attributes_after_the_end(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, warnings: Callable[[], list[str]]
) -> None:
    """They are ignored, with one warning."""
    with opened(client, server) as stream:
        list(stream)
        for _ in range(2):
            stream_of(stream).set_attribute("app.prompt.version", "v12")
    (span,) = ended_spans(exporter)

    assert "app.prompt.version" not in attributes(span)
    assert warnings() == ["set_attribute() came after the span of its stream had been written; ignored"]


def test_attributes_of_a_stream_that_is_not_observed(warnings: Callable[[], list[str]]) -> None:
    """Nothing comes of them."""
    stream_of(object()).set_attributes({"app.prompt.version": "v12"})

    assert warnings() == []


# --- snapshot --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_the_facts_of_an_open_stream(client: Anthropic, server: MessagesServer) -> None:
    """In the middle of a stream its facts are those of what has been read."""
    with opened(client, server) as stream:
        seen = [next(stream) for _ in range(IN_THE_TOOL_CALL)]
        snapshot = stream_of(stream).snapshot()
    text_chunks = [event for event in seen if event.type == "content_block_delta" and event.index == 0]
    tool_chunks = [event for event in seen if event.type == "content_block_delta" and event.index == 1]

    assert snapshot is not None
    assert (snapshot.ended, snapshot.outcome, snapshot.abort_reason, snapshot.stop_reason) == (False, None, None, None)
    assert (snapshot.phase, snapshot.block_count, snapshot.silence) == ("tool_input", 2, 0.0)
    assert snapshot.chars == {
        "text": sum(len(event.delta.text) for event in text_chunks),
        "thinking": 0,
        "tool_input": sum(len(event.delta.partial_json) for event in tool_chunks),
    }
    assert snapshot.chunk_count == len(text_chunks) + sum(event.delta.partial_json != "" for event in tool_chunks)
    assert (snapshot.tool_call_count, snapshot.tool_calls_completed) == (1, 0)
    assert (snapshot.model, snapshot.message_id) == (seen[0].message.model, seen[0].message.id)
    assert snapshot.time_to_first_chunk is not None
    assert 0 < snapshot.time_to_first_chunk <= snapshot.duration


@pytest.mark.usefixtures("instrumented")
def test_the_facts_of_a_stream_that_has_ended(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """Behind the end the facts are those of the span, as often as one asks."""
    with opened(client, server) as stream:
        list(stream)

    (span,) = ended_spans(exporter)
    told = attributes(span)
    snapshot = stream_of(stream).snapshot()

    assert snapshot is not None
    assert snapshot == stream_of(stream).snapshot()
    assert (snapshot.ended, snapshot.outcome, snapshot.stop_reason) == (True, "complete", "end_turn")
    assert snapshot.chars == {
        "text": told["llm_stream.text.chars"],
        "thinking": told["llm_stream.thinking.chars"],
        "tool_input": told["llm_stream.tool_input.chars"],
    }
    assert snapshot.chunk_count == told["llm_stream.chunk.count"]
    assert snapshot.tool_calls_completed == 1
    assert snapshot.time_to_first_chunk == told["gen_ai.response.time_to_first_chunk"]


@pytest.mark.usefixtures("instrumented")
def test_the_loop_of_an_open_stream(client: Anthropic, server: MessagesServer) -> None:
    """A loop is among the facts from the moment at which it is found."""
    script = list(wire.whole_message(wire.text_block(0, "Let me think about that again. " * 60)))
    with opened(client, server, script) as stream:
        read_events(stream, len(script) - 4)
        found = stream_of(stream).snapshot()
        list(stream)
    ended = stream_of(stream).snapshot()

    assert found is not None
    assert ended is not None
    assert isinstance(found.loop, Loop)
    assert isinstance(ended.loop, Loop)
    assert (found.loop.channel, found.loop.start, found.loop.period) == ("text", 0, 31)
    assert ended.loop.chars > found.loop.chars


@pytest.mark.usefixtures("instrumented")
def test_a_silence_is_seen_while_it_lasts(client: Anthropic, server: MessagesServer) -> None:
    """Another thread sees for how long the reader has been waiting; closed by it, the stream has its reason."""
    stream = opened(client, server, [*MESSAGE[:4], Pause(0.5), Ending.CUT])
    read_events(stream, MIDDLE_OF_TEXT)
    reader = threading.Thread(target=read_to_the_end, args=(stream,))
    reader.start()
    watched = stream_of(stream)
    silences: list[float] = []
    while not silences or silences[-1] < 0.05:
        snapshot = watched.snapshot()
        assert snapshot is not None
        silences.append(snapshot.silence)
    watched.abort_reason("too_silent")
    stream.response.close()
    reader.join()
    ended = watched.snapshot()

    assert ended is not None
    assert (ended.outcome, ended.abort_reason, ended.silence) == ("aborted", "too_silent", 0.0)


def read_to_the_end(stream: Any) -> None:
    try:
        for _ in stream:
            pass
    except Exception:  # noqa: BLE001, S110  # what the HTTP library raises when its response is closed under it
        pass


@pytest.mark.usefixtures("instrumented", "quick_switches")
def test_other_threads_ask_while_one_reads(client: Anthropic, server: MessagesServer) -> None:
    """To every thread, chars and chunks only ever grow while the stream is read, up to what was sent."""
    blocks = [wire.text_block(index, "abcdefgh" * 40, size=2) for index in range(20)]
    stream = opened(client, server, list(wire.whole_message(*blocks)))
    watched = stream_of(stream)
    seen: list[list[int]] = [[], [], []]

    def watch(counts: list[int]) -> None:
        while True:
            snapshot = watched.snapshot()
            assert snapshot is not None
            counts.append(snapshot.chars["text"])
            watched.abort_reason("user_stop")
            if snapshot.ended:
                return

    threads = [threading.Thread(target=watch, args=(counts,)) for counts in seen]
    for thread in threads:
        thread.start()
    list(stream)
    for thread in threads:
        thread.join()

    assert seen == [sorted(counts) for counts in seen]
    assert [counts[-1] for counts in seen] == [20 * 320] * 3


# --- what a handle holds ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_a_handle_keeps_no_response(client: Anthropic, server: MessagesServer) -> None:
    """An application that keeps the handle has dropped the stream with its last reference; then the facts remain."""
    stream = opened(client, server)
    read_events(stream, MIDDLE_OF_TEXT)
    watched = stream_of(stream)
    response = weakref.ref(stream.response)
    gc.disable()
    del stream
    if IS_A_CYCLE:
        gc.collect()
    gc.enable()
    snapshot = watched.snapshot()

    assert response() is None
    assert snapshot is not None
    assert (snapshot.outcome, snapshot.abort_reason) == ("aborted", "dropped")
