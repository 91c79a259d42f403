"""The life of a call: the rules as a table, and `step`, which applies them.

The rules, in words:

1.  A call has a caller and a callee. It binds *sessions*, not users: the caller's one session, and all sessions
    of the callee that are rung, of which the one that accepts stays.
2.  Whatever a call does stands in `TRANSITIONS`. A pair of state and event that is not there is illegal: `step`
    raises, and nothing has changed, since a call is immutable.
3.  Offers, answers and candidates are relayed from ringing on and do not move the call. After the answer they
    are renegotiation or ICE restart, under the same rule.
4.  Time is an argument. `Call.deadline_s` says when the call wants to be woken, `due` what has then come due.
5.  Every change makes a new version of the call, so that a store can refuse what was decided on an old one.
6.  What a party reports on its media changes nothing. It is taken from the answer to the end.

Times are seconds on one clock that never goes back; which one is the caller's business.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from service.domain.effects import (
    Accepted,
    Effect,
    Ended,
    Incoming,
    Initiated,
    PeerReconnected,
    PeerReconnecting,
    Reason,
    Rejected,
    RelayAnswer,
    RelayCandidate,
    RelayOffer,
    Role,
    Snapshot,
)
from service.domain.events import (
    Accept,
    Answer,
    Candidate,
    Event,
    GraceOver,
    HangUp,
    Lost,
    Media,
    MediaUp,
    NoAnswer,
    Offer,
    PartyEvent,
    QualityReport,
    Reject,
    Returned,
    Shutdown,
    Terminate,
)
from service.domain.ids import CallId, SessionId, UserId
from service.domain.words import Word


class State(Word):
    """Where a call stands. Only `ended` is final, and nothing is legal in it."""

    RINGING = "ringing"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    ENDED = "ended"


class Policy(msgspec.Struct, frozen=True):
    """The durations that a call is placed under. They stay with it for its life."""

    ring_timeout_s: float = 30.0
    reconnect_grace_s: float = 10.0


class Party(msgspec.Struct, frozen=True):
    """One side of a call. `away_until_s` is set while its last session is lost and may still return."""

    user: UserId
    sessions: tuple[SessionId, ...]
    away_until_s: float | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call at one moment. `version` counts its changes from 1."""

    id: CallId
    media: Media
    caller: Party
    callee: Party
    placed_at_s: float
    ring_until_s: float
    reconnect_grace_s: float
    state: State = State.RINGING
    version: int = 1
    answered_at_s: float | None = None
    connected_at_s: float | None = None
    ended_at_s: float | None = None
    reason: Reason | None = None

    @property
    def deadline_s(self) -> float | None:
        """When the call wants to be woken, None for never."""
        if self.state is State.ENDED:
            return None
        times = [party.away_until_s for party in (self.caller, self.callee) if party.away_until_s is not None]
        if self.state is State.RINGING:
            times.append(self.ring_until_s)
        return min(times, default=None)

    def party(self, role: Role) -> Party:
        """The party that has this role."""
        return self.caller if role is Role.CALLER else self.callee

    def peer(self, role: Role) -> Party:
        """The party that has the other role."""
        return self.callee if role is Role.CALLER else self.caller

    def role_of(self, session: SessionId) -> Role | None:
        """The role that this session has in the call, None for a stranger's."""
        if session in self.caller.sessions:
            return Role.CALLER
        return Role.CALLEE if session in self.callee.sessions else None

    def role_of_user(self, user: UserId) -> Role | None:
        """The role that this user has in the call, None for a stranger."""
        if user == self.caller.user:
            return Role.CALLER
        return Role.CALLEE if user == self.callee.user else None

    def snapshot(self, role: Role) -> Snapshot:
        """The call as the party of this role needs to know it to go on with it."""
        return Snapshot(call_id=self.id, media=self.media, role=role, peer=self.peer(role).user, state=self.state.value)


class Step(msgspec.Struct, frozen=True, gc=False):
    """What an event comes to: the call after it (the same object if it did not change) and the effects."""

    call: Call
    effects: tuple[Effect, ...]


class IllegalEventError(Exception):
    """This event may not happen to this call now. Nothing has changed."""

    def __init__(self, call: Call, event: Event) -> None:
        super().__init__(f"{type(event).__name__} is illegal in state {call.state}")


def ring(call_id: CallId, caller: Party, callee: Party, media: Media, policy: Policy, now: float) -> Step:
    """A new call, ringing at all sessions of the callee. The callee hears of it before the caller does."""
    call = Call(
        id=call_id,
        media=media,
        caller=caller,
        callee=callee,
        placed_at_s=now,
        ring_until_s=now + policy.ring_timeout_s,
        reconnect_grace_s=policy.reconnect_grace_s,
    )
    return Step(
        call,
        (
            Incoming(to=callee.sessions, call_id=call_id, caller=caller.user, media=media),
            Initiated(to=caller.sessions, call_id=call_id, callee=callee.user),
        ),
    )


def step(call: Call, event: Event, now: float) -> Step:
    """Apply one event to a call.

    Args:
        call: the call as it stands; it is not changed.
        event: what happens.
        now: the time in seconds, on the clock that the call was placed on.

    Raises:
        IllegalEventError: the event has no row in `TRANSITIONS` for this state and this party, a party event
            comes from a session that is not in the call, or a deadline event comes before its time.
    """
    role = _role(call, event)
    for row in _ROWS.get((call.state, type(event), role), ()):
        if row.when is None or row.when(call, event, now):
            return row.act(_Occasion(call, event, row, role, now))
    raise IllegalEventError(call, event)


def due(call: Call, now: float) -> Event | None:
    """The event that has come due at `now`, None where the call's deadline is still ahead."""
    deadline = call.deadline_s
    if deadline is None or now < deadline:
        return None
    return NoAnswer() if call.state is State.RINGING and now >= call.ring_until_s else GraceOver()


def _role(call: Call, event: Event) -> Role | None:
    """Who causes the event. A stranger has no role, as the server has none, and none of its events has a row."""
    if isinstance(event, Returned):
        return call.role_of_user(event.user)
    return call.role_of(event.by) if isinstance(event, PartyEvent) else None


# --- What a row does ---------------------------------------------------------------------------------------


class _Occasion(msgspec.Struct, frozen=True, gc=False):
    call: Call
    event: Event
    row: "Transition"
    role: Role | None
    now: float


Act = Callable[[_Occasion], Step]
Guard = Callable[[Call, Event, float], bool]
E = TypeVar("E", bound=Event)


def _everybody(call: Call) -> tuple[SessionId, ...]:
    return call.caller.sessions + call.callee.sessions


def _with_party(call: Call, role: Role, party: Party, **changes: object) -> Call:
    changes["caller" if role is Role.CALLER else "callee"] = party
    return replace(call, version=call.version + 1, **changes)


def _finish(call: Call, reason: Reason, now: float) -> Call:
    return replace(call, state=State.ENDED, reason=reason, ended_at_s=now, version=call.version + 1)


def _typed(kind: type[E], event: Event) -> E:
    """The event as the type that its row in the table promises."""
    assert isinstance(event, kind)  # noqa: S101 - the table decides; this tells the type checker
    return event


def _party_role(at: _Occasion) -> Role:
    """The role in a row that only parties' events reach."""
    assert at.role is not None  # noqa: S101 - the table decides; this tells the type checker
    return at.role


def _accept(at: _Occasion) -> Step:
    by = _typed(Accept, at.event).by
    callee = at.call.callee
    others = tuple(session for session in callee.sessions if session != by)
    call = _with_party(at.call, Role.CALLEE, replace(callee, sessions=(by,)), state=at.row.to, answered_at_s=at.now)
    effects: tuple[Effect, ...] = (Accepted(to=_everybody(call), call_id=call.id, by=callee.user),)
    if others:
        elsewhere = Ended(to=others, call_id=call.id, by=callee.user, reason=Reason.ANSWERED_ELSEWHERE)
        effects += (elsewhere,)
    return Step(call, effects)


def _reject(at: _Occasion) -> Step:
    reason = Reason.BUSY if _typed(Reject, at.event).busy else Reason.REJECTED
    return _rejected(at, reason)


def _no_answer(at: _Occasion) -> Step:
    return _rejected(at, Reason.NO_ANSWER)


def _rejected(at: _Occasion, reason: Reason) -> Step:
    call = at.call
    effect = Rejected(to=_everybody(call), call_id=call.id, by=call.callee.user, reason=reason)
    return Step(_finish(call, reason, at.now), (effect,))


def _hang_up(at: _Occasion) -> Step:
    failed = _typed(HangUp, at.event).failed
    return _ended(at, Reason.FAILED if failed else at.row.reason, at.call.party(_party_role(at)).user)


def _by_nobody(at: _Occasion) -> Step:
    return _ended(at, at.row.reason, None)


def _ended(at: _Occasion, reason: Reason | None, by: UserId | None) -> Step:
    assert reason is not None  # noqa: S101 - rows that end a call name the reason
    call = at.call
    effect = Ended(to=_everybody(call), call_id=call.id, by=by, reason=reason)
    return Step(_finish(call, reason, at.now), (effect,))


def _relay(at: _Occasion) -> Step:
    role = _party_role(at)
    sender, to = at.call.party(role).user, at.call.peer(role).sessions
    effect: Effect
    match at.event:
        case Offer(description=description, media=media):
            media = media or at.call.media
            effect = RelayOffer(to=to, sender=sender, description=description, media=media)
        case Answer(description=description):
            effect = RelayAnswer(to=to, sender=sender, description=description)
        case _:
            candidate = _typed(Candidate, at.event).candidate
            effect = RelayCandidate(to=to, sender=sender, candidate=candidate)
    return Step(at.call, (effect,))


def _media_up(at: _Occasion) -> Step:
    if at.call.state is at.row.to:
        return Step(at.call, ())
    call = replace(at.call, state=at.row.to, connected_at_s=at.now, version=at.call.version + 1)
    return Step(call, ())


def _noted(at: _Occasion) -> Step:
    return Step(at.call, ())


def _without_lost(at: _Occasion) -> Party:
    party = at.call.party(_party_role(at))
    by = _typed(Lost, at.event).by
    return replace(party, sessions=tuple(session for session in party.sessions if session != by))


def _one_fewer(at: _Occasion) -> Step:
    return Step(_with_party(at.call, _party_role(at), _without_lost(at)), ())


def _away(at: _Occasion) -> Step:
    call, role = at.call, _party_role(at)
    party = replace(_without_lost(at), away_until_s=at.now + call.reconnect_grace_s)
    effect = PeerReconnecting(to=call.peer(role).sessions, call_id=call.id, user=party.user)
    return Step(_with_party(call, role, party), (effect,))


def _gone(at: _Occasion) -> Step:
    role = _party_role(at)
    call = _with_party(at.call, role, _without_lost(at))
    return _ended(replace(at, call=call), at.row.reason, call.party(role).user)


def _grace_over(at: _Occasion) -> Step:
    caller = at.call.caller
    absent = caller if _is_over(caller.away_until_s, at.now) else at.call.callee
    return _ended(at, at.row.reason, absent.user)


def _returned(at: _Occasion) -> Step:
    call, role, event = at.call, _party_role(at), _typed(Returned, at.event)
    before = call.party(role)
    displaced = tuple(session for session in before.sessions if session in event.displaced)
    kept: tuple[SessionId, ...] = ()
    effects: tuple[Effect, ...] = ()
    if displaced:
        effects += (Ended(to=displaced, call_id=call.id, by=before.user, reason=Reason.REPLACED),)
    if before.away_until_s is not None:
        effects += (PeerReconnected(to=call.peer(role).sessions, call_id=call.id, user=before.user),)
    if call.state is State.RINGING and role is Role.CALLEE:
        kept = tuple(s for s in before.sessions if s not in event.displaced and s != event.by)
        ringing = Incoming(to=(event.by,), call_id=call.id, caller=call.caller.user, media=call.media)
        effects += (ringing,)
    party = Party(user=before.user, sessions=(*kept, event.by))
    return Step(_with_party(call, role, party), effects)


# --- When a row applies ------------------------------------------------------------------------------------


def _is_over(deadline: float | None, now: float) -> bool:
    return deadline is not None and deadline <= now


def ring_time_is_over(call: Call, event: Event, now: float) -> bool:
    """The ring timeout has passed."""
    return _is_over(call.ring_until_s, now)


def grace_is_over(call: Call, event: Event, now: float) -> bool:
    """A lost party's time to return has passed."""
    return _is_over(call.caller.away_until_s, now) or _is_over(call.callee.away_until_s, now)


def other_sessions_remain(call: Call, event: Event, now: float) -> bool:
    """The party has further sessions in the call."""
    lost = _typed(Lost, event)
    return any(lost.by in sessions and len(sessions) > 1 for sessions in _all_sessions(call))


def may_return(call: Call, event: Event, now: float) -> bool:
    """The transport was lost without a goodbye, and the call grants time to return."""
    return call.reconnect_grace_s > 0 and not _typed(Lost, event).goodbye


def _all_sessions(call: Call) -> tuple[tuple[SessionId, ...], ...]:
    return call.caller.sessions, call.callee.sessions


# --- The table ---------------------------------------------------------------------------------------------


class Transition(NamedTuple):
    """One row: in `state`, `event` from `role` (None: the server) leads to `to`, `when` its guard holds.

    Of several rows for the same state, event and role the first whose guard holds applies.
    """

    state: State
    event: type[Event]
    role: Role | None
    to: State
    act: Act
    reason: Reason | None = None
    when: Guard | None = None


_LIVE = (State.RINGING, State.CONNECTING, State.CONNECTED)
_ENDED = State.ENDED

TRANSITIONS: tuple[Transition, ...] = (
    Transition(State.RINGING, Accept, Role.CALLEE, State.CONNECTING, _accept),
    Transition(State.RINGING, Reject, Role.CALLEE, _ENDED, _reject, Reason.REJECTED),
    Transition(State.RINGING, HangUp, Role.CALLER, _ENDED, _hang_up, Reason.CANCELLED),
    Transition(State.RINGING, HangUp, Role.CALLEE, _ENDED, _hang_up, Reason.REJECTED),
    Transition(State.RINGING, NoAnswer, None, _ENDED, _no_answer, Reason.NO_ANSWER, ring_time_is_over),
    *(
        Transition(state, MediaUp, role, State.CONNECTED, _media_up)
        for state in (State.CONNECTING, State.CONNECTED)
        for role in Role
    ),
    *(
        Transition(state, QualityReport, role, state, _noted)
        for state in (State.CONNECTING, State.CONNECTED)
        for role in Role
    ),
    *(
        Transition(state, HangUp, role, _ENDED, _hang_up, Reason.HANGUP)
        for state in (State.CONNECTING, State.CONNECTED)
        for role in Role
    ),
    *(
        Transition(state, relay, role, state, _relay)
        for state in _LIVE
        for relay in (Offer, Answer, Candidate)
        for role in Role
    ),
    *(
        row
        for state in _LIVE
        for role in Role
        for row in (
            Transition(state, Lost, role, state, _one_fewer, when=other_sessions_remain),
            Transition(state, Lost, role, state, _away, when=may_return),
            Transition(state, Lost, role, _ENDED, _gone, Reason.CONNECTION_LOST),
            Transition(state, Returned, role, state, _returned),
        )
    ),
    *(
        Transition(state, GraceOver, None, _ENDED, _grace_over, Reason.CONNECTION_LOST, grace_is_over)
        for state in _LIVE
    ),
    *(Transition(state, Shutdown, None, _ENDED, _by_nobody, Reason.SERVER_SHUTDOWN) for state in _LIVE),
    Transition(State.RINGING, Terminate, None, _ENDED, _by_nobody, Reason.CANCELLED),
    *(
        Transition(state, Terminate, None, _ENDED, _by_nobody, Reason.HANGUP)
        for state in (State.CONNECTING, State.CONNECTED)
    ),
)

_Key = tuple[State, type[Event], Role | None]


def _by_key() -> Mapping[_Key, tuple[Transition, ...]]:
    rows: dict[_Key, tuple[Transition, ...]] = {}
    for row in TRANSITIONS:
        key = (row.state, row.event, row.role)
        rows[key] = (*rows.get(key, ()), row)
    return rows


_ROWS = _by_key()
