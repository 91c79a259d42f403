"""A node's share in the cluster: the adapters on Redis, put together."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from service.adapters.redis.address import connector
from service.adapters.redis.directory import RedisDirectory
from service.adapters.redis.inbox import Inbox
from service.adapters.redis.link import RedisLink, Spawn
from service.adapters.redis.membership import Membership, Restoration
from service.adapters.redis.reaper import OnLost, Reaper
from service.adapters.redis.router import RedisRouter
from service.adapters.redis.timers import RedisTimers
from service.domain.call import Call
from service.domain.effects import Ended, Reason
from service.ports import Clock, OnDue, Outlet, RedisWatch

STOP_WAIT_S = 2.0
STOP_LOOK_S = 0.01


class RedisOptions(NamedTuple):
    """What the adapters need to be told; see `service.config.Settings` for each."""

    url: str
    node: str = ""
    prefix: str = "signalling:"
    lease_s: float = 10.0
    max_message_bytes: int = 262_144


class Cluster(Restoration):
    """Directory, router and timers on one Redis, with what keeps them alive. Needs a running loop.

    Raises:
        RedisUrlError: the URL cannot be used.
    """

    def __init__(self, options: RedisOptions, clock: Clock, spawn: Spawn, watch: RedisWatch | None = None) -> None:
        watch = watch or RedisWatch()
        connect = connector(options.url)
        max_entry_bytes = 2 * options.max_message_bytes
        name = f"{options.node or 'node'}-{secrets.token_hex(4)}"  # a restarted process is another node
        self._spawn = spawn
        self._clock = clock
        self._link = RedisLink(connect, spawn, watch)
        self.membership = Membership(
            self._link,
            node=name,
            prefix=options.prefix,
            lease_s=options.lease_s,
            clock=clock,
            spawn=spawn,
            watch=watch,
        )
        self.directory = RedisDirectory(self.membership, spawn, watch)
        self.router = RedisRouter(
            self.membership, self.directory.routes, max_entry_bytes=max_entry_bytes // 2, spawn=spawn, watch=watch
        )
        self.timers = RedisTimers(self.membership, clock, spawn)
        self._inbox = Inbox(
            connect,
            self.membership,
            self.directory,
            clock=clock,
            max_entry_bytes=max_entry_bytes,
            spawn=spawn,
            watch=watch,
        )
        self._reaper = Reaper(self.membership, self.directory.copies, spawn, watch)
        self._outlet: Outlet | None = None
        self._on_returned: Callable[[], Awaitable[None]] | None = None
        self.membership.restoration = [self.directory, self.timers, self._reaper, self]
        self.directory.on_over = self._tell_over
        self.directory.on_stored = self.timers.stored

    def attach(
        self, outlet: Outlet, *, on_due: OnDue, on_lost: OnLost, on_returned: Callable[[], Awaitable[None]]
    ) -> None:
        """Name the node's sockets and what call control does: at deadlines, with lost sockets, after an outage."""
        self._outlet = outlet
        self._on_returned = on_returned
        self.router.attach(outlet)
        self._inbox.attach(outlet)
        self.timers.attach(on_due)
        self._reaper.attach(on_lost)
        self.directory.on_displaced = outlet.dismiss

    @property
    def is_ready(self) -> bool:
        """Whether users of this node and of others can reach each other."""
        return self.membership.is_open

    def start(self) -> None:
        """Join the other nodes as soon as Redis can be reached. Returns at once."""
        self.membership.start()
        self._inbox.start()
        self.timers.start()
        self.directory.following.start()

    async def stop(self) -> None:
        """Leave the other nodes, once the sockets that were closed before are accounted for, or `STOP_WAIT_S` after.

        What runs in the background is ended by whoever owns it.
        """
        deadline_s = self._clock.now() + STOP_WAIT_S
        seats = self.directory.users_online
        while seats() and self.is_ready and self._clock.now() < deadline_s:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(STOP_LOOK_S)
        await self.router.flush()
        await self.membership.leave()

    def returned(self, *, everything: bool) -> None:
        """See `Restoration.returned`: call control does what it could not do meanwhile."""
        if self._on_returned is not None:
            self._spawn("after an outage", _finish(self._on_returned()))

    def _tell_over(self, call: Call) -> None:
        """The others ended a call while this node was away: tell its own parties."""
        if self._outlet is None:
            return
        sessions = call.caller.sessions + call.callee.sessions
        over = Ended(to=sessions, call_id=call.id, by=None, reason=Reason.CONNECTION_LOST)
        for session in sessions:
            self._outlet.deliver(session, over)


async def _finish(work: Awaitable[None]) -> None:
    await work
