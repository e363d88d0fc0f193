"""Which of the library's metrics spans can tell."""

from streamspan import semconv

OF_OPEN_STREAMS = {
    semconv.ACTIVE,
    semconv.SILENCE,
    semconv.RETRIES,
    semconv.TIME_PER_OUTPUT_CHUNK,
    semconv.INSTRUMENTATION_FAILURES,
    semconv.INSTRUMENTATION_EVENTS_DROPPED,
}
"""What no ended span tells."""
TOLD_BY_SPANS = [metric for metric in semconv.METRICS.values() if metric not in OF_OPEN_STREAMS]
