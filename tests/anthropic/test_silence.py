"""Silence over a real socket: keep-alives, dead lines, held-back chunks, and what comes after the provider's end.

No test asserts that something was quick: a server's pause is a lower bound.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from anthropic import Anthropic
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Head, Pause, Script, Step, Wait
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.messages import EVENT_PATHS
from tests.anthropic.paths import REQUEST
from tests.anthropic.readers import sync_client
from tests.stainless.paths import Path
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

STALL_SECONDS = 0.2
PART = Pause(0.15, never_shorter=True)  # shorter than a stall; three of them are one
BEGIN: Script = [wire.message_start(), wire.block_start(0, {"type": "text", "text": ""})]
END: Script = [wire.block_stop(0), wire.message_delta("end_turn", 20), wire.message_stop()]
READS = {"create_for", "stream_text", "create_for_async", "stream_text_async"}
PATHS = [path for path in EVENT_PATHS if path.name in READS]
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)


def text(content: str) -> wire.Event:
    return wire.block_delta(0, {"type": "text_delta", "text": content})


def silent_three_times(*keepalive: Step) -> Script:
    return [*BEGIN, text("Let me look"), *(PART, *keepalive) * 3, text(" at it."), *END]


@pytest.fixture
def server() -> Iterator[MessagesServer]:
    with MessagesServer() as server:
        yield server


@pytest.fixture
def metrics() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture(autouse=True)
def instrumented(tracer_provider: TracerProvider, metrics: InMemoryMetricReader) -> Iterator[None]:
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(
        tracer_provider=tracer_provider,
        meter_provider=MeterProvider([metrics], shutdown_on_exit=False),
        config=Config(stall_seconds=STALL_SECONDS, silence_seconds=(0.2, 30.0)),
    )
    yield
    instrumentor.uninstrument()


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    with sync_client(server.url) as client:
        yield client


def points(metrics: InMemoryMetricReader, name: str) -> list[Any]:
    """The points of a metric that are not 0."""
    data: Any = metrics.get_metrics_data()
    found = [
        point
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]
    return [point for point in found if getattr(point, "count", getattr(point, "value", 0))]


def one_stream(exporter: InMemorySpanExporter) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """The attributes of the one span and of its stalls, without the prefix."""
    [span] = ended_spans(exporter)
    stalls = [event.attributes or {} for event in span.events if event.name == "llm_stream.stall"]
    return _without_prefix(attributes(span)), [_without_prefix(stall) for stall in stalls]


def _without_prefix(named: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name.removeprefix("llm_stream."): value for name, value in named.items()}


def drain(stream: Any) -> None:
    """Reads to the end, or until somebody closes the stream."""
    with contextlib.suppress(Exception):
        list(stream)


# --- keep-alives -------------------------------------------------------------------------------------------------


@every_path
@pytest.mark.parametrize(
    ("keepalive", "count"),
    [
        pytest.param(wire.ping(), 3, id="pings"),
        pytest.param(b": OPENROUTER PROCESSING\n\n", 3, id="comments"),
        pytest.param(b":\n", 3, id="bare comments"),
        pytest.param(text(""), 3, id="empty deltas"),
        pytest.param(b"", 0, id="a dead line"),
    ],
)
def test_a_silence_is_one_stall_that_carries_its_keepalives(
    path: Path, keepalive: Step, count: int, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """However the line is kept alive, the model was silent from the last chunk to the next."""
    server.scripts.append(silent_three_times(*([keepalive] if keepalive else [])))
    path.run(server.url)

    span, stalls = one_stream(exporter)
    stall = max(stalls, key=lambda stall: stall["stall.gap"])  # on a busy machine there may be shorter ones

    assert stall["stall.gap"] >= STALL_SECONDS
    assert {name: stall[name] for name in ("stall.keepalives", "stall.released", "stall.waited_for")} == {
        "stall.keepalives": count,
        "stall.released": 1,
        "stall.waited_for": "provider",
    }
    assert (span["keepalive.count"], span["chunk.count"]) == (count, 2)


def test_an_event_in_pieces_is_no_keepalive(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The parts of one event bring no event of their own, and are none the less no sign of a silent model."""
    encoded = text(" at it.").encoded()
    pieces: Script = [piece for byte in encoded for piece in (bytes([byte]),)]
    server.scripts.append([*BEGIN, text("Let me look"), *pieces, *END])
    list(client.messages.create(**REQUEST, stream=True))

    span, _ = one_stream(exporter)

    assert (span["keepalive.count"], span["chunk.count"]) == (0, 2)


def test_an_empty_delta_is_no_chunk(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The first chunk is the first one with content; the empty delta that begins a block is no keep-alive either."""
    server.scripts.append([*BEGIN, text(""), PART, text("Good"), text(" morning."), *END])
    list(client.messages.create(**REQUEST, stream=True))

    span, _ = one_stream(exporter)

    assert span["gen_ai.response.time_to_first_chunk"] >= PART.seconds * 0.9
    assert span["time_to_first_text"] == span["gen_ai.response.time_to_first_chunk"]
    assert (span["chunk.count"], span["keepalive.count"]) == (2, 0)


def test_a_person_who_reads_along_has_to_wait(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """Two chars are read in a twelfth of a second; then the person waits for the rest."""
    server.scripts.append([*BEGIN, text("I "), Pause(0.5, never_shorter=True), text("see."), *END])
    list(client.messages.create(**REQUEST, stream=True))

    span, _ = one_stream(exporter)

    assert span["rebuffer.count"] == 1
    assert span["rebuffer.time"] >= 0.2
    assert span["rebuffer.ratio"] > 0.05


def test_thinking_that_is_not_sent(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Its time is on the span, and while it lasts the stream is in the phase of thinking."""
    release = threading.Event()
    thinking = wire.block_start(0, {"type": "thinking", "thinking": "", "signature": ""})
    server.scripts.append([wire.message_start(), thinking, PART, wire.ping(), Wait(release)])
    stream = client.messages.create(**REQUEST, stream=True)
    reader = threading.Thread(target=drain, args=(stream,))
    reader.start()
    time.sleep(PART.seconds)
    stream.close()
    release.set()
    reader.join()

    span, _ = one_stream(exporter)

    assert (span["outcome"], span["phase"]) == ("aborted", "thinking")
    assert span["thinking.time"] > 0


# --- gauges ------------------------------------------------------------------------------------------------------


def waits_until(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_true()


@pytest.mark.parametrize(
    ("keepalive", "line_lives"), [pytest.param(wire.ping(), True, id="pings"), pytest.param(b"", False, id="dead")]
)
def test_a_stream_that_hangs_is_told_of_while_it_hangs(
    keepalive: Step, line_lives: bool, client: Anthropic, server: MessagesServer, metrics: InMemoryMetricReader
) -> None:
    """Its silence grows through the pings; that of its line tells a silent model from a dead line."""
    release = threading.Event()
    pings = (Pause(0.05), keepalive) * 1000 if keepalive else ()
    server.scripts.append([*BEGIN, text("Let me look"), *pings, Wait(release)])
    stream = client.messages.create(**REQUEST, stream=True)
    reader = threading.Thread(target=drain, args=(stream,), daemon=True)
    reader.start()

    def silence() -> float:
        return max((point.value for point in points(metrics, "llm_stream.silence")), default=0.0)

    was_silent = waits_until(lambda: silence() >= 1.0)
    [silent] = points(metrics, "llm_stream.silent")
    phases = [point.attributes["llm_stream.phase"] for point in points(metrics, "llm_stream.silence")]
    line_silence = max((point.value for point in points(metrics, "llm_stream.line_silence")), default=0.0)
    stream.close()
    release.set()

    assert was_silent
    assert (silent.value, silent.attributes["llm_stream.silence.at_least"]) == (1, 0.2)
    assert phases == ["streaming"]
    assert (line_silence < 1.0) is line_lives


# --- held back ---------------------------------------------------------------------------------------------------


def clump(number: int) -> bytes:
    return b"".join(text(f"word{number}.{n} ").encoded() for n in range(40))


HELD_BACK = Pause(0.4, never_shorter=True)
IN_CLUMPS: Script = [*BEGIN, text("First."), *(step for n in range(4) for step in (HELD_BACK, clump(n))), *END]


def read_in_clumps(
    path: Path, server: MessagesServer, exporter: InMemorySpanExporter
) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """Again and again, until the reader was quick enough to tell, as it may not be on a busy machine."""
    for _ in range(10):
        exporter.clear()
        server.scripts.append(IN_CLUMPS)
        path.run(server.url)
        span, stalls = one_stream(exporter)
        if span["transit.time"] >= 4 * HELD_BACK.seconds * 0.9:
            return span, stalls
    pytest.fail("the reader takes 5 ms and more for a chunk")


@every_path
def test_a_gateway_that_lets_chunks_go_in_clumps(
    path: Path, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The waits before its clumps are not the provider's: there is no stall to blame it for."""
    span, stalls = read_in_clumps(path, server, exporter)

    assert [(stall["stall.waited_for"], stall["stall.released"] > 1) for stall in stalls] == [("transit", True)] * 4
    assert (span["buffered"], span["stall.count"]) == (True, 0)
    assert span["provider.time"] < 0.4


# --- after the provider's end ------------------------------------------------------------------------------------


def test_a_body_that_stays_open_after_the_end(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter, metrics: InMemoryMetricReader
) -> None:
    """The span ends with the provider's end; the application's wait for the body is a live silence and a metric."""
    release = threading.Event()
    server.scripts.append([*BEGIN, text("All of it."), *END, Wait(release)])
    stream = client.messages.create(**REQUEST, stream=True)
    reader = threading.Thread(target=drain, args=(stream,))
    reader.start()

    def phases() -> list[object]:
        return [point.attributes["llm_stream.phase"] for point in points(metrics, "llm_stream.silence")]

    is_live = waits_until(lambda: phases() == ["after_stop_reason"])
    [active] = points(metrics, "llm_stream.active")
    time.sleep(0.05)
    release.set()
    reader.join()
    span, _ = one_stream(exporter)
    [delay] = points(metrics, "llm_stream.close_delay")

    assert is_live
    assert (active.value, span["outcome"]) == (1, "complete")
    assert (delay.count, delay.sum >= 0.05) == (1, True)
    assert points(metrics, "llm_stream.active") == []


@pytest.mark.parametrize(
    ("after", "error_type"),
    [
        pytest.param(wire.error("api_error", "a hook failed"), "api_error", id="error event"),
        pytest.param(Ending.CUT, "connection_error", id="cut"),
    ],
)
def test_an_error_after_the_end(
    after: Step,
    error_type: str,
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    metrics: InMemoryMetricReader,
) -> None:
    """The stream is complete, and the error that the application gets is counted."""
    server.scripts.append([*BEGIN, text("All of it."), *END, Pause(0.05), after])
    with pytest.raises(Exception, match=r"hook failed|peer closed"):
        list(client.messages.create(**REQUEST, stream=True))
    span, _ = one_stream(exporter)
    [late] = points(metrics, "llm_stream.late_errors")

    assert span["outcome"] == "complete"
    assert (late.value, late.attributes["error.type"]) == (1, error_type)


# --- bodies that are no stream -----------------------------------------------------------------------------------

ERROR_BODY = wire.error_body("overloaded_error", "upstream busy", "req_1")


@every_path
@pytest.mark.parametrize(
    ("content_type", "body", "error_type"),
    [
        pytest.param("application/json", ERROR_BODY, "overloaded_error", id="a JSON error"),
        pytest.param("text/html", b"<html>Bad gateway</html>", "unexpected_content_type", id="a page"),
    ],
)
def test_a_response_that_is_no_event_stream(
    path: Path,
    content_type: str,
    body: bytes,
    error_type: str,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
) -> None:
    """With the status 200: it is an error, of the type that the body names, and the span says what came."""
    server.scripts.append([Head(200, {"content-type": content_type}), body])
    path.run(server.url)

    span, _ = one_stream(exporter)

    assert (span["outcome"], span["error.type"]) == ("error", error_type)
    assert span["http.response.header.content-type"] == (content_type,)
    assert span["http.response.body.size"] == len(body)


def test_an_error_that_the_sdk_swallows(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """A `data:` line without an `event:` line: the SDK drops it, and the last bytes of the body show it."""
    data = b'data: {"type":"error","error":{"type":"overloaded_error","message":"m"}}\n\n'
    server.scripts.append([*BEGIN, text("Half"), data])
    seen = list(client.messages.create(**REQUEST, stream=True))

    span, _ = one_stream(exporter)

    assert len(seen) == 3
    assert (span["outcome"], span["error.type"], span["keepalive.count"]) == ("error", "overloaded_error", 0)


def test_a_body_that_is_cut_is_truncated(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """Its last bytes show no error."""
    server.scripts.append([*BEGIN, text('"error": {"type": "overloaded_error"}')])
    list(client.messages.create(**REQUEST, stream=True))

    span, _ = one_stream(exporter)

    assert (span["outcome"], span["error.type"]) == ("truncated", "stream_truncated")
