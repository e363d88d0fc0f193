"""Streams of the Responses API, of the project's own making, and what is read of one of them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI

from streamspan.cli.demo.script import Script
from streamspan.cli.demo.wire import Event

REQUEST: dict[str, Any] = {"model": "gpt-5.1", "input": "Say something."}
MODEL = "gpt-5.1-2025-11-13"
RESPONSE_ID = "resp_1"
USAGE: Mapping[str, object] = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 25},
    "total_tokens": 140,
}


def event(event_type: str, **values: object) -> Event:
    return Event(event_type, {"type": event_type, "sequence_number": 1, **values})


def about(event_type: str, **values: object) -> Event:
    """An event that has the response, as it is by then."""
    known: dict[str, object] = {"id": RESPONSE_ID, "object": "response", "model": MODEL, "status": "in_progress"}
    known |= {"service_tier": "auto", "output": [], "incomplete_details": None, "usage": None, "error": None}
    known |= {"created_at": 1.0, "instructions": None, "metadata": {}, "parallel_tool_calls": True}
    known |= {"tools": [], "tool_choice": "auto", "temperature": 1.0, "top_p": 1.0}
    return event(event_type, response={**known, **values})


CREATED = about("response.created")


def completed(**values: object) -> Event:
    known = {"status": "completed", "service_tier": "default", "usage": USAGE}
    return about("response.completed", **{**known, **values})


def incomplete(reason: str | None) -> Event:
    details = None if reason is None else {"reason": reason}
    return about("response.incomplete", status="incomplete", incomplete_details=details, usage=USAGE)


def failed(code: object, message: str = "It failed.") -> Event:
    return about("response.failed", status="failed", error={"code": code, "message": message})


def item_added(index: int, item_type: str, **values: object) -> Event:
    return event("response.output_item.added", output_index=index, item={"type": item_type, **values})


def item_done(index: int, item_type: str, **values: object) -> Event:
    return event("response.output_item.done", output_index=index, item={"type": item_type, **values})


def part(part_type: str, text: str) -> Mapping[str, object]:
    name = "refusal" if part_type == "refusal" else "text"
    return {"type": part_type, name: text, "annotations": []}


def final_message(text: str) -> Sequence[Mapping[str, object]]:
    """The output of a response that is one message."""
    known = {"id": "msg_0", "type": "message", "role": "assistant", "status": "completed"}
    return [{**known, "content": [part("output_text", text)]}]


def message(index: int, *pieces: str, part_type: str = "output_text") -> Sequence[Event]:
    """A message of one part."""
    item = {"id": f"msg_{index}", "role": "assistant"}
    where: dict[str, object] = {"item_id": f"msg_{index}", "output_index": index, "content_index": 0}
    name = "refusal" if part_type == "refusal" else "text"
    whole = "".join(pieces)
    return [
        item_added(index, "message", **item, content=[]),
        event("response.content_part.added", **where, part=part(part_type, "")),
        *(event(f"response.{part_type}.delta", **where, delta=piece, logprobs=[]) for piece in pieces),
        event(f"response.{part_type}.done", **where, **{name: whole}, logprobs=[]),
        event("response.content_part.done", **where, part=part(part_type, whole)),
        item_done(index, "message", **item, content=[part(part_type, whole)]),
    ]


def call(
    index: int, item_type: str, content: str, field: str, *pieces: str, whole: str | None = None
) -> Sequence[Event]:
    """A call whose `field` comes in deltas of the type `response.CONTENT.delta`."""
    whole = "".join(pieces) if whole is None else whole
    item = {"id": f"item_{index}", "call_id": f"call_{index}", "name": "search"}
    where: dict[str, object] = {"item_id": f"item_{index}", "output_index": index}
    return [
        item_added(index, item_type, **item, **{field: ""}, status="in_progress"),
        *(event(f"response.{content}.delta", **where, delta=piece) for piece in pieces),
        event(f"response.{content}.done", **where, **{field: whole}),
        item_done(index, item_type, **item, **{field: whole}, status="completed"),
    ]


def function_call(index: int, *pieces: str, whole: str | None = None) -> Sequence[Event]:
    return call(index, "function_call", "function_call_arguments", "arguments", *pieces, whole=whole)


def reasoning(index: int, *pieces: str, content: str = "reasoning_summary_text") -> Sequence[Event]:
    """An item of reasoning whose pieces are parts of their own."""
    number = "summary_index" if "summary" in content else "content_index"
    summary = [{"type": "summary_text", "text": piece} for piece in pieces]
    events = [item_added(index, "reasoning", id=f"rs_{index}", summary=[])]
    for part_index, piece in enumerate(pieces):
        where: dict[str, object] = {"item_id": f"rs_{index}", "output_index": index, number: part_index}
        events.append(event(f"response.{content}.delta", **where, delta=piece))
        events.append(event(f"response.{content}.done", **where, text=piece))
    return [*events, item_done(index, "reasoning", id=f"rs_{index}", summary=summary)]


def whole(*parts: Iterable[Event], end: Event | None = None) -> Script:
    return [CREATED, about("response.in_progress"), *(event for part in parts for event in part), end or completed()]


# --- reading -----------------------------------------------------------------------------------------------------


def client(url: str) -> OpenAI:
    """Loads no certificates."""
    return OpenAI(base_url=url, api_key="none", max_retries=0, http_client=DefaultHttpxClient(verify=False))


def created(url: str, request: Mapping[str, Any] = REQUEST) -> Sequence[Any]:
    with client(url) as sdk:
        return list(sdk.responses.create(stream=True, **request))


def streamed(url: str, request: Mapping[str, Any] = REQUEST) -> Sequence[Any]:
    with client(url) as sdk, sdk.responses.stream(**request) as stream:
        return list(stream)


def created_async(url: str, request: Mapping[str, Any] = REQUEST) -> Sequence[Any]:
    return asyncio.run(_created_async(url, request))


def streamed_async(url: str, request: Mapping[str, Any] = REQUEST) -> Sequence[Any]:
    return asyncio.run(_streamed_async(url, request))


def _async_client(url: str) -> AsyncOpenAI:
    http_client = DefaultAsyncHttpxClient(verify=False)
    return AsyncOpenAI(base_url=url, api_key="none", max_retries=0, http_client=http_client)


async def _created_async(url: str, request: Mapping[str, Any]) -> Sequence[Any]:
    async with _async_client(url) as sdk:
        return [event async for event in await sdk.responses.create(stream=True, **request)]


async def _streamed_async(url: str, request: Mapping[str, Any]) -> Sequence[Any]:
    async with _async_client(url) as sdk, sdk.responses.stream(**request) as stream:
        return [event async for event in stream]


Read = Callable[..., Sequence[Any]]
WAYS: Sequence[Read] = (created, streamed, created_async, streamed_async)
