"""The receiver, over real sockets: what exporters send, and what nobody should."""

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from http.client import HTTPResponse
from io import BytesIO
from typing import cast

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from streamspan import semconv
from streamspan.cli.watch import receiver
from streamspan.cli.watch.body import BODY_AT_MOST
from streamspan.cli.watch.otlp import LOGS, METRICS, OBJECTS_AT_MOST, RECORDS_AT_MOST
from tests.watch.running import OTHER_SCOPE, Running, logs, post, silences, stream_span, traces

BODY = traces(stream_span({semconv.OUTCOME: "complete"}, events=1))
JSON = "application/json"


@pytest.fixture(scope="module")
def module_receiver() -> Iterator[Running]:
    with Running() as running:
        yield running


@pytest.fixture
def running(module_receiver: Running) -> Running:
    module_receiver.taken.clear()
    module_receiver.refusals.clear()
    return module_receiver


class _Answered:
    """The bytes, where `http.client` expects a socket."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, _: str) -> BytesIO:
        return BytesIO(self._answer)


def parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers, body."""
    response = HTTPResponse(cast("socket.socket", _Answered(answer)))
    response.begin()
    return response.status, dict(response.headers), response.read()


@pytest.mark.usefixtures("others_write_on_ours")
@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_real_exporter_is_understood(running: Running, compression: Compression) -> None:
    """What OpenTelemetry's own exporter sends arrives whole, in each compression; others' spans are counted."""
    exporter = OTLPSpanExporter(endpoint=f"{running.url}/v1/traces", compression=compression)
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    attributes = {
        semconv.REQUEST_MODEL: "claude-x",
        semconv.CHUNK_COUNT: 1,
        semconv.CHUNK_GAP_MAX: 0.5,
        semconv.PARTIAL: True,
        semconv.RESPONSE_FINISH_REASONS: ("end_turn",),
    }
    with provider.get_tracer(semconv.SCOPE).start_as_current_span("chat claude-x", attributes=attributes) as span:
        span.add_event("llm_stream.stall", {"llm_stream.stall.gap": 2.5})
    provider.get_tracer(OTHER_SCOPE).start_span("GET").end()
    provider.shutdown()

    [taken] = [span for batch in running.taken for span in batch.spans]
    assert (taken.service, taken.name, taken.status) == ("shop", "chat claude-x", "UNSET")
    assert taken.attributes == {**attributes, semconv.RESPONSE_FINISH_REASONS: ["end_turn"]}
    assert [(name, attributes) for name, _, attributes in taken.events] == [
        ("llm_stream.stall", {"llm_stream.stall.gap": 2.5})
    ]
    assert taken.id == span.get_span_context().trace_id.to_bytes(16, "big") + span.get_span_context().span_id.to_bytes(
        8, "big"
    )
    assert sum(batch.other_spans for batch in running.taken) == 1
    assert running.refusals == []


def test_json_is_understood(running: Running) -> None:
    """JSON as OTLP has it: ids in hexadecimal, large numbers as strings, names in camelCase; unknown names are none."""
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "EEE19B7EC3C1B174",
        "name": "chat claude-x",
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000",
        "attributes": [
            {"key": "llm_stream.outcome", "value": {"stringValue": "complete"}},
            {"key": "llm_stream.chunk.count", "value": {"intValue": "50"}},
            {"key": "nested", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"doubleValue": "NaN"}}]}}},
        ],
        "status": {"code": 2},
        "fromTheFuture": [1],
    }
    scope_spans = [{"scope": {"name": "streamspan"}, "spans": [span]}]
    body = json.dumps({"resourceSpans": [{"scopeSpans": scope_spans}]}).encode()

    status, headers, answer = parsed(running.answer(post(body, media_type=f"{JSON}; charset=utf-8")))

    assert (status, headers["Content-Type"], answer) == (200, JSON, b"{}")
    [taken] = running.taken[0].spans
    assert taken.id.hex() == "5b8efff798038103d269b633813fc60ceee19b7ec3c1b174"
    assert (taken.service, taken.status, taken.end_ns - taken.start_ns) == ("unknown_service", "ERROR", 10**9)
    assert taken.attributes == {
        "llm_stream.outcome": "complete",
        "llm_stream.chunk.count": 50,
        "nested": '{"k": "nan"}',
    }


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(BODY),
        post(BODY, "Content-Encoding: identity"),
        post(gzip.compress(BODY), "Content-Encoding: GZIP"),
        post(zlib.compress(BODY), "Content-Encoding: deflate"),
        post(
            b"5;x=y\r\n%b\r\n%x\r\n%b\r\n0\r\nTrailer: t\r\n\r\n" % (BODY[:5], len(BODY) - 5, BODY[5:]),
            "Transfer-Encoding: chunked",
            length=False,
        ),
        post(BODY, "Expect: 100-continue"),
        post(b""),
        post(BODY, path="/v1/traces?x=y"),
        post(BODY) + b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["plain", "identity", "gzip", "deflate", "chunked", "continue", "empty", "query", "second request"],
)
def test_request_is_taken(running: Running, request_bytes: bytes) -> None:
    """A body is taken in each form that HTTP has for it, and answered with the empty message."""
    answer = running.answer(request_bytes, half_closes=True).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")

    assert parsed(answer) == (
        200,
        {"Content-Type": "application/x-protobuf", "Content-Length": "0", "Connection": "close"},
        b"",
    )
    assert (len(running.taken), running.refusals) == (1, [])


CHUNKED = "Transfer-Encoding: chunked"
REFUSED = {
    "another path": (404, post(BODY, path="/v1/trace")),
    "a browser": (404, b"GET / HTTP/1.1\r\nHost: watch\r\n\r\n"),
    "another method": (405, b"GET /v1/traces HTTP/1.1\r\n\r\n"),
    "a preflight": (405, b"OPTIONS /v1/traces HTTP/1.1\r\nOrigin: http://x\r\n\r\n"),
    "no type": (415, b"POST /v1/traces HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
    "text": (415, post(BODY, media_type="text/plain")),
    "an unknown coding": (415, post(BODY, "Content-Encoding: br")),
    "not protobuf": (400, post(b"\xff\xff\xff")),
    "not JSON": (400, post(b"{", media_type=JSON)),
    "JSON that is no object": (400, post(b"[]", media_type=JSON)),
    "JSON of another type": (400, post(b'{"resourceSpans": 1}', media_type=JSON)),
    "JSON that is deep": (400, post(b"[" * 100_000, media_type=JSON)),
    "no ids": (400, post(traces(stream_span({}, span_id=b"")))),
    "not gzip": (400, post(BODY, "Content-Encoding: gzip")),
    "gzip that is cut": (400, post(gzip.compress(BODY)[:-9], "Content-Encoding: gzip")),
    "more after gzip": (400, post(gzip.compress(BODY) + b"x", "Content-Encoding: gzip")),
    "a bomb": (413, post(gzip.compress(bytes(BODY_AT_MOST + 1)), "Content-Encoding: gzip")),
    "many objects": (413, post(b'{"resourceSpans":[%b{}]}' % (b"{}," * OBJECTS_AT_MOST), media_type=JSON)),
    "many resources": (413, post(b"\n\0" * (RECORDS_AT_MOST + 1))),
    "many spans": (413, post(traces(*[stream_span({})] * (RECORDS_AT_MOST + 1)))),
    "many log records": (413, post(logs(RECORDS_AT_MOST + 1), path=LOGS)),
    "many points": (413, post(silences(RECORDS_AT_MOST + 1), path=METRICS)),
    "a large body": (413, post(bytes(BODY_AT_MOST + 1))),
    "a large length": (413, post(b"", f"Content-Length: {10**30}", length=False)),
    "a very large length": (413, post(b"", f"Content-Length: {'9' * 8000}", length=False)),
    "a negative length": (400, post(b"", "Content-Length: -1", length=False)),
    "a length in words": (400, post(b"", "Content-Length: ten", length=False)),
    "two lengths": (400, post(BODY, "Content-Length: 3")),
    "a body that is cut": (400, post(BODY)[:-1]),
    "length and chunks": (400, post(b"0\r\n\r\n", CHUNKED)),
    "another transfer": (400, post(b"0\r\n\r\n", "Transfer-Encoding: gzip, chunked", length=False)),
    "a chunk of no size": (400, post(b"\r\n", CHUNKED, length=False)),
    "a chunk of a negative size": (400, post(b"-5\r\n", CHUNKED, length=False)),
    "a large chunk": (413, post(b"FFFFFFFFFFFFFFFFF\r\n", CHUNKED, length=False)),
    "many chunks": (413, post((b"fffff\r\n%b\r\n" % bytes(0xFFFFF)) * 9, CHUNKED, length=False)),
    "a chunk longer than its size": (400, post(b"1\r\nabc\r\n", CHUNKED, length=False)),
    "chunks that are cut": (400, post(b"5\r\nab", CHUNKED, length=False)),
    "no last chunk": (400, post(b"1\r\na\r\n", CHUNKED, length=False)),
    "a line that is too long": (400, post(b"1" * 2000 + b"\r\n", CHUNKED, length=False)),
    "a line without end": (400, post(b"1" * 40_000, CHUNKED, length=False)),
    "trailers without end": (400, post(b"0\r\n" + b"A: b\r\n" * 101, CHUNKED, length=False)),
    "a long head": (431, post(BODY, f"X: {'x' * 20_000}")),
    "a header of no name": (400, post(BODY, "nothing")),
    "a folded header": (400, post(BODY, "X: y", " z")),
    "no HTTP": (400, b"hello\r\n\r\n"),
    "gRPC": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01"),
}


@pytest.mark.parametrize(("status", "request_bytes"), REFUSED.values(), ids=REFUSED)
def test_request_is_refused(running: Running, status: int, request_bytes: bytes) -> None:
    """What cannot be taken is answered with the status that OTLP and HTTP have for it, and with the reason."""
    answered, headers, body = parsed(running.answer(request_bytes, half_closes=True))

    assert answered == status
    why = json.loads(body)["message"] if headers["Content-Type"] == JSON else Status.FromString(body).message
    assert running.refusals == [why]
    assert running.taken == []


def test_reason_is_in_the_encoding_of_the_request(running: Running) -> None:
    """A refusal is a Status message in protobuf for protobuf; for JSON, and for who says nothing, it is in JSON."""
    _, headers, body = parsed(running.answer(post(b"\xff")))
    in_json = parsed(running.answer(post(b"{", media_type=JSON)))
    unsaid = parsed(running.answer(b"GET / HTTP/1.1\r\n\r\n"))

    assert headers["Content-Type"] == "application/x-protobuf"
    assert Status.FromString(body).code == 3
    assert (in_json[1]["Content-Type"], json.loads(in_json[2])["code"]) == (JSON, 3)
    assert (unsaid[1]["Content-Type"], json.loads(unsaid[2])["code"]) == (JSON, 3)


def test_method_that_is_allowed_is_named(running: Running) -> None:
    """405 says what is allowed."""
    assert parsed(running.answer(b"PUT /v1/logs HTTP/1.1\r\n\r\n"))[1]["Allow"] == "POST"


def test_slow_client_is_left(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not send its request in time is answered and left."""
    monkeypatch.setattr(receiver, "SECONDS", 0.05)

    assert parsed(running.answer(b"POST /v1/tra"))[0] == 408
    assert parsed(running.answer(post(BODY)[:-1]))[0] == 408


def test_client_that_leaves_is_no_refusal(running: Running) -> None:
    """Who connects and leaves, as a probe does, is not told of."""
    assert running.answer(b"", half_closes=True) == b""
    assert running.answer(b"POST /v1", half_closes=True) == b""
    assert running.refusals == []


def test_connections_are_limited(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit an exporter is told to come again; when there is room, it is taken."""
    monkeypatch.setattr(receiver, "CONNECTIONS_AT_MOST", 1)
    with socket.create_connection(("127.0.0.1", running.port)) as idle:
        status, headers, _ = parsed(running.answer(post(BODY)))
        idle.shutdown(socket.SHUT_WR)
        idle.recv(1)

    assert (status, headers["Retry-After"]) == (503, "1")
    assert parsed(running.answer(post(BODY)))[0] == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.sampled_from([*post(BODY).split(b"\r\n"), b"\r\n", b":", CHUNKED.encode(), b"5", b"\x00"])))
def test_no_input_ends_it(running: Running, pieces: list[bytes]) -> None:
    """Whatever a client has sent, the next one is served."""
    running.answer(b"\r\n".join(pieces), half_closes=True)

    assert parsed(running.answer(post(BODY)))[0] == 200
