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
def pieces(model: str, deltas: int) -> tuple[bytes, ...]:
    """The body of a response with exactly so many deltas that have content."""
    content, arrival = model.split(", ")
    block = text_block(deltas) if content == "text" else tool_block(deltas)
    events = [event.encoded() for event in wire.whole_message(block, output_tokens=deltas)]
    if arrival == "single":
        return tuple(events)
    body = b"".join(events)
    return tuple(body[start : start + READ_SIZE] for start in range(0, len(body), READ_SIZE))


def text_block(deltas: int) -> Iterator[wire.Event]:
    sizes = delta_sizes(deltas, TEXT_SIZES)
    yield wire.block_start(0, {"type": "text", "text": ""})
    for text in cut(prose(sum(sizes), random.Random(1)), sizes):
        yield wire.block_delta(0, {"type": "text_delta", "text": text})
    yield wire.block_stop(0)


def tool_block(deltas: int) -> Iterator[wire.Event]:
    """One event more than deltas with content: as in the real API, the first delta is empty."""
    sizes = delta_sizes(deltas, TOOL_SIZES)
    yield wire.block_start(0, {"type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "edit", "input": {}})
    for text in ("", *cut(tool_input(sum(sizes), random.Random(2)), sizes)):
        yield wire.block_delta(0, {"type": "input_json_delta", "partial_json": text})
    yield wire.block_stop(0)


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
