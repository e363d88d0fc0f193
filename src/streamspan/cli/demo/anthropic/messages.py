"""The Messages API as a wire format of the stories."""

from collections.abc import Callable, Iterator, Mapping

from streamspan.cli.demo import wire
from streamspan.cli.demo.answer import (
    Begins,
    BlockBegins,
    BlockEnds,
    BlockKind,
    Delta,
    Ends,
    Fails,
    Failure,
    FallsBack,
    KeepAlive,
    Part,
    Rejected,
    StopReason,
)
from streamspan.cli.demo.script import Script, Step, error_response, overloaded
from streamspan.cli.demo.sse import Event

STOP_REASONS: Mapping[StopReason, str] = {
    "end": "end_turn",
    "tool call": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
}
ERROR_TYPES: Mapping[Failure, str] = {"overloaded": "overloaded_error", "bad request": "invalid_request_error"}
DELTAS: Mapping[BlockKind, Callable[[int, str], Event]] = {
    "text": wire.text_delta,
    "thinking": wire.thinking_delta,
    "tool call": wire.tool_delta,
}


class Messages:
    """The events of one message, whose blocks have numbers."""

    def __init__(self) -> None:
        self._index = -1
        self._kind: BlockKind = "text"

    def sent(self, part: Part) -> Iterator[Step]:
        match part:
            case Begins(input_tokens):
                yield wire.message_start(usage={"input_tokens": input_tokens})
                yield wire.ping()
            case BlockBegins(kind, tool):
                self._index, self._kind = self._index + 1, kind
                yield from _block_start(self._index, kind, tool)
            case Delta(text):
                yield DELTAS[self._kind](self._index, text)
            case BlockEnds():
                yield from _block_end(self._index, self._kind)
            case Ends(stop_reason, output_tokens, refusal):
                details = wire.refusal(refusal) if refusal else None
                yield wire.message_delta(STOP_REASONS[stop_reason], output_tokens, stop_details=details)
                yield wire.message_stop()
            case KeepAlive():
                yield wire.ping()
            case Fails(failure):
                yield wire.error(ERROR_TYPES[failure], "Overloaded")
            case FallsBack(category):
                self._index += 1
                yield from wire.fallback_block(self._index, category)
            case Rejected():
                yield from _rejected(part)


def _block_start(index: int, kind: BlockKind, tool: str) -> Iterator[Event]:
    if kind == "tool call":
        yield wire.tool_start(index, tool)
        yield wire.tool_delta(index, "")  # as in the real API
    else:
        yield wire.thinking_start(index) if kind == "thinking" else wire.text_start(index)


def _block_end(index: int, kind: BlockKind) -> Iterator[Event]:
    if kind == "thinking":
        yield wire.signature_delta(index)
    yield wire.block_stop(index)


def _rejected(part: Rejected) -> Script:
    if part.failure == "overloaded":
        return overloaded(retry_after_ms=part.retry_after_ms)
    return error_response(400, ERROR_TYPES[part.failure], part.message)
