"""Call control.

Each request goes the same way: load what it is about, let the domain decide (`step`, `place`), commit the
decision under the preconditions that it was made on, perform its effects. A commit that meets a conflict
decides again on what is there now; so of two events that exclude each other one wins, whichever node they come
from, and the other sees the world that the winner left.

Effects are performed after the commit and nowhere else.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from service.control.outcome import Outcome
from service.control.presence import PresenceControl
from service.control.session import Session
from service.domain.budget import UNLIMITED, Buckets, Rate, Scope
from service.domain.call import Call, IllegalEventError, Policy, Step, due, step
from service.domain.effects import Effect, IceReport, Joined, Relayed, Snapshot
from service.domain.events import Accept, Event, Lost, Reject, Returned, Shutdown, Terminate
from service.domain.ice import IceGrant
from service.domain.ids import CallId, SessionId, UserId
from service.domain.missed import NOTHING, Missed
from service.domain.placing import Attempt, Refusal, RefusedError, place
from service.domain.requests import AskIce, InCall, Initiate, Join, Relay, Request, Status, Unwatch, Watch
from service.errors import (
    AlreadyInCallError,
    AlreadyJoinedError,
    CallExpiredError,
    CallNotFoundError,
    DrainingError,
    NotAllowedError,
    NotJoinedError,
    RateLimitedError,
    ReceiverNotFoundError,
    SelfCallError,
    SignallingError,
    UnauthorizedError,
    UnavailableError,
    UserIdRequiredError,
    UserNotAvailableError,
    UserNotFoundError,
)
from service.ports import (
    Authoriser,
    CallStepped,
    Clock,
    ConflictError,
    Directory,
    Free,
    Observer,
    OutOfReachError,
    Precondition,
    Router,
    Seated,
    Timers,
    Unchanged,
    Undelivered,
)

MAX_ATTEMPTS = 16
"""Decisions on one request before giving up. Each conflict means that somebody else got on, and a call has two
parties and two deadlines: more than a few in a row mean that the directory is broken."""

_REFUSALS: dict[Refusal, type[SignallingError]] = {
    Refusal.SELF: SelfCallError,
    Refusal.IN_CALL: AlreadyInCallError,
    Refusal.OFFLINE: UserNotFoundError,
    Refusal.BUSY: UserNotAvailableError,
}


RETURN_S = 1.0
"""What a client needs at the least to be on another node, once its connection here has been closed."""


class ContentionError(Exception):
    """A commit met `MAX_ATTEMPTS` conflicts in a row."""


class CallControl:
    """Answers the requests of sessions, the deadlines of calls and the loss of sockets.

    Not bound to a loop or a transport. Requests of one session must come one after the other, in the order
    sent; requests of different sessions may interleave at every await.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        router: Router,
        timers: Timers,
        clock: Clock,
        observer: Observer,
        new_call_id: Callable[[], CallId],
        policy: Policy,
        presence: PresenceControl,
        authoriser: Authoriser | None = None,
        hide_presence: bool = False,
        ice: Callable[[Session, CallId | None], IceGrant] | None = None,
        rings: Rate = UNLIMITED,
    ) -> None:
        self._directory = directory
        self._router = router
        self._timers = timers
        self._clock = clock
        self._observer = observer
        self._new_call_id = new_call_id
        self._policy = policy
        self._presence = presence
        self._unsettled: list[tuple[Session, Lost]] = []
        self._authoriser = authoriser or Authoriser()
        self._ice = ice or no_ice
        self._rings: Buckets[UserId] = Buckets(rings)
        self._rings_of_pair: Buckets[tuple[UserId, UserId]] = Buckets(_half(rings))
        self._hide_presence = hide_presence
        self._refuses_calls_until_s: float | None = None
        self._answers: dict[type[Request], Callable[[Session, Request], Awaitable[Outcome]]] = {
            Join: self._join,
            AskIce: self._ask_ice,
            Status: presence.status,
            Watch: presence.watch,
            Unwatch: presence.unwatch,
            Initiate: self._initiate,
            InCall: self._in_call,
            Relay: self._relay,
        }

    async def handle(self, session: Session, request: Request) -> Outcome:
        """Answer a request of a session.

        Raises:
            SignallingError: the request is refused; nothing has changed.
        """
        try:
            return await self._answers[type(request)](session, request)
        except OutOfReachError:
            raise UnavailableError from None

    def relay_now(self, session: Session, request: Relay, missed: Undelivered | None = None) -> CallId | None:
        """Answer a relay without waiting, where its call is at hand. Returns that.

        None, with nothing done, where that cannot be or the request is to be refused: `handle` decides then. Most
        events of a call are candidates, and this is their way. For `missed` see `service.ports.Router.post`.

        Raises:
            IllegalEventError: the call does not take it now. Nothing was done.
        """
        user = session.user
        if user is None or request.sender not in (None, user):
            return None
        call = self._directory.call_at_hand(user)
        if call is None or request.receiver == user or call.role_of_user(request.receiver) is None:
            return None
        now_s = self._clock.now()
        done = step(call, request.event, now_s)
        if not self._router.post(done.effects[0], missed):
            return None
        self._observer.call_stepped(CallStepped(call, call, request.event, done.effects, now_s))
        return call.id

    async def left(self, session: Session, *, goodbye: bool, with_node: bool = False) -> None:
        """The socket of a session is gone. With `goodbye` its client meant it, so that nobody waits for it."""
        await self._lost(session, Lost(by=session.id, goodbye=goodbye, with_node=with_node))

    async def _lost(self, session: Session, event: Lost) -> None:
        """Whoever hears of the loss no longer finds the user online: nothing is waited for between the two."""
        if session.user is None:
            return
        self._presence.left(session.id)
        user = session.user
        try:
            with suppress(CallNotFoundError, IllegalEventError):  # in no call, or taken over by another session
                await self._advance(partial(self._call_of, user), event)
        except OutOfReachError:
            self._unsettled.append((session, event))
        await self._directory.vacate(user, session.id)

    async def evict(self, user: UserId) -> int:
        """Close the sockets of a user, wherever they are. Returns how many there were.

        Raises:
            OutOfReachError: the directory cannot be asked now.
        """
        sessions = (await self._directory.presence(user)).sessions
        for session in sessions:
            await self._router.dismiss(session)
        return len(sessions)

    async def end(self, call_id: CallId) -> bool:
        """End a live call for those who run the service, whichever nodes its parties are at, and tell them.

        False if there is no live call of this id.

        Raises:
            OutOfReachError: the directory cannot be asked now.
        """
        try:
            await self._advance(partial(self._directory.load, call_id), Terminate())
        except CallNotFoundError:
            return False
        return True

    async def settle(self) -> None:
        """The directory can be asked again: catch up with what happened in the meantime.

        Sockets that were lost are missed now. Users who are here, and whom the others took for lost with this node,
        are back.
        """
        unsettled, self._unsettled = self._unsettled, []
        for session, event in unsettled:
            with suppress(OutOfReachError):  # again; it is kept for the next time
                await self._lost(session, event)
        with suppress(OutOfReachError):  # again; there is a next time, too
            for call in await self._directory.live_calls():
                for party in (call.caller, call.callee):
                    if party.away_until_s is not None and self._directory.call_at_hand(party.user) is not None:
                        await self._resume(party.user)

    async def _resume(self, user: UserId) -> None:
        """A user of this node, who never left, takes part in his call again."""
        for session in (await self._directory.presence(user)).sessions:
            call, effects = await self._take_over(session, user, ())
            missed = await self._collect(call, user)
            self._router.tell((*effects, *missed.addressed_to(session)))

    async def wake(self, call_id: CallId) -> None:
        """The deadline of a call has come: do what is due, or wait on if it has moved."""
        call = await self._directory.load(call_id)
        if call is None:
            return
        event = due(call, self._clock.now())
        if event is None:
            self._arm(call)
            return
        with suppress(CallNotFoundError, IllegalEventError):  # answered, ended or rejoined in the meantime
            await self._advance(partial(self._directory.load, call_id), event)

    def is_in_call(self, session: Session) -> bool:
        """Whether the user of a session of this node has a live call."""
        return session.user is not None and self._directory.call_at_hand(session.user) is not None

    def refuse_calls(self, *, until_s: float) -> None:
        """Refuse new calls for good. By this time of the clock all clients of this node have gone."""
        self._refuses_calls_until_s = until_s

    async def shut_down(self) -> None:
        """End every live call of this node and tell the parties."""
        for call in await self._directory.live_calls():
            with suppress(CallNotFoundError):  # ended by itself in the meantime
                await self._advance(partial(self._directory.load, call.id), Shutdown())

    # --- requests -----------------------------------------------------------------------------------------

    async def _join(self, session: Session, request: Request) -> Outcome:
        assert isinstance(request, Join)  # noqa: S101 - dispatched by type
        user = request.user or session.identity.user
        if user is None:
            raise UserIdRequiredError
        if session.user not in (None, user) or session.identity.user not in (None, user):
            raise AlreadyJoinedError
        seat = await self._directory.seat(user, session.id)
        session.user = user
        call, missed = seat.call, NOTHING
        taken_over: tuple[Effect, ...] = ()
        if call is not None and call.role_of(session.id) is None:
            call, taken_over = await self._take_over(session.id, user, seat.displaced)
            missed = await self._collect(call, user)
        grant = self._ice(session, None if call is None else call.id)
        snapshot = _snapshot(call, user, missed)
        kept = len(missed.relays)
        joined = Joined(to=(session.id,), user=user, session=session.id, ice=grant, call=snapshot, kept=kept)
        self._router.tell((joined, *taken_over, *missed.addressed_to(session.id)))
        for displaced in seat.displaced:
            await self._router.dismiss(displaced)
        return Outcome(joined, call.id if call else None)

    async def _take_over(
        self, session: SessionId, user: UserId, displaced: tuple[SessionId, ...]
    ) -> tuple[Call | None, tuple[Effect, ...]]:
        event = Returned(by=session, user=user, displaced=displaced)

        async def while_seated() -> Call | None:
            known = await self._directory.presence(user)
            return known.call if session in known.sessions else None  # another join may have come after

        try:
            done = await self._decide(while_seated, event, (Seated(user, session),))
        except (CallNotFoundError, IllegalEventError):
            return None, ()
        return done.call, done.effects

    async def _collect(self, call: Call | None, user: UserId) -> Missed:
        if call is None:
            return NOTHING
        missed = await self._directory.collect(call.id, user)
        if missed.relays:
            self._observer.messages_missed("delivered", len(missed.relays))
        return missed

    async def _ask_ice(self, session: Session, request: Request) -> Outcome:
        assert isinstance(request, AskIce)  # noqa: S101 - dispatched by type
        if session.user is None:
            raise NotJoinedError
        call = await self._call_of(session.user)
        report = IceReport(to=(session.id,), grant=self._ice(session, None if call is None else call.id))
        self._router.tell((report,))
        return Outcome(report)

    async def _initiate(self, session: Session, request: Request) -> Outcome:
        assert isinstance(request, Initiate)  # noqa: S101 - dispatched by type
        user = session.user
        if user is None:
            raise NotJoinedError
        self._check_rings(user, request.callee)
        for _ in range(MAX_ATTEMPTS):
            # The callee first: his call may be one with the caller (glare), of which this node has not heard yet.
            callee = await self._directory.presence(request.callee)
            caller = await self._directory.presence(user)
            if session.id not in caller.sessions:
                raise NotJoinedError
            if caller.call is None and user != request.callee:  # else refused below for what the caller knows himself
                self._check_stays()
                await self._check_allowed(user, request.callee)
            attempt = Attempt(self._new_call_id(), session.id, caller, callee, request.media)
            try:
                placed = place(attempt, self._policy, self._clock.now())
            except RefusedError as refused:
                raise _REFUSALS[refused.why] from None
            if await self._committed(placed.call, _grounds(attempt)):
                event = Accept(by=session.id) if caller.call else None
                self._observe(caller.call, event, placed)
                self._arm(placed.call)
                self._router.tell(placed.effects)
                return Outcome(_confirmation(placed, session.id), placed.call.id)
        raise ContentionError

    def _check_rings(self, caller: UserId, callee: UserId) -> None:
        now_s = self._clock.now()
        if wait_s := self._rings_of_pair.take((caller, callee), now_s):
            raise RateLimitedError(wait_s, Scope.PAIR)
        if wait_s := self._rings.take(caller, now_s):
            raise RateLimitedError(wait_s, Scope.CALL)

    def _check_stays(self) -> None:
        if self._refuses_calls_until_s is not None:
            raise DrainingError(max(0.0, self._refuses_calls_until_s - self._clock.now()) + RETURN_S)

    async def _check_allowed(self, caller: UserId, callee: UserId) -> None:
        """With hidden presence a callee who may not be called looks like one who is offline, and in the same time."""
        if not await self._authoriser.may_call(caller, callee):
            raise UserNotFoundError if self._hide_presence else NotAllowedError

    async def _in_call(self, session: Session, request: Request) -> Outcome:
        assert isinstance(request, InCall)  # noqa: S101 - dispatched by type
        if session.user is None:
            raise NotJoinedError
        try:
            done = await self._advance(partial(self._directory.load, request.call_id), request.event)
        except (CallNotFoundError, IllegalEventError):
            for_ringing = isinstance(request.event, Accept | Reject)
            raise (CallExpiredError if for_ringing else CallNotFoundError) from None
        return Outcome(_confirmation(done, session.id), done.call.id)

    async def _relay(self, session: Session, request: Request) -> Outcome:
        assert isinstance(request, Relay)  # noqa: S101 - dispatched by type
        user = session.user
        if user is None or request.sender not in (None, user):
            raise UnauthorizedError
        for _ in range(MAX_ATTEMPTS):
            call = await self._call_of(user)
            if call is None or request.receiver == user or call.role_of_user(request.receiver) is None:
                raise ReceiverNotFoundError
            try:
                done = step(call, request.event, self._clock.now())
            except IllegalEventError:
                raise ReceiverNotFoundError from None
            with suppress(ConflictError):  # who was away is back
                if not await self._bring(done, request.receiver):
                    raise ReceiverNotFoundError
                self._observe(call, request.event, done)
                return Outcome(None, call.id)
        raise ContentionError

    async def _bring(self, done: Step, receiver: UserId) -> bool:
        """Bring what is relayed to its receiver, or keep it while he is away. False where neither can be."""
        relay = done.effects[0]
        assert isinstance(relay, Relayed)  # noqa: S101 - the domain's answer to a relay
        if relay.to:
            return bool(set(relay.to) - await self._router.send(done.effects))
        kept = await self._directory.hold(done.call, receiver, relay)
        self._observer.messages_missed("kept" if kept else "overflowed", 1)
        return kept

    # --- load, step, commit, perform ----------------------------------------------------------------------

    async def _call_of(self, user: UserId) -> Call | None:
        return (await self._directory.presence(user)).call

    async def _advance(self, load: Callable[[], Awaitable[Call | None]], event: Event) -> Step:
        done = await self._decide(load, event, ())
        self._router.tell(done.effects)
        return done

    async def _decide(
        self, load: Callable[[], Awaitable[Call | None]], event: Event, grounds: Sequence[Precondition]
    ) -> Step:
        """Load, step and commit, until a commit holds. Sends nothing yet.

        Raises:
            CallNotFoundError: there is nothing to load.
            IllegalEventError: the event may not happen to the call as it now stands.
            ContentionError: the directory refused `MAX_ATTEMPTS` times.
        """
        for _ in range(MAX_ATTEMPTS):
            call = await load()
            if call is None:
                raise CallNotFoundError
            done = step(call, event, self._clock.now())
            if done.call is call or await self._committed(done.call, (Unchanged(call.id, call.version), *grounds)):
                self._observe(call, event, done)
                self._arm(done.call)
                return done
        raise ContentionError

    async def _committed(self, call: Call, preconditions: Sequence[Precondition]) -> bool:
        try:
            await self._directory.commit(call, preconditions)
        except ConflictError:
            return False
        return True

    def _arm(self, call: Call) -> None:
        deadline = call.deadline_s
        if deadline is None:
            self._timers.clear(call.id)
        else:
            self._timers.set(call.id, deadline)

    def _observe(self, before: Call | None, event: Event | None, done: Step) -> None:
        self._observer.call_stepped(CallStepped(before, done.call, event, done.effects, self._clock.now()))


def no_ice(_session: Session, _call: CallId | None) -> IceGrant:
    """No servers for anybody."""
    return IceGrant(())


def _half(rate: Rate) -> Rate:
    """What one pair may use of a user's calls."""
    return Rate(math.ceil(rate.number / 2), rate.period_s)


def _grounds(attempt: Attempt) -> tuple[Precondition, ...]:
    """What an attempt was decided on, and must still be so when it is committed."""
    caller, callee = attempt.caller, attempt.callee
    if caller.call is not None:
        return (Unchanged(caller.call.id, caller.call.version), Seated(caller.user, attempt.session))
    return (
        Unchanged(attempt.call_id, 0),
        Free(caller.user),
        Free(callee.user),
        Seated(caller.user, attempt.session),
        *(Seated(callee.user, session) for session in callee.sessions),
    )


def _confirmation(done: Step, session: SessionId) -> Effect | None:
    """The effect that tells the sender that what he asked for is done: the first that is addressed to him."""
    return next((effect for effect in done.effects if session in effect.to), None)


def _snapshot(call: Call | None, user: UserId, missed: Missed) -> Snapshot | None:
    role = call.role_of_user(user) if call else None
    return replace(call.snapshot(role), missed=missed.overflowed) if call and role else None
