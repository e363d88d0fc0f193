"""Content does not pass, even if an application sends it, unless one variable says so."""

from collections.abc import Iterator
from contextlib import closing

import anthropic
import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

from streamspan import AnthropicStreamInstrumentor, Config
from streamspan.cli.demo import wire
from streamspan.cli.demo.server import MessagesServer
from tests.stack.application import Application
from tests.stack.backend import Backend
from tests.stack.collector import Collector, Start, wait_until
from tests.stack.loopback import post_otlp

MARKER = "the-user-said-4711"
KEYS_WITH_CONTENT = [
    # The GenAI conventions, released.
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.retrieval.query.text",
    "gen_ai.retrieval.documents",
    "gen_ai.evaluation.explanation",
    # Older ones.
    "gen_ai.prompt",
    "gen_ai.prompt.0.content",
    "gen_ai.completion",
    "gen_ai.completion.0.tool_calls.0.arguments",
    "gen_ai.content.prompt",
    "gen_ai.content.completion",
    # Other instrumentations.
    "traceloop.entity.input",
    "traceloop.entity.output",
    "llm.prompts",
    "llm.completions.0.content",
    "input.value",
    "output.value",
    "llm.input_messages.0.message.content",
    "llm.output_messages.0.message.content",
    "llm.prompt_template.variables",
    "llm.invocation_parameters",
    "tool.parameters",
    "retrieval.documents.0.document.content",
    # Exceptions quote it.
    "exception.message",
    "exception.stacktrace",
    "error.message",
    "llm_stream.error.message",
]
KEYS_WITHOUT_CONTENT = [
    "gen_ai.request.model",
    "gen_ai.prompt.name",
    "gen_ai.usage.input_tokens",
    "gen_ai.tool.name",
    "gen_ai.tool.call.id",
    "gen_ai.output.type",
    "llm_stream.outcome",
    "llm_stream.tool_input.chars",
    "exception.type",
    "error.type",
    "input.size",
]
CONTENT = dict.fromkeys(KEYS_WITH_CONTENT, MARKER)
FACTS = {key: f"fact of {key}" for key in KEYS_WITHOUT_CONTENT}
LOG_EVENTS = ["gen_ai.user.message", "gen_ai.choice", "gen_ai.client.inference.operation.details"]


def send_content(collector: Collector) -> None:
    """Every key on a span, on an event and on a log record, in a status and in the bodies of the older events."""
    with Application(collector.http) as application, application.request() as root:
        root.set_attributes({**CONTENT, **FACTS})
        root.add_event("gen_ai.content.prompt", {**CONTENT, **FACTS})
        root.set_status(Status(StatusCode.ERROR, MARKER))
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for name in LOG_EVENTS:
        record = records.add(event_name=name)
        record.body.string_value = MARKER
        for key in KEYS_WITH_CONTENT:
            record.attributes.add(key=key).value.string_value = MARKER
    named_by_attribute = records.add()
    named_by_attribute.body.kvlist_value.values.add(key="content").value.string_value = MARKER
    named_by_attribute.attributes.add(key="event.name").value.string_value = "gen_ai.assistant.message"
    plain = records.add()
    plain.body.string_value = "the cache is warm"
    assert post_otlp(f"{collector.http}/v1/logs", request.SerializeToString()).status == 200


@pytest.fixture
def backend() -> Iterator[Backend]:
    """One for each test: what came once would be found again."""
    with Backend() as running:
        yield running


def wait_for_all(backend: Backend) -> None:
    wait_until(lambda: backend.span_count == 3 and backend.log_count == 5)


def through_an_agent(start: Start, backend: Backend, **settings: str) -> Collector:
    """An agent whose gateway lets content pass, so that the agent's wall stands alone."""
    gateway = start("gateway.yaml", BACKEND_ENDPOINT=backend.endpoint, FORWARD_CONTENT="true")
    return start("agent.yaml", ONWARD_ENDPOINT=gateway.grpc, **settings)


def test_no_content_passes_the_agent(start: Start, backend: Backend) -> None:
    """By default nothing that was planted leaves the host: not in spans, events, statuses, logs."""
    send_content(through_an_agent(start, backend))
    wait_for_all(backend)

    assert backend.everything.count(MARKER.encode()) == 0


def test_no_content_passes_the_gateway(start: Start, backend: Backend) -> None:
    """The same where an application sends to the gateway itself."""
    gateway = start("gateway.yaml", BACKEND_ENDPOINT=backend.endpoint)
    send_content(gateway)
    wait_for_all(backend)

    assert backend.everything.count(MARKER.encode()) == 0
    assert gateway.complaints == []


def test_the_facts_pass(start: Start, backend: Backend) -> None:
    """What is no content stays, on spans, events and logs."""
    send_content(start("gateway.yaml", BACKEND_ENDPOINT=backend.endpoint))
    wait_for_all(backend)
    counts = {key: backend.everything.count(f"fact of {key}".encode()) for key in KEYS_WITHOUT_CONTENT}

    assert counts == dict.fromkeys(KEYS_WITHOUT_CONTENT, 2)
    assert backend.everything.count(b"the cache is warm") == 1


def test_one_variable_opens_the_wall(start: Start, backend: Backend) -> None:
    """With FORWARD_CONTENT=true on both, all of it arrives."""
    send_content(through_an_agent(start, backend, FORWARD_CONTENT="true"))
    wait_for_all(backend)
    on_span_and_event, in_logs = 2 * len(KEYS_WITH_CONTENT) + 1, len(LOG_EVENTS) * (len(KEYS_WITH_CONTENT) + 1) + 1

    assert backend.everything.count(MARKER.encode()) == on_span_and_event + in_logs


def send_captured_content(collector: Collector) -> None:
    """A stream whose content streamspan captures, on its span and in the event, with the marker in both directions."""
    tracer_provider, logger_provider = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{collector.http}/v1/traces")))
    logger_provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{collector.http}/v1/logs")))
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(
        config=Config(capture_content="SPAN_AND_EVENT"),
        tracer_provider=tracer_provider,
        logger_provider=logger_provider,
        meter_provider=NoOpMeterProvider(),
    )
    answer = [wire.message_start(), *wire.text_block(0, MARKER, size=len(MARKER))]  # cut, so that the trace is kept
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with MessagesServer([answer]) as server, closing(http_client):
        client = anthropic.Anthropic(base_url=server.url, api_key="none", http_client=http_client)
        for _ in client.messages.create(
            model="claude-x", max_tokens=9, messages=[{"role": "user", "content": MARKER}], stream=True
        ):
            pass
    instrumentor.uninstrument()


@pytest.mark.parametrize(("forward", "count"), [("false", 0), ("true", 4)])
def test_what_streamspan_captures(start: Start, backend: Backend, forward: str, count: int) -> None:
    """The messages on its span, and in its event as structures, are held back; the rest of them is not."""
    send_captured_content(start("gateway.yaml", BACKEND_ENDPOINT=backend.endpoint, FORWARD_CONTENT=forward))
    wait_until(lambda: backend.span_count == 1 and backend.log_count == 1)

    assert backend.everything.count(MARKER.encode()) == count
    assert backend.everything.count(b"gen_ai.client.inference.operation.details") == 1
    assert backend.everything.count(b"llm_stream.content.truncated") == 2
