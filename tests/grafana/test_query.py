"""Queries are written with the catalogue's metrics; what it does not have is an error at once."""

import pytest

from grafana.query import ANYWHERE, Not, Values, buckets, gauge, process, quantile, rate, selector
from observability.catalogue import CALL_DURATION, CALLS, EVENTS_TOTAL


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
