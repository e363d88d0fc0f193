"""Streams that hang -> a real collector -> a real Prometheus: a silent model is told apart from a dead line in time.

A dead line brings no byte. On a line that lives keep-alives come, and the model is silent all the same.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any

import anthropic
import pytest
from boards import names, promql, rules, slo
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NoOpTracerProvider

from streamspan import AnthropicStreamInstrumentor, Config, semconv
from streamspan.cli.demo.answer import begun, scripted, text
from streamspan.cli.demo.anthropic.messages import Messages
from streamspan.cli.demo.anthropic.sdk import async_sdk, request
from streamspan.cli.demo.script import Pause, Script
from streamspan.cli.demo.server import Exchange, MessagesServer
from streamspan.cli.demo.stories import SHIPPED
from streamspan.cli.demo.wire import ping
from tests.stack.backend import Backend
from tests.stack.collector import Start, wait_until
from tests.stack.prometheus import Prometheus
from tests.stack.seeded import reads

EXPORT_MILLIS = 500
THRESHOLDS = (3.0, 6.0)
WITHIN = 15.0
"""Seconds from a threshold until Prometheus knows."""
FOREVER = 600
WORDS = scripted(begun(text(SHIPPED)[:6]), Messages())
SCRIPTS: Mapping[str, Script] = {
    "with-pings": [*WORDS, *([Pause(1), ping()] * FOREVER)],
    "dead-line": [*WORDS, Pause(FOREVER)],
    "never-opened": [Pause(FOREVER)],
    "speaking": scripted(begun(text(SHIPPED * 100, pause=0.5)), Messages()),
}
"""By model: the label by which they are told apart."""
STREAMS_OF_EACH = 3
HANGING = {"with-pings": STREAMS_OF_EACH, "dead-line": STREAMS_OF_EACH, "never-opened": STREAMS_OF_EACH}

Values = dict[tuple[str, ...], float]
"""By the values of the labels."""


def read(url: str, model: str) -> None:
    with suppress(Exception):  # the server leaves in the end
        reads(model)(url)


def reads_in_tasks(url: str) -> None:
    """All but one of each model."""

    async def read_in_task(client: anthropic.AsyncAnthropic, model: str) -> None:
        with suppress(Exception):  # the server leaves in the end
            async with await client.messages.create(**request(model), stream=True) as stream:
                async for _ in stream:
                    pass

    async def read_all() -> None:
        async with async_sdk(url) as client:
            await asyncio.gather(
                *(read_in_task(client, model) for model in SCRIPTS for _ in range(STREAMS_OF_EACH - 1))
            )

    asyncio.run(read_all())


def script_of(exchange: Exchange) -> Script:
    request: Any = exchange.body
    return SCRIPTS[request["model"]]


@dataclass(frozen=True, slots=True)
class Told:
    """What Prometheus says.

    at             when all streams that hang had reached the last threshold
    seconds        from the start of the streams until those that hang were counted, by threshold
    after_the_end  how many are silent when the server has left
    """

    prometheus: Prometheus
    at: float
    seconds: Mapping[float, float]
    after_the_end: Values

    def asked(self, expression: str) -> Values:
        return values(self.prometheus, expression, self.at)


def values(prometheus: Prometheus, expression: str, at: float) -> Values:
    """Without what is 0."""
    return {tuple(labels.values()): value for labels, value in prometheus.query(expression, at) if value}


def silent(threshold: float) -> str:
    streams = promql.selected(names.series(semconv.SILENT), promql.silent_for(threshold))
    return promql.summed(streams, [names.MODEL])


def longest(metric: semconv.Metric, *by: str) -> str:
    return promql.summed(names.series(metric), [names.MODEL, *by], "max")


def long_ones(silences: Values) -> set[tuple[str, ...]]:
    """Which of them last since a threshold."""
    return {labels for labels, seconds in silences.items() if seconds >= THRESHOLDS[0]}


@pytest.fixture(scope="module")
def told(start: Start, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with ExitStack() as running:
        prometheus = running.enter_context(Prometheus(tmp_path_factory.mktemp("prometheus")))
        endpoints = {"PROMETHEUS_ENDPOINT": prometheus.write_url, "BACKEND_ENDPOINT": backend.endpoint}
        gateway = start("gateway.yaml", "prometheus-remote-write.yaml", **endpoints)
        exporter = OTLPMetricExporter(f"{gateway.http}/v1/metrics")
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=EXPORT_MILLIS)
        resource = Resource.create({"service.name": "chat", "service.instance.id": "chat-1"})
        meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        running.callback(meters.shutdown)
        instrumentor = AnthropicStreamInstrumentor()
        config = Config(silence_seconds=THRESHOLDS)
        instrumentor.instrument(tracer_provider=NoOpTracerProvider(), meter_provider=meters, config=config)
        running.callback(instrumentor.uninstrument)
        with MessagesServer(choose=script_of) as server:
            threads = [Thread(target=read, args=[server.url, model]) for model in SCRIPTS]
            threads.append(Thread(target=reads_in_tasks, args=[server.url]))
            started_at = time.monotonic()
            for thread in threads:
                thread.start()
            seconds = {threshold: counted_after(prometheus, threshold, started_at) for threshold in THRESHOLDS}
            at = time.time()
        for thread in threads:
            thread.join()
        wait_until_told(prometheus, THRESHOLDS[0], {})
        yield Told(prometheus, at, seconds, values(prometheus, silent(THRESHOLDS[0]), time.time()))


def counted_after(prometheus: Prometheus, threshold: float, started_at: float) -> float:
    wait_until_told(prometheus, threshold, {(model,): count for model, count in HANGING.items()})
    return time.monotonic() - started_at


def wait_until_told(prometheus: Prometheus, threshold: float, expected: Values) -> None:
    """Or until it is too late: which of them it is the tests say."""
    with suppress(AssertionError):
        wait_until(lambda: values(prometheus, silent(threshold), time.time()) == expected, seconds=threshold + WITHIN)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_streams_that_hang_are_counted(threshold: float, told: Told) -> None:
    """At each threshold and in time: with keep-alives and without, opened or not. None of those that speak is."""
    assert told.asked(silent(threshold)) == {(model,): count for model, count in HANGING.items()}
    assert told.seconds[threshold] < threshold + WITHIN


def test_a_silent_model_is_told_apart_from_a_dead_line(told: Told) -> None:
    """The silence is long on both; bytes are missing for as long on the dead line only."""
    silence, line_silence = told.asked(longest(semconv.SILENCE)), told.asked(longest(semconv.LINE_SILENCE))

    assert long_ones(silence) == {("with-pings",), ("dead-line",), ("never-opened",)}
    assert long_ones(line_silence) == {("dead-line",), ("never-opened",)}


def test_where_a_stream_hangs_is_told(told: Told) -> None:
    """The phase says whether there are headers and words already."""
    by_phase = told.asked(longest(semconv.SILENCE, names.PHASE))

    assert long_ones(by_phase) == {
        ("with-pings", "streaming"),
        ("dead-line", "streaming"),
        ("never-opened", "opening"),
    }


def test_the_alert_counts_them(told: Told) -> None:
    """The alert on silence, at a shorter one, counts the streams of each kind, and names no other model."""
    [alert] = [alert for alert in rules.alerts() if alert.name == "LLMStreamSilent"]
    at_once = promql.silent_for(slo.SILENCE_SECONDS), promql.silent_for(THRESHOLDS[-1])

    assert told.asked(alert.expression.replace(*at_once)) == {
        ("anthropic", model, "chat"): count for model, count in HANGING.items()
    }


def test_nothing_is_silent_after_the_end(told: Told) -> None:
    """When the server has left, no stream is open, and none is counted any more."""
    assert told.after_the_end == {}
