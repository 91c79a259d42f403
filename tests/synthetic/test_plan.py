import functools
import itertools
import statistics

import pytest

from synthetic.plan import CANDIDATES, Kind, Traffic, plan, transports_of, users_for

MIX = dict(zip(Kind, (70, 8, 6, 6, 3, 4, 3), strict=True))
BUSY_HOUR = Traffic(rate_per_s=2, duration_s=3600, mix=MIX)
CALLS = functools.cache(lambda: list(plan(1, BUSY_HOUR)))


def test_the_same_seed_gives_the_same_plan() -> None:
    assert list(plan(1, BUSY_HOUR)) == CALLS()
    assert list(plan(2, BUSY_HOUR)) != CALLS()
    assert transports_of(7, 50, "mix") == transports_of(7, 50, "mix")


def test_calls_arrive_at_the_rate_and_without_a_rhythm() -> None:
    times = [call.at_s for call in CALLS()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert times == sorted(times)
    assert times[-1] < BUSY_HOUR.duration_s
    assert len(times) / 3600 == pytest.approx(2, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.1)  # as a Poisson process has it


def test_the_mix_is_kept() -> None:
    calls = CALLS()
    for kind, share in MIX.items():
        assert sum(call.kind is kind for call in calls) / len(calls) == pytest.approx(share / 100, abs=0.015)
    rejected_only = Traffic(5, 60, {Kind.REJECTED: 1, Kind.ANSWERED: 0})
    assert {call.kind for call in plan(1, rejected_only)} == {Kind.REJECTED}


def test_times_have_their_means_and_a_longest() -> None:
    calls = CALLS()
    assert statistics.mean(call.ring_s for call in calls) == pytest.approx(4, rel=0.05)
    assert statistics.mean(call.talk_s for call in calls) == pytest.approx(30, rel=0.1)
    assert statistics.median(call.talk_s for call in calls) < 25  # many short ones, a few long ones
    assert max(call.ring_s for call in calls) <= 16
    assert max(call.talk_s for call in calls) <= 150


def test_speed_changes_the_times_in_a_call_and_not_the_arrivals() -> None:
    for slow, fast in zip(CALLS(), plan(1, BUSY_HOUR._replace(speed=20)), strict=True):
        assert fast.at_s == slow.at_s
        assert fast.ring_s == pytest.approx(slow.ring_s / 20)
        assert fast.talk_s == pytest.approx(slow.talk_s / 20)


def test_everything_that_calls_do_besides_occurs() -> None:
    calls = CALLS()
    assert any(call.glare for call in calls)
    assert any(call.asks_status for call in calls)
    assert {call.restart_by is None for call in calls} == {True, False}
    assert {call.caller_leaves_for_s is None for call in calls} == {True, False}
    assert {call.lost_while_ringing for call in calls if call.kind is Kind.LOST} == {True, False}
    assert {call.media for call in calls} == {"audio", "video"}
    assert {call.caller_candidates for call in calls} == set(range(CANDIDATES[0], CANDIDATES[1] + 1))
    assert not any(call.glare or call.restart_by for call in calls if call.kind is not Kind.ANSWERED)


def test_a_plan_without_a_duration_goes_on() -> None:
    endless = plan(1, BUSY_HOUR._replace(duration_s=0))
    assert list(itertools.islice(endless, len(CALLS()))) == CALLS()
    assert next(endless).at_s >= BUSY_HOUR.duration_s


def test_there_are_users_enough() -> None:
    assert users_for(BUSY_HOUR) > 2 * 2 * (4 + 30)
    assert users_for(BUSY_HOUR._replace(speed=100)) < 20


def test_transports() -> None:
    assert set(transports_of(1, 200, "mix")) == {("websocket",), ("polling",), ("polling", "websocket")}
    assert transports_of(1, 2, "polling") == [("polling",)] * 2
