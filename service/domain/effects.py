"""What the domain wants the world to do. `events.py` is what goes in.

Every effect tells something to sessions: `to` names them. `service.protocol` says how each looks on the wire,
the router brings it there. An effect is immutable and holds no reference to a call.
"""

import msgspec

from service.domain.events import Media
from service.domain.ice import IceGrant
from service.domain.ids import CallId, SessionId, UserId
from service.domain.words import Word


class Reason(Word):
    """Why a call ended (contract, section 3: `code` of `call:ended` and `call:rejected`)."""

    HANGUP = "hangup"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    CONNECTION_LOST = "connection_lost"
    REPLACED = "replaced"
    SERVER_SHUTDOWN = "server_shutdown"
    FAILED = "failed"


class Role(Word):
    """A party's side of a call."""

    CALLER = "caller"
    CALLEE = "callee"


class Snapshot(msgspec.Struct, frozen=True):
    """A live call as one party needs to know it in order to go on with it.

    `missed` counts what the other party relayed while this one was away and what could not be kept.
    """

    call_id: CallId
    media: Media
    role: Role
    peer: UserId
    state: str
    missed: int = 0


class Effect(msgspec.Struct, frozen=True, tag=True):
    """Base of all effects: something to tell the sessions `to`. Tagged, since effects travel between nodes."""

    to: tuple[SessionId, ...]


class Joined(Effect, frozen=True):
    """The session speaks for `user` now; `call` is the live call that it takes part in.

    So many relays that were `kept` for it follow at once.
    """

    user: UserId
    session: SessionId
    call: Snapshot | None = None
    ice: IceGrant = IceGrant(())
    kept: int = 0


class IceReport(Effect, frozen=True):
    """The servers that the session may use now."""

    grant: IceGrant


class StatusReport(Effect, frozen=True):
    """Whether a user has a session, and a call."""

    user: UserId
    online: bool
    in_call: bool


class Incoming(Effect, frozen=True):
    """Ring: `caller` wants to talk."""

    call_id: CallId
    caller: UserId
    media: Media


class Initiated(Effect, frozen=True):
    """The callee is being rung, or, after glare, the call that both placed has this id."""

    call_id: CallId
    callee: UserId


class Accepted(Effect, frozen=True):
    """The callee `by` has answered."""

    call_id: CallId
    by: UserId


class Rejected(Effect, frozen=True):
    """The call is over before it was answered, by the callee's will or silence."""

    call_id: CallId
    by: UserId
    reason: Reason


class Ended(Effect, frozen=True):
    """The call is over for these sessions; `by` is None where the server ended it."""

    call_id: CallId
    by: UserId | None
    reason: Reason


class RelayOffer(Effect, frozen=True):
    """Bring an offer to the peer, byte for byte."""

    sender: UserId
    description: bytes
    media: Media


class RelayAnswer(Effect, frozen=True):
    """Bring an answer to the peer, byte for byte."""

    sender: UserId
    description: bytes


class RelayCandidate(Effect, frozen=True):
    """Bring a candidate to the peer, byte for byte."""

    sender: UserId
    candidate: bytes


Relayed = RelayOffer | RelayAnswer | RelayCandidate


class PeerReconnecting(Effect, frozen=True):
    """The other party's transport is lost; its time to return runs."""

    call_id: CallId
    user: UserId


class PeerReconnected(Effect, frozen=True):
    """The other party is back."""

    call_id: CallId
    user: UserId
