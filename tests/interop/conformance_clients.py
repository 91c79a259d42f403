"""Engine.IO connections whose every request and frame a test can see and choose.

Unlike `raw_client`, a poll can be left open while something else happens, and a ping is answered only where the test
wants it.
"""

import asyncio
import base64
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol
from urllib.parse import urlencode

from tests.interop.conformance_frames import (
    BINARY,
    CLOSE,
    TEXT,
    Frames,
    Reply,
    Wire,
    ask,
    connected,
    frame,
    reply,
    request,
    websocket,
)
from tests.interop.conformance_server import Conformance
from tests.interop.raw_client import PATIENCE_S, SEPARATOR, Closed

ENGINE, SOCKET = "/engine.io/", "/socket.io/"
NEVER_A_SID = "no-such-session-x"

Packet = str | bytes
"""An Engine.IO packet; bytes are a binary message."""


class Client(Protocol):
    """One Engine.IO connection."""

    handshake: dict[str, Any]

    async def send(self, *packets: Packet) -> None:
        """Send packets, together where the transport can."""

    async def next(self) -> Packet:
        """The next packet, whatever it is.

        Raises:
            Closed: there is none, and will be none.
        """


async def receive(client: Client) -> Packet:
    """The next packet that is no ping; pings are answered.

    Raises:
        Closed: there is none, and will be none.
    """
    async with asyncio.timeout(PATIENCE_S):
        while (packet := await client.next()) == "2":
            await client.send("3")
    return packet


async def receive_all(client: Client, count: int) -> list[Packet]:
    """As many packets, pings apart."""
    return [await receive(client) for _ in range(count)]


async def ends(client: Client) -> None:
    """The server closes the connection before it says anything more, although its pings are answered."""
    with contextlib.suppress(Closed):
        raise AssertionError(f"the connection is open and the server said {await receive(client)!r:.200}")


class Socket:
    """`Client` on a websocket."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.handshake: dict[str, Any] = {}

    async def send(self, *packets: Packet) -> None:
        await self.frames.send(
            *(frame(TEXT, it.encode()) if isinstance(it, str) else frame(BINARY, it) for it in packets)
        )

    async def next(self) -> Packet:
        message = await self.frames.receive()
        if message.opcode == CLOSE:
            raise Closed
        assert message.fin, message
        assert message.opcode in (TEXT, BINARY), message
        return message.payload.decode() if message.opcode == TEXT else message.payload


class Polling:
    """`Client` on long polling: each request on a connection of its own."""

    def __init__(self, port: int, path: str) -> None:
        self.handshake: dict[str, Any] = {}
        self._port = port
        self._path = path
        self._waiting: deque[Packet] = deque()

    @property
    def sid(self) -> str:
        """The key to the session."""
        return str(self.handshake["sid"])

    def target(self, **query: str) -> str:
        """The address of this session."""
        return target(self._path, transport="polling", sid=self.sid, **query)

    async def poll(self, **query: str) -> Reply:
        """One poll."""
        return await ask(self._port, "GET", self.target(**query))

    async def post(self, *packets: Packet, **query: str) -> Reply:
        """One request with packets."""
        return await self.post_bytes(SEPARATOR.join(map(_encoded, packets)).encode(), **query)

    async def post_bytes(self, body: bytes, **query: str) -> Reply:
        """One request with this body."""
        return await ask(self._port, "POST", self.target(**query), body)

    @contextlib.asynccontextmanager
    async def open_poll(self) -> AsyncIterator["OpenPoll"]:
        """A poll that has reached the server: it has answered a request that was sent later."""
        async with connected(self._port) as wire:
            await wire.write(request("GET", self.target()))
            await ask(self._port, "GET", target(self._path, transport="polling", sid=NEVER_A_SID))
            yield OpenPoll(wire)

    async def send(self, *packets: Packet) -> None:
        answer = await self.post(*packets)
        if answer.status != 200:
            raise Closed
        assert answer.body == "ok"

    async def next(self) -> Packet:
        while not self._waiting:
            answer = await self.poll()
            if answer.status != 200:
                raise Closed
            self._waiting.extend(packet for packet in packets_of(answer.body) if packet != "6")
        packet = self._waiting.popleft()
        if packet == "1":
            raise Closed
        return packet


class OpenPoll:
    """A poll that waits for its answer."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def reply(self) -> Reply:
        """The answer."""
        return await reply(self._wire)


def target(path: str, **query: str) -> str:
    """An address for version 4 of the protocol, unless the query says otherwise."""
    return f"{path}?{urlencode({'EIO': '4', **query})}"


def packets_of(body: str) -> list[Packet]:
    """The packets in the answer to a poll."""
    return [base64.b64decode(it[1:], validate=True) if it.startswith("b") else it for it in body.split(SEPARATOR)]


def _encoded(packet: Packet) -> str:
    return packet if isinstance(packet, str) else f"b{base64.b64encode(packet).decode()}"


def _opened(packet: Packet) -> dict[str, Any]:
    assert isinstance(packet, str)
    assert packet.startswith("0{"), packet
    return dict(json.loads(packet[1:]))


@contextlib.asynccontextmanager
async def polling(server: Conformance, path: str = ENGINE, **query: str) -> AsyncIterator[Polling]:
    """A session on long polling; at the end it is closed."""
    client = Polling(server.port, path)
    answer = await ask(server.port, "GET", target(path, transport="polling", **query))
    assert answer.status == 200, answer.body
    client.handshake = _opened(answer.body)
    yield client
    with contextlib.suppress(Closed):
        await client.post("1")


@contextlib.asynccontextmanager
async def socket(server: Conformance, path: str = ENGINE, **query: str) -> AsyncIterator[Socket]:
    """A session that is on a websocket from the start."""
    async with websocket(server.port, target(path, transport="websocket", **query)) as frames:
        client = Socket(frames)
        client.handshake = _opened(await client.next())
        yield client


@contextlib.asynccontextmanager
async def second_socket(server: Conformance, sid: str, path: str = ENGINE) -> AsyncIterator[Socket]:
    """A websocket for a session that exists already: the first step of an upgrade."""
    async with websocket(server.port, target(path, transport="websocket", sid=sid)) as frames:
        yield Socket(frames)


async def probe(upgrading: Socket) -> None:
    """The second step of an upgrade: the websocket works in both directions."""
    await upgrading.send("2probe")
    assert await upgrading.next() == "3probe"


@contextlib.asynccontextmanager
async def upgraded(server: Conformance, path: str = ENGINE) -> AsyncIterator[tuple[Polling, Socket]]:
    """A session that began with polling and is on a websocket now; what is left of the old transport comes first."""
    async with polling(server, path) as old, second_socket(server, old.sid, path) as new:
        new.handshake = old.handshake
        await probe(new)
        await new.send("5")
        yield old, new


@contextlib.asynccontextmanager
async def opened(server: Conformance, transport: str, path: str = ENGINE) -> AsyncIterator[Client]:
    """A session on this transport."""
    if transport == "polling":
        async with polling(server, path) as poller:
            yield poller
    elif transport == "websocket":
        async with socket(server, path) as direct:
            yield direct
    else:
        async with upgraded(server, path) as (_, changed):
            yield changed


@contextlib.asynccontextmanager
async def kept_alive(client: Client) -> AsyncIterator["asyncio.Queue[Packet]"]:
    """Answer the pings of a client in the background; gives what else it hears."""
    heard: asyncio.Queue[Packet] = asyncio.Queue()

    async def listen() -> None:
        while True:
            heard.put_nowait(await receive(client))

    listening = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError, Closed):
            await listening
