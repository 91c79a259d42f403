"""Which sessions are on this node, and so which part of a call is this node's to see."""

from service.domain.call import Call
from service.domain.ids import CallId, SessionId


class Whereabouts:
    """The whereabouts of sessions. A node that shares its calls with no other has them all, and keeps no book."""

    def __init__(self, *, shared: bool) -> None:
        self._shared = shared
        self._calls: dict[SessionId, CallId | None] = {}

    def opened(self, session: SessionId) -> None:
        """A session came to this node."""
        if self._shared:
            self._calls[session] = None

    def closed(self, session: SessionId) -> None:
        """It is gone."""
        self._calls.pop(session, None)

    def note(self, call: Call) -> None:
        """This is the call of those of its sessions that are here."""
        for session in call.caller.sessions + call.callee.sessions:
            if session in self._calls:
                self._calls[session] = call.id

    def call_of(self, session: SessionId) -> CallId | None:
        """The last call of a session that is here."""
        return self._calls.get(session)

    def has_part(self, call: Call) -> bool:
        """Whether a session of the call is here."""
        return not self._shared or any(s in self._calls for s in call.caller.sessions + call.callee.sessions)

    def has_whole(self, call: Call) -> bool:
        """Whether no session of the call is elsewhere."""
        return not self._shared or all(s in self._calls for s in call.caller.sessions + call.callee.sessions)

    def counts(self, call: Call, *, counted: bool) -> bool:
        """Whether a live call is counted here: where its caller is, or, while he is away, the callee.

        While both are away it stays where it was `counted`.
        """
        sessions = call.caller.sessions or call.callee.sessions
        if not self._shared or not sessions:
            return not self._shared or counted
        return any(session in self._calls for session in sessions)
