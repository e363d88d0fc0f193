"""Traffic with faults put in on purpose, and what its spans say of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from opentelemetry.sdk.trace import ReadableSpan

from streamspan import semconv
from streamspan.cli.demo.answer import Fails, Step, answer, begun, scripted, text, tool
from streamspan.cli.demo.anthropic.messages import Messages
from streamspan.cli.demo.anthropic.provider import PROVIDER as ANTHROPIC
from streamspan.cli.demo.anthropic.sdk import async_sdk, request, sync_sdk
from streamspan.cli.demo.openai import chat as openai_chat
from streamspan.cli.demo.openai.provider import PROVIDER as OPENAI
from streamspan.cli.demo.openai.sdk import ChatApi
from streamspan.cli.demo.script import Head, Pause, Script, error_response
from streamspan.cli.demo.server import LoopbackServer
from streamspan.cli.demo.sse import Event
from streamspan.cli.demo.stories import EMAIL_TO_DANA, LOOPING_ADVICE, SHIPPED
from streamspan.cli.demo.wire import message_start
from tests.stack.traceql import SearchedSpan

STALL_SECONDS = 0.4
LARGE, SMALL = "claude-opus-5-5", "claude-haiku-5-5"
OTHER = openai_chat.MODEL
"""Of the other provider."""
WORKERS = 10
BLOCKED_AFTER, BLOCKED_SECONDS = 0.6, 0.4
FIRST_EVENTS = 8


Application = Callable[[str], None]
"""What an application does with the API at this URL."""


def reads(model: str, *, events: int | None = None, pause: float = 0.0) -> Application:
    """Reads all, or leaves after so many events; takes its time with each."""

    def application(url: str) -> None:
        with (
            suppress(anthropic.APIError),
            sync_sdk(url) as client,
            client.messages.create(**request(model), stream=True) as stream,
        ):
            read(stream, events, pause)

    return application


def reads_the_other(*, events: int | None = None, pause: float = 0.0) -> Application:
    def application(url: str) -> None:
        with suppress(openai.APIError), ChatApi().client(url) as client, client.create() as stream:
            read(stream, events, pause)

    return application


def read(stream: Iterable[object], events: int | None, pause: float) -> None:
    for count, _ in enumerate(stream, 1):
        time.sleep(pause)
        if count == events:
            return


def reads_on_blocked_loop(model: str) -> Application:
    """Something else on the event loop does not give way, while the stream is waited for."""

    async def read(url: str) -> None:
        async with async_sdk(url) as client:
            create = client.messages.create(**request(model), stream=True)
            async with await create as stream:
                asyncio.get_running_loop().call_later(BLOCKED_AFTER, time.sleep, BLOCKED_SECONDS)
                async for _ in stream:
                    pass

    return lambda url: asyncio.run(read(url))


@dataclass(frozen=True, slots=True, eq=False)  # two alike are two
class Seed:
    script: Script
    model: str
    count: int
    events: int | None = None
    pause: float = 0.0
    blocks_loop: bool = False

    @property
    def is_held_back(self) -> bool:
        return any(isinstance(step, bytes) for step in self.script)

    def play(self, url: str) -> None:
        if self.blocks_loop:
            reads_on_blocked_loop(self.model)(url)
        elif self.model == OTHER:
            reads_the_other(events=self.events, pause=self.pause)(url)
        else:
            reads(self.model, events=self.events, pause=self.pause)(url)

    def server(self, *, again: int = 1) -> LoopbackServer:
        """For all of its streams and some more: the port is a label, so it has to stay."""
        provider = OPENAI if self.model == OTHER else ANTHROPIC
        return LoopbackServer([self.script] * (self.count + again), headers=provider.headers)


def of(model: str, steps: Sequence[Step], *, cached: int | None = None) -> Script:
    """The steps, as a version of the model answers them, from the cache if there is something in it."""
    written = None if cached is None else 50
    usage = {"input_tokens": 400, "cache_read_input_tokens": cached, "cache_creation_input_tokens": written}
    start = message_start(model=f"{model}-20260101", usage=usage)
    script = scripted(steps, Messages())
    return [start if getattr(step, "name", "") == "message_start" else step for step in script]


def of_the_other(steps: Sequence[Step]) -> Script:
    return scripted(steps, openai_chat.Chat())


def held_back(script: Script, seconds: float) -> Script:
    """All of it at once, as a proxy that buffers lets it go."""
    return [Head(), Pause(seconds), b"".join(step.encoded() for step in script if isinstance(step, Event))]


def in_clumps(script: Script, seconds: float) -> Script:
    """The first words, and after a while all the others at once."""
    events = [step.encoded() for step in script if isinstance(step, Event)]
    return [Head(), b"".join(events[:FIRST_EVENTS]), Pause(seconds), b"".join(events[FIRST_EVENTS:])]


QUICK = text(SHIPPED, pause=0.004)
SLOW_SECONDS = 10.2
CALL = [*text("I will write."), *tool("send_email", EMAIL_TO_DANA), *text(SHIPPED, pause=0.01)]
SEEDS = (
    Seed(of(LARGE, answer(QUICK), cached=0), LARGE, 20),
    Seed(of(LARGE, answer(QUICK), cached=300), LARGE, 5),
    Seed(of(LARGE, answer([Pause(SLOW_SECONDS), *QUICK])), LARGE, 4),
    Seed(of(LARGE, answer(CALL, stop_reason="tool call", output_tokens=90)), LARGE, 5),
    Seed(of(LARGE, answer(tool("send_email", EMAIL_TO_DANA[:60]), stop_reason="length")), LARGE, 2),
    Seed(of(LARGE, answer(tool("send_email", '{"to": Dana}'), stop_reason="tool call")), LARGE, 1),
    Seed(of(LARGE, begun(QUICK[:-8])), LARGE, 8),
    Seed(of(LARGE, [*begun(QUICK[:-8]), Fails("overloaded")]), LARGE, 2),
    Seed(error_response(400, "invalid_request_error", "too much"), LARGE, 1),
    Seed(of(LARGE, answer(text(SHIPPED, pause=0.05))), LARGE, 12, events=6),
    Seed(of(LARGE, answer([Pause(3), *CALL])), LARGE, 1, events=1),
    Seed(of(LARGE, answer(CALL)), LARGE, 2, events=28),
    Seed(of(SMALL, answer(QUICK, output_tokens=40)), SMALL, 9),
    Seed(of(SMALL, answer([*QUICK[:10], Pause(2), *QUICK[10:]])), SMALL, 3),
    Seed(of(SMALL, answer(text(LOOPING_ADVICE * 6, size=20, pause=0.005), stop_reason="length")), SMALL, 2),
    Seed(held_back(of(SMALL, answer(text(SHIPPED * 4, size=1))), 1.4), SMALL, 2),
    Seed(in_clumps(of(SMALL, answer(text(SHIPPED * 4, size=1))), 1.4), SMALL, 1),
    Seed(of(SMALL, answer([*QUICK[:10], Pause(1.5), *QUICK[10:]])), SMALL, 1, blocks_loop=True),
    Seed(of(SMALL, answer(QUICK, stop_reason="refusal")), SMALL, 1),
    Seed(of(SMALL, answer(QUICK)), SMALL, 2, pause=0.03),
    Seed(of_the_other(answer(QUICK, output_tokens=40)), OTHER, 6),
    Seed(of_the_other(answer(CALL, stop_reason="tool call", output_tokens=90)), OTHER, 2),
    Seed(of_the_other(answer(CALL)), OTHER, 1, events=22),
    Seed(of_the_other(answer([*QUICK[:10], Pause(2), *QUICK[10:]])), OTHER, 1),
    Seed(of_the_other(answer(tool("send_email", EMAIL_TO_DANA[:60]), stop_reason="length")), OTHER, 1),
    Seed(of_the_other(begun(QUICK[:-8])), OTHER, 1),
    Seed(of_the_other([*begun(QUICK[:-8]), Fails("overloaded")]), OTHER, 1),
    Seed(of_the_other(answer(text(SHIPPED, pause=0.05))), OTHER, 2, events=6),
)
OPEN = Seed(of(LARGE, [*begun(QUICK[:6]), Pause(600)]), LARGE, 1)
"""One that hangs."""


def play(seeds: Iterable[tuple[Seed, str]]) -> None:
    """Each at its server, some at once. A burst is told by its speed, so those that are held back come alone."""
    served = list(seeds)
    at_once = [(seed, url) for seed, url in served if not seed.is_held_back]
    alone = [(seed, url) for seed, url in served if seed.is_held_back]
    with ThreadPoolExecutor(WORKERS) as workers:
        streams = [workers.submit(seed.play, url) for seed, url in at_once]
        for stream in streams:
            stream.result()
    for seed, url in alone:
        seed.play(url)


# --- what the spans say ------------------------------------------------------------------------------------------

Key = Callable[["Stream"], str]
Amount = Callable[["Stream"], float]
Values = dict[str, float]
"""By legend."""


class Stream:
    """A span, by the names of its attributes."""

    def __init__(self, span: ReadableSpan) -> None:
        assert span.end_time is not None
        assert span.start_time is not None
        assert span.context is not None
        self.trace_id = f"{span.context.trace_id:032x}"
        self.span_id = f"{span.context.span_id:016x}"
        self._span = span
        self._attributes = dict(span.attributes or {})
        self.duration = (span.end_time - span.start_time) / 1e9

    def __getitem__(self, name: str) -> Any:
        return self._attributes.get(name)

    def number(self, name: str) -> float:
        return self[name] or 0

    @property
    def searched(self) -> SearchedSpan:
        """As a search sees it."""
        assert self._span.start_time is not None
        start, resource = self._span.start_time / 1e6, dict(self._span.resource.attributes)
        return SearchedSpan(
            self.trace_id, self.span_id, self._span.name, start, self.duration * 1000, resource, self._attributes
        )

    @property
    def chars(self) -> float:
        return sum(map(self.number, (semconv.TEXT_CHARS, semconv.THINKING_CHARS, semconv.TOOL_INPUT_CHARS)))

    @property
    def tool_calls_lost(self) -> float:
        return self.number(semconv.TOOL_CALL_INCOMPLETE) + self.number(semconv.TOOL_CALL_INVALID_JSON)

    @property
    def tool_calls_whole(self) -> float:
        return self.number(semconv.TOOL_CALL_COUNT) - self.tool_calls_lost

    @property
    def is_judged(self) -> bool:
        return self[semconv.OUTCOME] != "aborted"

    @property
    def has_failed(self) -> bool:
        return self[semconv.OUTCOME] in {"error", "truncated"}


def summed(streams: Iterable[Stream], amount: Amount, key: Key) -> Values:
    total: Counter[str] = Counter()
    for stream in streams:
        total[key(stream)] += amount(stream)  # pyright: ignore[reportArgumentType]  # a Counter adds floats as well
    return {legend: float(value) for legend, value in total.items()}


def share(part: Values, whole: Values) -> Values:
    return {legend: part.get(legend, 0.0) / value for legend, value in whole.items() if value}


def quantile(
    at: float, streams: Iterable[Stream], metric: semconv.Metric, amount: Callable[[Stream], Any], key: Key
) -> Values:
    """As Prometheus does it: linear within the bucket of the rank, the lower bound of the first being 0."""
    grouped: dict[str, list[float]] = {}
    for stream in streams:
        value = amount(stream)
        if value is not None:
            grouped.setdefault(key(stream), []).append(value)
    return {legend: quantile_of(at, values, metric.buckets) for legend, values in grouped.items()}


def quantile_of(at: float, values: Sequence[float], bounds: Sequence[float]) -> float:
    rank, before = at * len(values), 0
    for lower, upper in _pairs(bounds):
        inside = sum(lower < value <= upper or (lower == value == 0) for value in values)
        if before + inside >= rank and inside:
            return lower + (upper - lower) * (rank - before) / inside
        before += inside
    return bounds[-1]


def _pairs(bounds: Sequence[float]) -> Iterator[tuple[float, float]]:
    return zip((0.0, *bounds), bounds, strict=False)
