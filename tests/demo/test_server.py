"""The loopback server over real sockets: the wire format, every fault, what it records, a clean stop."""

import asyncio
import json
import math
import socket
import threading
import time
from collections.abc import Generator, Iterator

import anthropic
import pytest

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Ending, Head, Pause, Script, Wait, error_response, overloaded, paced
from streamspan.cli.demo.server import Exchange, MessagesServer
from streamspan.cli.demo.wire import Event

TIMEOUT = 10.0
REQUEST = b'POST /v1/messages HTTP/1.1\r\nhost: loopback\r\ncontent-length: 15\r\n\r\n{"stream":true}'
HALLO = list(wire.whole_message(wire.text_block(0, "Grüße aus Köln", size=5)))
BEGUN = HALLO[:5]


def raw_answer(script: Script) -> bytes:
    """Every byte that the server sends for one request, until it closes the connection."""
    with MessagesServer([script]) as server, connection(server) as client:
        client.sendall(REQUEST)
        return b"".join(iter(lambda: client.recv(65536), b""))


def connection(server: MessagesServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)


def head_and_body(answer: bytes) -> tuple[list[str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


def client_of(server: MessagesServer) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key="none", timeout=TIMEOUT)


def open_stream(client: anthropic.Anthropic) -> anthropic.Stream[anthropic.types.RawMessageStreamEvent]:
    return client.messages.create(
        model=wire.MODEL, max_tokens=64, messages=[{"role": "user", "content": "Hallo"}], stream=True
    )


def read_types(server: MessagesServer) -> Generator[str, None, None]:
    """The types of the events that the real SDK reads, `ping` left out."""
    with client_of(server) as client, open_stream(client) as stream:
        for event in stream:
            yield event.type


def failure_of(events: Iterator[str]) -> Exception | None:
    """What reading them all raises."""
    try:
        list(events)
    except Exception as failure:  # noqa: BLE001  # the HTTP library's own classes are not imported
        return failure
    return None


def test_head_is_that_of_the_messages_api() -> None:
    """The head has the status, the content type of an event stream, and the API's own headers."""
    head, _ = head_and_body(raw_answer([*HALLO, Ending.CLOSE]))

    assert head[0] == "HTTP/1.1 200 OK"
    assert {
        "content-type: text/event-stream; charset=utf-8",
        "transfer-encoding: chunked",
        "request-id: req_011CSHoEeqs5C35K2UUqR7Fy",
        "anthropic-organization-id: 3f1c6a52-8f0e-4c1b-9d65-6c1d5b0d7a10",
    } <= set(head)


def test_events_are_chunks_of_server_sent_events() -> None:
    """Every event is one chunk, `event:` and `data:`, in UTF-8; an empty chunk ends the body."""
    _, body = head_and_body(raw_answer([wire.ping(), *list(wire.text_block(0, "ü"))[1:2], Ending.CLOSE]))

    delta = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ü"}}'.encode()
    assert body.split(b"\r\n") == [
        b"23",
        b'event: ping\ndata: {"type":"ping"}\n\n',
        b"75",
        b"event: content_block_delta\ndata: " + delta + b"\n\n",
        b"0",
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    ("script", "body"),
    [
        pytest.param([Ending.CLOSE], b"0\r\n\r\n", id="empty body"),
        pytest.param([b"\xff{", Ending.CLOSE], b"2\r\n\xff{\r\n0\r\n\r\n", id="bytes as they are"),
        pytest.param([b"abc", Ending.CUT], b"3\r\nabc\r\n", id="no final chunk"),
        pytest.param([Head(headers={"content-length": "9"}), b"abc", Ending.CUT], b"abc", id="short body"),
        pytest.param([Ending.CUT], b"", id="nothing at all"),
    ],
)
def test_body_is_what_the_script_says(script: Script, body: bytes) -> None:
    """The body has the bytes of the script, whole or not."""
    assert head_and_body(raw_answer(script))[1] == body


def test_reset_fails_the_next_read() -> None:
    """A reset reaches the client as a connection reset, after what was sent before it."""
    with MessagesServer([[b"abc", Ending.RESET]]) as server, connection(server) as client:
        client.sendall(REQUEST)
        with pytest.raises(ConnectionResetError):
            tuple(iter(lambda: client.recv(65536), b""))


def test_two_requests_share_a_connection() -> None:
    """After a clean end the connection stays open for the next request."""
    with MessagesServer([[b"one"], [b"two", Ending.CLOSE]]) as server, connection(server) as client:
        client.sendall(REQUEST)
        with client.makefile("rb") as answers:
            first = list(iter(answers.readline, b"0\r\n"))
            client.sendall(REQUEST)
            second = answers.read()

    assert first[-1] == b"one\r\n"
    assert head_and_body(second)[1].endswith(b"3\r\ntwo\r\n0\r\n\r\n")


def test_sdk_reads_every_event() -> None:
    """The real SDK reads every event of a script, in order, but for `ping`."""
    with MessagesServer([HALLO]) as server:
        read = list(read_types(server))

    assert read == [event.name for event in HALLO if event.name != "ping"]


def test_async_sdk_reads_the_same_message() -> None:
    """The async helper puts the message together from thinking, text and tool input."""
    script = list(
        wire.whole_message(
            wire.thinking_block(0, "Köln is in Germany."),
            wire.text_block(1, "Let me look."),
            wire.tool_block(2, "get_weather", {"city": "Köln"}, size=3),
            stop_reason="tool_use",
        )
    )

    async def final_message(url: str) -> anthropic.types.Message:
        async with (
            anthropic.AsyncAnthropic(base_url=url, api_key="none") as client,
            client.messages.stream(model=wire.MODEL, max_tokens=64, messages=[]) as stream,
        ):
            return await stream.get_final_message()

    with MessagesServer([script]) as server:
        message = asyncio.run(final_message(server.url)).to_dict()

    assert message["stop_reason"] == "tool_use"
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]  # type: ignore[index,attr-defined]  # to_dict() is untyped
    assert message["content"][2]["input"] == {"city": "Köln"}  # type: ignore[index]  # to_dict() is untyped


@pytest.mark.parametrize(
    ("script", "error"),
    [
        pytest.param([*BEGUN, Ending.CUT], "RemoteProtocolError", id="cut"),
        pytest.param([*BEGUN, Ending.RESET], "ReadError", id="reset"),
        pytest.param([*BEGUN, wire.error("overloaded_error", "No")], "APIStatusError", id="error event"),
        pytest.param([*BEGUN, b"event: content_block_delta\ndata: {\n\n"], "JSONDecodeError", id="bad JSON"),
        pytest.param([*BEGUN, b"data: \xff\n\n"], "UnicodeDecodeError", id="bad UTF-8"),
        pytest.param([Head(), Ending.RESET], "ReadError", id="reset before the body"),
        pytest.param(error_response(400, "invalid_request_error", "no"), "BadRequestError", id="HTTP 400"),
    ],
)
def test_faults_reach_the_application(script: Script, error: str) -> None:
    """Every fault reaches the SDK's reader as the error it is there for a real API."""
    with MessagesServer([script]) as server:
        failure = failure_of(read_types(server))

    assert type(failure).__name__ == error


def test_silence_is_a_read_timeout() -> None:
    """A pause without end is a read timeout of the client, and the server sees the client leave."""
    with MessagesServer([[*BEGUN, Pause(math.inf)]]) as server:
        with client_of(server) as client, open_stream(client.with_options(timeout=0.5)) as stream:
            failure = failure_of(event.type for event in stream)

        assert type(failure).__name__ == "ReadTimeout"
        assert server.exchanges[0].disconnected.wait(TIMEOUT)


def test_unknown_events_and_blocks_pass() -> None:
    """Events and blocks of unknown types do not stop a reader of raw events."""
    block = [wire.block_start(0, {"type": "hologram"}), wire.block_stop(0)]
    script = [HALLO[0], Event("weather", {"type": "weather"}), *block, *HALLO[-2:]]
    with MessagesServer([script]) as server:
        read = list(read_types(server))

    assert read[-1] == "message_stop"


def test_overload_is_retried_at_once() -> None:
    """The SDK retries an HTTP 529 after the time that the answer gives."""
    with MessagesServer([overloaded(), overloaded(), HALLO]) as server:
        read = list(read_types(server))

    assert read[-1] == "message_stop"
    assert len(server.exchanges) == 3


def test_error_body_is_the_apis() -> None:
    """An HTTP error has the API's JSON body, with the request id of its head."""
    answer = raw_answer([*error_response(529, "overloaded_error", "Overloaded"), Ending.CLOSE])
    head, body = head_and_body(answer)

    assert head[0] == "HTTP/1.1 529 Overloaded"
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
    }


def test_requests_are_recorded() -> None:
    """The server keeps method, path, headers and JSON of each request."""
    with MessagesServer([HALLO]) as server:
        list(read_types(server))
        exchange = server.exchanges[0]

    assert (exchange.method, exchange.path) == ("POST", "/v1/messages")
    assert exchange.headers["content-type"] == "application/json"
    assert exchange.body == {
        "model": wire.MODEL,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Hallo"}],
        "stream": True,
    }
    assert exchange.finished.is_set()
    assert not exchange.disconnected.is_set()


def test_client_that_leaves_is_seen() -> None:
    """A client that closes during a pause is seen at once, not at the end of the pause."""
    with MessagesServer([[*BEGUN, Pause(math.inf)]]) as server:
        events = read_types(server)
        next(events)
        events.close()

        assert server.exchanges[0].disconnected.wait(TIMEOUT)
        assert server.exchanges[0].disconnected_at is not None


def test_wait_lasts_until_the_event_is_set() -> None:
    """A script that waits goes on when the test says so."""
    go_on = threading.Event()
    with MessagesServer([[*BEGUN, Wait(go_on), *HALLO[5:]]]) as server:
        events = read_types(server)
        early = [next(events), next(events)]
        held = not server.exchanges[0].finished.is_set()
        go_on.set()
        late = list(events)

    assert (early, held) == (["message_start", "content_block_start"], True)
    assert late[-1] == "message_stop"


def test_scripts_can_be_chosen_by_request() -> None:
    """A callable may choose the script for each request."""

    def chosen(exchange: Exchange) -> Script:
        return error_response(404, "not_found_error", f"nothing at {exchange.path}")

    with (
        MessagesServer(choose=chosen) as server,
        pytest.raises(anthropic.NotFoundError, match="nothing at /v1/messages"),
    ):
        list(read_types(server))


def test_no_script_left_is_an_error() -> None:
    """A request that no script is left for fails at once, and says so."""
    with (
        MessagesServer() as server,
        pytest.raises(anthropic.InternalServerError, match="no script is left for POST /v1/messages"),
    ):
        list(read_types(server))

    assert len(server.exchanges) == 1


def test_speed_divides_pauses() -> None:
    """At a high speed long pauses do not hold the client up."""
    with MessagesServer([list(paced(HALLO, 3600))], speed=1e9) as server:
        assert list(read_types(server))[-1] == "message_stop"


def test_speed_leaves_what_is_never_shorter() -> None:
    """A pause that is never shorter is as long at a high speed."""
    with MessagesServer([[Pause(0.2, never_shorter=True), *HALLO]], speed=1e9) as server:
        started_at = time.monotonic()
        list(read_types(server))

    assert time.monotonic() - started_at >= 0.2


def test_stop_ends_what_is_open() -> None:
    """The server stops while a client hangs, and leaves neither thread nor port behind."""
    threads = set(threading.enumerate())
    with MessagesServer([[*BEGUN, Pause(math.inf)]]) as server:
        client = connection(server)
        client.sendall(REQUEST)
        first = client.recv(65536)
    with client, pytest.raises(ConnectionRefusedError):
        connection(server)

    assert first.startswith(b"HTTP/1.1 200 OK")
    assert set(threading.enumerate()) == threads


def test_stop_does_not_wait_for_a_client_that_never_reads() -> None:
    """A client that never reads fills every buffer, and the server still stops."""
    with MessagesServer([[b"x" * 65536] * 1000]) as server:
        client = connection(server)
        client.sendall(REQUEST)
        client.recv(1)
    client.close()

    assert not server.exchanges[0].disconnected.is_set()
    assert server.exchanges[0].finished.is_set()
