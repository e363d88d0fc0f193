"""What the applications of the stories do with the client: read, stop, cancel, forget.

An application gets the URL of the API. What it expects to fail stays inside it.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress

import anthropic
from anthropic.types import MessageParam
from anthropic.types.beta import BetaMessageParam

from .wire import MODEL

MAX_TOKENS = 1024
LONGEST_TOOL_INPUT = 600
SECONDS_TO_STORE = 0.03
SECONDS_FOR_A_REPORT = 1.2
QUESTION_TEXT = "Where is my order 4711, and can I still send the tent back?"
QUESTION: list[MessageParam] = [{"role": "user", "content": QUESTION_TEXT}]
NO_PROXY = {"all://127.0.0.1": None}

Application = Callable[[str], None]
"""What an application does with the API at this URL."""


def with_client(use: Callable[[anthropic.Anthropic], None]) -> Application:
    """An application with a client that uses neither the key nor the proxy of the environment."""

    def application(url: str) -> None:
        http_client = anthropic.DefaultHttpxClient(mounts=NO_PROXY)
        with anthropic.Anthropic(base_url=url, api_key="demo", http_client=http_client) as client:
            use(client)

    return application


def with_async_client(use: Callable[[anthropic.AsyncAnthropic], Coroutine[None, None, None]]) -> Application:
    async def main(url: str) -> None:
        http_client = anthropic.DefaultAsyncHttpxClient(mounts=NO_PROXY)
        async with anthropic.AsyncAnthropic(base_url=url, api_key="demo", http_client=http_client) as client:
            await use(client)

    return lambda url: asyncio.run(main(url))


@with_client
def reads_every_event(client: anthropic.Anthropic) -> None:
    for _ in client.messages.create(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTION, stream=True):
        pass


@with_client
def waits_for_the_message(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTION) as stream:
        stream.get_final_message()


@with_async_client
async def shows_the_text(client: anthropic.AsyncAnthropic) -> None:
    async with client.messages.stream(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTION) as stream:
        async for _ in stream.text_stream:
            pass


@with_async_client
async def apologises_for_an_api_error(client: anthropic.AsyncAnthropic) -> None:
    with suppress(anthropic.APIStatusError):
        stream = await client.messages.create(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTION, stream=True)
        async for _ in stream:
            pass


def survives_a_lost_connection(url: str) -> None:
    with suppress(Exception):  # an error of the HTTP library, which the SDK does not wrap here
        reads_every_event(url)


@with_client
def stops_at_the_second_email(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTION) as stream:
        for event in stream:
            if event.type == "input_json" and "lee@" in str(event.snapshot):
                break


@with_client
def limits_the_tool_input(client: anthropic.Anthropic) -> None:
    written = 0
    with client.messages.create(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTION, stream=True) as stream:
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                written += len(event.delta.partial_json)
            if written > LONGEST_TOOL_INPUT:
                break


@with_client
def stores_each_delta(client: anthropic.Anthropic) -> None:
    for event in client.messages.create(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTION, stream=True):
        if event.type == "content_block_delta":
            time.sleep(SECONDS_TO_STORE)


@with_async_client
async def gives_up_after_some_text(client: anthropic.AsyncAnthropic) -> None:
    enough = asyncio.Event()

    async def show() -> None:
        shown = ""
        async with client.messages.stream(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTION) as stream:
            async for text in stream.text_stream:
                shown += text
                if "tent" in shown:
                    enough.set()

    task = asyncio.create_task(show())
    await enough.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@with_async_client
async def writes_a_report_meanwhile(client: anthropic.AsyncAnthropic) -> None:
    """Another task of the same event loop computes for a while, and does not give way."""
    has_begun = asyncio.Event()

    async def show() -> None:
        shown = ""
        async with client.messages.stream(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTION) as stream:
            async for text in stream.text_stream:
                shown += text
                if "warehouse" in shown:
                    has_begun.set()

    async def write_a_report() -> None:
        await has_begun.wait()
        time.sleep(SECONDS_FOR_A_REPORT)  # noqa: ASYNC251  # what the story is about

    await asyncio.gather(show(), write_a_report())


@with_client
def lets_another_model_go_on(client: anthropic.Anthropic) -> None:
    """By the beta API, which has fallbacks."""
    question: BetaMessageParam = {"role": "user", "content": QUESTION_TEXT}
    for _ in client.beta.messages.create(model=MODEL, max_tokens=MAX_TOKENS, messages=[question], stream=True):
        pass


@with_client
def never_reads(client: anthropic.Anthropic) -> None:
    client.messages.create(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTION, stream=True)
    gc.collect()  # up to 1.13 the stream is part of a reference cycle


@with_client
def asks_for_too_much(client: anthropic.Anthropic) -> None:
    with suppress(anthropic.BadRequestError):
        client.messages.create(model=MODEL, max_tokens=900_000, messages=QUESTION, stream=True)
