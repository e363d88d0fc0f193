"""Values of the SDK's models and of what the application gives it, of which nothing has been validated."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from anthropic import BaseModel

_NUMBER_AT_MOST = 2**53  # the greatest that is exact as a float, too; a few of them together still fit into OTLP's ints
T = TypeVar("T")


def field(value: Any, name: str) -> Any:
    """A field of a model or of a mapping, or an attribute of anything else; None where there is none."""
    return fields(value).get(name) if isinstance(value, (BaseModel, Mapping)) else getattr(value, name, None)


def mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def fields(value: Any) -> Mapping[str, Any]:
    """All fields of a model or of a mapping, those too that this version of the SDK does not know.

    The model itself takes 2 us to say that it lacks a field.
    """
    if not isinstance(value, BaseModel):
        return mapping(value)
    unknown: Mapping[str, Any] | None = getattr(value, "__pydantic_extra__", None)
    return {**value.__dict__, **unknown} if unknown else value.__dict__


def items(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else ()


def typed(value: Any, type_: type[T]) -> T | None:
    """`value` if it is of `type_` and every exporter can encode it; a bool is no number, an enum's member is its value.

    One lone surrogate fails the Prometheus exporter's page until the process ends, one int too large a whole export.
    """
    if isinstance(value, bool) or not isinstance(value, type_):
        return None
    if isinstance(value, str):
        text = str.__str__(value)
        return cast("T", text) if _is_encodable(text) else None
    if isinstance(value, int):
        return cast("T", int(value)) if 0 <= value <= _NUMBER_AT_MOST else None
    return value


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def strings(value: Any) -> list[str] | None:
    """The strings of a list of strings."""
    return [text for item in items(value) if (text := typed(item, str)) is not None] or None
