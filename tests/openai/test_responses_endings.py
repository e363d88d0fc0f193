"""How streams of the Responses API end: by their own events, by errors, by none, and by their readers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pydantic
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.script import Ending, Script
from streamspan.cli.demo.server import MessagesServer
from streamspan.cli.demo.wire import Event
from tests.openai import responses as api
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("openai_instrumented", "quick_collection")

BEGUN: Script = [api.CREATED, *api.message(0, "Some ", "text.")[:4]]
NAMES = ("outcome", "stop_reason", "partial", "tool_call.incomplete")

Read = Callable[..., ReadableSpan]


@pytest.fixture
def read(server: MessagesServer, exporter: InMemorySpanExporter) -> Read:
    """Reads one stream to its end or its error and gives its span."""

    def span_of(script: Script, way: api.Read = api.created) -> ReadableSpan:
        server.scripts.append(script)
        with suppress(Exception):  # of the SDK, of its helper, which does not take odd responses, or of the transport
            way(server.url)
        [span] = ended_spans(exporter)
        return span

    return span_of


def ending(span: ReadableSpan) -> Sequence[object]:
    """Outcome, error and whether content is missing."""
    return [attributes(span).get(name) for name in ("llm_stream.outcome", "error.type", "llm_stream.partial")]


def stop_reason(span: ReadableSpan) -> Sequence[object]:
    names = ("llm_stream.outcome", "llm_stream.stop_reason", "gen_ai.response.finish_reasons")
    return [attributes(span).get(name) for name in names]


# --- the API's own ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (api.whole(api.message(0, "Text.")), "stop"),
        (api.whole(api.function_call(0, "{}")), "tool_calls"),
        (api.whole(api.message(0, "Text."), api.function_call(1, "{}")), "tool_calls"),
        (api.whole(api.call(0, "custom_tool_call", "custom_tool_call_input", "input", "ls")), "tool_calls"),
        (api.whole([api.item_added(0, "computer_call"), api.item_done(0, "computer_call")]), "tool_calls"),
        (api.whole(api.call(0, "mcp_call", "mcp_call_arguments", "arguments", "{}")), "stop"),
        (api.whole([api.item_added(0, "web_search_call"), api.item_done(0, "web_search_call")]), "stop"),
        (api.whole(api.message(0, "Text."), end=api.incomplete("max_output_tokens")), "max_output_tokens"),
        (api.whole(api.message(0, "Text."), end=api.incomplete("content_filter")), "content_filter"),
        (api.whole(api.message(0, "Text."), end=api.incomplete(None)), "incomplete"),
        (api.whole(api.message(0, "Text."), end=api.completed(incomplete_details={"reason": "length"})), "length"),
        (api.whole(api.message(0, "Text."), end=api.completed(output=None)), "stop"),
        ([api.event("response.completed")], "stop"),
    ],
    ids=range(13),
)
def test_stop_reasons(read: Read, script: Script, expected: str) -> None:
    """`tool_calls` if the application has calls to make, else `stop`; or why the response is incomplete."""
    assert stop_reason(read(script)) == ["complete", expected, (expected,)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (api.function_call(0, '{"x":48', whole='{"x":48'), 1),
        (api.function_call(0, whole=""), 1),
        (api.call(0, "custom_tool_call", "custom_tool_call_input", "input", "SELECT *"), 1),
        ([*api.function_call(0, "{}"), *api.message(1, "Te")], 0),
    ],
    ids=["half its arguments", "no arguments", "plain input", "a text"],
)
def test_a_limit_cuts_a_call(read: Read, events: Sequence[Event], expected: int) -> None:
    """A call that a limit has cut is incomplete; the response itself is complete."""
    span = read(api.whole(events, end=api.incomplete("max_output_tokens")))

    assert attributes(span)["llm_stream.tool_call.incomplete"] == expected
    assert ending(span) == ["complete", None, False]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ([api.failed("server_error")], "server_error"),
        ([api.failed("rate_limit_exceeded")], "rate_limit_exceeded"),
        ([api.failed(None)], "api_error"),
        ([api.failed("no word\nbut a text")], "api_error"),
        ([api.failed("x" * 100_000)], "api_error"),
        ([api.failed(502)], "502"),
        ([api.event("response.failed", response=None)], "api_error"),
        ([api.event("error", code="server_error", message="No.", param=None)], "server_error"),
        ([api.event("error", code=None, message="No.", param=None)], "api_error"),
        (
            [api.event("error", code="rate_limit_exceeded", message="No."), api.failed("server_error")],
            "rate_limit_exceeded",
        ),
        ([api.event("error", error={"type": "server_error", "code": None, "message": "No."})], "server_error"),
        ([api.event("error", error={"type": "tokens", "code": "rate_limit_exceeded"})], "rate_limit_exceeded"),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("way", api.WAYS)
def test_errors(read: Read, end: Sequence[Event], expected: str, way: api.Read) -> None:
    """The code of the first event that tells of the error, be it handed on or raised for, is the error."""
    assert ending(read([*BEGUN, *end], way)) == ["error", expected, True]


@pytest.mark.parametrize(
    "end",
    [
        [],
        [b"data: [DONE]\n\n"],
        [Ending.CLOSE],
        [api.event("response.something_new", response={"status": "completed"})],
    ],
    ids=["nothing", "the mark of other APIs", "closed", "another event"],
)
def test_no_end(read: Read, end: Script) -> None:
    """Without an event that ends the response it is cut off."""
    assert ending(read([*BEGUN, *end])) == ["truncated", "stream_truncated", True]


def test_a_cut_connection(read: Read) -> None:
    """The transport fails."""
    assert ending(read([*BEGUN, Ending.CUT])) == ["error", "connection_error", True]


# --- readers -----------------------------------------------------------------------------------------------------


def left_after(events: int, server: MessagesServer, exporter: InMemorySpanExporter, *, helper: bool) -> ReadableSpan:
    """A reader leaves its `with` block after so many events."""
    server.scripts.append(api.whole(api.message(0, "Some ", "text.")))
    with api.client(server.url) as client:
        open_stream: Any = client.responses.stream if helper else client.responses.create
        with open_stream(**api.REQUEST, **({} if helper else {"stream": True})) as stream:
            for _ in range(events):
                next(stream)
    [span] = ended_spans(exporter)
    return span


@pytest.mark.parametrize("helper", [False, True])
@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (0, ["aborted", "closed", True]),
        (5, ["aborted", "closed", True]),
        (10, ["complete", None, False]),
    ],
)
def test_a_reader_that_leaves(
    server: MessagesServer, exporter: InMemorySpanExporter, helper: bool, events: int, expected: Sequence[object]
) -> None:
    """The helper closes the response only; the stream is left all the same, and is complete after its last event."""
    span = left_after(events, server, exporter, helper=helper)

    names = ("llm_stream.outcome", "llm_stream.abort.reason", "llm_stream.partial")
    assert [attributes(span).get(name) for name in names] == expected


class Answer(pydantic.BaseModel):
    number: int


def parsed(server: MessagesServer, text: str) -> Any:
    server.scripts.append(api.whole(api.message(0, text), end=api.completed(output=api.final_message(text))))
    with api.client(server.url) as client, client.responses.stream(**api.REQUEST, text_format=Answer) as stream:
        return stream.get_final_response().output_parsed


def test_a_format_is_parsed(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """What the helper makes of the answer is as without us."""
    answer = parsed(server, '{"number": 7}')
    [span] = ended_spans(exporter)

    assert answer == Answer(number=7)
    assert stop_reason(span) == ["complete", "stop", ("stop",)]
    assert attributes(span)["gen_ai.output.type"] == "json"


def test_a_format_that_does_not_fit(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """The helper raises above the stream, before its end: that is an error of the data."""
    with pytest.raises(pydantic.ValidationError):
        parsed(server, '{"number": "x"}')
    [span] = ended_spans(exporter)

    assert ending(span) == ["error", "client_error", True]


def test_what_the_application_gets(server: MessagesServer) -> None:
    """The helper's last response has the answer and its usage."""
    server.scripts.append(
        api.whole(api.message(0, "Some ", "text."), end=api.completed(output=api.final_message("Some text.")))
    )
    with api.client(server.url) as client, client.responses.stream(**api.REQUEST) as stream:
        response = stream.get_final_response()

    expected: Mapping[str, object] = {"text": "Some text.", "tokens": 140}
    assert {"text": response.output_text, "tokens": response.usage and response.usage.total_tokens} == expected
