"""What the application sees when a span processor of its own raises what is no Exception."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import finish_ends, open_streams
from tests.stainless.api import Api


class Exiting(SpanProcessor):
    """Ends the process at the end of a span, as far as it can."""

    def on_end(self, span: ReadableSpan) -> None:
        raise SystemExit(3)


def exiting_provider() -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Exiting())
    return provider


def read_on(events: Any, seen: list[str]) -> None:
    """To the end, and once more when it was stopped, as one who has not understood."""
    for _ in range(2):
        try:
            seen.extend(type(event).__name__ for event in events)
        except SystemExit:
            seen.append("SystemExit")


def create(api: Api, client: Any, seen: list[str]) -> None:
    read_on(api.create(client), seen)


def helper(api: Api, client: Any, seen: list[str]) -> None:
    with api.helped(client) as stream:
        read_on(stream, seen)


def seen_by(api: Api, server: MessagesServer, read: Any, **options: Any) -> list[str]:
    seen: list[str] = []
    server.scripts.append(api.text)
    with api.sdk.opened(server.url, **options) as client:
        read(api, client, seen)
    return seen


@pytest.mark.parametrize("read", [create, helper])
def test_a_processor_exits_at_the_last_event(api: Api, server: MessagesServer, read: Any) -> None:
    """The reader gets every event, then the SystemExit, and the stream is over and none of the open ones."""
    bare = seen_by(api, server, read)
    instrumentor = api.sdk.instrumentor()
    instrumentor.instrument(tracer_provider=exiting_provider())
    seen = seen_by(api, server, read)
    instrumentor.uninstrument()
    finish_ends()

    assert seen == [*bare, "SystemExit"]
    assert len(open_streams()) == 0


@pytest.mark.parametrize("read", [create, helper])
def test_a_processor_exits_at_the_last_event_of_the_sdks_own_span(api: Api, server: MessagesServer, read: Any) -> None:
    """The same as the reader sees with the SDK's own spans, which is what the test before expects."""
    if not hasattr(api.sdk.module._base_client, "start_api_call_span"):
        pytest.skip("this SDK makes no spans itself")
    bare = seen_by(api, server, read)
    seen = seen_by(api, server, read, open_telemetry={"tracer_provider": exiting_provider()})

    assert seen == [*bare, "SystemExit"]
