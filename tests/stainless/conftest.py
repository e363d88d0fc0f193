"""What the tests of this folder share: one API of each SDK, unless a module says otherwise."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from streamspan import guard
from streamspan.cli.demo.server import MessagesServer
from tests.stainless.api import Api
from tests.stainless.apis import first_apis


@pytest.fixture(params=first_apis(), ids=lambda api: api.name)
def api(request: pytest.FixtureRequest) -> Api:
    return request.param


@pytest.fixture
def instrumented(api: Api, tracer_provider: TracerProvider) -> Iterator[BaseInstrumentor]:
    """The SDK of the API is instrumented while the test runs."""
    instrumentor = api.sdk.instrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider)
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture
def client(api: Api, server: MessagesServer) -> Iterator[Any]:
    with api.sdk.opened(server.url) as client:
        yield client


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Failures of ours are counted here, as in an application."""
    monkeypatch.setattr(guard, "reraises", False)
    guard.failures.clear()
    return guard.failures
