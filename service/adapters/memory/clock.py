"""Clocks: the event loop's, and one that is moved by hand."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

from service.ports import Alarm


class LoopClock:
    """`service.ports.Clock` of a running event loop: monotonic, so steps of the wall clock do not matter."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.now = time.monotonic
        """See `service.ports.Clock.now`. The loop's own time is coarse; this is the clock behind it."""

    def call_at(self, when_s: float, callback: Callable[[], None]) -> Alarm:
        """See `service.ports.Clock.call_at`."""
        return self._loop.call_at(when_s, callback)


class ManualAlarm:
    """An alarm of a `ManualClock`."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """See `service.ports.Alarm.cancel`."""
        self.callback = None


class ManualClock:
    """`service.ports.Clock` that stands still until `advance` moves it: an hour-long call in no time."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now = start_s
        self._count = itertools.count()
        self._alarms: list[tuple[float, int, ManualAlarm]] = []

    def now(self) -> float:
        """See `service.ports.Clock.now`."""
        return self._now

    def call_at(self, when_s: float, callback: Callable[[], None]) -> Alarm:
        """See `service.ports.Clock.call_at`. A time that has passed comes with the next `advance`."""
        alarm = ManualAlarm(callback)
        heapq.heappush(self._alarms, (when_s, next(self._count), alarm))
        return alarm

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, running what comes due in the order of its time."""
        target = self._now + seconds
        while self._alarms and self._alarms[0][0] <= target:
            when, _, alarm = heapq.heappop(self._alarms)
            self._now = max(self._now, when)
            if alarm.callback is not None:
                alarm.callback()
        self._now = target
