"""Log records that are events: with the context of the stream's span, and emitted before that span ends.

Sources
    https://opentelemetry.io/docs/specs/otel/logs/data-model/#events
"""

import sys
from collections.abc import Callable, Mapping
from inspect import signature

from opentelemetry import _logs as api_logs
from opentelemetry import trace
from opentelemetry._logs import Logger, LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import Span

from streamspan import semconv
from streamspan.guard import contained

_ERRORS = frozenset({semconv.EVENT_ERROR, semconv.EVENT_TRUNCATED})


class EventLog:
    """The log records of one `instrument()`."""

    def __init__(self, logger_provider: LoggerProvider | None, version: str) -> None:
        self._given_provider = logger_provider
        self._version = version
        self._emitter: tuple[LoggerProvider, Callable[..., object]] | None = None

    @property
    def provider(self) -> LoggerProvider:
        """The global one may be set after `instrument()`."""
        return self._given_provider or api_logs.get_logger_provider()

    @contained
    def emit(self, span: Span, name: str, attributes: Mapping[str, object], timestamp_ns: int) -> None:
        """Runs the application's log processors, which may fail."""
        provider = self.provider
        if self._emitter is None or self._emitter[0] is not provider:
            logger = api_logs.get_logger(semconv.SCOPE, self._version, provider, schema_url=semconv.SCHEMA_URL)
            self._emitter = provider, _emitter(logger)
        self._emitter[1](
            timestamp=timestamp_ns,
            context=trace.set_span_in_context(span, Context()),
            severity_number=SeverityNumber.ERROR if name in _ERRORS else SeverityNumber.INFO,
            attributes=attributes,
            event_name=name,
        )


def _emitter(logger: Logger) -> Callable[..., object]:
    """What emits a record by its fields, as API 1.37 does. Older ones take a record, and the SDK only its own."""
    if "event_name" in signature(logger.emit).parameters:
        return logger.emit
    record: Callable[..., LogRecord] = vars(sys.modules[type(logger).__module__])["LogRecord"]

    def emit(**fields: object) -> None:
        logger.emit(record(resource=getattr(logger, "resource", None), **fields))

    return emit
