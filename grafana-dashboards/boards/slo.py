"""What is good and what is bad: every threshold, for the boards and the alerts alike. Change it here, then build.

Shares are of streams that have ended, unless a line says otherwise.
"""

from dataclasses import dataclass
from typing import Final, Literal

COMPLETION_OBJECTIVE: Final = 0.99
"""Of the streams that nobody aborted: those that the provider brought to their end."""
BUDGET: Final = round(1 - COMPLETION_OBJECTIVE, 6)
BUDGET_DAYS: Final = 30
BUDGET_LOW: Final = 0.25

FIRST_CHUNK_WARNING_SECONDS: Final = 5.0
FIRST_CHUNK_SECONDS: Final = 10.0
"""p95. Also from where collector-config/gateway.yaml keeps every trace, so that each slow stream can be looked at."""
GAP_SECONDS: Final = 5.0
"""From where a silence is a stall, by default of `stall_seconds`."""
SILENCE_SECONDS: Final = 60.0
"""Of a stream that is open. One of streamspan's `silence_seconds`. The SDK itself gives up after 600 s."""
SILENT_AT_LEAST: Final = 3
"""Of the open streams of one model: one that hangs wakes nobody."""

MID_STREAM_ERROR_SHARE: Final = 0.02
STALL_SHARE: Final = 0.05
REPETITION_SHARE: Final = 0.01
BUFFERED_SHARE: Final = 0.1
INCOMPLETE_TOOL_CALL_SHARE: Final = 0.02
"""Of tool calls, in streams that nobody aborted."""
ABORT_SPIKE_FACTOR: Final = 2.0
ABORT_SPIKE_POINTS: Final = 0.1
"""More than the factor, and more by these points, than at the same time of the day before."""

STREAMS_AT_LEAST: Final = 30
"""Fewer in an alert's window say nothing: a few bad streams would be tens of per cent."""
TOOL_CALLS_AT_LEAST: Final = 30
BAD_AT_LEAST: Final = 3
"""Of streams, anomalies or tool calls: one of forty is above most limits here, and wakes nobody."""

Severity = Literal["page", "ticket"]


@dataclass(frozen=True, slots=True)
class BurnRate:
    """Fires while the budget burns `factor` times too fast in both windows: long to be sure, short to end soon."""

    factor: float
    long: str
    short: str
    pending: str
    severity: Severity


BURN_RATES: Final = (
    BurnRate(14.4, "1h", "5m", "2m", "page"),
    BurnRate(6, "6h", "30m", "15m", "page"),
    BurnRate(3, "1d", "2h", "1h", "ticket"),
    BurnRate(1, "3d", "6h", "3h", "ticket"),
)
"""Source: https://sre.google/workbook/alerting-on-slos/ (table 5-8), with the waits of kubernetes-mixin."""
