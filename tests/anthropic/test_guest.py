"""A guest in somebody's process: what the application sees, what is current while its code runs, what it can undo."""

import asyncio
import contextvars
import copy
import logging
import threading
from collections.abc import Generator, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.resources.messages import Messages
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from wrapt import FunctionWrapper

from streamspan import AnthropicStreamInstrumentor, guard
from streamspan.anthropic import events as anthropic_events
from streamspan.anthropic import native, request
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script, Wait
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import open_streams
from streamspan.stainless import body, http, patch, reader
from streamspan.telemetry.events import StreamEvents
from streamspan.telemetry.stream_telemetry import StreamTelemetry
from tests.anthropic.paths import REQUEST
from tests.stainless.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

MESSAGE: Script = list(wire.whole_message(wire.text_block(0, "Some text to begin with.")))


def patched_functions() -> list[object]:
    """What is patched, as the SDK has it now."""
    base: Any = anthropic._base_client
    stream: Any = anthropic.Stream
    stream_async: Any = anthropic.AsyncStream
    return [
        base.SyncAPIClient.request,
        base.AsyncAPIClient.request,
        stream.__stream__,
        stream_async.__stream__,
        stream.close,
        stream_async.close,
        getattr(base, "start_api_call_span", None),
    ]


ORIGINALS = patched_functions()


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


def opened(client: Any, server: MessagesServer, script: Script = MESSAGE) -> Any:
    server.scripts.append(script)
    return client.messages.create(stream=True, **REQUEST)


# --- the objects -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_the_stream_is_the_sdks_own(client: Anthropic, server: MessagesServer) -> None:
    """Its class, its iterators and its response are what they are without us."""
    stream: Any = opened(client, server)
    response_body: Any = stream.response.stream
    iterator: object = stream._iterator
    is_stream = isinstance(stream, anthropic.Stream)
    stream.close()

    assert (is_stream, type(stream).__name__) == (True, "Stream")
    assert isinstance(iterator, Generator)
    assert isinstance(response_body, type(response_body._self_stream))
    assert response_body._stream is vars(response_body)["_stream"]
    response_body.mark = "of a middleware"
    assert response_body._self_stream.mark == response_body.mark == "of a middleware"
    del response_body.mark
    assert not hasattr(response_body, "mark")


@pytest.mark.usefixtures("instrumented")
def test_a_copy_of_the_body_does_not_end_the_stream(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """It is a copy of what the HTTP library made; the stream goes on when it is dropped."""
    stream: Any = opened(client, server)
    copied: object = copy.copy(stream.response.stream)
    copied_class = type(copied)
    del copied
    list(stream)

    assert copied_class is stream.response.stream.__class__
    assert [attributes(span)["llm_stream.outcome"] for span in ended_spans(exporter)] == ["complete"]


@pytest.mark.usefixtures("instrumented")
def test_the_stream_is_lazy(client: Anthropic, server: MessagesServer) -> None:
    """The call returns with the headers; nothing is read ahead of the reader."""
    has_read_the_first = threading.Event()
    script = [*MESSAGE[:1], Wait(has_read_the_first), *MESSAGE[1:]]
    stream = opened(client.with_options(timeout=20), server, script)
    first = next(stream)
    has_read_the_first.set()

    assert first.type == "message_start"
    assert [event.type for event in stream][-1] == "message_stop"


@pytest.mark.usefixtures("instrumented")
def test_callers_options_are_not_changed(client: Anthropic, server: MessagesServer) -> None:
    """A request's own headers and body reach the server as given."""
    server.scripts.append(MESSAGE)
    headers = {"x-own": "1"}
    extra_body = {"metadata": {"user_id": "u"}}
    list(client.messages.create(stream=True, extra_headers=headers, extra_body=extra_body, **copy.deepcopy(REQUEST)))

    assert server.exchanges[-1].headers["x-own"] == "1"
    assert server.exchanges[-1].body == {**REQUEST, "stream": True, **extra_body}
    assert (headers, extra_body) == ({"x-own": "1"}, {"metadata": {"user_id": "u"}})


@pytest.mark.usefixtures("instrumented")
def test_a_call_with_keywords(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """`client.request()` may be called with its arguments by name."""
    server.scripts.append(MESSAGE)
    options: Any = anthropic._models.FinalRequestOptions.construct(
        method="post", url="/v1/messages", json_data={**REQUEST, "stream": True}
    )
    stream = client.request(
        cast_to=anthropic.types.Message,
        options=options,
        stream=True,
        stream_cls=anthropic.Stream[anthropic.types.RawMessageStreamEvent],
    )
    events = [event.type for event in stream]

    assert events[-1] == "message_stop"
    assert [attributes(span)["llm_stream.outcome"] for span in ended_spans(exporter)] == ["complete"]


@pytest.mark.usefixtures("instrumented")
def test_other_streams_are_left_alone(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A stream of another route is the SDK's, event by event, and has no span."""
    server.scripts.append(MESSAGE)
    stream = client.post(
        "/v1/sessions/s1/events/stream",
        cast_to=object,
        body={},
        stream=True,
        stream_cls=anthropic.Stream[anthropic.types.RawMessageStreamEvent],
    )
    events = [event.type for event in stream]

    assert events[-1] == "message_stop"
    assert body.body_of(stream.response) is None
    assert ended_spans(exporter) == []


# --- what is current ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_the_readers_code_has_its_own_span(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """Between two chunks the reader's span is current, and the stream's span is a child of the one at the call."""
    tracer = tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("request") as request_span:
        stream = opened(client, server)
        current = {trace.get_current_span() for _ in stream}
    stream_span = next(span for span in ended_spans(exporter) if span.name.startswith("chat"))

    assert current == {request_span}
    assert stream_span.parent == request_span.get_span_context()


@pytest.mark.usefixtures("instrumented")
def test_a_stream_is_read_in_another_thread(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """The parent is the span at the call, wherever the stream is read."""
    tracer = tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("request") as request_span:
        stream = opened(client, server)
    reader = threading.Thread(target=list, args=(stream,))
    reader.start()
    reader.join()
    stream_span = next(span for span in ended_spans(exporter) if span.name.startswith("chat"))

    assert stream_span.parent == request_span.get_span_context()
    assert attributes(stream_span)["llm_stream.outcome"] == "complete"


@pytest.mark.usefixtures("instrumented")
def test_a_stream_is_read_in_another_task(
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    tracer_provider: TracerProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The same for tasks; nothing is attached in one context and detached in another."""
    tracer = tracer_provider.get_tracer("application")

    async def read(stream: Any) -> set[trace.Span]:
        return {trace.get_current_span() async for _ in stream}

    async def main() -> tuple[Any, set[trace.Span]]:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        async with AsyncAnthropic(base_url=server.url, api_key="none", http_client=http_client) as client:
            with tracer.start_as_current_span("request") as request_span:
                stream = await opened(client, server)
            with tracer.start_as_current_span("reader") as reader_span:
                current = await asyncio.create_task(read(stream))
            assert current == {reader_span}
            return request_span, current

    request_span, _ = asyncio.run(main())
    stream_span = next(span for span in ended_spans(exporter) if span.name.startswith("chat"))

    assert stream_span.parent == request_span.get_span_context()
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


class HangingTransport:
    """Never answers, without an event loop."""

    def __await__(self) -> Generator[None]:
        yield

    async def handle_async_request(self, _: object) -> None:
        await self


@pytest.mark.usefixtures("instrumented")
def test_a_call_that_is_closed_in_another_context(
    exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """A coroutine that is closed while it waits for the headers, in a context that is not its own, as by a finalizer,
    ends its span without a complaint of ours. From 1.14 on the SDK itself detaches there, and is complained of."""
    transport: Any = HangingTransport()
    client = AsyncAnthropic(
        base_url="http://none", api_key="none", http_client=anthropic.DefaultAsyncHttpxClient(transport=transport)
    )
    client._platform = "Linux"  # found out in a thread, else
    call: Any = client.messages.create(stream=True, **REQUEST)
    contextvars.copy_context().run(call.send, None)
    call.close()
    (span,) = ended_spans(exporter)
    complaints = [record for record in caplog.records if "Failed to detach context" in record.message]

    assert abort_of(span) == ("aborted", "cancelled", "opening")
    assert len(complaints) == (1 if hasattr(client, "_otel") else 0)


# --- switches ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_suppressed(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """`suppress_instrumentation` is heeded."""
    with suppress_instrumentation():
        list(opened(client, server))

    assert [span for span in ended_spans(exporter) if span.name.startswith("chat")] == []


def test_sampled_out(client: Anthropic, server: MessagesServer) -> None:
    """A span that the sampler leaves out costs the application nothing but the observation."""
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
    events = [event.type for event in opened(client, server)]
    instrumentor.uninstrument()

    assert events[-1] == "message_stop"
    assert open_streams() == []


def test_a_client_made_before(
    server: MessagesServer, exporter: InMemorySpanExporter, client: Anthropic, tracer_provider: TracerProvider
) -> None:
    """A client that was made before `instrument()`, its copies and its subclasses are instrumented."""

    class Ours(Anthropic):
        pass

    http_client = anthropic.DefaultHttpxClient(verify=False)
    subclassed = Ours(base_url=server.url, api_key="none", http_client=http_client)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    list(opened(client, server))
    list(opened(client.with_options(timeout=9), server))
    list(opened(subclassed, server))
    instrumentor.uninstrument()
    http_client.close()

    assert [attributes(span)["llm_stream.outcome"] for span in ended_spans(exporter)] == ["complete"] * 3


def test_uninstrument_restores(
    instrumented: AnthropicStreamInstrumentor, client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The SDK's own functions are back, and a stream that was open still ends its span."""
    stream = opened(client, server)
    next(stream)
    instrumented.uninstrument()
    events = [event.type for event in stream]
    (span,) = ended_spans(exporter)

    assert events[-1] == "message_stop"
    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert patched_functions() == ORIGINALS


def test_instrument_twice(
    instrumented: AnthropicStreamInstrumentor, client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The second call changes nothing."""
    AnthropicStreamInstrumentor().instrument()
    list(opened(client, server))

    assert len(ended_spans(exporter)) == 1


def test_a_wrong_config_is_an_error() -> None:
    """`instrument()` says what is wrong."""
    with pytest.raises(TypeError, match=r"config must be a streamspan\.Config, not dict"):
        AnthropicStreamInstrumentor().instrument(config={"max_events": 1})


# --- our own failures --------------------------------------------------------------------------------------------


class OursError(Exception):
    """A failure of ours."""


def fails(*_: object, **__: object) -> Any:
    raise OursError("with content in it")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (request, "_provider"),
        (patch, "response_attributes"),
        (http, "_headers"),
        (body, "error_type"),
        (anthropic_events.Translator, "translate"),
        (anthropic_events.Translator, "_message_start"),
        (anthropic_events.Translator, "_message_delta"),
        (anthropic_events.Translator, "_block_start"),
        (anthropic_events, "usage_of"),
        (native, "stand_in"),
        (patch, "Observer"),
        (patch, "Body"),
        (patch, "suppressed"),
        (reader, "body_of"),
        (StreamEvents, "add"),
        (StreamTelemetry, "end"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_our_failures_stay_with_us(
    module: Any,
    name: str,
    client: Anthropic,
    server: MessagesServer,
    instrumented: AnthropicStreamInstrumentor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever of ours fails, the application gets every event; it is counted, and the log has no content."""
    monkeypatch.setattr(guard, "reraises", False)
    monkeypatch.setattr(module, name, fails)
    guard.failures.clear()
    caplog.set_level(logging.DEBUG, logger="streamspan")
    events = [event.type for event in opened(client, server)]
    monkeypatch.undo()

    assert events[-1] == "message_stop"
    assert sum(guard.failures.values()) >= (0 if name == "error_type" else 1)
    assert "with content in it" not in caplog.text


@pytest.mark.parametrize(("module", "name"), [(patch, "response_attributes"), (http, "_headers")])
def test_a_response_that_cannot_be_described(
    client: Anthropic,
    server: MessagesServer,
    instrumented: AnthropicStreamInstrumentor,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
) -> None:
    """What we cannot read of the response, as another SDK may have it otherwise, costs its attributes and no more."""
    monkeypatch.setattr(guard, "reraises", False)
    monkeypatch.setattr(module, name, fails)
    guard.failures.clear()
    list(opened(client, server))
    (span,) = ended_spans(exporter)

    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert attributes(span)["llm_stream.text.chars"] == len("Some text to begin with.")
    assert "http.response.status_code" not in attributes(span)
    assert guard.failures == {"_describe_response": 1}


def test_a_logging_handler_that_fails(
    client: Anthropic,
    server: MessagesServer,
    instrumented: AnthropicStreamInstrumentor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the application's own handler raises at the line that tells of a failure of ours stays with us, too."""
    monkeypatch.setattr(guard, "reraises", False)
    monkeypatch.setattr(anthropic_events.Translator, "_other", fails)
    monkeypatch.setattr(caplog.handler, "emit", fails)
    caplog.set_level(logging.DEBUG, logger="streamspan")
    events = [event.type for event in opened(client, server)]

    assert events[-1] == "message_stop"


def test_a_stream_that_cannot_be_observed(
    client: Anthropic,
    server: MessagesServer,
    instrumented: AnthropicStreamInstrumentor,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After three failures its events are not looked at any more; its span still ends, without an outcome."""
    monkeypatch.setattr(guard, "reraises", False)
    monkeypatch.setattr(anthropic_events.Translator, "_other", fails)
    guard.failures.clear()
    list(opened(client, server))

    (span,) = ended_spans(exporter)

    assert guard.failures == {"observe": 3}
    assert attributes(span)["llm_stream.observed"] is False
    assert "llm_stream.outcome" not in attributes(span)


# --- other instrumentations -------------------------------------------------------------------------------------


def test_another_instrumentation_that_covers_ours_is_told_of(
    tracer_provider: TracerProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that has put a function of its own on the SDK's clients may call the SDK's own past ours, unseen."""
    for client_class in (Anthropic, AsyncAnthropic):
        monkeypatch.setattr(client_class, "request", client_class.request, raising=False)
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    instrumentor.uninstrument()

    (warning,) = [record.message for record in caplog.records]

    assert "another instrumentation has replaced Anthropic.request, AsyncAnthropic.request;" in warning


def test_another_instrumentation_is_told_of_once(
    client: Anthropic,
    server: MessagesServer,
    instrumented: AnthropicStreamInstrumentor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One that wraps the SDK's methods is named in one warning, with the switch, whichever came first."""

    def wrapper(wrapped: Any, _: object, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    wrapper.__module__ = "opentelemetry.instrumentation.anthropic"
    messages: Any = Messages
    monkeypatch.setattr(messages, "create", FunctionWrapper(messages.create, wrapper))
    events = [event.type for _ in range(2) for event in opened(client, server)]

    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]

    assert events.count("message_stop") == 2
    assert len(warnings) == 1
    assert "opentelemetry.instrumentation.anthropic instruments the Anthropic SDK too" in warnings[0]
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=anthropic " in warnings[0]
