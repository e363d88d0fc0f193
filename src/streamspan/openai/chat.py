"""From the chunks of Chat Completions to the verbs of the core; also from those of the legacy Completions.

Nothing here is validated by the SDK, which hands on what the server sent, and the servers are of many makers. A stream
may have several choices, each of which is one answer with blocks of its own. It is complete once each choice that has
begun has a finish reason, or once `[DONE]` has come.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from streamspan import semconv
from streamspan.core.model import BlockStart, DeltaKind, Fact, Report, Usage
from streamspan.core.stream import StreamState
from streamspan.stainless.errors import error_word
from streamspan.stainless.values import count, field, fields, items, text

from .deltas import REASONING, Piece, media_size, pieces_of
from .usage import sum_of, usage_of

_CHANNELS: Mapping[str, DeltaKind] = {"text": "text", "thinking": "thinking", "tool_call": "tool_input"}
_CUTTING_REASONS = frozenset({"length", "content_filter", "model_length", "max_tokens"})
_OTHER_CONTENT = frozenset({*REASONING, "reasoning_details", "images"})
"""Fields of content that the SDK does not define."""
_WORDS: Mapping[str, str] = {
    "service_tier": semconv.OPENAI_RESPONSE_SERVICE_TIER,
    "system_fingerprint": semconv.OPENAI_SYSTEM_FINGERPRINT,
}
_CHOICES_AT_MOST = 128
_SIZE_AT_MOST = 2**40
_CALLS_AT_MOST = 64  # that are open in one choice, and that are known of it
_NO_CHOICE = -1


class _Choice:
    """One of the answers.

    calls  its tool calls, by what tells them apart: the index of the block, and the id
    last   the tool call that began last
    open   the indexes of the blocks that are open, by their type, or as in `calls`
    """

    __slots__ = ("calls", "finish_reason", "last", "open", "usage")

    def __init__(self) -> None:
        self.calls: dict[object, tuple[int, str | None]] = {}
        self.last: object = None
        self.open: dict[object, int] = {}
        self.finish_reason: str | None = None
        self.usage: Usage | None = None

    def key_of(self, piece: Piece) -> object:
        """What tells the block of this piece apart from others. Not every server numbers tool calls, or names them."""
        if piece.kind != "tool_call":
            return piece.type
        if piece.number is None and piece.id is None:
            return self.last if piece.name is None else (len(self.calls),)
        return piece.id if piece.number is None else piece.number

    def is_unfinished(self, call: object, state: StreamState) -> bool:
        index = self.open.get(call)
        return index is not None and not state.has_whole_input(index)

    def begins(self, piece: Piece) -> bool:
        """Whether a block begins with this piece. A tool call of the same index with another id is another one."""
        key = self.key_of(piece)
        if piece.kind != "tool_call":
            return key not in self.open
        _, call_id = self.calls.get(key, (None, None))
        is_another = None not in {piece.name, piece.id, call_id} and piece.id != call_id
        return is_another or key not in self.calls


_Brought = tuple[_Choice, Mapping[str, Any], tuple[Piece, ...]]
"""A choice as it is known, what a chunk says of it, and the pieces that it brings."""


class ChatTranslator:
    """Translates the chunks of one stream.

    attributes  what only this API reports
    field       where the last chunk had its text, if it brought nothing else
    number      of the tool call that the text was of
    call_id     the same
    """

    __slots__ = (
        "_block_count",
        "_choice",
        "_choices",
        "_has_started",
        "_more",
        "attributes",
        "call_id",
        "field",
        "number",
    )

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._block_count = 0
        self._has_started = False
        self._choice = _NO_CHOICE  # of the last chunk, if that was one delta with content
        self.field = ""
        self.number: int | None = None
        self.call_id: str | None = None
        self._more = _more_text

    def continued(self, event: Any) -> str | None:
        """The text of a delta of the same block and kind as the last; None for any other event.

        It looks in the fields of the SDK's models, which takes a fraction of the time of asking the models.
        """
        try:
            chunk = event.__dict__
            [choice] = chunk["choices"]
            values = choice.__dict__
            if values["index"] == self._choice and values["finish_reason"] is None and chunk["usage"] is None:
                text = self._more(self, values)
                return text if type(text) is str else None
        except (AttributeError, KeyError, TypeError, ValueError):
            pass
        return None

    def translate(self, event: Any, gap: float, at: float, state: StreamState) -> tuple[Report, ...]:
        values = fields(event)
        self._choice = _NO_CHOICE
        choices = [fields(choice) for choice in items(values.get("choices"))]
        begun_before = len(self._choices)
        brought = [(self._known(choice, state), choice, tuple(pieces_of(choice))) for choice in choices]
        is_news = self._describe(values, brought, state) or not choices or len(self._choices) > begun_before
        is_news = any([is_news, *(self._is_news(*of_choice) for of_choice in brought)])
        if not is_news and not any(piece.text for _, _, pieces in brought for piece in pieces):
            return state.delta("text", None, "", at, gap)  # a keep-alive
        reports: tuple[Report, ...] = ()
        if is_news:
            reports, gap = state.event(gap, at), 0.0
        for choice, chosen, pieces in brought:
            for piece in pieces:
                reports += self._take(choice, piece, gap, at, state)
                gap = 0.0 if piece.text else gap
            reports += self._finish(choice, chosen, at, state)
        if len(brought) == 1 and len(brought[0][2]) == 1:
            self._expect_more(*brought[0][1:])
        return reports

    def is_complete(self, *, marked: bool) -> bool:
        return marked or (bool(self._choices) and all(choice.finish_reason for choice in self._choices.values()))

    def _known(self, values: Mapping[str, Any], state: StreamState) -> _Choice:
        index = count(values.get("index")) or 0
        if index not in self._choices:
            if len(self._choices) >= _CHOICES_AT_MOST:
                return next(iter(self._choices.values()))
            self._choices[index] = _Choice()
            state.stopped(None, cut=False)
        return self._choices[index]

    def _describe(self, values: Mapping[str, Any], brought: list[_Brought], state: StreamState) -> bool:
        """Take what a chunk says besides its deltas. Whether that was usage, which comes last."""
        if not self._has_started and (brought or values.get("id")):
            self._has_started = True
            state.started(text(values.get("id")) or None, text(values.get("model")) or None, Usage())
        for name, attribute in _WORDS.items():
            if word := text(values.get(name)):
                self.attributes[attribute] = word
        usage = usage_of(values.get("usage")) or usage_of(field(values.get("x_groq"), "usage"))
        if usage is None:
            for choice, chosen, _ in brought:
                choice.usage = usage_of(chosen.get("usage")) or choice.usage
            usage = sum_of([choice.usage for choice in self._choices.values()])
        if usage is None:
            return False
        state.reported(usage, in_full=True)
        return True

    def _is_news(self, choice: _Choice, values: Mapping[str, Any], pieces: tuple[Piece, ...]) -> bool:
        """Whether a choice brings more than text, or nothing at all."""
        size = media_size(values)
        if size:
            self.attributes[semconv.MEDIA_SIZE] = min(self.attributes.get(semconv.MEDIA_SIZE, 0) + size, _SIZE_AT_MOST)
        begins_call = any(piece.kind in {"tool_call", "other"} and choice.begins(piece) for piece in pieces)
        return bool(size or begins_call or values.get("finish_reason"))

    def _take(self, choice: _Choice, piece: Piece, gap: float, at: float, state: StreamState) -> tuple[Report, ...]:
        key, reports = choice.key_of(piece), ()
        if choice.begins(piece):
            reports = self._begin(choice, key, piece, at, state)
        index = choice.calls[key][0] if piece.kind == "tool_call" else choice.open[key]
        channel = _CHANNELS.get(piece.kind)
        if piece.text and channel is not None:
            reports += state.delta(channel, index, piece.text, at, gap)
        return reports

    def _begin(self, choice: _Choice, key: object, piece: Piece, at: float, state: StreamState) -> tuple[Report, ...]:
        """A block begins, which ends the others of the choice: all but a tool call that some servers go on with."""
        is_full = len(choice.open) >= _CALLS_AT_MOST
        kept = (
            () if is_full else [open_ for open_ in choice.calls if open_ != key and choice.is_unfinished(open_, state)]
        )
        reports: tuple[Report, ...] = _close(choice, at, state, but=kept)
        index, self._block_count = self._block_count, self._block_count + 1
        choice.open[key] = index
        if piece.kind == "tool_call":
            if len(choice.calls) >= _CALLS_AT_MOST:
                choice.calls.clear()
            choice.calls[key], choice.last = (index, piece.id), key
        if piece.type == "refusal":
            reports += state.refused(None)
        start = BlockStart(index, piece.type, piece.kind, piece.name, piece.id, piece.is_plain)
        return reports + state.block_started(start, at)

    def _finish(self, choice: _Choice, values: Mapping[str, Any], at: float, state: StreamState) -> tuple[Fact, ...]:
        """Of a choice that has a finish reason. An empty one is none, and some servers tell it twice."""
        finish_reason = text(values.get("finish_reason"))
        if not finish_reason:
            return ()
        choice.finish_reason = finish_reason
        facts = _close(choice, at, state)
        if finish_reason == "error":
            state.failed(error_word(values.get("error")) or "api_error")
            return facts
        reasons = [self._choices[index].finish_reason for index in sorted(self._choices)]
        if all(reasons):
            state.stopped(reasons[0], cut=not _CUTTING_REASONS.isdisjoint(reasons))
            if len(reasons) > 1:
                self.attributes[semconv.RESPONSE_FINISH_REASONS] = reasons
        return facts

    def _expect_more(self, values: Mapping[str, Any], pieces: tuple[Piece, ...]) -> None:
        """The next chunk may go on with the one piece of this one."""
        [piece] = pieces
        if piece.text and piece.field in _MORE and not values.get("finish_reason"):
            self._choice = count(values.get("index")) if values.get("index") is not None else _NO_CHOICE
            self.field, self.number, self.call_id = piece.field, piece.number, piece.id
            self._more = _MORE[piece.field]


def _close(choice: _Choice, at: float, state: StreamState, but: Collection[object] = ()) -> tuple[Fact, ...]:
    facts: tuple[Fact, ...] = ()
    for key in [key for key in choice.open if key not in but]:
        facts += state.block_stopped(choice.open.pop(key), at)
    return facts


def _more_of_completion(_: ChatTranslator, choice: Mapping[str, Any]) -> Any:
    return choice["text"]


def _more_text(_: ChatTranslator, choice: Mapping[str, Any]) -> Any:
    delta = choice["delta"]
    values, others = delta.__dict__, delta.__pydantic_extra__
    if values["tool_calls"] is not None or values["refusal"] is not None or values["function_call"] is not None:
        return None
    if others and not _OTHER_CONTENT.isdisjoint(others) and any(map(others.get, _OTHER_CONTENT)):
        return None
    return values["content"]


def _more_reasoning(translator: ChatTranslator, choice: Mapping[str, Any]) -> Any:
    delta = choice["delta"]
    values = delta.__dict__
    is_alone = not values["content"] and values["tool_calls"] is None
    return delta.__pydantic_extra__[translator.field] if is_alone else None


def _more_arguments(translator: ChatTranslator, choice: Mapping[str, Any]) -> Any:
    delta = choice["delta"].__dict__
    [call] = delta["tool_calls"]
    values, function = call.__dict__, call.function.__dict__
    is_same = values["index"] == translator.number and values["id"] in {None, "", translator.call_id}
    return function["arguments"] if is_same and not function["name"] and not delta["content"] else None


_MORE: Mapping[str, Callable[[ChatTranslator, Mapping[str, Any]], Any]] = {
    "text": _more_of_completion,
    "content": _more_text,
    "arguments": _more_arguments,
    **dict.fromkeys(REASONING, _more_reasoning),
}
"""How the next delta is read, by the field that the last one had its text in."""
