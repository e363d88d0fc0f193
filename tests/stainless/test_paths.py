"""Every way to read, with every way in which the server can end a stream."""

from collections.abc import Iterator

import pytest
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from streamspan.cli.demo.server import MessagesServer
from tests.stainless.api import Api, ServerEnding
from tests.stainless.apis import apis, first_apis
from tests.stainless.paths import Path, bytes_paths, event_paths
from tests.stainless.spans import ended_spans, ending_of

pytestmark = pytest.mark.usefixtures("quick_collection")


ENDINGS_ON_EVERY_PATH = {"complete", "error event", "cut off in the text"}


def is_needed(api: Api, ending: ServerEnding, path: Path) -> bool:
    """The paths that all APIs have are the SDK's: its first API shows how each of them ends, the others a few."""
    return api in first_apis() or not path.is_common or ending.name in ENDINGS_ON_EVERY_PATH


@pytest.fixture
def played(ending: ServerEnding) -> Iterator[MessagesServer]:
    """A server that answers two requests in the same way."""
    with MessagesServer([ending.script, ending.script]) as server:
        yield server


@pytest.mark.parametrize(
    ("api", "path", "ending"),
    [
        pytest.param(api, path, ending, id=f"{api.name}-{ending.name}-{path.name}")
        for api in apis()
        for ending in api.endings
        for path in event_paths(api)
        if is_needed(api, ending, path)
    ],
)
def test_one_span_tells_how_the_server_ended_the_stream(
    api: Api,
    path: Path,
    ending: ServerEnding,
    played: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: BaseInstrumentor,
) -> None:
    """Whatever the path, exactly one span ends, with the truth; and the application sees what it sees without us."""
    observed = path.run(played.url, timeout=ending.timeout)
    ended = ended_spans(exporter)
    instrumented.uninstrument()
    bare = path.run(played.url, timeout=ending.timeout)

    assert observed == bare
    assert [ending_of(span) for span in ended] == [
        {
            "llm_stream.outcome": ending.outcome,
            "error.type": ending.error_type,
            "llm_stream.phase": ending.phase,
            "llm_stream.partial": ending.partial,
            "llm_stream.observed": None,
            "status": StatusCode.ERROR if ending.error_type else StatusCode.UNSET,
        }
    ]


@pytest.mark.parametrize(
    ("api", "path", "ending"),
    [
        pytest.param(api, path, ending, id=f"{api.name}-{ending.name}-{path.name}")
        for api in first_apis()
        for ending in api.endings
        for path in bytes_paths(api)
    ],
)
def test_a_body_read_as_bytes_ends_its_span(
    api: Api,
    path: Path,
    ending: ServerEnding,
    played: MessagesServer,
    exporter: InMemorySpanExporter,
    instrumented: BaseInstrumentor,
) -> None:
    """Nothing is known of the events then, but an error of the transport shows."""
    transport_error = ending.error_type in {"connection_error", "client_timeout_error"}
    observed = path.run(played.url, timeout=ending.timeout)
    ended = ended_spans(exporter)
    instrumented.uninstrument()
    bare = path.run(played.url, timeout=ending.timeout)

    assert observed == bare
    assert [ending_of(span) for span in ended] == [
        {
            "llm_stream.outcome": "error" if transport_error else None,
            "error.type": ending.error_type if transport_error else None,
            "llm_stream.phase": "waiting" if transport_error else None,
            "llm_stream.partial": True if transport_error else None,
            "llm_stream.observed": None if transport_error else False,
            "status": StatusCode.ERROR if transport_error else StatusCode.UNSET,
        }
    ]
