import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from observability import catalogue as c
from observability.catalogue import Kind, Metric
from observability.instruments import Instruments

ASKED = Metric("asked_total", Kind.COUNTER, "1", "Asked.", {"who": ("a", "b")})
LEVEL = Metric("level", Kind.GAUGE, "1", "Level.", {})
TOOK = Metric("took_seconds", Kind.HISTOGRAM, "seconds", "Took.", {}, (0.1, 1.0))


def samples(instruments: Instruments) -> dict[str, float]:
    text: str = generate_latest(instruments.registry()).decode()
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_closed_sets_are_there_at_zero_from_the_start() -> None:
    assert samples(Instruments((ASKED, LEVEL))) == {
        "signalling_asked_total|a": 0,
        "signalling_asked_total|b": 0,
        "signalling_level": 0,
    }


def test_what_is_moved_is_scraped() -> None:
    instruments = Instruments((ASKED, LEVEL, TOOK))
    instruments.counter(ASKED, "a").value += 2
    instruments.gauge(LEVEL).read = lambda: 7.5
    for value in (0.05, 0.1, 0.5, 3.0):
        instruments.histogram(TOOK).observe(value)
    seen = samples(instruments)
    assert (seen["signalling_asked_total|a"], seen["signalling_level"]) == (2, 7.5)
    assert {name: value for name, value in seen.items() if "bucket" in name} == {
        "signalling_took_seconds_bucket|0.1": 2,
        "signalling_took_seconds_bucket|1.0": 3,
        "signalling_took_seconds_bucket|+Inf": 4,
    }
    assert seen["signalling_took_seconds_count"] == 4
    assert seen["signalling_took_seconds_sum"] == pytest.approx(3.65)


def test_a_value_outside_of_a_closed_set_counts_as_other() -> None:
    instruments = Instruments((ASKED,))
    instruments.counter(ASKED, "mallory").value += 1
    instruments.counter(ASKED, "trudy").value += 1
    assert samples(instruments)["signalling_asked_total|_OTHER"] == 2
    assert instruments.counter(ASKED, "x") is instruments.counter(ASKED, "y")


def test_exception_types_are_closed_by_their_number() -> None:
    instruments = Instruments((c.EVENT_EXCEPTIONS,))
    for number in range(100):
        instruments.counter(c.EVENT_EXCEPTIONS, "user:join", f"Error{number}").value += 1
    seen = samples(instruments)
    assert len(seen) <= c.ERROR_TYPES_AT_MOST + 1
    assert sum(seen.values()) == 100


def test_the_labels_of_a_metric_are_checked() -> None:
    with pytest.raises(ValueError, match="signalling_asked_total has the labels"):
        Instruments((ASKED,)).counter(ASKED)


def test_the_whole_catalogue_stays_within_the_budget() -> None:
    assert sum(metric.series for metric in c.SERVER_METRICS) <= 1500


def test_names_follow_the_rules() -> None:
    assert len(c.BY_NAME) == len(c.METRICS)
    for metric in c.METRICS:
        assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
        assert metric.help.endswith(".")
        if metric.kind is Kind.HISTOGRAM:
            assert metric.name.endswith(tuple(c.HISTOGRAM_UNITS))
            assert list(metric.buckets) == sorted(set(metric.buckets))
