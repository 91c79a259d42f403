"""One client: a websocket and just enough Engine.IO and Socket.IO, without a task of its own."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

PATH = "/socket.io/?EIO=4&transport=websocket"
CONNECT_TIMEOUT_S = 30.0

Hear = Callable[[str, dict[str, Any]], None]


class LoadError(Exception):
    """The server did not do what the load expects of it. A measurement of that would be worthless."""


class Client(WSListener):
    """A user. `hear` is called for every event, `lost` when something is wrong."""

    def __init__(self, user: str) -> None:
        super().__init__()
        self.user = user
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
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
            event, *arguments = orjson.loads(packet[2:])
            if event == "user:joined" and not self.joined.done():
                self.joined.set_result(None)
            else:
                self.hear(event, arguments[0] if arguments else {})
        elif packet == b"2":
            self.send(b"3")
        elif packet.startswith(b"0"):
            self.send(b"40")
        elif packet.startswith(b"40"):
            self.send(b"42" + orjson.dumps(["user:join", {"userId": self.user}]))
        else:
            self.lost(LoadError(f"{self.user} got {packet[:100]!r}"))

    def _unasked(self, event: str, payload: dict[str, Any]) -> None:
        self.lost(LoadError(f"{self.user} got {event} {payload} outside a call"))

    def _lost_early(self, error: LoadError) -> None:
        if not self.joined.done():
            self.joined.set_exception(error)


async def join(port: int, user: str) -> Client:
    """Connect on the loopback interface and join.

    Raises:
        LoadError: the server refused, or did not answer in time.
    """
    client = Client(user)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await ws_connect(lambda: client, f"ws://127.0.0.1:{port}{PATH}")
            await client.joined
    except TimeoutError:
        raise LoadError(f"{user} could not join within {CONNECT_TIMEOUT_S:.0f} s") from None
    return client


async def join_all(port: int, users: list[str], at_once: int) -> list[Client]:
    """Let all these users join, at most `at_once` of them at a time."""
    waiting = iter(users)
    clients: list[Client] = []

    async def work() -> None:
        clients.extend([await join(port, user) for user in waiting])

    await asyncio.gather(*(work() for _ in range(at_once)))
    return clients
