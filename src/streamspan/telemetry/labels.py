"""The labels of metrics: which ones a stream has, with a bound on how many values each may take.

The values come from the application or the server. What comes after the bound is `_OTHER`, the conventions' word.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, get_args

from streamspan import semconv
from streamspan.core.model import AbortReason, Outcome, Phase
from streamspan.semconv import Metric

Labels = dict[str, str | bool | int | float]

_VALUES_AT_MOST = 200  # of one label
_CHARS_AT_MOST = 128
OTHER: Final = "_OTHER"
_WHILE_STREAMING: tuple[Phase, ...] = ("waiting", "thinking", "text", "tool_input")
_LIKELY_ABORTS: tuple[AbortReason, ...] = ("closed", "cancelled", "dropped")
_NO_CONNECTION, _TIMEOUT = "connection_error", "client_timeout_error"  # as `stainless/errors.py` calls them
ANOMALIES = semconv.ATTRIBUTES[semconv.ANOMALY].values


@dataclass(frozen=True, slots=True)
class Expected:
    """What the streams of a provider are likely to end with: these label sets are added 0 beforehand.

    error_types          of errors after the response headers
    opening_error_types  of errors before them
    retried_statuses     of responses after which the SDK tries again
    """

    stop_reasons: tuple[str, ...]
    error_types: tuple[str, ...]
    opening_error_types: tuple[str, ...]
    retried_statuses: tuple[str, ...] = ()


class BoundedValues:
    """The values that each label has taken."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {name: set() for name in semconv.STREAM_METRIC_ATTRIBUTES}
        self._values |= {semconv.ERROR_TYPE: set(), semconv.STOP_REASON: set()}
        self._values |= {semconv.ITERATION_TYPE: set(), semconv.ITERATION_MODEL: set()}
        self._values[semconv.ABORT_REASON] = set(get_args(AbortReason))

    def bounded(self, name: str, value: object) -> str | bool | int:
        if not isinstance(value, str):
            return value if isinstance(value, (bool, int)) else OTHER
        values = self._values[name]
        if value not in values:
            if len(values) >= _VALUES_AT_MOST or len(value) > _CHARS_AT_MOST:
                return OTHER
            values.add(value)
        return value

    def labels(self, names: tuple[str, ...], values: tuple[object, ...]) -> Labels:
        """None: the label is not there."""
        return {name: self.bounded(name, value) for name, value in zip(names, values, strict=True) if value is not None}


def expected_of_calls(expected: Expected) -> Iterator[tuple[Metric, Labels]]:
    """The label sets that are to be there once a call has started: of what ends before a model has answered."""
    for error_type in (*expected.opening_error_types, _NO_CONNECTION):
        yield semconv.STREAMS, _ending("error", "opening", semconv.ERROR_TYPE, error_type)
    yield semconv.STREAMS, _ending("aborted", "opening", semconv.ABORT_REASON, "cancelled")
    for error_type in expected.error_types:
        yield semconv.STREAMS, _ending("error", "waiting", semconv.ERROR_TYPE, error_type)
    yield semconv.STREAMS, _ending("truncated", "waiting", semconv.ERROR_TYPE, semconv.STREAM_TRUNCATED)
    yield semconv.STREAMS, _ending("aborted", "waiting", semconv.ABORT_REASON, "never_read")
    for error_type in (*expected.retried_statuses, _NO_CONNECTION, _TIMEOUT):
        yield semconv.RETRIES, {semconv.ERROR_TYPE: error_type}


def expected_of_answers(expected: Expected) -> Iterator[tuple[Metric, Labels]]:
    """The label sets that are to be there once a model has begun to answer."""
    yield from _expected_endings(expected)
    for anomaly in ANOMALIES:
        yield semconv.ANOMALIES, {semconv.ANOMALY: anomaly}
    for outcome in get_args(Outcome):
        for truth in (True, False):
            yield semconv.TOOL_CALLS, {semconv.OUTCOME: outcome, semconv.TOOL_CALL_COMPLETED: truth}
            yield semconv.OUTPUT_CHARS, {semconv.OUTCOME: outcome, semconv.REPETITION_DETECTED: truth}
        for token_type in ("input", "output"):
            yield semconv.TOKENS, {semconv.TOKEN_TYPE: token_type, semconv.OUTCOME: outcome}
    for use in ("read", "write"):
        yield semconv.CACHE_TOKENS, {semconv.CACHE_USE: use}
    yield semconv.WAITED_FOR_PROVIDER, {}
    yield semconv.WAITED_FOR_TRANSIT, {}
    yield semconv.WAITED_FOR_EVENT_LOOP, {}
    yield semconv.WAITED_FOR_CONSUMER, {}
    yield semconv.READING_TIME, {}
    yield semconv.REBUFFERING_TIME, {}


def _expected_endings(expected: Expected) -> Iterator[tuple[Metric, Labels]]:
    for stop_reason in expected.stop_reasons:
        yield semconv.STREAMS, {semconv.OUTCOME: "complete", semconv.STOP_REASON: stop_reason}
    for phase in _WHILE_STREAMING:
        for reason in _LIKELY_ABORTS:
            yield semconv.STREAMS, _ending("aborted", phase, semconv.ABORT_REASON, reason)
        yield semconv.STREAMS, _ending("truncated", phase, semconv.ERROR_TYPE, semconv.STREAM_TRUNCATED)
        for error_type in expected.error_types:
            yield semconv.STREAMS, _ending("error", phase, semconv.ERROR_TYPE, error_type)


def _ending(outcome: Outcome, phase: Phase, name: str, value: str) -> Labels:
    return {semconv.OUTCOME: outcome, semconv.PHASE: phase, name: value}
