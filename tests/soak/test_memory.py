"""What one stream holds, however long it is: at most 64 KiB of our own.

Measured by a walk from the observer over all that it refers to, but for what all streams share, and for its span, which
is the OpenTelemetry SDK's and holds at most `Config.max_events` events. tracemalloc would not do: what matters most is
a piece of the provider's text that we keep, and that was allocated in the SDK's files, not in ours.
"""

import gc
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from types import FunctionType, ModuleType
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from opentelemetry.trace import Span

from streamspan import runtime
from streamspan.cli.demo import wire
from streamspan.cli.demo.server import MessagesServer
from streamspan.core.tool_input import ToolInput
from streamspan.stainless.provider import Provider
from streamspan.telemetry.logs import EventLog
from streamspan.telemetry.metrics import Metrics
from streamspan.telemetry.series import CallLabels
from streamspan.telemetry.spans import Telemetry
from tests.anthropic.paths import REQUEST

STATE_BYTES_AT_MOST = 64 * 1024
GROWTH_BYTES_AT_MOST = 2048  # text that waits for the next look, larger ints
EARLY, LATE = 20_000, 60_000  # deltas
MEASURED_DELTAS = 400  # a tool input is scanned once in about 340
CHARS = 12  # of a delta
CHANCE = random.Random(1)
LONG_TEXT = "".join(CHANCE.choices("abcdefgh ", k=CHARS * (LATE + 2 * MEASURED_DELTAS)))  # no loop
TEN_MEGABYTES = 10_000_000
WHOLE = 2 * TEN_MEGABYTES  # chars to a delta: all in one
NOT_OF_THE_STREAM = (type, ModuleType, FunctionType, Span, Telemetry, Metrics, EventLog, CallLabels, Provider)
Block = Callable[[], Iterable[wire.Event]]


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    http_client = anthropic.DefaultHttpxClient(verify=False)
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, http_client=http_client) as client:
        yield client


def opened(client: Anthropic, server: MessagesServer, block: Block) -> Any:
    server.scripts.append([b"".join(event.encoded() for event in wire.whole_message(block()))])
    return client.messages.create(stream=True, **REQUEST)


def bytes_held(root: object) -> int:
    """Of `root` and all that it refers to. Counts shared constants too, so it is rather too much than too little."""
    found: dict[int, object] = {}
    waiting = [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) not in found and not isinstance(thing, NOT_OF_THE_STREAM):
            found[id(thing)] = thing
            waiting.extend(gc.get_referents(thing))
    return sum(map(sys.getsizeof, found.values()))


def skip(stream: Any, events: int) -> None:
    for _ in islice(stream, events):
        pass


def most_held(stream: Any) -> int:
    """The most that the only open stream holds at any of the next deltas."""
    (open_stream,) = runtime.open_streams()
    return max(bytes_held(open_stream) for _ in islice(stream, MEASURED_DELTAS))


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize(
    "block",
    [
        pytest.param(partial(wire.text_block, 0, LONG_TEXT, size=CHARS), id="text"),
        pytest.param(
            partial(wire.text_block, 0, "\U0001f600" + LONG_TEXT.replace("a", "\U0001f600"), size=CHARS), id="emoji"
        ),
        pytest.param(partial(wire.tool_block, 0, "write", {"text": LONG_TEXT}, size=CHARS), id="tool input"),
    ],
)
def test_a_long_stream(client: Anthropic, server: MessagesServer, block: Block) -> None:
    """What a stream holds is bounded, and is after 60,000 deltas what it was after 20,000."""
    with opened(client, server, block) as stream:
        skip(stream, EARLY)
        early = most_held(stream)
        skip(stream, LATE - EARLY - MEASURED_DELTAS)
        late = most_held(stream)

    assert early <= STATE_BYTES_AT_MOST
    assert late - early <= GROWTH_BYTES_AT_MOST


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize(
    "block",
    [
        pytest.param(partial(wire.text_block, 0, "x" * TEN_MEGABYTES, size=WHOLE), id="text"),
        pytest.param(partial(wire.tool_block, 0, "write", '{"a":"' + "x" * TEN_MEGABYTES, size=WHOLE), id="string"),
        pytest.param(partial(wire.tool_block, 0, "write", "9" * TEN_MEGABYTES, size=WHOLE), id="number"),
    ],
)
def test_a_huge_delta(client: Anthropic, server: MessagesServer, block: Block) -> None:
    """Nothing of a delta of 10 MB is held after it."""
    with opened(client, server, block) as stream:
        next(event for event in stream if len(str(event)) > TEN_MEGABYTES)
        (open_stream,) = runtime.open_streams()
        held = bytes_held(open_stream)

    assert held <= STATE_BYTES_AT_MOST


EMOJI = LONG_TEXT.replace("a", "\U0001f600")


@pytest.mark.usefixtures("instrumented")
def test_channels_that_take_turns(client: Anthropic, server: MessagesServer) -> None:
    """A stream that changes between thinking, text and tool calls does not hold a whole window of each."""
    parts = [EMOJI[start : start + 6000] for start in range(0, 18 * 6000, 6000)]
    blocks: list[Iterable[wire.Event]] = []
    for index in range(0, 18, 3):
        blocks += (
            wire.thinking_block(index, parts[index], size=CHARS),
            wire.text_block(index + 1, parts[index + 1], size=CHARS),
            wire.tool_block(index + 2, f"write_{index}", {"text": parts[index + 2]}, size=CHARS),
        )
    server.scripts.append([b"".join(event.encoded() for event in wire.whole_message(*blocks))])
    with client.messages.create(stream=True, **REQUEST) as stream:
        held = [bytes_held(runtime.open_streams()[0]) for number, _ in enumerate(stream) if number % 100 == 99]

    assert max(held[:-1]) <= STATE_BYTES_AT_MOST


def a_kanji(number: int) -> str:
    return chr(0x4E00 + number % 1000)


def two_digits(number: int) -> str:
    return str(10 + number % 90)


@pytest.mark.parametrize("piece", [a_kanji, two_digits])
def test_small_deltas(piece: Callable[[int], str]) -> None:
    """A string that comes in deltas of one or two chars holds no more than any other."""
    tool_input = ToolInput()
    tool_input.feed('"')
    held = max(bytes_held_after(tool_input, piece(number)) for number in range(5000))

    assert held <= STATE_BYTES_AT_MOST


def bytes_held_after(tool_input: ToolInput, piece: str) -> int:
    """Behind every hundredth char, because it takes long."""
    tool_input.feed(piece)
    return bytes_held(tool_input) if tool_input.chars % 100 == 1 else 0
