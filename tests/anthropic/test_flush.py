"""A flush takes along the streams that were just left."""

from collections.abc import Callable

import pytest
from anthropic import Anthropic
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.readers import MIDDLE_OF_TEXT, opened, read_events, sync_client
from tests.stainless.spans import abort_of

pytestmark = pytest.mark.usefixtures("instrumented")


def leave(client: Anthropic, server: MessagesServer) -> None:
    with opened(client, server) as stream:
        read_events(stream, MIDDLE_OF_TEXT)


@pytest.mark.parametrize("flush", [TracerProvider.force_flush, TracerProvider.shutdown], ids=["flush", "shutdown"])
def test_a_stream_that_was_just_left(
    flush: Callable[[TracerProvider], object],
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    """A script that flushes, or shuts its provider down, right after it has left a stream has the span of it."""
    with sync_client(server.url) as client:
        leave(client, server)
        getattr(tracer_provider, flush.__name__)()
    spans = exporter.get_finished_spans()

    assert [abort_of(span) for span in spans] == [("aborted", "closed", "text")]
