import asyncio

import pytest

from service.supervisor import Supervisor
from service.transport.lane import Lane, Work


def lane_of(limit: int = 10) -> Lane:
    return Lane("test", Supervisor(), limit)


def quick(done: list[str], name: str) -> Work:
    async def work() -> None:
        done.append(name)

    return work


def waiting(done: list[str], name: str, gate: "asyncio.Future[None]") -> Work:
    async def work() -> None:
        done.append(f"{name} starts")
        await gate
        await asyncio.sleep(0)
        done.append(name)

    return work


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_work_that_need_not_wait_is_done_inside_submit() -> None:
    lane, done = lane_of(), list[str]()
    assert lane.submit(quick(done, "first"))
    assert done == ["first"]


async def test_later_works_wait_for_the_one_that_waits() -> None:
    lane, done = lane_of(), list[str]()
    gate = asyncio.get_running_loop().create_future()
    lane.submit(waiting(done, "slow", gate))
    lane.submit(quick(done, "second"))
    lane.submit(quick(done, "third"))
    await settled()
    assert done == ["slow starts"]
    gate.set_result(None)
    await settled()
    assert done == ["slow starts", "slow", "second", "third"]
    lane.submit(quick(done, "fourth"))
    assert done[-1] == "fourth"


async def test_no_more_than_the_limit_may_wait_but_what_is_forced() -> None:
    lane, done = lane_of(limit=1), list[str]()
    gate = asyncio.get_running_loop().create_future()
    lane.submit(waiting(done, "slow", gate))
    assert lane.submit(quick(done, "queued"))
    assert not lane.submit(quick(done, "refused"))
    assert lane.submit(quick(done, "forced"), force=True)
    gate.set_result(None)
    await settled()
    assert done == ["slow starts", "slow", "queued", "forced"]


async def test_a_work_may_submit_to_its_own_lane_and_is_finished_first() -> None:
    lane, done = lane_of(), list[str]()

    async def outer() -> None:
        lane.submit(quick(done, "inner"))
        done.append("outer")

    lane.submit(outer)
    await settled()
    assert done == ["outer", "inner"]


async def test_a_work_that_fails_at_once_is_the_submitters_business_and_frees_the_lane() -> None:
    lane, done = lane_of(), list[str]()

    async def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        lane.submit(broken)
    lane.submit(quick(done, "next"))
    assert done == ["next"]


async def test_a_work_that_fails_later_does_not_keep_the_others_waiting(caplog: pytest.LogCaptureFixture) -> None:
    lane, done = lane_of(), list[str]()
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    lane.submit(waiting(done, "slow", gate))
    lane.submit(quick(done, "next"))
    gate.set_exception(ValueError("broken"))
    await settled()
    assert done == ["slow starts", "next"]
    assert "background task test failed" in caplog.text


async def test_two_lanes_may_wait_for_the_same_thing() -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    one, other, done = lane_of(), lane_of(), list[str]()
    one.submit(waiting(done, "one", gate))
    other.submit(waiting(done, "other", gate))
    gate.set_result(None)
    await settled()
    assert sorted(done) == ["one", "one starts", "other", "other starts"]


async def test_a_work_that_first_lets_others_go_on_is_resumed() -> None:
    lane, done = lane_of(), list[str]()

    async def polite() -> None:
        await asyncio.sleep(0)
        done.append("polite")

    lane.submit(polite)
    assert done == []
    await settled()
    assert done == ["polite"]


async def test_the_end_of_the_server_reaches_a_work_that_waits_and_it_may_still_tidy_up() -> None:
    supervisor = Supervisor()
    lanes, done = [Lane("test", supervisor, 10) for _ in range(3)], list[str]()
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def tidy() -> None:
        try:
            await never
        finally:
            await asyncio.sleep(0)
            done.append("tidy")

    async def stubborn() -> None:
        try:
            await never
        except asyncio.CancelledError:
            done.append("stubborn")

    lanes[0].submit(tidy)
    lanes[1].submit(stubborn)
    lanes[2].submit(waiting(done, "cancelled", never))
    await settled()
    await supervisor.close()
    assert sorted(done) == ["cancelled starts", "stubborn", "tidy"]
