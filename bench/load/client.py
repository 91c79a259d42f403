"""One client: a websocket and just enough Engine.IO and Socket.IO, without a task of its own."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from picows import WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

PATH = "/socket.io/?EIO=4&transport=websocket"
CONNECT_TIMEOUT_S = 90.0
"""A packet that a server in a storm had no room for is sent again, the last time after a minute."""

IP_BIND_ADDRESS_NO_PORT = 24
"""Of Linux; the module `socket` does not name it before Python 3.12."""

Take = Callable[[bytes], None]
Hear = Callable[[str, dict[str, Any]], None]
Proof = Callable[[str], bytes]
"""What a user sends to prove who he is: the payload of the CONNECT packet, or nothing."""


class LoadError(Exception):
    """The server did not do what the load expects of it. A measurement of that would be worthless."""


def event_packet(event: str, payload: dict[str, Any]) -> bytes:
    """What is sent for an event."""
    return b"42" + orjson.dumps([event, payload])


def read_event(packet: bytes) -> tuple[str, dict[str, Any]]:
    """Name and payload of an event that was received."""
    event, *arguments = orjson.loads(packet[2:])
    return event, arguments[0] if arguments else {}


def no_proof(_user: str) -> bytes:
    """Of a server that asks for none."""
    return b""


class Client(WSListener):
    """A user. `take` is called with the packet of every event, `lost` when something is wrong.

    Until somebody else takes the packets, `hear` is called with what stands in them.
    """

    def __init__(self, user: str, proof: Proof = no_proof) -> None:
        super().__init__()
        self.user = user
        self._connect = b"40" + proof(user)
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.take: Take = self._read
        self.hear: Hear = self._unasked
        self.lost: Callable[[LoadError], None] = self._lost_early
        self._transport: WSTransport | None = None
        self._leaving = False

    def send(self, packet: bytes) -> None:
        """Send a Socket.IO packet in its Engine.IO message, or any other Engine.IO packet, as it stands."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, packet)

    async def leave(self) -> None:
        """Close the connection, and wait until it is closed: a server that is stopped waits for those who are there."""
        self._leaving = True
        if self._transport is not None:
            self._transport.disconnect()
            await self._transport.wait_disconnected()

    def drop(self) -> None:
        """Be gone, without a word."""
        self._leaving = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See `WSListener`."""
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """See `WSListener`."""
        self._transport = None
        if not self._leaving:
            self.lost(LoadError(f"the connection of {self.user} was lost"))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See `WSListener`."""
        if frame.msg_type is not WSMsgType.TEXT:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        packet = frame.get_payload_as_bytes()
        if packet.startswith(b"42["):
            self.take(packet)
        elif packet == b"2":
            self.send(b"3")
        elif packet.startswith(b"0"):
            self.send(self._connect)
        elif packet.startswith(b"40"):
            self.send(event_packet("user:join", {"userId": self.user}))
        else:
            self.lost(LoadError(f"{self.user} got {packet[:100]!r}"))

    def _read(self, packet: bytes) -> None:
        event, payload = read_event(packet)
        if event == "user:joined" and not self.joined.done():
            self.joined.set_result(None)
        else:
            self.hear(event, payload)

    def _unasked(self, event: str, payload: dict[str, Any]) -> None:
        self.lost(LoadError(f"{self.user} got {event} {payload} outside a call"))

    def _lost_early(self, error: LoadError) -> None:
        if not self.joined.done():
            self.joined.set_exception(error)


def _socket(source: str) -> socket.socket:
    """A socket of that address whose port is chosen when it connects.

    Before that it would have to be one that no other socket of this address has, to wherever, not even a closed one
    for a minute: after a few thousand connections the search takes longer than all else.
    """
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))
    return sock


async def join(port: int, user: str, source: str = "127.0.0.1", proof: Proof = no_proof) -> Client:
    """A client that has joined; see `enter`."""
    client = Client(user, proof)
    await enter(client, port, source)
    return client


async def enter(client: Client, port: int, source: str) -> None:
    """Connect on the loopback interface, from the address `source` of it, and join.

    Raises:
        LoadError: the server refused, or did not answer in time.
        OSError: nobody listens there.
    """
    url = f"ws://127.0.0.1:{port}{PATH}"
    own = _socket(source)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await ws_connect(lambda: client, url, websocket_handshake_timeout=None, socket_factory=lambda _url: own)
            await client.joined
    except TimeoutError:
        raise LoadError(f"{client.user} could not join within {CONNECT_TIMEOUT_S:.0f} s") from None
    except WSHandshakeError as error:
        raise LoadError(f"{client.user} was refused: {error}") from None
    except OSError:
        own.close()
        raise


async def join_all(
    port: int, users: Sequence[str], at_once: int, source: str = "127.0.0.1", proof: Proof = no_proof
) -> list[Client]:
    """Let all these users join, at most `at_once` of them at a time."""
    waiting = iter(users)
    clients: list[Client] = []

    async def work() -> None:
        for user in waiting:
            clients.append(await join(port, user, source, proof))  # noqa: PERF401 - the others append meanwhile

    await asyncio.gather(*(work() for _ in range(at_once)))
    return clients
