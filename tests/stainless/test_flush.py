"""A flush takes along the streams that were just left."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.server import MessagesServer
from tests.stainless.api import Api
from tests.stainless.spans import abort_of

pytestmark = pytest.mark.usefixtures("instrumented")


def leave(api: Api, client: Any, server: MessagesServer) -> None:
    with api.opened(client, server) as stream:
        api.read_to_text(stream)


@pytest.mark.parametrize("flush", [TracerProvider.force_flush, TracerProvider.shutdown], ids=["flush", "shutdown"])
def test_a_stream_that_was_just_left(
    api: Api,
    flush: Callable[[TracerProvider], object],
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    """A script that flushes, or shuts its provider down, right after it has left a stream has the span of it."""
    with api.sdk.opened(server.url) as client:
        leave(api, client, server)
        getattr(tracer_provider, flush.__name__)()
    spans = exporter.get_finished_spans()

    assert [abort_of(span) for span in spans] == [("aborted", "closed", "text")]
