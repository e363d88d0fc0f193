"""One stream, one span: the first end wins, from whichever thread, and the events stay under their cap."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.config import Config
from streamspan.core.model import Ending, Usage
from streamspan.observer import Observer, finish_waiting_ends, open_streams
from streamspan.telemetry.spans import Call, Expected, Telemetry

THREADS = 8
STEPS_OF_A_MESSAGE = 9


def observed(max_events: int = 100) -> tuple[Observer, InMemorySpanExporter]:
    """A stream that has just been called, and where its span will be."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    config = Config(native_span="replace", max_events=max_events)
    telemetry = Telemetry(config, provider, NoOpMeterProvider(), None, tuple, Expected((), (), ()))
    return Observer(Call("chat", "claude-x", {}), telemetry, config), exporter


def read(observer: Observer, step_count: int) -> None:
    """The first steps of a message with a text and a tool call."""
    state = observer.state
    at = state.started_at
    steps = [
        observer.opened,
        lambda: state.message_started("msg_1", "claude-x", Usage(), at + 1),
        lambda: observer.block_started(0, "text", at + 2),
        lambda: observer.delta("text", 0, "Hello", at + 3),
        lambda: observer.block_stopped(0, at + 4),
        lambda: observer.block_started(1, "tool_use", at + 5),
        lambda: observer.block_stopped(1, at + 6),
        lambda: state.message_delta("tool_use", Usage(output_tokens=5), at + 7),
        lambda: observer.message_stopped(at + 8),
    ]
    for step in steps[:step_count]:
        step()


def outcomes(spans: Sequence[ReadableSpan]) -> list[object]:
    return [(span.attributes or {}).get("llm_stream.outcome") for span in spans]


def event_names(spans: Sequence[ReadableSpan]) -> list[str]:
    return [event.name.removeprefix("llm_stream.") for span in spans for event in span.events]


ENDINGS = st.builds(
    Ending,
    st.sampled_from(["message_stop", "body_end", "failure", "reader_left"]),
    st.none(),
    st.sampled_from(["closed", "cancelled", "dropped", "never_read", "shutdown"]),
    st.just("api_error"),
)


@given(st.integers(0, STEPS_OF_A_MESSAGE), st.lists(ENDINGS, min_size=1, max_size=4), st.booleans())
def test_any_start_of_a_message_ends_exactly_once(step_count: int, endings: list[Ending], goes_on: bool) -> None:
    """Whatever ends a stream, however often, and whatever still arrives: one span, which tells of the first end."""
    observer, exporter = observed()
    read(observer, step_count)
    has_stop_reason = step_count >= STEPS_OF_A_MESSAGE - 1
    expected = {
        "message_stop": "complete",
        "body_end": "truncated",
        "failure": "error",
        "reader_left": "complete" if has_stop_reason else "aborted",
    }
    first = "message_stop" if step_count == STEPS_OF_A_MESSAGE else endings[0].kind

    for ending in endings:
        observer.end(ending)
    at_its_end = exporter.get_finished_spans()
    read(observer, STEPS_OF_A_MESSAGE if goes_on else 0)

    assert outcomes(at_its_end) == [expected[first]]
    assert [span.to_json() for span in exporter.get_finished_spans()] == [span.to_json() for span in at_its_end]
    assert observer not in open_streams


@pytest.mark.parametrize("step_count", range(STEPS_OF_A_MESSAGE - 1))
def test_the_first_of_many_threads_ends_the_stream(step_count: int) -> None:
    """Ends from many threads at one moment make one span with one event that says how it ended."""
    observer, exporter = observed()
    read(observer, step_count)
    together = Barrier(THREADS)

    def end(_: int) -> None:
        together.wait()
        observer.end(Ending("failure", error_type="api_error"))

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(end, range(THREADS)))

    assert outcomes(exporter.get_finished_spans()) == ["error"]
    assert event_names(exporter.get_finished_spans()).count("error") == 1


SET_BY_A_PROCESSOR: ContextVar[str] = ContextVar("set_by_a_processor", default="nothing")


class SetsAVariable(SpanProcessor):
    """As the OpenTelemetry SDK's own do around an export."""

    def on_end(self, span: ReadableSpan) -> None:
        SET_BY_A_PROCESSOR.set("something")


def test_an_end_leaves_the_context_alone() -> None:
    """Whoever is interrupted by a finalizer that ends a stream finds the context as it was.

    Up to Python 3.11 that may be in the middle of a `ContextVar.set`, which crashes the process otherwise.
    """
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SetsAVariable())

    source = Telemetry(Config(), provider, NoOpMeterProvider(), None, tuple, Expected((), (), ()))
    observer = Observer(Call("chat", "claude-x", {}), source, Config())
    observer.end(Ending("reader_left"))

    assert SET_BY_A_PROCESSOR.get() == "nothing"


class Exits(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise SystemExit


def test_a_span_processor_that_exits() -> None:
    """What is no Exception passes through the end of a stream, which is over by then."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(Exits())
    source = Telemetry(Config(), provider, NoOpMeterProvider(), None, tuple, Expected((), (), ()))
    observer = Observer(Call("chat", "claude-x", {}), source, Config())

    with pytest.raises(SystemExit):
        observer.end(Ending("reader_left"))
    observer.end(Ending("body_end"))

    assert outcomes(exporter.get_finished_spans()) == ["aborted"]
    assert observer.facts()[1]
    assert observer not in open_streams


def test_no_thread_sees_a_char_twice() -> None:
    """Another thread that asks in the middle of a delta of another kind is told what was there before it or after."""
    observer, _ = observed()
    read(observer, 4)
    seen: list[int] = []

    def ask() -> None:
        seen.append(sum(observer.facts()[0].chars.values()))

    threads: list[Thread] = []

    def at_each_call(*_: object) -> None:
        threads.append(Thread(target=ask))
        threads[-1].start()
        threads[-1].join(0.01)

    sys.setprofile(at_each_call)
    observer.delta("thinking", 0, "to the world", observer.state.started_at + 3)
    sys.setprofile(None)
    for thread in threads:
        thread.join()
    observer.end(Ending("reader_left"))

    assert set(seen) == {5, 17}
    assert len(seen) > 10


@pytest.mark.parametrize(
    ("max_events", "expected", "dropped"),
    [
        (100, ["first_token", *["content_block", "tool_call"] * 6, "abort"], None),
        (14, ["first_token", *["content_block", "tool_call"] * 5, "abort"], 2),
        (6, ["first_token", *["content_block", "tool_call"], "abort"], 10),
        (3, ["first_token", "abort"], 12),
        (2, ["first_token", "abort"], 12),
        (1, ["first_token"], 13),
        (0, [], 14),
    ],
)
def test_the_events_stay_under_their_cap(max_events: int, expected: list[str], dropped: int | None) -> None:
    """Blocks and tool calls leave the last three places to what matters most; what is left out is counted."""
    observer, exporter = observed(max_events)
    read(observer, 1)
    for index in range(6):
        observer.state.block_started(index, "tool_use", observer.state.started_at)
        at = observer.state.started_at
        observer.delta("tool_input", index, "{}", at)
        observer.block_stopped(index, observer.state.started_at)

    observer.end(Ending("reader_left", None, "closed"))

    [span] = exporter.get_finished_spans()
    assert event_names([span]) == expected
    assert (span.attributes or {}).get("llm_stream.events_dropped") == dropped


def inside_the_sdk(function: Callable[[], None]) -> None:
    """Call `function` as the garbage collector would call a finalizer in the middle of a function of the SDK."""
    namespace: dict[str, Any] = {"__name__": "opentelemetry.sdk.trace", "function": function}
    exec("def interrupted(): function()", namespace)  # noqa: S102  # a function of a module of that name
    namespace["interrupted"]()


@pytest.mark.parametrize("ending", [Ending("reader_left", None, "dropped"), Ending("unobserved")])
def test_an_end_by_a_finalizer_inside_the_sdk_waits(ending: Ending) -> None:
    """The SDK is not entered again, whose locks are not reentrant; the span ends with the next stream."""
    observer, exporter = observed()
    inside_the_sdk(lambda: observer.end(ending))
    while_inside = exporter.get_finished_spans()
    observed()[0].end(Ending("body_end"))

    assert while_inside == ()
    assert len(exporter.get_finished_spans()) == 1


def test_a_waiting_end_is_not_finished_inside_the_sdk() -> None:
    """Other streams that end there leave it waiting."""
    observer, exporter = observed()
    other, _ = observed()
    inside_the_sdk(lambda: observer.end(Ending("reader_left", None, "dropped")))
    inside_the_sdk(lambda: other.end(Ending("body_end", 0.0)))
    while_inside = exporter.get_finished_spans()
    finish_waiting_ends()

    assert while_inside == ()
    assert len(exporter.get_finished_spans()) == 1
