"""What is down for a while loses nothing: the backend, a gateway that is killed meanwhile, the way to the gateway."""

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.stack.application import Application, span_ids
from tests.stack.backend import Backend
from tests.stack.collector import Collector, Start, wait_until

TRACES = 150
OUTAGE_SECONDS = 3.0
RECOVERY_SECONDS = 40.0  # the exporters try again every 10 s at the latest
KEPT = "otelcol_processor_tail_sampling_global_count_traces_sampled"


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


@pytest.fixture
def gateway(start: Start, backend: Backend) -> Collector:
    return start("gateway.yaml", SAMPLING_PERCENTAGE="100", BACKEND_ENDPOINT=backend.endpoint)


def send_traces(application: Application) -> None:
    for _ in range(TRACES):
        with application.request():
            pass
    assert application.tracer_provider.force_flush(60_000)


def sent(application: Application) -> dict[str, Counter[str]]:
    return {trace_id: span_ids(spans) for trace_id, spans in application.traces.items()}


def test_a_backend_that_is_down_loses_nothing(gateway: Collector, backend: Backend) -> None:
    """What was sent before, during and after the outage arrives, each span once."""
    with Application(gateway.http, in_batches=True) as application:
        send_traces(application)
        backend.stop()
        send_traces(application)
        time.sleep(OUTAGE_SECONDS)
        backend.start()
        send_traces(application)
        wait_until(lambda: backend.span_count >= len(application.spans), seconds=RECOVERY_SECONDS)
        backend.settle()

    assert backend.traces == sent(application)
    assert len(backend.traces) == 3 * TRACES


def test_a_gateway_that_is_killed_in_an_outage_loses_nothing(gateway: Collector, backend: Backend) -> None:
    """What waits for the backend is on disk: it survives a SIGKILL of the gateway."""
    backend.stop()
    with Application(gateway.http, in_batches=True) as application:
        send_traces(application)
        wait_until(lambda: gateway.metric(KEPT, having='sampled="true"') == TRACES)
        time.sleep(OUTAGE_SECONDS)
        gateway.kill()
        gateway.start()
        backend.start()
        wait_until(lambda: backend.traces.keys() == application.traces.keys(), seconds=RECOVERY_SECONDS)
        backend.settle()

    assert {trace_id: set(spans) for trace_id, spans in backend.traces.items()} == {
        trace_id: set(spans) for trace_id, spans in sent(application).items()
    }


def test_an_agent_whose_gateway_is_down_loses_nothing(start: Start, gateway: Collector, backend: Backend) -> None:
    """The agent takes everything and keeps it on disk, over its own restart, until the gateway is there again."""
    agent = start("agent.yaml", ONWARD_ENDPOINT=gateway.grpc)
    gateway.stop()
    with Application(agent.http, in_batches=True) as application:
        send_traces(application)
        agent.stop()
        agent.start()
        send_traces(application)
        gateway.start()
        wait_until(lambda: backend.span_count >= len(application.spans), seconds=RECOVERY_SECONDS)
        backend.settle()

    assert backend.traces.keys() == application.traces.keys()
    assert {trace_id: set(spans) for trace_id, spans in backend.traces.items()} == {
        trace_id: set(spans) for trace_id, spans in sent(application).items()
    }
