"""The generated dashboards as Grafana reads them, and every query in them."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from grafana import alerts
from grafana.build import GENERATED
from tests.grafana.names import problems
from tests.grafana.promql import parse

Json = dict[str, Any]

FILES = sorted((GENERATED / "dashboards").glob("*.json"))
BOARDS: list[Json] = [json.loads(path.read_text("utf-8")) for path in FILES]
INSTEAD = {"$__rate_interval": "5m", "$__range": "6h", "$job": ".+", "$instance": ".+"}
"""What Grafana would put for its variables."""
ALERT_SERIES = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
ALERT_LABELS = {
    "alertname": set(alerts.NAMES),
    "alertstate": {"firing", "pending"},
    "severity": {alert.severity for group in alerts.GROUPS for alert in group.alerts},
}
_LABEL_VALUES = re.compile(r"^label_values\((.+), (\w+)\)$")


class Asked(NamedTuple):
    """A query, and where it stands."""

    where: str
    expr: str

    @property
    def filled(self) -> str:
        """With values in place of Grafana's variables."""
        expr = self.expr
        for variable, value in INSTEAD.items():
            expr = expr.replace(variable, value)
        return expr


def panels(board: Json) -> Iterator[Json]:
    """The panels that show something."""
    return (panel for panel in board["panels"] if panel["type"] != "row")


PANELS = [(board, panel) for board in BOARDS for panel in panels(board)]


def panel_id(value: object) -> str:
    """How pytest names a panel."""
    return str(value["title"]) if isinstance(value, dict) and "title" in value else ""


def queries() -> Iterator[Asked]:
    """Every query of every dashboard: panels, annotations and variables."""
    for board in BOARDS:
        for panel in panels(board):
            for target in panel["targets"]:
                yield Asked(f"{board['uid']} / {panel['title']} / {target['refId']}", target["expr"])
        for annotation in board["annotations"]["list"]:
            yield Asked(f"{board['uid']} / annotation {annotation['name']}", annotation["target"]["expr"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield Asked(f"{board['uid']} / variable {variable['name']}", as_query(variable["query"]["query"]))


def as_query(label_values: str) -> str:
    """The PromQL that asks the same as a variable's `label_values(series, label)`."""
    match = _LABEL_VALUES.match(label_values)
    assert match is not None, label_values
    return f"group by ({match[2]}) ({match[1]})"


def unknown(expr: str) -> list[str]:
    """What a query asks for that does not exist; it may also ask for Prometheus' own series of alerts."""
    parsed = parse(expr)
    if not any(selector.name in ALERT_SERIES for selector in parsed.selectors):
        return problems(expr)
    return [
        f"{selector.name} has no {matcher.label} {value!r}"
        for selector in parsed.selectors
        for matcher in selector.matchers
        for value in matcher.alternatives()
        if selector.name not in ALERT_SERIES or value not in ALERT_LABELS.get(matcher.label, set())
    ]
