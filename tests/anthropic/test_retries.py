"""The SDK's retries within one call: how many, why, how long they took, and that its waits are nobody's silence."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Generator, Iterator
from contextvars import Context, copy_context
from dataclasses import dataclass
from math import inf
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic._base_client import AsyncAPIClient, SyncAPIClient
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Head, Pause, Script, error_response
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import open_streams
from streamspan.stainless import retries
from tests.anthropic.paths import REQUEST
from tests.stainless.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

BACK_OFF = 0.3
WHOLE: Script = list(wire.whole_message(wire.text_block(0, "Some text to begin with.")))
PLAIN = error_response(400, "invalid_request_error", "no")


def refused(status: int, *, back_off: float = BACK_OFF) -> Script:
    """An answer after which the SDK waits and tries again."""
    headers = {"retry-after-ms": str(int(back_off * 1000)), "x-should-retry": "true"}
    return error_response(status, "overloaded_error", "busy", headers=headers)


OVERLOADED = refused(529)
AT_ONCE = refused(429, back_off=0.001)


@dataclass
class Application:
    """Two clients that try again, and the reader of the metrics."""

    server: MessagesServer
    client: Anthropic
    url: str
    reader: InMemoryMetricReader

    def read(self, **options: Any) -> None:
        with contextlib.suppress(anthropic.APIError):
            list(self.client.with_options(**options).messages.create(**REQUEST, stream=True))

    async def read_async(self, **options: Any) -> None:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        async with AsyncAnthropic(base_url=self.url, api_key="none", http_client=http_client, **options) as client:
            with contextlib.suppress(anthropic.APIError):
                async for _ in await client.messages.create(**REQUEST, stream=True):
                    pass

    def run(self, *, is_async: bool, **options: Any) -> None:
        if is_async:
            asyncio.run(self.read_async(**options))
        else:
            self.read(**options)

    def points(self, name: str) -> list[Any]:
        data: Any = self.reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        return [
            point
            for scope in scopes
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def silence(self) -> float:
        """The longest, in whatever phase."""
        return max(point.value for point in self.points("llm_stream.silence"))

    def retries(self) -> dict[str, int]:
        """By their reason, without those of which there were none."""
        return {
            point.attributes["error.type"]: point.value for point in self.points("llm_stream.retries") if point.value
        }


@contextlib.contextmanager
def started(tracer_provider: Any, server: MessagesServer) -> Generator[Application]:
    reader = InMemoryMetricReader()
    instrumentor = AnthropicStreamInstrumentor()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meters)
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=2, http_client=http_client) as client:
        yield Application(server, client, server.url, reader)
    instrumentor.uninstrument()


@pytest.fixture
def app(tracer_provider: TracerProvider, server: MessagesServer) -> Iterator[Application]:
    with started(tracer_provider, server) as application:
        yield application
    assert not open_streams()
    assert not retries.is_calling()


def seconds_of(exporter: InMemorySpanExporter) -> tuple[Any, Any, Any]:
    """How often the call was sent again, when the last attempt began, and when the headers came."""
    [span] = ended_spans(exporter)
    names = ("http.request.resend_count", "llm_stream.retry.time", "llm_stream.time_to_headers")
    resent, retry_time, to_headers = [attributes(span).get(name) for name in names]
    return resent, retry_time, to_headers


# --- what is told ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_call_that_succeeds_at_the_third_attempt(
    app: Application, exporter: InMemorySpanExporter, is_async: bool
) -> None:
    """Each retry counts by its status code; the time to the headers counts from the last attempt in the metric."""
    app.server.scripts += [OVERLOADED, AT_ONCE, [Pause(0.1), *WHOLE]]
    app.run(is_async=is_async)
    resent, retry_time, to_headers = seconds_of(exporter)
    [point] = app.points("llm_stream.time_to_headers")

    assert app.retries() == {"529": 1, "429": 1}
    assert resent == 2
    assert BACK_OFF <= retry_time <= to_headers - 0.1
    assert point.sum == pytest.approx(to_headers - retry_time)
    assert point.attributes["gen_ai.response.model"] == wire.MODEL


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_call_that_never_succeeds(app: Application, exporter: InMemorySpanExporter, is_async: bool) -> None:
    """Its retries count, it has no time to headers, and the span says when the last attempt began."""
    app.server.scripts += [AT_ONCE, AT_ONCE, AT_ONCE]
    app.run(is_async=is_async, max_retries=2)
    resent, retry_time, to_headers = seconds_of(exporter)

    assert app.retries() == {"429": 2}
    assert (resent, to_headers) == (2, None)
    assert retry_time > 0
    assert app.points("llm_stream.time_to_headers") == []


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param([Ending.RESET], "connection_error", id="reset"),
        pytest.param([Pause(inf), Head()], "client_timeout_error", id="timeout"),
    ],
)
def test_a_call_without_a_response(
    app: Application, exporter: InMemorySpanExporter, script: Script, reason: str, is_async: bool
) -> None:
    """It counts by our word for what went wrong."""
    app.server.scripts += [script, WHOLE]
    app.run(is_async=is_async, timeout=0.2)

    assert app.retries() == {reason: 1}
    assert seconds_of(exporter)[0] == 1


def test_a_call_that_succeeds_at_once(app: Application, exporter: InMemorySpanExporter) -> None:
    """It has no time of retries; the likely reasons are there as 0."""
    app.server.scripts.append(WHOLE)
    app.read()
    resent, retry_time, to_headers = seconds_of(exporter)
    [point] = app.points("llm_stream.time_to_headers")

    assert (resent, retry_time) == (None, None)
    assert point.sum == to_headers
    assert {point.attributes["error.type"]: point.value for point in app.points("llm_stream.retries")} == {
        "429": 0,
        "500": 0,
        "529": 0,
        "connection_error": 0,
        "client_timeout_error": 0,
    }


def test_a_retry_is_counted_without_spans(server: MessagesServer) -> None:
    """Metrics alone are enough."""
    with started(NoOpTracerProvider(), server) as app:
        server.scripts += [AT_ONCE, WHOLE]
        app.read()

        assert app.retries() == {"429": 1}


# --- silence ---------------------------------------------------------------------------------------------------------


def test_a_back_off_is_nobodys_silence(app: Application) -> None:
    """The gauge is 0 while the SDK waits, and counts from the start of the attempt that follows."""
    app.server.scripts += [refused(529, back_off=0.6), [Pause(0.6), *WHOLE]]
    reader = threading.Thread(target=app.read, daemon=True)
    begun_at = time.monotonic()
    reader.start()
    while not app.retries():
        time.sleep(0.005)
    time.sleep(0.1)
    while_it_waits = app.silence()
    time.sleep(max(begun_at + 1.0 - time.monotonic(), 0))
    of_the_attempt = app.silence()
    reader.join(60)

    assert while_it_waits == 0
    assert 0.1 < of_the_attempt < 0.6


# --- whose retry it is -----------------------------------------------------------------------------------------------


def test_retries_of_plain_calls(app: Application) -> None:
    """A call that is not streamed is not counted."""
    app.server.scripts += [AT_ONCE, PLAIN]
    with pytest.raises(anthropic.BadRequestError):
        app.client.messages.create(**REQUEST)

    assert app.points("llm_stream.retries") == []


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_plain_call_inside_a_streamed_one(app: Application, exporter: InMemorySpanExporter, is_async: bool) -> None:
    """A hook of the HTTP client asks the API for something: its retries are not those of the stream."""
    app.server.scripts += [AT_ONCE, PLAIN, WHOLE]

    def asks(_: object) -> None:
        http_client = anthropic.DefaultHttpxClient(verify=False)
        inner = Anthropic(base_url=app.url, api_key="none", http_client=http_client)
        with inner, contextlib.suppress(anthropic.BadRequestError):
            inner.messages.create(**REQUEST)

    async def asks_async(_: object) -> None:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        async with AsyncAnthropic(base_url=app.url, api_key="none", http_client=http_client) as inner:
            with contextlib.suppress(anthropic.BadRequestError):
                await inner.messages.create(**REQUEST)

    async def reads_async() -> None:
        hooks: Any = {"request": [asks_async]}
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False, event_hooks=hooks)
        async with AsyncAnthropic(base_url=app.url, api_key="none", http_client=http_client) as client:
            async for _ in await client.messages.create(**REQUEST, stream=True):
                pass

    if is_async:
        asyncio.run(reads_async())
    else:
        http_client = anthropic.DefaultHttpxClient(verify=False, event_hooks={"request": [asks]})
        with Anthropic(base_url=app.url, api_key="none", http_client=http_client) as client:
            list(client.messages.create(**REQUEST, stream=True))

    assert app.retries() == {}
    assert seconds_of(exporter)[1] is None


def test_calls_at_the_same_time(app: Application, exporter: InMemorySpanExporter) -> None:
    """Of several tasks that stream, those have retries that had them."""
    app.server.scripts += [OVERLOADED, [Pause(0.1), *WHOLE], [Pause(0.1), *WHOLE], WHOLE]

    async def all_of_them() -> None:
        await asyncio.gather(*[app.read_async() for _ in range(3)])

    asyncio.run(all_of_them())
    resent = [attributes(span).get("http.request.resend_count") for span in ended_spans(exporter)]
    took = ["llm_stream.retry.time" in attributes(span) for span in ended_spans(exporter)]

    assert app.retries() == {"529": 1}
    assert sorted(map(str, resent)) == ["1", "None", "None"]
    assert [bool(count) for count in resent] == took


def test_a_task_that_is_cancelled_while_the_sdk_waits(app: Application, exporter: InMemorySpanExporter) -> None:
    """The stream is aborted in the phase `opening`, and no call is in progress any more."""
    app.server.scripts += [refused(529, back_off=30), WHOLE]

    async def leaves() -> None:
        task = asyncio.ensure_future(app.read_async())
        while not app.retries():  # noqa: ASYNC110  # the SDK tells nobody that it waits
            await asyncio.sleep(0.005)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(leaves())
    [span] = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "cancelled", "opening")


def test_a_context_that_was_copied_inside_a_call_holds_no_stream(
    app: Application, exporter: InMemorySpanExporter
) -> None:
    """A task or a thread that starts meanwhile has such a copy, and may run for ever."""
    app.server.scripts.append(WHOLE)
    contexts: list[Context] = []

    def copies(_: object) -> None:
        contexts.append(copy_context())

    hooks: Any = {"request": [copies]}
    http_client = anthropic.DefaultHttpxClient(verify=False, event_hooks=hooks)
    with Anthropic(base_url=app.url, api_key="none", http_client=http_client) as client:
        stream = client.messages.create(**REQUEST, stream=True)
        next(iter(stream))
        del stream
        spans = ended_spans(exporter)

    assert [abort_of(span)[:2] for span in spans] == [("aborted", "dropped")]
    assert contexts[0].run(retries.is_calling)


# --- an SDK that retries in another way ------------------------------------------------------------------------------


def test_an_sdk_without_that_function(
    tracer_provider: TracerProvider,
    server: MessagesServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its streams are observed as ever, and there is no warning."""
    caplog.set_level(logging.WARNING, "streamspan")
    monkeypatch.delattr(SyncAPIClient, "_sleep_for_retry")
    monkeypatch.delattr(AsyncAPIClient, "_sleep_for_retry")
    with started(tracer_provider, server) as app:
        server.scripts.append(WHOLE)
        app.read()

        assert len(app.points("llm_stream.time_to_headers")) == 1
    assert caplog.records == []
