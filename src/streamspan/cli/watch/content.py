"""What was said: the attributes with content, which an application may be told to capture, and their words.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/ has their form: JSON, whose parts have a type.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import cast

from opentelemetry.util.types import AttributeValue

from streamspan import semconv
from streamspan.cli.drawing.finished import FinishedStream, printable
from streamspan.semconv.latest import GENERIC_TYPE

SYSTEM, INPUT, OUTPUT = semconv.SYSTEM_INSTRUCTIONS, semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES
CONTENT = {SYSTEM, INPUT, OUTPUT, semconv.TOOL_DEFINITIONS, semconv.ERROR_MESSAGE}
LINES_AT_MOST = 40
"""Of one part of a message."""
LINE_CHARS_AT_MOST = 4000
ALL_LINES_AT_MOST = 1000
"""Of a stream."""


def has_content(attributes: Mapping[str, AttributeValue]) -> bool:
    return not CONTENT.isdisjoint(attributes)


def without_content(stream: FinishedStream) -> FinishedStream:
    events = [replace(event, attributes=_without(event.attributes)) for event in stream.events]
    return replace(stream, attributes=_without(stream.attributes), events=events)


def _without(attributes: Mapping[str, AttributeValue]) -> Mapping[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if name not in CONTENT}


def said(stream: FinishedStream) -> Iterator[tuple[str, str]]:
    """Who, and one line of what; printable. What has another form than the convention's is given as it is."""
    return islice(_said(stream), ALL_LINES_AT_MOST)


def _said(stream: FinishedStream) -> Iterator[tuple[str, str]]:
    everything = [stream.attributes, *(event.attributes for event in stream.events)]
    for name, role in ((SYSTEM, "system"), (INPUT, "user"), (OUTPUT, "assistant"), (semconv.ERROR_MESSAGE, "error")):
        for value in filter(None, (attributes.get(name) for attributes in everything)):
            yield from _messages(value, role)


def _messages(value: AttributeValue, role: str) -> Iterator[tuple[str, str]]:
    try:
        messages = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        messages = [value]
    for message in cast("list[object]", messages if isinstance(messages, list) else [messages]):
        fields = _fields(message)
        parts = fields.get("parts", [message])
        for part in cast("list[object]", parts if isinstance(parts, list) else [parts]):
            yield from ((_text(fields.get("role", role)), line) for line in _lines(_words(part)))


def _words(part: object) -> str:
    """Of a text the text; of another part its type, its name if it is a tool call, and what it holds."""
    fields = _fields(part)
    held = [fields[name] for name in ("name", "content", "arguments", "response") if name in fields]
    if not held:
        return _text(part)
    kind = _text(fields.get(GENERIC_TYPE) or fields.get("type"))
    return " ".join(([] if kind == "text" else [f"({kind})"]) + [_text(value) for value in held])


def _text(value: object) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:  # reading goes deeper than writing
        return "(too deep)"


def _fields(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _lines(text: str) -> Iterator[str]:
    lines = text.splitlines()
    left_out = len(lines) - LINES_AT_MOST
    yield from (printable(line, LINE_CHARS_AT_MOST) for line in lines[:LINES_AT_MOST])
    if left_out > 0:
        yield f"({left_out} more lines)"
