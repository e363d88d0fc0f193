"""How a stream of Chat Completions ends, where that is OpenAI's own: the path matrix has the rest."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic import BaseModel

from streamspan import OpenAIStreamInstrumentor
from streamspan.cli.demo.script import Head, Step
from streamspan.cli.demo.server import MessagesServer
from tests.openai.chunks import DONE, HELLO, WEATHER, call, delta, finish, frame, role, text, usage
from tests.openai.reading import CREATED, REQUEST, WAYS, OneStream, Way, calls, helper_of, sync_client
from tests.stainless.spans import attributes, ended_spans, ending_of

ERROR = frame({"error": {"message": "m", "type": "server_error", "code": None}})
BEGUN = (role(), text("Hel"), text("lo"))


def ending(outcome: str, error_type: str | None = None, phase: str | None = None, *, partial: bool = False) -> Any:
    return {
        "llm_stream.outcome": outcome,
        "error.type": error_type,
        "llm_stream.phase": phase,
        "llm_stream.partial": partial,
        "llm_stream.observed": None,
        "status": StatusCode.UNSET if error_type is None else StatusCode.ERROR,
    }


CUT = ending("truncated", "stream_truncated", "text", partial=True)
ENDINGS: Mapping[str, tuple[Sequence[Step], Any]] = {
    "a finish reason and the end mark": (HELLO, ending("complete")),
    "no end mark": (HELLO[:-1], ending("complete")),
    "no end mark, but usage": ([*HELLO[:-1], usage()], ending("complete")),
    "no finish reason": ([*BEGUN, DONE], ending("complete", partial=True)),
    "a finish reason that is null, and the end mark": (
        [*BEGUN, delta(finish_reason=None), DONE],
        ending("complete", partial=True),
    ),
    "a finish reason that is empty": ([*BEGUN, finish("")], CUT),
    "neither": (BEGUN, CUT),
    "the end mark in a text": ([role(), text("data: [DONE]")], CUT),
    "the end mark without a space": ([*BEGUN, b"data:[DONE]\n\n"], ending("complete", partial=True)),
    "the end mark in two pieces": ([*BEGUN, b"data: [DO", b"NE]\n\n"], ending("complete", partial=True)),
    "the end mark after a piece of an event": (
        [*BEGUN[:-1], text("lo") + b"data: [D", b"ONE]\n\n"],
        ending("complete", partial=True),
    ),
    "half an end mark": ([*BEGUN, b"data: [DO"], ending("truncated", "stream_truncated", "text", partial=True)),
    "bytes after the end mark": ([*BEGUN, DONE, b": bye\n\n"], ending("complete", partial=True)),
    "a finish reason twice": ([*BEGUN, finish("tool_calls"), finish("tool_calls"), DONE], ending("complete")),
    "cut by the limit": ([*BEGUN, finish("length"), DONE], ending("complete")),
    "cut by a content filter": ([*BEGUN, finish("content_filter"), DONE], ending("complete")),
    "one of two choices": (
        [role(), role(1), text("Hi"), text("Ho", 1), finish()],
        ending("truncated", "stream_truncated", "text", partial=True),
    ),
    "one of two choices, and the end mark": (
        [role(), role(1), text("Hi"), text("Ho", 1), finish(), DONE],
        ending("complete", partial=True),
    ),
    "one choice after the other": (
        [role(), text("Hi"), finish(), role(1), text("Ho", 1)],
        ending("truncated", "stream_truncated", "text", partial=True),
    ),
    "an error": ([*BEGUN, ERROR], ending("error", "server_error", "text", partial=True)),
    "an error after the finish reason": ([*HELLO[:-1], ERROR], ending("error", "server_error", "after_stop_reason")),
    "an error with a code": (
        [*BEGUN, frame({"error": {"message": "m", "type": "tokens", "code": "rate_limit_exceeded"}})],
        ending("error", "rate_limit_exceeded", "text", partial=True),
    ),
    "an error with a number": (
        [*BEGUN, frame({"error": {"message": "m", "code": 502}})],
        ending("error", "502", "text", partial=True),
    ),
    "an error that is a text": ([*BEGUN, frame({"error": "no"})], ending("error", "api_error", "text", partial=True)),
    "an error beside choices": (
        [*BEGUN, frame({"error": {"message": "m", "code": "overloaded"}, "choices": [], "id": "1"})],
        ending("error", "overloaded", "text", partial=True),
    ),
    "a field of the name error": (
        [*BEGUN, b'error: {"detail": "no", "error": {"message": "no", "type": "overloaded"}}\n\n'],
        ending("error", "overloaded", "text", partial=True),
    ),
    "a field of the name error, without JSON": (
        [*BEGUN, b"error: out of memory\n\n"],
        ending("error", "api_error", "text", partial=True),
    ),
    "the finish reason error": (
        [*BEGUN, finish("error"), DONE],
        ending("error", "api_error", "text", partial=True),
    ),
    "malformed JSON": ([*BEGUN, b"data: {\n\n"], ending("error", "client_error", "text", partial=True)),
    "nothing": ([], ending("truncated", "stream_truncated", "waiting", partial=True)),
    "the end mark alone": ([DONE], ending("complete", partial=True)),
    "a page": (
        [Head(200, {"content-type": "text/html"}), b"<p>Sign in</p>"],
        ending("error", "unexpected_content_type", "waiting", partial=True),
    ),
}


@pytest.mark.parametrize("way", CREATED)
@pytest.mark.parametrize(("body", "expected"), ENDINGS.values(), ids=ENDINGS)
def test_endings(openai_app: OneStream, way: Way, body: Sequence[Step], expected: Mapping[str, object]) -> None:
    """A stream is complete by a finish reason for each choice or by the end mark, truncated by neither."""
    assert ending_of(openai_app.span(body, way)) == expected


REFUSED: Mapping[str, tuple[int, Mapping[str, Any], str]] = {
    "with a code": (
        400,
        {"error": {"type": "invalid_request_error", "code": "context_length_exceeded"}},
        "context_length_exceeded",
    ),
    "with a type": (400, {"error": {"type": "invalid_request_error", "code": None}}, "invalid_request_error"),
    "as vLLM writes it": (400, {"error": {"type": "BadRequestError", "code": 400}}, "BadRequestError"),
    "with nothing": (404, {"detail": "Not Found"}, "404"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("status", "body", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_call_that_is_refused(
    openai_app: OneStream, way: Way, status: int, body: Mapping[str, Any], expected: str
) -> None:
    """The code of the error counts, if it is a word, else its type, else the status."""
    content = frame(body)[len("data: ") :]
    head = Head(status, {"content-type": "application/json", "content-length": str(len(content))})

    told = openai_app.told([head, content], way)

    assert (told["llm_stream.outcome"], told["error.type"], told["llm_stream.phase"]) == ("error", expected, "opening")
    assert told["http.response.status_code"] == status


@pytest.mark.parametrize("way", CREATED)
def test_a_tool_call_that_the_limit_cut(openai_app: OneStream, way: Way) -> None:
    """It is not complete, nor is one whose input had not begun."""
    begun = [role(), call(WEATHER[0], "weather", "call_1", index=0)]
    empty = [role(), call("", "weather", "call_1", index=0)]

    spans = [openai_app.span([*body, finish("length"), DONE], way) for body in (begun, empty)]

    assert [attributes(span)["llm_stream.tool_call.incomplete"] for span in spans] == [1, 1]
    assert calls(spans[0]) == [("weather", "call_1", 6, False)]


class City(BaseModel):
    name: str


@pytest.fixture
def spans_of(
    server: MessagesServer, exporter: InMemorySpanExporter, openai_instrumented: OpenAIStreamInstrumentor
) -> Callable[[Sequence[Step], Callable[[Any], None]], ReadableSpan]:
    """The span of a stream that a reader of the test's own gets from a client."""

    def read(body: Sequence[Step], reader: Callable[[Any], None]) -> ReadableSpan:
        server.scripts.append(body)
        with sync_client(server.url) as client:
            reader(client)
        [span] = ended_spans(exporter)
        return span

    return read


SpansOf = Callable[[Sequence[Step], Callable[[Any], None]], ReadableSpan]


def test_an_answer_that_the_helper_finds_too_long(spans_of: SpansOf) -> None:
    """The helper raises on a parsed answer that the limit cut; the stop reason stays on the span."""

    def reader(client: Any) -> None:
        with (
            pytest.raises(openai.LengthFinishReasonError),
            helper_of(client)(**REQUEST, response_format=City) as stream,
        ):
            stream.get_final_completion()

    span = spans_of([role(), text('{"name'), finish("length"), DONE], reader)

    assert ending_of(span) == ending("error", "client_error", "after_stop_reason")
    assert attributes(span)["llm_stream.stop_reason"] == "length"


@pytest.mark.parametrize(
    ("last_event", "expected"),
    [
        pytest.param("content.delta", ("aborted", "closed", "text"), id="in the text"),
        pytest.param("content.done", ("complete", None, None), id="after the finish reason"),
    ],
)
def test_a_helper_that_is_left(spans_of: SpansOf, last_event: str, expected: tuple[object, ...]) -> None:
    """The helper closes the response only, which shows all the same."""

    def reader(client: Any) -> None:
        with helper_of(client)(**REQUEST) as stream:
            next(event for event in stream if event.type == last_event)

    span = spans_of(HELLO[1:], reader)

    names = ("llm_stream.outcome", "llm_stream.abort.reason", "llm_stream.phase")
    assert tuple(attributes(span).get(name) for name in names) == expected


def test_a_break_shows_when_garbage_is_collected(spans_of: SpansOf) -> None:
    """The SDK's stream refers to itself, so a stream that is only dropped ends then."""

    def reader(client: Any) -> None:
        for event in client.chat.completions.create(stream=True, **REQUEST):
            if event.choices[0].delta.content:
                break

    span = spans_of(HELLO, reader)

    assert attributes(span)["llm_stream.abort.reason"] == "dropped"
