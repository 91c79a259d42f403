"""Deadlines of calls in Redis: the node that set one wakes the call, or else whoever sees that it is overdue.

A call is stored together with its deadline; only what moves without the call, or while Redis is away, is written
from here.

A deadline is taken in Redis before the call is woken, so that it is woken once. It is taken for `CLAIM_MS`; if
the node dies in between, another one takes it after that. While Redis is away a node wakes the calls whose
deadlines it has set itself: for calls that it may not decide on alone that fails, and is tried again.
"""

import asyncio
import itertools
import logging
from typing import NamedTuple

from service.adapters.redis.link import Spawn, keep_running
from service.adapters.redis.membership import Membership, Restoration
from service.adapters.redis.pipe import Argument
from service.adapters.redis.scripts import CLAIM, DEADLINES, SETTLE
from service.domain.call import Call
from service.domain.ids import CallId
from service.ports import Alarm, Clock, OnDue, OutOfReachError

CLAIM_MS = 5000
SWEEP_EVERY_S = 1.0
OVERDUE_MS = 1000
"""How late a deadline is before another node than the one that set it looks after it."""

EARLY_MS = 50
"""How early a node may be with its own: clocks are compared no better than that."""

SWEPT_AT_ONCE = 100
RETRY_S = 0.5
_WRITTEN_AT_ONCE = 1000

_log = logging.getLogger(__name__)


class _Deadline(NamedTuple):
    when_s: float
    alarm: Alarm


class RedisTimers(Restoration):
    """`service.ports.Timers` on Redis."""

    def __init__(self, membership: Membership, clock: Clock, spawn: Spawn) -> None:
        self._membership = membership
        self._clock = clock
        self._spawn = spawn
        self._on_due: OnDue | None = None
        self._mine: dict[CallId, _Deadline] = {}
        self._unwritten: dict[CallId, float | None] = {}
        self._stored: tuple[CallId, float | None] | None = None
        self._writer: asyncio.Task[None] | None = None

    def attach(self, on_due: OnDue) -> None:
        """Name what wakes a call."""
        self._on_due = on_due

    def start(self) -> None:
        """Look after overdue deadlines of other nodes, too."""
        self._spawn("keep overdue deadlines", keep_running("overdue deadlines", self._spawn, self._sweep))

    def stored(self, call: Call) -> None:
        """The directory has written a call, and its deadline with it: to be told of that next is no news."""
        self._stored = call.id, call.deadline_s

    # --- service.ports.Timers -----------------------------------------------------------------------------------

    def set(self, call_id: CallId, when_s: float) -> None:
        """See `service.ports.Timers.set`."""
        self._forget(call_id)
        self._mine[call_id] = _Deadline(when_s, self._clock.call_at(when_s, lambda: self._ring(call_id)))
        self._write(call_id, when_s)

    def clear(self, call_id: CallId) -> None:
        """See `service.ports.Timers.clear`."""
        self._forget(call_id)
        self._write(call_id, None)

    def _forget(self, call_id: CallId) -> None:
        mine = self._mine.pop(call_id, None)
        if mine is not None:
            mine.alarm.cancel()

    # --- writing --------------------------------------------------------------------------------------------------

    def returned(self, *, everything: bool) -> None:
        """Redis is back: write what could not be written, or all."""
        if everything:
            for call_id, mine in self._mine.items():
                self._unwritten.setdefault(call_id, mine.when_s)
        self._start_writing()

    def _write(self, call_id: CallId, when_s: float | None) -> None:
        stored, self._stored = self._stored, None
        if stored == (call_id, when_s) and call_id not in self._unwritten:
            return
        self._unwritten[call_id] = when_s
        self._start_writing()

    def _start_writing(self) -> None:
        if self._unwritten and self._membership.is_open and (self._writer is None or self._writer.done()):
            self._writer = self._spawn("write deadlines", self._write_all())

    async def _write_all(self) -> None:
        while self._unwritten:
            batch = dict(itertools.islice(self._unwritten.items(), _WRITTEN_AT_ONCE))
            fields: list[Argument] = []
            for call_id, when_s in batch.items():
                fields += (call_id, "" if when_s is None else self._membership.time.to_ms(when_s))
            try:
                await self._membership.run(DEADLINES, *fields)
            except OutOfReachError:
                return  # `returned` goes on with it
            for call_id, when_s in batch.items():
                if self._unwritten.get(call_id) == when_s:
                    del self._unwritten[call_id]

    # --- waking ---------------------------------------------------------------------------------------------------

    def _ring(self, call_id: CallId) -> None:
        self._mine.pop(call_id, None)
        if self._on_due is not None:
            self._spawn("call deadline", self._wake_mine(call_id, self._on_due))

    async def _wake_mine(self, call_id: CallId, on_due: OnDue) -> None:
        if self._writer is not None and call_id in self._unwritten:
            await asyncio.wait((self._writer,))
        try:
            *taken, until_ms = await self._membership.run(CLAIM, CLAIM_MS, -EARLY_MS, 1, call_id)
            if taken:
                await self._wake(call_id, int(until_ms), on_due)
        except OutOfReachError:
            await self._wake_alone(call_id, on_due)

    async def _wake(self, call_id: CallId, until_ms: int, on_due: OnDue) -> None:
        await on_due(call_id)
        await self._membership.run(SETTLE, call_id, until_ms)

    async def _wake_alone(self, call_id: CallId, on_due: OnDue) -> None:
        try:
            await on_due(call_id)
        except OutOfReachError:
            if call_id not in self._mine:
                again_s = self._clock.now() + RETRY_S
                self._mine[call_id] = _Deadline(again_s, self._clock.call_at(again_s, lambda: self._ring(call_id)))
        else:
            if call_id not in self._mine:
                self._write(call_id, None)

    async def _wake_overdue(self, call_id: CallId, until_ms: int, on_due: OnDue) -> None:
        try:
            await self._wake(call_id, until_ms, on_due)
        except OutOfReachError:
            _log.info("an overdue deadline waits until Redis is back")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            on_due = self._on_due
            if on_due is None or not self._membership.is_open:
                continue
            try:
                *taken, until_ms = await self._membership.run(CLAIM, CLAIM_MS, OVERDUE_MS, SWEPT_AT_ONCE, "")
                for call_id in taken:
                    self._spawn("overdue call", self._wake_overdue(CallId(call_id.decode()), int(until_ms), on_due))
            except OutOfReachError:
                continue  # as above
