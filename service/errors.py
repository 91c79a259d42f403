"""Every error that a client can get, each with its code, its text and what to do about it.

The texts of the original server are binding to the letter (contract, section 1); `code` is the addition that
programs should look at (section 3). An error is answered to the sender alone and has changed nothing.
"""

from typing import ClassVar

from service.domain.budget import Scope


class SignallingError(Exception):
    """Base of all errors that are answered to a client.

    `code` is from a closed set, `message` the text, `advice` what the reader of the documentation should do.
    """

    code: ClassVar[str]
    message: ClassVar[str]
    advice: ClassVar[str]
    retry_after_s: float | None = None
    """When to try again, where that is known."""

    def __init__(self) -> None:
        super().__init__(self.message)


class InvalidPayloadError(SignallingError):
    """The payload does not have the form that the event asks for.

    `field` names the failing field, `detail` what was expected. The text is the one of the failed event
    (`Failed to ...`), which the protocol knows.
    """

    code = "invalid_payload"
    message = "Invalid payload"
    advice = "Send what the event's reference asks for; `field` names what is wrong and `detail` how."

    def __init__(self, field: str | None, detail: str) -> None:
        super().__init__()
        self.field = field
        self.detail = detail


class UserIdRequiredError(InvalidPayloadError):
    """`user:join` without a user id."""

    message = "User ID is required"
    advice = "Send `{userId}` with a string of 1 to 128 characters."

    def __init__(self) -> None:
        super().__init__("userId", "a string of 1 to 128 characters is required")


class UnknownEventError(SignallingError):
    """An event that the contract does not have."""

    code = "unknown_event"
    message = "Unknown event"
    advice = "Check the spelling against the protocol reference; `event` repeats what was sent."


class ReservedEventError(SignallingError):
    """An event whose name belongs to the protocol's own life cycle."""

    code = "reserved_event"
    message = "Reserved event name"
    advice = "`connect`, `disconnect` and the like are not events; use the client library's own calls."


class AuthenticationError(SignallingError):
    """A socket without a token, where one is required."""

    code = "unauthenticated"
    message = "Authentication is required"
    advice = "Send a token in the handshake: `auth: {token}`."


class TokenInvalidError(AuthenticationError):
    """A token that is not accepted. Which of its parts is wrong is not said: its issuer knows what it put in."""

    code = "token_invalid"
    message = "Token is not valid"
    advice = "Get a new token from your backend. If that is refused too, the server trusts another issuer or key."


class TokenExpiredError(AuthenticationError):
    """A token that was good until its `exp`."""

    code = "token_expired"
    message = "Token has expired"
    advice = "Get a new token from your backend, then connect again."


class TokenNotYetValidError(AuthenticationError):
    """A token whose `nbf` or `iat` lies in the future."""

    code = "token_not_yet_valid"
    message = "Token is not valid yet"
    advice = "Wait a little, then connect again. Those who run the servers compare the clocks."


class AuthenticationUnavailableError(AuthenticationError):
    """The token cannot be judged now: the keys of its issuer cannot be fetched."""

    retry_after_s = 10.0

    code = "authentication_unavailable"
    message = "Authentication is not possible at the moment"
    advice = "Keep the token and connect again later, with a growing and random delay."


class NotJoinedError(SignallingError):
    """A call event from a socket that has not joined, or that another socket of its user has replaced."""

    code = "not_joined"
    message = "User not authenticated"
    advice = "Send `user:join` first, and again after every reconnect."


class AlreadyJoinedError(SignallingError):
    """A socket that speaks for one user asks to speak for another."""

    code = "already_joined"
    message = "Failed to join"
    advice = "One socket speaks for one user. Disconnect, then join as the other user."


class UnauthorizedError(SignallingError):
    """A relay from a socket that has not joined, or in the name of another user."""

    code = "unauthorized"
    message = "Unauthorized"
    advice = "Join first; leave `from` out, or send your own user id in it."


class SelfCallError(SignallingError):
    """A user calls himself."""

    code = "self_call"
    message = "Cannot call yourself"
    advice = "Choose another user as `to`."


class AlreadyInCallError(SignallingError):
    """The caller has a live call."""

    code = "already_in_call"
    message = "Already in a call"
    advice = "End the running call first (`call:end`)."


class NotAllowedError(SignallingError):
    """The application does not let the caller call this user."""

    code = "not_allowed"
    message = "Not allowed to call this user"
    advice = "Do not retry by yourself. Whether it is allowed is for your backend to say."


class UserNotFoundError(SignallingError):
    """The callee is not online, or does not exist, or, where presence is hidden, may not be called by this user."""

    code = "user_not_found"
    message = "User not found"
    advice = "The user has no connection. Ask `user:status`, or try later."


class UserNotAvailableError(SignallingError):
    """The callee is in another call."""

    code = "user_not_available"
    message = "User is not available"
    advice = "The user is in another call. Try later."


class TooManyWatchedError(SignallingError):
    """The socket would watch more users than it may (`MAX_WATCHED`)."""

    code = "too_many_watched"
    message = "Too many users are watched"
    advice = "Watch those whom the person looks at, and `user:unwatch` the others first."


class CallNotFoundError(SignallingError):
    """There is no such live call for this socket: unknown, over, or other people's. All look the same."""

    code = "call_not_found"
    message = "Call not found"
    advice = "The call is over or is not yours. Drop your state of it."


class CallExpiredError(CallNotFoundError):
    """As `CallNotFoundError`, for `call:accept` and `call:reject`, which need a call that rings at the sender."""

    message = "Call not found or expired"
    advice = "Only the callee of a ringing call may do this. The call is over, answered, or not yours."


class ReceiverNotFoundError(SignallingError):
    """The receiver of a relay is not the other party of the sender's live call, or cannot be reached now."""

    code = "receiver_not_found"
    message = "Receiver not found"
    advice = "Relay only to the other party of your live call; wait for `call:ended` or a reconnect."


class BacklogFullError(SignallingError):
    """More events of this socket wait than are kept in order for it."""

    code = "backlog_full"
    message = "Too many events are waiting"
    advice = "Send fewer events at a time; this one was dropped."


class UnavailableError(SignallingError):
    """What the nodes share cannot be reached just now."""

    code = "unavailable"
    message = "Temporarily unavailable"
    advice = "Try again in a second or two. Calls that stand go on."


class DrainingError(UnavailableError):
    """As `UnavailableError`, for a new call at a node that is going away. By `retry_after_s` its clients have gone."""

    message = "The server is stopping"
    advice = "Place the call again after `retryAfterMs`: your connection is to another node by then."

    def __init__(self, retry_after_s: float = 0.0) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class RateLimitedError(SignallingError):
    """More than the sender may do. `retry_after_s` says when it will do, `scope` whose limit it was."""

    code = "rate_limited"
    message = "Too many requests"
    advice = "Wait for `retryAfterMs`, then go on more slowly. Who goes on like this is disconnected (close code 4029)."

    def __init__(self, retry_after_s: float = 0.0, scope: Scope = Scope.SOCKET) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s
        self.scope = scope


class InternalError(SignallingError):
    """The server failed. The text is the one of the failed event (`Failed to ...`)."""

    code = "internal"
    message = "Internal error"
    advice = "Try again; if it persists, report the time and the event to those who run the server."


ALL_ERRORS: tuple[type[SignallingError], ...] = (
    InvalidPayloadError,
    UserIdRequiredError,
    UnknownEventError,
    ReservedEventError,
    AuthenticationError,
    TokenInvalidError,
    TokenExpiredError,
    TokenNotYetValidError,
    AuthenticationUnavailableError,
    NotJoinedError,
    AlreadyJoinedError,
    UnauthorizedError,
    SelfCallError,
    AlreadyInCallError,
    NotAllowedError,
    UserNotFoundError,
    UserNotAvailableError,
    TooManyWatchedError,
    CallNotFoundError,
    CallExpiredError,
    ReceiverNotFoundError,
    BacklogFullError,
    UnavailableError,
    DrainingError,
    RateLimitedError,
    InternalError,
)
