"""The directory that all nodes share.

What concerns this node's own sockets is answered from the copies that it keeps: whoever changes a call tells the
other nodes of it in the same script, so that a copy is behind by the time an inbox takes. Decisions may rest on
a copy since every commit is checked in Redis; where it turns out to be old, it is read again.

While Redis is away (`membership.py`), a call whose sessions are all on this node is decided on here, and written
when Redis is back. Nothing else can be: joins, calls to other nodes, changes of calls with other nodes raise
`OutOfReachError`. A socket may always be lost.
"""

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence

from service.adapters.redis.copies import Copies, Copy, RouteTable
from service.adapters.redis.following import Following
from service.adapters.redis.membership import Membership, Restoration
from service.adapters.redis.pipe import Argument
from service.adapters.redis.scripts import (
    COLLECT,
    COMMIT,
    HOLD,
    LOAD,
    PRESENCE,
    RESTORE_CALL,
    RESTORE_SEATS,
    SEAT,
    VACATE,
)
from service.adapters.redis.wire import PoisonError, decode_record, decode_relays, encode_message, encode_record
from service.domain import missed
from service.domain.call import Call, State
from service.domain.effects import Relayed
from service.domain.ids import CallId, SessionId, UserId
from service.domain.missed import Missed
from service.domain.placing import Presence
from service.ports import (
    ConflictError,
    Free,
    OnChange,
    OutOfReachError,
    Precondition,
    RedisWatch,
    Seat,
    Spawn,
    Unchanged,
)

SEATS_PER_SCRIPT = 100


class RedisDirectory(Restoration):
    """`service.ports.Directory` on Redis."""

    def __init__(self, membership: Membership, spawn: Spawn, watch: RedisWatch) -> None:
        self.routes = RouteTable()
        self._membership = membership
        self._watch = watch
        self.following = Following(membership, spawn)
        self.copies = Copies()
        self._tokens = (f"{membership.node}:{number}" for number in itertools.count(1))
        self._unwritten: dict[CallId, Call] = {}
        self._in_doubt: set[CallId] = set()
        self._risen: set[tuple[UserId, SessionId]] = set()
        self.on_displaced: Callable[[SessionId], None] = lambda _session: None
        """Told of a session of this node that lost its seat to another node while Redis was away."""
        self.on_over: Callable[[Call], None] = lambda _call: None
        """Told of a call of this node that the others ended while this node was taken for dead."""
        self.on_stored: Callable[[Call], None] = lambda _call: None
        """Told of a call that Redis has from this node now, and its deadline with it."""

    # --- service.ports.Directory ------------------------------------------------------------------------------

    async def seat(self, user: UserId, session: SessionId) -> Seat:
        """See `service.ports.Directory.seat`."""
        before, call_before = self.copies.seat_of(user), self.copies.call_of(user)
        self.copies.sit(user, session)  # first, so that what other nodes tell of the user is kept from now on
        try:
            found, record = await self._membership.run(SEAT, user, session)
        except OutOfReachError:
            self.copies.rise(user, session)
            if before is not None:
                self.copies.sit(user, before)
            self._risen.add((user, session))  # it may have been seated
            raise
        self._risen.discard((user, session))
        nodes = _routes(found)
        self.routes.learn(nodes)
        displaced = tuple(dict.fromkeys((*nodes, *((before,) if before not in (None, session) else ()))))
        copy = self._learn(record)
        if copy is None and self.copies.call_of(user) == call_before:
            self._forget_call_of(user)
        self.following.changed_here(user)
        return Seat(displaced, copy.call if copy else None)

    async def vacate(self, user: UserId, session: SessionId) -> bool:
        """See `service.ports.Directory.vacate`. Of a session of this node, at any time."""
        was_here = self.copies.rise(user, session)
        try:
            vacated = bool(await self._membership.run(VACATE, user, session))
        except OutOfReachError:
            if not was_here:
                raise
            self._risen.add((user, session))
            return True
        self.following.changed_here(user)
        return vacated

    async def presence(self, user: UserId) -> Presence:
        """See `service.ports.Directory.presence`."""
        known = self.copies.presence(user)
        return known if known is not None else await self._read_presence(user)

    def call_at_hand(self, user: UserId) -> Call | None:
        """See `service.ports.Directory.call_at_hand`."""
        if self.copies.seat_of(user) is None:
            return None
        copy = self.copies.call_of(user)
        return copy.call if copy else None

    async def load(self, call_id: CallId) -> Call | None:
        """See `service.ports.Directory.load`."""
        copy = self.copies.get(call_id)
        if copy is None:
            copy = self._learn(await self._membership.run(LOAD, call_id))
        return copy.call if copy else None

    def users_online(self) -> int:
        """See `service.ports.Directory.users_online`."""
        return self.copies.users

    async def live_calls(self) -> Sequence[Call]:
        """See `service.ports.Directory.live_calls`: those in which a user takes part who is seated here."""
        return tuple(copy.call for copy in self.copies)

    async def commit(self, call: Call, preconditions: Sequence[Precondition]) -> None:
        """See `service.ports.Directory.commit`.

        Raises:
            OutOfReachError: Redis is away, and the call is not this node's alone. Whether it was stored is
                known when Redis is back.
        """
        copy = self._copy(call)
        conditions: list[Argument] = []
        for precondition in preconditions:
            conditions += _condition(precondition)
        try:
            stored = await self._membership.run(COMMIT, *self._commit_fields(copy), *conditions)
        except OutOfReachError:
            if not self.copies.is_all_here(call):
                self._in_doubt.add(call.id)
                raise
            self._commit_alone(copy, preconditions)
            return
        if not stored:
            await self._look_again(call)
            raise ConflictError
        self.on_stored(call)
        self.copies.keep(copy)
        self.following.changed_here(call.caller.user, call.callee.user)

    async def hold(self, call: Call, user: UserId, relay: Relayed) -> bool:
        """See `service.ports.Directory.hold`."""
        fields = call.id, call.version, user, encode_message(relay), missed.size_of(relay)
        kept = await self._membership.run(HOLD, *fields, missed.MAX_MESSAGES, missed.MAX_BYTES)
        if kept < 0:
            raise ConflictError
        return bool(kept)

    async def collect(self, call_id: CallId, user: UserId) -> Missed:
        """See `service.ports.Directory.collect`."""
        kept, size_bytes, overflowed = await self._membership.run(COLLECT, call_id, user)
        return Missed(decode_relays(kept, self._watch), size_bytes, overflowed)

    def attach(self, on_change: OnChange) -> None:
        """See `service.ports.Directory.attach`."""
        self.following.attach(on_change)

    async def follow(self, users: Collection[UserId]) -> None:
        """See `service.ports.Directory.follow`. Of what other nodes change it tells within `following.LOOK_S`."""
        await self.following.follow(users)

    def unfollow(self, users: Collection[UserId]) -> None:
        """See `service.ports.Directory.unfollow`."""
        self.following.unfollow(users)

    # --- what other nodes tell ----------------------------------------------------------------------------------

    def call_changed(self, record: bytes) -> None:
        """Another node has changed a call."""
        self._learn(record)

    def call_over(self, call_id: CallId, record: bytes | None = None) -> None:
        """Another node has ended a call; `record` is its last, from a node that sends it."""
        last = self._read(record)
        self.copies.end(call_id)
        self._watch.call_over(call_id, last.call if last else None)

    def seat_lost(self, user: UserId, session: SessionId) -> None:
        """Another node has seated the user."""
        self.copies.rise(user, session)

    # --- when Redis is back -------------------------------------------------------------------------------------

    async def restore(self, *, everything: bool, forgotten: bool) -> None:
        """Write what is not in Redis; take from it what others have decided."""
        if everything:
            await self._restore_seats(self.copies.seats())
            for copy in self.copies:
                await self._restore_call(copy.call, forgotten=forgotten)
        while self._risen or self._unwritten or self._in_doubt:
            await self._vacate_risen()
            for call in tuple(self._unwritten.values()):
                await self._restore_call(call, forgotten=forgotten)
                if self._unwritten.get(call.id) is call:
                    del self._unwritten[call.id]
            for call_id in tuple(self._in_doubt):
                await self._resolve(call_id)
                self._in_doubt.discard(call_id)

    async def _vacate_risen(self) -> None:
        for user, session in tuple(self._risen):
            await self._membership.command(VACATE, user, session)
            self._risen.discard((user, session))
            here = self.copies.seat_of(user)
            if here is not None:  # a join that failed may have displaced it
                await self._restore_seats(((user, here),))

    async def _restore_seats(self, seats: Sequence[tuple[UserId, SessionId]]) -> None:
        for start in range(0, len(seats), SEATS_PER_SCRIPT):
            chunk = seats[start : start + SEATS_PER_SCRIPT]
            lost = await self._membership.command(RESTORE_SEATS, *itertools.chain.from_iterable(chunk))
            gone = {SessionId(session.decode()) for session in lost}
            for user, session in chunk:
                if session in gone and self.copies.rise(user, session):
                    self.on_displaced(session)

    async def _restore_call(self, call: Call, *, forgotten: bool) -> None:
        if call.state is State.ENDED:
            copy = self._copy(call)
            await self._membership.command(COMMIT, *self._commit_fields(copy))
            return
        may_be_missing = forgotten or self.copies.is_all_here(call)
        fields = self._fields(self._copy(call))
        result, *record = await self._membership.command(RESTORE_CALL, *fields, int(may_be_missing))
        self._watch.call_restored(result.decode())
        if result == b"theirs":
            self._learn(record[0])
        elif result == b"over" and self.copies.get(call.id) is not None:
            self.call_over(call.id)
            self.on_over(call)

    async def _resolve(self, call_id: CallId) -> None:
        """A commit was interrupted: take what Redis has."""
        record = await self._membership.command(LOAD, call_id)
        if record is None:
            self.call_over(call_id)
        else:
            self._learn(record)

    # --- copies -------------------------------------------------------------------------------------------------

    def _copy(self, call: Call) -> Copy:
        routes: dict[SessionId, str] = {}
        for user, session in _sessions(call):
            here = self.copies.seat_of(user) == session
            node = self._membership.node if here else self.routes.node_of(session)
            if node is not None:
                routes[session] = node
        return Copy(call, routes)

    def _fields(self, copy: Copy) -> tuple[Argument, ...]:
        """The arguments that say what is to be stored."""
        call = copy.call
        ended = call.state is State.ENDED
        record = b"" if ended else encode_record(call, copy.routes, self._membership.time)
        nodes = " ".join(dict.fromkeys(copy.routes.values()))
        return call.id, call.version, record, next(self._tokens), call.caller.user, call.callee.user, nodes

    def _commit_fields(self, copy: Copy) -> tuple[Argument, ...]:
        """The same, what the other nodes of a call that has ended are told for those who watch, and its deadline."""
        call, time = copy.call, self._membership.time
        last_words = encode_record(call, {}, time) if call.state is State.ENDED else b""
        deadline_s = call.deadline_s
        return *self._fields(copy), last_words, b"" if deadline_s is None else time.to_ms(deadline_s)

    def _read(self, record: bytes | None) -> Copy | None:
        if record is None:
            return None
        try:
            return Copy(*decode_record(record, self._membership.time))
        except PoisonError as poison:
            self._watch.poison_ignored(poison.kind)
            return None

    def _learn(self, record: bytes | None) -> Copy | None:
        """Read a record, and keep what it says if it is news."""
        copy = self._read(record)
        if copy is None:
            return None
        self.routes.learn({session: node for session, node in copy.routes.items() if node != self._membership.node})
        known = self.copies.get(copy.call.id)
        if known is None or known.call.version < copy.call.version:
            self.copies.keep(copy)
            if self.copies.get(copy.call.id) is copy:
                self._watch.call_changed(copy.call)
        return copy

    def _commit_alone(self, copy: Copy, preconditions: Sequence[Precondition]) -> None:
        if not self.copies.hold(preconditions):
            raise ConflictError
        self.copies.keep(copy)
        self._unwritten[copy.call.id] = copy.call

    async def _read_presence(self, user: UserId) -> Presence:
        found, record = await self._membership.run(PRESENCE, user)
        nodes = _routes(found)
        self.routes.learn({session: node for session, node in nodes.items() if node != self._membership.node})
        copy = self._learn(record)
        return Presence(user, tuple(nodes), copy.call if copy else None)

    async def _look_again(self, call: Call) -> None:
        """A commit met a conflict: what this node knows of the call or its parties is old."""
        for user in (call.caller.user, call.callee.user):
            session, before = self.copies.seat_of(user), self.copies.call_of(user)
            if session is None:
                continue
            found = await self._read_presence(user)
            if session not in found.sessions:
                self.copies.rise(user, session)
            if found.call is None and self.copies.call_of(user) == before:
                self._forget_call_of(user)

    def _forget_call_of(self, user: UserId) -> None:
        copy = self.copies.call_of(user)
        if copy is not None:
            self.copies.forget(copy.call.id)


def _sessions(call: Call) -> Iterator[tuple[UserId, SessionId]]:
    for party in (call.caller, call.callee):
        for session in party.sessions:
            yield party.user, session


def _routes(found: Sequence[bytes]) -> dict[SessionId, str]:
    """Sessions and nodes in turn, as scripts give them."""
    return {SessionId(session.decode()): node.decode() for session, node in zip(found[::2], found[1::2], strict=True)}


def _condition(precondition: Precondition) -> tuple[Argument, ...]:
    match precondition:
        case Unchanged(call_id=call_id, version=version):
            return "v", call_id, version
        case Free(user=user):
            return "f", user, ""
        case _:
            return "s", precondition.user, precondition.session
