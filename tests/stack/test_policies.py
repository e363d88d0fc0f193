"""Each policy alone keeps its trace; no share of the rest, so what arrives is what a policy kept."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from tests.stack.application import Application, span_ids
from tests.stack.backend import Backend
from tests.stack.collector import Start, wait_until

COMPLETE: Mapping[str, AttributeValue] = {
    "llm_stream.outcome": "complete",
    "llm_stream.stall.count": 0,
    "llm_stream.repetition.detected": False,
    "llm_stream.buffered": False,
    "llm_stream.tool_call.count": 2,
    "llm_stream.tool_call.incomplete": 0,
    "llm_stream.tool_call.invalid_json": 0,
    "gen_ai.response.time_to_first_chunk": 1.5,
    "gen_ai.response.finish_reasons": ("end_turn",),
    "anthropic.message.stop_reason": "end_turn",
    "llm_stream.stop_reason": "end_turn",
}
BAD_ATTRIBUTES: Mapping[str, Mapping[str, AttributeValue]] = {
    "truncated": {"llm_stream.outcome": "truncated"},
    "failed": {"llm_stream.outcome": "error"},
    "aborted": {"llm_stream.outcome": "aborted"},
    "of an outcome yet unknown": {"llm_stream.outcome": "abandoned"},
    "stalled": {"llm_stream.stall.count": 1},
    "repeating": {"llm_stream.repetition.detected": True},
    "buffered": {"llm_stream.buffered": True},
    "with an incomplete tool call": {"llm_stream.tool_call.incomplete": 1},
    "with invalid tool JSON": {"llm_stream.tool_call.invalid_json": 2},
    "slow to start": {"gen_ai.response.time_to_first_chunk": 10.0},
    "cut by max_tokens": {"gen_ai.response.finish_reasons": ("max_tokens",)},
    "cut by length": {"gen_ai.response.finish_reasons": ("length",)},
    "cut by max_output_tokens": {"gen_ai.response.finish_reasons": ("max_output_tokens",)},
    "cut by model_length": {"gen_ai.response.finish_reasons": ("model_length",)},
    "cut by a content filter": {"gen_ai.response.finish_reasons": ("content_filter",)},
    "cut by the context window": {"gen_ai.response.finish_reasons": ("model_context_window_exceeded",)},
    "refused": {"gen_ai.response.finish_reasons": ("refusal",)},
}


def with_attributes(attributes: Mapping[str, AttributeValue]) -> Callable[[Span, Span], None]:
    return lambda root, stream: stream.set_attributes(attributes)


def error_of_the_stream(root: Span, stream: Span) -> None:
    stream.set_status(Status(StatusCode.ERROR))


def error_of_the_request(root: Span, stream: Span) -> None:
    root.set_status(Status(StatusCode.ERROR))


def exception_of_the_request(root: Span, stream: Span) -> None:
    root.add_event("exception", {"exception.type": "KeyError"})


def nothing_bad(root: Span, stream: Span) -> None:
    """A stream as it should be."""


def not_observed(root: Span, stream: Span) -> None:
    """A body that was read as bytes: nothing is known, neither good nor bad."""
    stream.set_attribute("llm_stream.observed", False)


BAD: Mapping[str, Callable[[Span, Span], None]] = {
    **{name: with_attributes(attributes) for name, attributes in BAD_ATTRIBUTES.items()},
    "with an error": error_of_the_stream,
    "in a request with an error": error_of_the_request,
    "in a request with an exception": exception_of_the_request,
}
GOOD: Mapping[str, tuple[Mapping[str, AttributeValue], Callable[[Span, Span], None]]] = {
    "complete": (COMPLETE, nothing_bad),
    "quick enough": ({**COMPLETE, "gen_ai.response.time_to_first_chunk": 9.99}, nothing_bad),
    "not observed": ({}, not_observed),
    "no stream": ({}, nothing_bad),
}


@pytest.fixture(scope="module")
def application(start: Start, backend: Backend) -> Iterator[Application]:
    """An application that has sent one trace of each kind, straight to a gateway."""
    settings = {"SAMPLING_PERCENTAGE": "0", "BACKEND_ENDPOINT": backend.endpoint}
    gateway = start("gateway.yaml", **settings)
    with Application(gateway.http) as application:
        for name, make_bad in BAD.items():
            send(application, name, COMPLETE, make_bad)
        for name, (attributes, mark) in GOOD.items():
            send(application, name, attributes, mark)
        wait_until(lambda: gateway.metric("otelcol_receiver_accepted_spans") == len(application.spans))
        backend.settle()
        yield application


def send(
    application: Application, name: str, attributes: Mapping[str, AttributeValue], mark: Callable[[Span, Span], None]
) -> None:
    with application.request() as root:
        root.update_name(name)
        stream = application.tracer.start_span("chat claude-sonnet-5-5", attributes=attributes)
        mark(root, stream)
        stream.end()


def trace_named(application: Application, name: str) -> str:
    """The id of the trace whose root has this name."""
    [trace_id] = [trace_id for trace_id, spans in application.traces.items() if name in {span.name for span in spans}]
    return trace_id


@pytest.mark.parametrize("name", BAD)
def test_one_reason_keeps_the_whole_trace(application: Application, backend: Backend, name: str) -> None:
    """One bad fact about a stream or its request keeps all four spans."""
    trace_id = trace_named(application, name)

    assert backend.traces.get(trace_id) == span_ids(application.traces[trace_id])


@pytest.mark.parametrize("name", GOOD)
def test_nothing_else_is_kept(application: Application, backend: Backend, name: str) -> None:
    """A trace with no bad fact is left to the share of the rest, which is nothing here."""
    assert trace_named(application, name) not in backend.traces
