"""What this node knows by itself: its seats, and a copy of every call in which one of them takes part."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from service.adapters.redis.wire import Routes
from service.domain.call import Call, State
from service.domain.ids import CallId, SessionId, UserId
from service.domain.placing import Presence
from service.ports import Free, Precondition, Unchanged

MAX_ROUTES = 200_000
"""Sessions of other nodes whose node is remembered. Those in use stay; more than a node has calls."""


MAX_OVER = 20_000
"""Ended calls that are remembered, so that late news of one does not bring it back."""


class Copy(NamedTuple):
    """A call, and which node each of its sessions is on."""

    call: Call
    routes: Routes


class RouteTable:
    """Which node a session of another node is on. A session never moves; its user gets another one."""

    def __init__(self) -> None:
        self._nodes: dict[SessionId, str] = {}

    def learn(self, routes: Routes) -> None:
        """Remember where sessions are, and forget those that were not asked for longest."""
        self._nodes.update(routes)
        surplus = len(self._nodes) - MAX_ROUTES
        if surplus > 0:
            for session in tuple(itertools.islice(self._nodes, surplus)):
                del self._nodes[session]

    def node_of(self, session: SessionId) -> str | None:
        """Where a session is, None if that is not known."""
        node = self._nodes.pop(session, None)
        if node is not None:
            self._nodes[session] = node  # the last to be forgotten
        return node


class Copies:
    """The seats of this node and the calls that they are in. Nothing else is kept here."""

    def __init__(self) -> None:
        self._seats: dict[UserId, SessionId] = {}
        self._calls: dict[CallId, Copy] = {}
        self._call_ids: dict[UserId, CallId] = {}
        self._over: dict[CallId, None] = {}

    # --- seats ----------------------------------------------------------------------------------------------

    @property
    def users(self) -> int:
        """How many users are seated here."""
        return len(self._seats)

    def seats(self) -> tuple[tuple[UserId, SessionId], ...]:
        """Who is seated here, and in which session."""
        return tuple(self._seats.items())

    def sit(self, user: UserId, session: SessionId) -> None:
        """The session speaks for the user."""
        self._seats[user] = session

    def rise(self, user: UserId, session: SessionId) -> bool:
        """It does not any more. False if it did not. Forgets a call in which nobody of this node is left."""
        if self._seats.get(user) != session:
            return False
        del self._seats[user]
        copy = self.call_of(user)
        if copy is not None and not self._is_of_interest(copy.call):
            self.forget(copy.call.id)
        return True

    def seat_of(self, user: UserId) -> SessionId | None:
        """The session that speaks for the user here."""
        return self._seats.get(user)

    def presence(self, user: UserId) -> Presence | None:
        """What is known of a user who is seated here; None for all others."""
        session = self._seats.get(user)
        if session is None:
            return None
        copy = self.call_of(user)
        return Presence(user, (session,), copy.call if copy else None)

    # --- calls ----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Copy]:
        return iter(tuple(self._calls.values()))

    def get(self, call_id: CallId) -> Copy | None:
        """The copy of this call."""
        return self._calls.get(call_id)

    def is_past_ringing(self, call_id: CallId) -> bool:
        """Whether this node knows that the call was answered or is over."""
        copy = self._calls.get(call_id)
        return call_id in self._over or (copy is not None and copy.call.state is not State.RINGING)

    def call_of(self, user: UserId) -> Copy | None:
        """The copy of the user's call, if there is one here."""
        call_id = self._call_ids.get(user)
        return self._calls[call_id] if call_id is not None else None

    def keep(self, copy: Copy) -> None:
        """Keep a copy in the place of an older one; of a call that concerns nobody here, or is over, none."""
        call = copy.call
        if call.state is State.ENDED:
            self.end(call.id)
        if call.id in self._over or not self._is_of_interest(call):
            self.forget(call.id)
            return
        for user in _users(call):
            other = self._call_ids.get(user)
            if other not in (None, call.id):
                self.forget(other)
            self._call_ids[user] = call.id
        self._calls[call.id] = copy

    def end(self, call_id: CallId) -> None:
        """The call is over: drop the copy and take no other."""
        self.forget(call_id)
        self._over[call_id] = None
        if len(self._over) > MAX_OVER:
            del self._over[next(iter(self._over))]

    def forget(self, call_id: CallId | None) -> None:
        """Drop a copy. Harmless when there is none."""
        copy = self._calls.pop(call_id, None) if call_id is not None else None
        for user in _users(copy.call) if copy else ():
            if self._call_ids.get(user) == call_id:
                del self._call_ids[user]

    def is_all_here(self, call: Call) -> bool:
        """Whether every session of the call is seated on this node, which then may decide on it alone."""
        parties = (call.caller, call.callee)
        return any(party.sessions for party in parties) and all(
            self._seats.get(party.user) == session for party in parties for session in party.sessions
        )

    def hold(self, preconditions: Iterable[Precondition]) -> bool:
        """Whether all preconditions hold as far as this node knows."""
        return all(self._holds(precondition) for precondition in preconditions)

    def _holds(self, precondition: Precondition) -> bool:
        match precondition:
            case Unchanged(call_id=call_id, version=version):
                copy = self._calls.get(call_id)
                return (copy.call.version if copy else 0) == version
            case Free(user=user):
                return user not in self._call_ids
            case _:
                return self._seats.get(precondition.user) == precondition.session

    def _is_of_interest(self, call: Call) -> bool:
        return any(user in self._seats for user in _users(call))


def _users(call: Call) -> Sequence[UserId]:
    return call.caller.user, call.callee.user
