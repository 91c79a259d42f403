"""The dashboards on-call opens at night: well formed, explained, and asking only for what exists."""

import itertools
import json
import re

import pytest

from grafana.dashboards.limits import RING_DELIVERY_S, SETUP_S
from grafana.model import COLUMNS
from observability.catalogue import CALL_PHASE_DURATION, EVENT_DURATION, METRICS, Metric
from tests.grafana.boards import BOARDS, FILES, PANELS, Asked, Json, panel_id, panels, queries, unknown
from tests.grafana.names import RECORDED, used
from tests.grafana.promql import parse

UIDS = {
    "signalling-oncall",
    "signalling-calls",
    "signalling-connections",
    "signalling-errors",
    "signalling-media",
    "signalling-nodes",
}
UNITS = {"none", "s", "percentunit", "bytes", "Bps", "dateTimeFromNow"}
BUILT_IN = {"__rate_interval", "__range", "__from", "__to"}
DEBUGGING: dict[str, str] = {}
"""Metrics that no panel or rule uses, and what they are there for."""
QUERIES = list(queries())
board_id = pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board["uid"]))
each_panel = pytest.mark.parametrize(("board", "panel"), PANELS, ids=panel_id)


def test_uids_are_those_that_alerts_and_links_know() -> None:
    assert {board["uid"] for board in BOARDS} == UIDS
    assert [path.stem for path in FILES] == [board["uid"] for board in BOARDS]
    assert len({board["title"] for board in BOARDS}) == len(BOARDS)


@board_id
def test_panel_ids_and_titles_are_unique(board: Json) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)


@board_id
def test_panels_do_not_overlap_and_fit(board: Json) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] >= 0
        assert at["x"] + at["w"] <= COLUMNS
        cells = itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
        for cell in cells:
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]


@board_id
def test_rows_of_panels_are_full(board: Json) -> None:
    widths: dict[int, int] = {}
    for panel in panels(board):
        widths[panel["gridPos"]["y"]] = widths.get(panel["gridPos"]["y"], 0) + panel["gridPos"]["w"]
    assert set(widths.values()) == {COLUMNS}


@each_panel
def test_a_panel_says_what_it_is_for(board: Json, panel: Json) -> None:
    question, bad, then = panel["description"].split("\n\n")
    assert "?" in question
    assert bad.startswith("**Bad:** ")
    assert then.startswith("**Then:** ")


@each_panel
def test_a_panel_has_a_unit_and_says_so_when_it_has_no_data(board: Json, panel: Json) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS or defaults["unit"].startswith("suffix:")
    assert "noValue" in defaults


@each_panel
def test_lines_can_be_told_apart(board: Json, panel: Json) -> None:
    legends = [target["legendFormat"] for target in panel["targets"]]
    if len(legends) > 1 and panel["type"] != "table":
        assert len(set(legends)) == len(legends)
        assert "__auto" not in legends
    for target in panel["targets"]:
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert label in parse(target["expr"]).grouping, f"{{{{{label}}}}} is always empty"


@each_panel
def test_panels_on_calls_and_events_lead_to_traces(board: Json, panel: Json) -> None:
    traced = {f"{metric.full_name}_bucket" for metric in (CALL_PHASE_DURATION, EVENT_DURATION)}
    latency = [
        target
        for target in panel["targets"]
        if not target["instant"] and {each.name for each in parse(target["expr"]).selectors} & traced
    ]
    assert not latency or any(target["exemplar"] for target in latency)


@pytest.mark.parametrize("asked", QUERIES, ids=lambda asked: asked.where)
def test_everything_asked_for_exists(asked: Asked) -> None:
    assert unknown(asked.expr) == []


@board_id
def test_every_variable_used_is_there(board: Json) -> None:
    there = {variable["name"] for variable in board["templating"]["list"]} | BUILT_IN
    assert {"datasource", "job", "instance", "tempo"} <= there
    used_here = set(re.findall(r"\$\{?(\w+)", json.dumps(board))) - {"__all"}
    assert used_here <= there


@board_id
def test_panels_follow_the_chosen_nodes(board: Json) -> None:
    for panel in panels(board):
        for target in panel["targets"]:
            for selector in parse(target["expr"]).selectors:
                if selector.name in RECORDED or selector.name.startswith(("ALERTS", "signalling_probe_")):
                    continue
                chosen = {matcher.label: matcher.value for matcher in selector.matchers}
                assert chosen["job"] == "$job", panel["title"]
                assert chosen["instance"] == "$instance", panel["title"]


@board_id
def test_dashboards_lead_to_each_other_and_to_a_call(board: Json) -> None:
    dashboards, trace = board["links"]
    assert dashboards["type"] == "dashboards"
    assert dashboards["includeVars"]
    assert dashboards["keepTime"]
    assert all(set(dashboards["tags"]) <= set(other["tags"]) for other in BOARDS)
    assert "${call}" in trace["url"]
    assert "${tempo}" in trace["url"]


@board_id
def test_starts_versions_and_alerts_are_marked(board: Json) -> None:
    assert [each["name"] for each in board["annotations"]["list"]] == ["Process starts", "Versions", "Alerts"]
    assert all(each["enable"] for each in board["annotations"]["list"])


@pytest.mark.parametrize(
    ("title", "limit"),
    [
        ("Ring delivery", RING_DELIVERY_S),
        ("Time until the callee is rung, p99", RING_DELIVERY_S),
        ("Set-up without ringing", SETUP_S),
        ("Set-up without ringing, p95", SETUP_S),
        ("Our errors", 0.0005),
        ("Connects that fail", 0.001),
    ],
)
def test_panels_with_an_objective_draw_it(title: str, limit: float) -> None:
    (panel,) = (panel for _, panel in PANELS if panel["title"] == title)
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps][:2] == [None, limit]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.full_name)
def test_no_metric_is_exported_for_nothing(metric: Metric) -> None:
    shown = {name for asked in QUERIES for name in used(asked.expr)}
    ruled = {name for rule in RECORDED.values() for name in used(rule.expression)}
    assert metric.full_name in shown | ruled | DEBUGGING.keys()
    assert not (metric.full_name in shown | ruled and metric.full_name in DEBUGGING)
