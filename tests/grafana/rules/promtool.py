"""A case, and the file of promtool's that it becomes."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from grafana.alert_types import JOB, PROBE_JOB, Alert
from grafana.alerts import GROUPS as ALERT_GROUPS
from grafana.rules import ALERTS_FILE, RECORDING_FILE, files
from grafana.rules import GROUPS as RECORDING_GROUPS
from tests.support.needs import need_program

A = f'job="{JOB}",instance="a:9464"'
B = f'job="{JOB}",instance="b:9464"'
PROBE = f'job="{PROBE_JOB}",instance="probe:9464"'
RUNBOOKS = "https://runbooks.example"
DASHBOARDS = "https://grafana.example/d"
RUNNING = {f"up{{{A}}}": "1x1000"}


class Firing(NamedTuple):
    """An alert that must fire: its labels besides its name and severity, and its value as people read it."""

    labels: Mapping[str, str]
    value: str = ""


class Case(NamedTuple):
    """Series from minute 0 on, and what of `alert` fires at the minute `at`; `others` fire with it."""

    alert: str
    title: str
    series: Mapping[str, str]
    at: str
    firing: tuple[Firing, ...] = ()
    others: tuple[str, ...] = ()
    interval: str = "1m"
    evaluation: str = "1m"
    recorded: bool = True
    """False where the series are those of the recording rules, so that a week need not be computed."""


def run(case: Case, directory: Path) -> None:
    """Let promtool judge the case.

    Raises:
        AssertionError: with what promtool expected and got.
    """
    program = need_program("promtool", "prometheus")
    for path, text in files().items():
        (directory / Path(path).name).write_text(text, encoding="utf-8")
    test = directory / "case.yml"
    test.write_text(json.dumps(_file(case)), encoding="utf-8")  # JSON is YAML
    result = subprocess.run([program, "test", "rules", str(test)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def _file(case: Case) -> dict[str, object]:
    names = (RECORDING_FILE, ALERTS_FILE) if case.recorded else (ALERTS_FILE,)
    groups = [name for name, _ in RECORDING_GROUPS] if case.recorded else []
    firing = [_expected(case.alert, firing) for firing in case.firing]
    series = {**RUNNING, **case.series}
    return {
        "rule_files": [Path(name).name for name in names],
        "evaluation_interval": case.evaluation,
        "group_eval_order": [*groups, *(group.name for group in ALERT_GROUPS)],
        "tests": [
            {
                "interval": case.interval,
                "external_labels": {"runbooks": RUNBOOKS, "dashboards": DASHBOARDS},
                "input_series": [{"series": name, "values": values} for name, values in series.items() if values],
                "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": firing}],
                "promql_expr_test": [_nothing_else(case)],
            }
        ],
    }


def _nothing_else(case: Case) -> dict[str, object]:
    names = {*case.others, "Watchdog"} | ({case.alert} if case.firing else set())
    return {
        "expr": "group by (alertname) (ALERTS{alertstate='firing'})",
        "eval_time": case.at,
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)],
    }


def _expected(name: str, firing: Firing) -> dict[str, object]:
    alert = _alert(name, firing.labels)
    labels = {"severity": alert.severity, **firing.labels}
    anchor = f"#{alert.anchor}" if alert.anchor else ""
    return {
        "exp_labels": labels,
        "exp_annotations": {
            "summary": _rendered(alert.summary, firing),
            "description": _rendered(alert.description, firing),
            "runbook_url": f"{RUNBOOKS}/{name}.md{anchor}",
            "dashboard_url": f"{DASHBOARDS}/{alert.dashboard}",
        },
    }


def _alert(name: str, labels: Mapping[str, str]) -> Alert:
    found = [
        alert
        for group in ALERT_GROUPS
        for alert in group.alerts
        if alert.name == name and alert.labels.items() <= labels.items()
    ]
    assert len(found) == 1, f"{len(found)} rules of {name} have the labels {dict(labels)}"
    return found[0]


def _rendered(template: str, firing: Firing) -> str:
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: firing.labels[match[1]], template)
    return re.sub(r"\{\{ \$value \| \w+ \}\}", firing.value, text)
