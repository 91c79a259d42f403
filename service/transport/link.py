"""A connected Socket.IO client as everything above the engine sees it."""

import enum
from typing import Protocol

from service.domain.ids import SessionId


class CloseReason(enum.StrEnum):
    """Why a link ended; a closed set, for metrics and for what it means to a call."""

    GOODBYE = "goodbye"
    TRANSPORT_LOST = "transport_lost"
    PING_TIMEOUT = "ping_timeout"
    DISMISSED = "dismissed"
    PROTOCOL_ERROR = "protocol_error"
    SLOW_CONSUMER = "slow_consumer"
    IDLE = "idle"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a reason
    FLOODING = "flooding"
    SHUTDOWN = "shutdown"


class Link(Protocol):
    """One socket in the namespace `/`. Replacing the engine means writing another one of these."""

    @property
    def id(self) -> SessionId:
        """The Socket.IO sid."""

    @property
    def transport(self) -> str:
        """`polling` or `websocket`, as of now."""

    @property
    def address(self) -> str:
        """Where the client comes from; for limits, and never to be told."""

    def send(self, packet: bytes) -> None:
        """Queue a Socket.IO packet, in order. Harmless on a link that is closing."""

    def close(self, reason: CloseReason) -> None:
        """Close the connection after what was sent before; the gateway hears of it in `closed`.

        A client that is `DISMISSED` is told with a DISCONNECT, on which client libraries do not connect again.
        """

    def abort(self, reason: CloseReason, rule: str) -> None:
        """Close the connection, because its client broke this rule of the protocol."""
