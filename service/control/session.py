"""A socket as call control knows it."""

from service.domain.ids import SessionId, UserId
from service.ports import Identity


class Session:
    """One connected socket and the user it speaks for, None until it has joined.

    This node is the authority for its own sessions; whether the user's seat is still this session's is for the
    directory to say.
    """

    __slots__ = ("id", "identity", "user")

    def __init__(self, session_id: SessionId, identity: Identity) -> None:
        self.id = session_id
        self.identity = identity
        self.user: UserId | None = None
