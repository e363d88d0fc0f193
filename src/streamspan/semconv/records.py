"""The form of the schema's entries, and the register of all attributes, events and metrics.

A name is declared once, with all that is known of it. The declaration of an attribute or an event gives back the name,
a plain string; that of a metric, the whole entry. The rest is for docs/schema.md, for the registry in docs/semconv/,
and for the tests, which hold all telemetry against it.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

AttributeType = Literal["string", "int", "double", "boolean", "string[]", "template[int]", "template[string[]]", "any"]
"""OpenTelemetry's. A template: the name is a prefix. Any: JSON in a string on the span, a structure in a log record."""
Instrument = Literal["histogram", "counter", "observable counter", "observable up-down counter", "observable gauge"]
Counted = Literal["ended streams", "open streams", "streamspan itself"]
Example = str | int | float | bool | tuple[str, ...]

OURS: Final = "streamspan"
GENAI: Final = "https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/"
"""The released conventions, 1.41."""
GENAI_OPENAI: Final = "https://opentelemetry.io/docs/specs/semconv/gen-ai/openai/"
HTTP: Final = "https://opentelemetry.io/docs/specs/semconv/http/http-spans/"
API: Final = "the Messages API, as the types of the `anthropic` SDK describe it"
SDK: Final = "the `anthropic` SDK's own client span, `anthropic/_tracing.py` from 1.14 on"

_SOURCES = {
    "llm_stream": OURS,
    "gen_ai": GENAI,
    "error": GENAI,
    "server": GENAI,
    "http": HTTP,
    "url": HTTP,
    "anthropic": SDK,
    "openai": GENAI_OPENAI,
}

ALWAYS: Final = "always"
AT_START: Final = "from the start"
"""A span attribute that samplers see. A condition may follow."""


class Attribute(NamedTuple):
    """present  when it is there: `ALWAYS`, `AT_START`, or the condition
    values   the closed set; empty: any. Of names that a server or an application gives, those that are known
    on_span  it is one of the span's; else of events or metrics only.
    """

    name: str
    type: AttributeType
    meaning: str
    present: str
    example: Example
    unit: str
    values: tuple[str, ...]
    source: str
    on_span: bool


class Event(NamedTuple):
    """An event on the span, or a log record with this event name."""

    name: str
    meaning: str
    present: str
    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """An instrument. An observable counter is one that we add up ourselves, at a tenth of the cost, without exemplars.

    attributes  besides those that every metric of a stream has, `STREAM_METRIC_ATTRIBUTES`
    buckets     upper bounds of a histogram, in its unit
    present     when it is recorded; of an observable one, when it is there
    counts      what it tells of, which says what attributes it has besides
    """

    name: str
    kind: Instrument
    unit: str
    description: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...]
    present: str
    counts: Counted


ATTRIBUTES: Final[dict[str, Attribute]] = {}
"""Every attribute, by name."""
EVENTS: Final[dict[str, Event]] = {}
"""Every event, by name."""
METRICS: Final[dict[str, Metric]] = {}
"""Every metric, by name."""


def attribute(  # noqa: PLR0913  # a row of the table
    name: str,
    of_type: AttributeType,
    example: Example,
    meaning: str,
    present: str = ALWAYS,
    *,
    unit: str = "",
    values: object = None,
    source: str = "",
    on_span: bool = False,
) -> str:
    """`name`, declared. `values`: a Literal."""
    source = source or _SOURCES[name.partition(".")[0]]
    ATTRIBUTES[name] = Attribute(name, of_type, meaning, present, example, unit, get_args(values), source, on_span)
    return name


def span_attribute(  # noqa: PLR0913  # the same
    name: str,
    of_type: AttributeType,
    example: Example,
    meaning: str,
    present: str = ALWAYS,
    *,
    unit: str = "",
    values: object = None,
    source: str = "",
) -> str:
    """`name`, declared as one of the span's."""
    return attribute(name, of_type, example, meaning, present, unit=unit, values=values, source=source, on_span=True)


def event(name: str, meaning: str, present: str, attributes: tuple[str, ...]) -> str:
    """`name`, declared."""
    EVENTS[name] = Event(name, meaning, present, attributes)
    return name


def metric(  # noqa: PLR0913, PLR0917  # a row of the table
    name: str,
    kind: Instrument,
    unit: str,
    description: str,
    attributes: tuple[str, ...] = (),
    buckets: tuple[float, ...] = (),
    *,
    present: str = "when a stream has ended",
    counts: Counted = "ended streams",
) -> Metric:
    """A metric, declared."""
    METRICS[name] = Metric(name, kind, unit, description, attributes, buckets, present, counts)
    return METRICS[name]
