"""The binary framing in which Amazon Bedrock streams a message.

    frame      total length, length of the headers, CRC-32 of these two; headers; payload; CRC-32 of all before it
    header     length of the name, name, type (7: a string), length of the value, value
    payload    JSON; the event's own JSON is in its `bytes`, as base64

Sources: https://smithy.io/2.0/aws/amazon-eventstream.html and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html
"""

import json
import struct
from base64 import b64encode
from collections.abc import Iterable, Mapping
from zlib import crc32

from streamspan.cli.demo.script import Head, Step
from streamspan.cli.demo.wire import Event, compact_json

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    encoded_headers = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack("!II", 16 + len(encoded_headers) + len(payload), len(encoded_headers))
    message = lengths + struct.pack("!I", crc32(lengths)) + encoded_headers + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: str, value: str) -> bytes:
    return struct.pack(f"!B{len(name)}sBH", len(name), name.encode(), _STRING, len(value.encode())) + value.encode()


def chunk(event: Event) -> bytes:
    """One event of a message."""
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    payload = {"bytes": b64encode(compact_json(event.data).encode()).decode(), "p": "abcdefgh"}
    return frame(headers, compact_json(payload).encode())


def exception(name: str, message: str) -> bytes:
    """The frame that ends a stream in the middle."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


def event_stream(steps: Iterable[Step]) -> list[Step]:
    """A script with its events framed; there are no pings on Bedrock."""
    head = Head(headers={"content-type": CONTENT_TYPE})
    kept = (step for step in steps if not (isinstance(step, Event) and step.name == "ping"))
    return [head, *(chunk(step) if isinstance(step, Event) else step for step in kept)]
