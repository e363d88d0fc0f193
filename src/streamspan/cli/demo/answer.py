"""An answer of a model as it is streamed, in no provider's words.

Its steps are parts of an answer, and what the server does besides (`script.py`). A wire format turns the parts into the
events in which one API sends them, so that a story is told once for all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from .script import Head, Pause, Script, paced
from .script import Step as ServerStep
from .sse import Event, pieces

BlockKind = Literal["text", "thinking", "tool call"]
StopReason = Literal["end", "tool call", "length", "refusal"]
Failure = Literal["overloaded", "bad request"]


@dataclass(frozen=True, slots=True)
class Begins:
    """The answer begins."""

    input_tokens: int = 412


@dataclass(frozen=True, slots=True)
class BlockBegins:
    """tool: the name of the tool that is called."""

    kind: BlockKind
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the block that has begun: of its text, or of the JSON of a tool call."""

    text: str


@dataclass(frozen=True, slots=True)
class BlockEnds:
    pass


@dataclass(frozen=True, slots=True)
class Ends:
    """The answer is whole. refusal: the category of what the model refuses, where the API tells it."""

    stop_reason: StopReason
    output_tokens: int
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Shows that the line lives, and brings nothing."""


@dataclass(frozen=True, slots=True)
class Fails:
    """An error in the middle of the stream."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class FallsBack:
    """Another model goes on, because the first has refused what is of this category."""

    category: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """An HTTP error in the place of a stream. The SDK asks again after `retry_after_ms`, if it asks again."""

    failure: Failure
    message: str = "Overloaded"
    retry_after_ms: int = 10


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Several parts in one chunk of the body."""

    parts: "Sequence[Part]"


Part = Begins | BlockBegins | Delta | BlockEnds | Ends | KeepAlive | Fails | FallsBack | Rejected
Step = Part | AtOnce | ServerStep
Steps = Sequence[Step]


class WireFormat(Protocol):
    """How an API streams one answer, whose parts come in their order."""

    def sent(self, part: Part) -> Iterable[ServerStep]:
        """What the server does for this part: often it sends one event, sometimes none."""
        ...


def scripted(steps: Iterable[Step], wire: WireFormat) -> Script:
    """What the server does, so that the answer comes in this wire format."""
    return list(_scripted(steps, wire))


def _scripted(steps: Iterable[Step], wire: WireFormat) -> Iterator[ServerStep]:
    for step in steps:
        if isinstance(step, AtOnce):
            yield b"".join(encoded(one) for part in step.parts for one in wire.sent(part))
        elif isinstance(step, Part):
            yield from wire.sent(step)
        else:
            yield step


def encoded(step: ServerStep) -> bytes:
    """Empty for what is no part of the body."""
    return step.encoded() if isinstance(step, Event) else step if isinstance(step, bytes) else b""


# --- the steps of usual answers --------------------------------------------------------------------------------------


def begun(*blocks: Iterable[Step], headers_after: float = 0.2, first_block_after: float = 0.3) -> list[Step]:
    """An answer up to and including its blocks."""
    steps: list[Step] = [Pause(headers_after), Head(), Begins(), Pause(first_block_after)]
    for block in blocks:
        steps += block
    return steps


def answer(*blocks: Iterable[Step], stop_reason: StopReason = "end", output_tokens: int = 64) -> list[Step]:
    """A whole answer."""
    return [*begun(*blocks), Pause(0.05), Ends(stop_reason, output_tokens)]


def refused(*blocks: Iterable[Step], category: str) -> list[Step]:
    """An answer that the model does not go on with."""
    return [*begun(*blocks), Pause(0.3), Ends("refusal", 9, refusal=category)]


def text(content: str, *, size: int = 6, pause: float = 0.025) -> list[Step]:
    return list(paced(block(BlockBegins("text"), content, size), pause))


def thinking(content: str) -> list[Step]:
    return list(paced(block(BlockBegins("thinking"), content, size=10), 0.025))


def tool(name: str, tool_input: str, *, size: int = 8, pause: float = 0.03) -> list[Step]:
    """A tool call, after the silence in which the model decides on it. Its input may be cut or broken JSON."""
    return [Pause(0.12), *paced(block(BlockBegins("tool call", name), tool_input, size), pause)]


def block(begins: BlockBegins, content: str, size: int) -> Iterator[Step]:
    """A whole block, `size` characters to a delta."""
    yield begins
    yield from map(Delta, pieces(content, size))
    yield BlockEnds()


def frozen(steps: Sequence[Step], *, after: int, seconds: float, pings: int = 0) -> list[Step]:
    """The steps, with a silence after the first `after`, in which there are so many keep-alives.

    Fewer than 20 chunks must follow it: at a high speed as many look like those that something held back.
    """
    pause = Pause(seconds / (pings + 1), never_shorter=True)
    return [*steps[:after], *[pause, KeepAlive()] * pings, pause, *steps[after:]]


def buffered(*blocks: Iterable[Step], seconds: float) -> list[Step]:
    """A whole answer, held back and then let go at once."""
    return [Head(), Pause(seconds, never_shorter=True), AtOnce(parts_of(answer(*blocks)))]


def in_clumps(*blocks: Iterable[Step], parts_at_once: int, seconds: float) -> list[Step]:
    """A whole answer, held back for a while and let go, again and again."""
    parts = parts_of(answer(*blocks))
    clumps = [AtOnce(parts[start : start + parts_at_once]) for start in range(0, len(parts), parts_at_once)]
    return [Head(), *(step for clump in clumps for step in (Pause(seconds, never_shorter=True), clump))]


def parts_of(steps: Iterable[Step]) -> list[Part]:
    return [step for step in steps if isinstance(step, Part)]
