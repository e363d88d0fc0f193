"""Server-sent events, in which every provider's API streams."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event: its name, empty where the API gives it none, and its JSON."""

    name: str
    data: Mapping[str, object]

    def encoded(self) -> bytes:
        name = f"event: {self.name}\n" if self.name else ""
        return f"{name}data: {compact_json(self.data)}\n\n".encode()


def compact_json(value: object) -> str:
    """JSON as the APIs write it: no spaces, characters beyond ASCII as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pieces(text: str, size: int) -> Iterator[str]:
    """The text in pieces of `size` characters."""
    for start in range(0, len(text), size):
        yield text[start : start + size]
