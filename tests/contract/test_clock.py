"""The contract of `service.ports.Clock`, over the clock of a loop and the one that is moved by hand."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.adapters.memory.clock import LoopClock, ManualClock
from service.ports import Clock

Pass = Callable[[float], Awaitable[None]]


@pytest.fixture(params=["loop", "manual"])
async def clock_and_pass(request: pytest.FixtureRequest) -> tuple[Clock, Pass]:
    """A clock, and how time goes by on it."""
    if request.param == "loop":
        return LoopClock(asyncio.get_running_loop()), asyncio.sleep
    clock = ManualClock(start_s=7.0)

    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    return clock, advance


async def test_time_goes_forward(clock_and_pass: tuple[Clock, Pass]) -> None:
    clock, pass_ = clock_and_pass
    before = clock.now()
    await pass_(0.01)
    assert clock.now() >= before + 0.01


async def test_alarms_run_in_the_order_of_their_time_and_not_before_it(clock_and_pass: tuple[Clock, Pass]) -> None:
    clock, pass_ = clock_and_pass
    rung: list[tuple[str, bool]] = []
    start = clock.now()

    def alarm(name: str, when_s: float) -> None:
        clock.call_at(when_s, lambda: rung.append((name, clock.now() >= when_s)))

    alarm("late", start + 0.02)
    alarm("early", start + 0.01)
    alarm("past", start - 1)
    assert rung == []
    await pass_(0.05)
    assert rung == [("past", True), ("early", True), ("late", True)]


async def test_a_cancelled_alarm_does_not_run(clock_and_pass: tuple[Clock, Pass]) -> None:
    clock, pass_ = clock_and_pass
    rung: list[str] = []
    clock.call_at(clock.now() + 0.01, lambda: rung.append("cancelled")).cancel()
    clock.call_at(clock.now() + 0.01, lambda: rung.append("kept"))
    await pass_(0.05)
    assert rung == ["kept"]


async def test_an_alarm_may_set_another(clock_and_pass: tuple[Clock, Pass]) -> None:
    clock, pass_ = clock_and_pass
    rung: list[str] = []

    def first() -> None:
        clock.call_at(clock.now() + 0.01, lambda: rung.append("second"))

    clock.call_at(clock.now() + 0.01, first)
    await pass_(0.08)
    assert rung == ["second"]
