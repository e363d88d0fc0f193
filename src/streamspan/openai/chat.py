"""From the chunks of Chat Completions to the verbs of the core; also from those of the legacy Completions.

Nothing here is validated by the SDK, which hands on what the server sent, and the servers are of many makers. A stream
is complete once each choice that has begun has a finish reason, or once `[DONE]` has come. Sources:
`openai/types/chat/chat_completion_chunk.py`, and what servers of other makers send.
"""

from collections.abc import Mapping
from typing import Any

from streamspan import semconv
from streamspan.core.model import Report, Usage
from streamspan.core.stream import StreamState
from streamspan.stainless.chat_deltas import MORE, pieces_of
from streamspan.stainless.errors import error_word
from streamspan.stainless.pieces import Answers, Brought, Piece
from streamspan.stainless.values import count, field, fields, items, text

from .usage import sum_of, usage_of

_CUTTING_REASONS = frozenset({"length", "content_filter", "model_length"})
_WORDS: Mapping[str, str] = {
    "service_tier": semconv.OPENAI_RESPONSE_SERVICE_TIER,
    "system_fingerprint": semconv.OPENAI_SYSTEM_FINGERPRINT,
}
_NONE = -1


class ChatTranslator:
    """Translates the chunks of one stream. `attributes`: what only this API reports."""

    __slots__ = ("_answers", "_choice", "_has_started", "_last", "_more", "_usages", "attributes")

    def __init__(self) -> None:
        self._answers = Answers(_CUTTING_REASONS)
        self.attributes: dict[str, Any] = self._answers.attributes
        self._last = Piece("", "other", "")  # the piece that the last chunk brought, if it brought nothing else
        self._choice = _NONE  # of the last piece
        self._more = MORE["content"]
        self._usages: dict[int, Usage | None] = {}  # by choice, from servers that count each by itself
        self._has_started = False

    def continued(self, event: Any) -> str | None:
        """It looks in the fields of the SDK's models, which takes a fraction of the time of asking the models."""
        try:
            chunk = event.__dict__
            [choice] = chunk["choices"]
            values = choice.__dict__
            if values["index"] == self._choice and values["finish_reason"] is None and chunk["usage"] is None:
                more = self._more(self._last, values)
                return more if type(more) is str else None
        except (AttributeError, KeyError, TypeError, ValueError):
            pass
        return None

    def translate(self, event: Any, gap: float, at: float, state: StreamState) -> tuple[Report, ...]:
        values = fields(event)
        self._choice = _NONE
        choices = [fields(choice) for choice in items(values.get("choices"))]
        brought = [
            Brought(count(choice.get("index")) or 0, tuple(pieces_of(choice)), text(choice.get("finish_reason")))
            for choice in choices
        ]
        is_news = self._tells_more(values, choices, state) or not choices
        for choice, part in zip(choices, brought, strict=True):
            if part.stop_reason == "error":
                state.failed(error_word(choice.get("error")) or "api_error")
                return state.event(gap, at)
        reports = self._answers.take(brought, gap, at, state, is_news=is_news)
        for part in brought:
            if any(piece.type == "refusal" for piece in part.pieces):
                reports += state.refused(None)
            if len(brought) == len(part.pieces) == 1 and part.pieces[0].text and not part.stop_reason:
                self._expect_more(part.answer, part.pieces[0])
        return reports

    def _expect_more(self, choice: int, piece: Piece) -> None:
        more = MORE.get(piece.field)
        if more is not None:
            self._choice, self._last, self._more = choice, piece, more

    def is_complete(self, *, marked: bool) -> bool:
        return marked or self._answers.have_stopped

    def _tells_more(self, values: Mapping[str, Any], choices: list[Mapping[str, Any]], state: StreamState) -> bool:
        """Take what a chunk says besides its deltas. Whether that was usage, of which the last counts."""
        if not self._has_started and (choices or values.get("id")):
            self._has_started = True
            state.started(text(values.get("id")) or None, text(values.get("model")) or None, Usage())
        for name, attribute in _WORDS.items():
            if word := text(values.get(name)):
                self.attributes[attribute] = word
        usage = usage_of(values.get("usage")) or usage_of(field(values.get("x_groq"), "usage"))
        for choice in () if usage else choices:
            if (counted := usage_of(choice.get("usage"))) is not None:
                self._usages[count(choice.get("index")) or 0] = counted
                usage = sum_of(self._usages.values())
        if usage is not None:
            state.reported(usage, in_full=True)
        return usage is not None
