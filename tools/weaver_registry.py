"""docs/semconv/: the schema as a registry of OpenTelemetry Weaver, in its format `definition/2`.

What others have named is a reference to their registry, and their span and metrics are refined; our own is defined.
Source of the format: `schemas/semconv.schema.v2.json` and `docs/define-your-own-telemetry-schema.md` of
https://github.com/open-telemetry/weaver.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version

import yaml

from streamspan import semconv
from streamspan.semconv import latest
from streamspan.semconv.records import ALWAYS, AT_START, GENAI, HTTP, Attribute, Event, Metric

Entry = dict[str, object]

CONVENTIONS = semconv.SCHEMA_URL.rpartition("/")[2]
MANIFEST = {
    "schema_url": f"https://streamspan.example/schemas/{version('streamspan')}",
    "description": "What streamspan writes of streamed LLM calls.",
    "stability": "development",
    "dependencies": [
        {
            "schema_url": semconv.SCHEMA_URL,
            "registry_path": "https://github.com/open-telemetry/semantic-conventions/archive/refs/tags/"
            f"v{CONVENTIONS}.zip[model]",
        }
    ],
}
INSTRUMENTS = {
    "histogram": "histogram",
    "counter": "counter",
    "observable counter": "counter",
    "observable up-down counter": "updowncounter",
    "observable gauge": "gauge",
}
THEIRS = (GENAI, HTTP)
STABILITY = {"stability": "development"}
WRITTEN = "# Written by `make docs`.\n"


def files() -> dict[str, str]:
    """The text of each file, by name."""
    attributes = semconv.ATTRIBUTES.values()
    their_events = [event for event in semconv.EVENTS.values() if _is_theirs(event)]
    our_events = [event for event in semconv.EVENTS.values() if not _is_theirs(event)]
    their_metrics = [metric for metric in semconv.METRICS.values() if _is_theirs(metric)]
    our_metrics = [metric for metric in semconv.METRICS.values() if not _is_theirs(metric)]
    our_metrics += latest.METRICS.values()  # the registry that we refer to does not have them
    return {
        "manifest.yaml": _yaml(MANIFEST),
        "attributes.yaml": _definition(
            attributes=[_attribute(each) for each in attributes if each.source not in THEIRS]
        ),
        "span.yaml": _definition(
            imports={"spans": ["gen_ai.inference.client"]},
            span_refinements=[_span(each for each in attributes if each.on_span)],
        ),
        "events.yaml": _definition(
            imports={"events": [event.name for event in their_events]},
            event_refinements=[_refined(event, event.attributes) for event in their_events],
            events=[_event(event) for event in our_events],
        ),
        "metrics.yaml": _definition(
            imports={"metrics": [metric.name for metric in their_metrics]},
            metric_refinements=[_refined(metric, semconv.metric_attributes(metric)) for metric in their_metrics],
            metrics=[_metric(metric) for metric in our_metrics],
        ),
    }


def _definition(**groups: object) -> str:
    return _yaml({"file_format": "definition/2", **groups})


def _yaml(content: Mapping[str, object]) -> str:
    return WRITTEN + yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120)


def _attribute(attribute: Attribute) -> Entry:
    entry: Entry = {"key": _key(attribute), "type": attribute.type, "brief": _sentence(attribute.meaning)}
    if attribute.values:
        entry["type"] = {"members": [{"id": value, "value": value, **STABILITY} for value in attribute.values]}
    example = attribute.example
    entry["examples"] = [list(example) if isinstance(example, tuple) else example]
    if attribute.unit:
        entry["annotations"] = {"unit": attribute.unit}
    return entry | STABILITY


def _key(attribute: Attribute) -> str:
    return attribute.name.rstrip(".")


def _sentence(meaning: str) -> str:
    return f"{meaning[:1].upper()}{meaning[1:].rstrip('.')}."


def _reference(name: str) -> Entry:
    """An attribute of an event or a metric."""
    attribute = semconv.ATTRIBUTES[name]
    return {"ref": _key(attribute)} if attribute.on_span else {"ref": _key(attribute), **_level(attribute)}


def _level(attribute: Attribute) -> Entry:
    if attribute.present in {ALWAYS, AT_START}:
        return {"requirement_level": "required"}
    return {"requirement_level": {"conditionally_required": attribute.present}}


def _span(attributes: Iterable[Attribute]) -> Entry:
    return {
        "id": "streamspan.inference.client",
        "ref": "gen_ai.inference.client",
        "brief": "A streamed call of a model, from the call to the end of its stream.",
        "attributes": [_span_reference(attribute) for attribute in attributes],
        **STABILITY,
    }


def _span_reference(attribute: Attribute) -> Entry:
    at_start = {"sampling_relevant": True} if attribute.present.startswith(AT_START) else {}
    return {"ref": _key(attribute), **_level(attribute), **at_start}


def _event(event: Event) -> Entry:
    return {
        "name": event.name,
        "brief": _sentence(event.meaning),
        "note": f"How often: {event.present}.",
        "attributes": [_reference(name) for name in event.attributes],
        **STABILITY,
    }


def _metric(metric: Metric) -> Entry:
    return {
        "name": metric.name,
        "brief": _sentence(metric.description),
        "note": f"There {metric.present}.",
        "instrument": INSTRUMENTS[metric.kind],
        "unit": metric.unit,
        "attributes": [_reference(name) for name in semconv.metric_attributes(metric)],
        **STABILITY,
    }


def _is_theirs(signal: Event | Metric) -> bool:
    return signal.name.startswith("gen_ai.")


def _refined(signal: Event | Metric, attributes: Iterable[str]) -> Entry:
    meaning = signal.meaning if isinstance(signal, Event) else signal.description
    return {
        "id": f"streamspan.{signal.name}",
        "ref": signal.name,
        "note": f"{_sentence(meaning)} There {signal.present}.",
        "attributes": [_reference(name) for name in attributes],
    }
