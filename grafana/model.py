"""Builders for Grafana's classic dashboard JSON: they know its form; `grafana/dashboards/` knows what to ask.

A panel cannot be made without the question it answers, what bad looks like and what to do then: that is its
description. Positions and ids are computed, so that the same code always makes the same file.
"""

import json
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from grafana.query import NODES
from observability.catalogue import BUILD_INFO

Json = dict[str, Any]

SCHEMA_VERSION = 41
"""Grafana 12.0's; older ones ignore it, later ones migrate from it."""
COLUMNS = 24
TAG = "signalling"
PROMETHEUS: Json = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "text"
NOTHING_ANSWERS = "no node answers"


class Why(NamedTuple):
    """What a panel is for: the question it answers, what bad looks like, and what to do then."""

    asks: str
    bad: str
    then: str

    def __str__(self) -> str:
        """The description that Grafana shows, in Markdown."""
        return f"{self.asks}\n\n**Bad:** {self.bad}\n\n**Then:** {self.then}"


class Target(NamedTuple):
    """One query of a panel."""

    expr: str
    legend: str = ""
    instant: bool = False
    exemplars: bool = False
    form: str = "time_series"


class Steps(NamedTuple):
    """Thresholds: the colour from the bottom, then the colour from each value on."""

    base: str
    steps: tuple[tuple[float, str], ...] = ()

    def json(self) -> Json:
        """Grafana's `ThresholdsConfig`."""
        above = [{"color": color, "value": value} for value, color in self.steps]
        return {"mode": "absolute", "steps": [{"color": self.base, "value": None}, *above]}


PLAIN = Steps(GREEN)


def at_most(good: float, bad: float | None = None) -> Steps:
    """Green up to `good`, red from `bad` on, orange between the two."""
    return Steps(GREEN, ((good, RED),) if bad is None else ((good, ORANGE), (bad, RED)))


def at_least(good: float, middling: float | None = None) -> Steps:
    """Green from `good` on, orange from `middling` on, red below."""
    return Steps(RED, ((good, GREEN),) if middling is None else ((middling, ORANGE), (good, GREEN)))


class Override(NamedTuple):
    """Properties of the fields of one name, or of all whose name matches `/an expression/`."""

    name: str
    properties: Mapping[str, Any]

    def json(self) -> Json:
        """Grafana's override."""
        matcher = "byRegexp" if self.name.startswith("/") else "byName"
        return {
            "matcher": {"id": matcher, "options": self.name},
            "properties": [{"id": key, "value": value} for key, value in self.properties.items()],
        }


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel of any type; made by the functions of `grafana.panels`."""

    type: str
    title: str
    why: Why
    targets: tuple[Target, ...]
    unit: str
    width: int
    height: int
    thresholds: Steps = PLAIN
    defaults: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    transformations: tuple[Json, ...] = ()
    links: tuple[Json, ...] = ()

    def json(self, id_: int, x: int, y: int) -> Json:
        """The panel at its place."""
        panel: Json = {
            "id": id_,
            "type": self.type,
            "title": self.title,
            "description": str(self.why),
            "datasource": PROMETHEUS,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": self._defaults(), "overrides": [each.json() for each in self.overrides]},
            "options": self.options,
            "targets": [
                _target(target, letter) for target, letter in zip(self.targets, string.ascii_uppercase, strict=False)
            ],
        }
        if self.transformations:
            panel["transformations"] = list(self.transformations)
        if self.links:
            panel["links"] = list(self.links)
        return panel

    def _defaults(self) -> Json:
        return {
            "unit": self.unit,
            "noValue": NOTHING_ANSWERS,
            "thresholds": self.thresholds.json(),
            "color": {"mode": "thresholds"},
            "custom": self.custom,
            **self.defaults,
        }


def _target(target: Target, letter: str) -> Json:
    return {
        "refId": letter,
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": target.expr,
        "legendFormat": target.legend or "__auto",
        "range": not target.instant,
        "instant": target.instant,
        "exemplar": target.exemplars,
        "format": target.form,
    }


class Row(NamedTuple):
    """A heading and the panels below it, laid out from left to right, wrapped at the edge."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A dashboard."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    since: str = "now-6h"

    def render(self) -> str:
        """The file."""
        return json.dumps(self.json(), indent=2, ensure_ascii=False) + "\n"

    def json(self) -> Json:
        """Grafana's `Dashboard`."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "timezone": "browser",
            "time": {"from": self.since, "to": "now"},
            "refresh": "30s",
            "timepicker": {},
            "links": _links(),
            "annotations": {"list": _annotations()},
            "templating": {"list": _variables()},
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[Json]:
        id_, top = 0, 0
        for row in self.rows:
            id_ += 1
            yield {
                "id": id_,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
                "panels": [],
            }
            top += 1
            x, line_height = 0, 0
            for panel in row.panels:
                id_ += 1
                if x + panel.width > COLUMNS:
                    top, x, line_height = top + line_height, 0, 0
                yield panel.json(id_, x, top)
                x, line_height = x + panel.width, max(line_height, panel.height)
            top += line_height


def wide(panel: Panel, width: int, height: int | None = None) -> Panel:
    """The panel in another size."""
    return replace(panel, width=width, height=height or panel.height)


# --- what all dashboards share ---


def explore_traces(query: str) -> str:
    """The address of Grafana's Explore with a query to the chosen trace store."""
    pane = {
        "trace": {
            "datasource": "${tempo}",
            "queries": [
                {
                    "refId": "A",
                    "datasource": {"type": "tempo", "uid": "${tempo}"},
                    "queryType": "traceql",
                    "limit": 20,
                    "query": query,
                }
            ],
            "range": {"from": "${__from}", "to": "${__to}"},
        }
    }
    return f"/explore?schemaVersion=1&panes={json.dumps(pane, separators=(',', ':'))}"


def _link(title: str, tooltip: str, **more: object) -> Json:
    return {
        "title": title,
        "tooltip": tooltip,
        "type": "link",
        "icon": "external link",
        "url": "",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": False,
        **more,
    }


def trace_link(title: str, query: str) -> Json:
    """A panel's link to the traces behind it."""
    return _link(title, "The traces behind this panel", url=explore_traces(query), targetBlank=True)


def _links() -> list[Json]:
    return [
        _link(
            "Dashboards",
            "The other dashboards, with the same nodes and time",
            type="dashboards",
            icon="dashboard",
            tags=[TAG],
            includeVars=True,
            keepTime=True,
        ),
        _link(
            "Trace of the call",
            "Opens the trace of the call id above: a call's id is its trace's id",
            icon="bolt",
            url=explore_traces("${call}"),
            targetBlank=True,
        ),
    ]


def _source(name: str, label: str, plugin: str) -> Json:
    return {
        "name": name,
        "label": label,
        "type": "datasource",
        "query": plugin,
        "current": {"selected": False, "text": plugin.capitalize(), "value": plugin},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def _label_values(name: str, label: str, query: str, **more: object) -> Json:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": PROMETHEUS,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
        **more,
    }


def _variables() -> list[Json]:
    # `All` jobs are those that have our metrics: `up` of any other job is none of our business. `All` nodes are
    # all of those jobs, also one that never answered and so has no metric but `up`.
    build = BUILD_INFO.full_name
    return [
        _source("datasource", "Metrics", "prometheus"),
        _label_values("job", "Job", f"label_values({build}, job)"),
        _label_values("instance", "Node", f'label_values({build}{{job=~"$job"}}, instance)', allValue=".+"),
        _source("tempo", "Traces", "tempo"),
        {
            "name": "call",
            "label": "Call id",
            "description": "The id of a call, from a ticket or a log line; then press `Trace of the call`",
            "type": "textbox",
            "query": "",
            "current": {"selected": True, "text": "", "value": ""},
            "hide": 0,
            "skipUrlSync": False,
        },
    ]


def _annotation(name: str, color: str, expr: str, **more: object) -> Json:
    return {
        "name": name,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "datasource": PROMETHEUS,
        "target": {"refId": "Anno", "expr": expr, "interval": "", "legendFormat": ""},
        **more,
    }


def _annotations() -> list[Json]:
    build = f"count by (version, revision) ({BUILD_INFO.full_name}{{{NODES}}}"
    return [
        _annotation(
            "Process starts",
            BLUE,
            f"1000 * process_start_time_seconds{{{NODES}}}",
            titleFormat="{{instance}} started",
            tagKeys="job,instance",
            useValueForTime=True,
        ),
        _annotation(
            "Versions",
            "purple",
            f"{build}) unless {build} offset 5m)",
            titleFormat="{{version}} ({{revision}}) appeared",
            tagKeys="version",
        ),
        _annotation(
            "Alerts",
            RED,
            'ALERTS{alertstate="firing",alertname!="Watchdog"}',
            titleFormat="{{alertname}} fires",
            textFormat="{{severity}} {{instance}}",
            tagKeys="alertname,severity",
        ),
    ]
