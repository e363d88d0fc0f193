"""The Chat Completions API as a wire format of the stories.

It has no content blocks and no names of events. Reasoning is sent as compatible servers send it: OpenAI's own does not.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections.abc import Iterator, Mapping

from streamspan.cli.demo.answer import (
    Begins,
    BlockBegins,
    BlockEnds,
    BlockKind,
    Delta,
    Ends,
    Fails,
    FallsBack,
    KeepAlive,
    Part,
    Rejected,
    StopReason,
)
from streamspan.cli.demo.script import Step
from streamspan.cli.demo.sse import Event

from .errors import error, sent_by_both

MODEL = "gpt-5.5"
DATED_MODEL = "gpt-5.5-2026-04-23"
COMPLETION_ID = "chatcmpl-CjN2mW8uPq0dKx5vTz7RbE4sYhLfA"
CREATED = 1_796_000_000
DONE = b"data: [DONE]\n\n"
FINISH_REASONS: Mapping[StopReason, str] = {
    "end": "stop",
    "tool call": "tool_calls",
    "length": "length",
    "refusal": "content_filter",
}


def chunk(
    delta: Mapping[str, object] | None = None,
    *,
    finish_reason: str | None = None,
    usage: Mapping[str, object] | None = None,
) -> Event:
    """A chunk of the one choice, or the one with the usage, which has no choice."""
    choice: dict[str, object] = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    data: dict[str, object] = {
        "id": COMPLETION_ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": DATED_MODEL,
        "service_tier": "default",
        "system_fingerprint": None,
        "choices": [] if delta is None else [choice],
        "usage": usage,
    }
    return Event("", data)


def tool_start(index: int, name: str) -> Event:
    call_id = f"call_m7VqS0c1XkQwZr5uTnYbJ{index:02d}"
    function = {"name": name, "arguments": ""}
    return chunk({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})


def tool_delta(index: int, json_text: str) -> Event:
    return chunk({"tool_calls": [{"index": index, "function": {"arguments": json_text}}]})


def usage(input_tokens: int, output_tokens: int) -> Mapping[str, object]:
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


class Chat:
    """The chunks of one completion, whose tool calls have numbers."""

    def __init__(self) -> None:
        self._kind: BlockKind = "text"
        self._tool_index = -1
        self._input_tokens = 0

    def sent(self, part: Part) -> Iterator[Step]:
        match part:
            case Begins(input_tokens):
                self._input_tokens = input_tokens
                yield chunk({"role": "assistant", "content": "", "refusal": None})
            case BlockBegins(kind, tool):
                self._kind = kind
                if kind == "tool call":
                    self._tool_index += 1
                    yield tool_start(self._tool_index, tool)
            case Delta(text):
                yield self._delta(text)
            case Ends(stop_reason, output_tokens):
                yield chunk({}, finish_reason=FINISH_REASONS[stop_reason])
                yield chunk(usage=usage(self._input_tokens, output_tokens))
                yield DONE
            case Fails(failure):
                yield Event("", {"error": error(failure)})
            case BlockEnds():  # of which nothing is sent
                pass
            case KeepAlive() | Rejected() | FallsBack():
                yield from sent_by_both(part)

    def _delta(self, text: str) -> Event:
        if self._kind == "tool call":
            return tool_delta(self._tool_index, text)
        return chunk({"reasoning_content" if self._kind == "thinking" else "content": text})
