"""TraceQL on our spans, and the links that lead from a panel to them.

Source of the address: https://grafana.com/docs/grafana/latest/explore/get-started-with-explore/#generate-explore-urls
"""

import json
from typing import Final
from urllib.parse import quote

from streamspan import semconv

from . import names

CHOSEN_MODEL: Final = "${model:pipe}"
MODEL_OF_SERIES: Final = f"${{__field.labels.{names.MODEL}}}"
"""Of the series that is clicked; left as it stands where that has no such label."""
SHOWN: Final = (
    semconv.OUTCOME,
    semconv.PHASE,
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


def search(*conditions: str, shown: tuple[str, ...] = SHOWN, model: str = CHOSEN_MODEL) -> str:
    """The spans of the chosen service and of the model that meet all conditions, with the attributes to show."""
    columns = ", ".join(map(attribute, shown))
    chosen = ('resource.service.name=~"${service:pipe}"', f'{attribute(semconv.REQUEST_MODEL)}=~"{model}"')
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


def traces_board(model: str) -> str:
    """The address of the traces board."""
    chosen = "${model:queryparam}" if model == CHOSEN_MODEL else f"var-model={model}"
    return (
        f"/d/{TRACES_BOARD}?${{__url_time_range}}&${{job:queryparam}}&{chosen}"
        f"&var-metrics=${{metrics}}&var-traces=${{traces}}"
    )
