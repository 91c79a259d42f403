"""What happens to a call. `service.domain.call.step` takes one of these; `effects.py` is what comes out.

Every event that a party causes names the session that it came through in `by`. Times are not part of an event:
`step` is told the time.
"""

import msgspec

from service.domain.ids import SessionId, UserId
from service.domain.quality import CallStats
from service.domain.words import Word


class Media(Word):
    """What a call was placed for (contract: `callType`)."""

    AUDIO = "audio"
    VIDEO = "video"


class Event(msgspec.Struct, frozen=True):
    """Base of all events of a call."""


class PartyEvent(Event, frozen=True):
    """An event that one of the call's sessions causes."""

    by: SessionId


class Accept(PartyEvent, frozen=True):
    """The callee answers. Its session is the one that the call binds from here on."""


class Reject(PartyEvent, frozen=True):
    """The callee declines; with `busy` because it is engaged elsewhere (a telephone call, another app)."""

    busy: bool = False


class HangUp(PartyEvent, frozen=True):
    """A party ends the call; before the answer that is the caller's cancel or the callee's refusal.

    `failed` says that no media came about, so that the end is not taken for a normal one.
    """

    failed: bool = False


class MediaUp(PartyEvent, frozen=True):
    """A party says that media flows (contract, section 3: `call:connected`)."""


class QualityReport(PartyEvent, frozen=True):
    """A party says how its media fares (contract, section 3: `call:quality`). Changes nothing and is told to nobody."""

    stats: CallStats


class Offer(PartyEvent, frozen=True):
    """A session description that asks for an answer: the first, a renegotiation or an ICE restart.

    `media` is what the sender says it is for; None means what the call was placed for.
    """

    description: bytes
    media: Media | None = None


class Answer(PartyEvent, frozen=True):
    """The session description that answers an offer."""

    description: bytes


class Candidate(PartyEvent, frozen=True):
    """One ICE candidate, or the mark that there are no more."""

    candidate: bytes


class Lost(PartyEvent, frozen=True):
    """A session is gone. With `goodbye` its client said so; without, only its transport was lost.

    `with_node` says that its whole node is.
    """

    goodbye: bool = False
    with_node: bool = False


class Returned(PartyEvent, frozen=True):
    """A user is back through the session `by`, after a loss or in the place of the sessions `displaced`."""

    user: UserId
    displaced: tuple[SessionId, ...] = ()


class NoAnswer(Event, frozen=True):
    """The ring timeout has passed."""


class GraceOver(Event, frozen=True):
    """The time that a lost party had for its return has passed."""


class Shutdown(Event, frozen=True):
    """The server ends and cannot hand the call over."""


class Terminate(Event, frozen=True):
    """Those who run the service end the call."""
