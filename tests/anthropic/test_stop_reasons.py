"""What a span says of the provider's own end, under names that every provider shares."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from streamspan.cli.demo import wire
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.readers import MESSAGE, opened, sync_client
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("instrumented", "quick_collection")


@pytest.mark.parametrize("stop_reason", ["end_turn", "max_tokens", "tool_use", "refusal", "one_of_tomorrow"])
def test_the_stop_reason(server: MessagesServer, exporter: InMemorySpanExporter, stop_reason: str) -> None:
    """`llm_stream.stop_reason` is what the provider gave."""
    with sync_client(server.url) as client:
        list(opened(client, server, list(wire.whole_message(wire.text_block(0, "Hi"), stop_reason=stop_reason))))
    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "complete",
        "llm_stream.stop_reason": stop_reason,
        "gen_ai.response.finish_reasons": (stop_reason,),
    }.items() <= attributes(span).items()


def test_a_stop_reason_that_has_not_come(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A stream without a stop reason has none."""
    with sync_client(server.url) as client:
        list(opened(client, server, MESSAGE[:4]))
    (span,) = ended_spans(exporter)

    assert "llm_stream.stop_reason" not in attributes(span)


def test_a_truncated_stream(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """A body that ends without the provider's own end is `stream_truncated`, and nobody's fault by name."""
    with sync_client(server.url) as client:
        list(opened(client, server, MESSAGE[:4]))
    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "truncated",
        "error.type": "stream_truncated",
        "gen_ai.response.finish_reasons": ("error",),
    }.items() <= attributes(span).items()
    assert span.status.status_code is StatusCode.ERROR


def test_a_stream_that_is_cut_after_its_stop_reason(server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """It keeps the stop reason that came, and is truncated."""
    with sync_client(server.url) as client:
        list(opened(client, server, MESSAGE[:-1]))
    (span,) = ended_spans(exporter)

    assert {
        "llm_stream.outcome": "truncated",
        "error.type": "stream_truncated",
        "llm_stream.stop_reason": "end_turn",
    }.items() <= attributes(span).items()
