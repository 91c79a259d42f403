"""One timer for the deadlines of all connections."""

import asyncio
import math
from typing import Protocol


class Sleeper(Protocol):
    """Who waits for deadlines."""

    def wake(self, now_s: float) -> float | None:
        """Do what is due. Returns the next deadline, None if there is none."""


class Wheel:
    """Wakes sleepers around their deadlines, up to `step_s` early or late. Those of a step share one timer.

    A sleeper may be woken early: a deadline that has moved away is only found to have moved when its old time
    comes. So moving one costs nothing, and nothing has to be taken out.
    """

    def __init__(self, step_s: float) -> None:
        self.step_s = step_s
        self._loop = asyncio.get_running_loop()
        self._buckets: dict[int, list[Sleeper]] = {}
        self._turning = math.floor(self._loop.time() / step_s)

    def add(self, sleeper: Sleeper, deadline_s: float) -> None:
        """Wake a sleeper for the first time at this time of the loop."""
        step = max(math.floor(deadline_s / self.step_s), self._turning + 1)
        bucket = self._buckets.get(step)
        if bucket is None:
            self._buckets[step] = [sleeper]
            self._loop.call_at(step * self.step_s, self._turn, step)
        else:
            bucket.append(sleeper)

    def _turn(self, step: int) -> None:
        now = self._loop.time()
        self._turning = max(self._turning, step)
        for sleeper in self._buckets.pop(step):
            deadline = sleeper.wake(now)
            if deadline is not None:
                self.add(sleeper, deadline)
