"""What the server says: one type per event. `client.py` is what it is told.

The fields of a message are the fields on the wire; what is `UNSET` is left out.
"""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType, field

from service.domain.effects import Reason, Role
from service.protocol.fields import CallType, Description, IceCandidate, Id, User

Code = Annotated[Reason, msgspec.Meta(description="Why the call ended; a closed set.")]
ReasonText = Annotated[
    str,
    msgspec.Meta(description="The reason in words, for every end that no party chose by hand.", examples=["No answer"]),
]


class ServerMessage(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of all messages to clients. `event` is the name on the wire."""

    event: ClassVar[str]


class CallSnapshot(msgspec.Struct, frozen=True, rename="camel"):
    """A live call as a party needs to know it to go on with it.

    What the peer relayed while the party was away follows, in order.
    """

    call_id: Id
    call_type: CallType
    role: Annotated[Role, msgspec.Meta(description="Which side of the call this user is on.")]
    peer: User
    state: Annotated[Literal["ringing", "connecting", "connected"], msgspec.Meta(description="Where the call stands.")]
    missed: (
        Annotated[
            int,
            msgspec.Meta(
                description="How many of the peer's last offers, answers and candidates could not be kept while the "
                "party was away. Absent if none; otherwise restart ICE.",
                ge=1,
            ),
        ]
        | UnsetType
    ) = UNSET


class IceServer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One STUN or TURN server, in the form of `RTCIceServer` (W3C WebRTC, section 4.2.4)."""

    urls: Annotated[tuple[str, ...], msgspec.Meta(examples=[["stun:stun.example.com:3478"]])]
    username: str | UnsetType = UNSET
    credential: Annotated[str, msgspec.Meta(description="The password, for TURN.")] | UnsetType = UNSET


IceServerList = Annotated[
    tuple[IceServer, ...],
    msgspec.Meta(description="For `new RTCPeerConnection({iceServers})`. Empty where the server has none to offer."),
]


class UserJoined(ServerMessage, frozen=True):
    """The socket speaks for the user now. `call` is there when the user takes up a live call again."""

    event = "user:joined"
    user_id: User
    socket_id: Annotated[str, msgspec.Meta(description="The Socket.IO id of this socket, `socket.id`.")]
    ice_servers: IceServerList
    call: CallSnapshot | UnsetType = UNSET


class IceServers(ServerMessage, frozen=True):
    """The STUN and TURN servers to use, with passwords that are good from now on."""

    event = "ice:servers"
    ice_servers: IceServerList
    ttl: (
        Annotated[int, msgspec.Meta(description="For how many seconds the passwords open a relay; ask again before.")]
        | UnsetType
    ) = UNSET


class UserStatus(ServerMessage, frozen=True):
    """Whether a user is online and in a call; both false for a user that nobody knows.

    The answer to `user:status` and `user:watch`; and it comes by itself when it has changed for a user who is watched.
    """

    event = "user:status"
    user_id: User
    is_online: bool
    is_in_call: bool


class CallIncoming(ServerMessage, frozen=True):
    """Somebody calls. Answer with `call:accept` or `call:reject`."""

    event = "call:incoming"
    from_: User = field(name="from")
    call_type: CallType
    call_id: Id


class CallInitiated(ServerMessage, frozen=True):
    """The callee is being rung. After glare: this is the id of the one call that both placed."""

    event = "call:initiated"
    call_id: Id
    to: User


class CallAccepted(ServerMessage, frozen=True):
    """The callee has answered; the caller sends its offer now, if it has not yet."""

    event = "call:accepted"
    call_id: Id
    by: User


class CallRejected(ServerMessage, frozen=True):
    """The call is over before it was answered: declined, busy, or not answered in time."""

    event = "call:rejected"
    call_id: Id
    by: User
    code: Code
    reason: ReasonText | UnsetType = UNSET


class CallEnded(ServerMessage, frozen=True):
    """The call is over for this socket. `by` is null where the server ended it."""

    event = "call:ended"
    call_id: Id
    by: User | None
    code: Code
    reason: ReasonText | UnsetType = UNSET


class CallOffer(ServerMessage, frozen=True):
    """The peer's offer. Answer with `call:answer`."""

    event = "call:offer"
    offer: Description
    from_: User = field(name="from")
    call_type: CallType


class CallAnswer(ServerMessage, frozen=True):
    """The peer's answer."""

    event = "call:answer"
    answer: Description
    from_: User = field(name="from")


class Candidate(ServerMessage, frozen=True):
    """One of the peer's candidates. Never before the offer that it belongs to."""

    event = "ice:candidate"
    candidate: IceCandidate
    from_: User = field(name="from")


class PeerReconnecting(ServerMessage, frozen=True):
    """The peer's signalling connection is lost and may come back; media goes on meanwhile."""

    event = "call:peer-reconnecting"
    call_id: Id
    user_id: User


class PeerReconnected(ServerMessage, frozen=True):
    """The peer is back."""

    event = "call:peer-reconnected"
    call_id: Id
    user_id: User


class Draining(ServerMessage, frozen=True):
    """This node is going away. After the stated time the server closes the connection; connect again then, and join.

    Calls go on where the server has another node for them. New ones are refused here from now on.
    """

    event = "server:draining"
    reconnect_in_ms: Annotated[
        int,
        msgspec.Meta(
            description="In how many milliseconds. Drawn for each client, so that not all come back at once. What is "
            "to be sent after that is best kept until the next `user:joined`.",
            ge=0,
        ),
    ]


class Error(ServerMessage, frozen=True):
    """An event of this socket failed. Nothing has changed; the socket stays open."""

    event = "error"
    message: Annotated[str, msgspec.Meta(description="The text, as the original server words it.")]
    code: Annotated[str, msgspec.Meta(description="What went wrong; a closed set, see the list of errors.")]
    failed: Annotated[str, msgspec.Meta(description="The event that failed.")] = field(name="event")
    call_id: Id | UnsetType = UNSET
    field_: Annotated[str, msgspec.Meta(description="The failing field of an invalid payload.")] | UnsetType = field(
        name="field", default=UNSET
    )
    detail: Annotated[str, msgspec.Meta(description="What the failing field should have been.")] | UnsetType = UNSET
    retry_after_ms: (
        Annotated[int, msgspec.Meta(description="Try again after this many milliseconds; only on retryable failures.")]
        | UnsetType
    ) = UNSET


SERVER_MESSAGES: tuple[type[ServerMessage], ...] = (
    UserJoined,
    IceServers,
    UserStatus,
    CallIncoming,
    CallInitiated,
    CallAccepted,
    CallRejected,
    CallOffer,
    CallAnswer,
    Candidate,
    CallEnded,
    PeerReconnecting,
    PeerReconnected,
    Draining,
    Error,
)
