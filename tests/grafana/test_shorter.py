"""The shorter rules are the generated ones in all but the times."""

import subprocess
from pathlib import Path

import pytest
import yaml

from grafana.build import GENERATED
from tests.grafana import shorter
from tests.support.needs import need_program

RULES = GENERATED / "prometheus"
TIMED = {"expr": "", "for": ""}


@pytest.mark.parametrize(
    ("longer", "wanted"),
    [
        ("rate(a[5m])", "rate(a[5000ms])"),
        ("avg_over_time(a:rate5m[30m] offset 1w)", "avg_over_time(a:rate5m[30000ms] offset 10080000ms)"),
        ("sum_over_time(a:rate5m[3d]) * 60 / 259200", "sum_over_time(a:rate5m[4320000ms]) * 1 / 4320"),
        ("time() - a > 10 and b >= 100", "time() - a > 10 and b >= 100"),
        ("a:rate1h > 0.0072 and b:rate1h * 3600 >= 10", "a:rate1h > 0.0072 and b:rate1h * 60 >= 10"),
        ("0.05 * a * 900 < 1.3 * 0.5 * b", "0.05 * a * 15 < 1.3 * 0.5 * b"),
    ],
)
def test_windows_and_seconds_become_shorter(longer: str, wanted: str) -> None:
    assert shorter.expression(longer) == wanted


@pytest.mark.parametrize(("longer", "wanted"), [("0s", "0ms"), ("30s", "500ms"), ("2m", "2000ms"), ("1d", "1440000ms")])
def test_durations(longer: str, wanted: str) -> None:
    assert shorter.duration(longer) == wanted


def test_nothing_else_changes(tmp_path: Path) -> None:
    shorter.write_rules(RULES, tmp_path)
    for path in RULES.glob("*.yml"):
        before, after = (yaml.safe_load(each.read_text("utf-8")) for each in (path, tmp_path / path.name))
        for old, new in zip(before["groups"], after["groups"], strict=True):
            for old_rule, new_rule in zip(old["rules"], new["rules"], strict=True):
                assert old_rule | TIMED == new_rule | TIMED
        program = need_program("promtool", "prometheus")
        subprocess.run([program, "check", "rules", str(tmp_path / path.name)], check=True, capture_output=True)
