"""Effects for sessions of this node go straight to their sockets, the others into the inbox of their node.

All messages of one loop tick for one node make one entry, and the entries of one tick make one script. While a
script is under way, what comes is gathered for the next; so nothing overtakes anything, and the busier the node,
the larger its batches. A script whose connection broke is run again; the receiver knows an entry that it has had
by its number.
"""

import asyncio
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from service.adapters.redis.copies import RouteTable
from service.adapters.redis.link import Spawn
from service.adapters.redis.membership import Membership
from service.adapters.redis.pipe import Argument
from service.adapters.redis.scripts import SEND
from service.adapters.redis.wire import Dismissal, encode_batch, encode_message
from service.domain.effects import Effect
from service.domain.ids import SessionId
from service.ports import Outlet, OutOfReachError, RedisWatch, Undelivered

MOST_POSTED = 1000
"""Messages on their way that nobody waits for. Who has more to send, because Redis is slow, waits."""


class _Parcel(NamedTuple):
    """What goes out together: the messages for each node, and whoever waits for the nodes that did not get them."""

    messages: dict[str, list[bytes]]
    missed: "asyncio.Future[frozenset[str]]"
    posted: list[tuple[str, Undelivered]]
    """The node of each message that nobody waits for, and what is done if that did not get it."""

    def settle(self, missed: frozenset[str]) -> None:
        """Tell everybody which nodes did not get their messages."""
        if self.missed.done():
            return
        self.missed.set_result(missed)
        for node, undelivered in self.posted:
            if node in missed:
                undelivered()


class RedisRouter:
    """`service.ports.Router` between nodes."""

    def __init__(
        self, membership: Membership, routes: RouteTable, *, max_entry_bytes: int, spawn: Spawn, watch: RedisWatch
    ) -> None:
        self._membership = membership
        self._routes = routes
        self._max_entry_bytes = max_entry_bytes
        self._spawn = spawn
        self._watch = watch
        self._outlet: Outlet | None = None
        self._loop = asyncio.get_running_loop()
        self._parcel: _Parcel | None = None
        self._sender: asyncio.Task[None] | None = None
        self._numbers: dict[str, itertools.count[int]] = {}

    def attach(self, outlet: Outlet) -> None:
        """Name the node's own sockets. None of them is reachable before."""
        self._outlet = outlet

    # --- service.ports.Router -----------------------------------------------------------------------------------

    def tell(self, effects: Sequence[Effect]) -> None:
        """See `service.ports.Router.tell`."""
        self._start(effects)

    async def send(self, effects: Sequence[Effect]) -> frozenset[SessionId]:
        """See `service.ports.Router.send`. Waits for Redis, but not for the other node."""
        unreachable, elsewhere = self._start(effects)
        if elsewhere and self._parcel is not None:
            for node in await self._parcel.missed:
                unreachable |= elsewhere.get(node, set())
        return frozenset(unreachable)

    async def flush(self) -> None:
        """Wait until nothing is on its way to other nodes any more."""
        while self._sender is not None and not self._sender.done():
            await asyncio.wait((self._sender,))

    def post(self, effect: Effect, missed: Undelivered | None = None) -> bool:
        """See `service.ports.Router.post`. For one session on another node, while not too much waits for it."""
        elsewhere = [node for node in map(self._elsewhere, effect.to) if node is not None]
        if elsewhere:
            return len(effect.to) == 1 and missed is not None and self._post(elsewhere[0], effect, missed)
        outlet = self._outlet
        if outlet is None:
            return False
        delivered = [outlet.deliver(session, effect) for session in effect.to]
        return any(delivered)

    def _post(self, node: str, effect: Effect, missed: Undelivered) -> bool:
        parcel = self._parcel
        if parcel is not None and len(parcel.posted) >= MOST_POSTED:
            return False
        self._put(node, encode_message(effect)).posted.append((node, missed))
        return True

    async def dismiss(self, session: SessionId) -> None:
        """See `service.ports.Router.dismiss`."""
        if self._outlet is not None:
            self._outlet.dismiss(session)
        node = self._elsewhere(session)
        if node is not None:
            self._put(node, encode_message(Dismissal(session)))

    def _start(self, effects: Sequence[Effect]) -> tuple[set[SessionId], dict[str, set[SessionId]]]:
        """Deliver to the sessions that are here, pack for the others. Gives those nowhere, and the others by node."""
        nowhere: set[SessionId] = set()
        elsewhere: dict[str, set[SessionId]] = {}
        for effect in effects:
            for node, sessions in self._deliver(effect, nowhere).items():
                elsewhere.setdefault(node, set()).update(sessions)
                theirs = effect if len(sessions) == len(effect.to) else replace(effect, to=tuple(sessions))
                self._put(node, encode_message(theirs))
        return nowhere, elsewhere

    def _deliver(self, effect: Effect, nowhere: set[SessionId]) -> dict[str, list[SessionId]]:
        """Deliver to the sessions that are here; give the others by their node."""
        elsewhere: dict[str, list[SessionId]] = {}
        for session in effect.to:
            if self._outlet is not None and self._outlet.deliver(session, effect):
                continue
            node = self._elsewhere(session)
            if node is None:
                nowhere.add(session)
            else:
                elsewhere.setdefault(node, []).append(session)
        return elsewhere

    def _elsewhere(self, session: SessionId) -> str | None:
        node = self._routes.node_of(session)
        return None if node == self._membership.node else node

    # --- parcels ------------------------------------------------------------------------------------------------

    def _put(self, node: str, message: bytes) -> _Parcel:
        if self._parcel is None:
            self._parcel = _Parcel({}, self._loop.create_future(), [])
            if self._sender is None or self._sender.done():
                self._sender = self._spawn("send to other nodes", self._send_all())
                self._sender.add_done_callback(self._give_up)
        self._parcel.messages.setdefault(node, []).append(message)
        return self._parcel

    async def _send_all(self) -> None:
        while (parcel := self._parcel) is not None:
            self._parcel = None
            missed = frozenset(parcel.messages)
            try:
                missed = await self._send(parcel)
            finally:  # whatever happens, whoever waits is told
                parcel.settle(missed)

    def _give_up(self, sender: "asyncio.Task[None]") -> None:
        """Tell those whose parcel nobody has taken: the node is stopping."""
        if sender is not self._sender:
            return
        parcel, self._parcel = self._parcel, None
        if parcel is not None:
            parcel.settle(frozenset(parcel.messages))

    async def _send(self, parcel: _Parcel) -> frozenset[str]:
        """Send a parcel; give the nodes that did not get all of it."""
        nodes: list[str] = []
        fields: list[Argument] = []
        for node, messages in parcel.messages.items():
            for batch in self._batches(messages):
                number = next(self._numbers.setdefault(node, itertools.count(1)))
                nodes.append(node)
                fields += (node, encode_batch(self._membership.node, number, batch))
                self._watch.batch_sent(len(batch))
        try:
            sent = await self._membership.run(SEND, *fields)
        except OutOfReachError:
            return frozenset(nodes)
        return frozenset(node for node, arrived in zip(nodes, sent, strict=True) if not arrived)

    def _batches(self, messages: list[bytes]) -> list[list[bytes]]:
        """The messages in as few entries as their size allows."""
        batches: list[list[bytes]] = [[]]
        size = 0
        for message in messages:
            if batches[-1] and size + len(message) > self._max_entry_bytes:
                batches.append([])
                size = 0
            batches[-1].append(message)
            size += len(message)
        return batches
