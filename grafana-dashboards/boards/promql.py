"""PromQL on our metrics. Every query is limited to what is chosen at the top of the board.

A metric whose name the latest GenAI conventions change is asked for under both names, series by series: `or` leaves out
what an application sends a second time, which is the same but for its name.

A sum over no series is empty, not 0; so a share of nothing is empty, and the panel says "no traffic".
"""

from collections.abc import Sequence
from typing import Final

from streamspan import semconv
from streamspan.semconv import Metric, latest

from . import names, slo
from .names import OUTCOME, PHASE, series

CHOSEN: Final = (f'job=~"$job", {names.PROVIDER}=~"$provider", {names.MODEL}=~"$model"',)
CHOSEN_JOB: Final = ('job=~"$job"',)
EACH_STEP: Final = "$__rate_interval"
WHOLE_RANGE: Final = "$__range"

JUDGED: Final = f'{OUTCOME}=~"complete|truncated|error"'
"""Without those that the reader left: nobody knows how they would have ended."""
FAILED: Final = f'{OUTCOME}=~"truncated|error"'
COMPLETE: Final = f'{OUTCOME}="complete"'
ABORTED: Final = f'{OUTCOME}="aborted"'
TOKEN_COUNTERS: Final = {"input": latest.INPUT_TOKENS, "output": latest.OUTPUT_TOKENS}
"""What the latest GenAI conventions have in the place of the sums of a histogram, by the histogram's label."""
CUT_REASONS: Final = "max_tokens|model_context_window_exceeded|length|max_output_tokens|model_length"
"""The stop reasons of answers that a limit of tokens has cut, in the words of all providers."""
MID_STREAM: Final = (FAILED, f'{PHASE}!="opening"')
"""After the headers of the response: the HTTP call was a success."""


def selected(name: str, *matchers: str) -> str:
    return f"{name}{{{', '.join(matchers)}}}"


def summed(expression: str, by: Sequence[str] = (), function: str = "sum") -> str:
    return f"{function} by ({', '.join(by)}) ({expression})" if by else f"{function}({expression})"


def rate(
    metric: Metric,
    *matchers: str,
    by: Sequence[str] = (),
    window: str = EACH_STEP,
    among: Sequence[str] = CHOSEN,
    function: str = "rate",
    suffix: str = "",
) -> str:
    """Events per second; of a histogram, with its suffix."""
    one_name = one_rate(metric, *matchers, window=window, among=among, function=function, suffix=suffix)
    if metric not in latest.RENAMED:
        return summed(one_name, by)
    renamed = latest.RENAMED[metric]
    other_name = one_rate(renamed, *matchers, window=window, among=among, function=function, suffix=suffix)
    return summed(f"{one_name} or {other_name}", by)


def one_rate(
    metric: Metric,
    *matchers: str,
    window: str = EACH_STEP,
    among: Sequence[str] = CHOSEN,
    function: str = "rate",
    suffix: str = "",
) -> str:
    """Of each series."""
    return f"{function}({selected(series(metric) + suffix, *among, *matchers)}[{window}])"


def token_rate() -> str:
    """Tokens per second, by their type."""
    rates = [one_rate(semconv.TOKEN_USAGE, suffix="_sum")]
    for token_type, metric in TOKEN_COUNTERS.items():
        rates.append(f'label_replace({one_rate(metric)}, "{names.TOKEN_TYPE}", "{token_type}", "", "")')
    return summed(f" or ignoring ({names.TOKEN_MODALITY}) ".join(rates), (names.TOKEN_TYPE,))


def token_increase(token_type: str, by: Sequence[str]) -> str:
    """Tokens of one type in the range that is shown."""
    of_type = f'{names.TOKEN_TYPE}="{token_type}"'
    usage = one_rate(semconv.TOKEN_USAGE, of_type, window=WHOLE_RANGE, function="increase", suffix="_sum")
    counted = one_rate(TOKEN_COUNTERS[token_type], window=WHOLE_RANGE, function="increase")
    return summed(f"{usage} or ignoring ({names.TOKEN_TYPE}, {names.TOKEN_MODALITY}) {counted}", by)


def mean_output_tokens(by: Sequence[str]) -> str:
    """Of the streams whose tokens are known."""
    total, count = (_output_tokens(suffix, by) for suffix in ("_sum", "_count"))
    return f"{total} / ({count} > 0)"


def _output_tokens(suffix: str, by: Sequence[str]) -> str:
    usage = one_rate(semconv.TOKEN_USAGE, f'{names.TOKEN_TYPE}="output"', suffix=suffix)
    per_stream = one_rate(latest.OUTPUT_TOKENS_PER_STREAM, suffix=suffix)
    return summed(f"{usage} or ignoring ({names.TOKEN_TYPE}, {names.ERROR_TYPE}) {per_stream}", by)


def share(part: str, whole: str) -> str:
    """Empty without any whole. 0, not empty, if there has never been such a part."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def streams(*matchers: str, by: Sequence[str] = (), window: str = EACH_STEP, among: Sequence[str] = CHOSEN) -> str:
    """Streams that ended, per second."""
    return rate(semconv.STREAMS, *matchers, by=by, window=window, among=among)


def anomalies(kind: str, by: Sequence[str] = (), window: str = EACH_STEP, among: Sequence[str] = CHOSEN) -> str:
    return rate(semconv.ANOMALIES, f'{names.ANOMALY}="{kind}"', by=by, window=window, among=among)


def completion(by: Sequence[str] = (), window: str = EACH_STEP, among: Sequence[str] = CHOSEN) -> str:
    """Of the streams that nobody aborted."""
    return share(
        streams(COMPLETE, by=by, window=window, among=among), streams(JUDGED, by=by, window=window, among=among)
    )


def quantile(
    of: float,
    metric: Metric,
    *matchers: str,
    by: Sequence[str] = (),
    window: str = EACH_STEP,
    among: Sequence[str] = CHOSEN,
) -> str:
    return f"histogram_quantile({of}, {buckets(metric, *matchers, by=by, window=window, among=among)})"


def buckets(
    metric: Metric,
    *matchers: str,
    by: Sequence[str] = (),
    window: str = EACH_STEP,
    among: Sequence[str] = CHOSEN,
) -> str:
    return rate(metric, *matchers, by=("le", *by), window=window, among=among, suffix="_bucket")


def known(expression: str) -> str:
    """Without NaN, which a quantile of nothing is."""
    return f"({expression}) >= 0"


def some(expression: str) -> str:
    """Without the lines that are 0: every kind is there from the beginning, and most never happen."""
    return f"{expression} > 0"


def now(metric: Metric, function: str = "sum", among: Sequence[str] = CHOSEN) -> str:
    """0 once all that told of it are gone: a panel shows the last value that there is, however old."""
    told = selected(series(metric), *among)
    return f"{function}({told}) or 0 * {function}(last_over_time({told}[{WHOLE_RANGE}]))"


def open_streams(metric: Metric, by: Sequence[str] = (), function: str = "sum") -> str:
    return summed(selected(series(metric), *CHOSEN), by, function)


def silent_for(seconds: float) -> str:
    """Of the count of silent streams: a collector writes 60 and the exporter of Prometheus 60.0 for the same label."""
    return f'{names.AT_LEAST}=~"{seconds:g}([.]0)?"'


def budget_left() -> str:
    """Of the error budget: 1 is all of it, less than 0 is overspent."""
    window = f"{slo.BUDGET_DAYS}d"
    failed = rate(semconv.STREAMS, FAILED, window=window, function="increase")
    judged = rate(semconv.STREAMS, JUDGED, window=window, function="increase")
    return f"1 - {share(failed, judged)} / {slo.BUDGET:g}"
