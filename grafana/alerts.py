"""The alerts: who is told, when, of what, and what to do.

Pages wake someone: calls do not work, or soon will not. Tickets wait for the morning. `docs/runbooks` has a page
for each alert. A name that stands here more than once is one problem that shows in more than one way; a label tells
the ways apart, so that they never look like the same alert with two texts.

The links begin with Prometheus' external labels `runbooks` and `dashboards`, which whoever runs it sets (see
`deploy/prometheus/prometheus.yml`): Alertmanager passes annotations on as they are, and these files are the same
everywhere. Without the labels the links are paths inside this repository and inside Grafana.
"""

from typing import NamedTuple

from grafana.alert_rules import ALERTS
from grafana.alert_types import Alert
from grafana.slo_alerts import burn_alerts
from grafana.yamltext import document

RUNBOOKS = "docs/runbooks"
DASHBOARDS = "/d"


class Group(NamedTuple):
    """Alerts that are evaluated together."""

    name: str
    alerts: tuple[Alert, ...]


GROUPS = (
    Group("signalling-burn", burn_alerts()),
    Group("signalling-pages", tuple(alert for alert in ALERTS if alert.severity == "page")),
    Group("signalling-tickets", tuple(alert for alert in ALERTS if alert.severity == "ticket")),
    Group("signalling-watchdog", tuple(alert for alert in ALERTS if alert.severity == "none")),
)
NAMES = tuple(dict.fromkeys(alert.name for group in GROUPS for alert in group.alerts))


def runbook_url(alert: Alert) -> str:
    """The link to the alert's runbook, as a template."""
    anchor = f"#{alert.anchor}" if alert.anchor else ""
    return _base("runbooks", RUNBOOKS) + f"/{alert.name}.md{anchor}"


def dashboard_url(alert: Alert) -> str:
    """The link to the dashboard to look at first, as a template."""
    return _base("dashboards", DASHBOARDS) + f"/{alert.dashboard}"


def _base(label: str, default: str) -> str:
    return f"{{{{ with $externalLabels.{label} }}}}{{{{ . }}}}{{{{ else }}}}{default}{{{{ end }}}}"


def _rule(alert: Alert) -> dict[str, object]:
    node: dict[str, object] = {"alert": alert.name, "expr": alert.expression}
    if alert.for_:
        node["for"] = alert.for_
    if alert.keep_firing_for:
        node["keep_firing_for"] = alert.keep_firing_for
    node["labels"] = {"severity": alert.severity, **alert.labels}
    node["annotations"] = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": runbook_url(alert),
        "dashboard_url": dashboard_url(alert),
    }
    return node


def file() -> str:
    """The alerts as Prometheus reads them."""
    return document(
        {"groups": [{"name": group.name, "rules": [_rule(alert) for alert in group.alerts]} for group in GROUPS]}
    )
