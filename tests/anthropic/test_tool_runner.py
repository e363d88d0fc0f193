"""The SDK's beta tool runner with streams: several model calls, with the application's tools run between them."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import anthropic
import pytest
from anthropic.resources.beta.messages import Messages
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Step
from streamspan.cli.demo.server import MessagesServer
from streamspan.runtime import open_streams
from tests.anthropic.messages import path_of
from tests.anthropic.paths import REQUEST
from tests.stainless.api import Seen
from tests.stainless.paths import Path
from tests.stainless.spans import attributes, ended_spans

SDK = tuple(int(number) for number in anthropic.__version__.split(".")[:2])
TRACES_ITSELF = SDK >= (1, 14)
pytestmark = [
    pytest.mark.usefixtures("quick_collection"),
    pytest.mark.skipif(not hasattr(Messages, "tool_runner"), reason="this SDK has no tool runner"),
]
RUNS_TOOLS_EAGERLY = (
    hasattr(Messages, "tool_runner") and "run_tools_eagerly" in inspect.signature(Messages.tool_runner).parameters
)

ASKS: list[Step] = list(
    wire.whole_message(
        wire.text_block(0, "I shall look it up."),
        wire.tool_block(1, "get_weather", {"city": "Zürich"}),
        stop_reason="tool_use",
    )
)
ASKS_AND_GOES_ON: list[Step] = [*ASKS[:-2], *wire.text_block(2, "Just a moment."), *ASKS[-2:]]
ANSWERS: list[Step] = list(wire.whole_message(wire.text_block(0, "It is sunny."), output_tokens=5))
CHAT = "chat claude-sonnet-5-5"


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    yield
    assert not open_streams()


# --- the application ---------------------------------------------------------------------------------------------


def runner_of(client: Any, seen: Seen, **more: Any) -> Any:
    """A runner with one tool, which notes that it ran, and the name of the span that was current then."""

    def get_weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: where
        """
        seen.append(("tool", city, getattr(trace.get_current_span(), "name", None)))
        return "sunny"

    async def get_weather_async(city: str) -> str:
        return get_weather(city)

    get_weather_async.__doc__, get_weather_async.__name__ = get_weather.__doc__, "get_weather"
    sdk: Any = anthropic
    is_async = isinstance(client, anthropic.AsyncAnthropic)
    tool = sdk.beta_async_tool(get_weather_async) if is_async else sdk.beta_tool(get_weather)
    return client.beta.messages.tool_runner(stream=True, tools=[tool], **REQUEST, **more)


def read(client: Any, seen: Seen, **more: Any) -> None:
    for stream in runner_of(client, seen, **more):
        for event in stream:
            seen.append(event.type)


async def read_async(client: Any, seen: Seen, **more: Any) -> None:
    async for stream in runner_of(client, seen, **more):
        async for event in stream:
            seen.append(event.type)


def read_eagerly(client: Any, seen: Seen) -> None:
    read(client, seen, run_tools_eagerly=True)


async def read_eagerly_async(client: Any, seen: Seen) -> None:
    await read_async(client, seen, run_tools_eagerly=True)


def until_done(client: Any, seen: Seen) -> None:
    seen.append(runner_of(client, seen).until_done().stop_reason)


async def until_done_async(client: Any, seen: Seen) -> None:
    seen.append((await runner_of(client, seen).until_done()).stop_reason)


def leave_in_the_text(client: Any, seen: Seen) -> None:
    for stream in runner_of(client, seen):
        for event in stream:
            seen.append(event.type)
            if event.type == "text":
                break
        break


async def leave_in_the_text_async(client: Any, seen: Seen) -> None:
    async for stream in runner_of(client, seen):
        async for event in stream:
            seen.append(event.type)
            if event.type == "text":
                break
        break


def leave_after_the_first(client: Any, seen: Seen) -> None:
    for stream in runner_of(client, seen):
        seen.append(stream.get_final_message().stop_reason)
        break


async def leave_after_the_first_async(client: Any, seen: Seen) -> None:
    async for stream in runner_of(client, seen):
        seen.append((await stream.get_final_message()).stop_reason)
        break


def sync_and_async(sync_read: Any, async_read: Any) -> list[Path]:
    return [path_of("sync", sync_read), path_of("async", async_read)]


# --- what the spans say ------------------------------------------------------------------------------------------


def run(path: Path, server: MessagesServer, tracer_provider: TracerProvider, asks: list[Step] = ASKS) -> Seen:
    """What an application sees that runs under a span of its own, with a client that traces itself where it can."""
    server.scripts.extend([asks, ANSWERS])
    options = {"open_telemetry": {"tracer_provider": tracer_provider}} if TRACES_ITSELF else {}
    with tracer_provider.get_tracer("application").start_as_current_span("application"):
        return path.run(server.url, **options)


def name_of(span: ReadableSpan, *, is_native: bool) -> str:
    """The SDK's spans of model calls have the name of ours, for comparison."""
    return CHAT if is_native and span.name == "anthropic.messages.create" else span.name


def tree(spans: Sequence[ReadableSpan], *, is_native: bool = False) -> list[tuple[str, str | None]]:
    """The name of each span and of its parent, in the order in which they ended."""
    names = {span.context.span_id: name_of(span, is_native=is_native) for span in spans if span.context}
    return [(name_of(span, is_native=is_native), names[span.parent.span_id] if span.parent else None) for span in spans]


def ours(spans: Sequence[ReadableSpan]) -> list[Mapping[str, object]]:
    return [attributes(span) for span in spans if span.name == CHAT]


FACTS: list[Mapping[str, object]] = [
    {
        "llm_stream.outcome": "complete",
        "llm_stream.partial": False,
        "llm_stream.text.chars": 19,
        "llm_stream.tool_call.count": 1,
        "llm_stream.tool_call.incomplete": 0,
        "gen_ai.response.finish_reasons": ("tool_use",),
        "gen_ai.usage.output_tokens": 20,
    },
    {
        "llm_stream.outcome": "complete",
        "llm_stream.partial": False,
        "llm_stream.text.chars": 12,
        "llm_stream.tool_call.count": 0,
        "llm_stream.tool_call.incomplete": 0,
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.output_tokens": 5,
    },
]
RUNNER_SPAN = "anthropic.messages.tool_runner"
TOOL_SPAN = "anthropic.custom_tool_use get_weather"
WHOLE_TREE = (
    [(CHAT, RUNNER_SPAN), (TOOL_SPAN, RUNNER_SPAN), (CHAT, RUNNER_SPAN), (RUNNER_SPAN, "application")]
    if TRACES_ITSELF
    else [(CHAT, "application"), (CHAT, "application")]
)
EAGER_TREE = [WHOLE_TREE[1], WHOLE_TREE[0], *WHOLE_TREE[2:]]  # the tool's span, if there is one, ends first
TOOL_RAN = ("tool", "Zürich", TOOL_SPAN if TRACES_ITSELF else "application")


@pytest.mark.parametrize(
    "path",
    [*sync_and_async(read, read_async), *sync_and_async(until_done, until_done_async)],
    ids=["read", "read_async", "until_done", "until_done_async"],
)
def test_one_span_for_each_model_call(
    path: Path,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """Each call has a complete span where the SDK's own would be; the tool runs under no span of ours."""
    seen = run(path, server, tracer_provider)
    spans = ended_spans(exporter)
    request: Any = server.exchanges[-1].body

    assert [entry for entry in seen if isinstance(entry, tuple)] == [TOOL_RAN]
    assert request["messages"][-1]["content"][0]["content"] == "sunny"
    assert tree(spans) == [*WHOLE_TREE, ("application", None)]
    assert [{name: span.get(name) for name in FACTS[0]} for span in ours(spans)] == FACTS


@pytest.mark.skipif(not TRACES_ITSELF, reason="this SDK makes no spans of its own")
@pytest.mark.parametrize("path", sync_and_async(read, read_async), ids=lambda path: path.name)
def test_the_tree_is_that_of_the_sdk(
    path: Path,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """The SDK's spans of the run and of its tools stay as they are, and the application sees what it sees without us.

    Even the order in which the spans end is the same.
    """
    observed = run(path, server, tracer_provider)
    ours_among_native = tree(ended_spans(exporter))
    exporter.clear()
    instrumented.uninstrument()
    bare = run(path, server, tracer_provider)

    assert observed == bare
    assert ours_among_native == tree(ended_spans(exporter), is_native=True)


@pytest.mark.skipif(not RUNS_TOOLS_EAGERLY, reason="this SDK's runner has no run_tools_eagerly")
@pytest.mark.parametrize("path", sync_and_async(read_eagerly, read_eagerly_async), ids=lambda path: path.name)
def test_tools_run_while_the_reply_streams(
    path: Path,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """A tool that runs inside a read of its reply does so under its own span, a child of the run's."""
    seen = run(path, server, tracer_provider, ASKS_AND_GOES_ON)
    spans = ended_spans(exporter)

    assert [entry for entry in seen if isinstance(entry, tuple)] == [TOOL_RAN]
    assert seen.index(TOOL_RAN) < seen.index("message_stop")
    assert tree(spans) == [*EAGER_TREE, ("application", None)]
    assert [span["llm_stream.outcome"] for span in ours(spans)] == ["complete", "complete"]


# --- leaving early -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sync_and_async(leave_in_the_text, leave_in_the_text_async), ids=lambda path: path.name)
def test_leaving_in_the_middle_of_a_reply(
    path: Path,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """The stream that is open ends as aborted, and no tool has run."""
    seen = run(path, server, tracer_provider)
    (span,) = ours(ended_spans(exporter))

    assert [entry for entry in seen if isinstance(entry, tuple)] == []
    assert {
        "llm_stream.outcome": "aborted",
        "llm_stream.phase": "text",
        "llm_stream.partial": True,
        "llm_stream.text.chars": 12,
    }.items() <= span.items()


@pytest.mark.parametrize(
    "path", sync_and_async(leave_after_the_first, leave_after_the_first_async), ids=lambda path: path.name
)
def test_leaving_between_two_calls(
    path: Path,
    server: MessagesServer,
    tracer_provider: TracerProvider,
    exporter: InMemorySpanExporter,
    instrumented: AnthropicStreamInstrumentor,
) -> None:
    """The reply that was read whole is complete; there is no second call."""
    run(path, server, tracer_provider)
    (span,) = ours(ended_spans(exporter))

    assert {name: span.get(name) for name in FACTS[0]} == FACTS[0]
