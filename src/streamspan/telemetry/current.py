"""The span around the HTTP request: current there and nowhere else, and shown to others as one that they cannot end."""

from collections.abc import Mapping
from contextvars import Token

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import NonRecordingSpan, Span
from opentelemetry.util.types import AttributeValue


def suppressed() -> bool:
    """Whether the application has switched instrumentation off for this context."""
    return not is_instrumentation_enabled()


class Current:
    """Makes `span` current for a `with` block, in the context that the block started in.

    Never complains: a coroutine that is closed from another context leaves its own context as it is, which dies with
    the coroutine, instead of detaching a token that is not of this context.
    """

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._token: Token[Context] = context.attach(trace.set_span_in_context(self._span))

    def __exit__(self, *_: object) -> None:
        if trace.get_current_span() is self._span:
            context.detach(self._token)


class StandIn(NonRecordingSpan):
    """`span` for somebody who would record on it and end it: to them it is a span that does not record.

    What others write on the current span (a hook of the HTTP client, a middleware) reaches `span`. Their attributes are
    kept in `attributes` until it ends: the SDK's own three would take 10 us, and ours replace them.
    """

    def __init__(self, span: Span, attributes: dict[str, AttributeValue]) -> None:
        super().__init__(span.get_span_context())
        self._span = span
        self._attributes = attributes

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        self._attributes.update(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        self._attributes[key] = value

    def add_event(
        self, name: str, attributes: Mapping[str, AttributeValue] | None = None, timestamp: int | None = None
    ) -> None:
        self._span.add_event(name, attributes, timestamp)

    def update_name(self, name: str) -> None:
        self._span.update_name(name)


def stand_in(span: Span, attributes: dict[str, AttributeValue]) -> StandIn | None:
    """None: `span` is not a span of its own. A tracer without an SDK hands on the span around it."""
    identity = span.get_span_context()
    around = trace.get_current_span().get_span_context()
    return StandIn(span, attributes) if identity.is_valid and identity.span_id != around.span_id else None
