"""Application -> agent -> load balancer -> two gateways -> backend, with the demo's streams of every kind."""

import math
from collections.abc import Iterator

import pytest

from tests.stack.application import Application, chosen_stories, span_ids
from tests.stack.backend import Backend
from tests.stack.badness import is_bad
from tests.stack.collector import Collector, Start, wait_until

pytestmark = pytest.mark.timeout(300)

STREAMS = 400
SEED = 20261121
SHARE = 0.25
DEVIATIONS = 5  # of the number of kept traces, which is binomial: once in a million runs it is further off


@pytest.fixture(scope="module")
def gateways(start: Start, backend: Backend) -> list[Collector]:
    settings = {"DECISION_WAIT": "6s", "SAMPLING_PERCENTAGE": str(SHARE * 100), "BACKEND_ENDPOINT": backend.endpoint}
    return [start("gateway.yaml", **settings) for _ in range(2)]


@pytest.fixture(scope="module")
def application(start: Start, backend: Backend, gateways: list[Collector]) -> Iterator[Application]:
    """An application that has played its streams; all has arrived that will."""
    balancer = start("gateway-loadbalancer.yaml", GATEWAYS=f"[{gateways[0].grpc}, {gateways[1].grpc}]")
    agent = start("agent.yaml", ONWARD_ENDPOINT=balancer.grpc)
    with Application(agent.http, in_batches=True) as application:
        application.play(chosen_stories(STREAMS, SEED))
        wait_until(lambda: sum(map(accepted, gateways)) >= len(application.spans))
        backend.settle()
        yield application


@pytest.fixture(scope="module")
def bad(application: Application) -> set[str]:
    """The ids of the bad traces."""
    return {trace_id for trace_id, spans in application.traces.items() if is_bad(spans)}


def accepted(gateway: Collector) -> float:
    return gateway.metric("otelcol_receiver_accepted_spans")


def test_each_stream_is_a_trace_of_its_request(application: Application) -> None:
    """What is sent is hundreds of traces, each with a root, two siblings and a stream."""
    assert {len(spans) for spans in application.traces.values()} == {4}
    assert len(application.traces) == STREAMS


def test_there_are_many_traces_of_both_kinds(application: Application, bad: set[str]) -> None:
    """The stories make bad and good traces, each by the hundred."""
    assert len(bad) > 100
    assert len(application.traces) - len(bad) > 100


def test_every_bad_trace_arrives_whole(application: Application, backend: Backend, bad: set[str]) -> None:
    """Each span of a bad trace arrives once: the stream, its root and its siblings."""
    arrived = backend.traces
    expected = {trace_id: span_ids(application.traces[trace_id]) for trace_id in bad}

    assert {trace_id: arrived.get(trace_id) for trace_id in bad} == expected


def test_the_share_of_the_good_traces_arrives(application: Application, backend: Backend, bad: set[str]) -> None:
    """Of the other traces the configured share arrives, and no more."""
    good = application.traces.keys() - bad
    expected = SHARE * len(good)
    deviation = math.sqrt(expected * (1 - SHARE))

    assert abs(len(backend.traces.keys() & good) - expected) < DEVIATIONS * deviation


def test_a_good_trace_that_arrives_is_whole(application: Application, backend: Backend, bad: set[str]) -> None:
    """No trace arrives in part, and none that was not sent."""
    arrived = {trace_id: spans for trace_id, spans in backend.traces.items() if trace_id not in bad}

    assert arrived == {trace_id: span_ids(application.traces[trace_id]) for trace_id in arrived}


def test_both_gateways_share_the_work(application: Application, gateways: list[Collector]) -> None:
    """Each gateway gets a good part of the spans: the load is spread, and whole traces arrive all the same."""
    assert min(map(accepted, gateways)) > len(application.spans) / 5
    assert sum(map(accepted, gateways)) == len(application.spans)
