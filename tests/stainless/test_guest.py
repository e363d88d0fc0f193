"""A guest in somebody's process: what the application sees, what is current while its code runs, what it can undo."""

import asyncio
import contextvars
import copy
import logging
import threading
from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from wrapt import FunctionWrapper

from streamspan import guard
from streamspan.cli.demo.script import Wait
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import open_streams
from streamspan.stainless import body, http, patch, reader
from streamspan.telemetry.events import StreamEvents
from streamspan.telemetry.stream_telemetry import StreamTelemetry
from tests.stainless.api import TEXT, Api
from tests.stainless.apis import first_apis
from tests.stainless.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")


def patched_functions(api: Api) -> list[object]:
    """What is patched, as the SDK has it now."""
    base: Any = api.sdk.module._base_client
    stream: Any = api.sdk.module.Stream
    stream_async: Any = api.sdk.module.AsyncStream
    return [
        base.SyncAPIClient.request,
        base.AsyncAPIClient.request,
        stream.__stream__,
        stream_async.__stream__,
        stream.close,
        stream_async.close,
        getattr(base, "start_api_call_span", None),
    ]


# --- the objects -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_the_stream_is_the_sdks_own(api: Api, client: Any, server: MessagesServer) -> None:
    """Its class, its iterators and its response are what they are without us."""
    stream: Any = api.opened(client, server)
    response_body: Any = stream.response.stream
    iterator: object = stream._iterator
    is_stream = isinstance(stream, api.sdk.module.Stream)
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
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """It is a copy of what the HTTP library made; the stream goes on when it is dropped."""
    stream: Any = api.opened(client, server)
    copied: object = copy.copy(stream.response.stream)
    copied_class = type(copied)
    del copied
    list(stream)

    assert copied_class is stream.response.stream.__class__
    assert [attributes(span)["llm_stream.outcome"] for span in ended_spans(exporter)] == ["complete"]


@pytest.mark.usefixtures("instrumented")
def test_the_stream_is_lazy(api: Api, client: Any, server: MessagesServer) -> None:
    """The call returns with the headers; nothing is read ahead of the reader."""
    has_read_the_first = threading.Event()
    script = [*api.text[:1], Wait(has_read_the_first), *api.text[1:]]
    stream = api.opened(client.with_options(timeout=20), server, script)
    next(stream)
    has_read_the_first.set()

    assert len(list(stream)) == api.events - 1


@pytest.mark.usefixtures("instrumented")
def test_callers_options_are_not_changed(api: Api, client: Any, server: MessagesServer) -> None:
    """A request's own headers and body reach the server as given."""
    server.scripts.append(api.text)
    headers = {"x-own": "1"}
    extra_body = {"metadata": {"user_id": "u"}}
    list(api.create(client, extra_headers=headers, extra_body=extra_body, **copy.deepcopy(dict(api.request))))

    assert server.exchanges[-1].headers["x-own"] == "1"
    assert server.exchanges[-1].body == {**api.request, "stream": True, **extra_body}
    assert (headers, extra_body) == ({"x-own": "1"}, {"metadata": {"user_id": "u"}})


@pytest.mark.usefixtures("instrumented")
def test_a_call_with_keywords(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """`client.request()` may be called with its arguments by name."""
    server.scripts.append(api.text)
    route, answer, event = api.route
    options: Any = api.sdk.module._models.FinalRequestOptions.construct(
        method="post", url=route, json_data={**api.request, "stream": True}
    )
    stream = client.request(
        cast_to=answer,
        options=options,
        stream=True,
        stream_cls=api.sdk.module.Stream[event],
    )
    events = list(stream)

    assert len(events) == api.events
    assert [attributes(span)["llm_stream.outcome"] for span in ended_spans(exporter)] == ["complete"]


@pytest.mark.usefixtures("instrumented")
def test_other_streams_are_left_alone(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A stream of another route is the SDK's, event by event, and has no span."""
    server.scripts.append(api.text)
    stream = client.post(
        api.sdk.other_route, cast_to=object, body={}, stream=True, stream_cls=api.sdk.module.Stream[api.route[2]]
    )
    events = list(stream)

    assert len(events) == api.events
    assert body.body_of(stream.response) is None
    assert ended_spans(exporter) == []


# --- what is current ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_the_readers_code_has_its_own_span(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """Between two chunks the reader's span is current, and the stream's span is a child of the one at the call."""
    tracer = tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("request") as request_span:
        stream = api.opened(client, server)
        current = {trace.get_current_span() for _ in stream}
    stream_span = next(span for span in ended_spans(exporter) if span.name.startswith("chat"))

    assert current == {request_span}
    assert stream_span.parent == request_span.get_span_context()


@pytest.mark.usefixtures("instrumented")
def test_a_stream_is_read_in_another_thread(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """The parent is the span at the call, wherever the stream is read."""
    tracer = tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("request") as request_span:
        stream = api.opened(client, server)
    reader = threading.Thread(target=list, args=(stream,))
    reader.start()
    reader.join()
    stream_span = next(span for span in ended_spans(exporter) if span.name.startswith("chat"))

    assert stream_span.parent == request_span.get_span_context()
    assert attributes(stream_span)["llm_stream.outcome"] == "complete"


@pytest.mark.usefixtures("instrumented")
def test_a_stream_is_read_in_another_task(
    api: Api,
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
        async with api.sdk.opened_async(server.url) as client:
            with tracer.start_as_current_span("request") as request_span:
                stream = await api.opened(client, server)
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
    api: Api, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """A coroutine that is closed while it waits for the headers, in a context that is not its own, as by a finalizer,
    ends its span without a complaint of ours. An SDK that traces itself detaches there, and is complained of."""
    transport: Any = HangingTransport()
    http_client = api.sdk.module.DefaultAsyncHttpxClient(transport=transport)
    client = api.sdk.async_client(base_url="http://none", api_key="none", http_client=http_client)
    client._platform = "Linux"  # found out in a thread, else
    call: Any = api.create(client)
    contextvars.copy_context().run(call.send, None)
    call.close()
    (span,) = ended_spans(exporter)
    complaints = [record for record in caplog.records if "Failed to detach context" in record.message]

    assert abort_of(span) == ("aborted", "cancelled", "opening")
    assert len(complaints) == (1 if hasattr(client, "_otel") else 0)


# --- switches ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_suppressed(api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """`suppress_instrumentation` is heeded."""
    with suppress_instrumentation():
        list(api.opened(client, server))

    assert [span for span in ended_spans(exporter) if span.name.startswith("chat")] == []


def test_sampled_out(api: Api, client: Any, server: MessagesServer) -> None:
    """A span that the sampler leaves out costs the application nothing but the observation."""
    instrumentor = api.sdk.instrumentor()
    instrumentor.instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
    events = list(api.opened(client, server))
    instrumentor.uninstrument()

    assert len(events) == api.events
    assert open_streams() == []


def test_a_client_made_before(
    api: Api, server: MessagesServer, exporter: InMemorySpanExporter, client: Any, tracer_provider: TracerProvider
) -> None:
    """A client that was made before `instrument()`, its copies and its subclasses are instrumented."""

    subclass: Any = type("Ours", (api.sdk.client,), {})
    http_client = api.sdk.module.DefaultHttpxClient(verify=False)
    subclassed = subclass(base_url=server.url, api_key="none", http_client=http_client)
    instrumentor = api.sdk.instrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    list(api.opened(client, server))
    list(api.opened(client.with_options(timeout=9), server))
    list(api.opened(subclassed, server))
    instrumentor.uninstrument()
    http_client.close()

    assert [attributes(span)["llm_stream.outcome"] for span in ended_spans(exporter)] == ["complete"] * 3


def test_uninstrument_restores(
    api: Api, client: Any, server: MessagesServer, exporter: InMemorySpanExporter, tracer_provider: TracerProvider
) -> None:
    """The SDK's own functions are back, and a stream that was open still ends its span."""
    originals = patched_functions(api)
    instrumentor = api.sdk.instrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    stream = api.opened(client, server)
    next(stream)
    instrumentor.uninstrument()
    events = list(stream)
    (span,) = ended_spans(exporter)

    assert len(events) == api.events - 1
    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert patched_functions(api) == originals


def test_instrument_twice(
    api: Api, instrumented: BaseInstrumentor, client: Any, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The second call changes nothing."""
    api.sdk.instrumentor().instrument()
    list(api.opened(client, server))

    assert len(ended_spans(exporter)) == 1


def test_a_wrong_config_is_an_error(api: Api) -> None:
    """`instrument()` says what is wrong."""
    with pytest.raises(TypeError, match=r"config must be a streamspan\.Config, not dict"):
        api.sdk.instrumentor().instrument(config={"max_events": 1})


# --- our own failures --------------------------------------------------------------------------------------------


class OursError(Exception):
    """A failure of ours."""


def fails(*_: object, **__: object) -> Any:
    raise OursError("with content in it")


NEUTRAL: list[tuple[Any, str]] = [
    (patch, "response_attributes"),
    (http, "_headers"),
    (body, "error_type"),
    (patch, "Observer"),
    (patch, "Body"),
    (patch, "suppressed"),
    (reader, "body_of"),
    (StreamEvents, "add"),
    (StreamTelemetry, "end"),
]
"""Functions of ours that a stream goes through, each with its owner."""


@pytest.mark.parametrize(
    ("api", "module", "name"),
    [
        pytest.param(api, module, name, id=f"{api.name}-{name}")
        for api in first_apis()
        for module, name in (*NEUTRAL, *api.inside, (api.translator, "translate"))
    ],
)
def test_our_failures_stay_with_us(
    api: Api,
    module: Any,
    name: str,
    client: Any,
    server: MessagesServer,
    instrumented: BaseInstrumentor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever of ours fails, the application gets every event; it is counted, and the log has no content."""
    monkeypatch.setattr(guard, "reraises", False)
    monkeypatch.setattr(module, name, fails)
    guard.failures.clear()
    caplog.set_level(logging.DEBUG, logger="streamspan")
    events = list(api.opened(client, server))
    monkeypatch.undo()

    assert len(events) == api.events
    assert sum(guard.failures.values()) >= (0 if name == "error_type" else 1)
    assert "with content in it" not in caplog.text


@pytest.mark.parametrize(("module", "name"), [(patch, "response_attributes"), (http, "_headers")])
def test_a_response_that_cannot_be_described(
    api: Api,
    client: Any,
    server: MessagesServer,
    instrumented: BaseInstrumentor,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
) -> None:
    """What we cannot read of the response, as another SDK may have it otherwise, costs its attributes and no more."""
    monkeypatch.setattr(guard, "reraises", False)
    monkeypatch.setattr(module, name, fails)
    guard.failures.clear()
    list(api.opened(client, server))
    (span,) = ended_spans(exporter)

    assert attributes(span)["llm_stream.outcome"] == "complete"
    assert attributes(span)["llm_stream.text.chars"] == len(TEXT)
    assert "http.response.status_code" not in attributes(span)
    assert guard.failures == {"_describe_response": 1}


def test_a_logging_handler_that_fails(
    api: Api,
    client: Any,
    server: MessagesServer,
    instrumented: BaseInstrumentor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the application's own handler raises at the line that tells of a failure of ours stays with us, too."""
    monkeypatch.setattr(guard, "reraises", False)
    monkeypatch.setattr(api.translator, "translate", fails)
    monkeypatch.setattr(caplog.handler, "emit", fails)
    caplog.set_level(logging.DEBUG, logger="streamspan")
    events = list(api.opened(client, server))

    assert len(events) == api.events


def test_a_stream_that_cannot_be_observed(
    api: Api,
    client: Any,
    server: MessagesServer,
    instrumented: BaseInstrumentor,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After three failures its events are not looked at any more; its span still ends, without an outcome."""
    monkeypatch.setattr(guard, "reraises", False)
    monkeypatch.setattr(api.translator, "translate", fails)
    guard.failures.clear()
    list(api.opened(client, server))

    (span,) = ended_spans(exporter)

    assert guard.failures == {"observe": 3}
    assert attributes(span)["llm_stream.observed"] is False
    assert "llm_stream.outcome" not in attributes(span)


# --- other instrumentations -------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks_up", ["before ours", "at each call"])
def test_another_instrumentation_that_covers_ours(
    looks_up: str,
    api: Api,
    client: Any,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that has put a function of its own on the SDK's clients before us hides no stream, and doubles none.

    It may call the function of the SDK that it has looked up before, or whatever is there at the time of the call.
    """
    base: Any = api.sdk.module._base_client.SyncAPIClient
    found_before = base.request

    def covering(*args: Any, **kwargs: Any) -> Any:
        return (found_before if looks_up == "before ours" else base.request)(*args, **kwargs)

    monkeypatch.setattr(api.sdk.client, "request", covering, raising=False)
    instrumentor = api.sdk.instrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    list(api.opened(client, server))
    instrumentor.uninstrument()

    assert [attributes(span)["llm_stream.outcome"] for span in ended_spans(exporter)] == ["complete"]
    assert vars(api.sdk.client)["request"] is covering


def test_another_instrumentation_is_told_of_once(
    api: Api,
    client: Any,
    server: MessagesServer,
    instrumented: BaseInstrumentor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One that wraps the SDK's methods is named in one warning, with the switch, whichever came first."""

    def wrapper(wrapped: Any, _: object, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    wrapper.__module__ = "opentelemetry.instrumentation.another"
    resource: Any = api.resource(client).__class__
    monkeypatch.setattr(resource, "create", FunctionWrapper(resource.create, wrapper))
    events = [event for _ in range(2) for event in api.opened(client, server)]

    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]

    assert len(events) == 2 * api.events
    assert len(warnings) == 1
    assert f"opentelemetry.instrumentation.another instruments the {api.sdk.title} SDK too" in warnings[0]
    assert f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={api.sdk.module.__name__} " in warnings[0]
