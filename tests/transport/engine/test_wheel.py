import asyncio
import math

import pytest

from service.transport.engine.wheel import Wheel

STEP_S = 0.02
PATIENCE_S = 10.0


class Sleeper:
    """Notes when it is woken, and follows a list of deadlines that are given after each other."""

    def __init__(self, *next_s: float) -> None:
        self.woken_at: list[float] = []
        self.asleep = asyncio.Event()
        self._next_s = list(next_s)

    def wake(self, now_s: float) -> float | None:
        """See `service.transport.engine.wheel.Sleeper`."""
        self.woken_at.append(now_s)
        if self._next_s:
            return self._next_s.pop(0)
        self.asleep.set()
        return None

    async def done(self) -> list[float]:
        """When it was woken, after its last deadline."""
        async with asyncio.timeout(PATIENCE_S):
            await self.asleep.wait()
        return self.woken_at


def now() -> float:
    return asyncio.get_running_loop().time()


async def all_turns() -> None:
    """Every step that has something in it by now comes, and one more after it."""
    behind = Sleeper()
    Wheel(STEP_S).add(behind, now() + 20 * STEP_S)
    await behind.done()


@pytest.mark.parametrize("steps", [0.1, 1.0, 1.5, 3.9, 10.0])
async def test_a_sleeper_is_woken_once_and_not_more_than_a_step_too_early(steps: float) -> None:
    wheel, sleeper = Wheel(STEP_S), Sleeper()
    deadline_s = now() + steps * STEP_S
    wheel.add(sleeper, deadline_s)
    assert sleeper.woken_at == []
    (woken_s,) = await sleeper.done()
    assert woken_s >= deadline_s - STEP_S
    await all_turns()
    assert sleeper.woken_at == [woken_s]


async def test_the_earlier_deadline_is_woken_first() -> None:
    wheel = Wheel(STEP_S)
    start_s, order = now(), list[str]()

    class Named(Sleeper):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def wake(self, now_s: float) -> float | None:
            order.append(self.name)
            return super().wake(now_s)

    sleepers = {name: Named(name) for name in ("third", "first", "second", "also second")}
    for name, steps in (("third", 8), ("first", 2), ("second", 5), ("also second", 5)):
        wheel.add(sleepers[name], start_s + steps * STEP_S)
    for sleeper in sleepers.values():
        await sleeper.done()
    assert order == ["first", "second", "also second", "third"]


@pytest.mark.parametrize("ago_s", [0.0, 0.001, 5.0, 1e6])
async def test_a_deadline_that_is_past_is_met_with_the_next_step_and_not_inside_add(ago_s: float) -> None:
    wheel, sleeper = Wheel(STEP_S), Sleeper()
    wheel.add(sleeper, now() - ago_s)
    assert sleeper.woken_at == []
    assert len(await sleeper.done()) == 1


async def test_a_sleeper_that_names_its_next_deadline_is_woken_again() -> None:
    wheel, start_s = Wheel(STEP_S), now()
    deadlines = [start_s + 2 * STEP_S, start_s + 5 * STEP_S, start_s + 9 * STEP_S]
    sleeper = Sleeper(*deadlines[1:])
    wheel.add(sleeper, deadlines[0])
    woken = await sleeper.done()
    assert len(woken) == 3
    assert all(woken_s >= deadline_s - STEP_S for woken_s, deadline_s in zip(woken, deadlines, strict=True))


async def test_a_deadline_that_has_moved_away_costs_one_early_waking() -> None:
    wheel, start_s = Wheel(STEP_S), now()
    moved_to_s = start_s + 8 * STEP_S

    class Moved(Sleeper):
        def wake(self, now_s: float) -> float | None:
            super().wake(now_s)
            return moved_to_s if now_s < moved_to_s - STEP_S else None

    sleeper = Moved()
    wheel.add(sleeper, start_s + 2 * STEP_S)
    await sleeper.done()
    await all_turns()
    assert len(sleeper.woken_at) == 2
    assert sleeper.woken_at[1] >= moved_to_s - STEP_S


async def test_a_sleeper_that_asks_for_a_time_that_is_past_is_woken_in_another_turn() -> None:
    wheel, sleeper = Wheel(STEP_S), Sleeper(0.0, 0.0, 0.0)
    wheel.add(sleeper, now())
    woken = await sleeper.done()
    assert len(set(woken)) == 4  # the sleepers of one turn are all told the same time


async def test_a_sleeper_can_be_added_again_after_its_last_deadline() -> None:
    wheel, sleeper = Wheel(STEP_S), Sleeper()
    wheel.add(sleeper, now())
    await sleeper.done()
    sleeper.asleep.clear()
    wheel.add(sleeper, now() + STEP_S)
    assert len(await sleeper.done()) == 2


async def test_the_sleepers_of_a_step_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, timers = asyncio.get_running_loop(), list[float]()
    call_at = loop.call_at

    def counted(when: float, *rest: object, **named: object) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *rest, **named)  # type: ignore[arg-type]

    wheel = Wheel(STEP_S)
    monkeypatch.setattr(loop, "call_at", counted)
    in_step = (math.floor(now() / STEP_S) + 3) * STEP_S
    sleepers = [Sleeper() for _ in range(1000)]
    for number, sleeper in enumerate(sleepers):
        wheel.add(sleeper, in_step + STEP_S * (0.1 + 0.8 * number / len(sleepers)))
    monkeypatch.undo()
    assert len(timers) == 1
    woken = {(await sleeper.done())[0] for sleeper in sleepers}
    assert len(woken) == 1
