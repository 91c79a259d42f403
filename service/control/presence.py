"""Presence: `user:status` when asked, and pushed to those who watch.

The watches are this node's own, since a socket is. What ties nodes together is the directory: it tells of every
change of a user whom this node follows, whichever node made it (`service.ports.Directory.follow`).

Why the last state always arrives: a change that comes while a push is under way, or in the interval after it, leads
to another push, and each push reads the directory anew. So whatever was read too early is put right by a later push.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

from service.control.outcome import Outcome
from service.control.session import Session
from service.control.watches import OFFLINE, Status, Watched, Watcher, Watches
from service.domain import requests
from service.domain.budget import UNLIMITED, Buckets, Rate, Scope
from service.domain.effects import StatusReport
from service.domain.ids import SessionId, UserId
from service.domain.requests import Request
from service.errors import NotJoinedError, RateLimitedError
from service.ports import Authoriser, Clock, Directory, Observer, Router, Spawn

PUSH_INTERVAL_S = 0.2
"""A watcher is pushed the status of one user at most once in this time. The first change goes out at once."""

BATCH = 256
"""Watchers of one user who are told in one go. Then others get their turn of the loop."""

MAX_QUESTIONS = 50
"""Questions to the authoriser that watches have open at a time. The rest of its places are for calls."""

DEFAULT_MAX_WATCHED = 256


class PresenceControl:
    """Answers `user:status`, `user:watch` and `user:unwatch`, and pushes changes to watchers."""

    def __init__(
        self,
        *,
        directory: Directory,
        router: Router,
        clock: Clock,
        spawn: Spawn,
        observer: Observer,
        authoriser: Authoriser,
        hide_presence: bool = False,
        max_watched: int = DEFAULT_MAX_WATCHED,
        lookups: Rate = UNLIMITED,
    ) -> None:
        self._directory = directory
        self._router = router
        self._clock = clock
        self._spawn = spawn
        self._observer = observer
        self._authoriser = authoriser
        self._hide_presence = hide_presence
        self._watches = Watches(max_watched)
        self._lookups: Buckets[UserId | SessionId] = Buckets(lookups)
        self._questions = asyncio.Semaphore(MAX_QUESTIONS)

    def watches(self) -> int:
        """How many users are watched on this node, counted once for each socket that does. From any thread."""
        return self._watches.count

    async def status(self, session: Session, request: Request) -> Outcome:
        """Answer `user:status`.

        Raises:
            RateLimitedError: it was asked for too many users.
        """
        assert isinstance(request, requests.Status)  # noqa: S101 - dispatched by type
        self._check_lookups(session, 1)
        shown = await self._may_see(session.user, request.user)
        status = await self._now(request.user) if shown else OFFLINE
        report = StatusReport(to=(session.id,), user=request.user, online=status.online, in_call=status.in_call)
        self._router.tell((report,))
        return Outcome(report)

    async def watch(self, session: Session, request: Request) -> Outcome:
        """Let a socket watch users from now on, and tell it how they are now.

        Raises:
            NotJoinedError: it speaks for nobody.
            RateLimitedError: it was asked for too many users.
            TooManyWatchedError: it would watch more than the limit.
        """
        assert isinstance(request, requests.Watch)  # noqa: S101 - dispatched by type
        if session.user is None:
            raise NotJoinedError
        users = tuple(dict.fromkeys(request.users))
        self._check_lookups(session, len(users))
        new = self._watches.add(session.id, session.user, users)
        answered = False
        try:
            await self._directory.follow(users)
            await self._answer(session.id, session.user, users)
            answered = True
        finally:
            if not answered:
                self._release(self._watches.remove(session.id, new))
        return Outcome()

    async def unwatch(self, session: Session, request: Request) -> Outcome:
        """Let a socket watch users no longer. Harmless for those whom it does not watch.

        Raises:
            NotJoinedError: it speaks for nobody.
        """
        assert isinstance(request, requests.Unwatch)  # noqa: S101 - dispatched by type
        if session.user is None:
            raise NotJoinedError
        self._release(self._watches.remove(session.id, request.users))
        return Outcome()

    def left(self, session: SessionId) -> None:
        """A socket is gone, and its watches with it."""
        self._release(self._watches.remove_all(session))

    def changed(self, user: UserId) -> None:
        """The directory tells of a change: push it to those who watch, now or when the interval is over."""
        watched = self._watches.watched(user)
        if watched is None:
            return
        if watched.is_resting:
            watched.is_stale = True
            return
        watched.is_resting = True
        self._spawn("push of a user's status", self._push(user, watched))

    def _check_lookups(self, session: Session, users: int) -> None:
        """Each user who is looked up counts: that is what an answer costs, whichever event asks."""
        if wait_s := self._lookups.take(session.user or session.id, self._clock.now(), users):
            raise RateLimitedError(wait_s, Scope.LOOKUP)

    # --- one answer ---------------------------------------------------------------------------------------

    async def _answer(self, session: SessionId, asker: UserId, users: Sequence[UserId]) -> None:
        shown = await self._all_may_see((asker, user) for user in users)
        for user, is_shown in zip(users, shown, strict=True):
            watcher = self._watches.watcher(session, user)
            times_told = watcher.times_told
            status = await self._now(user) if is_shown else OFFLINE
            if watcher.times_told == times_told:  # else a push came in between, and knows better
                watcher.tell(status)
            self._post((session,), user, watcher.told)

    def _release(self, users: Sequence[UserId]) -> None:
        if users:
            self._directory.unfollow(users)

    # --- one push -----------------------------------------------------------------------------------------

    async def _push(self, user: UserId, watched: Watched) -> None:
        watched.is_stale = False
        watchers = tuple(watched.by.items())  # who comes later is told by his own answer
        try:
            for start in range(0, len(watchers), BATCH):
                if start:
                    await asyncio.sleep(0)
                await self._push_to(watchers[start : start + BATCH], user, watched)
        finally:
            rested_at_s = self._clock.now() + PUSH_INTERVAL_S
            self._clock.call_at(rested_at_s, partial(self._rested, user, watched))

    def _rested(self, user: UserId, watched: Watched) -> None:
        watched.is_resting = False
        if watched.is_stale:
            self.changed(user)

    async def _push_to(self, watchers: Sequence[tuple[SessionId, Watcher]], user: UserId, watched: Watched) -> None:
        shown = await self._all_may_see((watcher.user, user) for _, watcher in watchers)
        now = await self._now(user)
        for is_shown, status in ((True, now), (False, OFFLINE)):
            behind = [
                (session, watcher)
                for (session, watcher), may_see in zip(watchers, shown, strict=True)
                if may_see is is_shown and watcher.told != status and watched.by.get(session) is watcher
            ]
            for _, watcher in behind:
                watcher.tell(status)
            if behind:
                self._post(tuple(session for session, _ in behind), user, status)
                self._observer.statuses_pushed(len(behind))

    def _post(self, to: tuple[SessionId, ...], user: UserId, status: Status) -> None:
        """Tell sockets of this node. Nothing may come between noting what they are told and telling it."""
        self._router.post(StatusReport(to=to, user=user, online=status.online, in_call=status.in_call))

    # --- what can be seen ---------------------------------------------------------------------------------

    async def _now(self, user: UserId) -> Status:
        known = await self._directory.presence(user)
        return Status(online=bool(known.sessions), in_call=known.call is not None)

    async def _may_see(self, asker: UserId | None, user: UserId) -> bool:
        if not self._hide_presence or asker == user:
            return True
        return asker is not None and await self._authoriser.may_call(asker, user)

    async def _all_may_see(self, pairs: Iterable[tuple[UserId, UserId]]) -> Sequence[bool]:
        """Whether each asker sees the user beside him."""
        if not self._hide_presence:
            return [True for _ in pairs]
        return await asyncio.gather(*(self._in_turn(asker, user) for asker, user in pairs))

    async def _in_turn(self, asker: UserId, user: UserId) -> bool:
        async with self._questions:
            return await self._may_see(asker, user)
