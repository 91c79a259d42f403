"""python-socketio on its stock engine, bent to the gateway.

python-socketio keeps what belongs to it: CONNECT, DISCONNECT, namespaces, binary reassembly. EVENT packets of
the namespace `/` go to the gateway as they came. The private hooks used here are pinned with the versions of
python-socketio and held by the tests of `tests/interop/`; those of the engine stand in `stock_engine.py`.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

import orjson
import socketio
from engineio.packet import MESSAGE
from engineio.packet import Packet as EnginePacket
from engineio.payload import Payload

from service.domain.ids import SessionId
from service.supervisor import Supervisor
from service.transport.gateway import Gateway
from service.transport.link import CloseReason
from service.transport.stock_engine import WatchedSocket, WholeWebSocket, transport_of

NAMESPACE = "/"
MAX_PACKETS_PER_POST = 256
"""python-engineio accepts 16 and loses all packets of a larger POST; trickled candidates on polling exceed that."""

CLOSE_GRACE_S = 2.0
"""How long a client has to close its connection after it was told to, before it is closed for it."""

_silent = logging.getLogger(f"{__name__}.engine")
_silent.setLevel(logging.CRITICAL)  # the engine's lines carry session ids, which are keys to connections

_REASONS = {
    "client disconnect": CloseReason.GOODBYE,
    "ping timeout": CloseReason.PING_TIMEOUT,
    "transport close": CloseReason.TRANSPORT_LOST,
    "transport error": CloseReason.TRANSPORT_LOST,
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


class SocketLink:
    """`service.transport.link.Link` on a socket of the stock engine."""

    __slots__ = ("_id", "_server", "_transport", "close_reason", "engine_id")

    def __init__(self, server: "SocketServer", session: SessionId, engine_id: str) -> None:
        self._server = server
        self._id = session
        self.engine_id = engine_id
        self._transport = "polling"
        self.close_reason: CloseReason | None = None

    @property
    def id(self) -> SessionId:
        """See `Link.id`."""
        return self._id

    @property
    def transport(self) -> str:
        """See `Link.transport`."""
        socket = self._server.eio.sockets.get(self.engine_id)
        if socket is not None:
            self._transport = transport_of(socket)
        return self._transport

    def upgraded(self) -> None:
        """The socket is on a websocket from here on."""
        self._server.gateway.upgraded(self._id)

    def answered_ping(self, transport: str, round_trip_s: float) -> None:
        """The client has answered a ping."""
        self._server.gateway.answered_ping(transport, round_trip_s)

    def send(self, packet: bytes) -> None:
        """See `Link.send`."""
        socket = self._server.eio.sockets.get(self.engine_id)
        if socket is not None and not socket.closed:
            socket.queue.put_nowait(EnginePacket(MESSAGE, data=packet.decode()))

    def close(self, reason: CloseReason) -> None:
        """See `Link.close`."""
        if self.close_reason is None:
            self.close_reason = reason
            if reason is CloseReason.DISMISSED:
                work = self._server.send_away(self._id, self.engine_id)
            else:
                work = self._server.close_after_last_packet(self.engine_id)
            self._server.in_background("close a socket", work)

    def abort(self, reason: CloseReason) -> None:
        """See `Link.abort`."""
        if self.close_reason is None:
            self.close_reason = reason
            self._server.in_background("abort a socket", self._server.close_engine(self.engine_id))


class SocketServer(socketio.AsyncServer):  # type: ignore[misc] # python-socketio has no types
    """A Socket.IO server whose events are the gateway's."""

    def __init__(self, gateway: Gateway, supervisor: Supervisor, **options: object) -> None:
        Payload.max_decode_packets = MAX_PACKETS_PER_POST
        super().__init__(
            async_mode="sanic", json=Json, logger=False, engineio_logger=_silent, namespaces=[NAMESPACE], **options
        )
        self.gateway = gateway
        self._supervisor = supervisor
        self.eio._async = {**self.eio._async, "websocket": WholeWebSocket}  # noqa: SLF001 - its hook for drivers
        self._links: dict[str, SocketLink] = {}
        self._engines: dict[str, float] = {}
        self._no_engines = asyncio.Event()
        self.closing = False
        """Whether the node is stopping: those who are here are still served, nobody else is."""
        self.on("connect", self._opened)
        self.on("disconnect", self._closed)

    def in_background(self, name: str, work: Any) -> None:  # noqa: ANN401 - any coroutine
        """Run what a link's synchronous methods cannot wait for."""
        self._supervisor.spawn(name, work)

    async def send_away(self, session: SessionId, engine_id: str) -> None:
        """Send DISCONNECT: a client closes its connection on that, has `CLOSE_GRACE_S` to do so, and stays away."""
        await self.disconnect(session)
        await self.sleep(CLOSE_GRACE_S)
        await self.close_engine(engine_id)

    async def close_after_last_packet(self, engine_id: str) -> None:
        """Close the connection when all that was sent is out. The client will connect again, here or elsewhere."""
        socket = self.eio.sockets.get(engine_id)
        if socket is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(socket.queue.join(), CLOSE_GRACE_S)
            await self.close_engine(engine_id)

    async def close_engine(self, engine_id: str) -> None:
        """Close the connection under a socket, if it is still there. Bounded even if its client reads nothing."""
        socket = self.eio.sockets.get(engine_id)
        try:
            await asyncio.wait_for(self.eio.disconnect(engine_id), CLOSE_GRACE_S)
            if socket is not None and socket.websocket is not None:
                await asyncio.wait_for(socket.websocket.close(), CLOSE_GRACE_S)
        except TimeoutError:
            self.eio.sockets.pop(engine_id, None)

    async def emptied(self) -> None:
        """Close what never joined the namespace, and wait until no connection is left."""
        joined = {link.engine_id for link in self._links.values()}
        for engine_id in self._engines.keys() - joined:
            self.in_background("close a connection", self.close_engine(engine_id))
        while self._engines:
            self._no_engines.clear()
            await self._no_engines.wait()

    # --- python-socketio's life cycle ---------------------------------------------------------------------

    async def _opened(self, session: str, _environ: object, credentials: object) -> bool:
        identity = await self.gateway.admit(credentials)
        engine_id = self.manager.eio_sid_from_sid(session, NAMESPACE)
        if identity is None:
            self._refused(engine_id, "refused")
            return False
        sid = SessionId(session)
        link = SocketLink(self, sid, engine_id)
        self._links[session] = link
        socket = self.eio.sockets[engine_id]
        socket.told, socket.link = True, link
        self.gateway.opened(link, identity, time.monotonic() - self._engines[engine_id])
        return True

    async def _closed(self, session: str, reason: str) -> None:
        link = self._links.pop(session, None)
        if link is not None:
            why = link.close_reason or _REASONS.get(reason, CloseReason.TRANSPORT_LOST)
            self.gateway.closed(link.id, why)

    # --- private hooks: where EVENT packets leave python-socketio -----------------------------------------

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, object]) -> bool | None:
        """An Engine.IO connection stands, unless the node is stopping."""
        if self.closing:
            return False
        self._engines[eio_sid] = time.monotonic()
        self.eio.sockets[eio_sid].__class__ = WatchedSocket
        await super()._handle_eio_connect(eio_sid, environ)
        return None

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        """An Engine.IO connection is gone."""
        self._refused(eio_sid, "abandoned")
        await super()._handle_eio_disconnect(eio_sid, reason)
        self._engines.pop(eio_sid, None)
        if not self._engines:
            self._no_engines.set()

    async def _handle_eio_message(self, eio_sid: str, data: object) -> None:
        """Every Engine.IO message passes here, in the order received."""
        if not data:  # python-socketio takes an empty message for an event
            self._protocol_error(eio_sid)
            return
        is_event = isinstance(data, str) and data.startswith("2") and not data.startswith("2/")
        if is_event and eio_sid not in self._binary_packet:
            await self._event(eio_sid, str(data))
            return
        try:
            await super()._handle_eio_message(eio_sid, data)
        except Exception:  # noqa: BLE001 - whatever a broken packet makes python-socketio raise
            self._protocol_error(eio_sid)

    async def _event(self, eio_sid: str, packet: str) -> None:
        session = self.manager.sid_from_eio_sid(eio_sid, NAMESPACE)
        if session is None:
            self._protocol_error(eio_sid)
        else:
            self.gateway.receive(SessionId(session), packet)

    async def _handle_event(self, eio_sid: str, namespace: str, id: int | None, data: list[Any]) -> None:  # noqa: A002
        """An event with binary attachments, reassembled. The contract has none, so its payload is not passed on."""
        if (namespace or NAMESPACE) == NAMESPACE and data:
            name = Json.dumps([data[0] if isinstance(data[0], str) else ""])[:-1]
            await self._event(eio_sid, f"2{'' if id is None else id}{name},null]")

    def _refused(self, eio_sid: str, result: str) -> None:
        """Tell, once, of a connection that ends without ever having been in the namespace."""
        socket = self.eio.sockets.get(eio_sid)
        if eio_sid in self._engines and socket is not None and not socket.told:
            socket.told = True
            self.gateway.refused(transport_of(socket), result)

    def _protocol_error(self, eio_sid: str) -> None:
        session = self.manager.sid_from_eio_sid(eio_sid, NAMESPACE)
        link = self._links.get(session) if session else None
        if link is not None:
            link.abort(CloseReason.PROTOCOL_ERROR)
        else:
            self._refused(eio_sid, "malformed")
            self.in_background("abort a socket", self.close_engine(eio_sid))
