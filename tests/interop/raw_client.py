"""A client that speaks Engine.IO and Socket.IO by hand: for what no library would send, and to see exact bytes."""

import asyncio
import contextlib
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp

PATIENCE_S = 10.0
SEPARATOR = "\x1e"
_numbers = itertools.count(1)


class Closed(Exception):  # noqa: N818 - an outcome that tests expect, as often as not
    """The server has closed the connection."""


class RawClient(Protocol):
    """One Engine.IO connection. Texts are Engine.IO packets; pings are answered and not shown."""

    async def send(self, *packets: str) -> None:
        """Send packets, together where the transport can."""

    async def receive(self) -> str:
        """The next packet.

        Raises:
            Closed: there is none, and will be none.
        """


class RawWebsocket:
    """`RawClient` on a websocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, *packets: str) -> None:
        for packet in packets:
            await self._socket.send_str(packet)

    async def receive(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self._socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT or message.data == "1":
                    raise Closed
                if message.data != "2":
                    return str(message.data)
                await self.send("3")


class RawPolling:
    """`RawClient` on long polling."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self._waiting: deque[str] = deque()

    async def send(self, *packets: str) -> None:
        async with self._http.post(self._url, data=SEPARATOR.join(packets).encode()):
            pass

    async def receive(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                while not self._waiting:
                    async with self._http.get(self._url) as response:
                        if response.status != 200:
                            raise Closed
                        self._waiting.extend((await response.text()).split(SEPARATOR))
                packet = self._waiting.popleft()
                if packet == "1":
                    raise Closed
                if packet == "2":
                    await self.send("3")
                elif packet != "6":
                    return packet


@contextlib.asynccontextmanager
async def raw_engine(url: str, transport: str) -> AsyncIterator[RawClient]:
    """An Engine.IO connection on which nothing has been said yet."""
    address = f"{url}/socket.io/?{urlencode({'EIO': 4, 'transport': transport})}"
    async with aiohttp.ClientSession() as http:
        if transport == "websocket":
            async with http.ws_connect(address) as socket:
                client = RawWebsocket(socket)
                assert (await client.receive()).startswith("0{")
                yield client
        else:
            async with http.get(address) as response:
                handshake = await response.text()
            assert handshake.startswith("0{")
            poller = RawPolling(http, f"{address}&{urlencode({'sid': json.loads(handshake[1:])['sid']})}")
            yield poller
            await poller.send("1")


@contextlib.asynccontextmanager
async def raw_user(url: str, transport: str, name: str) -> AsyncIterator[tuple[RawClient, str]]:
    """A connection whose user, of a name made unique, has joined."""
    user = f"{name}-raw-{next(_numbers)}"
    async with raw_engine(url, transport) as client:
        await client.send("40")
        assert (await client.receive()).startswith('40{"sid":"')
        await emit(client, "user:join", {"userId": user})
        assert (await client.receive()).startswith('42["user:joined",')
        yield client, user


async def emit(client: RawClient, event: str, payload: Any) -> None:
    """Send an ordinary event."""
    await client.send(f"42{json.dumps([event, payload])}")


async def hear(client: RawClient) -> tuple[str, Any]:
    """The next event as name and payload."""
    packet = await client.receive()
    assert packet.startswith("42"), packet
    event, payload = json.loads(packet[2:])
    return event, payload


async def is_closed(client: RawClient) -> bool:
    """Whether the server closes the connection before it says anything more."""
    try:
        said = await client.receive()
    except Closed:
        return True
    raise AssertionError(f"the connection is open and the server said {said[:200]}")
