"""What Prometheus calls our metrics and attributes, once a collector or Prometheus itself has translated them.

Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
"""

from typing import Final

from streamspan import semconv
from streamspan.semconv import Metric, latest

MAIN_UNITS: Final = {"s": "_seconds"}  # {stream}, {token} and their like add nothing


def label(attribute: str) -> str:
    return attribute.replace(".", "_")


def series(metric: Metric) -> str:
    """The name of a counter or gauge, or what those of a histogram begin with."""
    total = "_total" if metric.kind in {"counter", "observable counter"} else ""
    return metric.name.replace(".", "_") + MAIN_UNITS.get(metric.unit, "") + total


PROVIDER: Final = label(semconv.PROVIDER_NAME)
MODEL: Final = label(semconv.REQUEST_MODEL)
VERSION: Final = label(semconv.RESPONSE_MODEL)
OUTCOME: Final = label(semconv.OUTCOME)
PHASE: Final = label(semconv.PHASE)
ABORT_REASON: Final = label(semconv.ABORT_REASON)
STOP_REASON: Final = label(semconv.STOP_REASON)
ERROR_TYPE: Final = label(semconv.ERROR_TYPE)
CACHE_HIT: Final = label(semconv.CACHE_HIT)
CACHE_USE: Final = label(semconv.CACHE_USE)
ANOMALY: Final = label(semconv.ANOMALY)
TOKEN_TYPE: Final = label(semconv.TOKEN_TYPE)
TOKEN_MODALITY: Final = label(latest.TOKEN_MODALITY)
TOOL_CALL_COMPLETED: Final = label(semconv.TOOL_CALL_COMPLETED)
REPETITION_DETECTED: Final = label(semconv.REPETITION_DETECTED)
AT_LEAST: Final = label(semconv.AT_LEAST)
FAILURE_WHERE: Final = label(semconv.FAILURE_WHERE)

EACH_MODEL: Final = (PROVIDER, MODEL)
"""Several providers have models of the same name."""
MODEL_LEGEND: Final = f"{{{{{PROVIDER}}}}}, {{{{{MODEL}}}}}"
