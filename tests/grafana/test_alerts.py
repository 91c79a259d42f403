"""Every alert fires when it should and is silent when it should be, as promtool sees it, with the texts people read."""

import subprocess
from pathlib import Path

import pytest

from grafana.alert_types import NONE, PAGE, TICKET, Alert
from grafana.alerts import GROUPS, NAMES
from grafana.rules import ALERTS_FILE, files
from tests.grafana.names import problems
from tests.grafana.rules.cases import CASES
from tests.grafana.rules.promtool import Case, run
from tests.support.needs import ROOT, need_program

ALERTS = [alert for group in GROUPS for alert in group.alerts]
BURNS = {"ErrorBudgetBurnFast", "ErrorBudgetBurnSlow"}
"""Tested in test_alerts_burn.py."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.title}")
def test_alert(case: Case, tmp_path: Path) -> None:
    run(case, tmp_path)


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    assert {case.alert for case in CASES if case.firing} | BURNS == set(NAMES)
    assert {case.alert for case in CASES if not case.firing} | BURNS == set(NAMES) - {"Watchdog"}


def test_each_rule_of_an_alert_has_a_case_in_which_it_fires() -> None:
    seen = {(case.alert, value) for case in CASES for firing in case.firing for value in firing.labels.values()}
    for alert in ALERTS:
        if alert.name not in BURNS:
            assert all((alert.name, value) in seen for value in alert.labels.values()), alert


def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yml"
    path.write_text(files()[ALERTS_FILE], encoding="utf-8")
    result = subprocess.run(
        [need_program("promtool", "prometheus"), "check", "rules", "--lint=all", "--lint-fatal", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: " ".join((alert.name, *alert.labels.values())))
def test_what_an_alert_asks_for_exists(alert: Alert) -> None:
    assert problems(alert.expression) == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: " ".join((alert.name, *alert.labels.values())))
def test_an_alert_says_what_is_wrong_and_what_to_do(alert: Alert) -> None:
    assert alert.severity in (PAGE, TICKET, NONE)
    assert alert.summary
    assert not alert.summary.endswith(".")
    assert alert.description.count(". ") >= 1
    assert (ROOT / "grafana" / "generated" / "dashboards" / f"{alert.dashboard}.json").is_file()


def test_alerts_of_one_name_have_labels_that_tell_them_apart() -> None:
    keys = [(alert.name, *sorted(alert.labels.items())) for alert in ALERTS]
    assert len(set(keys)) == len(keys)
    assert all(alert.labels for alert in ALERTS if sum(other.name == alert.name for other in ALERTS) > 1)
