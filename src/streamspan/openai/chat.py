"""From the chunks of Chat Completions to the verbs of the core; also from those of the legacy Completions.

Nothing here is validated by the SDK, which hands on what the server sent, and the servers are of many makers. A stream
is complete once each choice that has begun has a finish reason, or once `[DONE]` has come. Sources:
`openai/types/chat/chat_completion_chunk.py`, and what servers of other makers send.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from streamspan import semconv
from streamspan.core.model import Report, Usage
from streamspan.core.stream import StreamState
from streamspan.stainless.errors import error_word
from streamspan.stainless.pieces import Answers, Brought, Piece
from streamspan.stainless.values import count, field, fields, items, json_text, text

from .usage import sum_of, usage_of

REASONING = ("reasoning_content", "reasoning")
"""The fields that servers send reasoning in. Some send the same in both."""
_TEXTS = {"content": "text", "text": "text", "refusal": "refusal"}
_CUTTING_REASONS = frozenset({"length", "content_filter", "model_length"})
_OTHER_CONTENT = frozenset({*REASONING, "reasoning_details", "images"})
"""Fields of content that the SDK does not define."""
_WORDS: Mapping[str, str] = {
    "service_tier": semconv.OPENAI_RESPONSE_SERVICE_TIER,
    "system_fingerprint": semconv.OPENAI_SYSTEM_FINGERPRINT,
}
_NONE = -1


class ChatTranslator:
    """Translates the chunks of one stream.

    attributes  what only this API reports
    last        the piece that the last chunk brought, if it brought nothing else
    """

    __slots__ = ("_answers", "_choice", "_has_started", "_more", "_usages", "attributes", "last")

    def __init__(self) -> None:
        self._answers = Answers(_CUTTING_REASONS)
        self.attributes: dict[str, Any] = self._answers.attributes
        self.last = Piece("", "other", "")
        self._choice = _NONE  # of `last`
        self._more = _MORE["content"]
        self._usages: dict[int, Usage | None] = {}  # by choice, from servers that count each by itself
        self._has_started = False

    def continued(self, event: Any) -> str | None:
        """It looks in the fields of the SDK's models, which takes a fraction of the time of asking the models."""
        try:
            chunk = event.__dict__
            [choice] = chunk["choices"]
            values = choice.__dict__
            if values["index"] == self._choice and values["finish_reason"] is None and chunk["usage"] is None:
                more = self._more(self, values)
                return more if type(more) is str else None
        except (AttributeError, KeyError, TypeError, ValueError):
            pass
        return None

    def translate(self, event: Any, gap: float, at: float, state: StreamState) -> tuple[Report, ...]:
        values = fields(event)
        self._choice = _NONE
        choices = [fields(choice) for choice in items(values.get("choices"))]
        brought = [
            Brought(count(choice.get("index")) or 0, tuple(_pieces(choice)), text(choice.get("finish_reason")))
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
        more = _MORE.get(piece.field)
        if more is not None:
            self._choice, self.last, self._more = choice, piece, more

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


# --- the pieces of a delta -------------------------------------------------------------------------------------------


def _pieces(choice: Mapping[str, Any]) -> Iterator[Piece]:
    """Of a choice of the chat API, or of the completions API, which has a text instead of a delta."""
    delta = fields(choice.get("delta") or choice.get("message")) or {"text": choice.get("text")}
    yield from _reasoning(delta)
    for name, block_type in _TEXTS.items():
        value = delta.get(name)
        yield from [Piece(block_type, "text", value, name)] if isinstance(value, str) and value else _parts(value)
    if (audio := delta.get("audio")) is not None:
        yield Piece("audio", "text", _string(field(audio, "transcript")), size=_size(field(audio, "data")))
    for image in items(delta.get("images")):  # OpenRouter
        yield Piece("image", "other", "", size=_size(field(field(image, "image_url"), "url")))
    for call in items(delta.get("tool_calls")):
        call_type = text(field(call, "type")) or "function"
        body = field(call, "function") or field(call, call_type)
        yield _call(call_type, fields(body), text(field(call, "id")) or None, count(field(call, "index")))
    if (call := delta.get("function_call")) is not None:
        yield _call("function", fields(call), None, 0)


def _reasoning(delta: Mapping[str, Any]) -> Iterator[Piece]:
    for name in REASONING:
        if value := _string(delta.get(name)):
            yield Piece("reasoning", "thinking", value, name)
            return
    for detail in items(delta.get("reasoning_details")):  # OpenRouter
        if value := _string(field(detail, "text")) or _string(field(detail, "summary")):
            yield Piece("reasoning", "thinking", value)


def _parts(content: Any) -> Iterator[Piece]:
    """Of content that is a list (Mistral)."""
    for part in items(content):
        thoughts = field(part, "thinking")
        for thought in [thoughts] if isinstance(thoughts, str) else items(thoughts):
            if value := _string(thought) or _string(field(thought, "text")):
                yield Piece("reasoning", "thinking", value)
        if value := _string(field(part, "text")):
            yield Piece("text", "text", value)


def _call(call_type: str, body: Mapping[str, Any], call_id: str | None, number: int | None) -> Piece:
    """The input of a custom tool is plain text. Some servers send arguments that are no text."""
    arguments, plain = body.get("arguments"), _string(body.get("input"))
    content = _string(arguments) or plain or (json_text(arguments) if arguments else "")
    name = text(body.get("name")) or None
    return Piece(call_type, "tool_call", content, "arguments", name, call_id, number, is_plain=bool(plain))


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _size(data: Any) -> int:
    """In bytes, of data in base64."""
    return len(_string(data)) * 3 // 4


# --- the next delta of the same kind ---------------------------------------------------------------------------------


def _more_text(_: ChatTranslator, choice: Mapping[str, Any]) -> Any:
    delta = choice["delta"]
    values, others = delta.__dict__, delta.__pydantic_extra__
    if values["tool_calls"] is not None or values["refusal"] is not None or values["function_call"] is not None:
        return None
    if others and any(others.values()) and any(others.get(name) for name in _OTHER_CONTENT):
        return None
    return values["content"]


def _more_reasoning(translator: ChatTranslator, choice: Mapping[str, Any]) -> Any:
    delta = choice["delta"]
    values, others = delta.__dict__, delta.__pydantic_extra__
    return others[translator.last.field] if not values["content"] and values["tool_calls"] is None else None


def _more_arguments(translator: ChatTranslator, choice: Mapping[str, Any]) -> Any:
    values, last = choice["delta"].__dict__, translator.last
    [call] = values["tool_calls"]
    call = call.__dict__
    function, call_id = call["function"].__dict__, call["id"]
    is_same = call["index"] == last.number and (not call_id or call_id == last.id) and not function["name"]
    return function["arguments"] if is_same and not values["content"] else None


_MORE: Mapping[str, Callable[[ChatTranslator, Mapping[str, Any]], Any]] = {
    "text": lambda _, choice: choice["text"],
    "content": _more_text,
    "arguments": _more_arguments,
    **dict.fromkeys(REASONING, _more_reasoning),
}
"""How the text of the next delta is found, by the field that the last one had its text in."""
