"""python-socketio on our engine, held to Socket.IO protocol 5.

python-socketio keeps connects, disconnects, namespaces, binary reassembly and acknowledgements. What reaches it
has been judged before (`service.protocol.framing`), in the order received. Its private hooks that are used here
are pinned with its version and held by the tests of `tests/interop/`.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import orjson
import socketio

from service.protocol import framing
from service.protocol.framing import Kind, MalformedPacketError
from service.supervisor import Supervisor
from service.transport.engine.connection import Connection
from service.transport.engine.packets import ProtocolError
from service.transport.engine.server import EngineServer, new_sid
from service.transport.lane import Lane
from service.transport.link import CloseReason
from service.transport.namespaces import Namespaces
from service.transport.offences import OffenceLog

PACKETS_ON_THE_WAY = 256
"""Packets that may wait for an earlier one of their connection, a CONNECT with slow authentication say."""

_log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.library")
_quiet.setLevel(logging.CRITICAL)  # the library's lines carry what clients sent

_LIBRARY_REASONS = {
    CloseReason.GOODBYE: socketio.AsyncServer.reason.CLIENT_DISCONNECT,
    CloseReason.PING_TIMEOUT: socketio.AsyncServer.reason.PING_TIMEOUT,
    CloseReason.TRANSPORT_LOST: socketio.AsyncServer.reason.TRANSPORT_CLOSE,
    CloseReason.PROTOCOL_ERROR: socketio.AsyncServer.reason.TRANSPORT_ERROR,
}


class Json:
    """orjson under the names that python-socketio asks for."""

    @staticmethod
    def dumps(value: object, **_options: object) -> str:
        """Encode; the only options that are asked for are the separators that orjson uses anyway."""
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str | bytes, **_options: object) -> Any:  # noqa: ANN401 - any JSON value
        """Decode."""
        return orjson.loads(text)


class Engine:
    """`EngineServer` as python-socketio knows an engine."""

    async_mode = "sanic"

    def __init__(self, server: EngineServer) -> None:
        self._server = server

    def on(self, _event: str, _handler: object) -> None:
        """Nothing: `StrictServer` is the engine's handler itself."""

    def generate_id(self) -> str:
        """A new sid."""
        return new_sid()

    async def send(self, sid: str, data: str | bytes) -> None:
        """Send a message."""
        connection = self._server.get(sid)
        if connection is not None:
            if isinstance(data, str):
                connection.send(data.encode())
            else:
                connection.send_binary(data)

    async def send_packet(self, sid: str, packet: Any) -> None:  # noqa: ANN401 - python-engineio's packet
        """Send a message that is an engine's packet already."""
        await self.send(sid, packet.data)

    async def disconnect(self, sid: str) -> None:
        """Close a connection after what was sent."""
        connection = self._server.get(sid)
        if connection is not None:
            connection.close(CloseReason.DISMISSED)


class _NoEnvirons(dict[str, None]):
    """python-socketio's WSGI environments of all connections, which nobody here needs."""

    def __missing__(self, key: str) -> None:
        return None


class Peer:
    """What this layer knows of a connection."""

    __slots__ = ("attachments", "connection", "lane", "welcome")

    def __init__(self, connection: Connection, lane: Lane) -> None:
        self.connection = connection
        self.lane = lane
        self.attachments = 0
        """How many of the last packet's are still to come."""
        self.welcome = False
        """Whether it has been in a namespace."""


class StrictServer(socketio.AsyncServer):  # type: ignore[misc] # python-socketio has no types
    """A Socket.IO server, and the handler of its engine (`service.transport.engine.connection.Handler`)."""

    def __init__(
        self, engine: EngineServer, supervisor: Supervisor, *, connect_timeout_s: float, namespaces: list[str]
    ) -> None:
        self._engine = engine
        self._supervisor = supervisor
        self._connect_timeout_s = connect_timeout_s
        self._offences = OffenceLog(_log)
        super().__init__(
            client_manager=Namespaces(), json=Json, logger=_quiet, namespaces=namespaces, async_handlers=False
        )
        self.environ = _NoEnvirons()
        engine.handler = self

    def _engineio_server_class(self) -> Callable[..., Engine]:
        """The library's hook for another engine."""
        return lambda **_options: Engine(self._engine)

    # --- what the engine calls ----------------------------------------------------------------------------

    def turned_away(self, transport: str, code: str) -> None:
        """See `Handler`."""

    def connected(self, connection: Connection) -> float | None:
        """See `Handler`."""
        lane = Lane("packets of a connection", self._supervisor, PACKETS_ON_THE_WAY)
        connection.context = self.new_peer(connection, lane)
        return connection.opened_at_s + self._connect_timeout_s if self._connect_timeout_s else None

    def new_peer(self, connection: Connection, lane: Lane) -> Peer:
        """What to know of a connection."""
        return Peer(connection, lane)

    def confirmed(self, connection: Connection) -> bool:
        """See `Handler`."""
        peer: Peer = connection.context
        return peer.welcome

    def message(self, connection: Connection, text: str) -> None:
        """See `Handler`."""
        peer: Peer = connection.context
        if peer.attachments:
            raise ProtocolError("attachments follow their packet")
        try:
            head = framing.check(text)
        except MalformedPacketError as error:
            raise ProtocolError(error.rule) from None
        is_there = self.manager.sid_from_eio_sid(connection.sid, head.namespace) is not None
        if is_there == (head.kind is Kind.CONNECT):
            raise ProtocolError("a namespace is connected to once, and before anything else is sent to it")
        peer.attachments = head.attachments
        self._pass_on(peer, text)

    def binary_message(self, connection: Connection, data: bytes) -> None:
        """See `Handler`."""
        peer: Peer = connection.context
        if not peer.attachments:
            raise ProtocolError("an attachment belongs to a packet")
        peer.attachments -= 1
        self._pass_on(peer, data)

    def upgraded(self, connection: Connection) -> None:
        """See `Handler`."""

    def answered_ping(self, connection: Connection, round_trip_s: float) -> None:
        """See `Handler`."""

    def dropped(self, connection: Connection, reason: str, messages: int) -> None:
        """See `Handler`."""

    def disconnected(self, connection: Connection, reason: CloseReason, rule: str | None) -> None:
        """See `Handler`."""
        if rule is not None:
            self._offences.tell(rule, connection.transport, time.monotonic())
        peer: Peer = connection.context
        why = _LIBRARY_REASONS.get(reason, self.reason.SERVER_DISCONNECT)
        peer.lane.submit(lambda: self._handle_eio_disconnect(connection.sid, why), force=True)

    # ------------------------------------------------------------------------------------------------------

    def _pass_on(self, peer: Peer, data: str | bytes) -> None:
        if not peer.lane.submit(lambda: self._guarded(peer, data)):
            raise ProtocolError("a client waits for CONNECT before it goes on")

    async def _guarded(self, peer: Peer, data: str | bytes) -> None:
        try:
            await self._handle_eio_message(peer.connection.sid, data)
        except Exception as error:  # noqa: BLE001 - the guard of this layer: no packet may end the engine
            _log.error("a packet failed: %s", type(error).__name__, exc_info=error)
            peer.connection.close(CloseReason.PROTOCOL_ERROR)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: object) -> None:
        """The library's way of a CONNECT, but CONNECT_ERROR has an object as its payload."""
        name = (namespace or "/").partition("?")[0]
        if name not in self.namespaces:
            await self.eio.send(eio_sid, f'4{name},{{"message":"Invalid namespace"}}')
            return
        await super()._handle_connect(eio_sid, name, data)
        connection = self._engine.get(eio_sid)
        if connection is not None and self.manager.sid_from_eio_sid(eio_sid, name) is not None:
            connection.context.welcome = True
