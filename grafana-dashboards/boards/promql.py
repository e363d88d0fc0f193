"""PromQL on our metrics. Every query is limited to what is chosen at the top of the board.

A sum over no series is empty, not 0; so a share of nothing is empty, and the panel says "no traffic".
"""

from collections.abc import Sequence
from typing import Final

from streamspan import semconv
from streamspan.semconv import Metric

from . import names, slo
from .names import OUTCOME, PHASE, series

CHOSEN: Final = (f'job=~"$job", {names.MODEL}=~"$model"',)
CHOSEN_JOB: Final = ('job=~"$job"',)
EACH_STEP: Final = "$__rate_interval"
WHOLE_RANGE: Final = "$__range"

JUDGED: Final = f'{OUTCOME}=~"complete|truncated|error"'
"""Without those that the reader left: nobody knows how they would have ended."""
FAILED: Final = f'{OUTCOME}=~"truncated|error"'
COMPLETE: Final = f'{OUTCOME}="complete"'
ABORTED: Final = f'{OUTCOME}="aborted"'
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
    return summed(f"{function}({selected(series(metric) + suffix, *among, *matchers)}[{window}])", by)


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


def mean(metric: Metric, *matchers: str, by: Sequence[str] = (), window: str = EACH_STEP) -> str:
    total = rate(metric, *matchers, by=by, window=window, suffix="_sum")
    return f"{total} / ({rate(metric, *matchers, by=by, window=window, suffix='_count')} > 0)"


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


def budget_left() -> str:
    """Of the error budget: 1 is all of it, less than 0 is overspent."""
    window = f"{slo.BUDGET_DAYS}d"
    failed = rate(semconv.STREAMS, FAILED, window=window, function="increase")
    judged = rate(semconv.STREAMS, JUDGED, window=window, function="increase")
    return f"1 - {share(failed, judged)} / {slo.BUDGET:g}"
