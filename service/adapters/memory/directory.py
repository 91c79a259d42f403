"""The directory in the memory of one process."""

from collections.abc import Sequence

from service.domain.call import Call, State
from service.domain.ids import CallId, SessionId, UserId
from service.domain.placing import Presence
from service.ports import ConflictError, Free, Precondition, Seat, Unchanged


class _User:
    __slots__ = ("call_id", "sessions")

    def __init__(self) -> None:
        self.sessions: tuple[SessionId, ...] = ()
        self.call_id: CallId | None = None


class MemoryDirectory:
    """`service.ports.Directory` on dictionaries. Atomic, since no method awaits anything."""

    def __init__(self) -> None:
        self._users: dict[UserId, _User] = {}
        self._calls: dict[CallId, Call] = {}
        self._online = 0

    async def seat(self, user: UserId, session: SessionId) -> Seat:
        """See `service.ports.Directory.seat`."""
        known = self._users.setdefault(user, _User())
        displaced = tuple(other for other in known.sessions if other != session)
        self._online += not known.sessions
        known.sessions = (session,)
        return Seat(displaced, self._call_of(known))

    async def vacate(self, user: UserId, session: SessionId) -> bool:
        """See `service.ports.Directory.vacate`."""
        known = self._users.get(user)
        if known is None or session not in known.sessions:
            return False
        known.sessions = tuple(other for other in known.sessions if other != session)
        self._online -= not known.sessions
        self._forget_if_idle(user)
        return True

    async def presence(self, user: UserId) -> Presence:
        """See `service.ports.Directory.presence`."""
        known = self._users.get(user)
        if known is None:
            return Presence(user)
        return Presence(user, known.sessions, self._call_of(known))

    def call_at_hand(self, user: UserId) -> Call | None:
        """See `service.ports.Directory.call_at_hand`."""
        known = self._users.get(user)
        return None if known is None or known.call_id is None else self._calls[known.call_id]

    async def load(self, call_id: CallId) -> Call | None:
        """See `service.ports.Directory.load`."""
        return self._calls.get(call_id)

    def users_online(self) -> int:
        """See `service.ports.Directory.users_online`."""
        return self._online

    async def live_calls(self) -> Sequence[Call]:
        """See `service.ports.Directory.live_calls`."""
        return tuple(self._calls.values())

    async def commit(self, call: Call, preconditions: Sequence[Precondition]) -> None:
        """See `service.ports.Directory.commit`."""
        if not all(self._holds(precondition) for precondition in preconditions):
            raise ConflictError
        if call.state is State.ENDED:
            self._remove(call)
        else:
            self._calls[call.id] = call
            for party in (call.caller, call.callee):
                self._users.setdefault(party.user, _User()).call_id = call.id

    def _holds(self, precondition: Precondition) -> bool:
        match precondition:
            case Unchanged(call_id=call_id, version=version):
                stored = self._calls.get(call_id)
                return (stored.version if stored else 0) == version
            case Free(user=user):
                known = self._users.get(user)
                return known is None or known.call_id is None
            case _:
                known = self._users.get(precondition.user)
                return known is not None and precondition.session in known.sessions

    def _remove(self, call: Call) -> None:
        self._calls.pop(call.id, None)
        for party in (call.caller, call.callee):
            known = self._users.get(party.user)
            if known is not None and known.call_id == call.id:
                known.call_id = None
                self._forget_if_idle(party.user)

    def _forget_if_idle(self, user: UserId) -> None:
        known = self._users[user]
        if not known.sessions and known.call_id is None:
            del self._users[user]

    def _call_of(self, known: _User) -> Call | None:
        return self._calls[known.call_id] if known.call_id is not None else None
