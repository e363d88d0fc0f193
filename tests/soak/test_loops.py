"""Event loops other than that of the standard library: uvloop, and trio through the SDK's anyio support."""

import gc
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import anthropic
import anyio
import pytest
from anthropic import AsyncAnthropic
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Pause, Step
from streamspan.cli.demo.server import MessagesServer
from tests.soak.readers import Call, breaks_async, drops_async, reads_events_async, to_the_first_delta_async
from tests.stainless.spans import abort_of, ended_spans

pytest.importorskip("uvloop", reason="uvloop has no builds for Windows and PyPy")
pytest.importorskip("trio", reason="needs trio")
pytestmark = [
    pytest.mark.usefixtures("instrumented"),
    # Trio tells of every generator that is left to the collector, and the SDK's own streams leave theirs.
    pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator"),
]

UVLOOP: dict[str, Any] = {"backend": "asyncio", "backend_options": {"use_uvloop": True}}
TRIO: dict[str, Any] = {"backend": "trio"}
MESSAGE: list[Step] = [*wire.whole_message(wire.text_block(0, "Some text to begin with."))]
HANGING: list[Step] = [*MESSAGE[:4], Pause(inf)]


async def cancelled(call: Call) -> None:
    """Cancelled while it waits for the second delta."""
    reading = anyio.Event()

    async def read() -> None:
        async with await call.opened() as stream:
            await to_the_first_delta_async(stream)
            reading.set()
            await stream.__anext__()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await reading.wait()
        group.cancel_scope.cancel()


async def drops_and_goes_on(call: Call) -> None:
    """The loop closes the generators of the dropped stream a moment later."""
    await drops_async(call)
    gc.collect()
    await anyio.sleep(0.1)


@pytest.mark.parametrize(
    ("loop", "script", "read", "ending"),
    [
        pytest.param(UVLOOP, MESSAGE, reads_events_async, ("complete", None, None), id="uvloop-complete"),
        pytest.param(UVLOOP, HANGING, cancelled, ("aborted", "cancelled", "text"), id="uvloop-cancelled"),
        pytest.param(UVLOOP, HANGING, breaks_async, ("aborted", "closed", "text"), id="uvloop-left"),
        pytest.param(UVLOOP, HANGING, drops_and_goes_on, ("aborted", "dropped", "text"), id="uvloop-dropped"),
        pytest.param(TRIO, MESSAGE, reads_events_async, ("complete", None, None), id="trio-complete"),
        pytest.param(TRIO, HANGING, cancelled, ("aborted", "cancelled", "text"), id="trio-cancelled"),
        pytest.param(TRIO, HANGING, breaks_async, ("aborted", "closed", "text"), id="trio-left"),
        pytest.param(TRIO, HANGING, drops_and_goes_on, ("aborted", "dropped", "text"), id="trio-dropped"),
    ],
)
def test_a_stream(
    server: MessagesServer,
    exporter: InMemorySpanExporter,
    loop: dict[str, Any],
    script: list[Step],
    read: Callable[[Call], Awaitable[None]],
    ending: tuple[object, ...],
) -> None:
    """A stream ends as it does on the loop of the standard library."""
    server.scripts.append(script)

    async def main() -> None:
        http_client = anthropic.DefaultAsyncHttpxClient(verify=False)
        async with AsyncAnthropic(base_url=server.url, api_key="none", http_client=http_client) as client:
            await read(Call(client, 100, "none", waits_for_the_end=False))

    anyio.run(main, **loop)

    assert [abort_of(span) for span in ended_spans(exporter)] == [ending]
