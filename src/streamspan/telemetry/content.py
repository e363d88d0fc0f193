"""The content of a stream, for those who ask for it: captured under a cap, redacted, in the GenAI conventions' form.

Off unless asked for. What is asked for goes where it was asked to go: on the span, where each attribute is a JSON
string; or into a log record, where messages and parts are structured. The JSON that a model or an application wrote,
which may be of any depth, stays text there: logs SDKs (1.39) lose lists of mixed types.

The cap holds for all of a stream, and while it is collected. At the most half of it is the request's, newest message
first; what the request leaves is the answer's, which is what one wants to read of a stream that did not end well.

Sources
    https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/#recording-content-on-attributes, and the schemas
    gen-ai-input-messages.json, -output-messages, -system-instructions and -tool-definitions that it links
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar

from streamspan import semconv
from streamspan.core.captured import Budget, Captured, Output, Text
from streamspan.core.model import Summary
from streamspan.guard import contained

WITHHELD = "[withheld: its redaction failed]"
_redacting: ContextVar[bool] = ContextVar("streamspan_redacting", default=False)
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

Redaction = Callable[[str], object]
"""Gives a text for a text; whatever else it gives is a failure."""
Written = str | int | Mapping[str, "Written"] | Sequence["Written"]
"""Content as it leaves: redacted, and of texts that every exporter can encode."""
Form = Callable[[Mapping[str, Written]], dict[str, Written]]
"""What makes another form of all content, by the name of its attribute."""


class Content:
    """What is captured of one stream.

    call_attributes  what the span started with, for the log record
    on_span, in_log  where it goes
    output           what the stream delivers
    form             the form that it is written in; None: that of the released conventions
    """

    def __init__(  # noqa: PLR0913  # two of them are switches
        self,
        call_attributes: Mapping[str, object],
        chars_at_most: int,
        redact: Redaction | None,
        *,
        on_span: bool,
        in_log: bool,
        form: Form | None = None,
    ) -> None:
        self.call_attributes = call_attributes
        self.on_span = on_span
        self.in_log = in_log
        self._form = form
        self._chars_at_most = chars_at_most
        self._redact = redact
        self._of_request = Budget(chars_at_most // 2)
        self._of_output = Budget(chars_at_most - chars_at_most // 2)
        self._request: Mapping[str, Captured] = {}
        self._error: Text | None = None
        self.output = Output(self._of_output)

    def capture_request(self, captured: Callable[[Budget], Mapping[str, Captured]]) -> None:
        """`captured`: the attributes of the request, captured on this budget."""
        self._request = captured(self._of_request)
        self._of_output.left += self._of_request.left
        self._of_request.left = 0

    def capture_error(self, message: str) -> None:
        """The text of the error that ends the stream."""
        self._error = Text(self._of_output, message)

    def written(self, summary: Summary) -> dict[str, Written]:
        """All of it by the name of its attribute, as of the end. Runs the application's redaction."""
        captured = dict(self._request)
        if self.output.parts and summary.outcome is not None:
            captured[semconv.OUTPUT_MESSAGES] = [_message(self.output, summary)]
        if self._error is not None and summary.outcome == "error":
            captured[semconv.ERROR_MESSAGE] = self._error
        token = _redacting.set(True)
        try:
            written = {name: self._written(value) for name, value in captured.items() if value}
        finally:
            _redacting.reset(token)
        return written if self._form is None else self._form(written)

    @property
    def truncated(self) -> bool:
        """Whether there was more than the cap lets through."""
        return self._of_request.exceeded or self._of_output.exceeded

    def _written(self, captured: Captured) -> Written:
        if isinstance(captured, Text):
            return _Json(self._text(captured)) if captured.is_json else self._text(captured)
        if isinstance(captured, Mapping):
            written = {key: self._written(value) for key, value in captured.items()}
            was_cut = any(isinstance(value, Text) and value.truncated for value in captured.values())
            return {**written, "truncated": True} if was_cut else written
        if isinstance(captured, (str, int)):
            return captured
        return [self._written(value) for value in captured]

    def _text(self, captured: Text) -> str:
        text: str | None = str(captured)
        if text and self._redact is not None:
            text = _redacted(self._redact, text)
        return WITHHELD if text is None else _encodable(text[: self._chars_at_most])


def is_redacting() -> bool:
    """Whether a redaction runs in this context: a stream that it reads is not captured, or it would never end."""
    return _redacting.get()


class _Json(str):
    """JSON, if it is whole."""

    __slots__ = ()


def _message(output: Output, summary: Summary) -> Captured:
    """The convention's word for a stop reason that has not come is `error`; the mark is ours."""
    complete = summary.outcome == "complete"
    message: dict[str, Captured] = {
        "role": "assistant",
        "parts": output.parts,
        "finish_reason": (summary.stop_reason or "error") if complete else "error",
    }
    return {**message, semconv.PARTIAL: True} if summary.partial else message


@contained
def _redacted(redact: Redaction, text: str) -> str:
    """None: it failed. May run in a finalizer, but never inside itself: see `observer.py`."""
    redacted = redact(text)
    if not isinstance(redacted, str):
        raise TypeError
    return redacted


def _encodable(text: str) -> str:
    """With a question mark for each lone surrogate."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def as_json(written: Written) -> str:
    """For the span, which holds no structures. JSON that is too deep for Python stays text."""
    if isinstance(written, Mapping):
        return f"{{{','.join(f'{_encoded(key)}:{as_json(value)}' for key, value in written.items())}}}"
    if not isinstance(written, (str, int)):
        return f"[{','.join(map(as_json, written))}]"
    try:
        return _encoded(json.loads(written) if isinstance(written, _Json) else written)
    except (ValueError, RecursionError):
        return _encoded(str(written))


def _encoded(value: object) -> str:
    return _encodable(_encoder.encode(value))
