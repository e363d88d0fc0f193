"""An application that is watched by several instrumentations: `python -m tests.peers.program NAME ...`

Starts each in the order of the names, reads streams in several ways, and prints as JSON what it saw of each and the
spans. In a process of its own, because some of the others do not take all of themselves away again.
"""

import asyncio
import gc
import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import openai
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan.cli.demo.script import Script, error_response
from streamspan.cli.demo.server import MessagesServer

INSTRUMENTORS: Mapping[str, tuple[str, str]] = {
    "streamspan": ("streamspan", "OpenAIStreamInstrumentor"),
    "openai-v2": ("opentelemetry.instrumentation.openai_v2", "OpenAIInstrumentor"),
    "openllmetry": ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor"),
    "openinference": ("openinference.instrumentation.openai", "OpenAIInstrumentor"),
}
"""Module and class."""
REQUEST: dict[str, Any] = {
    "model": "gpt-5.5",
    "messages": [{"role": "user", "content": "Hi"}],
    "frequency_penalty": 0.1,
    "max_tokens": 100,
    "presence_penalty": 0.2,
    "response_format": {"type": "json_object"},
    "seed": 7,
    "service_tier": "auto",
    "stop": ["END"],
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "top_p": 0.9,
}
USAGE = {
    "prompt_tokens": 25,
    "completion_tokens": 3,
    "total_tokens": 28,
    "prompt_tokens_details": {"cached_tokens": 7},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def chunk(delta: object, finish_reason: str | None = None, **more: object) -> bytes:
    data = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1764000000,
        "model": "gpt-5.5-2026-04-23",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        **more,
    }
    return f"data: {json.dumps(data)}\n\n".encode()


ANSWER: Script = [
    chunk({"role": "assistant", "content": ""}),
    *(chunk({"content": text}) for text in ('{"a"', ": ", "1}")),
    chunk({}, "stop"),
    chunk({}, choices=[], usage=USAGE),
    b"data: [DONE]\n\n",
]
CUT: Script = ANSWER[:3]
REFUSED = error_response(400, "invalid_request_error", "too much")


def create(client: openai.OpenAI) -> list[object]:
    stream = client.chat.completions.create(**REQUEST, stream=True)
    return [str(type(stream)), *(item.model_dump() for item in stream)]


def leave(client: openai.OpenAI) -> list[object]:
    seen: list[object] = []
    with client.chat.completions.create(**REQUEST, stream=True) as stream:
        for item in stream:
            seen.append(item.model_dump())
            if len(seen) == 2:
                break
    return seen


def helper(client: openai.OpenAI) -> list[object]:
    with client.chat.completions.stream(**REQUEST) as stream:
        types: list[object] = [event.type for event in stream]
        return [*types, stream.get_final_completion().choices[0].message.content]


def refused(client: openai.OpenAI) -> list[object]:
    try:
        client.chat.completions.create(**REQUEST, stream=True)
    except openai.BadRequestError as error:
        return [str(error)]
    return []


def create_async(client: openai.OpenAI) -> list[object]:
    async def main() -> list[object]:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key="none") as other:
            stream = await other.chat.completions.create(**REQUEST, stream=True)
            return [str(type(stream)), *[item.model_dump() async for item in stream]]

    return asyncio.run(main())


READERS: Mapping[str, tuple[Callable[[openai.OpenAI], list[object]], Script]] = {
    "create": (create, ANSWER),
    "create, async": (create_async, ANSWER),
    "create, cut": (create, CUT),
    "create, left": (leave, ANSWER),
    "create, refused": (refused, REFUSED),
    "stream()": (helper, ANSWER),
}


def told(span: ReadableSpan) -> dict[str, Any]:
    return {
        "scope": span.instrumentation_scope.name if span.instrumentation_scope else None,
        "name": span.name,
        "status": span.status.status_code.name,
        "attributes": dict(span.attributes or {}),
    }


def main(names: Sequence[str]) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for name in names:
        module, instrumentor = INSTRUMENTORS[name]
        getattr(importlib.import_module(module), instrumentor)().instrument(tracer_provider=provider)
    results: dict[str, Any] = {}
    for way, (read, script) in READERS.items():
        with MessagesServer([script]) as server, openai.OpenAI(base_url=server.url, api_key="none") as client:
            seen = read(client)
        gc.collect()
        provider.force_flush()
        results[way] = {"seen": seen, "spans": [told(span) for span in exporter.get_finished_spans()]}
        exporter.clear()
    print(json.dumps(results))  # noqa: T201  # its answer


if __name__ == "__main__":
    main(sys.argv[1:])
