"""docs/schema.md: every attribute, event and metric, from the declarations in `streamspan.semconv`."""

from collections.abc import Iterable, Iterator

from streamspan import semconv
from streamspan.semconv import latest
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
GenAI conventions' inference span. Its status is ERROR if the outcome is `error` or `truncated`, else unset.

The names are the same for every provider, where it has the fact. Only Anthropic's streams have `anthropic.*`, the
category of a refusal, the fallback to another model and the limits of input and of output tokens. Only those of the
OpenAI SDK have `openai.*`, the penalties, the seed, the count of choices, the size of media and the header
`x-request-id`. A server that is read with the OpenAI SDK may leave out what OpenAI itself sends, above all the usage,
which its Chat Completions API sends only if `stream_options` asks for it (`include_usage`)."""
EVENTS = """## Events

On the span, or [as log records](events.md) with this event name."""
METRICS = """## Metrics

Independent of sampling; [limits.md](limits.md) says where they cannot tell the whole truth. All but those of
`llm_stream.instrumentation` have these attributes, and those of their rows; the response model of streams that are open
is not known:"""
LATEST = """## The latest GenAI conventions

The GenAI conventions have moved to [a repository of their
own](https://github.com/open-telemetry/semantic-conventions-genai) and have changed since 1.41. All above is what is
written by default. `OTEL_SEMCONV_STABILITY_OPT_IN` is a comma-separated list, of which each instrumentation reads what
is about it:

| entry | what is written |
| --- | --- |
| none of these | the names of 1.41 |
| `gen_ai_latest_experimental` | the names of the latest conventions ({version}) instead |
| `gen_ai_latest_experimental/dup` | both, while your own boards and rules change over; do not add the two up |

It is read once, by `instrument()`. Spans have the same names under either, and so do all metrics that are not here. Our
boards and rules work with all three. The schema address stays the same, because {version} has not published one that we
know of. The `/dup` is ours: other GenAI instrumentations do not know it, and write what they write by default."""
TOKENS = """The first three are the same under another name. The others take the place of the token usage: counters,
which are 0 where nothing is reported, and histograms with its buckets:"""
FORMS = """What differs on spans and in content. One name cannot be written twice, so `/dup` writes the latest form
there. It keeps the finish reason of messages."""


def table(*rows: tuple[str, ...]) -> str:
    """In Markdown; the first row is the head."""
    head, *body = ("| " + " | ".join(cells) + " |" for cells in rows)
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])


def code(value: object) -> str:
    return f"`{value}`" if value not in {None, ""} else ""


def codes(values: Iterable[object]) -> str:
    return ", ".join(code(value) for value in values)


def text() -> str:
    return (
        "\n\n".join(
            [HEAD.format(schema_url=semconv.SCHEMA_URL).strip(), *_spans(), *_events(), *_metrics(), *_latest()]
        )
        + "\n"
    )


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


def _latest() -> Iterator[str]:
    yield LATEST.format(version=latest.VERSION)
    instead = tuple(metric for metric in latest.METRICS.values() if metric not in latest.RENAMED.values())
    renamed = ((code(old.name), code(new.name)) for old, new in latest.RENAMED.items())
    tokens = (code(semconv.TOKEN_USAGE.name), codes(metric.name for metric in instead))
    yield table(("metric of 1.41", "latest"), *renamed, tokens)
    yield TOKENS
    head = ("metric", "instrument, unit", "meaning", "there", "attributes")
    yield table(head, *(_metric(metric) for metric in instead))
    yield _attributes([semconv.ATTRIBUTES[latest.TOKEN_MODALITY]])
    yield FORMS
    yield table(("what", "1.41", "latest"), *_forms())


def _forms() -> Iterator[tuple[str, str, str]]:
    for name, of_type in latest.TYPES.items():
        yield code(name), semconv.ATTRIBUTES[name].type, f"{of_type}; absent if it is no whole number"
    compacted = semconv.ATTRIBUTES[latest.CONVERSATION_COMPACTED]
    yield code(compacted.name), "absent", "`true` if the request has a compaction or the provider has reported one"
    known = codes(sorted(latest.PART_TYPES))
    generic = f'`"type": "{latest.GENERIC}"`, and its type as `{latest.GENERIC_TYPE}`'
    yield f"a part of a message that is none of {known}", "its type", generic
    reasons = code(semconv.RESPONSE_FINISH_REASONS)
    yield f"`{latest.FINISH_REASON}` of a message in {code(semconv.OUTPUT_MESSAGES)}", "there", f"only in {reasons}"
