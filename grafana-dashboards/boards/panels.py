"""How our panels look: the one file that knows Grafana's builder by heart.

Each panel has a title, a unit and a description that says what to do when it is red.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    tempo,
)
from grafana_foundation_sdk.builders import (
    heatmap as heatmaps,
)
from grafana_foundation_sdk.builders import (
    stat as stats,
)
from grafana_foundation_sdk.builders import (
    table as tables,
)
from grafana_foundation_sdk.builders import (
    timeseries as graphs,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.tempo import SearchTableType

from streamspan import semconv

from .names import MODEL, MODEL_LEGEND, PROVIDER, series
from .traceql import Whose, explored, search, traces_board

METRICS: Final = models.DataSourceRef(type_val="prometheus", uid="${metrics}")
TRACES: Final = models.DataSourceRef(type_val="tempo", uid="${traces}")
TAG: Final = "streamspan"
POINT_EVERY: Final = "1m"
"""The default of OTEL_METRIC_EXPORT_INTERVAL: what Grafana makes `$__rate_interval` of. It takes a data source that
says nothing else for one with a point every 15 s, and a rate over a minute then finds no two points."""
GREEN, ORANGE, RED = "green", "orange", "red"
Steps = Sequence[tuple[float | None, str]]
"""From which value on which color; None: from the least on."""
NEUTRAL: Final[Steps] = ((None, "blue"),)
PER_SECOND: Final = "suffix:/s"
GRAPH_HEIGHT: Final = 8
STAT_HEIGHT: Final = 5
TABLE_HEIGHT: Final = 6
TRACES_HEIGHT: Final = 7
LABEL_WIDTH: Final = 185
"""Pixels, for the names of models and versions."""

Panel = Builder[models.Panel]
AnyPanel = TypeVar("AnyPanel", stats.Panel, graphs.Panel, heatmaps.Panel, tables.Panel)


@dataclass(frozen=True, slots=True)
class Query:
    """`color`: of the line; None: one of Grafana's own."""

    expression: str
    legend: str = ""
    exemplars: bool = False
    color: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a panel shows, and to what end. `traces`: conditions of the search that a click leads to."""

    title: str
    unit: str
    when_red: str
    width: int = 8
    steps: Steps = NEUTRAL
    traces: Sequence[str] | None = None
    no_value: str = "no traffic"
    most: float | None = None


def stat(look: Look, query: str, *, graph: bool = True, height: int = STAT_HEIGHT) -> Panel:
    """One number: the last one of the range. Without a graph, only that one is asked for."""
    target = _target(Query(query, look.title), 0)
    panel = stats.Panel().with_target(target if graph else target.instant())
    panel.graph_mode(common_models.BigValueGraphMode.AREA if graph else common_models.BigValueGraphMode.NONE)
    panel.color_mode(common_models.BigValueColorMode.BACKGROUND if look.steps is not NEUTRAL else VALUE_COLORED)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return _dressed(panel, look, height)


def graph(look: Look, *queries: Query, stacked: bool = False, bars: bool = False) -> Panel:
    """Lines over time; the thresholds as dashed lines where there are any."""
    panel = graphs.Panel().line_width(1).fill_opacity(60 if stacked else 8).span_nulls(False)
    panel.show_points(common_models.VisibilityMode.NEVER if not bars else common_models.VisibilityMode.AUTO)
    panel.legend(
        common.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    panel.tooltip(
        common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI).sort(common_models.SortOrder.DESCENDING)
    )
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if look.steps is not NEUTRAL:
        dashed = common_models.GraphThresholdsStyleMode.DASHED
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    for position, query in enumerate(queries):
        panel.with_target(_target(query, position))
        if query.color is not None:
            fixed = {"mode": "fixed", "fixedColor": query.color}
            panel.override_by_name(query.legend, [models.DynamicConfigValue(id_val="color", value=fixed)])
    by_model = all(MODEL_LEGEND in query.legend for query in queries)
    return _dressed(panel.min(0), look, GRAPH_HEIGHT, "series" if by_model else "chosen")


def heatmap(look: Look, query: str) -> Panel:
    """The buckets of a histogram over time."""
    target = _target(Query(query, "{{le}}", exemplars=True), 0).format(PromQueryFormat.HEATMAP)
    panel = heatmaps.Panel().with_target(target).calculate(False).cell_gap(1).show_y_histogram()
    panel.color(
        heatmaps.HeatmapColorOptions()
        .mode(heatmap_models.HeatmapColorMode.SCHEME)
        .scheme("Oranges")
        .fill("dark-orange")
        .scale(heatmap_models.HeatmapColorScale.EXPONENTIAL)
        .exponent(0.5)
        .steps(64)
    )
    panel.y_axis(heatmaps.YAxisConfig().unit(look.unit)).filter_values(heatmaps.FilterValueRange().le(1e-9))
    panel.rows_frame(heatmaps.RowsHeatmapOptions().layout(common_models.HeatmapCellLayout.AUTO))
    panel.exemplars_color("rgba(255,0,255,0.7)").hide_legend().mode(common_models.TooltipDisplayMode.SINGLE)
    return _dressed(panel, look, GRAPH_HEIGHT)


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    query: str
    unit: str
    steps: Steps = NEUTRAL


def comparison(look: Look, by: Sequence[tuple[str, str]], columns: Sequence[Column]) -> Panel:
    """A row for each set of the labels `by` (label, title), a number for each column."""
    panel = tables.Panel().cell_height(common_models.TableCellHeight.SM)
    renamed: dict[str, object] = dict(by)
    for position, column in enumerate(columns):
        target = _target(Query(column.query), position).instant().format(PromQueryFormat.TABLE)
        panel.with_target(target)
        renamed[f"Value #{_ref(position)}"] = column.title
        properties = [models.DynamicConfigValue(id_val="unit", value=column.unit)]
        if column.steps is not NEUTRAL:
            steps = _thresholds(column.steps).build()
            properties.append(models.DynamicConfigValue(id_val="thresholds", value=steps))
            colored = {"type": "color-text"}
            properties.append(models.DynamicConfigValue(id_val="custom.cellOptions", value=colored))
        panel.override_by_name(column.title, properties)
    for _, title in by:
        panel.override_by_name(title, [models.DynamicConfigValue(id_val="custom.width", value=LABEL_WIDTH)])
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    organized = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": renamed}
    panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=organized))
    return _dressed(panel, look, TABLE_HEIGHT)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column with an attribute of the span."""

    name: str
    title: str
    unit: str = "string"


def trace_table(look: Look, *conditions: str, shown: Sequence[Attribute]) -> Panel:
    """The spans that a search finds, the newest first; each row leads to its trace."""
    query = (
        tempo.TempoQuery()
        .ref_id("A")
        .datasource(TRACES)
        .query_type("traceql")
        .query(search(*conditions, shown=tuple(attribute.name for attribute in shown)))
        .table_type(SearchTableType.SPANS)
        .limit(50)
        .spss(10)
    )
    panel = tables.Panel().with_target(query).cell_height(common_models.TableCellHeight.SM)
    titles = {**TITLES_OF_TEMPO, **{attribute.name: attribute.title for attribute in shown}}
    order = {name: position for position, name in enumerate([*FIRST_OF_TEMPO, *titles, LAST_OF_TEMPO])}
    organized = {"excludeByName": {NAME_OF_TEMPO: True}, "indexByName": order, "renameByName": titles}
    panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=organized))
    link = {"title": "Open the trace", "url": explored("${__data.fields.traceIdHidden}")}
    panel.override_by_regexp("spanID|Span ID", [models.DynamicConfigValue(id_val="links", value=[link])])
    for attribute in shown:
        unit = models.DynamicConfigValue(id_val="unit", value=attribute.unit)
        panel.override_by_name(attribute.title, [unit])
    return _dressed(panel, look, TRACES_HEIGHT).datasource(TRACES)


FIRST_OF_TEMPO: Final = ("Span ID", "Start time")
LAST_OF_TEMPO: Final = "Duration"
TITLES_OF_TEMPO: Final = {
    **dict.fromkeys(("Trace Service", "Trace service"), "Service"),
    **dict.fromkeys(("Trace Name", "Trace name"), "Trace"),
}
NAME_OF_TEMPO: Final = "Name"
"""How Grafana's versions title what they know of every span; the name has the model, which is a column by itself.

Source: https://github.com/grafana/grafana/blob/main/public/app/plugins/datasource/tempo/resultTransformer.ts
"""


def board(uid: str, title: str, description: str, rows: Iterable[tuple[str, Sequence[Panel]]]) -> dashboard.Dashboard:
    """A board with the variables, links and annotations that ours have in common; every row a title and its panels."""
    built = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG]).editable()
    built.time("now-1h", "now").refresh("30s").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    built.with_variable(_data_source("metrics", "Metrics", "prometheus"))
    built.with_variable(_data_source("traces", "Traces", "tempo"))
    streams = series(semconv.STREAMS)
    of_jobs = f'{streams}{{job=~"$job"}}'
    built.with_variable(_choice("job", "Service", f"label_values({streams}, job)").all_value(".*"))
    built.with_variable(_choice("provider", "Provider", f"label_values({of_jobs}, {PROVIDER})").all_value(".*"))
    of_providers = f'{streams}{{job=~"$job", {PROVIDER}=~"$provider"}}'
    built.with_variable(_choice("model", "Model", f"label_values({of_providers}, {MODEL})").all_value(".*"))
    services = _choice("service", "Service of the traces", f"label_values({of_jobs}, job)").regex(WITHOUT_NAMESPACE)
    built.with_variable(services.hide(models.VariableHide.HIDE_VARIABLE))  # all that there are is what is chosen
    links = dashboard.DashboardLink("Streams").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    built.link(links.as_dropdown(False).include_vars(True).keep_time(True))
    firing = 'ALERTS{alertstate="firing", alertname=~"LLMStream.*", job=~"$job|"}'
    built.annotation(
        dashboard.AnnotationQuery().name("Alerts").datasource(METRICS).enable(True).icon_color(RED).expr(firing)
    )
    for title_of_row, panels in rows:
        built.with_row(dashboard.Row(title_of_row))
        for panel in panels:
            built.with_panel(panel)
    return built


WITHOUT_NAMESPACE: Final = r"/^(?:[^\/]*\/)?(.*)$/"
"""Of a job: what the traces call the service."""
VALUE_COLORED: Final = common_models.BigValueColorMode.VALUE


def _dressed(panel: AnyPanel, look: Look, height: int, whose: Whose = "chosen") -> AnyPanel:
    """`whose`: of which models a click leads to the traces."""
    panel.title(look.title).description(look.when_red).unit(look.unit).datasource(METRICS)
    panel.span(look.width).height(height).no_value(look.no_value).thresholds(_thresholds(look.steps))
    if look.most is not None:
        panel.max(look.most)
    if look.traces is not None:
        links = [_link("Traces of these streams", explored(search(*look.traces, whose=whose)))]
        if not isinstance(panel, stats.Panel):
            this = ", this model" if whose == "series" else ""
            links.append(_link(f"Traces board{this}", traces_board(whose)))
        panel.data_links(links)
    return panel


def _link(title: str, url: str) -> Builder[models.DashboardLink]:
    return dashboard.DashboardLink(title).type(models.DashboardLinkType.LINK).url(url).target_blank(True)


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    built = [models.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(built)


def _target(query: Query, position: int) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(_ref(position)).datasource(METRICS).expr(query.expression).range()
    target.legend_format(query.legend or "__auto").interval(POINT_EVERY)
    return target.exemplar(True) if query.exemplars else target


def _ref(position: int) -> str:
    return chr(ord("A") + position)


def _data_source(name: str, title: str, kind: str) -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable(name).label(title).type(kind)


def _choice(name: str, title: str, query: str) -> dashboard.QueryVariable:
    """All that there are, at first."""
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    variable = dashboard.QueryVariable(name).label(title).query(query).datasource(METRICS).multi(True)
    variable.include_all(True).current(everything).sort(models.VariableSort.ALPHABETICAL_ASC)
    return variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
