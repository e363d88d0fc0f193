"""What the checker says of telemetry that is not of the schema."""

from collections.abc import Mapping

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import Span, TracerProvider

from streamspan import semconv
from tests.schema.checker import CHECKER, Checker


@pytest.mark.parametrize(
    ("attributes", "problems"),
    [
        ({"llm_stream.outcome": "complete", "llm_stream.usage.web_search_requests": 1}, []),
        ({"llm_stream.colour": "green"}, ["span has llm_stream.colour"]),
        ({"llm_stream.offset": 0.5}, ["span has llm_stream.offset"]),
        ({"llm_stream.outcome": "lost"}, ["span has llm_stream.outcome='lost'"]),
        ({"llm_stream.chunk.count": 1.0}, ["span has llm_stream.chunk.count=1.0"]),
        ({"llm_stream.stall.time": 1}, ["span has llm_stream.stall.time=1"]),
        ({"llm_stream.chunk.count": True}, ["span has llm_stream.chunk.count=True"]),
        ({"llm_stream.partial": 1}, ["span has llm_stream.partial=1"]),
        ({"gen_ai.response.finish_reasons": "stop"}, ["span has gen_ai.response.finish_reasons='stop'"]),
        ({"llm_stream.abort.reason": "user_stop"}, []),
    ],
)
def test_a_span(attributes: Mapping[str, str | int | float], problems: list[str]) -> None:
    """Its attributes are those of the schema that a span may have, each of its type and with a value that there is."""
    checker = Checker()
    span = TracerProvider().get_tracer("some other scope").start_span("chat", attributes=attributes)
    assert isinstance(span, Span)
    checker.span(span)

    assert checker.problems() == problems


@pytest.mark.parametrize(
    ("name", "attributes", "problems"),
    [
        (semconv.EVENT_TRUNCATED, {"llm_stream.phase": "text", "llm_stream.offset": 1.0}, []),
        (semconv.EVENT_TRUNCATED, {"error.type": "api_error"}, ["llm_stream.truncated has error.type"]),
        ("llm_stream.surprise", {}, ["event llm_stream.surprise"]),
        ("guardrail", {"rule": 7, "llm_stream.offset": 1.0, "llm_stream.chars_delivered": 5}, []),
        ("guardrail", {"rule": 7, "llm_stream.offset": 1.0}, ["guardrail has llm_stream.chars_delivered=None"]),
    ],
)
def test_an_event(name: str, attributes: Mapping[str, object], problems: list[str]) -> None:
    """It has attributes of its own; one of the application's has whatever it was given, and where it happened."""
    checker = Checker()
    checker.event(name, attributes)

    assert checker.problems() == problems


def test_a_metric_of_any_provider() -> None:
    """Its name, its unit and its attributes are those of the schema; it is seen in every provider of the process."""
    provider = MeterProvider([InMemoryMetricReader()])
    meter = provider.get_meter(semconv.SCOPE)
    meter.create_counter("llm_stream.tool_calls", "{call}").add(
        1, {"llm_stream.outcome": "complete", "colour": "green"}
    )
    meter.create_counter("llm_stream.anomalies", "1").add(1)
    meter.create_counter("llm_stream.surprises").add(1)
    provider.shutdown()

    assert CHECKER.problems() == [
        "llm_stream.tool_calls has colour",
        "metric llm_stream.anomalies is no counter in {anomaly}",
        "metric llm_stream.surprises",
    ]
