"""The span that the SDK itself makes of a call, from 1.14 on: for a streamed call, ours takes its place.

The options of the call carry our span in their `span_name`, down to where the SDK would start its own. There the SDK
is given a stand-in for ours and goes on with it as if it were its own: it makes it current around the HTTP request, and
sends `traceparent` where, and when, it would have sent that of its own span.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

from streamspan.guard import contained
from streamspan.telemetry.spans import Span, StreamTelemetry, stand_in


class SpanName(str):
    """The name of the SDK's span of one call, with the span that takes its place."""

    __slots__ = ("span",)
    span: Span

    def __deepcopy__(self, _: object) -> "SpanName":
        """Bedrock's client copies the options deeply; the span is the same."""
        return self


@contained
def replace_span(options: Any, telemetry: StreamTelemetry) -> Any:
    """`options` for a call whose span is ours; None where the SDK makes no span, or we have none."""
    name = getattr(options, "span_name", None)
    substitute = stand_in(telemetry.span, telemetry.from_others)
    if not isinstance(name, str) or substitute is None:
        return None
    ours = SpanName(name)
    ours.span = substitute
    options = copy(options)  # the caller's stay as they are
    options.span_name = ours
    return options


def start_api_call_span(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """In place of the SDK's function of this name, whose third argument are the options of the call."""
    options = args[2] if len(args) > 2 else kwargs.get("options")  # noqa: PLR2004  # tracer, base_url, options
    name = getattr(options, "span_name", None)
    return name.span if isinstance(name, SpanName) else wrapped(*args, **kwargs)
