"""What holds for any bytes that a server may send, however they are cut, and whichever way they are read."""

import asyncio
import gc
import os
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.script import Ending, Script
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import finish_ends, open_streams
from tests.anthropic import any_messages
from tests.openai import any_bodies
from tests.stainless.api import Api, Sdk, Seen
from tests.stainless.apis import apis
from tests.stainless.paths import Path, bytes_paths, event_paths, plain_error
from tests.stainless.spans import attributes, blame

EXAMPLES = int(os.environ.get("STREAMSPAN_EXAMPLES", "100"))  # `.ci/run` asks for thousands
OUTCOMES = {"complete", "truncated", "error", "aborted"}


ANY: Mapping[str, tuple[st.SearchStrategy[bytes], st.SearchStrategy[bytes]]] = {
    "messages": (any_messages.ANSWERS, any_messages.EVENTS),
    "chat": (any_bodies.CHAT_ANSWERS, any_bodies.CHAT_EVENTS),
    "responses": (any_bodies.RESPONSE_ANSWERS, any_bodies.RESPONSE_EVENTS),
    "completions": (any_bodies.COMPLETION_ANSWERS, any_bodies.COMPLETION_EVENTS),
}
"""By API, whole answers and single events."""


@st.composite
def scripts(draw: st.DrawFn, api: Api) -> Script:
    """A body made of an answer, or of any events, with a piece cut out or put in, in pieces of any size."""
    answers, events = ANY[api.name]
    content = draw(st.one_of(answers, st.lists(events, max_size=8).map(b"".join)))
    at = draw(st.integers(0, len(content)))
    end = draw(st.integers(at, len(content)))
    inserted = draw(st.one_of(st.just(b""), st.binary(max_size=8), events))
    content = draw(st.sampled_from([content, content[:at], content[:at] + inserted + content[end:]]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(content) - 1)), max_size=6)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True) if content[a:b]]
    return [*pieces, *draw(st.sampled_from([(), (Ending.CUT,)]))]


@pytest.fixture(params=apis(), ids=lambda api: api.name)
def api(request: pytest.FixtureRequest) -> Api:
    return request.param


class Application:
    """Clients that stay connected from one example to the next."""

    def __init__(self, sdk: Sdk, server: MessagesServer) -> None:
        self.server = server
        self.loop = asyncio.new_event_loop()
        self.client = sdk.unclosed(server.url)
        self.async_client = sdk.unclosed_async(server.url)

    def sees(self, path: Path, script: Script) -> Seen:
        self.server.scripts.append(script)
        seen: Seen = []
        try:
            if path.is_async:
                self.loop.run_until_complete(path.read(self.async_client, seen))
            else:
                path.read(self.client, seen)
        except Exception as error:  # noqa: BLE001  # what the application saw
            seen.append(plain_error(error))
        return seen

    def settle(self) -> None:
        """In some SDKs a stream that is not read to its end is a cycle, and the event loop closes it a moment later.

        What holds it (the exception, its frames, the generators around it) takes more than one round to go.
        """
        gc.collect(1)
        for _ in range(5):
            if open_streams():
                gc.collect()
                self.loop.run_until_complete(asyncio.sleep(0.01))
        finish_ends()

    def close(self) -> None:
        self.client.close()
        self.loop.run_until_complete(self.async_client.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture
def application(api: Api, server: MessagesServer) -> Iterator[Application]:
    # What is dropped is collected between the calls only: SDKs on httpx can deadlock in its pool where a stream is
    # collected in the middle of another call, without us too.
    gc.disable()
    application = Application(api.sdk, server)
    yield application
    application.close()
    gc.enable()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_the_application_sees_what_it_sees_without_us(
    api: Api,
    application: Application,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    data: st.DataObject,
) -> None:
    """Values, order, types and exceptions are the same, and exactly one span ends, with one outcome or none."""
    path = data.draw(st.sampled_from([*event_paths(api), *bytes_paths(api)]))
    script = data.draw(scripts(api))
    bare = application.sees(path, script)
    instrumentor = api.sdk.instrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    observed = application.sees(path, script)
    instrumentor.uninstrument()
    application.settle()
    spans = exporter.get_finished_spans()
    exporter.clear()

    assert observed == bare
    assert [attributes(span).get("llm_stream.outcome", None) in {*OUTCOMES, None} for span in spans] == [True]
    assert [blame(span) for span in spans] == [{}]
    assert open_streams() == []
