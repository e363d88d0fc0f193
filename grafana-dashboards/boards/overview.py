"""Streams: is it bad, since when, where in the stream, whose fault. A row for each question, the first one first."""

from grafana_foundation_sdk.builders import dashboard

from streamspan import semconv

from . import names, promql, slo
from .names import ABORT_REASON, AT_LEAST, CACHE_HIT, EACH_MODEL, MODEL, MODEL_LEGEND, OUTCOME, PHASE, PROVIDER
from .panels import GREEN, ORANGE, PER_SECOND, RED, Column, Look, Panel, Query, board, comparison, graph, heatmap, stat
from .promql import ABORTED, FAILED, JUDGED, MID_STREAM, share, streams
from .traceql import is_

UID = "streams-overview"
FIRST_CHUNK_STEPS = (
    (None, GREEN),
    (slo.FIRST_CHUNK_WARNING_SECONDS, ORANGE),
    (slo.FIRST_CHUNK_SECONDS, RED),
)
COMPLETION_STEPS = ((None, RED), (round(1 - 6 * slo.BUDGET, 6), ORANGE), (slo.COMPLETION_OBJECTIVE, GREEN))
GAP_STEPS = ((None, GREEN), (slo.GAP_SECONDS, RED))
IS_ABORTED = is_(semconv.OUTCOME, "aborted")
HAS_FAILED = is_(semconv.OUTCOME, "truncated|error", operator="=~")
IS_SLOW = is_(semconv.RESPONSE_TIME_TO_FIRST_CHUNK, slo.FIRST_CHUNK_SECONDS, operator=">=")
STALLED = is_(semconv.STALL_COUNT, 1, operator=">=")
LOOPED = is_(semconv.REPETITION_DETECTED, True)
TOOL_CALL_CUT = is_(semconv.TOOL_CALL_INCOMPLETE, 1, operator=">=")
TOOL_CALL_LOST = f"({TOOL_CALL_CUT} || {is_(semconv.TOOL_CALL_INVALID_JSON, 1, operator='>=')})"
SIDE_EFFECTS = is_(semconv.ABORT_TOOL_CALLS_COMPLETED, 1, operator=">=")


def up_to(limit: float) -> tuple[tuple[float | None, str], ...]:
    return (None, GREEN), (limit, RED)


def built() -> dashboard.Dashboard:
    return board(
        UID,
        "Streams: overview",
        "Streamed LLM calls as their readers saw them. From the top: is it bad now, how long until the first word, how"
        " streams end, what happens inside, tool calls, tokens. A click on a series leads to its traces.",
        (
            ("Now", now()),
            ("First chunk: how long readers wait", first_chunk()),
            ("How streams end", endings()),
            ("Inside the streams", inside()),
            ("Tools", tools()),
            ("Tokens", tokens()),
        ),
    )


def now() -> list[Panel]:
    failing = share(streams(*MID_STREAM), streams(JUDGED))
    return [
        stat(
            Look(
                "Active streams",
                "short",
                "Streams that are open now. Rising while few end: they hang; look at the longest silence.",
                3,
            ),
            promql.now(semconv.ACTIVE),
        ),
        stat(
            Look(
                "Longest silence",
                "s",
                "Of the streams that are open: how long the provider has said nothing while somebody waits;"
                " keep-alives say nothing. Red: a stream hangs. It has no trace yet; how many do, and why, is below.",
                3,
                ((None, GREEN), (slo.GAP_SECONDS, ORANGE), (slo.SILENCE_SECONDS, RED)),
            ),
            promql.now(semconv.SILENCE, function="max"),
        ),
        stat(
            Look(
                "Ended per second",
                PER_SECOND,
                "Streams that ended, however they did. A drop with rising active streams: they hang.",
                3,
            ),
            streams(),
        ),
        stat(
            Look(
                "Completion",
                "percentunit",
                "Streams that came to their end, of those that nobody aborted. Red: see how streams end, by phase;"
                " then the traces of the failed ones.",
                4,
                COMPLETION_STEPS,
                (HAS_FAILED,),
                most=1,
            ),
            promql.completion(),
        ),
        stat(
            Look(
                "First chunk p95",
                "s",
                "From the call to the first content. Red: by model below; all models at once point to the network or"
                " to the provider, misses of the cache to changed prompts.",
                4,
                FIRST_CHUNK_STEPS,
                (IS_SLOW,),
            ),
            promql.known(promql.quantile(0.95, semconv.TIME_TO_FIRST_CHUNK)),
        ),
        stat(
            Look(
                "Mid-stream errors",
                "percentunit",
                "Failed or cut after the headers, of the streams that nobody aborted. The HTTP status of these calls"
                " was 200. Red: error types and phases below say whether provider or network.",
                3,
                up_to(slo.MID_STREAM_ERROR_SHARE),
                (HAS_FAILED, is_(semconv.PHASE, "opening", operator="!=")),
            ),
            failing,
        ),
        stat(
            Look(
                "Error budget left",
                "percentunit",
                f"Of the {slo.BUDGET:.0%} of streams that may fail in {slo.BUDGET_DAYS} days. Below 0: overspent; put"
                " reliability before features.",
                4,
                ((None, RED), (0, ORANGE), (slo.BUDGET_LOW, GREEN)),
                most=1,
            ),
            promql.budget_left(),
            graph=False,
        ),
        *hanging(),
    ]


def hanging() -> list[Panel]:
    return [
        graph(
            Look(
                "Silent streams",
                "short",
                "Streams that are open now and have been silent for so long while somebody waits. Rising lines: they"
                " hang; the panel beside says whether the line is dead or the model is silent.",
                steps=up_to(slo.SILENT_AT_LEAST),
            ),
            Query(promql.open_streams(semconv.SILENT, by=[AT_LEAST]), f"{{{{{AT_LEAST}}}}} s or longer"),
        ),
        graph(
            Look(
                "Longest silence, of the model and of the line",
                "s",
                "Both high: no byte comes, the line is dead; look at proxies and load balancers. No event, but bytes:"
                " keep-alives come and the model is silent; see the provider's status.",
                steps=up_to(slo.SILENCE_SECONDS),
            ),
            Query(promql.open_streams(semconv.SILENCE, function="max"), "no event"),
            Query(promql.open_streams(semconv.LINE_SILENCE, function="max"), "no byte"),
        ),
        graph(
            Look(
                "Longest silence, by phase",
                "s",
                "Where in the stream they hang. opening: no headers yet. waiting: no content yet. thinking: it may only"
                " think for long. streaming: in the middle of the answer.",
                steps=up_to(slo.SILENCE_SECONDS),
            ),
            Query(promql.open_streams(semconv.SILENCE, by=[PHASE], function="max"), f"{{{{{PHASE}}}}}"),
        ),
    ]


def first_chunk() -> list[Panel]:
    first, text = semconv.TIME_TO_FIRST_CHUNK, semconv.FIRST_TEXT
    shown = (0.5, 0.95, 0.99)
    quantiles = [Query(promql.quantile(of, first), f"p{of * 100:.0f}", exemplars=of == max(shown)) for of in shown]
    hit = {True: f'{CACHE_HIT}="true"', False: f'{CACHE_HIT}="false"'}
    return [
        graph(
            Look(
                "Time to the first chunk",
                "s",
                "The dots are streams: click one to open its trace. Only p99 high: some long prompts; all high:"
                " everybody waits.",
                steps=FIRST_CHUNK_STEPS,
                traces=(IS_SLOW,),
            ),
            *quantiles,
        ),
        heatmap(
            Look(
                "Time to the first chunk, all streams",
                "s",
                "Two bands: two populations, such as cache hits and misses, or two models. A band that moves up: a"
                " queue at the provider.",
            ),
            promql.buckets(first),
        ),
        graph(
            Look(
                "First chunk p95 by model",
                "s",
                "One model high: its provider or its version; all: the network, or the provider as a whole.",
                steps=FIRST_CHUNK_STEPS,
                traces=(IS_SLOW,),
            ),
            Query(promql.quantile(0.95, first, by=EACH_MODEL), MODEL_LEGEND, exemplars=True),
        ),
        graph(
            Look(
                "First chunk p95, cache hit against miss",
                "s",
                "Far apart and more misses than yesterday: something at the head of the prompt changes now, and every"
                " call pays for it.",
                12,
                traces=(IS_SLOW,),
            ),
            Query(promql.quantile(0.95, first, hit[True]), "hit"),
            Query(promql.quantile(0.95, first, hit[False]), "miss"),
        ),
        graph(
            Look(
                "First text beside first chunk, p95",
                "s",
                "The distance is thinking and tool input, which readers do not see. Growing: the thinking budget, not"
                " the provider's queue.",
                12,
                traces=(IS_SLOW,),
            ),
            Query(promql.quantile(0.95, first), "first chunk"),
            Query(promql.quantile(0.95, text), "first text", exemplars=True),
        ),
    ]


def endings() -> list[Panel]:
    otherwise = semconv.INCOMPLETE_DURATION
    return [
        graph(
            Look(
                "Outcomes", PER_SECOND, "Which ending grows? Aborts are decisions of readers, the others are failures."
            ),
            Query(streams(by=[OUTCOME]), f"{{{{{OUTCOME}}}}}"),
            stacked=True,
        ),
        graph(
            Look(
                "Stop reasons",
                PER_SECOND,
                "Of complete streams. More max_tokens or length: answers are cut that the HTTP status calls a success;"
                " see repetition. More refusal or content_filter: a prompt or a model has changed.",
            ),
            Query(promql.some(streams(promql.COMPLETE, by=[names.STOP_REASON])), f"{{{{{names.STOP_REASON}}}}}"),
            stacked=True,
        ),
        graph(
            Look(
                "Error types",
                PER_SECOND,
                "In the provider's own words: overloaded_error, api_error and server_error are the provider's fault."
                " stream_truncated, connection_error and client_timeout_error are the network's or a proxy's;"
                " invalid_request_error is ours.",
                traces=(HAS_FAILED,),
            ),
            Query(
                promql.some(streams(FAILED, by=[PROVIDER, names.ERROR_TYPE])),
                f"{{{{{PROVIDER}}}}}, {{{{{names.ERROR_TYPE}}}}}",
            ),
            stacked=True,
        ),
        graph(
            Look(
                "Where streams fail",
                PER_SECOND,
                "opening: the call never became a stream. waiting: no content yet. tool_input: a tool call was lost.",
                traces=(HAS_FAILED,),
            ),
            Query(promql.some(streams(FAILED, by=[OUTCOME, PHASE])), f"{{{{{OUTCOME}}}}} in {{{{{PHASE}}}}}"),
        ),
        graph(
            Look(
                "Where readers leave",
                PER_SECOND,
                "waiting: they lost patience before the first word. thinking: after it, with nothing to read. text:"
                " they had enough, or it was wrong. never_read: the application opens streams that nobody reads.",
                traces=(IS_ABORTED,),
            ),
            Query(promql.some(streams(ABORTED, by=[PHASE, ABORT_REASON])), f"{{{{{PHASE}}}}}, {{{{{ABORT_REASON}}}}}"),
        ),
        graph(
            Look(
                "How far aborted streams had come",
                "s",
                "From the call to the moment when the reader left. Falling with the same abort share: impatience; at"
                " the same second for all: a timeout of the application's own.",
                traces=(IS_ABORTED,),
            ),
            Query(promql.quantile(0.5, otherwise, ABORTED), "p50"),
            Query(promql.quantile(0.9, otherwise, ABORTED), "p90"),
        ),
        heatmap(
            Look(
                "Where streams are cut, by duration",
                "s",
                "Of truncated and failed streams. A wall at one height, such as 60 s, is the timeout of a proxy or a"
                " load balancer: find who closes there.",
                12,
            ),
            promql.buckets(otherwise, FAILED),
        ),
        graph(
            Look(
                "Duration of truncated streams",
                "s",
                "p50 and p99 together: the same cause cuts all of them, a timeout on the way. Far apart: the provider.",
                12,
                traces=(is_(semconv.OUTCOME, "truncated"),),
            ),
            Query(promql.quantile(0.5, otherwise, f'{OUTCOME}="truncated"'), "p50"),
            Query(promql.quantile(0.99, otherwise, f'{OUTCOME}="truncated"'), "p99", exemplars=True),
        ),
    ]


def inside() -> list[Panel]:
    return [
        graph(
            Look(
                "Worst silence within a stream, p99",
                "s",
                "The longest pause of each stream after its first chunk: freezes in the middle of a sentence. One"
                " model: the provider. All: something on the way holds data back.",
                steps=GAP_STEPS,
                traces=(STALLED,),
            ),
            Query(promql.quantile(0.99, semconv.GAP_MAX, by=EACH_MODEL), MODEL_LEGEND, exemplars=True),
        ),
        heatmap(
            Look(
                "Worst silence within a stream, all streams",
                "s",
                "A band of its own far up: streams that froze. A line at one height: somebody's keep-alive or timeout.",
            ),
            promql.buckets(semconv.GAP_MAX),
        ),
        graph(
            Look(
                "Stalls per stream",
                "percentunit",
                f"Silences of {slo.GAP_SECONDS:.0f} s and more, of the streams that ended. Red: readers see the answer"
                " freeze; the traces say in which phase.",
                steps=up_to(slo.STALL_SHARE),
                traces=(STALLED,),
            ),
            Query(share(promql.anomalies("stall", EACH_MODEL), streams(by=EACH_MODEL)), MODEL_LEGEND),
        ),
        graph(
            Look(
                "Time per output token, p50",
                "s",
                "The pace of writing. Up for one model: its provider is slow under load, or the version has changed.",
                6,
                traces=(),
            ),
            Query(promql.quantile(0.5, semconv.PER_OUTPUT_TOKEN, by=EACH_MODEL), MODEL_LEGEND, exemplars=True),
        ),
        graph(
            Look(
                "Who is waited for",
                "s",
                "Seconds of waiting per second. Way: something between held chunks back. Loop: the application blocked"
                " its own event loop. Reader above model: it is too slow to read. Only the model is the provider's.",
                6,
            ),
            Query(promql.rate(semconv.WAITED_FOR_PROVIDER), "model", color="blue"),
            Query(promql.rate(semconv.WAITED_FOR_TRANSIT), "way", color="yellow"),
            Query(promql.rate(semconv.WAITED_FOR_EVENT_LOOP), "loop", color="purple"),
            Query(promql.rate(semconv.WAITED_FOR_CONSUMER), "reader", color="red"),
        ),
        graph(
            Look(
                "Buffered streams",
                "percentunit",
                "They came in one burst after a long wait: a proxy held them back. Red: turn its buffering off for"
                " text/event-stream.",
                6,
                up_to(slo.BUFFERED_SHARE),
                (is_(semconv.BUFFERED, True),),
            ),
            Query(share(promql.anomalies("buffered", EACH_MODEL), streams(by=EACH_MODEL)), MODEL_LEGEND),
        ),
        graph(
            Look(
                "Repetition",
                "percentunit",
                "Streams in which the model repeated itself. Red: a prompt or a model version loops; every loop is"
                " billed up to the limit of tokens.",
                6,
                up_to(slo.REPETITION_SHARE),
                (LOOPED,),
            ),
            Query(share(promql.anomalies("repetition", EACH_MODEL), streams(by=EACH_MODEL)), MODEL_LEGEND),
        ),
    ]


def tools() -> list[Panel]:
    calls = semconv.TOOL_CALLS
    whole, cut = f'{names.TOOL_CALL_COMPLETED}="true"', f'{names.TOOL_CALL_COMPLETED}="false"'
    return [
        graph(
            Look(
                "Tool calls",
                PER_SECOND,
                "Completed ones came whole and with valid JSON. Incomplete: cut by a token limit, by the end of the"
                " stream or by a reader who left.",
                traces=(TOOL_CALL_LOST,),
            ),
            Query(promql.rate(calls, whole), "completed"),
            Query(promql.anomalies("incomplete_tool_call"), "incomplete"),
            Query(promql.anomalies("invalid_tool_json"), "invalid JSON"),
        ),
        graph(
            Look(
                "Tool calls that cannot be used",
                "percentunit",
                "Incomplete or invalid, of the tool calls of streams that nobody aborted. Red: raise the limit of"
                " tokens, or look for a model that loops in tool input.",
                steps=up_to(slo.INCOMPLETE_TOOL_CALL_SHARE),
                traces=(TOOL_CALL_LOST, is_(semconv.OUTCOME, "aborted", operator="!=")),
            ),
            Query(
                share(promql.rate(calls, JUDGED, cut, by=EACH_MODEL), promql.rate(calls, JUDGED, by=EACH_MODEL)),
                MODEL_LEGEND,
            ),
        ),
        graph(
            Look(
                "Tool calls completed before an abort",
                PER_SECOND,
                "Side effects at risk: the reader left, but these calls had come whole and may have been carried out."
                " The traces name the tools.",
                traces=(SIDE_EFFECTS,),
            ),
            Query(promql.rate(calls, whole, ABORTED, by=EACH_MODEL), MODEL_LEGEND),
        ),
    ]


def tokens() -> list[Panel]:
    chars = semconv.OUTPUT_CHARS
    all_hits = promql.rate(semconv.TIME_TO_FIRST_CHUNK, f'{CACHE_HIT}=~"true|false"', suffix="_count")
    hits = promql.rate(semconv.TIME_TO_FIRST_CHUNK, f'{CACHE_HIT}="true"', suffix="_count")
    looping = promql.rate(chars, f'{names.REPETITION_DETECTED}="true"')
    return [
        graph(
            Look(
                "Tokens",
                PER_SECOND,
                "As the provider reports them; input is with the cache's. Cache read falls while input does not: the"
                " head of the prompt changes. Aborted streams report no output: see the last panel.",
                traces=(),
            ),
            Query(promql.token_rate(), f"{{{{{names.TOKEN_TYPE}}}}}"),
            Query(promql.rate(semconv.CACHE_TOKENS, by=[names.CACHE_USE]), f"cache {{{{{names.CACHE_USE}}}}}"),
        ),
        graph(
            Look(
                "Streams with a cache hit",
                "percentunit",
                "Falling: the head of the prompt changes from call to call, and input costs many times as much. How"
                " much of one stream came from the cache is on its span: gen_ai.usage.cache_read.input_tokens.",
                most=1,
                traces=(is_(semconv.USAGE_CACHE_READ_INPUT_TOKENS, 1, operator=">="),),
            ),
            Query(share(hits, all_hits), "hits"),
        ),
        graph(
            Look(
                "Output for nothing",
                "percentunit",
                "Of the chars delivered: those of streams that did not complete, and of streams that looped. They are"
                " billed, too.",
                traces=(f"({is_(semconv.OUTCOME, 'complete', operator='!=')} || {LOOPED})",),
            ),
            Query(share(promql.rate(chars, ABORTED), promql.rate(chars)), "aborted"),
            Query(share(promql.rate(chars, FAILED), promql.rate(chars)), "failed"),
            Query(share(looping, promql.rate(chars)), "looping"),
        ),
        comparison(
            Look("Output by model, in this range", "short", "Which model writes most, and how much of it.", 24),
            ((PROVIDER, "Provider"), (MODEL, "Model")),
            (
                Column("Streams", _sum(semconv.STREAMS), "short"),
                Column("Input tokens", promql.token_increase("input", EACH_MODEL), "short"),
                Column("Output tokens", promql.token_increase("output", EACH_MODEL), "short"),
                Column("Output chars", _sum(chars), "short"),
            ),
        ),
    ]


def _sum(metric: semconv.Metric) -> str:
    return promql.rate(metric, by=EACH_MODEL, window=promql.WHOLE_RANGE, function="increase")
