"""Applications that the tests run in processes of their own: `python -m tests.soak.applications NAME URL`.

Each ended span is one line on the standard output: the process, the stream (its model), the outcome and the reason.
The request's model is also its script: see `test_processes.py`.
"""

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult

from streamspan import AnthropicStreamInstrumentor

WORKERS = 3
STREAMS_PER_WORKER = 4
kept: list[Any] = []
"""What is still referred to when the process exits."""


class Lines(SpanExporter):
    """A line is one write, so that those of several processes do not mix."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            attributes = span.attributes or {}
            names = ("gen_ai.request.model", "llm_stream.outcome", "llm_stream.abort.reason")
            words = [process_name(), *(str(attributes[name]) for name in names if name in attributes)]
            os.write(1, f"{' '.join(words)}\n".encode())
        return SpanExportResult.SUCCESS


def process_name() -> str:
    return "parent" if os.getpid() == PARENT else "child"


PARENT = os.getpid()


def instrument(processor: SpanProcessor) -> None:
    provider = TracerProvider()
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    AnthropicStreamInstrumentor().instrument()


def client(url: str) -> Anthropic:
    return Anthropic(base_url=url, api_key="none", http_client=anthropic.DefaultHttpxClient(verify=False))


def async_client(url: str) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=url, api_key="none", http_client=anthropic.DefaultAsyncHttpxClient(verify=False))


def opened(client: Any, model: str) -> Any:
    return client.messages.create(model=model, max_tokens=100, messages=[], stream=True)


def to_the_first_delta(stream: Any) -> None:
    while next(stream).type != "content_block_delta":
        pass


async def to_the_first_delta_async(stream: Any) -> None:
    while (await stream.__anext__()).type != "content_block_delta":
        pass


# --- fork --------------------------------------------------------------------------------------------------------


def forks(url: str) -> None:
    """The child has a stream of its own, drops that of its parent and exits; then the parent reads on."""
    instrument(SimpleSpanProcessor(Lines()))
    stream = opened(client(url), "of-the-parent")
    to_the_first_delta(stream)
    pid = os.fork()
    if pid == 0:
        list(opened(client(url), "of-the-child"))
        del stream
        gc.collect()
        return
    os.waitpid(pid, 0)
    list(stream)


def prefork_server(url: str) -> None:
    """Instrumented in the master, with a batching exporter; each worker reads its streams and exits."""
    instrument(BatchSpanProcessor(Lines()))
    list(opened(client(url), "of-the-master"))
    for worker in range(WORKERS):
        if os.fork() == 0:
            own_client = client(url)
            for stream in range(STREAMS_PER_WORKER):
                list(opened(own_client, f"{worker}-{stream}"))
            return
    for _ in range(WORKERS):
        os.wait()


# --- exit --------------------------------------------------------------------------------------------------------


def exits_with_a_stream(url: str) -> None:
    instrument(BatchSpanProcessor(Lines()))
    kept.append(opened(client(url), "hangs"))
    to_the_first_delta(kept[0])


def exits_while_a_daemon_reads(url: str) -> None:
    instrument(BatchSpanProcessor(Lines()))
    reading = threading.Event()

    def read() -> None:
        stream = opened(client(url), "hangs")
        to_the_first_delta(stream)
        reading.set()
        list(stream)

    threading.Thread(target=read, daemon=True).start()
    reading.wait()


def exits_with_a_loop_open(url: str) -> None:
    instrument(BatchSpanProcessor(Lines()))
    loop = asyncio.new_event_loop()
    kept.extend([loop, loop.run_until_complete(opened(async_client(url), "hangs"))])
    loop.run_until_complete(to_the_first_delta_async(kept[1]))


def exits_from_a_task(url: str) -> None:
    """`asyncio.run` cancels the task that reads."""
    instrument(BatchSpanProcessor(Lines()))
    reading = asyncio.Event()

    async def read() -> None:
        stream = await opened(async_client(url), "hangs")
        await to_the_first_delta_async(stream)
        reading.set()
        await stream.__anext__()

    async def main() -> None:
        kept.append(asyncio.create_task(read()))
        await reading.wait()
        sys.exit()

    asyncio.run(main())


def say_nothing(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None: ...


def exits_after_the_loop(url: str) -> None:
    """`asyncio.run` closes the generators of a stream that is still referred to."""
    instrument(BatchSpanProcessor(Lines()))

    async def main() -> None:
        # It closes them all at once, and from 1.0 on complains of those that are waiting for another; without us, too.
        asyncio.get_running_loop().set_exception_handler(say_nothing)
        kept.append(await opened(async_client(url), "hangs"))
        await to_the_first_delta_async(kept[0])

    asyncio.run(main())


# --- garbage -----------------------------------------------------------------------------------------------------


class Collecting(SpanProcessor):
    """Collects garbage wherever the SDK calls it, under a lock as exporters have them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        with self._lock:
            gc.collect()

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            gc.collect()


def make_garbage(stream: Any) -> None:
    holder = [stream]
    holder.append(holder)
    to_the_first_delta(stream)


def collects_in_the_sdk(url: str) -> None:
    """Streams in cycles are garbage, which nobody collects before another span starts. Exits without the exit hooks."""
    gc.disable()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Lines()))
    trace.set_tracer_provider(provider)
    AnthropicStreamInstrumentor().instrument()
    for number in range(3):
        make_garbage(opened(client(url), f"garbage-{number}"))
    provider.add_span_processor(Collecting())
    with trace.get_tracer("app").start_as_current_span("of the application"):
        pass
    list(opened(client(url), "another"))
    provider.force_flush()  # the ends may wait for a thread that a busy machine has not run yet
    os._exit(0)


APPLICATIONS: Mapping[str, Callable[[str], None]] = {
    application.__name__: application
    for application in (
        forks,
        prefork_server,
        exits_with_a_stream,
        exits_while_a_daemon_reads,
        exits_with_a_loop_open,
        exits_from_a_task,
        exits_after_the_loop,
        collects_in_the_sdk,
    )
}

if __name__ == "__main__":
    APPLICATIONS[sys.argv[1]](sys.argv[2])
