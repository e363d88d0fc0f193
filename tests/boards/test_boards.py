"""The committed boards: what every one of them must have, whatever it shows."""

import json
import re
from itertools import combinations
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from boards import names, slo

from streamspan import semconv
from streamspan.semconv import latest
from streamspan.semconv.records import ATTRIBUTES as DECLARED
from tests.boards.committed import BOARDS, GRAFANA, PANELS, QUERIES, RUNBOOK, SEARCHES, panels_of

PANEL_IDS = [f"{uid}: {panel['title']}" for uid, panel in PANELS]
QUERY_IDS = [f"{uid}: {title} {target['refId']}" for uid, title, target in QUERIES]
each_board = pytest.mark.parametrize("uid", BOARDS)
each_panel = pytest.mark.parametrize("panel", [panel for _, panel in PANELS], ids=PANEL_IDS)
each_query = pytest.mark.parametrize("target", [target for *_, target in QUERIES], ids=QUERY_IDS)

METRICS = [*semconv.METRICS.values(), *latest.METRICS.values()]
HISTOGRAM_SUFFIXES = ("_bucket", "_sum", "_count")
KNOWN = {
    names.series(metric) + suffix
    for metric in METRICS
    for suffix in (HISTOGRAM_SUFFIXES if metric.kind == "histogram" else ("",))
}
LABELS = {
    *("le", "job", "instance", "exporter", "data_type", "decision"),
    *map(names.label, semconv.STREAM_METRIC_ATTRIBUTES),
    *(names.label(attribute) for metric in METRICS for attribute in metric.attributes),
}
ATTRIBUTES = {
    f"{semconv.RESPONSE_HEADER_PREFIX}x-request-id",
    *(value for value in vars(semconv).values() if isinstance(value, str)),
}
STREAMS = names.series(semconv.STREAMS)
OF_SERIES = "var-provider=${__field.labels.gen_ai_provider_name}&var-model=${__field.labels.gen_ai_request_model}"
VARIABLE_SOURCES = {("prometheus", "${metrics}"), ("tempo", "${traces}")}


def links_of(panel: Any) -> list[str]:
    """Addresses of a panel's data links, those of single columns, too."""
    defaults = panel["fieldConfig"]["defaults"].get("links", [])
    overrides = [
        link
        for override in panel["fieldConfig"]["overrides"]
        for changed in override["properties"]
        if changed["id"] == "links"
        for link in changed["value"]
    ]
    return [link["url"] for link in (*defaults, *overrides)]


LINKS = [(uid, panel["title"], url) for uid, panel in PANELS for url in links_of(panel)]
EXPLORED = [link for link in LINKS if link[2].startswith("/explore")]
each_explored = pytest.mark.parametrize("url", [url for *_, url in EXPLORED], ids=lambda _: "")


def test_these_are_the_boards() -> None:
    """The four boards, each in the file of its uid, which links depend on."""
    expected = {"streams-overview", "streams-by-model", "streams-traces", "streams-pipeline"}

    assert {path.stem for path in GRAFANA.glob("dashboards/*")} == expected
    assert {board["uid"] for board in BOARDS.values()} == expected
    assert {board["schemaVersion"] for board in BOARDS.values()} <= {41, 42}


def test_the_rows_of_the_overview() -> None:
    """The rows of the overview read like a table of contents."""
    rows = [panel["title"] for panel in BOARDS["streams-overview"]["panels"] if panel["type"] == "row"]
    first_words = [title.partition(":")[0] for title in rows]

    assert first_words == ["Now", "First chunk", "How streams end", "Inside the streams", "Tools", "Tokens"]


@each_board
def test_panels_have_a_place_of_their_own(uid: str) -> None:
    """No panel covers another or leaves the grid, and each has a number of its own."""
    panels = BOARDS[uid]["panels"]
    cells = [
        {
            (column, line)
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        }
        for place in (panel["gridPos"] for panel in panels)
    ]
    numbers = [panel["id"] for panel in panels]

    assert all(first.isdisjoint(second) for first, second in combinations(cells, 2))
    assert all(column < 24 for place in cells for column, _ in place)
    assert len(set(numbers)) == len(numbers)


@each_board
def test_the_titles_of_a_board_differ(uid: str) -> None:
    """Runbooks name panels by their titles."""
    titles = [panel["title"] for panel in panels_of(BOARDS[uid])]

    assert len(set(titles)) == len(titles)


@each_panel
def test_a_panel_says_what_it_shows(panel: Any) -> None:
    """Every panel has a unit, a description that says what to do, and words where there is nothing."""
    defaults = panel["fieldConfig"]["defaults"]

    assert defaults["unit"]
    assert defaults["noValue"]
    assert len(panel["description"].split()) >= 8
    assert panel["targets"]


@each_panel
def test_a_panel_asks_the_chosen_source(panel: Any) -> None:
    """No data source is named: a variable of the board gives it."""
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]

    assert {(source["type"], source["uid"]) for source in sources} <= VARIABLE_SOURCES


@each_query
def test_a_query_fits_the_resolution(target: Any) -> None:
    """A rate is taken over what Grafana says, or over the range that is shown; the budget over its days."""
    windows = set(re.findall(r"\[([^\]]+)\]", target["expr"]))

    assert windows <= {"$__rate_interval", "$__range", f"{slo.BUDGET_DAYS}d"}
    assert target["instant"] or f"{slo.BUDGET_DAYS}d" not in windows


@each_query
def test_a_rate_has_points(target: Any) -> None:
    """A rate spans several exports of the SDK, whose default is one a minute, where the source is taken for quicker."""
    assert target["interval"] == "1m"


@each_query
def test_a_query_asks_for_metrics_that_there_are(target: Any) -> None:
    """Every metric is one of semconv's or the collector's, every label one of theirs; the choice is applied."""
    expression = re.sub(r'"[^"]*"', '""', target["expr"])
    asked = set(re.findall(r"(\w+)\{", expression))
    matched = set(re.findall(r"[{,]\s*(\w+)\s*[=!]", expression)) - {"__name__"}
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
    legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))

    assert asked <= KNOWN
    assert matched | grouped | legend <= LABELS
    assert legend <= grouped
    assert asked == set() or expression.count('job=~""') == len(re.findall(r"\w+\{", expression))


@each_query
def test_a_line_has_a_name(target: Any) -> None:
    """No legend is a bare label set, but in tables, whose columns have titles."""
    assert target["legendFormat"] != "__auto" or target["format"] == "table"


@pytest.mark.parametrize("query", [target["query"] for *_, target in SEARCHES])
def test_a_search_asks_for_attributes_that_there_are(query: str) -> None:
    """Every attribute of a search is one that spans have, and the choice of service and model is applied."""
    assert set(re.findall(r"span\.([\w.-]+)", query)) <= ATTRIBUTES
    assert query.startswith(
        '{resource.service.name=~"${service:pipe}" && span.gen_ai.provider.name=~"${provider:pipe}"'
        ' && span.gen_ai.request.model=~"${model:pipe}"'
    )


def test_a_search_compares_numbers_of_one_kind() -> None:
    """Tempo finds no double by an integer, nor the other way round: https://github.com/grafana/tempo/issues/4332."""
    searches = [
        RUNBOOK.read_text(),
        *(target["query"] for *_, target in SEARCHES),
        *(unquote(url) for *_, url in EXPLORED),
    ]
    compared = re.findall(r"span\.([\w.]+?)(?:=|!=|>=|<=|>|<)(\d[\d.]*)", "\n".join(searches))
    kinds = {(name, DECLARED[name].type, "double" if "." in number else "int") for name, number in compared}

    assert len(kinds) >= 5
    assert [name for name, declared, written in kinds if declared != written] == []


@each_explored
def test_a_link_to_explore_can_be_read(url: str) -> None:
    """A click opens a search in the chosen trace source, in the time of the panel."""
    [pane] = json.loads(parse_qs(urlsplit(url).query)["panes"][0]).values()
    [query] = pane["queries"]

    assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
    assert query["datasource"] == {"type": "tempo", "uid": "${traces}"}
    assert query["queryType"] == "traceql"
    assert query["query"].startswith("{") or query["query"] == "${__data.fields.traceIdHidden}"
    assert set(re.findall(r"span\.([\w.-]+)", query["query"])) <= ATTRIBUTES


def test_the_page_for_the_person_on_call_names_what_there_is() -> None:
    """Each board, row, panel, column and link that docs/on-call.md names has that very title."""
    page = " ".join((GRAFANA.parent / "docs" / "on-call.md").read_text().split())
    panels = [panel for board in BOARDS.values() for panel in board["panels"]]
    overrides = [override for _, panel in PANELS for override in panel["fieldConfig"]["overrides"]]
    links = [link for _, panel in PANELS for link in panel["fieldConfig"]["defaults"].get("links", [])]
    titles = {one["title"] for one in (*BOARDS.values(), *panels, *links)}
    columns = {override["matcher"]["options"] for override in overrides}

    assert set(re.findall(r"\*([^*]+)\*", page)) - titles - columns == set()


def test_links_between_boards() -> None:
    """A link to a board names one that there is, and takes service, provider, model and time with it."""
    between = [url for *_, url in LINKS if not url.startswith("/explore")]

    assert {urlsplit(url).path.removeprefix("/d/") for url in between} == {"streams-traces"}
    assert all("${__url_time_range}" in url and "${job:queryparam}" in url for url in between)
    assert all(OF_SERIES in url or "${provider:queryparam}&${model:queryparam}" in url for url in between)


def test_a_click_leads_to_the_model_of_its_series() -> None:
    """Provider and model are those of the series where every series of the panel has them, else what is chosen."""
    by_model = "${__field.labels.gen_ai_request_model}"
    by_provider = "${__field.labels.gen_ai_provider_name}"
    linked = [(panel, links_of(panel)) for _, panel in PANELS if panel["type"] == "timeseries" and links_of(panel)]
    of_one_model = [
        all(names.MODEL_LEGEND in target["legendFormat"] for target in panel["targets"]) for panel, _ in linked
    ]

    assert {True, False} == set(of_one_model)
    assert [all(by_model in url for url in urls) for _, urls in linked] == of_one_model
    assert [any(by_model in url for url in urls) for _, urls in linked] == of_one_model
    assert [by_provider in url for _, urls in linked for url in urls] == [
        by_model in url for _, urls in linked for url in urls
    ]


def test_every_row_of_the_traces_leads_to_its_trace() -> None:
    """Every table of traces has a link on its spans."""
    tables = panels_of(BOARDS["streams-traces"])

    assert [links_of(table)[-1].startswith("/explore") for table in tables] == [True] * len(tables)


@each_board
def test_boards_have_the_same_choices(uid: str) -> None:
    """The same variables everywhere, so that a link from one board to another keeps them."""
    variables = BOARDS[uid]["templating"]["list"]
    choices = {variable["name"]: variable for variable in variables}

    assert list(choices) == ["metrics", "traces", "job", "provider", "model", "service"]
    assert [choices[name]["query"] for name in ("metrics", "traces")] == ["prometheus", "tempo"]
    assert all(choices[name]["multi"] and choices[name]["includeAll"] for name in ("job", "provider", "model"))
    assert all(choices[name]["allValue"] == ".*" for name in ("job", "provider", "model"))
    assert choices["service"]["hide"] == 2
    assert BOARDS[uid]["links"][0]["includeVars"]
    assert BOARDS[uid]["links"][0]["keepTime"]


@pytest.mark.parametrize("job", ["chat", "shop/chat"])
def test_the_service_of_a_job(job: str) -> None:
    """Traces know a service by its name alone, Prometheus with its namespace in front: what is chosen is found."""
    [service] = [choice for choice in BOARDS["streams-traces"]["templating"]["list"] if choice["name"] == "service"]
    [found] = re.findall(service["regex"].strip("/").replace("\\/", "/"), job)

    assert found == "chat"
    assert "allValue" not in service
    assert (service["query"], service["current"]["value"]) == (
        f'label_values({STREAMS}{{job=~"$job"}}, job)',
        "$__all",
    )
