"""Recording rules and alerts, as Prometheus reads them.

Rules
    Every threshold is in slo.py; every alert on a share waits for a minimum of traffic.
    None fires for one or two bad streams, however few there are.
    Aborted streams are nobody's failure: they stay out of the completion ratio.
    Each alert has a heading of its name in runbooks/streams.md.
    Sums keep `job`, with provider and model where an alert is about one model; never `instance`: restarts split them.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from streamspan import semconv

from . import names, promql, slo
from .names import EACH_MODEL, MODEL, PROVIDER, series
from .promql import ABORTED, FAILED, JUDGED, MID_STREAM, share, streams

RUNBOOKS: Final = os.environ.get("STREAMSPAN_RUNBOOKS", "https://runbooks.example/streamspan/streams.md#")
"""Where runbooks/streams.md is shown; the alert's name in lower case follows."""
JOB: Final = ("job",)
JOB_AND_MODEL: Final = ("job", *EACH_MODEL)
ALL: Final = ()
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
OF: Final = "{{ $labels.job }}"
OF_MODEL: Final = f"{OF}, {{{{ $labels.{MODEL} }}}} of {{{{ $labels.{PROVIDER} }}}}"
SHARE: Final = "{{ $value | humanizePercentage }}"
SECONDS: Final = "{{ $value | humanizeDuration }}"


LINE_OF: Final = f"{series(semconv.LINE_SILENCE)}{{job=%q, {PROVIDER}=%q, {MODEL}=%q}}"
WHICH_LINE: Final = (
    f"{{{{ with query (printf `max({LINE_OF})` $labels.job $labels.{PROVIDER} $labels.{MODEL}) }}}}"
    f"{{{{ if ge (. | first | value) {slo.SILENCE_SECONDS} }}}}"
    " At least one line is dead: no byte has come on it for {{ . | first | value | humanizeDuration }}."
    "{{ else }} The lines live: keep-alives come on each of them, and the model is silent.{{ end }}{{ end }}"
)
"""Prometheus asks for it when it writes the words of the alert."""


@dataclass(frozen=True, slots=True)
class Recording:
    record: str
    expression: str


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    expression: str
    pending: str
    severity: slo.Severity
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    keep_firing: str = "5m"


Rule = Recording | Alert


def failed_ratio(window: str) -> str:
    return f"job:llm_stream_failed:ratio_rate{window}"


def judged_count(window: str) -> str:
    return f"job:llm_stream_judged:increase{window}"


ABORTED_RATIO: Final = "job:llm_stream_aborted:ratio_rate30m"
ENDED_COUNT: Final = "job:llm_stream_ended:increase30m"


def recordings() -> Iterator[Recording]:
    """What several rules need, and what is too much to ask for again at each evaluation."""
    for window in WINDOWS:
        failed = streams(FAILED, by=JOB, window=window, among=ALL)
        judged = streams(JUDGED, by=JOB, window=window, among=ALL)
        yield Recording(failed_ratio(window), share(failed, judged))
    for burn in slo.BURN_RATES:
        yield Recording(judged_count(burn.long), increase(semconv.STREAMS, JUDGED, by=JOB, window=burn.long))
    aborted, ended = (streams(*which, by=JOB, window="30m", among=ALL) for which in ((ABORTED,), ()))
    yield Recording(ABORTED_RATIO, share(aborted, ended))
    yield Recording(ENDED_COUNT, increase(semconv.STREAMS, by=JOB, window="30m"))


def alerts() -> Iterator[Alert]:
    yield from completion()
    yield from waiting()
    yield from endings()
    yield from inside()
    yield from telemetry()


def completion() -> Iterator[Alert]:
    for burn in slo.BURN_RATES:
        most = f"{burn.factor} * {slo.BUDGET:g}"
        yield Alert(
            "LLMStreamCompletionBudgetBurn",
            f"{failed_ratio(burn.long)} > {most}\nand\n{failed_ratio(burn.short)} > {most}\nand\n"
            f"{failed_ratio(burn.long)} * {judged_count(burn.long)} >= {slo.BAD_AT_LEAST}\nand\n"
            f"{judged_count(burn.long)} >= {slo.STREAMS_AT_LEAST}",
            burn.pending,
            burn.severity,
            f"Streams of {OF} fail: the error budget burns {burn.factor:g} times as fast as it may.",
            f"{SHARE} of the streams of the last {burn.long} that nobody aborted were truncated or failed;"
            f" {slo.BUDGET:.0%} may.",
            {"slo": "completion", "long": burn.long, "short": burn.short},
        )


def waiting() -> Iterator[Alert]:
    first = promql.quantile(0.95, semconv.TIME_TO_FIRST_CHUNK, by=JOB_AND_MODEL, window="10m", among=ALL)
    first_count = increase(semconv.TIME_TO_FIRST_CHUNK, window="10m", suffix="_count")
    yield Alert(
        "LLMStreamFirstChunkSlow",
        f"{first} > {slo.FIRST_CHUNK_SECONDS:g}\nand\n{first_count} >= {slo.STREAMS_AT_LEAST}",
        "5m",
        "page",
        f"Readers of {OF_MODEL} wait for the first chunk.",
        f"One stream in twenty takes {SECONDS} or longer to its first chunk; {slo.FIRST_CHUNK_SECONDS:g} s is the"
        f" limit.",
        {"slo": "first_chunk"},
    )
    silent = promql.selected(series(semconv.SILENT), promql.silent_for(slo.SILENCE_SECONDS))
    yield Alert(
        "LLMStreamSilent",
        f"{promql.summed(silent, JOB_AND_MODEL)} >= {slo.SILENT_AT_LEAST}",
        "1m",
        "page",
        f"Streams of {OF_MODEL} hang now.",
        "{{ $value }} open streams have been silent for "
        f"{slo.SILENCE_SECONDS:g} s and longer while somebody waits.{WHICH_LINE} They have no trace until they end.",
        keep_firing="2m",
    )


def endings() -> Iterator[Alert]:
    judged = streams(JUDGED, by=JOB_AND_MODEL, window="10m", among=ALL)
    mid_stream = streams(*MID_STREAM, by=JOB_AND_MODEL, window="10m", among=ALL)
    yield Alert(
        "LLMStreamMidStreamErrors",
        f"{share(mid_stream, judged)} > {slo.MID_STREAM_ERROR_SHARE:g}\nand\n"
        f"{increase(semconv.STREAMS, *MID_STREAM, window='10m')} >= {slo.BAD_AT_LEAST}\nand\n"
        f"{increase(semconv.STREAMS, JUDGED, window='10m')} >= {slo.STREAMS_AT_LEAST}",
        "5m",
        "page",
        f"Streams of {OF_MODEL} break off after they began.",
        f"{SHARE} were truncated or failed after the headers. Their HTTP status was 200.",
    )
    yield Alert(
        "LLMStreamAbortSpike",
        f"{ABORTED_RATIO} > {slo.ABORT_SPIKE_FACTOR:g} * {ABORTED_RATIO} offset 1d\nand\n"
        f"{ABORTED_RATIO} > {ABORTED_RATIO} offset 1d + {slo.ABORT_SPIKE_POINTS:g}\nand\n"
        f"{ENDED_COUNT} >= {slo.STREAMS_AT_LEAST}\nand\n{ENDED_COUNT} offset 1d >= {slo.STREAMS_AT_LEAST}",
        "10m",
        "ticket",
        f"Readers of {OF} leave much more often than yesterday at this time.",
        f"{SHARE} of the streams of the last 30 minutes were aborted.",
    )


def inside() -> Iterator[Alert]:
    for name, kind, limit, summary, description in (
        (
            "LLMStreamStalls",
            "stall",
            slo.STALL_SHARE,
            "freeze in the middle",
            f"{SHARE} stalls per stream: silences of {slo.GAP_SECONDS:g} s and more after the first chunk.",
        ),
        (
            "LLMStreamRepetition",
            "repetition",
            slo.REPETITION_SHARE,
            "loop",
            f"In {SHARE} of the streams the model repeated itself. Every loop is billed.",
        ),
        (
            "LLMStreamBuffered",
            "buffered",
            slo.BUFFERED_SHARE,
            "come in one burst",
            f"{SHARE} of the streams were held back on the way and let go at once.",
        ),
    ):
        ended = streams(by=JOB_AND_MODEL, window="30m", among=ALL)
        is_anomaly = f'{names.ANOMALY}="{kind}"'
        yield Alert(
            name,
            f"{share(promql.anomalies(kind, JOB_AND_MODEL, '30m', ALL), ended)} > {limit:g}\nand\n"
            f"{increase(semconv.ANOMALIES, is_anomaly, window='30m')} >= {slo.BAD_AT_LEAST}\nand\n"
            f"{increase(semconv.STREAMS, window='30m')} >= {slo.STREAMS_AT_LEAST}",
            "5m",
            "ticket",
            f"Streams of {OF_MODEL} {summary}.",
            description,
        )
    cut = f'{names.TOOL_CALL_COMPLETED}="false"'
    calls, cut_calls = (
        promql.rate(semconv.TOOL_CALLS, JUDGED, *which, by=JOB_AND_MODEL, window="30m", among=ALL)
        for which in ((), (cut,))  # a reader who leaves cuts calls, too
    )
    yield Alert(
        "LLMStreamToolCallsIncomplete",
        f"{share(cut_calls, calls)} > {slo.INCOMPLETE_TOOL_CALL_SHARE:g}\nand\n"
        f"{increase(semconv.TOOL_CALLS, JUDGED, cut, window='30m')} >= {slo.BAD_AT_LEAST}\nand\n"
        f"{increase(semconv.TOOL_CALLS, JUDGED, window='30m')} >= {slo.TOOL_CALLS_AT_LEAST}",
        "5m",
        "ticket",
        f"Tool calls of {OF_MODEL} cannot be used.",
        f"{SHARE} of the tool calls in streams that nobody aborted came incomplete or with invalid JSON.",
    )


def telemetry() -> Iterator[Alert]:
    alive = series(semconv.INSTRUMENTATION_FAILURES)  # there from the start, before any stream
    yield Alert(
        "LLMStreamTelemetryAbsent",
        f"group by (job) (max_over_time({alive}[6h]))\nunless\ngroup by (job) ({alive})",
        "10m",
        "ticket",
        f"{OF} no longer tells of its streams.",
        "It did within the last 6 hours. Every other alert on it is blind.",
    )
    failing = increase(semconv.INSTRUMENTATION_FAILURES, by=JOB, window="15m")
    born = promql.summed(f"{alive} unless {alive} offset 15m", JOB)  # with the first failure of its function
    yield Alert(
        "LLMStreamInstrumentationFailing",
        f"{failing} > 0\nor\n{born} > 0",
        "5m",
        "ticket",
        f"streamspan fails in {OF}.",
        "Its own code failed {{ $value | humanize }} times in 15 minutes. The application never sees it; some streams"
        " were not observed to their end.",
    )


def increase(
    metric: semconv.Metric, *matchers: str, by: Sequence[str] = JOB_AND_MODEL, window: str, suffix: str = ""
) -> str:
    return promql.rate(metric, *matchers, by=by, window=window, among=ALL, function="increase", suffix=suffix)


# --- as YAML -----------------------------------------------------------------------------------------------------


def files() -> dict[str, str]:
    return {
        "streamspan-recording.yaml": _group("streamspan-recording", list(recordings())),
        "streamspan-alerts.yaml": _group("streamspan-alerts", list(alerts())),
    }


def _group(name: str, rules: Sequence[Rule]) -> str:
    lines = [
        "# Built by `make dashboards` from boards/rules.py; thresholds are in boards/slo.py.",
        "# Where your runbooks are: STREAMSPAN_RUNBOOKS=https://.../streams.md# make dashboards",
        "groups:",
    ]
    lines += [f"  - name: {name}", "    interval: 30s", "    rules:"]
    for rule in rules:
        lines += _recording(rule) if isinstance(rule, Recording) else _alert(rule)
    return "\n".join(lines) + "\n"


def _recording(rule: Recording) -> Iterator[str]:
    yield f"      - record: {rule.record}"
    yield from _expression(rule.expression)


def _alert(rule: Alert) -> Iterator[str]:
    yield f"      - alert: {rule.name}"
    yield from _expression(rule.expression)
    yield f"        for: {rule.pending}"
    yield f"        keep_firing_for: {rule.keep_firing}"
    yield from _mapping("labels", {"severity": rule.severity, **rule.labels})
    annotations = {
        "summary": rule.summary,
        "description": rule.description,
        "runbook_url": RUNBOOKS + rule.name.lower(),
    }
    yield from _mapping("annotations", annotations)


def _expression(expression: str) -> Iterator[str]:
    yield "        expr: |-"
    yield from (f"          {line}" for line in expression.splitlines())


def _mapping(name: str, values: Mapping[str, str]) -> Iterator[str]:
    """JSON's strings are YAML's, too."""
    yield f"        {name}:"
    yield from (f"          {key}: {json.dumps(value)}" for key, value in values.items())
