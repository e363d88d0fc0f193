"""docs/schema.md: every attribute, event and metric, from the declarations in `streamspan.semconv`."""

from collections.abc import Iterable, Iterator

from streamspan import semconv
from streamspan.semconv.records import OURS, Attribute, Event, Metric

HEAD = """# Schema

What streamspan writes. This page is written by `make docs` from
[`streamspan/semconv`](../src/streamspan/semconv), where each name is declared once; the tests hold all their
telemetry against the same declarations.

Scope `streamspan`, schema address `{schema_url}`. What is not known is absent, never 0 or
empty. A time is a double in seconds, a count an int, and a point in the stream an offset from the call.

[semconv/](semconv) has the same for [OpenTelemetry Weaver](https://github.com/open-telemetry/weaver), as a registry in
its format `definition/2` that depends on OpenTelemetry's own. A test holds it to what Weaver's schema says of that
format; Weaver itself has not been run on it.
"""
SPAN = """## The span

One for each streamed call: name `{gen_ai.operation.name} {gen_ai.request.model}`, kind CLIENT, a refinement of the
GenAI conventions' inference span. Its status is ERROR if the outcome is `error` or `truncated`, else unset."""
EVENTS = """## Events

On the span, or [as log records](events.md) with this event name."""
METRICS = """## Metrics

Independent of sampling; [limits.md](limits.md) says where they cannot tell the whole truth. All but those of
`llm_stream.instrumentation` have these attributes, and those of their rows; the response model of streams that are open
is not known:"""


def table(*rows: tuple[str, ...]) -> str:
    """In Markdown; the first row is the head."""
    head, *body = ("| " + " | ".join(cells) + " |" for cells in rows)
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])


def code(value: object) -> str:
    return f"`{value}`" if value not in {None, ""} else ""


def codes(values: Iterable[object]) -> str:
    return ", ".join(code(value) for value in values)


def text() -> str:
    return "\n\n".join([HEAD.format(schema_url=semconv.SCHEMA_URL).strip(), *_spans(), *_events(), *_metrics()]) + "\n"


def _spans() -> Iterator[str]:
    yield SPAN
    on_span = [attribute for attribute in semconv.ATTRIBUTES.values() if attribute.on_span]
    sources = sorted({attribute.source for attribute in on_span}, key=lambda source: (source != OURS, source))
    for source in sources:
        yield "### Its own" if source == OURS else f"### From {_linked(source)}"
        yield _attributes(attribute for attribute in on_span if attribute.source == source)


def _linked(source: str) -> str:
    return f"[{source.removeprefix('https://')}]({source})" if source.startswith("https://") else source


def _attributes(attributes: Iterable[Attribute]) -> str:
    rows = (
        (code(_name(attribute)), _type(attribute), _meaning(attribute), attribute.present, _example(attribute))
        for attribute in attributes
    )
    return table(("attribute", "type", "meaning", "there", "example"), *rows)


def _name(attribute: Attribute) -> str:
    return f"{attribute.name}*" if attribute.type.startswith("template") else attribute.name


def _type(attribute: Attribute) -> str:
    return f"{attribute.type}, {attribute.unit}" if attribute.unit else attribute.type


def _meaning(attribute: Attribute) -> str:
    return f"{attribute.meaning}. One of {codes(attribute.values)}" if attribute.values else attribute.meaning


def _example(attribute: Attribute) -> str:
    example = attribute.example
    if isinstance(example, tuple):
        return code("[" + ", ".join(f'"{item}"' for item in example) + "]")
    return code(str(example).lower() if isinstance(example, bool) else example)


def _events() -> Iterator[str]:
    yield EVENTS
    yield table(("event", "meaning", "how often", "attributes"), *(_event(event) for event in semconv.EVENTS.values()))
    yield "Those that the span does not have:"
    named = {name for event in semconv.EVENTS.values() for name in event.attributes}
    yield _attributes(semconv.ATTRIBUTES[name] for name in sorted(named) if not semconv.ATTRIBUTES[name].on_span)


def _event(event: Event) -> tuple[str, ...]:
    return code(event.name), event.meaning, event.present, codes(event.attributes)


def _metrics() -> Iterator[str]:
    yield METRICS
    yield f"{codes(semconv.STREAM_METRIC_ATTRIBUTES)}."
    head = ("metric", "instrument, unit", "meaning", "there", "attributes")
    yield table(head, *(_metric(metric) for metric in semconv.METRICS.values()))
    yield "Those that neither the span nor an event has:"
    elsewhere = {name for event in semconv.EVENTS.values() for name in event.attributes}
    named = {name for metric in semconv.METRICS.values() for name in metric.attributes} - elsewhere
    yield _attributes(semconv.ATTRIBUTES[name] for name in sorted(named) if not semconv.ATTRIBUTES[name].on_span)
    yield "The upper bounds of the histograms' buckets:"
    buckets = (
        (code(metric.name), ", ".join(f"{bound:.12g}" for bound in metric.buckets))
        for metric in semconv.METRICS.values()
    )
    yield table(("metric", "buckets"), *(row for row in buckets if row[1]))


def _metric(metric: Metric) -> tuple[str, ...]:
    kind = f"{metric.kind}, {metric.unit}"
    return code(metric.name), kind, metric.description, metric.present, codes(metric.attributes)
