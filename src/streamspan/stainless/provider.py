"""What distinguishes one SDK from the others: a record of names and functions, one for each provider."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from streamspan.core.model import Report
from streamspan.core.stream import StreamState
from streamspan.telemetry.content import Content
from streamspan.telemetry.spans import Attributes, Call, Expected, StreamTelemetry


class Translator(Protocol):
    """Translates the events of one stream into the verbs of the core.

    attributes  what only this provider reports
    """

    attributes: dict[str, Any]

    def continued(self, event: Any) -> str | None:
        """The text of a delta of the same block and kind as the last; None for any other event.

        Called for every event, so it costs as little as it can. Raises nothing.
        """
        ...

    def translate(self, event: Any, gap: float, at: float, state: StreamState) -> tuple[Report, ...]:
        """Tell `state` of any event, which came `at` this time after a wait of `gap` seconds."""
        ...

    def is_complete(self, *, marked: bool) -> bool:
        """Whether the answer is complete, now that its body has ended and no event has said so.

        marked  the end mark of the provider has come: see `Provider.end_mark`
        """
        ...


def _no_span(*_: object) -> None:
    """The SDK makes no span of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One SDK.

    title         its name in messages
    package       its import name
    helpers       modules of the SDK that read a raw stream for the application, and may raise above it
    parsers       packages that the helpers hand the content of a stream to
    call          what a streamed call starts with, from the client and the options; None: it is left alone
    translator    what translates the events of the stream that this call opens
    end_mark      matches what ends a body and is no event; None: this provider ends each message by an event
    headers       the headers that `exchange` needs, in lower case
    exchange      attributes of the headers of the response, and of those of the request
    capture       captures the content of the request whose options these are
    replace_span  `options` for a call whose span takes the place of the SDK's own, from options and the stream's
                  telemetry; None: the SDK has none
    replaced      the SDK's function that starts its own span, with its replacement; None: it has none
    rivals        where other instrumentations of this SDK put their wrappers: module, class, methods
    """

    title: str
    package: str
    helpers: tuple[str, ...]
    parsers: frozenset[str]
    call: Callable[[Any, Any], Call | None]
    translator: Callable[[Call], Translator]
    headers: frozenset[bytes]
    exchange: Callable[[Mapping[str, str], Mapping[str, str]], Attributes]
    capture: Callable[[Content, Any], None]
    rivals: tuple[str, str, tuple[str, ...]]
    expected: Expected
    replace_span: Callable[[Any, StreamTelemetry], Any] = _no_span
    replaced: tuple[str, Callable[..., Any]] | None = None
    end_mark: re.Pattern[bytes] | None = None
