"""What a client may ask of call control. `service.protocol` makes these out of wire messages."""

import msgspec

from service.domain.events import Answer, Candidate, Media, Offer, PartyEvent
from service.domain.ids import CallId, UserId


class Request(msgspec.Struct, frozen=True):
    """Base of all requests."""


class Join(Request, frozen=True):
    """Speak for `user` from now on; without one, for the user that the session has proved to be."""

    user: UserId | None


class Renew(Request, frozen=True):
    """Prove anew who the session's owner is, before the last proof runs out. Answered by the gateway."""

    token: str


class AskIce(Request, frozen=True):
    """Which STUN and TURN servers may I use, and with which passwords?"""


class Status(Request, frozen=True):
    """Is `user` online, and in a call?"""

    user: UserId


class Initiate(Request, frozen=True):
    """Ring `callee`."""

    callee: UserId
    media: Media


class InCall(Request, frozen=True):
    """Something happens to the call `call_id`: `event` is what, and through whom."""

    call_id: CallId
    event: PartyEvent


class Relay(Request, frozen=True):
    """Bring a description or a candidate to `receiver`, the peer of the sender's live call.

    `sender`, where the client names one, must be the user who asks.
    """

    receiver: UserId
    sender: UserId | None
    event: Offer | Answer | Candidate
