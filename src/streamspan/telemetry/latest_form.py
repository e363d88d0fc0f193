"""What the latest GenAI conventions change in attributes and messages as they are written: see `semconv/latest.py`."""

from collections.abc import Callable, Mapping

from streamspan import semconv
from streamspan.semconv import latest

from .attributes import Written as WrittenAttributes
from .content import Written


def start_attributes(attributes: WrittenAttributes, is_compacted: Callable[[], bool | None]) -> WrittenAttributes:
    """What a span starts with. `is_compacted`: whether the request has a compaction of its conversation."""
    top_k = attributes.pop(semconv.REQUEST_TOP_K, None)
    if isinstance(top_k, (int, float)) and float(top_k).is_integer():
        attributes[semconv.REQUEST_TOP_K] = int(top_k)
    if is_compacted():
        attributes[latest.CONVERSATION_COMPACTED] = True
    return attributes


def add_to_end(attributes: WrittenAttributes) -> None:
    """Add what the span gets at its end only with the latest conventions."""
    if any(name in attributes for name in latest.TELL_OF_COMPACTION):
        attributes[latest.CONVERSATION_COMPACTED] = True


def messages(written: Mapping[str, Written], *, keeps_finish_reason: bool) -> dict[str, Written]:
    """Content by the name of its attribute, with messages of the parts that the latest conventions know."""
    return {name: _messages(name, value, keeps_finish_reason) for name, value in written.items()}


def _messages(name: str, value: Written, keeps_finish_reason: bool) -> Written:  # its caller names it
    if name not in latest.MESSAGES or isinstance(value, (str, int, Mapping)):
        return value
    return [_message(message, keeps_finish_reason) for message in value]


def _message(message: Written, keeps_finish_reason: bool) -> Written:  # the same
    if not isinstance(message, Mapping):
        return message
    changed = {name: value for name, value in message.items() if keeps_finish_reason or name != latest.FINISH_REASON}
    parts = changed.get("parts")
    if parts is not None and not isinstance(parts, (str, int, Mapping)):
        changed["parts"] = [_part(part) for part in parts]
    return changed


def _part(part: Written) -> Written:
    """A part of a type that the conventions do not know is generic, and says itself what it is."""
    if not isinstance(part, Mapping) or part.get("type") in latest.PART_TYPES:
        return part
    return {**part, "type": latest.GENERIC, latest.GENERIC_TYPE: part.get("type", "unknown")}
