"""The recording rules: what exists, what promtool computes, and that silence is never NaN."""

import json
import subprocess
from pathlib import Path

import pytest

from grafana.rules import GROUPS, RECORDING_FILE, Recording, files
from grafana.slo import BURNS, SLOS, SUMMED_WINDOWS, WINDOWS, phase_slower
from observability.catalogue import (
    CALL_ATTEMPTS,
    CALL_DURATION,
    CALL_MILESTONES,
    CALL_PHASE_DURATION,
    CALLS_ENDED,
    CONNECTIONS,
    CONNECTS,
    EVENTS_TOTAL,
    Phase,
)
from tests.grafana.names import RECORDED, problems
from tests.grafana.rules.cases import delays, of
from tests.support.needs import need_program

RULES = [rule for _, rules in GROUPS for rule in rules]
JOB = '{job="signalling"}'


def promtool(directory: Path, series: dict[str, str], at: str, expected: dict[str, dict[str, float]]) -> None:
    """Let promtool compute `expected`: query -> labels -> value."""
    program = need_program("promtool", "prometheus")
    (directory / "recording.yml").write_text(files()[RECORDING_FILE], encoding="utf-8")
    test = {
        "rule_files": ["recording.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": [name for name, _ in GROUPS],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": query,
                        "eval_time": at,
                        "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
                    }
                    for query, samples in expected.items()
                ],
            }
        ],
    }
    path = directory / "test.yml"
    path.write_text(json.dumps(test), encoding="utf-8")
    result = subprocess.run([program, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def everything(growth: str) -> dict[str, str]:
    """Every counter that the rules read, with the same values."""
    series = {
        of(CALL_ATTEMPTS, media="audio"): growth,
        of(CONNECTS, transport="polling", result="ok"): growth,
        of(CONNECTIONS, transport="polling"): growth,
        of(CALL_DURATION, part="_sum"): growth,
        of(CALL_DURATION, part="_count"): growth,
    }
    series |= {of(EVENTS_TOTAL, event="call:initiate", outcome=outcome): growth for outcome in ("ok", "internal")}
    series |= {of(CALLS_ENDED, reason="rejected", fault="user", phase="ringing"): growth}
    series |= {of(CALLS_ENDED, reason="failed", fault="server", phase="connected"): growth}
    series |= {of(CALLS_ENDED, reason="failed", fault="server", phase="ringing"): growth}
    series |= {of(CALL_MILESTONES, milestone="answered"): growth}
    for phase in (Phase.RING_DELIVERY, Phase.SETUP_TOTAL):
        series |= dict.fromkeys(delays(phase, {}, 1), growth)
    series |= {of(EVENTS_TOTAL, event="call:initiate", outcome="user_not_found"): growth}
    return series | {of(CONNECTS, transport="polling", result="abandoned"): growth}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name} {rule.labels.get('slo', '')}".strip())
def test_what_a_rule_asks_for_exists(rule: Recording) -> None:
    assert problems(rule.expression) == []


def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    path = tmp_path / "recording.yml"
    path.write_text(files()[RECORDING_FILE], encoding="utf-8")
    program = need_program("promtool", "prometheus")
    result = subprocess.run(
        [program, "check", "rules", "--lint=all", "--lint-fatal", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_objective_has_every_window_that_alerts_and_dashboards_use() -> None:
    assert {window for burn in BURNS for window in (burn.long, burn.short)} <= set(WINDOWS)
    for window in WINDOWS:
        assert f"signalling:slo_error_ratio:rate{window.name}" in RECORDED
    keys = [(rule.name, *rule.labels.values()) for rule in RULES]
    assert len(set(keys)) == len(keys)


def test_an_objective_must_end_at_a_bucket() -> None:
    assert 0.3 not in CALL_PHASE_DURATION.buckets
    with pytest.raises(ValueError, match=r"no bucket that ends at 0\.3"):
        phase_slower(Phase.RING_DELIVERY, 0.3, WINDOWS[0])


def test_without_traffic_nothing_failed_and_nothing_is_nan(tmp_path: Path) -> None:
    zero = {f'{{job="signalling", slo="{slo.name}"}}': 0.0 for slo in SLOS}
    ratios = {
        f"signalling:slo_error_ratio:rate{window.name}": {
            f"signalling:slo_error_ratio:rate{window.name}{labels}": value for labels, value in zero.items()
        }
        for window in WINDOWS
    }
    silent = ("ser:ratio_rate5m", "seer:ratio_rate5m", "srd_seconds:p95_rate5m", "sdt_seconds:mean_rate5m")
    no_sample: dict[str, dict[str, float]] = {f"signalling:{name}": {} for name in silent}
    no_nan: dict[str, dict[str, float]] = {f"{name} != {name}": {} for name in RECORDED}
    promtool(tmp_path, everything("7x60"), "30m", ratios | no_sample | no_nan)


def test_without_a_node_there_is_no_ratio_at_all(tmp_path: Path) -> None:
    expected: dict[str, dict[str, float]] = {f"signalling:slo_error_ratio:rate{window.name}": {} for window in WINDOWS}
    promtool(tmp_path, {}, "30m", expected)


def test_the_ratios_are_the_share_of_bad_events(tmp_path: Path) -> None:
    shares = {
        "handler_availability": 1 / 3,  # ok, internal and user_not_found
        "call_establishment": 1.0,  # as many attempts as failures of both kinds together
        "connects": 0.5,
        "call_continuity": 1.0,
        "ring_delivery": 0.0,
        "call_setup": 0.0,
    }
    expected = {
        f'round(signalling:slo_error_ratio:rate{window}{{slo="{slo}"}}, 0.001)': {
            f'{{job="signalling", slo="{slo}"}}': round(share, 3)
        }
        for slo, share in shares.items()
        for window in ("5m", "1h", "1d", "30d")
    }
    promtool(tmp_path, everything("0+60x120"), "60m", expected)


def test_long_windows_weigh_hours_by_their_traffic(tmp_path: Path) -> None:
    ok, bad = (of(EVENTS_TOTAL, event="call:end", outcome=outcome) for outcome in ("ok", "internal"))
    # an hour of 900 events a minute without a failure, then an hour of 100 a minute that all fail: a tenth failed
    series = {ok: "0+900x60 54000x60", bad: "0x60 100+100x59"}
    expected = {
        f'round(signalling:slo_error_ratio:rate{window.name}{{slo="handler_availability"}}, 0.01)': {
            '{job="signalling", slo="handler_availability"}': 0.1
        }
        for window in SUMMED_WINDOWS
    }
    promtool(tmp_path, series, "120m", expected)


def test_a_summed_window_counts_events_as_the_counters_do(tmp_path: Path) -> None:
    series = {of(CONNECTS, transport="websocket", result="ok"): "0+10x120"}
    series |= {of(CONNECTS, transport="websocket", result="abandoned"): "0+10x120"}
    labels = '{job="signalling", slo="connects"}'
    expected = {
        'round(signalling:slo_errors:rate6h{slo="connects"} * 6 * 3600, 100)': {labels: 1200.0},
        'round(signalling:slo_errors:rate1d{slo="connects"} * 24 * 3600, 100)': {labels: 1200.0},
    }
    promtool(tmp_path, series, "120m", expected)


def test_rfc_6076(tmp_path: Path) -> None:
    series = {
        of(EVENTS_TOTAL, event="call:initiate", outcome="ok"): "0+8x60",
        of(EVENTS_TOTAL, event="call:initiate", outcome="user_not_available"): "0+1x60",
        of(EVENTS_TOTAL, event="call:initiate", outcome="internal"): "0+1x60",
        of(EVENTS_TOTAL, event="call:initiate", outcome="not_joined"): "0+50x60",
        of(CALL_MILESTONES, milestone="answered"): "0+4x60",
        of(CALLS_ENDED, reason="rejected", fault="user", phase="ringing"): "0+2x60",
        of(CALLS_ENDED, reason="no_answer", fault="user", phase="ringing"): "0+1x60",
        of(CALLS_ENDED, reason="cancelled", fault="user", phase="ringing"): "0+1x60",
        of(CALL_DURATION, part="_sum"): "0+480x60",
        of(CALL_DURATION, part="_count"): "0+4x60",
        **delays(Phase.RING_DELIVERY, {0.05: 8}, 60),
    }
    expected = {
        "round(signalling:ser:ratio_rate5m, 0.001)": {JOB: 0.4},
        "round(signalling:seer:ratio_rate5m, 0.001)": {JOB: 0.8},  # 4 answered, 3 declined or silent, 1 busy
        "round(signalling:sdt_seconds:mean_rate5m, 0.001)": {JOB: 120.0},
        "round(signalling:srd_seconds:p95_rate5m, 0.001)": {JOB: 0.049},
    }
    promtool(tmp_path, series, "30m", expected)


def test_two_jobs_stay_apart(tmp_path: Path) -> None:
    other = 'job="staging",instance="s:9464"'
    series = {
        of(EVENTS_TOTAL, event="call:end", outcome="ok"): "0+10x60",
        of(EVENTS_TOTAL, event="call:end", outcome="internal"): "0x60",
        of(EVENTS_TOTAL, other, event="call:end", outcome="internal"): "0+10x60",
    }
    query = 'signalling:slo_error_ratio:rate5m{slo="handler_availability"}'
    name = "signalling:slo_error_ratio:rate5m"
    expected = {
        query: {
            f'{name}{{job="signalling", slo="handler_availability"}}': 0.0,
            f'{name}{{job="staging", slo="handler_availability"}}': 1.0,
        }
    }
    promtool(tmp_path, series, "30m", expected)
