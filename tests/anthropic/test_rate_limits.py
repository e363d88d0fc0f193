"""What the rate limits still allow, as the headers of a response say it: on the span, and as gauges by model."""

from typing import Any

import pytest

from streamspan import semconv
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Head, Script, error_response
from streamspan.telemetry import totals
from tests.anthropic.one_stream import OneStream

pytestmark = pytest.mark.usefixtures("quick_collection")

GAUGE = "llm_stream.rate_limit.remaining"
RESOURCE = "llm_stream.rate_limit.resource"
MESSAGE = list(wire.whole_message(wire.text_block(0, "Hello")))


def limited(**remaining: str) -> Script:
    headers = {f"anthropic-ratelimit-{name.replace('_', '-')}-remaining": value for name, value in remaining.items()}
    return [Head(headers=headers), *MESSAGE]


def gauges(told: Any) -> dict[object, float]:
    return {labels[RESOURCE]: value for labels, value in told.values(GAUGE, RESOURCE)}


def test_what_the_headers_say(app: OneStream) -> None:
    """Each limit has an attribute, and a gauge of its own with the last value that was seen."""
    app.read(limited(requests="50", tokens="1000"))
    told = app.read(limited(requests="49", input_tokens="48000", output_tokens="7500"))

    assert told.under("llm_stream.rate_limit.") == {
        "llm_stream.rate_limit.requests.remaining": 49,
        "llm_stream.rate_limit.input_tokens.remaining": 48_000,
        "llm_stream.rate_limit.output_tokens.remaining": 7_500,
    }
    assert gauges(told) == {"requests": 49, "tokens": 1000, "input_tokens": 48_000, "output_tokens": 7_500}
    assert {"gen_ai.request.model": "claude-sonnet-5-5"} in [
        labels for labels, _ in told.values(GAUGE, "gen_ai.request.model")
    ]


def test_a_call_that_is_refused(app: OneStream) -> None:
    """Its headers are the ones that matter most; the wait that they ask for is in seconds."""
    headers = {"retry-after": "12.5", "anthropic-ratelimit-requests-remaining": "7"}
    told = app.read(error_response(429, "rate_limit_error", "Slow down", headers=headers))

    assert told.under("llm_stream.rate_limit.") == {
        "llm_stream.rate_limit.retry_after": 12.5,
        "llm_stream.rate_limit.requests.remaining": 7,
    }
    assert gauges(told) == {"requests": 7}


@pytest.mark.parametrize(
    "value",
    [
        "nan",
        "inf",
        "-1",
        "+1",
        "",
        " ",
        "x",
        "1e5",
        "0x10",
        "1_000",
        "9" * 10_000,
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "1, 2",
        "\u00b2",
    ],
    ids=lambda value: value[:20],
)
def test_absurd_headers(app: OneStream, value: str) -> None:
    """What is no plain number of a sensible length is not there."""
    headers = {"retry-after": value, "anthropic-ratelimit-tokens-remaining": value}
    told = app.read(
        [Head(headers={name: value.encode().decode("latin-1") for name, value in headers.items()}), *MESSAGE]
    )

    assert told.under("llm_stream.rate_limit.") == {}
    assert gauges(told) == {}
    assert told.has("llm_stream.outcome") == {"llm_stream.outcome": "complete"}


def test_an_old_value_says_nothing(app: OneStream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauge shows a value for 5 minutes from the response that had it."""
    told = app.read(limited(requests="50"))
    now = totals.time.monotonic()
    shown = gauges(told)
    monkeypatch.setattr(totals.time, "monotonic", lambda: now + 301)
    later = gauges(told)

    assert (shown, later) == ({"requests": 50}, {})


def test_the_gauge_is_bounded() -> None:
    """Label sets beyond the bound have no value; those within go on."""
    sums = totals.Totals()
    for number in range(1000):
        sums.set_for(60.0, semconv.RATE_LIMIT_REMAINING, {RESOURCE: str(number)}, number)
    sums.set_for(60.0, semconv.RATE_LIMIT_REMAINING, {RESOURCE: "0"}, 7)
    shown = [observation.value for observation in sums.observe(semconv.RATE_LIMIT_REMAINING, totals.CallbackOptions())]

    assert (len(shown), shown[0]) == (400, 7)
