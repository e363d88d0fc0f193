"""Whatever is raised at whichever line of ours, no stream stays open for ever and no span is left without an end."""

import asyncio
import gc
import linecache
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

import streamspan
from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.runtime import finish_ends, open_streams
from tests.anthropic import in_process
from tests.anthropic.paths import REQUEST
from tests.anthropic.readers import MIDDLE_OF_TEXT, read_events, read_events_async
from tests.stainless.programs import report, report_of

if TYPE_CHECKING:
    from typing_extensions import Self

OURS = str(Path(streamspan.__file__).parent)
EVENTS = list(wire.whole_message(wire.text_block(0, "Hi you all.", size=6)))
EXCEPTIONS = (KeyboardInterrupt, RuntimeError)

ALLOWED: dict[str, str] = {}
"""The lines of ours at which an exception may leave a stream open, each with the reason why that cannot be helped."""


class Counting(SpanProcessor):
    """Spans that have started and not ended."""

    def __init__(self) -> None:
        self.open = 0

    def on_start(self, span: object, parent_context: object = None) -> None:
        self.open += 1

    def on_end(self, span: ReadableSpan) -> None:
        self.open -= 1


class Injection:
    """Raises at the line of ours that is executed after so many others, from `begin()` to the end of its block.

    `lines` are those that were executed, the last of them that at which it raised.
    """

    def __init__(self, after: int, exception: type[BaseException]) -> None:
        self._after = after
        self._exception = exception
        self.lines: list[tuple[CodeType, int]] = []

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def begin(self) -> None:
        sys.settrace(self._call)

    def _call(self, frame: FrameType, _: str, __: object) -> Any:
        return self._event if frame.f_code.co_filename.startswith(OURS) else None

    def _event(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and len(self.lines) <= self._after:
            self.lines.append((frame.f_code, frame.f_lineno))
            if len(self.lines) > self._after:
                raise self._exception
        return self._event


def text_of(code: CodeType, line_number: int) -> str:
    """A line by its text, for numbers change."""
    path = Path(code.co_filename).relative_to(OURS).as_posix()
    return f"{path} {code.co_name}: {linecache.getline(code.co_filename, line_number).strip()}"


# --- the calls -----------------------------------------------------------------------------------------------------


def read_all(client: Any, injection: Injection) -> None:
    injection.begin()
    for _ in client.messages.create(stream=True, **REQUEST):
        pass


def close(client: Any, injection: Injection) -> None:
    stream = client.messages.create(stream=True, **REQUEST)
    read_events(stream, MIDDLE_OF_TEXT)
    injection.begin()
    stream.close()


def drop(client: Any, injection: Injection) -> None:
    stream = client.messages.create(stream=True, **REQUEST)
    read_events(stream, MIDDLE_OF_TEXT)
    injection.begin()
    del stream


async def read_all_async(client: Any, injection: Injection) -> None:
    injection.begin()
    async for _ in await client.messages.create(stream=True, **REQUEST):
        pass


async def close_async(client: Any, injection: Injection) -> None:
    stream = await client.messages.create(stream=True, **REQUEST)
    await read_events_async(stream, MIDDLE_OF_TEXT)
    injection.begin()
    await stream.close()


async def drop_async(client: Any, injection: Injection) -> None:
    stream = await client.messages.create(stream=True, **REQUEST)
    await read_events_async(stream, MIDDLE_OF_TEXT)
    injection.begin()
    del stream


async def settle() -> None:
    """What `asyncio.run` does at its end, in a loop that is kept."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def in_a_loop(loop: asyncio.AbstractEventLoop, reading: Any) -> None:
    for coroutine in (reading, settle(), settle(), settle()):  # the injection may hit the first of these
        with suppress(*EXCEPTIONS, asyncio.CancelledError):
            loop.run_until_complete(coroutine)


# --- every line of them --------------------------------------------------------------------------------------------


def lines_that_leave_something(
    call: Callable[[Injection], None], exception: type[BaseException], counting: Counting
) -> Generator[tuple[str, bool]]:
    """Each line of ours that a call executes, the first time and the last, and whether anything is left open then."""
    with Injection(sys.maxsize, exception) as whole:
        call(whole)
    last = {line: index for index, line in enumerate(whole.lines)}
    first = {line: index for index, line in reversed([*enumerate(whole.lines)])}
    for after in sorted({*first.values(), *last.values()}):
        spans, streams = counting.open, len(open_streams())
        with Injection(after, exception) as injection, suppress(*EXCEPTIONS):
            call(injection)
        gc.collect()
        finish_ends()
        yield text_of(*injection.lines[-1]), counting.open > spans or len(open_streams()) > streams


def ignore(*_: object) -> None:
    pass


def report_lines(kind: str) -> None:
    """The program of the next test. Nothing but the calls runs in it, so that thousands of them take seconds."""
    sys.unraisablehook = ignore  # what is raised in a finalizer goes there
    counting = Counting()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(counting)
    meter_provider = MeterProvider(shutdown_on_exit=False)
    AnthropicStreamInstrumentor().instrument(tracer_provider=provider, meter_provider=meter_provider)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(ignore)
    client: Any = in_process.client(EVENTS)
    calls: list[Callable[[Injection], None]] = [
        lambda injection: read_all(client, injection),
        lambda injection: close(client, injection),
        lambda injection: drop(client, injection),
    ]
    if kind == "async":
        client = in_process.async_client(EVENTS)
        calls = [
            lambda injection: in_a_loop(loop, read_all_async(client, injection)),
            lambda injection: in_a_loop(loop, close_async(client, injection)),
            lambda injection: in_a_loop(loop, drop_async(client, injection)),
        ]
    for call in calls:
        with Injection(sys.maxsize, RuntimeError) as warm_up:
            call(warm_up)
    gc.collect()
    gc.freeze()
    results = {
        result
        for call in calls
        for exception in EXCEPTIONS
        for result in lines_that_leave_something(call, exception, counting)
    }
    report({"lines": len(results), "left open": sorted(line for line, is_open in results if is_open)})


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_exception_at_any_line(kind: str) -> None:
    """An exception at any line of ours leaves no stream open and no span without an end: in a call that is read to
    its end, in a close, in a stream that is dropped; be it a KeyboardInterrupt or a failure of ours."""
    facts = report_of(report_lines, kind, timeout=170)

    assert facts["lines"] > 100
    assert set(facts["left open"]) == ALLOWED.keys()
