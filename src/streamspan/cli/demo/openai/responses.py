"""The Responses API as a wire format of the stories: output items with their parts, each told again when it is whole.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

import json
from collections.abc import Iterator, Mapping

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
from streamspan.cli.demo.script import Step
from streamspan.cli.demo.sse import Event

from .chat import CREATED, DATED_MODEL
from .errors import error, sent_by_both

RESPONSE_ID = "resp_68c1f0a2b6d481929f1d0e7a4b3c5d6e0a1b2c3d4e5f6071"
INCOMPLETE: Mapping[StopReason, str] = {"length": "max_output_tokens", "refusal": "content_filter"}
"""The reason of a response that is not whole; of one that is whole there is none."""

Json = Mapping[str, object]


class Item:
    """An output item that is being written."""

    def __init__(self, index: int, kind: BlockKind, tool: str) -> None:
        self.id = f"{_IDS[kind]}_68c1f0a2b6d481929f1d0e7a4b3c5d6e{index:04d}"
        self.index = index
        self.kind: BlockKind = kind
        self.text = ""
        self._tool = tool

    def begun(self) -> Iterator[tuple[str, Json]]:
        yield "response.output_item.added", {"item": self.as_json(is_done=False)}
        if self.kind != "tool call":
            yield f"{_PARTS[self.kind]}.added", {**self._place(), "part": self._part()}

    def delta(self, text: str) -> tuple[str, Json]:
        self.text += text
        return f"{_CHANNELS[self.kind]}.delta", {**self._place(), "delta": text}

    def ended(self) -> Iterator[tuple[str, Json]]:
        whole = "arguments" if self.kind == "tool call" else "text"
        yield f"{_CHANNELS[self.kind]}.done", {**self._place(), whole: self.text}
        if self.kind != "tool call":
            yield f"{_PARTS[self.kind]}.done", {**self._place(), "part": self._part()}
        yield "response.output_item.done", {"item": self.as_json(is_done=True)}

    def as_json(self, *, is_done: bool) -> Json:
        if self.kind == "thinking":
            return {"id": self.id, "type": "reasoning", "summary": [self._part()] if is_done else []}
        if self.kind == "text":
            content = [self._part()] if is_done else []
            status = "completed" if is_done else "in_progress"
            return {"id": self.id, "type": "message", "status": status, "content": content, "role": "assistant"}
        status = "in_progress" if not is_done else "completed" if _is_json(self.text) else "incomplete"
        call = {"call_id": f"call_{self.id}", "name": self._tool, "arguments": self.text}
        return {"id": self.id, "type": "function_call", "status": status, **call}

    def _part(self) -> Json:
        if self.kind == "thinking":
            return {"type": "summary_text", "text": self.text}
        return {"type": "output_text", "annotations": [], "logprobs": [], "text": self.text}

    def _place(self) -> Json:
        indexes = {"text": {"content_index": 0}, "thinking": {"summary_index": 0}, "tool call": {}}
        return {"item_id": self.id, **indexes[self.kind]}


_IDS: Mapping[BlockKind, str] = {"text": "msg", "thinking": "rs", "tool call": "fc"}
_PARTS: Mapping[BlockKind, str] = {"text": "response.content_part", "thinking": "response.reasoning_summary_part"}
_CHANNELS: Mapping[BlockKind, str] = {
    "text": "response.output_text",
    "thinking": "response.reasoning_summary_text",
    "tool call": "response.function_call_arguments",
}


class Responses:
    """The events of one response, which have numbers."""

    def __init__(self) -> None:
        self._sequence_number = -1
        self._items: list[Item] = []
        self._input_tokens = 0

    def sent(self, part: Part) -> Iterator[Step]:
        match part:
            case Begins(input_tokens):
                self._input_tokens = input_tokens
                yield self._of_response("created", "in_progress")
                yield self._of_response("in_progress", "in_progress")
            case BlockBegins(kind, tool):
                self._items.append(Item(len(self._items), kind, tool))
                yield from (self._of_item(*event) for event in self._items[-1].begun())
            case Delta(text):
                yield self._of_item(*self._items[-1].delta(text))
            case BlockEnds():
                yield from (self._of_item(*event) for event in self._items[-1].ended())
            case Ends(stop_reason, output_tokens):
                yield self._ended(stop_reason, output_tokens)
            case Fails(failure):
                yield self._failed(failure)
            case KeepAlive() | Rejected() | FallsBack():
                yield from sent_by_both(part)

    def _ended(self, stop_reason: StopReason, output_tokens: int) -> Event:
        reason = INCOMPLETE.get(stop_reason)
        status = "incomplete" if reason else "completed"
        usage = {
            "input_tokens": self._input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self._input_tokens + output_tokens,
        }
        return self._of_response(status, status, usage=usage, incomplete_details={"reason": reason} if reason else None)

    def _failed(self, failure: Failure) -> Event:
        told = error(failure)
        return self._of_response("failed", "failed", error={"code": told["code"], "message": told["message"]})

    def _of_response(self, event: str, status: str, **changed: object) -> Event:
        response: dict[str, object] = {
            "id": RESPONSE_ID,
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": DATED_MODEL,
            "output": [] if status == "in_progress" else [item.as_json(is_done=True) for item in self._items],
            "parallel_tool_calls": True,
            "service_tier": "default",
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
        }
        return self._event(f"response.{event}", {"response": {**response, **changed}})

    def _of_item(self, name: str, data: Json) -> Event:
        return self._event(name, {"output_index": self._items[-1].index, **data})

    def _event(self, name: str, data: Json) -> Event:
        self._sequence_number += 1
        return Event(name, {"type": name, "sequence_number": self._sequence_number, **data})


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
