"""The registry in docs/semconv/ is what OpenTelemetry Weaver reads, as far as its own schema for such files says it.

`FORMS` repeats what `schemas/semconv.schema.v2.json` of Weaver says of the parts that are used: all keys that there may
be, and those that there must be. Weaver itself is not run.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import yaml
from opentelemetry.semconv._incubating.attributes import (  # pyright: ignore[reportMissingTypeStubs]  # it has none
    gen_ai_attributes,
    http_attributes,
)
from opentelemetry.semconv._incubating.metrics import (  # pyright: ignore[reportMissingTypeStubs]  # it has none
    gen_ai_metrics,
)
from opentelemetry.semconv.attributes import error_attributes, server_attributes, url_attributes
from opentelemetry.semconv.attributes import http_attributes as stable_http_attributes

from streamspan import semconv
from streamspan.semconv import latest

FOLDER = Path(__file__).parents[2] / "docs" / "semconv"

Entry = Mapping[str, object]


class Form(NamedTuple):
    """The keys of an entry."""

    must: frozenset[str]
    may: frozenset[str]


def form(must: str, may: str = "") -> Form:
    return Form(frozenset(must.split()), frozenset(f"{must} {may}".split()))


FORMS = {
    "attributes": form("key type brief stability", "examples annotations note"),
    "events": form("name brief stability", "attributes note"),
    "event_refinements": form("id ref", "attributes note"),
    "metrics": form("name instrument unit brief stability", "attributes note"),
    "metric_refinements": form("id ref", "attributes note"),
    "span_refinements": form("id ref", "attributes brief stability"),
}
REFERENCE = form("ref", "requirement_level")
SPAN_REFERENCE = form("ref", "requirement_level sampling_relevant")
MEMBER = form("id", "value stability")


def loaded(file: str) -> Mapping[str, Sequence[Entry]]:
    return yaml.safe_load((FOLDER / file).read_text(encoding="utf-8"))


def entries(group: str) -> list[Entry]:
    return [entry for path in FOLDER.glob("*.yaml") for entry in loaded(path.name).get(group, ())]


def references(entry: Entry) -> Sequence[Entry]:
    return entry.get("attributes", ())  # pyright: ignore[reportReturnType]  # YAML has no types


def misshapen(entry: Entry, expected: Form) -> frozenset[str]:
    """The keys that are missing or too many."""
    return (expected.must - entry.keys()) | (entry.keys() - expected.may)


def all_references() -> Iterator[tuple[Entry, Form]]:
    for group in FORMS.keys() - {"attributes"}:
        for entry in entries(group):
            for reference in references(entry):
                yield reference, SPAN_REFERENCE if group == "span_refinements" else REFERENCE


def names_in(*modules: ModuleType) -> set[object]:
    """What the constants of OpenTelemetry's conventions name."""
    return {value for module in modules for value in vars(module).values() if isinstance(value, str)}


def test_the_manifest() -> None:
    """It has an address with a version, and depends on the conventions that all telemetry names as its schema."""
    manifest = loaded("manifest.yaml")

    assert misshapen(manifest, form("schema_url dependencies", "description stability")) == set()
    assert [entry["schema_url"] for entry in manifest["dependencies"]] == [semconv.SCHEMA_URL]


def test_each_file_is_of_the_format() -> None:
    """But for the manifest, each says its format and has known groups only."""
    files = [loaded(path.name) for path in FOLDER.glob("*.yaml") if path.name != "manifest.yaml"]

    assert [file["file_format"] for file in files] == ["definition/2"] * 4
    assert {group for file in files for group in file} - FORMS.keys() == {"file_format", "imports"}


@pytest.mark.parametrize("group", FORMS)
def test_the_entries_have_their_form(group: str) -> None:
    """No key is missing, and none is unknown."""
    assert entries(group) != []
    assert [misshapen(entry, FORMS[group]) for entry in entries(group)] == [set()] * len(entries(group))


def test_the_references_have_their_form() -> None:
    """The same, of the attributes that spans, events and metrics have."""
    wrong = [reference for reference, expected in all_references() if misshapen(reference, expected)]

    assert wrong == []


def test_every_type_is_one_of_weavers() -> None:
    """A type has a name, or is a list of members; an instrument is a synchronous one."""
    types = [entry["type"] for entry in entries("attributes")]
    members: list[Entry] = [member for kind in types if isinstance(kind, dict) for member in kind["members"]]  # pyright: ignore[reportUnknownVariableType]  # YAML has no types
    plain = {kind for kind in types if isinstance(kind, str)}

    assert plain <= {"string", "int", "double", "boolean", "string[]", "template[int]", "template[string[]]", "any"}
    assert [misshapen(member, MEMBER) for member in members] == [set()] * len(members)
    assert {entry["instrument"] for entry in entries("metrics")} <= {"counter", "updowncounter", "gauge", "histogram"}


def test_every_reference_leads_somewhere() -> None:
    """To an attribute that is defined here, or to one of OpenTelemetry's conventions."""
    ours = {entry["key"] for entry in entries("attributes")}
    theirs = names_in(
        gen_ai_attributes, http_attributes, stable_http_attributes, error_attributes, server_attributes, url_attributes
    )

    assert {reference["ref"] for reference, _ in all_references()} - ours - theirs == set()
    assert {entry["ref"] for entry in entries("metric_refinements")} - names_in(gen_ai_metrics) == set()
    assert ours & theirs == set()


def test_nothing_is_defined_twice_or_left_out() -> None:
    """Each attribute, event and metric of the schema is there once."""
    keys = [str(entry["key"]) for entry in entries("attributes")]
    events = [str(entry["ref"]) for entry in entries("event_refinements")]
    events += [str(entry["name"]) for entry in entries("events")]
    metrics = [str(entry["ref"]) for entry in entries("metric_refinements")]
    metrics += [str(entry["name"]) for entry in entries("metrics")]
    referred = {str(reference["ref"]) for reference, _ in all_references()}

    assert sorted(set(keys)) == sorted(keys)
    assert sorted(events) == sorted(semconv.EVENTS)
    assert sorted(metrics) == sorted([*semconv.METRICS, *latest.METRICS])
    assert sorted(referred) == sorted(name.rstrip(".") for name in semconv.ATTRIBUTES)
