"""Values of an SDK's models and of what the application gives it, none of which has been validated."""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

CHARS_AT_MOST: Final = 256
_STRINGS_AT_MOST = 32
_NUMBER_AT_MOST = 2**53  # the greatest that is exact as a float; a sum of a few still fits into the integers of OTLP
_NOTHING: Mapping[str, Any] = {}
T = TypeVar("T")


def field(value: Any, name: str) -> Any:
    """A field of a model or of a mapping, or an attribute of anything else; None where there is none."""
    if value is None:
        return None
    if type(value) is dict or _is_model(value) or isinstance(value, Mapping):
        return fields(value).get(name)
    return getattr(value, name, None)


def mapping(value: Any) -> Mapping[str, Any]:
    # An ABC takes 0.4 us to say that a dict is a mapping.
    is_mapping = type(value) is dict or isinstance(value, Mapping)
    return value if is_mapping else _NOTHING  # pyright: ignore[reportUnknownVariableType]  # as sent


def fields(value: Any) -> Mapping[str, Any]:
    """All fields of a model or of a mapping, including those that this version of the SDK does not define.

    A pydantic model takes 2 us to say that it lacks a field.
    """
    if value is None:
        return _NOTHING
    extra: Mapping[str, Any] | None = getattr(value, "__pydantic_extra__", _NOTHING)
    if extra is _NOTHING and not _is_model(value):
        return mapping(value)
    return {**value.__dict__, **extra} if extra else value.__dict__


def _is_model(value: Any) -> bool:
    """A model of pydantic 2 or 1, neither of which is imported."""
    return hasattr(value, "__pydantic_extra__") or hasattr(value, "__fields_set__")


def items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()  # pyright: ignore[reportUnknownVariableType]  # as sent


def typed(value: Any, type_: type[T]) -> T | None:
    """`value` if it is of `type_` and every exporter can encode it; else None.

    A bool is not a number, and a member of an enum counts as its value. One lone surrogate breaks the Prometheus
    exporter's page until the process ends, and one integer that is too large breaks a whole export.
    """
    if value is None or isinstance(value, bool) or not isinstance(value, type_):
        return None
    if isinstance(value, str):
        text: Any = str.__str__(value)
        return text if text.isascii() or _is_encodable(text) else None
    if isinstance(value, int):
        number: Any = int(value)
        return number if 0 <= number <= _NUMBER_AT_MOST else None
    return value


def text(value: Any) -> str | None:
    """At the most `CHARS_AT_MOST` of it: ids, models, names and words, which a server may send of any length."""
    if type(value) is str and value.isascii() and len(value) <= CHARS_AT_MOST:
        return value  # nearly always
    if not isinstance(value, str):
        return None
    word = str.__str__(value)[:CHARS_AT_MOST]
    return word if word.isascii() or _is_encodable(word) else None


def count(value: Any) -> int | None:
    if value is None or not isinstance(value, int) or isinstance(value, bool):
        return None
    number = int(value)
    return number if 0 <= number <= _NUMBER_AT_MOST else None


def number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def strings(value: Any) -> list[str] | None:
    """The first strings of a list of strings; None where there are none."""
    return [word for item in islice(items(value), _STRINGS_AT_MOST) if (word := text(item)) is not None] or None


def base64_size(value: Any) -> int:
    """Bytes of data that come in base64; 0: there is none."""
    return len(value) * 3 // 4 if isinstance(value, str) else 0


def json_text(value: Any) -> str:
    """Compact, by one call of the C encoder. Empty: it cannot be written."""
    try:
        return json.dumps(value, ensure_ascii=False, skipkeys=True, separators=(",", ":"), default=name_of_type)
    except (ValueError, RecursionError):
        return ""


def name_of_type(odd: object) -> str:
    """In place of what JSON does not have."""
    return type(odd).__name__


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
