"""Placing a call: whether an attempt rings, answers the call that already rings (glare), or is refused."""

import msgspec

from service.domain.call import Call, Party, Policy, State, Step, ring, step
from service.domain.effects import Initiated
from service.domain.events import Accept, Media
from service.domain.ids import CallId, SessionId, UserId
from service.domain.words import Word


class Presence(msgspec.Struct, frozen=True):
    """What the directory knows of a user: the sessions, and the live call. Both may be missing."""

    user: UserId
    sessions: tuple[SessionId, ...] = ()
    call: Call | None = None


class Refusal(Word):
    """Why an attempt to call somebody is refused, in the order in which it is checked."""

    SELF = "self"
    IN_CALL = "in_call"
    OFFLINE = "offline"
    BUSY = "busy"


class RefusedError(Exception):
    """The attempt cannot become a call. Nothing has changed."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why.value)
        self.why = why


class Attempt(msgspec.Struct, frozen=True):
    """A user's wish to call another, with what is known of both."""

    call_id: CallId
    session: SessionId
    caller: Presence
    callee: Presence
    media: Media


def place(attempt: Attempt, policy: Policy, now: float) -> Step:
    """Decide on an attempt.

    Glare is one rule: who calls the very user whose call rings at him has answered that call. Whichever of two
    simultaneous attempts is seen first becomes the call, the second its answer; there is one call, and nobody
    is told that the other is busy. The second caller is told the id of the first call and that it is accepted.

    Raises:
        RefusedError: with the first `Refusal` that applies.
    """
    caller, callee = attempt.caller, attempt.callee
    if caller.user == callee.user:
        raise RefusedError(Refusal.SELF)
    if caller.call is not None:
        if is_glare(caller.call, attempt.session, callee.user):
            return _meet(caller.call, attempt.session, now)
        raise RefusedError(Refusal.IN_CALL)
    if not callee.sessions:
        raise RefusedError(Refusal.OFFLINE)
    if callee.call is not None:
        raise RefusedError(Refusal.BUSY)
    return ring(
        attempt.call_id,
        Party(user=caller.user, sessions=(attempt.session,)),
        Party(user=callee.user, sessions=callee.sessions),
        attempt.media,
        policy,
        now,
    )


def is_glare(call: Call, session: SessionId, callee: UserId) -> bool:
    """Whether an attempt to reach `callee` comes from a session at which his own call rings."""
    return call.state is State.RINGING and call.caller.user == callee and session in call.callee.sessions


def _meet(call: Call, session: SessionId, now: float) -> Step:
    accepted = step(call, Accept(by=session), now)
    confirmation = Initiated(to=(session,), call_id=call.id, callee=call.caller.user)
    return Step(accepted.call, (confirmation, *accepted.effects))
