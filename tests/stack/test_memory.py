"""A flood does not bring the gateway down."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from streamspan.cli.demo.anthropic.provider import PROVIDER
from tests.stack.application import Application, span_ids
from tests.stack.backend import Backend
from tests.stack.collector import Collector, Start, wait_until
from tests.stack.flood import Flood, flood_of

LIMIT_MIB = 256
CONTAINER_MIB = 1.5 * LIMIT_MIB  # what docs/collector.md says a gateway with this limit needs
SENDERS = 3
REFUSALS = 60
FLOOD_SECONDS = 60.0
DECISION_WAIT = 8.0
WAITING = "otelcol_processor_tail_sampling_sampling_traces_on_memory"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def flood() -> Flood:
    """Of a good trace with two tool calls, as the library writes it: nothing of it is kept, so all of it waits."""
    with Application(None) as application:
        application.play([story for story in PROVIDER.stories if story.name == "tools"])
        return flood_of(application.spans)


def pour(flood: Flood, gateway: Collector) -> int:
    """Sends until the gateway has refused often enough. How many requests it took."""
    give_up_at = time.monotonic() + FLOOD_SECONDS
    refusals = threading.Semaphore(REFUSALS)

    def send_until_refused() -> int:
        taken = 0
        while time.monotonic() < give_up_at:
            if flood.send(gateway):
                taken += 1
            elif not refusals.acquire(blocking=False):
                break
        return taken

    with ThreadPoolExecutor(SENDERS) as senders:
        return sum(future.result() for future in [senders.submit(send_until_refused) for _ in range(SENDERS)])


def test_a_flood_is_refused_before_the_memory_is_full(start: Start, backend: Backend, flood: Flood) -> None:
    """The gateway takes what fits, refuses the rest, stays within its container, and works when the flood is over."""
    gateway = start(
        "gateway.yaml",
        MEMORY_MIB=str(LIMIT_MIB),
        GOMEMLIMIT=f"{LIMIT_MIB}MiB",
        TRACES_WAITING="1000000",
        DECISION_WAIT=f"{DECISION_WAIT:.0f}s",
        SAMPLING_PERCENTAGE="0",
        BACKEND_ENDPOINT=backend.endpoint,
    )
    taken = pour(flood, gateway)
    peak_mib = gateway.peak_memory_mib
    refused = gateway.metric("otelcol_receiver_refused_spans")
    wait_until(lambda: gateway.metric(WAITING) == 0, seconds=60)
    with Application(gateway.http) as application, application.request() as root:
        root.record_exception(ValueError())
    backend.settle()

    assert taken > 0
    assert refused >= REFUSALS * flood.spans_per_request
    assert LIMIT_MIB / 2 < peak_mib < CONTAINER_MIB
    assert backend.traces == {trace_id: span_ids(spans) for trace_id, spans in application.traces.items()}
