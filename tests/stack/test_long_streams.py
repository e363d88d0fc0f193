"""The trap of streams: a span arrives when it ends, long after the rest of its trace."""

import time
from collections.abc import Iterator

import pytest
from opentelemetry.trace import Span, set_span_in_context

from tests.stack.application import Application, span_ids, trace_id_of
from tests.stack.backend import Backend
from tests.stack.collector import Collector, Start, wait_until

DECISION_WAIT = 4.0
CHECKED_EACH_SECOND = 2.0  # the sampler looks once a second, and may be a second late on a busy machine


@pytest.fixture(scope="module")
def gateway(start: Start, backend: Backend) -> Collector:
    settings = {"SAMPLING_PERCENTAGE": "0", "BACKEND_ENDPOINT": backend.endpoint}
    return start("gateway.yaml", DECISION_WAIT=f"{DECISION_WAIT:.0f}s", **settings)


@pytest.fixture
def application(gateway: Collector) -> Iterator[Application]:
    """Each span is sent at its end, and has reached the gateway when `end()` returns."""
    with Application(gateway.http) as application:
        yield application


def open_stream(application: Application) -> Span:
    """A stream whose root and siblings have ended, and have been sent."""
    with application.request():
        return application.tracer.start_span("chat claude-sonnet-5-5")


def end(stream: Span, outcome: str) -> None:
    stream.set_attribute("llm_stream.outcome", outcome)
    stream.end()


def test_a_bad_stream_keeps_what_ended_long_before_it(application: Application, backend: Backend) -> None:
    """Root and siblings that ended most of the decision wait before the stream arrive with it."""
    stream = open_stream(application)
    time.sleep(DECISION_WAIT - CHECKED_EACH_SECOND)
    end(stream, "aborted")
    backend.settle()
    [(trace_id, spans)] = application.traces.items()

    assert backend.traces.get(trace_id) == span_ids(spans)


def test_a_bad_trace_is_released_at_once(application: Application, backend: Backend) -> None:
    """Who is on call sees a bad stream when it has ended, not a decision wait later."""
    ended_at = time.monotonic()
    end(open_stream(application), "truncated")
    [trace_id] = application.traces
    wait_until(lambda: trace_id in backend.traces, seconds=10)

    assert time.monotonic() - ended_at < DECISION_WAIT


def test_what_is_kept_does_not_wait(application: Application, gateway: Collector) -> None:
    """A trace that was released is out of the memory, whatever else of it is to come."""
    end(open_stream(application), "truncated")
    time.sleep(DECISION_WAIT + CHECKED_EACH_SECOND)  # for what earlier tests have left

    assert gateway.metric("otelcol_processor_tail_sampling_sampling_traces_on_memory") == 0


def test_what_ends_after_a_bad_stream_follows_it(application: Application, backend: Backend) -> None:
    """A good span that ends after its trace was kept, and even after the decision wait, arrives too."""
    stream = open_stream(application)
    context = set_span_in_context(stream)
    end(stream, "error")
    time.sleep(DECISION_WAIT + CHECKED_EACH_SECOND)
    application.tracer.start_span("write to the archive", context=context).end()
    backend.settle()
    [(trace_id, spans)] = application.traces.items()

    assert backend.traces.get(trace_id) == span_ids(spans)
    assert len(spans) == 5


def test_a_bad_stream_that_outlasts_the_wait_is_kept_all_the_same(application: Application, backend: Backend) -> None:
    """After the rest of its trace was given up, a bad stream is kept alone: late is not lost."""
    stream = open_stream(application)
    time.sleep(DECISION_WAIT + CHECKED_EACH_SECOND)
    end(stream, "truncated")
    backend.settle()
    last = application.spans[-1]

    assert backend.traces.get(trace_id_of(last)) == span_ids([last])


def test_a_good_stream_that_outlasts_the_wait_is_not_kept(application: Application, backend: Backend) -> None:
    """What ends late is judged as everything else."""
    stream = open_stream(application)
    time.sleep(DECISION_WAIT + CHECKED_EACH_SECOND)
    end(stream, "complete")
    time.sleep(DECISION_WAIT)
    backend.settle()
    [trace_id] = application.traces

    assert trace_id not in backend.traces
