"""The helper of the checks: a check that finds nothing must have been able to find something."""

import pytest

from tests.grafana.names import problems, used
from tests.grafana.promql import Matcher, PromqlError, Selector, parse


def test_metrics_matchers_and_grouping_are_found() -> None:
    query = parse(
        'sum by (job, le) (rate(a_bucket{x="1", y=~"b|c"}[$__rate_interval])) / on (slo) group_left (of) z:y offset 1w'
    )
    assert query.selectors == (
        Selector("a_bucket", (Matcher("x", "=", "1"), Matcher("y", "=~", "b|c"))),
        Selector("z:y", ()),
    )
    assert query.grouping == {"job", "le", "slo", "of"}
    assert query.functions == {"sum", "rate"}


def test_grouping_may_stand_behind_the_aggregation() -> None:
    assert parse("max(a) without (b)").grouping == {"b"}


@pytest.mark.parametrize("text", ["a{", 'a{b="c"', "a{b=c}", "a{b}", "a § b"])
def test_what_is_no_promql_is_refused(text: str) -> None:
    with pytest.raises(PromqlError):
        parse(text)


@pytest.mark.parametrize(
    "query",
    [
        "signalling_no_such_metric",
        "signalling_event_duration_seconds",
        'signalling_events_total{outcome="fine"}',
        'signalling_events_total{flavour="vanilla"}',
        'signalling_calls_ended_total{fault=~"server|ghost"}',
        'signalling_call_phase_duration_seconds_bucket{le="0.3"}',
        'signalling_call_phase_duration_seconds_bucket{le="3"}',
        "sum by (flavour) (signalling_connections)",
        "signalling:no_such_rule",
        'up{flavour="vanilla"}',
        '{__name__="up"}',
    ],
)
def test_what_does_not_exist_is_found(query: str) -> None:
    assert problems(query) != []


@pytest.mark.parametrize(
    "query",
    [
        'sum by (event, outcome) (rate(signalling_events_total{outcome!="ok"}[5m]))',
        'signalling_call_phase_duration_seconds_bucket{le="3.0",phase="setup_total"}',
        'signalling:slo_error_ratio:rate1h{slo="connects"}',
        "process_open_fds / process_max_fds",
    ],
)
def test_what_exists_is_not_complained_of(query: str) -> None:
    assert problems(query) == []


def test_a_histogram_is_known_by_its_parts() -> None:
    assert used("signalling_event_duration_seconds_sum + signalling_glare_total") == {
        "signalling_event_duration_seconds",
        "signalling_glare_total",
    }
