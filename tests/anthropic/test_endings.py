"""How a reader leaves a stream of Anthropic's helper, where the helper matters."""

import pytest
from anthropic import Anthropic
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo import wire
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.paths import REQUEST
from tests.stainless.spans import abort_of, attributes, ended_spans

pytestmark = pytest.mark.usefixtures("instrumented", "quick_collection")

MESSAGE = list(
    wire.whole_message(
        wire.text_block(0, "Some text to begin with."),
        wire.tool_block(1, "send_email", {"to": "a@b.c"}),
        wire.text_block(2, "And some more text after it."),
    )
)


def test_break_in_the_helper(client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter) -> None:
    """Leaving the `with` block closes the stream; the tool call that was completed before is counted."""
    server.scripts.append(MESSAGE)
    with client.messages.stream(**REQUEST) as stream:
        for event in stream:
            if event.type == "content_block_stop" and event.index == 1:
                break

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("aborted", "closed", "between_blocks")
    assert attributes(span)["llm_stream.abort.tool_calls_completed"] == 1


def test_the_helper_cannot_read_a_tool_input(
    client: Anthropic, server: MessagesServer, exporter: InMemorySpanExporter
) -> None:
    """The SDK's helper raises for some broken tool inputs, which is an error of the data and not of the reader."""
    server.scripts.append(list(wire.whole_message(wire.tool_block(0, "get_weather", '{"city": Rome}'))))
    with pytest.raises(ValueError, match=r"JSON|expected value"), client.messages.stream(**REQUEST) as stream:
        stream.until_done()

    (span,) = ended_spans(exporter)

    assert abort_of(span) == ("error", None, "tool_input")
