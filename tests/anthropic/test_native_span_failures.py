"""A failure of ours where our span should take the place of the SDK's own."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import guard, runtime
from streamspan.anthropic import native
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.messages import ANTHROPIC
from tests.anthropic.readers import opened
from tests.stainless.spans import attributes, ended_spans

pytestmark = pytest.mark.usefixtures("quick_collection")

HAS_NATIVE_SPANS = tuple(int(number) for number in anthropic.__version__.split(".")[:2]) >= (1, 14)


@pytest.fixture
def client(server: MessagesServer, tracer_provider: TracerProvider) -> Iterator[Anthropic]:
    """The SDK's own spans, where it makes some, are exported too."""
    options: dict[str, Any] = {"open_telemetry": {"tracer_provider": tracer_provider}} if HAS_NATIVE_SPANS else {}
    with ANTHROPIC.opened(server.url, **options) as client:
        yield client


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Failures of ours are counted here, as in an application."""
    monkeypatch.setattr(guard, "reraises", False)
    guard.failures.clear()
    return guard.failures


def fails(*_: object, **__: object) -> Any:
    raise LookupError("a failure of ours")


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (native, "stand_in"),
        pytest.param(
            native, "copy", marks=pytest.mark.skipif(not HAS_NATIVE_SPANS, reason="this SDK has no span to take over")
        ),
    ],
    ids=["stand_in", "copy"],
)
def test_the_sdks_span_cannot_be_taken_over(
    module: Any,
    name: str,
    client: Anthropic,
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    failures: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stream is observed all the same; the SDK's own span, where it makes one, is beside ours."""
    monkeypatch.setattr(module, name, fails)
    events = [event.type for event in opened(client, server)]
    spans = {span.instrumentation_scope.name: span for span in ended_spans(exporter) if span.instrumentation_scope}
    native = {"com.anthropic.sdk.python"} if HAS_NATIVE_SPANS else set[str]()

    assert events[-1] == "message_stop"
    assert spans.keys() == {"streamspan", *native}
    assert attributes(spans["streamspan"])["llm_stream.outcome"] == "complete"
    assert (failures, runtime.open_streams()) == ({"replace_span": 1}, [])
