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
from boards import names, promql, rules, slo
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor, Config, OpenAIStreamInstrumentor, guard, semconv
from streamspan.semconv import latest
from tests.boards.committed import QUERIES, SEARCHES, all_chosen
from tests.stack.backend import Backend
from tests.stack.collector import Start, free_ports, wait_until
from tests.stack.prometheus import Prometheus
from tests.stack.seeded import (
    LARGE,
    OPEN,
    SEEDS,
    SMALL,
    STALL_SECONDS,
    Stream,
    Values,
    play,
    quantile,
    quantile_of,
    share,
    summed,
)
from tests.stack.traceql import answers

EXPORT_MILLIS = 500
MOST_EVENTS = 4  # fewer than some streams have
FAILURES = 3
DAY = 86_400
STREAMS = names.series(semconv.STREAMS)
YESTERDAY = {"complete": 98, "aborted": 2}
"""Streams per second, of the large model."""
FIRST_CHUNK_YESTERDAY = [0.6] * 18 + [2.5] * 2


@dataclass(frozen=True, slots=True)
class Seen:
    """What came out, and the streams that ended between two samples of every series."""

    prometheus: Prometheus
    streams: list[Stream]
    hanging_since: float
    begin: float
    end: float

    @property
    def window(self) -> str:
        return f"{round(self.seconds * 1000)}ms"

    @property
    def seconds(self) -> float:
        """A little longer than from sample to sample, as instruments are read one after the other."""
        return round(self.end - self.begin, 3) + 0.02

    def asked(self, expression: str) -> list[tuple[dict[str, str], float]]:
        return self.prometheus.query(self.windowed(expression), self.end + 0.01)

    def windowed(self, expression: str) -> str:
        """With all chosen at the top of the board, over the time in which all the streams ended."""
        windowed = re.sub(r"\[(\$__rate_interval|\$__range|\d+[mhd])\]", f"[{self.window}]", expression)
        return all_chosen(windowed)


def the_day_before(now: float) -> str:
    """Counters of yesterday at this time, for some minutes, as OpenMetrics text."""
    labels = f'job="chat",instance="chat-1",{names.PROVIDER}="anthropic",{names.MODEL}="{LARGE}"'
    first = names.series(semconv.TIME_TO_FIRST_CHUNK)
    bounds = [*semconv.TIME_TO_FIRST_CHUNK.buckets, float("inf")]
    per_second = {f'{STREAMS}{{{labels},{names.OUTCOME}="{outcome}"}}': rate for outcome, rate in YESTERDAY.items()}
    for bound in bounds:
        le = "+Inf" if bound == float("inf") else f"{bound:g}"
        count = sum(seconds <= bound for seconds in FIRST_CHUNK_YESTERDAY)
        per_second[f'{first}_bucket{{{labels},le="{le}"}}'] = count
    moments = range(round(now) - DAY - 120, round(now) - DAY + 600)
    return "\n".join(
        f"{series} {rate * at} {moment}" for series, rate in per_second.items() for at, moment in enumerate(moments)
    )


@guard.contained
def fails_on_purpose() -> None:
    """A part of streamspan that fails."""
    raise ValueError


@pytest.fixture(scope="module", params=latest.CONVENTIONS)
def seen(
    request: pytest.FixtureRequest, start: Start, backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    """Once for each choice of OTEL_SEMCONV_STABILITY_OPT_IN: the boards and alerts are the same."""
    [self_metrics] = free_ports(1)
    folder, before = tmp_path_factory.mktemp("prometheus"), the_day_before(time.time())
    with Prometheus(folder, [f"127.0.0.1:{self_metrics}"], before=before) as prometheus:
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
        instrumentors = (AnthropicStreamInstrumentor(), OpenAIStreamInstrumentor())
        config = Config(stall_seconds=STALL_SECONDS, max_events=MOST_EVENTS, semconv_stability_opt_in=request.param)
        for instrumentor in instrumentors:
            instrumentor.instrument(tracer_provider=tracers, meter_provider=meters, config=config)
        servers = ExitStack()
        hanging = servers.enter_context(OPEN.server())
        Thread(target=hang, args=[hanging.url], daemon=True).start()
        hanging_since = time.time()
        try:
            urls = {seed: servers.enter_context(seed.server()).url for seed in SEEDS}
            play(urls.items())  # from now on there is every series
            fails_on_purpose()
            begin = time.time()
            wait_for_sample(prometheus, begin)
            memory.clear()
            play((seed, url) for seed, url in urls.items() for _ in range(seed.count))
            for _ in range(FAILURES):
                fails_on_purpose()
            end = time.time()
            wait_for_sample(prometheus, end)
            time.sleep(4)  # the sampler's decisions, and a scrape of what it says of them
            spans = memory.get_finished_spans()
            yield Seen(
                prometheus,
                [Stream(span) for span in spans],
                hanging_since,
                first_sample(prometheus, begin),
                first_sample(prometheus, end),
            )
        finally:
            del guard.failures[fails_on_purpose.__qualname__]
            servers.close()
            for instrumentor in instrumentors:
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
    """Until there are three after the moment, so that nothing happens between the second and its export."""
    wait_until(lambda: prometheus.query(STREAMS, time.time()) != [], seconds=30)
    wait_until(lambda: len(samples_after(prometheus, moment)) >= 3, seconds=30)


# --- what the spans say that each query must give ----------------------------------------------------------------

Given = Callable[[Seen], Values]


def model_of(stream: Stream) -> str:
    return f"{stream[semconv.PROVIDER_NAME]}, {stream[semconv.REQUEST_MODEL]}"


def version_of(stream: Stream) -> str:
    return f"{model_of(stream)}, {stream[semconv.RESPONSE_MODEL]}"


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
    return lambda seen: {legend: value / seen.seconds for legend, value in count(key, chosen, amount)(seen).items()}


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
        bounds = {f"{bound:g}": bound for bound in metric.buckets} | {"+Inf": float("inf")}
        return {le: sum(number <= bound for number in known) / seen.seconds for le, bound in bounds.items()}

    return given


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


def one_and(name: str, between: str, *, first: str) -> Legend:
    return lambda stream: f"{stream[first]}{between}{stream[name]}"


def mean_output(seen: Seen) -> Values:
    told: Chosen = lambda stream: stream[semconv.USAGE_OUTPUT_TOKENS] is not None  # noqa: E731
    return share(count(version_of, told, number(semconv.USAGE_OUTPUT_TOKENS))(seen), count(version_of, told)(seen))


def tokens(seen: Seen) -> Values:
    both = {"input": semconv.USAGE_INPUT_TOKENS, "output": semconv.USAGE_OUTPUT_TOKENS}
    return {kind: rate(named(kind), every, number(name))(seen)[kind] for kind, name in both.items()}


def cache_tokens(seen: Seen) -> Values:
    both = {"read": semconv.USAGE_CACHE_READ_INPUT_TOKENS, "write": semconv.USAGE_CACHE_WRITE_INPUT_TOKENS}
    return {f"cache {use}": rate(named(use), every, number(name))(seen)[use] for use, name in both.items()}


def budget(seen: Seen) -> Values:
    [failed] = part(named("a"), FAILED, JUDGED)(seen).values()
    return {"Error budget left": 1 - failed / slo.BUDGET}


def waited(legend: str) -> Given:
    """Of the open stream, which has said nothing since it wrote its few words, on a line that is dead."""
    return lambda seen: {legend: seen.end - seen.hanging_since}


OVERVIEW: dict[tuple[str, str], Given] = {
    ("Active streams", "A"): lambda _: {"Active streams": 1},
    ("Longest silence", "A"): waited("Longest silence"),
    ("Silent streams", "A"): lambda seen: {
        f"{seconds} s or longer": 1 for seconds in (10, 60) if seen.end - seen.hanging_since >= seconds
    },
    ("Longest silence, of the model and of the line", "A"): waited("no event"),
    ("Longest silence, of the model and of the line", "B"): waited("no byte"),
    ("Longest silence, by phase", "A"): waited("streaming"),
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
    ("Error types", "A"): rate(one_and(semconv.ERROR_TYPE, ", ", first=semconv.PROVIDER_NAME), FAILED),
    ("Where streams fail", "A"): rate(one_and(semconv.PHASE, " in ", first=semconv.OUTCOME), FAILED),
    ("Where readers leave", "A"): rate(one_and(semconv.ABORT_REASON, ", ", first=semconv.PHASE), ABORTED),
    ("How far aborted streams had come", "A"): at(0.5, semconv.INCOMPLETE_DURATION, duration, named("p50"), ABORTED),
    ("How far aborted streams had come", "B"): at(0.9, semconv.INCOMPLETE_DURATION, duration, named("p90"), ABORTED),
    ("Where streams are cut, by duration", "A"): buckets(semconv.INCOMPLETE_DURATION, duration, FAILED),
    ("Duration of truncated streams", "A"): at(0.5, semconv.INCOMPLETE_DURATION, duration, named("p50"), TRUNCATED),
    ("Duration of truncated streams", "B"): at(0.99, semconv.INCOMPLETE_DURATION, duration, named("p99"), TRUNCATED),
    ("Worst silence within a stream, p99", "A"): at(0.99, semconv.GAP_MAX, GAP, model_of),
    ("Worst silence within a stream, all streams", "A"): buckets(semconv.GAP_MAX, GAP),
    ("Stalls per stream", "A"): part(model_of, every, amount=number(semconv.STALL_COUNT), whole=one),
    ("Time per output token, p50", "A"): at(0.5, semconv.PER_OUTPUT_TOKEN, TOKEN, model_of),
    ("Who is waited for", "A"): rate(named("model"), every, number(semconv.PROVIDER_TIME)),
    ("Who is waited for", "B"): rate(named("way"), every, number(semconv.TRANSIT_TIME)),
    ("Who is waited for", "C"): rate(named("loop"), every, number(semconv.BLOCKED_TIME)),
    ("Who is waited for", "D"): rate(named("reader"), every, number(semconv.CONSUMER_TIME)),
    ("Buffered streams", "A"): part(model_of, BUFFERED),
    ("Repetition", "A"): part(model_of, LOOPED),
    ("Tool calls", "A"): rate(named("completed"), every, whole_calls),
    ("Tool calls", "B"): rate(named("incomplete"), every, number(semconv.TOOL_CALL_INCOMPLETE)),
    ("Tool calls", "C"): rate(named("invalid JSON"), every, number(semconv.TOOL_CALL_INVALID_JSON)),
    ("Tool calls that cannot be used", "A"): part(
        model_of, JUDGED, JUDGED, amount=lost_calls, whole=number(semconv.TOOL_CALL_COUNT)
    ),
    ("Tool calls completed before an abort", "A"): rate(model_of, ABORTED, whole_calls),
    ("Tokens", "A"): tokens,
    ("Tokens", "B"): cache_tokens,
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
    ("Cut by a token limit", "A"): part(version_of, has(semconv.STOP_REASON, "max_tokens", "length"), ANSWERED),
    ("Refusals", "A"): part(version_of, has(semconv.STOP_REASON, "refusal"), ANSWERED),
    ("First chunk p95, now against the day before", "A"): at(
        0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, lambda stream: f"{model_of(stream)} now"
    ),
    ("First chunk p95, now against the day before", "B"): lambda _: {
        f"anthropic, {LARGE} the day before": quantile_of(
            0.95, FIRST_CHUNK_YESTERDAY, semconv.TIME_TO_FIRST_CHUNK.buckets
        )
    },
}
PIPELINE: dict[tuple[str, str], Given] = {
    ("Applications that report", "A"): lambda _: {"Applications that report": 1},
    ("Failures of streamspan", "A"): lambda _: {"Failures of streamspan": 1 + FAILURES},
    ("Failures by function", "A"): lambda _: {"fails_on_purpose": 1 + FAILURES},
    ("Span events left out", "A"): rate(named("chat"), every, number(semconv.EVENTS_DROPPED)),
}
"""What is not the collectors': for those see test_boards_pipeline.py."""
EXPECTED = {
    (uid, *key): given
    for uid, board in (("streams-overview", OVERVIEW), ("streams-by-model", BY_MODEL), ("streams-pipeline", PIPELINE))
    for key, given in board.items()
}
OURS = [query for query in QUERIES if "otelcol" not in query[2]["expr"]]
COLLECTORS = [query for query in QUERIES if "otelcol" in query[2]["expr"]]


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

    assert outcomes == {"complete": 68, "truncated": 9, "error": 4, "aborted": 18}
    assert sum(second > slo.FIRST_CHUNK_SECONDS for second in seconds) == 4
    assert sum(stream.number(semconv.STALL_COUNT) > 0 for stream in seen.streams) >= 3
    assert sum(BUFFERED(stream) for stream in seen.streams) == 3
    assert sum(stream.number(semconv.ABORT_TOOL_CALLS_COMPLETED) for stream in seen.streams) == 3


def test_every_query_is_expected() -> None:
    """No panel is left out."""
    assert {(uid, title, target["refId"]) for uid, title, target in OURS} == set(EXPECTED)


@pytest.mark.parametrize("query", OURS, ids=lambda query: f"{query[0]}: {query[1]} {query[2]['refId']}")
def test_a_query_gives_what_the_spans_say(query: tuple[str, str, dict[str, str]], seen: Seen) -> None:
    """Values, by legend."""
    uid, title, target = query
    expected = shown(EXPECTED[uid, title, target["refId"]](seen))
    assert expected, "nothing was seeded for this panel"

    values = shown({legend_of(target, labels): value for labels, value in seen.asked(target["expr"])})

    tolerance = 4.0 if title.startswith("Longest silence") else 0.001
    assert values == pytest.approx(expected, rel=0.02, abs=tolerance)


@pytest.mark.parametrize("title", ["Active streams", "Longest silence", "Applications that report"])
def test_what_is_gone_is_not_shown_as_now(title: str, seen: Seen) -> None:
    """Behind the last word of the last process nothing is open: a stat shows the last value of the whole range."""
    [expression] = [target["expr"] for _, name, target in OURS if name == title]
    within_the_range = all_chosen(expression.replace("$__range", "1h"))

    assert seen.prometheus.query(within_the_range, seen.end + 900) == [({}, 0)]


TRACES_COUNTED = "otelcol_processor_tail_sampling_global_count_traces_sampled"
HARDLY_ANY = 0.001  # of a queue, what passes through it
FLOWING = {("Accepted", "A"), ("Accepted", "B"), ("Traces by decision", "A"), ("Memory", "A")}


@pytest.mark.parametrize("query", COLLECTORS, ids=lambda query: f"{query[1]} {query[2]['refId']}")
def test_a_healthy_pipeline_looks_healthy(query: tuple[str, str, dict[str, str]], seen: Seen) -> None:
    """What flows is seen to flow, and nothing is refused, waiting or lost. Numbers: see test_boards_pipeline.py."""
    _, title, target = query

    values = [value for _, value in seen.asked(target["expr"])]

    assert any(value > HARDLY_ANY for value in values) == ((title, target["refId"]) in FLOWING)


def test_the_collector_counts_the_same_traces(seen: Seen) -> None:
    """As many traces are kept as there were streams: all are asked for here."""
    kept = seen.prometheus.query(f'sum({{__name__=~"{TRACES_COUNTED}(_total)?", decision="sampled"}})', time.time())

    assert kept[0][1] == len(seen.streams) + len(SEEDS)


# --- alerts ------------------------------------------------------------------------------------------------------

RECORDED = {rule.record: rule.expression for rule in rules.recordings()}
NOT_YET: Given = lambda _: {}  # noqa: E731
IN_CHAT: Callable[[Stream], str] = lambda stream: "chat"  # noqa: E731
OF_LARGE, OF_SMALL = (named(f"anthropic, {model}, chat") for model in (LARGE, SMALL))


def by(model: str, chosen: Chosen = every) -> Chosen:
    return lambda stream: stream[semconv.REQUEST_MODEL] == model and chosen(stream)


ALERTING: dict[str, Given] = {
    "LLMStreamCompletionBudgetBurn 1h": part(IN_CHAT, FAILED, JUDGED),
    "LLMStreamCompletionBudgetBurn 6h": part(IN_CHAT, FAILED, JUDGED),
    "LLMStreamCompletionBudgetBurn 1d": part(IN_CHAT, FAILED, JUDGED),
    "LLMStreamCompletionBudgetBurn 3d": part(IN_CHAT, FAILED, JUDGED),
    "LLMStreamFirstChunkSlow": at(0.95, semconv.TIME_TO_FIRST_CHUNK, FIRST, OF_LARGE, by(LARGE)),
    "LLMStreamMidStreamErrors": part(OF_LARGE, by(LARGE, MID_STREAM), by(LARGE, JUDGED)),
    "LLMStreamToolCallsIncomplete": NOT_YET,  # three of too few tool calls
    "LLMStreamStalls": NOT_YET,  # of the small model, with too few streams
    "LLMStreamRepetition": NOT_YET,
    "LLMStreamBuffered": NOT_YET,
    "LLMStreamSilent": NOT_YET,  # not long enough yet
    "LLMStreamAbortSpike": part(IN_CHAT, ABORTED),
    "LLMStreamTelemetryAbsent": NOT_YET,  # not yet
    "LLMStreamInstrumentationFailing": lambda _: {"chat": FAILURES},
}
"""What is empty here is asked for otherwise below."""
AT_ANY_TRAFFIC: dict[str, Given] = {
    "LLMStreamStalls": part(OF_SMALL, by(SMALL), by(SMALL), number(semconv.STALL_COUNT), one),
    "LLMStreamRepetition": part(OF_SMALL, by(SMALL, LOOPED), by(SMALL)),
    "LLMStreamBuffered": part(OF_SMALL, by(SMALL, BUFFERED), by(SMALL)),
    "LLMStreamToolCallsIncomplete": part(
        OF_LARGE, by(LARGE, JUDGED), by(LARGE, JUDGED), lost_calls, number(semconv.TOOL_CALL_COUNT)
    ),
}
ALERTS = list(rules.alerts())


def inlined(expression: str) -> str:
    """With what is recorded in its place: the tests' Prometheus evaluates no rules."""
    for record, meaning in RECORDED.items():
        before = re.sub(r"\[\w+\]", r"\g<0> offset 1d", meaning)
        expression = expression.replace(f"{record} offset 1d", f"({before})").replace(record, f"({meaning})")
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

    found = seen.asked(re.sub(r"(?m)>= (30|3)$", ">= 1", alert.expression))

    values = {", ".join(labels.values()): value for labels, value in found}
    own = {legend: value for legend, value in expected.items() if value > float(limit[0].removeprefix("> "))}
    assert own
    assert {legend: values.get(legend) for legend in own} == pytest.approx(own, rel=0.02)


def test_the_alert_on_silence(seen: Seen) -> None:
    """With a shorter patience, and for one stream, it tells of the one that hangs."""
    [alert] = [alert for alert in ALERTS if alert.name == "LLMStreamSilent"]

    at_once = alert.expression.replace(promql.silent_for(slo.SILENCE_SECONDS), promql.silent_for(10))

    found = seen.asked(at_once.replace(f">= {slo.SILENT_AT_LEAST}", ">= 1"))

    assert found == [({"job": "chat", names.PROVIDER: "anthropic", names.MODEL: LARGE}, 1)]


def test_the_alert_on_absence(seen: Seen) -> None:
    """A quarter of an hour after the last word of the service it tells of that service; a day later no more."""
    [alert] = [alert for alert in ALERTS if alert.name == "LLMStreamTelemetryAbsent"]

    assert seen.prometheus.query(alert.expression, seen.end + 900) == [({"job": "chat"}, 1)]
    assert seen.prometheus.query(alert.expression, seen.end + DAY) == []


def test_every_alert_has_a_value() -> None:
    """No alert is only found to be silent."""
    otherwise = {*AT_ANY_TRAFFIC, "LLMStreamSilent", "LLMStreamTelemetryAbsent"}

    assert {alert for alert, given in ALERTING.items() if given is NOT_YET} == otherwise


# --- from metric to trace ----------------------------------------------------------------------------------------


MEASURED: dict[str, Callable[[Stream], float | None]] = {
    names.series(semconv.TIME_TO_FIRST_CHUNK): FIRST,
    names.series(semconv.FIRST_TEXT): TEXT,
    names.series(semconv.GAP_MAX): GAP,
    names.series(semconv.PER_OUTPUT_TOKEN): TOKEN,
    names.series(semconv.PAUSE_BEFORE_TOOL_CALL): PAUSE,
    names.series(semconv.INCOMPLETE_DURATION): duration,
}
WITH_DOTS = [query for query in OURS if query[2].get("exemplar")]


@pytest.mark.parametrize("query", WITH_DOTS, ids=lambda query: f"{query[0]}: {query[1]} {query[2]['refId']}")
def test_exemplars_lead_to_traces(query: tuple[str, str, dict[str, str]], seen: Seen, backend: Backend) -> None:
    """The dots of a panel are traces that were sent, at the heights that their spans tell."""
    series, *_ = re.findall(r"(\w+)_bucket", query[2]["expr"])
    streams = {stream.trace_id: stream for stream in seen.streams}

    found = seen.prometheus.exemplars(seen.windowed(query[2]["expr"]), seen.begin, seen.end + 1)

    heights = {trace_id: MEASURED[series](streams[trace_id]) for trace_id, _ in found if trace_id in streams}
    assert {trace_id for trace_id, _ in found} <= set(backend.traces)
    assert heights
    assert {trace_id: value for trace_id, value in found if trace_id in streams} == pytest.approx(heights, rel=1e-3)


FOUND: dict[str, Chosen] = {
    "Aborted after a tool call": lambda stream: ABORTED(stream) and stream.tool_calls_whole > 0,
    "Truncated": TRUNCATED,
    "Failed": FAILED,
    "Looping": LOOPED,
    "Stalled": lambda stream: (
        (stream[semconv.CHUNK_GAP_MAX] or 0) >= STALL_SECONDS
        and not stream[semconv.TRANSIT_TIME]  # the way's wait is none
    ),
    "Slow first chunk": lambda stream: (stream[semconv.RESPONSE_TIME_TO_FIRST_CHUNK] or 0) >= slo.FIRST_CHUNK_SECONDS,
    "Tool calls that cannot be used": lambda stream: stream.tool_calls_lost > 0,
}


def test_every_table_of_traces_is_expected() -> None:
    """None is left out."""
    assert {title for _, title, _ in SEARCHES} == set(FOUND)


@pytest.mark.parametrize("title", FOUND)
def test_a_search_finds_the_seeded(title: str, seen: Seen) -> None:
    """A table of traces has the spans that it is meant for, and columns that they have. (No Tempo is asked here.)"""
    [query] = [target["query"] for _, name, target in SEARCHES if name == title]
    expected = {stream.span_id for stream in seen.streams if FOUND[title](stream)}
    assert expected, "nothing was seeded for this table"

    [answer] = answers([query], [stream.searched for stream in seen.streams])

    assert set(answer.found) == expected
    shown = [stream for stream in seen.streams if stream.span_id in expected]
    assert [column for column in answer.columns if all(stream[column] is None for stream in shown)] == []
