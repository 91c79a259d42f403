"""Queries are written with the catalogue's metrics; what it does not have is an error at once."""

import json
import subprocess
from pathlib import Path

import pytest

from grafana.query import ANYWHERE, Not, Values, appeared, buckets, gauge, process, quantile, rate, selector
from observability.catalogue import CALL_DURATION, CALLS, EVENT_EXCEPTIONS, EVENTS_TOTAL
from tests.support.needs import need_program


def test_matchers_are_checked_and_written() -> None:
    labels: dict[str, Values] = {"event": "call:end", "outcome": Not(("ok",))}
    assert (
        selector(EVENTS_TOTAL, scope=ANYWHERE, labels=labels)
        == 'signalling_events_total{event="call:end",outcome!="ok"}'
    )
    many: dict[str, Values] = {"event": ("call:end", "call:offer"), "outcome": Not(("ok", "internal"))}
    assert selector(EVENTS_TOTAL, scope=ANYWHERE, labels=many) == (
        'signalling_events_total{event=~"call:end|call:offer",outcome!~"ok|internal"}'
    )
    assert selector(CALLS, scope=ANYWHERE) == "signalling_calls"


def test_a_label_that_the_metric_has_not() -> None:
    with pytest.raises(ValueError, match="signalling_events_total has no label flavour"):
        rate(EVENTS_TOTAL, flavour="vanilla")


def test_a_value_that_the_label_has_not() -> None:
    with pytest.raises(ValueError, match="signalling_events_total has no outcome fine"):
        rate(EVENTS_TOTAL, outcome="fine")


def test_a_metric_of_the_wrong_kind() -> None:
    with pytest.raises(ValueError, match="signalling_calls is a gauge"):
        rate(CALLS)
    with pytest.raises(ValueError, match="signalling_events_total is a counter"):
        gauge(EVENTS_TOTAL)
    with pytest.raises(ValueError, match="signalling_calls is a gauge"):
        buckets(CALLS)


def test_a_process_metric_that_nobody_has() -> None:
    with pytest.raises(ValueError, match="no process metric process_mood"):
        process("process_mood")


def test_a_quantile_keeps_the_bounds_and_the_groups() -> None:
    assert quantile(0.95, CALL_DURATION, "job", window="5m", scope=ANYWHERE) == (
        "histogram_quantile(0.95, sum by (le, job) (rate(signalling_call_duration_seconds_bucket[5m])))"
    )


def test_the_first_of_a_series_is_counted(tmp_path: Path) -> None:
    series = 'signalling_event_exceptions_total{event="call:end",error_type="KeyError"}'
    samples = {0: 1, 1: 1, 2: 2}  # by the minute after the first
    file = {
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": series, "values": "_ _ _ _ 1 1 3 3 3 3"}],
                "promql_expr_test": [
                    {
                        "expr": appeared(EVENT_EXCEPTIONS, "event", window="2m", scope=ANYWHERE),
                        "eval_time": f"{4 + minute}m",
                        "exp_samples": [{"labels": '{event="call:end"}', "value": value}],
                    }
                    for minute, value in samples.items()
                ],
            }
        ]
    }
    path = tmp_path / "case.yml"
    path.write_text(json.dumps(file), encoding="utf-8")
    program = need_program("promtool", "prometheus")
    done = subprocess.run([program, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
