"""Streams by model: the texture of models and versions side by side, for the day after a model upgrade."""

from grafana_foundation_sdk.builders import dashboard

from streamspan import semconv

from . import names, promql, slo
from .names import EACH_MODEL, MODEL, MODEL_LEGEND, PROVIDER, VERSION
from .overview import COMPLETION_STEPS, FIRST_CHUNK_STEPS, GAP_STEPS, IS_ABORTED, IS_SLOW, LOOPED, STALLED, up_to
from .panels import Column, Look, Panel, Query, board, comparison, graph
from .promql import ABORTED, share, streams
from .traceql import is_

UID = "streams-by-model"
BY = (*EACH_MODEL, VERSION)
LEGEND = f"{MODEL_LEGEND}, {{{{{VERSION}}}}}"
BEHIND_THE_CALL = (f'{VERSION}!=""',)
"""A stream that never opened has no version: it says nothing about one."""


def built() -> dashboard.Dashboard:
    return board(
        UID,
        "Streams: by model",
        "Models, and the versions that answered for them, side by side. After an upgrade: is it slower, does it"
        " pause, do readers leave, does it loop, more than the version before.",
        (
            ("Side by side, in this range", [side_by_side()]),
            ("How it feels", feel()),
            ("How it ends", ends()),
        ),
    )


def side_by_side() -> Panel:
    window = promql.WHOLE_RANGE
    ended = streams(*BEHIND_THE_CALL, by=BY, window=window)
    first, token = semconv.TIME_TO_FIRST_CHUNK, semconv.PER_OUTPUT_TOKEN
    judged = streams(promql.JUDGED, *BEHIND_THE_CALL, by=BY, window=window)
    complete = streams(promql.COMPLETE, *BEHIND_THE_CALL, by=BY, window=window)
    aborted = streams(ABORTED, *BEHIND_THE_CALL, by=BY, window=window)

    def at(of: float, metric: semconv.Metric) -> str:
        return promql.known(promql.quantile(of, metric, by=BY, window=window))

    everything = promql.rate(semconv.STREAMS, *BEHIND_THE_CALL, by=BY, window=window, function="increase")
    return comparison(
        Look(
            "Models and versions",
            "short",
            "Compare the rows of the old and the new version. A worse cell is a lead: the panel of that name below"
            " shows since when.",
            24,
        ),
        ((PROVIDER, "Provider"), (MODEL, "Model"), (VERSION, "Version")),
        (
            Column("Streams", promql.some(everything), "short"),
            Column("Completion", share(complete, judged), "percentunit", COMPLETION_STEPS),
            Column("First chunk p95", at(0.95, first), "s", FIRST_CHUNK_STEPS),
            Column("Per token p50", at(0.5, token), "s"),
            Column("Worst silence p99", at(0.99, semconv.GAP_MAX), "s", GAP_STEPS),
            Column(
                "Tool pause p95",
                at(0.95, semconv.PAUSE_BEFORE_TOOL_CALL),
                "s",
            ),
            Column("Aborted", share(aborted, ended), "percentunit"),
            Column(
                "Repetition",
                share(promql.anomalies("repetition", BY, window), ended),
                "percentunit",
                up_to(slo.REPETITION_SHARE),
            ),
        ),
    )


def feel() -> list[Panel]:
    first, token, gap = semconv.TIME_TO_FIRST_CHUNK, semconv.PER_OUTPUT_TOKEN, semconv.GAP_MAX
    return [
        graph(
            Look(
                "First chunk p95",
                "s",
                "A step at the upgrade: the new version thinks or queues longer before it writes.",
                steps=FIRST_CHUNK_STEPS,
                traces=(IS_SLOW,),
            ),
            Query(promql.quantile(0.95, first, by=BY), LEGEND, exemplars=True),
        ),
        graph(
            Look(
                "First chunk p50",
                "s",
                "What most readers feel. p95 alone may be a few long prompts.",
                traces=(),
            ),
            Query(promql.quantile(0.5, first, by=BY), LEGEND),
        ),
        graph(
            Look(
                "Time per output token, p50", "s", "The pace of writing. A step: another version, or load.", traces=()
            ),
            Query(promql.quantile(0.5, token, by=BY), LEGEND, exemplars=True),
        ),
        graph(
            Look(
                "Worst silence within a stream, p95",
                "s",
                "Pauses in the middle of the answer. Up after an upgrade: it pauses, or the way to it does.",
                12,
                GAP_STEPS,
                (STALLED,),
            ),
            Query(promql.quantile(0.95, gap, by=BY), LEGEND, exemplars=True),
        ),
        graph(
            Look(
                "Pause before a tool call, p95",
                "s",
                "How long the model is silent before it starts a tool call. Readers see a freeze: show them something.",
                12,
                traces=(is_(semconv.TOOL_CALL_COUNT, 1, operator=">="),),
            ),
            Query(promql.quantile(0.95, semconv.PAUSE_BEFORE_TOOL_CALL, by=BY), LEGEND, exemplars=True),
        ),
    ]


def ends() -> list[Panel]:
    ended = streams(*BEHIND_THE_CALL, by=BY)
    first = semconv.TIME_TO_FIRST_CHUNK
    return [
        graph(
            Look(
                "Aborted by readers",
                "percentunit",
                "More than for the version before: readers like the answers less, or wait longer for them.",
                traces=(IS_ABORTED,),
            ),
            Query(share(streams(ABORTED, *BEHIND_THE_CALL, by=BY), ended), LEGEND),
        ),
        graph(
            Look(
                "Repetition",
                "percentunit",
                "A version that loops where the one before did not: go back, or change the prompt.",
                steps=up_to(slo.REPETITION_SHARE),
                traces=(LOOPED,),
            ),
            Query(share(promql.anomalies("repetition", BY), ended), LEGEND),
        ),
        graph(
            Look(
                "Output tokens per stream",
                "short",
                "The new version writes more, or less, for the same question: cost and length of answers.",
                traces=(),
            ),
            Query(promql.mean_output_tokens(BY), LEGEND),
        ),
        graph(
            Look(
                "Cut by a token limit",
                "percentunit",
                "Complete for HTTP, cut for the reader. More than before: the new version writes longer answers.",
                traces=(is_(semconv.STOP_REASON, promql.CUT_REASONS, operator="=~"),),
            ),
            Query(
                share(streams(f'{names.STOP_REASON}=~"{promql.CUT_REASONS}"', *BEHIND_THE_CALL, by=BY), ended), LEGEND
            ),
        ),
        graph(
            Look(
                "Refusals",
                "percentunit",
                "More than before: the new version takes the prompt or the questions for something else.",
                traces=(is_(semconv.STOP_REASON, "refusal|content_filter", operator="=~"),),
            ),
            Query(share(promql.anomalies("refusal", BY), ended), LEGEND),
        ),
        graph(
            Look(
                "First chunk p95, now against the day before",
                "s",
                "Apart since the upgrade and together before it: the upgrade. Apart at all times: the load.",
                traces=(IS_SLOW,),
            ),
            Query(promql.quantile(0.95, first, by=EACH_MODEL), f"{MODEL_LEGEND} now"),
            Query(day_before(promql.quantile(0.95, first, by=EACH_MODEL)), f"{MODEL_LEGEND} the day before"),
        ),
    ]


def day_before(expression: str) -> str:
    return expression.replace(f"[{promql.EACH_STEP}]", f"[{promql.EACH_STEP}] offset 1d")
