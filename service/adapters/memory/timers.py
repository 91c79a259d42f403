"""Deadlines of calls, held in the process that placed them."""

from collections.abc import Awaitable

from service.domain.ids import CallId
from service.ports import Alarm, Clock, OnDue, Spawn


class MemoryTimers:
    """`service.ports.Timers` on alarms of a clock."""

    def __init__(self, clock: Clock, spawn: Spawn) -> None:
        self._clock = clock
        self._spawn = spawn
        self._on_due: OnDue | None = None
        self._alarms: dict[CallId, Alarm] = {}

    def attach(self, on_due: OnDue) -> None:
        """Name what wakes a call."""
        self._on_due = on_due

    def set(self, call_id: CallId, when_s: float) -> None:
        """See `service.ports.Timers.set`."""
        self.clear(call_id)
        self._alarms[call_id] = self._clock.call_at(when_s, lambda: self._ring(call_id))

    def clear(self, call_id: CallId) -> None:
        """See `service.ports.Timers.clear`."""
        alarm = self._alarms.pop(call_id, None)
        if alarm is not None:
            alarm.cancel()

    def _ring(self, call_id: CallId) -> None:
        self._alarms.pop(call_id, None)
        if self._on_due is not None:
            self._spawn("call deadline", _finish(self._on_due(call_id)))


async def _finish(work: Awaitable[None]) -> None:
    await work
