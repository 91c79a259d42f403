"""What clients say: one type per event, with the errors that it may get. `server.py` is what they are told.

A message type is all that the wire needs to know of an event: decoding, validation, documentation and the
generated types come from it. Fields that are not named here are ignored.
"""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType, field

from service.domain.events import Accept, Answer, HangUp, MediaUp, Offer, QualityReport, Reject
from service.domain.events import Candidate as CandidateEvent
from service.domain.ids import SessionId, UserId
from service.domain.quality import CallStats
from service.domain.requests import AskIce, InCall, Initiate, Join, Relay, Renew, Request, Status, Unwatch, Watch
from service.errors import (
    AlreadyInCallError,
    AlreadyJoinedError,
    AuthenticationUnavailableError,
    CallExpiredError,
    CallNotFoundError,
    DrainingError,
    NotAllowedError,
    NotJoinedError,
    ReceiverNotFoundError,
    SelfCallError,
    SignallingError,
    TokenExpiredError,
    TokenInvalidError,
    TokenNotYetValidError,
    TooManyWatchedError,
    UnauthorizedError,
    UserIdRequiredError,
    UserNotAvailableError,
    UserNotFoundError,
)
from service.protocol import server
from service.protocol.fields import MAX_USER_ID_CHARS, CallType, Description, IceCandidate, Id, User

Peer = Annotated[User, msgspec.Meta(description="The other party of the call.")]
Sender = Annotated[
    User, msgspec.Meta(description="The sender. May be left out; where sent, it must be the sender's own id.")
]
Traceparent = Annotated[
    str,
    msgspec.Meta(
        pattern="^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        description="The client's own trace context (W3C Trace Context, `traceparent`). The call's trace links to it.",
        examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    ),
]
Caller = Annotated[
    User, msgspec.Meta(description="The caller. Not needed, since the call id says it; kept for older clients.")
]


class ClientMessage(msgspec.Struct, frozen=True, rename="camel"):
    """Base of all messages from clients.

    `event` is the name on the wire; `failure` the text of a failure that has none of its own (contract,
    section 1: "otherwise"); `errors` what the event may get besides an invalid payload, in the order of the
    checks; `confirmed_by` the event that confirms to the sender, whose fields the acknowledgement repeats.
    """

    event: ClassVar[str]
    failure: ClassVar[str]
    errors: ClassVar[tuple[type[SignallingError], ...]] = ()
    confirmed_by: ClassVar[type[server.ServerMessage] | None] = None

    @abstractmethod
    def request(self, session: SessionId) -> Request:
        """What the message asks of call control, coming through this session.

        Raises:
            InvalidPayloadError: the fields do not go together.
        """


class UserJoin(ClientMessage, frozen=True):
    """Speak for a user from now on. An older socket of the same user is disconnected; its call goes on here."""

    event = "user:join"
    failure = "Failed to join"
    errors = (UserIdRequiredError, AlreadyJoinedError)
    confirmed_by = server.UserJoined
    user_id: (
        Annotated[
            UserId,
            msgspec.Meta(
                max_length=MAX_USER_ID_CHARS,
                description="The user to speak for, 1 to 128 characters. Required, unless the token says who it is.",
                examples=["alice"],
            ),
        ]
        | None
    ) = None

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        if self.user_id == "":
            raise UserIdRequiredError
        return Join(self.user_id)


class AuthRefresh(ClientMessage, frozen=True):
    """Send a fresh token before the last one runs out. It must name the same user. Confirmed by the acknowledgement."""

    event = "auth:refresh"
    failure = "Failed to refresh authentication"
    errors = (
        TokenInvalidError,
        TokenExpiredError,
        TokenNotYetValidError,
        AuthenticationUnavailableError,
        UnauthorizedError,
    )
    token: Annotated[str, msgspec.Meta(description="The new token, as in the handshake.", examples=["eyJhbGciOi..."])]

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return Renew(self.token)


class IceServersQuery(ClientMessage, frozen=True):
    """Ask for STUN and TURN servers, with fresh passwords. Ask again before `ttl` is over."""

    event = "ice:servers"
    failure = "Failed to get ICE servers"
    errors = (NotJoinedError,)
    confirmed_by = server.IceServers

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return AskIce()


class UserStatus(ClientMessage, frozen=True):
    """Ask whether a user is online and in a call. Allowed before joining, and about anybody."""

    event = "user:status"
    failure = "Failed to get user status"
    confirmed_by = server.UserStatus
    user_id: User

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return Status(self.user_id)


class UserWatch(ClientMessage, frozen=True):
    """Be told of users: a `user:status` for each of them at once, then whenever it changes.

    Watches add up, and end with the socket: watch again after every `user:join`. The answer for each user comes
    before the acknowledgement. A user who changes quickly is told of no more than once in 200 ms, and the last state
    always comes. Where presence is hidden, only what `user:status` would say is told.
    """

    event = "user:watch"
    failure = "Failed to watch users"
    errors = (NotJoinedError, TooManyWatchedError)
    user_ids: Annotated[
        tuple[User, ...],
        msgspec.Meta(
            description="Whom to watch; any users. A socket watches no more than `MAX_WATCHED` in all.",
            examples=[["bob", "carol"]],
        ),
    ]

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return Watch(self.user_ids)


class UserUnwatch(ClientMessage, frozen=True):
    """Be told of users no longer."""

    event = "user:unwatch"
    failure = "Failed to unwatch users"
    errors = (NotJoinedError,)
    user_ids: Annotated[
        tuple[User, ...],
        msgspec.Meta(description="Whom to watch no longer; others are ignored.", examples=[["bob", "carol"]]),
    ]

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return Unwatch(self.user_ids)


class CallInitiate(ClientMessage, frozen=True):
    """Call somebody. Both are in a call from here on. Who calls the user that calls him answers that call."""

    event = "call:initiate"
    failure = "Failed to initiate call"
    errors = (
        NotJoinedError,
        SelfCallError,
        AlreadyInCallError,
        DrainingError,
        NotAllowedError,
        UserNotFoundError,
        UserNotAvailableError,
    )
    confirmed_by = server.CallInitiated
    to: Annotated[User, msgspec.Meta(description="The user to call.")]
    call_type: CallType
    traceparent: Traceparent | UnsetType = UNSET

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return Initiate(self.to, self.call_type)


class CallAccept(ClientMessage, frozen=True):
    """Answer a ringing call. Only its callee may."""

    event = "call:accept"
    failure = "Failed to accept call"
    errors = (NotJoinedError, CallExpiredError)
    confirmed_by = server.CallAccepted
    call_id: Id
    from_: Caller | UnsetType = field(name="from", default=UNSET)

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return InCall(self.call_id, Accept(session))


class CallReject(ClientMessage, frozen=True):
    """Decline a ringing call. Only its callee may. The call is over."""

    event = "call:reject"
    failure = "Failed to reject call"
    errors = (NotJoinedError, CallExpiredError)
    confirmed_by = server.CallRejected
    call_id: Id
    from_: Caller | UnsetType = field(name="from", default=UNSET)
    code: (
        Annotated[
            Literal["busy"], msgspec.Meta(description="Decline because this device is engaged in something else.")
        ]
        | UnsetType
    ) = UNSET

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return InCall(self.call_id, Reject(session, busy=self.code is not UNSET))


class CallOffer(ClientMessage, frozen=True):
    """Send an offer to the other party: the first, a renegotiation, or an ICE restart."""

    event = "call:offer"
    failure = "Failed to send offer"
    errors = (UnauthorizedError, ReceiverNotFoundError)
    offer: Description
    to: Peer
    from_: Sender | UnsetType = field(name="from", default=UNSET)
    call_type: CallType | UnsetType = UNSET

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        media = None if self.call_type is UNSET else self.call_type
        return Relay(self.to, self.from_ or None, Offer(session, bytes(self.offer), media))


class CallAnswer(ClientMessage, frozen=True):
    """Send the answer to an offer."""

    event = "call:answer"
    failure = "Failed to send answer"
    errors = (UnauthorizedError, ReceiverNotFoundError)
    answer: Description
    to: Peer
    from_: Sender | UnsetType = field(name="from", default=UNSET)

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return Relay(self.to, self.from_ or None, Answer(session, bytes(self.answer)))


class Candidate(ClientMessage, frozen=True):
    """Send one ICE candidate. Legal from ringing on; keeps its place behind the offer."""

    event = "ice:candidate"
    failure = "Failed to send ICE candidate"
    errors = (UnauthorizedError, ReceiverNotFoundError)
    candidate: IceCandidate
    to: Peer
    from_: Sender | UnsetType = field(name="from", default=UNSET)

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return Relay(self.to, self.from_ or None, CandidateEvent(session, bytes(self.candidate)))


class CallConnected(ClientMessage, frozen=True):
    """Tell that media flows. Optional, from either party, repeatable. Confirmed by the acknowledgement alone."""

    event = "call:connected"
    failure = "Failed to mark the call as connected"
    errors = (NotJoinedError, CallNotFoundError)
    call_id: Id

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return InCall(self.call_id, MediaUp(session))


class CallQuality(ClientMessage, frozen=True):
    """Tell how media fares. Optional, repeatable, told to nobody else. Confirmed by the acknowledgement alone."""

    event = "call:quality"
    failure = "Failed to report call quality"
    errors = (NotJoinedError, CallNotFoundError)
    call_id: Id
    stats: CallStats

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return InCall(self.call_id, QualityReport(session, self.stats))


class CallEnd(ClientMessage, frozen=True):
    """Hang up, cancel while it rings, or, from the callee, decline. Only the two parties may."""

    event = "call:end"
    failure = "Failed to end call"
    errors = (NotJoinedError, CallNotFoundError)
    confirmed_by = server.CallEnded
    call_id: Id
    code: (
        Annotated[
            Literal["failed"], msgspec.Meta(description="End it because no media came about (ICE failed, no device).")
        ]
        | UnsetType
    ) = UNSET

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return InCall(self.call_id, HangUp(session, failed=self.code is not UNSET))


CLIENT_MESSAGES: tuple[type[ClientMessage], ...] = (
    UserJoin,
    AuthRefresh,
    IceServersQuery,
    UserStatus,
    UserWatch,
    UserUnwatch,
    CallInitiate,
    CallAccept,
    CallReject,
    CallOffer,
    CallAnswer,
    Candidate,
    CallConnected,
    CallQuality,
    CallEnd,
)
