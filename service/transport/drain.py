"""Taking leave of the clients of a node that stops: each is told when, and closed then, one after the other.

Clients connect again as soon as they are closed, so the order and the times are theirs on the other nodes too. They
are drawn anew at each stop, and spread evenly.
"""

import asyncio
import logging
import random
from typing import NamedTuple

from service.control.control import CallControl
from service.domain.ids import SessionId
from service.ports import Clock
from service.transport.app import Health, Transport
from service.transport.gateway import PASSING_S, Gateway

RETURNS_PER_S = 200
"""How many clients may come to the other nodes in a second, if the time for the stop allows it."""

SPREAD_SHARE = 0.5
"""The part of the time for a stop over which clients leave, at the most."""

PATIENCE_SHARE = 0.1
MAX_PATIENCE_S = 1.0
"""How long after its time a client is closed, and as a part of the time for a stop: for what is still on its way from
a client that sends nothing from its time on."""

TOLD_AT_ONCE = 200
"""Clients between which others get their turn on the loop."""

_log = logging.getLogger(__name__)


class _Leave(NamedTuple):
    """A client and its time, in seconds after the beginning."""

    at_s: float
    session: SessionId


class Drain:
    """The end of one node's service. Where `calls_move`, calls go on at other nodes; else they end with the spread."""

    def __init__(
        self,
        *,
        transport: Transport,
        gateway: Gateway,
        control: CallControl,
        health: Health,
        clock: Clock,
        calls_move: bool,
        shutdown_timeout_s: float,
    ) -> None:
        self._transport = transport
        self._gateway = gateway
        self._control = control
        self._health = health
        self._clock = clock
        self._calls_move = calls_move
        self._timeout_s = shutdown_timeout_s
        self._patience_s = min(MAX_PATIENCE_S, PATIENCE_SHARE * shutdown_timeout_s)
        self._spread_s = 0.0
        self._began_at_s = 0.0
        self.begun = asyncio.Event()

    def begin(self) -> None:
        """Take no new clients and no new calls any more; whoever serves goes on with `clear`. Repeatable."""
        if self.begun.is_set():
            return
        self._health.ready, self._health.draining = False, True
        self._transport.routes.closing = True
        self._spread_s = min(SPREAD_SHARE * self._timeout_s, len(self._gateway) / RETURNS_PER_S)
        self._began_at_s = self._clock.now()
        self._control.refuse_calls(until_s=self._began_at_s + self._spread_s + self._patience_s)
        _log.info("draining: %d clients leave within %.1f s", len(self._gateway), self._spread_s + self._patience_s)
        self.begun.set()

    async def clear(self) -> None:
        """Tell every client its time, and close each a little later. Those who come meanwhile are left out."""
        leaves = self._plan()
        await self._tell(leaves)
        await asyncio.gather(self._close(leaves), self._end_calls(leaves))

    def _plan(self) -> list[_Leave]:
        """The clients in the order of their times. Those whose call ends with the spread leave last."""
        everybody = self._gateway.sessions()
        last = [] if self._calls_move else [one for one in everybody if self._gateway.is_in_call(one)]
        others = list(set(everybody).difference(last))
        random.shuffle(others)
        step_s = self._spread_s / max(1, len(others))
        leaves = [_Leave((place + random.random()) * step_s, one) for place, one in enumerate(others)]  # noqa: S311 - no secret
        return leaves + [_Leave(self._spread_s, one) for one in last]

    async def _tell(self, leaves: list[_Leave]) -> None:
        for number, leave in enumerate(leaves, 1):
            self._gateway.announce_end(leave.session, leave.at_s)
            if number % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _close(self, leaves: list[_Leave]) -> None:
        for leave in leaves:
            await self._wait_until(leave.at_s + self._patience_s)
            self._gateway.retire(leave.session)
        if leaves:
            await asyncio.sleep(PASSING_S)

    async def _end_calls(self, leaves: list[_Leave]) -> None:
        if not self._calls_move:
            await self._wait_until(self._spread_s if leaves else 0.0)
            await self._control.shut_down()

    async def _wait_until(self, at_s: float) -> None:
        left_s = at_s - self._since_s()
        if left_s > 0:
            await asyncio.sleep(left_s)

    def _since_s(self) -> float:
        return self._clock.now() - self._began_at_s
