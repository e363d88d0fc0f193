"""A middleware of the client that reads a stream before the application does."""

import inspect
from typing import Any

import pytest
from anthropic import Anthropic
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.messages import NAMED_PATHS
from tests.anthropic.readers import MESSAGE
from tests.stainless.paths import Path
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")


def peek(request: Any, call_next: Any) -> Any:
    response = call_next(request)
    next(response.parse())
    return response


async def peek_async(request: Any, call_next: Any) -> Any:
    response = await call_next(request)
    await (await response.parse()).__anext__()
    return response


@pytest.mark.skipif(
    "middleware" not in inspect.signature(Anthropic.__init__).parameters, reason="this SDK has no middleware"
)
@pytest.mark.parametrize(
    ("path", "middleware"),
    [
        (NAMED_PATHS["create_for"], peek),
        (NAMED_PATHS["create_for_async"], peek_async),
    ],
    ids=["sync", "async"],
)
def test_a_middleware_reads_first(
    path: Path,
    middleware: Any,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """The span of a stream whose beginning somebody else has read says that it was not observed."""
    server.scripts.extend([MESSAGE, MESSAGE])
    observed = path.run(server.url, middleware=[middleware])
    (span,) = ended_spans(exporter)
    instrumented.uninstrument()
    bare = path.run(server.url, middleware=[middleware])

    assert observed == bare
    assert attributes(span)["llm_stream.observed"] is False
    assert "llm_stream.outcome" not in attributes(span)
