import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import budget
from service.domain.budget import UNLIMITED, Bucket, Buckets, Rate, SharedBuckets

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
    missing = min(used, rate.number) - come_back * rate.number
    if bucket.is_full(rate, now_s):
        assert missing <= CLOSE
        fresh = Bucket(rate, now_s)
        for _ in range(rate.number + 1):
            assert bucket.take(rate, now_s) == fresh.take(rate, now_s)
    else:
        assert missing >= -CLOSE


@pytest.mark.parametrize(("now_s", "full"), [(100.0, False), (104.9, False), (105.0, True), (1e9, True)])
def test_a_bucket_is_full_when_all_has_come_back(now_s: float, *, full: bool) -> None:
    rate = Rate(2, 10.0)
    bucket = Bucket(rate, 100.0)
    assert bucket.is_full(rate, 100.0)
    bucket.take(rate, 100.0)
    assert bucket.is_full(rate, now_s) == full


# --- many owners -------------------------------------------------------------------------------------------


def test_each_owner_has_a_bucket() -> None:
    buckets = Buckets[str](Rate(2, 8.0))
    assert [buckets.take("alice", 100.0) for _ in range(3)] == [0.0, 0.0, 4.0]
    assert buckets.take("bob", 100.0) == 0.0
    assert [buckets.take("alice", 104.0) for _ in range(2)] == [0.0, 4.0]


def test_where_there_is_no_limit_nobody_waits() -> None:
    buckets = Buckets[str](UNLIMITED)
    assert {buckets.take("alice", 100.0) for _ in range(1000)} == {0.0}


def test_owners_whose_bucket_is_full_again_make_room_and_nobody_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_OWNERS", 3)
    buckets = Buckets[str](Rate(1, 8.0))
    for owner, now_s in (("early", 100.0), ("late", 107.0), ("later", 107.5)):
        assert buckets.take(owner, now_s) == 0.0
    assert buckets.take("new", 108.0) == 0.0
    assert [buckets.take(owner, 108.0) for owner in ("late", "later", "new")] == [7.0, 7.5, 8.0]


def test_a_crowd_of_owners_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """When all have taken something just now, all are forgiven rather than remembered without end."""
    monkeypatch.setattr(budget, "MAX_OWNERS", 3)
    buckets = Buckets[int](Rate(1, 8.0))
    assert [buckets.take(owner, 100.0) for owner in range(3)] == [0.0] * 3
    assert buckets.take(2, 100.0) == 8.0
    assert buckets.take(3, 100.0) == 0.0
    assert buckets.take(2, 100.0) == 0.0
    assert buckets.take(3, 100.0) == 8.0


def test_several_can_be_taken_at_once_and_all_at_the_most() -> None:
    buckets = Buckets[str](Rate(4, 8.0))
    assert [buckets.take("alice", 100.0, 3), buckets.take("alice", 100.0, 3)] == [0.0, 4.0]
    assert buckets.take("alice", 104.0, 1000) == 2.0
    assert buckets.take("alice", 106.0, 1000) == 0.0


# --- buckets that are held ---------------------------------------------------------------------------------

RATE = Rate(2, 8.0)


def test_all_holders_take_from_one_bucket() -> None:
    buckets = SharedBuckets[str](RATE)
    one, other = buckets.hold("alice", 100.0), buckets.hold("alice", 100.0)
    assert [one.take(RATE, 100.0), other.take(RATE, 100.0), one.take(RATE, 100.0)] == [0.0, 0.0, 4.0]
    buckets.release("alice", 100.0)
    assert buckets.hold("alice", 100.0).take(RATE, 100.0) == 4.0
    assert buckets.hold("bob", 100.0).take(RATE, 100.0) == 0.0


def test_who_comes_back_finds_what_he_left() -> None:
    buckets = SharedBuckets[str](RATE)
    for _ in range(2):
        assert buckets.hold("alice", 100.0).take(RATE, 100.0) == 0.0
        buckets.release("alice", 100.0)
    assert buckets.hold("alice", 100.0).take(RATE, 100.0) == 4.0


def test_buckets_that_nobody_holds_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_OWNERS", 3)
    buckets = SharedBuckets[int](RATE)

    def use(owner: int, now_s: float) -> float:
        wait_s = buckets.hold(owner, now_s).take(RATE, now_s, 2)
        buckets.release(owner, now_s)
        return wait_s

    assert [use(owner, now_s) for owner, now_s in ((0, 100.0), (1, 107.0), (2, 107.0))] == [0.0] * 3
    assert use(3, 108.0) == 0.0, "makes room: the first is full again"
    assert [use(owner, 108.0) for owner in (1, 2, 3)] == [7.0, 7.0, 8.0]
    assert use(4, 108.0) == 0.0, "all are forgiven rather than remembered without end"
    assert [use(owner, 108.0) for owner in (1, 2)] == [0.0, 0.0]


def test_a_bucket_that_is_held_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_OWNERS", 1)
    buckets = SharedBuckets[int](RATE)
    held = buckets.hold(0, 100.0)
    assert held.take(RATE, 100.0, 2) == 0.0
    for owner in range(1, 5):
        buckets.hold(owner, 100.0).take(RATE, 100.0)
        buckets.release(owner, 100.0)
    assert buckets.hold(0, 100.0) is held


def test_a_full_bucket_takes_nobodys_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_OWNERS", 1)
    buckets = SharedBuckets[str](RATE)
    assert buckets.hold("alice", 100.0).take(RATE, 100.0, 2) == 0.0
    buckets.release("alice", 100.0)
    buckets.hold("bob", 100.0)
    buckets.release("bob", 100.0)
    assert buckets.hold("alice", 100.0).take(RATE, 100.0) == 4.0
