"""uvicorn and SIGTERM: the process is ended by the signal, without its exit handlers."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.paths import REQUEST
from tests.anthropic.readers import MESSAGE, async_client
from tests.stainless.programs import run
from tests.stainless.spans import abort_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="this platform has no SIGTERM that a handler sees")


class Printing(SpanExporter):
    """A line for each stream whose span leaves the process: how it ended."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            if span.name.startswith("chat"):
                os.write(1, f"{' '.join(map(str, abort_of(span)))}\n".encode())
        return SpanExportResult.SUCCESS


@asynccontextmanager
async def flushing(_: FastAPI) -> AsyncGenerator[None]:
    """What docs/limits.md says."""
    yield
    await asyncio.sleep(0.5)
    provider: Any = trace.get_tracer_provider()
    provider.force_flush()


def serve(url: str) -> None:
    """Serves one chat, whose reader asks for SIGTERM in the middle and then goes on waiting."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Printing()))
    trace.set_tracer_provider(provider)
    AnthropicStreamInstrumentor().instrument()
    app = FastAPI(lifespan=flushing)

    @app.get("/")
    async def chat() -> StreamingResponse:
        return StreamingResponse(text(url))

    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    asyncio.run(serve_one(server))


async def text(url: str) -> AsyncGenerator[str]:
    async with async_client(url) as client, client.messages.stream(**REQUEST) as stream:
        async for piece in stream.text_stream:
            yield piece
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)


async def serve_one(server: uvicorn.Server) -> None:
    """The server, with a client beside it, which connects before the server accepts."""
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    _, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await serving


def test_a_flush_in_the_lifespan_saves_the_last_streams() -> None:
    """A stream whose task uvicorn cancels after SIGTERM is exported, by the lines that docs/limits.md gives."""
    with MessagesServer(choose=lambda _: MESSAGE) as server:
        done = run(serve, server.url)

    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "aborted cancelled text\n")
