"""Who watches whom on this node: bookkeeping only, without time, waiting or the wire."""

from collections.abc import Iterable
from typing import NamedTuple

from service.domain.ids import SessionId, UserId
from service.errors import TooManyWatchedError


class Status(NamedTuple):
    """What can be seen of a user."""

    online: bool
    in_call: bool


OFFLINE = Status(online=False, in_call=False)
"""A user who is not there, whom nobody knows, or who is not shown."""


class Watcher:
    """One socket that watches one user: who is behind it, and what it was told last."""

    __slots__ = ("times_told", "told", "user")

    def __init__(self, user: UserId) -> None:
        self.user = user
        self.told = OFFLINE
        self.times_told = 0

    def tell(self, status: Status) -> None:
        """Note what the socket is told."""
        self.told = status
        self.times_told += 1


class Watched:
    """One user who is watched: by which sockets, and where the pushes of his status stand.

    `is_resting` while a push is under way and for an interval after it; `is_stale` if he has changed since it began.
    """

    __slots__ = ("by", "is_resting", "is_stale")

    def __init__(self) -> None:
        self.by: dict[SessionId, Watcher] = {}
        self.is_resting = False
        self.is_stale = False


class Watches:
    """The table. `count` is how many pairs of a socket and a watched user it holds. `limit` is for each socket."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._users: dict[UserId, Watched] = {}
        self._sessions: dict[SessionId, set[UserId]] = {}
        self.count = 0

    def watched(self, user: UserId) -> Watched | None:
        """A user who is watched, None if nobody does."""
        return self._users.get(user)

    def watcher(self, session: SessionId, user: UserId) -> Watcher:
        """A socket that watches the user."""
        return self._users[user].by[session]

    def add(self, session: SessionId, by: UserId, users: Iterable[UserId]) -> tuple[UserId, ...]:
        """Let a socket of the user `by` watch these users too. Returns those whom it did not watch before.

        Raises:
            TooManyWatchedError: there would be more than the limit. Nothing has changed.
        """
        mine = self._sessions.get(session, set())
        new = tuple(user for user in dict.fromkeys(users) if user not in mine)
        if len(mine) + len(new) > self._limit:
            raise TooManyWatchedError
        if new:
            self._sessions.setdefault(session, mine).update(new)
        for user in new:
            self._users.setdefault(user, Watched()).by[session] = Watcher(by)
        self.count += len(new)
        return new

    def remove(self, session: SessionId, users: Iterable[UserId]) -> tuple[UserId, ...]:
        """Let a socket watch these users no longer. Returns those whom nobody watches now."""
        mine = self._sessions.get(session, set())
        gone = mine.intersection(users)
        mine -= gone
        if not mine:
            self._sessions.pop(session, None)
        self.count -= len(gone)
        return tuple(user for user in gone if self._forget(session, user))

    def remove_all(self, session: SessionId) -> tuple[UserId, ...]:
        """Let a socket watch nobody. Returns those whom nobody watches now."""
        return self.remove(session, tuple(self._sessions.get(session, ())))

    def _forget(self, session: SessionId, user: UserId) -> bool:
        watched = self._users[user]
        del watched.by[session]
        if watched.by:
            return False
        del self._users[user]
        return True
