"""This node among the nodes: its lease, its fencing epoch, and whether Redis can be asked.

A node is a member while its lease holds. Every write names the node and its epoch, and is refused by Redis once
the lease is over or the epoch was taken away. Whoever finds a lease that is over takes the epoch away and clears
up; the node, if it still lives, becomes a member again with a new epoch and writes anew what it knows.

The gate is open while a connection stands, the lease holds, and all that this node knows is written. While it is
closed nothing is asked of Redis on behalf of clients. For `PATIENCE_S` after it closes they wait for it to open
again, which a broken connection is not worth an error for; after that they are refused at once.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

from redis.exceptions import ResponseError

from service.adapters.redis.link import RedisLink, Spawn, keep_running
from service.adapters.redis.pipe import Argument
from service.adapters.redis.scripts import LEAVE, REGISTER, RENEW, Script
from service.adapters.redis.wire import RedisTime
from service.ports import Clock, OutOfReachError, RedisWatch

PATIENCE_S = 0.45
"""How long one request waits on Redis altogether, before it is refused."""

LATEST_WRITE_S = 0.33
"""Until when, of that time, Redis may still carry a request out. The rest is for the difference of the clocks: what
was told to have failed must not happen afterwards."""

RENEWALS_PER_LEASE = 4
BEING_REAPED_S = 0.2
REENTER_S = 0.01

_log = logging.getLogger(__name__)


class Restoration:
    """What must be done before the gate opens and after. The defaults do nothing."""

    async def restore(self, *, everything: bool, forgotten: bool) -> None:
        """Write again what is not in Redis; `everything` after the lease was lost, `forgotten` if Redis is new."""

    def returned(self, *, everything: bool) -> None:
        """The gate is open again."""


class Membership:
    """The lease of this node, kept in the background from `start` on, and the way of all scripts to Redis."""

    def __init__(
        self, link: RedisLink, *, node: str, prefix: str, lease_s: float, clock: Clock, spawn: Spawn, watch: RedisWatch
    ) -> None:
        self.node = node
        self.prefix = prefix
        self.time = RedisTime()
        self._link = link
        self.lease_s = lease_s
        self._lease_ms = round(lease_s * 1000)
        self._renew_every_s = lease_s / RENEWALS_PER_LEASE
        self._clock = clock
        self._spawn = spawn
        self._watch = watch
        self._epoch = "0"
        self._born = ""
        self._server = ""
        self._everything = self._forgotten = False  # what is still to be written since the lease was taken
        self._loop = asyncio.get_running_loop()
        self._is_open = False
        self._closed_at_s = self._opened_at_s = self._loop.time()
        self._waiting: set[asyncio.Future[None]] = set()
        self._awake = asyncio.Event()
        self.restoration: list[Restoration] = []
        self.on_expired: Callable[[dict[str, float]], None] = lambda _ends: None
        """Told at every renewal of the nodes whose lease is over, each with the end of it."""
        self.last_read: Callable[[], str] = lambda: "0"
        """Up to where the inbox was read, so that the rest need not be kept."""
        self.on_new_inbox: Callable[[], None] = lambda: None
        link.on_down = self._close

    @property
    def is_open(self) -> bool:
        """Whether Redis can be asked now."""
        return self._is_open

    @property
    def open_for_s(self) -> float:
        """How long it could be asked without a break until now."""
        return self._loop.time() - self._opened_at_s if self._is_open else 0.0

    def start(self) -> None:
        """Become a member as soon as Redis can be reached, and stay one."""
        self._link.start()
        self._spawn("keep membership", keep_running("membership", self._spawn, self._live))

    async def opened(self) -> None:
        """Wait until the gate is open."""
        while not self._is_open:
            await self._wait_for_opening(None)

    async def leave(self) -> None:
        """Give up the lease, so that the others need not wait for its end."""
        try:
            await self.command(LEAVE)
        except OutOfReachError:
            _log.warning("the lease could not be given up; the other nodes wait for its end")

    # --- asking Redis ---------------------------------------------------------------------------------------

    async def run(self, script: Script, *arguments: Argument) -> Any:  # noqa: ANN401 - whatever the script gives
        """Run a script as this node, again if the connection breaks. The script must bear being run twice.

        Raises:
            OutOfReachError: Redis could not be asked within `PATIENCE_S`. The script may have run.
        """
        since_s = self._loop.time()
        while True:
            if not self._is_open:
                left_s = since_s + PATIENCE_S - self._loop.time()
                if since_s > self._closed_at_s + PATIENCE_S or not await self._wait_for_opening(left_s):
                    raise OutOfReachError
                if self._loop.time() > since_s + LATEST_WRITE_S:
                    self._close()  # what is now left undone is done when it opens again
                    raise OutOfReachError
            try:
                return await self.command(script, *arguments, until_s=since_s + LATEST_WRITE_S)
            except OutOfReachError:
                self._close()

    async def command(self, script: Script, *arguments: Argument, until_s: float | None = None) -> Any:  # noqa: ANN401 - whatever the script gives
        """Run a script once, whether the gate is open or not; after `until_s` (of the loop) it must not write.

        Raises:
            OutOfReachError: there is no connection, or it broke, or this node was fenced, or Redis refused.
        """
        try:
            now_s = self._loop.time()
            left_s = LATEST_WRITE_S if until_s is None else until_s - now_s
            not_after_ms = self.time.to_ms(self._clock.now() + left_s)
            return await self._link.run(script, self.prefix, self.node, self._epoch, not_after_ms, *arguments)
        except ResponseError as refusal:
            if str(refusal).startswith("FENCED"):
                self._watch.fenced()
            else:
                _log.error("Redis refuses a command (%s): %s", script.name, refusal)
            self._close()
            raise OutOfReachError from None

    # --- the gate -------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._is_open = True
        self._opened_at_s = self._loop.time()
        self._awake.clear()
        _log.info("this node and the others can reach each other over Redis")
        self._watch.redis_reached()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._closed_at_s = self._loop.time()
            self._awake.set()
            _log.info("Redis is out of reach, or this node's lease is over")
            self._watch.redis_lost()

    async def _wait_for_opening(self, at_most_s: float | None) -> bool:
        """Wait for it; False if it takes too long. Not `asyncio.timeout`, which does not work outside tasks."""
        if at_most_s is not None and at_most_s <= 0:
            return False
        waiting: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(waiting)
        if at_most_s is not None:
            self._loop.call_later(at_most_s, _let_go, waiting)
        await waiting
        self._waiting.discard(waiting)
        return self._is_open

    # --- the life of a member -------------------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            await self._link.up()
            try:
                if await self._enter():
                    while self._is_open:
                        await self._renew()
                        await self._pause(self._renew_every_s)
            except OutOfReachError:
                self._close()
            await asyncio.sleep(REENTER_S)

    async def _enter(self) -> bool:
        """Take or keep the lease, write what is missing, open the gate. False: not yet."""
        await self._link.load()
        asked_s = self._clock.now()
        epoch, is_new_inbox, time_us, born, server = await self.command(REGISTER, self._lease_ms, secrets.token_hex(8))
        self.time.measured(int(time_us), asked_s, self._clock.now())
        if epoch == b"0":
            await asyncio.sleep(BEING_REAPED_S)
            return False
        self._everything |= epoch.decode() != self._epoch
        self._everything |= self._server not in ("", server.decode())  # a replica, or a dump, may be behind
        self._forgotten |= self._born not in ("", born.decode())
        self._epoch, self._born, self._server = epoch.decode(), born.decode(), server.decode()
        if is_new_inbox:
            self.on_new_inbox()
        for part in self.restoration:
            await part.restore(everything=self._everything, forgotten=self._forgotten)
        everything, self._everything, self._forgotten = self._everything, False, False
        self._open()
        for part in self.restoration:
            part.returned(everything=everything)
        return True

    async def _renew(self) -> None:
        asked_s = self._clock.now()
        kept, *rest = await self.command(RENEW, self._lease_ms, self.last_read())
        if not kept:
            self._watch.fenced()
            self._close()
            return
        time_us, living, *over = rest
        self.time.measured(int(time_us), asked_s, self._clock.now())
        self._watch.nodes_living(living)
        self.on_expired({node.decode(): float(end) for node, end in zip(over[::2], over[1::2], strict=True)})

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until the lease is known to be lost."""
        alarm = self._loop.call_later(seconds, self._awake.set)
        try:
            await self._awake.wait()
        finally:
            alarm.cancel()
            self._awake.clear()


def _let_go(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
