"""The dashboards, each in a module of its own."""

from grafana.dashboards import calls, connections, errors, media, nodes, oncall
from grafana.model import Dashboard


def all_dashboards() -> tuple[Dashboard, ...]:
    """Every dashboard, the first one to open first."""
    return tuple(module.dashboard() for module in (oncall, calls, connections, errors, media, nodes))


def files() -> dict[str, str]:
    """The dashboards' files."""
    return {f"dashboards/{dashboard.uid}.json": dashboard.render() for dashboard in all_dashboards()}
