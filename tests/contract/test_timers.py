"""The contract of `service.ports.Timers`."""

import asyncio

import pytest

from service.adapters.memory.clock import ManualClock
from service.adapters.memory.timers import MemoryTimers
from service.domain.ids import CallId
from service.supervisor import Supervisor

CALL, OTHER = CallId("a" * 32), CallId("b" * 32)


class Woken:
    """Which calls were woken, in order."""

    def __init__(self, clock: ManualClock) -> None:
        self.calls: list[tuple[CallId, float]] = []
        self._clock = clock

    async def wake(self, call_id: CallId) -> None:
        """Note it."""
        self.calls.append((call_id, self._clock.now()))


@pytest.fixture
def woken(clock: ManualClock) -> Woken:
    return Woken(clock)


@pytest.fixture(params=["memory"])
async def timers(clock: ManualClock, woken: Woken) -> MemoryTimers:
    timers = MemoryTimers(clock, Supervisor().spawn)
    timers.attach(woken.wake)
    return timers


async def passes(clock: ManualClock, seconds: float) -> None:
    clock.advance(seconds)
    await asyncio.sleep(0)  # what is woken runs in a task


async def test_a_call_is_woken_once_at_its_time(clock: ManualClock, timers: MemoryTimers, woken: Woken) -> None:
    timers.set(CALL, 105.0)
    await passes(clock, 4.9)
    assert woken.calls == []
    await passes(clock, 0.1)
    await passes(clock, 100)
    assert woken.calls == [(CALL, 105.0)]


async def test_a_new_deadline_replaces_the_old(clock: ManualClock, timers: MemoryTimers, woken: Woken) -> None:
    timers.set(CALL, 105.0)
    timers.set(CALL, 110.0)
    timers.set(OTHER, 106.0)
    await passes(clock, 7)
    await passes(clock, 4)
    assert [call for call, _ in woken.calls] == [OTHER, CALL]


async def test_a_cleared_call_is_not_woken(clock: ManualClock, timers: MemoryTimers, woken: Woken) -> None:
    timers.set(CALL, 105.0)
    timers.clear(CALL)
    timers.clear(CALL)
    await passes(clock, 10)
    assert woken.calls == []


async def test_nothing_is_woken_before_somebody_is_attached(clock: ManualClock) -> None:
    timers = MemoryTimers(clock, Supervisor().spawn)
    timers.set(CALL, 101.0)
    await passes(clock, 2)
    timers.clear(CALL)
