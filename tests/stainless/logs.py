"""What the tests read of log records."""

from collections.abc import Sequence
from typing import Any

import opentelemetry.sdk._logs.export as logs_export

LogExporter: Any = getattr(logs_export, "InMemoryLogRecordExporter", None) or vars(logs_export)["InMemoryLogExporter"]
"""Its name up to 1.38 is the second one."""


def records(log_exporter: Any) -> Sequence[Any]:
    return [log.log_record for log in log_exporter.get_finished_logs()]
