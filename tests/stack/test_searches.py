"""Every TraceQL query of the boards, the runbooks and the docs can be read by the grammar of Grafana's own editor."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.boards.committed import GRAFANA, PANELS, RUNBOOK, SEARCHES
from tests.boards.test_boards import links_of
from tests.stack.traceql import Answer, SearchedSpan, answers

PAGES = [RUNBOOK, *sorted((GRAFANA.parent / "docs").glob("*.md")), *sorted(GRAFANA.parent.glob("*.md"))]


def query_of(address: str) -> str:
    """Of a link to Explore."""
    [pane] = json.loads(parse_qs(urlsplit(address).query)["panes"][0]).values()
    return pane["queries"][0]["query"]


def linked() -> set[str]:
    links = {link for _, panel in PANELS for link in links_of(panel) if link.startswith("/explore")}
    return {query for query in map(query_of, links) if query.startswith("{")}  # the others are the id of a trace


def written() -> set[str]:
    text = "\n".join(page.read_text() for page in PAGES)
    return {" ".join(query.split()) for query in re.findall(r"`(\{ *(?:span|resource|status)[^`]+)`", text)}


ON_PANELS, LINKED, WRITTEN = {target["query"] for *_, target in SEARCHES}, linked(), written()


def test_there_are_searches_of_each_kind() -> None:
    """Those of the tables, those that a click leads to, those to paste."""
    assert len(ON_PANELS) >= 7
    assert len(LINKED) >= 10
    assert len(WRITTEN) >= 10


@pytest.mark.parametrize("queries", [ON_PANELS, LINKED, WRITTEN], ids=["on panels", "behind links", "to paste"])
def test_searches_can_be_read(queries: set[str]) -> None:
    """None has an error."""
    assert [answer.error for answer in answers(sorted(queries)) if answer.error] == []


@pytest.mark.parametrize(
    "query",
    [
        '{span.llm_stream.outcome="aborted"',
        '{span.llm_stream.outcome=="aborted"}',
        "{span.llm_stream.outcome=aborted}",
        '{span.llm_stream.outcome="aborted"} | selct(span.llm_stream.phase)',
    ],
)
def test_a_wrong_search_would_be_seen(query: str) -> None:
    """What Tempo would refuse has an error here."""
    assert "cannot be read" in answers([query])[0].error


SPANS = [
    SearchedSpan("t", "1", "chat", 0, 1, {"service.name": "chat"}, {"llm_stream.outcome": "aborted", "n": 2}),
    SearchedSpan("t", "2", "chat", 0, 1, {"service.name": "chat"}, {"llm_stream.outcome": "error", "b": True}),
    SearchedSpan("t", "3", "chat", 0, 1, {"service.name": "other"}, {"n": 1.5}),
]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("{}", ["1", "2", "3"]),
        ('{resource.service.name="chat"}', ["1", "2"]),
        ('{span.llm_stream.outcome=~"abort|error"}', ["2"]),
        ('{span.llm_stream.outcome!="error"}', ["1"]),
        ("{span.n>=2 || span.b=true}", ["1", "2"]),
        ('{resource.service.name=~"${service:pipe}" && span.n>=1.5}', ["1", "3"]),
    ],
)
def test_a_search_finds(query: str, found: list[str]) -> None:
    """Values are compared as Tempo compares them; what a span does not have is never met."""
    assert answers([query], SPANS)[0].found == found


def test_the_columns_of_a_search() -> None:
    """What is selected, in its order."""
    expected = Answer("", ["llm_stream.phase", "error.type"], ["1", "2", "3"])

    assert answers(["{} | select(span.llm_stream.phase, span.error.type)"], SPANS) == [expected]
