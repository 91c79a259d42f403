import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.budget import UNLIMITED, Bucket, Rate

CLOSE = 1e-5
"""What floating point may be off by, in takes."""

rates = st.builds(Rate, st.integers(1, 1000), st.sampled_from([0.5, 1.0, 10.0, 60.0, 3600.0]))
starts = st.floats(0, 1e5)
shares = st.lists(st.floats(0, 2) | st.just(0.0), min_size=1, max_size=60)
"""How long after each other something is taken, in the times that one needs to come back."""


def test_no_limit_is_written_as_nothing() -> None:
    assert UNLIMITED.number == 0
    assert Rate(30, 60.0).per_second == 0.5


def test_a_new_bucket_gives_all_at_once_and_then_one_at_a_time() -> None:
    rate = Rate(2, 8.0)
    bucket = Bucket(rate, 100.0)
    assert [bucket.take(rate, 100.0) for _ in range(4)] == [0.0, 0.0, 4.0, 4.0]
    assert bucket.take(rate, 103.0) == 1.0
    assert bucket.take(rate, 104.0) == 0.0
    assert bucket.take(rate, 104.0) == 4.0


def test_what_is_not_taken_is_kept_up_to_the_number() -> None:
    rate = Rate(2, 8.0)
    bucket = Bucket(rate, 0.0)
    assert [bucket.take(rate, 1000.0) for _ in range(3)] == [0.0, 0.0, 4.0]


@given(rates, starts, shares)
def test_never_more_is_given_than_the_number_and_what_came_back_since(
    rate: Rate, start_s: float, gaps: list[float]
) -> None:
    bucket, now_s = Bucket(rate, start_s), start_s
    count, most_behind = 0, 0.0
    for gap in gaps:
        now_s += gap / rate.per_second
        came_back = (now_s - start_s) * rate.per_second
        most_behind = min(most_behind, count - came_back)
        count += sum(bucket.take(rate, now_s) == 0.0 for _ in range(rate.number // 10 + 2))
        assert count - came_back - most_behind <= rate.number + CLOSE  # since any time before


def emptied(rate: Rate, start_s: float) -> Bucket:
    bucket = Bucket(rate, start_s)
    for _ in range(rate.number):
        assert bucket.take(rate, start_s) == 0.0
    return bucket


@given(rates, starts, st.floats(0, 0.99))
def test_the_time_to_wait_is_enough_and_not_more_than_needed(rate: Rate, start_s: float, come_back: float) -> None:
    now_s = start_s + come_back / rate.per_second
    margin_s = max(CLOSE / rate.per_second, 1e-9 * now_s)
    wait_s = emptied(rate, start_s).take(rate, now_s)
    assert 0 < wait_s <= 1 / rate.per_second
    assert emptied(rate, start_s).take(rate, now_s + wait_s + margin_s) == 0.0
    if wait_s > 2 * margin_s:
        assert emptied(rate, start_s).take(rate, now_s + wait_s - margin_s) > 0.0


@given(rates, starts, st.floats(0, 0.9), st.integers(1, 20))
def test_asking_too_early_takes_nothing(rate: Rate, start_s: float, come_back: float, times: int) -> None:
    asked_once, asked_often = emptied(rate, start_s), emptied(rate, start_s)
    now_s = start_s + come_back / rate.per_second
    waits = [asked_often.take(rate, now_s) for _ in range(times)]
    assert waits == [asked_once.take(rate, now_s)] * times


@given(rates, starts, st.integers(0, 1000), st.floats(0, 1.5))
def test_a_full_bucket_can_be_forgotten_and_only_that(rate: Rate, start_s: float, used: int, come_back: float) -> None:
    bucket = Bucket(rate, start_s)
    for _ in range(used):
        bucket.take(rate, start_s)
    now_s = start_s + come_back * rate.period_s
    full = bucket.is_full(rate, now_s)
    fresh = Bucket(rate, now_s)
    of_it = [bucket.take(rate, now_s) for _ in range(rate.number + 1)]
    of_a_new_one = [fresh.take(rate, now_s) for _ in range(rate.number + 1)]
    if full:
        assert of_it == of_a_new_one
    else:
        assert of_it != of_a_new_one


@pytest.mark.parametrize(("now_s", "full"), [(100.0, False), (104.9, False), (105.0, True), (1e9, True)])
def test_a_bucket_is_full_when_all_has_come_back(now_s: float, *, full: bool) -> None:
    rate = Rate(2, 10.0)
    bucket = Bucket(rate, 100.0)
    assert bucket.is_full(rate, 100.0)
    bucket.take(rate, 100.0)
    assert bucket.is_full(rate, now_s) == full
