"""Content that is captured from a stream, where that is asked for: texts under one cap, cut as they arrive.

Captured content is a tree of mappings and lists. Its strings are structure: names, ids, types. Its content is made of
`Text`s, so that the writer can pass each one through a redaction and knows which were cut.

Terms
    part   one item of a message: a text, a thought, a tool call
    frame  what a part costs besides its text, which bounds the number of empty parts
"""

from collections.abc import Mapping, Sequence

from .model import BlockStart

_FRAME_CHARS = 64
_PIECES_AT_MOST = 64  # a small string costs more than its chars


class Budget:
    """Chars that may still be captured. `exceeded`: there was more."""

    __slots__ = ("exceeded", "left")

    def __init__(self, chars: int) -> None:
        self.left = chars
        self.exceeded = False

    def taken(self, wanted: int) -> int:
        """How many of the chars wanted there were; they are gone."""
        taken = min(wanted, self.left)
        self.left -= taken
        self.exceeded = self.exceeded or taken < wanted
        return taken

    def has_frame(self, *names: str | None) -> bool:
        """Takes the room of a part with these names and ids; false if there is none."""
        wanted = _FRAME_CHARS + sum(len(name) for name in names if name is not None)
        if wanted > self.left:
            self.exceeded = True
            return False
        self.left -= wanted
        return True


class Text:
    """Content, as it comes. `is_json`: whether it is JSON if it is whole. `truncated`: it was cut."""

    __slots__ = ("_budget", "_pieces", "is_json", "truncated")

    def __init__(self, budget: Budget, text: str = "", *, is_json: bool = False) -> None:
        self._budget = budget
        self._pieces: list[str] = []
        self.is_json = is_json
        self.truncated = False
        self.add(text)

    def add(self, text: str) -> None:
        taken = self._budget.taken(len(text))
        if taken < len(text):
            self.truncated = True
        if taken:
            self._pieces.append(text[:taken])
        if len(self._pieces) >= _PIECES_AT_MOST:
            self._pieces = ["".join(self._pieces)]

    def clear(self) -> None:
        """Forget what was captured. Its room is not given back."""
        self._pieces.clear()
        self.truncated = False

    def __str__(self) -> str:
        return "".join(self._pieces)


Captured = str | int | Text | Mapping[str, "Captured"] | Sequence["Captured"]
"""See the head of this module."""


class Output:
    """The message that a stream delivers, part by part."""

    __slots__ = ("_budget", "parts")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.parts: list[Captured] = []

    def part(self, start: BlockStart) -> Text | None:
        """Where the content of a block that starts goes. None: there is no room, or nothing that can be read."""
        if start.kind == "hidden_thinking" or not self._budget.has_frame(start.type, start.tool_name, start.tool_id):
            return None
        text = Text(self._budget, is_json=start.kind == "tool_call" and not start.plain_input)
        self.parts.append(part_of(start, text))
        return text


def part_of(start: BlockStart, text: Text) -> Captured:
    """A part in the form of the GenAI conventions. A block type that they do not define keeps its name."""
    if start.kind != "tool_call":
        part_type = "reasoning" if start.kind == "thinking" else start.type
        return {"type": part_type, "content": text}
    named = (("id", start.tool_id), ("name", start.tool_name))
    return {"type": "tool_call", **{key: value for key, value in named if value is not None}, "arguments": text}
