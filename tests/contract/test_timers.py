"""The contract of `service.ports.Timers`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import pytest

from service.adapters.memory.clock import ManualClock
from service.adapters.memory.timers import MemoryTimers
from service.domain.ids import CallId
from service.ports import Clock, Timers
from service.supervisor import Supervisor
from tests.contract.conftest import fresh_members
from tests.support.redis import until

CALL, OTHER, LAST = CallId("a" * 32), CallId("b" * 32), CallId("c" * 32)


class Woken:
    """Which calls were woken, in order, and when."""

    def __init__(self, clock: Clock) -> None:
        self.calls: list[tuple[CallId, float]] = []
        self._clock = clock

    async def wake(self, call_id: CallId) -> None:
        """Note it."""
        self.calls.append((call_id, self._clock.now()))

    @property
    def ids(self) -> list[CallId]:
        """The calls alone."""
        return [call_id for call_id, _ in self.calls]


class Rig(NamedTuple):
    """Timers, their clock, and how time goes by until a call has been woken."""

    timers: Timers
    clock: Clock
    woken: Woken
    until_woken: Callable[[CallId], Awaitable[None]]

    def after(self, beats: float) -> float:
        """The time so many tenths of a second from now."""
        return self.clock.now() + beats / 10


def memory_rig() -> Rig:
    clock = ManualClock(start_s=100.0)
    woken = Woken(clock)
    timers = MemoryTimers(clock, Supervisor().spawn)
    timers.attach(woken.wake)

    async def until_woken(call_id: CallId) -> None:
        while call_id not in woken.ids:
            clock.advance(0.05)
            assert clock.now() < 200.0, "it is never woken"
            await asyncio.sleep(0)  # what is woken runs in a task

    return Rig(timers, clock, woken, until_woken)


@pytest.fixture(params=["memory", "redis"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "memory":
        yield memory_rig()
        return
    async with fresh_members(request.getfixturevalue("redis"), 1) as (member,):
        woken = Woken(member.clock)
        member.timers.attach(woken.wake)
        yield Rig(member.timers, member.clock, woken, lambda call_id: until(lambda: call_id in woken.ids))


async def test_a_call_is_woken_once_and_not_before_its_time(rig: Rig) -> None:
    when = rig.after(2)
    rig.timers.set(CALL, when)
    await rig.until_woken(CALL)
    rig.timers.set(LAST, rig.after(1))
    await rig.until_woken(LAST)
    assert rig.woken.ids == [CALL, LAST]
    assert rig.woken.calls[0][1] >= when


async def test_a_new_deadline_replaces_the_old(rig: Rig) -> None:
    rig.timers.set(CALL, rig.after(1))
    rig.timers.set(CALL, rig.after(3))
    rig.timers.set(OTHER, rig.after(2))
    await rig.until_woken(CALL)
    assert rig.woken.ids == [OTHER, CALL]


async def test_a_cleared_call_is_not_woken(rig: Rig) -> None:
    rig.timers.set(CALL, rig.after(1))
    rig.timers.clear(CALL)
    rig.timers.clear(CALL)
    rig.timers.set(LAST, rig.after(2))
    await rig.until_woken(LAST)
    assert rig.woken.ids == [LAST]


async def test_a_time_that_has_passed_comes_at_once(rig: Rig) -> None:
    rig.timers.set(CALL, rig.after(-1))
    assert rig.woken.ids == []
    await rig.until_woken(CALL)


async def test_nothing_is_woken_before_somebody_is_attached() -> None:
    clock = ManualClock(start_s=100.0)
    timers = MemoryTimers(clock, Supervisor().spawn)
    timers.set(CALL, 101.0)
    clock.advance(2)
    await asyncio.sleep(0)
    timers.clear(CALL)
