"""The streams that are read: the bodies of responses, as the pieces that the reader's reads return.

A request says in its `model` what it wants, as "CONTENT, ARRIVAL", and in its `max_tokens` how many deltas.

    content    text     prose, about 20 characters to a delta
               tool     the input of a tool call, about 12 characters of JSON to a delta
    arrival    single   each event in a read of its own, as a model's events come
               burst    64 KiB to a read

The prose and the JSON are realistic to a loop detector: words recur, and nothing loops.
"""

import json
import random
from collections.abc import Iterator
from functools import cache

from streamspan.cli.demo import wire

READ_SIZE = 65_536  # what the HTTP library asks a socket for
TEXT_SIZES = (12, 28)  # the shortest and the longest delta, in characters
TOOL_SIZES = (8, 16)
TOOL_START, TOOL_END = '{"edits":[', '],"note":"%s"}'
SYLLABLES = ("al", "be", "cor", "den", "est", "fa", "gri", "hol", "in", "ja", "ko", "lum", "men", "no", "or", "pel")
COMMON_WORDS = ("the", "a", "of", "and", "to", "in", "that", "it", "for", "was", "on", "with", "as", "they", "before")


@cache
def pieces(provider: str, model: str, deltas: int) -> tuple[bytes, ...]:
    """The body of a response with exactly so many deltas that have content."""
    content, arrival = model.split(", ")
    events = tuple(EVENTS[provider](content, deltas))
    if arrival == "single":
        return events
    body = b"".join(events)
    return tuple(body[start : start + READ_SIZE] for start in range(0, len(body), READ_SIZE))


def messages(content: str, deltas: int) -> Iterator[bytes]:
    """Of Anthropic's Messages API. As in the real API, the first delta of a tool input is empty."""
    block: dict[str, object] = {"type": "text", "text": ""}
    kinds = ("text_delta", "text")
    if content == "tool":
        block = {"type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "edit", "input": {}}
        kinds = ("input_json_delta", "partial_json")
    kind, key = kinds
    texts = contents(content, deltas)
    block_deltas = [wire.block_delta(0, {"type": kind, key: text}) for text in (*([""] * (content == "tool")), *texts)]
    blocks = (wire.block_start(0, block), *block_deltas, wire.block_stop(0))
    return (event.encoded() for event in wire.whole_message(blocks, output_tokens=deltas))


def chat_completions(content: str, deltas: int) -> Iterator[bytes]:
    """Of OpenAI's Chat Completions API. The first chunk has no content; the last one has the usage alone."""
    about = {
        "id": "chatcmpl-BnTQ4kYlq9dT2hJc7wZs1mXvR8oEa",
        "object": "chat.completion.chunk",
        "created": 1764000000,
        "model": "gpt-5.5-2026-04-23",
        "service_tier": "default",
        "system_fingerprint": "fp_6c1d5b0d7a",
    }

    def chunk(delta: object, finish_reason: str | None = None, **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        data = {**about, "choices": [choice], "usage": None, "obfuscation": "xK3f9Q", **more}
        return f"data: {wire.compact_json(data)}\n\n".encode()

    call = {"index": 0, "id": "call_q9dT2hJc7wZs1mXvR8oEa4kY", "type": "function"}
    named = {"tool_calls": [{**call, "function": {"name": "edit", "arguments": ""}}]}
    yield chunk(
        {"role": "assistant", "content": None if content == "tool" else "", **(named if content == "tool" else {})}
    )
    for text in contents(content, deltas):
        arguments = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        yield chunk(arguments if content == "tool" else {"content": text})
    yield chunk({}, "tool_calls" if content == "tool" else "stop")
    usage = {
        "prompt_tokens": 25,
        "completion_tokens": deltas,
        "total_tokens": 25 + deltas,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    yield chunk({}, choices=[], usage=usage)
    yield b"data: [DONE]\n\n"


EVENTS = {"anthropic": messages, "openai": chat_completions}
"""By provider."""


def contents(content: str, deltas: int) -> Iterator[str]:
    """What each delta has."""
    if content == "text":
        sizes = delta_sizes(deltas, TEXT_SIZES)
        return cut(prose(sum(sizes), random.Random(1)), sizes)
    sizes = delta_sizes(deltas, TOOL_SIZES)
    return cut(tool_input(sum(sizes), random.Random(2)), sizes)


def delta_sizes(deltas: int, limits: tuple[int, int]) -> list[int]:
    chance = random.Random(3)
    return [chance.randint(*limits) for _ in range(deltas)]


def cut(text: str, sizes: list[int]) -> Iterator[str]:
    at = 0
    for size in sizes:
        yield text[at : at + size]
        at += size


def word(chance: random.Random) -> str:
    if chance.random() < 0.4:
        return chance.choice(COMMON_WORDS)
    return "".join(chance.choices(SYLLABLES, k=chance.randint(1, 4)))


def prose(chars: int, chance: random.Random) -> str:
    """Sentences of exactly so many characters."""
    sentences: list[str] = []
    missing = chars
    while missing > 0:
        sentence = " ".join(word(chance) for _ in range(chance.randint(5, 14))).capitalize() + ". "
        sentences.append(sentence)
        missing -= len(sentence)
    return "".join(sentences)[:chars]


def tool_input(chars: int, chance: random.Random) -> str:
    """Whole JSON of exactly so many characters: a list of edits and a note, which fills it up."""
    edits: list[str] = []
    missing = chars - len(TOOL_START) - len(TOOL_END % "")
    while True:
        edit = {"path": f"src/{word(chance)}/{word(chance)}.py", "line": chance.randint(1, 900)}
        encoded = json.dumps(edit | {"text": prose(chance.randint(20, 80), chance)}) + ","
        if len(encoded) > missing:
            break
        edits.append(encoded)
        missing -= len(encoded)
    listed = "".join(edits).removesuffix(",")
    return TOOL_START + listed + TOOL_END % prose(chars - len(TOOL_START + listed + TOOL_END % ""), chance)
