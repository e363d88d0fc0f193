"""Seeded traffic -> the real gateway -> the real Prometheus -> every query of every board and every alert.

What each must give is worked out from the spans, which are another way through the library than its metrics.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from threading import Thread

import pytest
from boards import names, rules, slo
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config, semconv
from tests.boards.committed import QUERIES, SEARCHES
from tests.stack.application import trace_id_of
from tests.stack.backend import Backend
from tests.stack.collector import Start, free_ports, wait_until
from tests.stack.prometheus import Prometheus
from tests.stack.seeded import LARGE, OPEN, SEEDS, SMALL, STALL_SECONDS, Stream, Values, play, quantile, share, summed

EXPORT_MILLIS = 500
STREAMS = names.series(semconv.STREAMS)


@dataclass(frozen=True, slots=True)
class Seen:
    """What came out, and the streams that ended between two samples of every series."""

    prometheus: Prometheus
    streams: list[Stream]
    trace_ids: set[str]
    hanging_since: float
    begin: float
    end: float

    @property
    def window(self) -> str:
        """A little longer than from sample to sample, as instruments are read one after the other."""
        return f"{round((self.end - self.begin) * 1000) + 20}ms"

    def asked(self, expression: str) -> list[tuple[dict[str, str], float]]:
        windowed = re.sub(r"\[(\$__rate_interval|\$__range|\d+[mhd])\]", f"[{self.window}]", expression)
        chosen = windowed.replace("$job", ".*").replace("$model", ".*")
        return self.prometheus.query(chosen, self.end + 0.01)


@pytest.fixture(scope="module")
def seen(start: Start, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    [self_metrics] = free_ports(1)
    with Prometheus(tmp_path_factory.mktemp("prometheus"), [f"127.0.0.1:{self_metrics}"]) as prometheus:
        gateway = start(
            "gateway.yaml",
            "prometheus-remote-write.yaml",
            PROMETHEUS_ENDPOINT=prometheus.write_url,
            BACKEND_ENDPOINT=backend.endpoint,
            SELF_METRICS_PORT=str(self_metrics),
            SAMPLING_PERCENTAGE="100",
            DECISION_WAIT="1s",
        )
        resource = Resource.create({"service.name": "chat", "service.instance.id": "chat-1"})
        memory = InMemorySpanExporter()
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(memory))
        tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{gateway.http}/v1/traces")))
        exporter = OTLPMetricExporter(f"{gateway.http}/v1/metrics")
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=EXPORT_MILLIS)
        meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        instrumentor = AnthropicStreamInstrumentor()
        config = Config(stall_seconds=STALL_SECONDS)
        instrumentor.instrument(tracer_provider=tracers, meter_provider=meters, config=config)
        servers = ExitStack()
        hanging = servers.enter_context(OPEN.server())
        Thread(target=hang, args=[hanging.url], daemon=True).start()
        hanging_since = time.time()
        try:
            urls = {seed: servers.enter_context(seed.server()).url for seed in SEEDS}
            play(urls.items())  # from now on there is every series
            begin = time.time()
            wait_for_sample(prometheus, begin)
            memory.clear()
            play((seed, url) for seed, url in urls.items() for _ in range(seed.count))
            end = time.time()
            wait_for_sample(prometheus, end)
            time.sleep(4)  # the sampler's decisions, and a scrape of what it says of them
            spans = memory.get_finished_spans()
            yield Seen(
                prometheus,
                [Stream(span) for span in spans],
                {trace_id_of(span) for span in spans},
                hanging_since,
                first_sample(prometheus, begin),
                first_sample(prometheus, end),
            )
        finally:
            servers.close()
            instrumentor.uninstrument()
            meters.shutdown()
            tracers.shutdown()


def hang(url: str) -> None:
    with suppress(Exception):  # the server leaves in the end
        OPEN.play(url)


def samples_after(prometheus: Prometheus, moment: float) -> list[float]:
    return [at for at in prometheus.sample_times(STREAMS, time.time()) if at > moment]


def first_sample(prometheus: Prometheus, moment: float) -> float:
    """The second one: the first may have been read in part before the moment."""
    return samples_after(prometheus, moment)[1]


def wait_for_sample(prometheus: Prometheus, moment: float) -> None:
    """Until there are three behind the moment, so that nothing happens between the second and its export."""
    wait_until(lambda: prometheus.query(STREAMS, time.time()) != [], seconds=30)
    wait_until(lambda: len(samples_after(prometheus, moment)) >= 3, seconds=30)


# --- what the spans say that each query must give ----------------------------------------------------------------

Given = Callable[[Seen], Values]


def model_of(stream: Stream) -> str:
    return str(stream[semconv.REQUEST_MODEL])


def version_of(stream: Stream) -> str:
    return f"{stream[semconv.REQUEST_MODEL]}, {stream[semconv.RESPONSE_MODEL]}"


def named(legend: str) -> Callable[[Stream], str]:
    return lambda _: legend


def has(name: str, *values: object) -> Callable[[Stream], bool]:
    return lambda stream: stream[name] in values


def attribute(name: str) -> Callable[[Stream], float | None]:
    return lambda stream: stream[name]


def every(_: Stream) -> bool:
    return True


def one(_: Stream) -> float:
    return 1.0


Chosen = Callable[[Stream], bool]
Legend = Callable[[Stream], str]


def count(key: Legend, chosen: Chosen = every, amount: Callable[[Stream], float] = one) -> Given:
    return lambda seen: summed(filter(chosen, seen.streams), amount, key)


def rate(key: Legend, chosen: Chosen = every, amount: Callable[[Stream], float] = one) -> Given:
    def given(seen: Seen) -> Values:
        seconds = float(seen.window.removesuffix("ms")) / 1000
        return {legend: value / seconds for legend, value in count(key, chosen, amount)(seen).items()}

    return given


def part(
    key: Legend,
    chosen: Chosen,
    of: Chosen = every,
    amount: Callable[[Stream], float] = one,
    whole: Callable[[Stream], float] | None = None,
) -> Given:
    return lambda seen: share(count(key, chosen, amount)(seen), count(key, of, whole or amount)(seen))


def at(
    of: float, metric: semconv.Metric, value: Callable[[Stream], float | None], key: Legend, chosen: Chosen = every
) -> Given:
    return lambda seen: quantile(of, filter(chosen, seen.streams), metric, value, key)


def buckets(metric: semconv.Metric, value: Callable[[Stream], float | None], chosen: Chosen = every) -> Given:
    def given(seen: Seen) -> Values:
        known = [number for number in map(value, filter(chosen, seen.streams)) if number is not None]
        seconds = float(seen.window.removesuffix("ms")) / 1000
        bounds = {f"{bound:g}": bound for bound in metric.buckets} | {"+Inf": float("inf")}
        return {le: sum(number <= bound for number in known) / seconds for le, bound in bounds.items()}

    return given


def fixed(**values: float) -> Given:
    return lambda _: {legend.replace("_", " "): value for legend, value in values.items()}


JUDGED: Chosen = lambda stream: stream.is_judged  # noqa: E731 - a name for what many rows have
FAILED: Chosen = lambda stream: stream.has_failed  # noqa: E731
MID_STREAM: Chosen = lambda stream: stream.has_failed and stream[semconv.PHASE] != "opening"  # noqa: E731
COMPLETE, ABORTED, TRUNCATED = (has(semconv.OUTCOME, outcome) for outcome in ("complete", "aborted", "truncated"))
ANSWERED: Chosen = lambda stream: stream[semconv.RESPONSE_MODEL] is not None  # noqa: E731
LOOPED, BUFFERED = has(semconv.REPETITION_DETECTED, True), has(semconv.BUFFERED, True)
HIT: Chosen = lambda stream: (stream[semconv.USAGE_CACHE_READ_INPUT_TOKENS] or 0) > 0  # noqa: E731
MISSED = has(semconv.USAGE_CACHE_READ_INPUT_TOKENS, 0)
ASKED_CACHE: Chosen = lambda stream: stream[semconv.USAGE_CACHE_READ_INPUT_TOKENS] is not None  # noqa: E731
FIRST = attribute(semconv.RESPONSE_TIME_TO_FIRST_CHUNK)
TEXT, GAP = attribute(semconv.TIME_TO_FIRST_TEXT), attribute(semconv.CHUNK_GAP_MAX)
TOKEN, PAUSE = attribute(semconv.TIME_PER_OUTPUT_TOKEN), attribute(semconv.TOOL_CALL_PAUSE)


def number(name: str) -> Callable[[Stream], float]:
    return lambda stream: stream.number(name)


def duration(stream: Stream) -> float:
    return stream.duration


def chars(stream: Stream) -> float:
    return stream.chars


def whole_calls(stream: Stream) -> float:
    return stream.tool_calls_whole


def lost_calls(stream: Stream) -> float:
    return stream.tool_calls_lost


def phase_and(name: str, between: str, *, first: str) -> Legend:
    return lambda stream: f"{stream[first]}{between}{stream[name]}"


def mean_output(seen: Seen) -> Values:
    told: Chosen = lambda stream: stream[semconv.USAGE_OUTPUT_TOKENS] is not None  # noqa: E731
    return share(count(version_of, told, number(semconv.USAGE_OUTPUT_TOKENS))(seen), count(version_of, told)(seen))


def tokens(seen: Seen) -> Values:
    both = {"input": semconv.USAGE_INPUT_TOKENS, "output": semconv.USAGE_OUTPUT_TOKENS}
    return {kind: rate(named(kind), every, number(name))(seen)[kind] for kind, name in both.items()}


def budget(seen: Seen) -> Values:
    [failed] = part(named("a"), FAILED, JUDGED)(seen).values()
    return {"Error budget left": 1 - failed / slo.BUDGET}


def waited(seen: Seen) -> Values:
    """Of the open stream, which has said nothing since it wrote its few words."""
    return {"Longest silence": seen.end - seen.hanging_since}


OVERVIEW: dict[tuple[str, str], Given] = {
    ("Active streams", "A"): lambda _: {"Active streams": 1},
    ("Longest silence", "A"): waited,
    ("Ended per second", "A"): rate(named("Ended per second")),
    ("Completion", "A"): part(named("Completion"), COMPLETE, JUDGED),
    ("First chunk p95", "A"): at(0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, named("First chunk p95")),
    ("Mid-stream errors", "A"): part(named("Mid-stream errors"), MID_STREAM, JUDGED),
    ("Error budget left", "A"): budget,
    ("Time to the first chunk", "A"): at(0.5, semconv.TIME_TO_FIRST_CHUNK, FIRST, named("p50")),
    ("Time to the first chunk", "B"): at(0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, named("p95")),
    ("Time to the first chunk", "C"): at(0.99, semconv.TIME_TO_FIRST_CHUNK, FIRST, named("p99")),
    ("Time to the first chunk, all streams", "A"): buckets(semconv.TIME_TO_FIRST_CHUNK, FIRST),
    ("First chunk p95 by model", "A"): at(0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, model_of),
    ("First chunk p95, cache hit against miss", "A"): at(0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, named("hit"), HIT),
    ("First chunk p95, cache hit against miss", "B"): at(
        0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, named("miss"), MISSED
    ),
    ("First text beside first chunk, p95", "A"): at(0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, named("first chunk")),
    ("First text beside first chunk, p95", "B"): at(0.95, semconv.FIRST_TEXT, TEXT, named("first text")),
    ("Outcomes", "A"): rate(lambda stream: stream[semconv.OUTCOME]),
    ("Stop reasons", "A"): rate(lambda stream: stream[semconv.STOP_REASON], COMPLETE),
    ("Error types", "A"): rate(lambda stream: stream[semconv.ERROR_TYPE], FAILED),
    ("Where streams fail", "A"): rate(phase_and(semconv.PHASE, " in ", first=semconv.OUTCOME), FAILED),
    ("Where readers leave", "A"): rate(phase_and(semconv.ABORT_REASON, ", ", first=semconv.PHASE), ABORTED),
    ("How far aborted streams had come", "A"): at(0.5, semconv.INCOMPLETE_DURATION, duration, named("p50"), ABORTED),
    ("How far aborted streams had come", "B"): at(0.9, semconv.INCOMPLETE_DURATION, duration, named("p90"), ABORTED),
    ("Where streams are cut, by duration", "A"): buckets(semconv.INCOMPLETE_DURATION, duration, FAILED),
    ("Duration of truncated streams", "A"): at(0.5, semconv.INCOMPLETE_DURATION, duration, named("p50"), TRUNCATED),
    ("Duration of truncated streams", "B"): at(0.99, semconv.INCOMPLETE_DURATION, duration, named("p99"), TRUNCATED),
    ("Worst silence within a stream, p99", "A"): at(0.99, semconv.GAP_MAX, GAP, model_of),
    ("Worst silence within a stream, all streams", "A"): buckets(semconv.GAP_MAX, GAP),
    ("Stalls per stream", "A"): part(model_of, every, amount=number(semconv.STALL_COUNT), whole=one),
    ("Time per output token, p50", "A"): at(0.5, semconv.PER_OUTPUT_TOKEN, TOKEN, model_of),
    ("Who is waited for", "A"): rate(named("provider"), every, number(semconv.PROVIDER_TIME)),
    ("Who is waited for", "B"): rate(named("reader"), every, number(semconv.CONSUMER_TIME)),
    ("Buffered streams", "A"): part(model_of, BUFFERED),
    ("Repetition", "A"): part(model_of, LOOPED),
    ("Tool calls", "A"): rate(named("completed"), every, whole_calls),
    ("Tool calls", "B"): rate(named("incomplete"), every, number(semconv.TOOL_CALL_INCOMPLETE)),
    ("Tool calls", "C"): rate(named("invalid JSON"), every, number(semconv.TOOL_CALL_INVALID_JSON)),
    ("Tool calls that cannot be used", "A"): part(
        model_of, every, amount=lost_calls, whole=number(semconv.TOOL_CALL_COUNT)
    ),
    ("Tool calls completed before an abort", "A"): rate(model_of, ABORTED, whole_calls),
    ("Tokens", "A"): tokens,
    ("Streams with a cache hit", "A"): part(named("hits"), HIT, ASKED_CACHE),
    ("Output for nothing", "A"): part(named("aborted"), ABORTED, amount=chars),
    ("Output for nothing", "B"): part(named("failed"), FAILED, amount=chars),
    ("Output for nothing", "C"): part(named("looping"), LOOPED, amount=chars),
    ("Output by model, in this range", "A"): count(model_of),
    ("Output by model, in this range", "B"): count(model_of, every, number(semconv.USAGE_INPUT_TOKENS)),
    ("Output by model, in this range", "C"): count(model_of, every, number(semconv.USAGE_OUTPUT_TOKENS)),
    ("Output by model, in this range", "D"): count(model_of, every, chars),
}
BY_MODEL: dict[tuple[str, str], Given] = {
    ("Models and versions", "A"): count(version_of, ANSWERED),
    ("Models and versions", "B"): part(version_of, COMPLETE, lambda stream: ANSWERED(stream) and stream.is_judged),
    ("Models and versions", "C"): at(0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, version_of),
    ("Models and versions", "D"): at(0.5, semconv.PER_OUTPUT_TOKEN, TOKEN, version_of),
    ("Models and versions", "E"): at(0.99, semconv.GAP_MAX, GAP, version_of),
    ("Models and versions", "F"): at(0.95, semconv.PAUSE_BEFORE_TOOL_CALL, PAUSE, version_of),
    ("Models and versions", "G"): part(version_of, ABORTED, ANSWERED),
    ("Models and versions", "H"): part(version_of, LOOPED, ANSWERED),
    ("First chunk p95", "A"): at(0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, version_of),
    ("First chunk p50", "A"): at(0.5, semconv.TIME_TO_FIRST_CHUNK, FIRST, version_of),
    ("Time per output token, p50", "A"): at(0.5, semconv.PER_OUTPUT_TOKEN, TOKEN, version_of),
    ("Worst silence within a stream, p95", "A"): at(0.95, semconv.GAP_MAX, GAP, version_of),
    ("Pause before a tool call, p95", "A"): at(0.95, semconv.PAUSE_BEFORE_TOOL_CALL, PAUSE, version_of),
    ("Aborted by readers", "A"): part(version_of, ABORTED, ANSWERED),
    ("Repetition", "A"): part(version_of, LOOPED, ANSWERED),
    ("Output tokens per stream", "A"): mean_output,
    ("Cut by max_tokens", "A"): part(version_of, has(semconv.STOP_REASON, "max_tokens"), ANSWERED),
    ("Refusals", "A"): part(version_of, has(semconv.STOP_REASON, "refusal"), ANSWERED),
    ("First chunk p95, now against the day before", "A"): at(
        0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, lambda stream: f"{model_of(stream)} now"
    ),
    ("First chunk p95, now against the day before", "B"): fixed(),  # there was no day before
}
EXPECTED = {("streams-overview", *key): given for key, given in OVERVIEW.items()} | {
    ("streams-by-model", *key): given for key, given in BY_MODEL.items()
}
OURS = [query for query in QUERIES if query[0] != "streams-pipeline"]
PIPELINE = [query for query in QUERIES if query[0] == "streams-pipeline"]


def legend_of(target: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """As Grafana fills it in; in tables, which have none, the values of the labels."""
    if target["legendFormat"] == "__auto":
        return ", ".join(labels.values())
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), target["legendFormat"])


def shown(values: Mapping[str, float]) -> Values:
    """Without what a reader sees nothing of: zeros, and NaN."""
    return {legend: value for legend, value in values.items() if value == value and abs(value) > 1e-9}  # noqa: PLR0124


def ids(query: object) -> str:
    return str(query) if isinstance(query, str) else ""


def test_the_seeds_came_up(seen: Seen) -> None:
    """Each fault that was put in is one that the spans tell of; otherwise the rest of this file says little."""
    outcomes = Counter(str(stream[semconv.OUTCOME]) for stream in seen.streams)
    seconds = [stream[semconv.RESPONSE_TIME_TO_FIRST_CHUNK] or 0 for stream in seen.streams]

    assert outcomes == {"complete": 56, "truncated": 3, "error": 3, "aborted": 6}
    assert sum(second > slo.FIRST_CHUNK_SECONDS for second in seconds) == 4
    assert sum(stream.number(semconv.STALL_COUNT) > 0 for stream in seen.streams) >= 3
    assert sum(BUFFERED(stream) for stream in seen.streams) == 2
    assert sum(stream.number(semconv.ABORT_TOOL_CALLS_COMPLETED) for stream in seen.streams) == 2


def test_every_query_is_expected() -> None:
    """No panel is left out."""
    assert {(uid, title, target["refId"]) for uid, title, target in OURS} == set(EXPECTED)


@pytest.mark.parametrize("query", OURS, ids=lambda query: f"{query[0]}: {query[1]} {query[2]['refId']}")
def test_a_query_gives_what_the_spans_say(query: tuple[str, str, dict[str, str]], seen: Seen) -> None:
    """Values, by legend."""
    uid, title, target = query
    expected = shown(EXPECTED[uid, title, target["refId"]](seen))

    values = shown({legend_of(target, labels): value for labels, value in seen.asked(target["expr"])})

    tolerance = 4.0 if title == "Longest silence" else 0.001
    assert values == pytest.approx(expected, rel=0.02, abs=tolerance)


TRACES_COUNTED = "otelcol_processor_tail_sampling_global_count_traces_sampled"
HEALTHY: dict[tuple[str, str], Callable[[Seen], tuple[float, float]]] = {
    ("Applications that report", "A"): lambda _: (1, 1),
    ("Accepted", "A"): lambda seen: (1, 10),
    ("Accepted", "B"): lambda _: (10, 10_000),
    ("Queue in use", "A"): lambda _: (0, 0.01),
    ("Traces by decision", "A"): lambda _: (1, 10),
    ("Traces that wait for a decision", "A"): lambda _: (0, 100),
    ("Memory", "A"): lambda _: (2e7, 1e9),
}
"""Where something is to be seen: from what to what."""


@pytest.mark.parametrize("query", PIPELINE, ids=lambda query: f"{query[1]} {query[2]['refId']}")
def test_a_healthy_pipeline_looks_healthy(query: tuple[str, str, dict[str, str]], seen: Seen) -> None:
    """What flows is seen to flow, and nothing is refused, lost or failing."""
    _, title, target = query
    least, most = HEALTHY.get((title, target["refId"]), lambda _: (0, 0))(seen)

    values = [value for _, value in seen.asked(target["expr"])]

    assert all(least <= value <= most for value in values)
    assert values or least == 0


def test_the_collector_counts_the_same_traces(seen: Seen) -> None:
    """As many traces are kept as there were streams: all are asked for here."""
    kept = seen.prometheus.query(f'sum({{__name__=~"{TRACES_COUNTED}(_total)?", decision="sampled"}})', time.time())

    assert kept[0][1] == len(seen.streams) + len(SEEDS)


# --- alerts ------------------------------------------------------------------------------------------------------

RECORDED = {rule.record: rule.expression for rule in rules.recordings()}
IN_CHAT: Callable[[Stream], str] = lambda stream: "chat"  # noqa: E731
ALERTING: dict[str, Given] = {
    "LLMStreamCompletionBudgetBurn 1h": fixed(),  # not 14.4 times too fast
    "LLMStreamCompletionBudgetBurn 6h": part(IN_CHAT, FAILED, JUDGED),
    "LLMStreamCompletionBudgetBurn 1d": part(IN_CHAT, FAILED, JUDGED),
    "LLMStreamCompletionBudgetBurn 3d": part(IN_CHAT, FAILED, JUDGED),
    "LLMStreamFirstChunkSlow": at(
        0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, lambda stream: f"{LARGE}, chat", has(semconv.REQUEST_MODEL, LARGE)
    ),
    "LLMStreamMidStreamErrors": part(
        lambda stream: f"{LARGE}, chat", MID_STREAM, lambda stream: stream.is_judged and model_of(stream) == LARGE
    ),
    "LLMStreamToolCallsIncomplete": fixed(),  # three of too few tool calls
    "LLMStreamStalls": fixed(),  # of the small model, with too few streams
    "LLMStreamRepetition": fixed(),
    "LLMStreamBuffered": fixed(),
    "LLMStreamSilent": fixed(),  # not long enough yet: see below
    "LLMStreamAbortSpike": fixed(),  # there was no day before
    "LLMStreamTelemetryAbsent": fixed(),
    "LLMStreamInstrumentationFailing": fixed(),
}
AT_ANY_TRAFFIC: dict[str, Given] = {
    "LLMStreamStalls": part(
        lambda stream: f"{SMALL}, chat", every, has(semconv.REQUEST_MODEL, SMALL), number(semconv.STALL_COUNT), one
    ),
    "LLMStreamRepetition": part(lambda stream: f"{SMALL}, chat", LOOPED, has(semconv.REQUEST_MODEL, SMALL)),
    "LLMStreamBuffered": part(lambda stream: f"{SMALL}, chat", BUFFERED, has(semconv.REQUEST_MODEL, SMALL)),
    "LLMStreamToolCallsIncomplete": part(
        lambda stream: f"{LARGE}, chat",
        every,
        has(semconv.REQUEST_MODEL, LARGE),
        lost_calls,
        number(semconv.TOOL_CALL_COUNT),
    ),
}
ALERTS = list(rules.alerts())


def inlined(expression: str) -> str:
    """With what is recorded in its place. What is asked of the day before stays a name, and there is nothing by it."""
    for record, meaning in RECORDED.items():
        expression = re.sub(rf"{re.escape(record)}(?! offset)\b", f"({meaning})", expression)
    return expression


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name} {alert.labels.get('long', '')}")
def test_an_alert_says_what_the_spans_say(alert: rules.Alert, seen: Seen) -> None:
    """It holds for what was seeded, with the value that its words give, and for nothing else."""
    expected = ALERTING[" ".join([alert.name, *filter(None, [alert.labels.get("long")])])](seen)

    found = seen.asked(inlined(alert.expression))

    values = {", ".join(labels.values()): value for labels, value in found if "__name__" not in labels}
    assert values == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    "alert", [alert for alert in ALERTS if alert.name in AT_ANY_TRAFFIC], ids=lambda alert: alert.name
)
def test_an_alert_at_any_traffic(alert: rules.Alert, seen: Seen) -> None:
    """Those that wait for more traffic than was seeded would say what the spans say."""
    limit = re.search(r"> [\d.]+$", alert.expression.partition("\nand")[0])
    assert limit is not None
    expected = AT_ANY_TRAFFIC[alert.name](seen)

    found = seen.asked(re.sub(r">= 30$", ">= 1", alert.expression))

    values = {", ".join(labels.values()): value for labels, value in found}
    own = {legend: value for legend, value in expected.items() if value > float(limit[0].removeprefix("> "))}
    assert own
    assert {legend: values.get(legend) for legend in own} == pytest.approx(own, rel=0.02)


# --- from metric to trace ----------------------------------------------------------------------------------------


def test_exemplars_lead_to_traces(seen: Seen, backend: Backend) -> None:
    """The dots of a panel are traces that were sent."""
    [expression] = [
        target["expr"] for _, title, target in OURS if (title, target["refId"]) == ("Time to the first chunk", "C")
    ]
    chosen = expression.replace("$__rate_interval", seen.window).replace("$job", ".*").replace("$model", ".*")

    exemplars = seen.prometheus.exemplars(chosen, seen.begin, seen.end + 1)

    found = {labels["trace_id"] for labels in exemplars}
    assert found
    assert found <= set(backend.traces)
    assert len(found & seen.trace_ids) >= 3


CONDITION = re.compile(r"span\.([\w.]+)(=~|>=|=)(\"[^\"]*\"|[\w.]+)")


def meets(stream: Stream, query: str) -> bool:
    """What the conditions of a search say of a span, beside those on service and model."""
    conditions = [found for found in CONDITION.findall(query.partition("}  |")[0]) if "$" not in found[2]]
    return all(is_met(stream[name], operator, value.strip('"')) for name, operator, value in conditions)


def is_met(value: object, operator: str, wanted: str) -> bool:
    if value is None:
        return False
    if operator == ">=":
        return float(str(value)) >= float(wanted)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return re.fullmatch(wanted, text) is not None if operator == "=~" else text == wanted


FOUND = {
    "Aborted after a tool call": 2,
    "Truncated": 3,
    "Failed": 6,
    "Looping": 4,
    "Slow first chunk": 4,
    "Incomplete tool calls": 2,
}


@pytest.mark.parametrize("title", FOUND)
def test_a_search_finds_the_seeded(title: str, seen: Seen) -> None:
    """The conditions of a table of traces are met by the spans that it is meant for. (No Tempo is asked here.)"""
    [query] = [target["query"] for _, name, target in SEARCHES if name == title]

    assert sum(meets(stream, query) for stream in seen.streams) == FOUND[title]
