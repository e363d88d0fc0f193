"""TraceQL on our spans, and the links that lead from a panel to them.

Source of the address: https://grafana.com/docs/grafana/latest/explore/get-started-with-explore/#generate-explore-urls
"""

import json
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import quote

from streamspan import semconv

from . import names

Whose = Literal["chosen", "series"]
"""The providers and models that are chosen at the top of the board, or those of the series that is clicked."""
MODELS: Final[Mapping[Whose, tuple[str, str]]] = {
    "chosen": ("${provider:pipe}", "${model:pipe}"),
    "series": (f"${{__field.labels.{names.PROVIDER}}}", f"${{__field.labels.{names.MODEL}}}"),
}
"""Provider and model; a label that a series does not have is left as it stands."""
SHOWN: Final = (
    semconv.OUTCOME,
    semconv.PHASE,
    semconv.PROVIDER_NAME,
    semconv.REQUEST_MODEL,
    semconv.RESPONSE_TIME_TO_FIRST_CHUNK,
)
TRACES_BOARD: Final = "streams-traces"
KEPT_IN_AN_ADDRESS: Final = "${}:._,-"  # Grafana puts the values of variables in


def attribute(name: str) -> str:
    return f"span.{name}"


def is_(name: str, value: str | bool | float, *, operator: str = "=") -> str:
    """A condition on a span's attribute; TraceQL writes values as JSON does."""
    return f"{attribute(name)}{operator}{json.dumps(value)}"


def search(*conditions: str, shown: tuple[str, ...] = SHOWN, whose: Whose = "chosen") -> str:
    """The spans of the chosen service and of the models that meet all conditions, with the attributes to show."""
    columns = ", ".join(map(attribute, shown))
    provider, model = MODELS[whose]
    chosen = (
        'resource.service.name=~"${service:pipe}"',
        f'{attribute(semconv.PROVIDER_NAME)}=~"{provider}"',
        f'{attribute(semconv.REQUEST_MODEL)}=~"{model}"',
    )
    return f"{{{' && '.join((*chosen, *conditions))}}} | select({columns})"


def explored(query: str) -> str:
    """The address of Grafana's Explore with this search, in the panel's time."""
    pane = {
        "datasource": "${traces}",
        "queries": [
            {
                "refId": "A",
                "datasource": {"type": "tempo", "uid": "${traces}"},
                "queryType": "traceql",
                "query": query,
                "tableType": "spans",
                "limit": 50,
            }
        ],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    panes = quote(json.dumps({"streams": pane}, separators=(",", ":")), safe=KEPT_IN_AN_ADDRESS)
    return f"/explore?schemaVersion=1&orgId=1&panes={panes}"


def traces_board(whose: Whose) -> str:
    """The address of the traces board."""
    provider, model = MODELS["series"]
    of_series = f"var-provider={provider}&var-model={model}"
    chosen = "${provider:queryparam}&${model:queryparam}" if whose == "chosen" else of_series
    return (
        f"/d/{TRACES_BOARD}?${{__url_time_range}}&${{job:queryparam}}&{chosen}"
        f"&var-metrics=${{metrics}}&var-traces=${{traces}}"
    )
