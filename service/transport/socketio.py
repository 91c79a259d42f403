"""The Socket.IO server of the gateway: events of the namespace `/` go from the frame to the gateway at once."""

import time

from socketio.exceptions import ConnectionRefusedError  # noqa: A004 - the library's name for it

from service.domain.ids import SessionId
from service.errors import AuthenticationError
from service.supervisor import Supervisor
from service.transport.engine.connection import Connection
from service.transport.engine.server import EngineServer
from service.transport.gateway import Gateway
from service.transport.lane import Lane
from service.transport.link import CloseReason
from service.transport.strict import Json, Peer, StrictServer

NAMESPACE = "/"


class SocketLink(Peer):
    """`service.transport.link.Link` on a connection of the engine."""

    __slots__ = ("close_reason", "id", "is_open", "was_open")

    id: SessionId
    """See `Link.id`. Once it `was_open`."""

    def __init__(self, connection: Connection, lane: Lane) -> None:
        super().__init__(connection, lane)
        self.is_open = False
        self.was_open = False
        self.close_reason = CloseReason.GOODBYE

    @property
    def transport(self) -> str:
        """See `Link.transport`."""
        return self.connection.transport

    @property
    def address(self) -> str:
        """See `Link.address`."""
        return self.connection.address

    def send(self, packet: bytes) -> None:
        """See `Link.send`."""
        self.connection.send(packet)

    def close(self, reason: CloseReason) -> None:
        """See `Link.close`."""
        if reason is CloseReason.DISMISSED:
            self.connection.send(b"1")
        self.connection.close(reason)

    def abort(self, reason: CloseReason, rule: str) -> None:
        """See `Link.abort`."""
        self.connection.close(reason, rule)


class SocketServer(StrictServer):
    """A Socket.IO server whose events are the gateway's."""

    def __init__(
        self, engine: EngineServer, gateway: Gateway, supervisor: Supervisor, *, join_timeout_s: float
    ) -> None:
        super().__init__(engine, supervisor, connect_timeout_s=join_timeout_s, namespaces=[NAMESPACE])
        self._gateway = gateway
        self.on("connect", self._opened)
        self.on("disconnect", self._left)

    # --- what the engine calls ----------------------------------------------------------------------------

    def turned_away(self, transport: str, code: str) -> None:
        """See `Handler`."""
        self._gateway.refused(transport, code)

    def new_peer(self, connection: Connection, lane: Lane) -> Peer:
        """See `StrictServer`."""
        return SocketLink(connection, lane)

    def confirmed(self, connection: Connection) -> bool:
        """See `Handler`."""
        link: SocketLink = connection.context
        return link.is_open and self._gateway.has_joined(link.id)

    def message(self, connection: Connection, text: str) -> None:
        """See `Handler`. An event of `/` is the gateway's; the library sees everything else."""
        link: SocketLink = connection.context
        if link.is_open and text.startswith("2") and not text.startswith("2/") and not link.attachments:
            self._gateway.receive(link.id, text)
        else:
            super().message(connection, text)

    def upgraded(self, connection: Connection) -> None:
        """See `Handler`."""
        link: SocketLink = connection.context
        if link.is_open:
            self._gateway.upgraded(link.id)

    def answered_ping(self, connection: Connection, round_trip_s: float) -> None:
        """See `Handler`."""
        self._gateway.answered_ping(connection.transport, round_trip_s)

    def dropped(self, connection: Connection, reason: str, messages: int) -> None:
        """See `Handler`."""
        self._gateway.dropped(reason, messages)

    def disconnected(self, connection: Connection, reason: CloseReason, rule: str | None) -> None:
        """See `Handler`."""
        link: SocketLink = connection.context
        link.close_reason = reason
        super().disconnected(connection, reason, rule)
        if not link.was_open:
            is_idle = rule is None or reason is CloseReason.IDLE
            self._gateway.refused(connection.transport, "abandoned" if is_idle else "malformed")

    # --- python-socketio's life cycle ---------------------------------------------------------------------

    async def _opened(self, session: str, _environ: object, credentials: object) -> bool:
        connection = self._connection(session)
        if connection is None:
            return False
        link: SocketLink = connection.context
        try:
            identity = await self._gateway.admit(credentials)
        except AuthenticationError as refusal:
            link.was_open = True
            self._gateway.refused(connection.transport, "refused")
            raise ConnectionRefusedError(refusal.message, _data(refusal)) from None
        if connection.closed:
            return False
        link.id = SessionId(session)
        link.is_open = link.was_open = True
        took_s = time.monotonic() - connection.opened_at_s
        self._gateway.opened(link, identity, took_s)
        return True

    async def _left(self, session: str, _reason: str) -> None:
        connection = self._connection(session)
        if connection is not None and connection.context.is_open:
            link: SocketLink = connection.context
            link.is_open = False
            self._gateway.closed(link.id, link.close_reason)

    def _connection(self, session: str) -> Connection | None:
        return self._engine.get(self.manager.eio_sid_from_sid(session, NAMESPACE) or "")

    async def _handle_event(self, eio_sid: str, namespace: str, id: int | None, data: list[object]) -> None:  # noqa: A002
        """An event with binary attachments, reassembled. The contract has none, so its payload is not passed on."""
        connection = self._engine.get(eio_sid)
        if connection is not None and (namespace or NAMESPACE) == NAMESPACE:
            name = Json.dumps([data[0] if isinstance(data[0], str) else ""])[:-1]
            self._gateway.receive(connection.context.id, f"2{'' if id is None else id}{name},null]")


def _data(refusal: AuthenticationError) -> dict[str, object]:
    """The `data` of a CONNECT_ERROR."""
    wait_s = refusal.retry_after_s
    return {"code": refusal.code} if wait_s is None else {"code": refusal.code, "retryAfterMs": round(wait_s * 1000)}
