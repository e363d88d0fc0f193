"""Which of the library's metrics spans can tell."""

from streamspan import semconv

NOT_TOLD_BY_SPANS = {
    semconv.ACTIVE,
    semconv.SILENCE,
    semconv.RETRIES,
    semconv.LINE_SILENCE,
    semconv.SILENT,
    semconv.CLOSE_DELAY,
    semconv.LATE_ERRORS,
    semconv.READING_TIME,
    semconv.ITERATION_TOKENS,
    semconv.RATE_LIMIT_REMAINING,
    semconv.TIME_PER_OUTPUT_CHUNK,
    semconv.INSTRUMENTATION_FAILURES,
    semconv.INSTRUMENTATION_EVENTS_DROPPED,
}
"""What a span does not tell: open streams, what comes after the end, the SDK's retries, steps inside a call, rate
limits, and streamspan itself.
"""
TOLD_BY_SPANS = [metric for metric in semconv.METRICS.values() if metric not in NOT_TOLD_BY_SPANS]
