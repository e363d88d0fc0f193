"""A call that gives all that a caller can give, and an answer that says all that the API can say."""

from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Head, Script
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.paths import REQUEST
from tests.stainless.logs import records
from tests.stainless.spans import attributes, ended_spans

SDK = tuple(int(number) for number in anthropic.__version__.split(".")[:2])
CONVERSES = SDK >= (1, 14)
"""A client of the SDK may be in a conversation."""

OPTIONS: dict[str, Any] = {
    "stop_sequences": ["END"],
    "extra_body": {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {}}},
    },
}
ANSWER: Script = [
    Head(headers={"anthropic-workspace-id": "wrkspc_01"}),
    wire.message_start(usage={"cache_read_input_tokens": 11}),
    *wire.text_block(0, "{}"),
    wire.message_delta("end_turn", 42, usage={"output_tokens_details": {"thinking_tokens": 5}}),
    wire.message_stop(),
]
ON_BOTH = {
    "gen_ai.conversation.id": "conv_7" if CONVERSES else None,
    "gen_ai.output.type": "json",
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_k": 40.0,
    "gen_ai.request.top_p": 0.9,
    "gen_ai.usage.cache_read.input_tokens": 11,
    "gen_ai.usage.reasoning.output_tokens": 5,
}


@pytest.mark.usefixtures("quick_collection")
def test_all_that_a_caller_can_give(
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    log_exporter: Any,
    tracer_provider: TracerProvider,
    logger_provider: LoggerProvider,
) -> None:
    """It is on the span; what the convention names of it is in the event that has the content, too."""
    server.scripts.append(ANSWER)
    instrumentor = AnthropicStreamInstrumentor()
    config = Config(capture_content="EVENT_ONLY")
    instrumentor.instrument(tracer_provider=tracer_provider, logger_provider=logger_provider, config=config)
    http_client = anthropic.DefaultHttpxClient(verify=False)
    conversation: dict[str, Any] = {"open_telemetry": {"conversation_id": "conv_7"}} if CONVERSES else {}
    with Anthropic(base_url=server.url, api_key="none", http_client=http_client, **conversation) as client:
        list(client.messages.create(stream=True, **REQUEST, **OPTIONS))
    instrumentor.uninstrument()
    [span] = ended_spans(exporter)
    [record] = records(log_exporter)

    assert {name: attributes(span).get(name) for name in ON_BOTH} == ON_BOTH
    assert {name: record.attributes.get(name) for name in ON_BOTH} == ON_BOTH
    assert attributes(span)["anthropic.workspace.id"] == "wrkspc_01"
