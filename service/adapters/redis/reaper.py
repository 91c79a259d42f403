"""Clearing up after nodes that died: their users go offline, their calls end or wait for the return of the party.

A lease that is over is looked at twice, one renewal apart, with the same end: a step of Redis' clock ends all
leases at once, and the living renew theirs in between. One node at a time clears up after a dead one; if it dies
too, another one goes on with what is left. Each session is handed to call control as lost, which the preconditions
of its commits let happen once.

Redis may have forgotten a node that died while Redis was away, too. So once the others have had the time to write
themselves again, each node looks through its calls for sessions of nodes that nobody knows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from service.adapters.redis.copies import Copies
from service.adapters.redis.link import Spawn
from service.adapters.redis.membership import Membership, Restoration
from service.adapters.redis.scripts import NODES, REAP
from service.domain.ids import SessionId, UserId
from service.ports import OutOfReachError, RedisWatch

SETTLING_S = 3.0
"""How long after its own return to Redis a node leaves the others the time to return, too."""

CLAIM_MS = 3000
SESSIONS_AT_ONCE = 50

OnLost = Callable[[UserId, SessionId], Awaitable[None]]
"""What is done with a session of a dead node. It must take the session's seat away."""

_log = logging.getLogger(__name__)


class Reaper(Restoration):
    """Looks after the other nodes' leases."""

    def __init__(self, membership: Membership, copies: Copies, spawn: Spawn, watch: RedisWatch) -> None:
        self._membership = membership
        self._copies = copies
        self._spawn = spawn
        self._watch = watch
        self._on_lost: OnLost | None = None
        self._suspects: dict[str, float] = {}
        self._at_work: asyncio.Task[None] | None = None
        self._settling: asyncio.TimerHandle | None = None
        membership.on_expired = self._look

    def attach(self, on_lost: OnLost) -> None:
        """Name what is done with sessions of dead nodes. Nothing is cleared up before."""
        self._on_lost = on_lost

    def returned(self, *, everything: bool) -> None:
        """See `Restoration.returned`. A node that returns again and again looks once, after the last time."""
        if everything and self._on_lost is not None:
            if self._settling is not None:
                self._settling.cancel()
            in_s = self._membership.lease_s + SETTLING_S
            self._settling = asyncio.get_running_loop().call_later(in_s, self._start_looking, self._on_lost)

    def _start_looking(self, on_lost: OnLost) -> None:
        self._spawn("look for sessions of forgotten nodes", self._look_for_forgotten(on_lost))

    async def _look_for_forgotten(self, on_lost: OnLost) -> None:
        try:
            known = {node.decode() for node in await self._membership.run(NODES)}
            for copy in self._copies:
                for party in (copy.call.caller, copy.call.callee):
                    for session in party.sessions:
                        if copy.routes.get(session, self._membership.node) not in known:
                            await on_lost(party.user, session)
                            self._watch.session_reaped()
        except OutOfReachError:
            return  # Redis is away again, and this is done after its return

    def _look(self, ends: dict[str, float]) -> None:
        dead = [node for node, end in ends.items() if end == 0 or self._suspects.get(node) == end]
        self._suspects = ends
        if self._membership.open_for_s < SETTLING_S:
            return
        if dead and self._on_lost is not None and (self._at_work is None or self._at_work.done()):
            self._at_work = self._spawn("clear up after dead nodes", self._clear_up(dead, self._on_lost))

    async def _clear_up(self, nodes: list[str], on_lost: OnLost) -> None:
        try:
            for node in nodes:
                await self._clear_up_after(node, on_lost)
        except OutOfReachError:
            _log.info("clearing up waits until Redis is back")

    async def _clear_up_after(self, node: str, on_lost: OnLost) -> None:
        before: set[bytes] = set()
        while True:
            owned = await self._membership.command(REAP, node, CLAIM_MS, SESSIONS_AT_ONCE)
            pairs = list(zip(owned[::2], owned[1::2], strict=True))[:SESSIONS_AT_ONCE] if owned else []
            sessions = {session for session, _ in pairs}
            if not pairs or sessions == before:  # done, not mine, or to be tried again later
                break
            before = sessions
            await asyncio.wait([self._spawn("lose a session", self._lose(*pair, on_lost)) for pair in pairs])
        if owned == []:
            _log.warning("a node died; its users are offline and its calls dealt with")

    async def _lose(self, session: bytes, user: bytes, on_lost: OnLost) -> None:
        try:
            await on_lost(UserId(user.decode()), SessionId(session.decode()))
        except OutOfReachError:
            return  # it is still there when Redis is back
        self._watch.session_reaped()
