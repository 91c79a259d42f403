"""A client that does what `docs/client-integration.md` asks for when its node goes away, and keeps account of it."""

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from typing import Any

import aiohttp

JOIN_ACK = "430["
PATIENCE_S = 20.0
MAX_DELAY_MS = 60_000
_numbers = itertools.count(1)


class MovingClient:
    """One user on a websocket. What it says waits while it is away, and from the time on that the server has given."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.user = f"mover-{next(_numbers)}"
        self.heard: list[tuple[str, Any]] = []
        self.told: Counter[str] = Counter()
        self.resumed: list[str | None] = []
        """The call that each `user:joined` after the first one named."""
        self._http = http
        self._url = f"{url.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
        self._waiting: list[str] = []
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._is_held = True
        self._joined = asyncio.Event()
        self._news = asyncio.Condition()
        self._in_order = asyncio.Lock()
        self._living = asyncio.create_task(self._live())

    async def say(self, event: str, payload: dict[str, Any]) -> None:
        """Send an event, now or as soon as there is a connection for it."""
        self._waiting.append(f"42{json.dumps([event, payload])}")
        await self._flush()

    async def joined(self) -> None:
        """Wait until the user has joined for the first time."""
        async with asyncio.timeout(PATIENCE_S):
            await self._joined.wait()

    async def hears(self, event: str, count: int = 1) -> list[Any]:
        """Wait for so many of these events; gives all payloads heard so far."""

        def payloads() -> list[Any]:
            return [payload for name, payload in self.heard if name == event]

        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: len(payloads()) >= count or self._living.done())
        if self._living.done():
            self._living.result()
        return payloads()

    async def leave(self) -> None:
        """Say goodbye."""
        self._living.cancel()
        if self._socket is not None:
            await self._socket.send_str("41")
            await self._socket.close()

    # ------------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                await self._stay()
            await asyncio.sleep(0.05)

    async def _stay(self) -> None:
        self._is_held = True
        async with self._http.ws_connect(self._url, heartbeat=None) as socket:
            await socket.send_str("40")
            self._socket = socket
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self._take(socket, message.data)
        self._is_held = True

    async def _take(self, socket: aiohttp.ClientWebSocketResponse, packet: str) -> None:
        if packet == "2":
            await socket.send_str("3")
        elif packet.startswith("40"):
            await socket.send_str(f"420{json.dumps(['user:join', {'userId': self.user}])}")
        elif packet.startswith(JOIN_ACK):  # what was missed has come before it
            self._is_held = False
            await self._flush()
            self._joined.set()
        elif packet.startswith("42"):
            event, payload = json.loads(packet[2:])
            await self._hear(event, payload)

    async def _hear(self, event: str, payload: dict[str, Any]) -> None:
        if event == "user:joined" and self._joined.is_set():
            self.resumed.append(payload.get("call", {}).get("callId"))
        if event == "server:draining":
            assert 0 <= payload["reconnectInMs"] <= MAX_DELAY_MS
            asyncio.get_running_loop().call_later(payload["reconnectInMs"] / 1000, self._hold, self._socket)
        self.told[event] += 1
        async with self._news:
            self.heard.append((event, payload))
            self._news.notify_all()

    def _hold(self, socket: object) -> None:
        if socket is self._socket:
            self._is_held = True

    async def _flush(self) -> None:
        async with self._in_order:
            while self._waiting and not self._is_held and self._socket is not None:
                await self._socket.send_str(self._waiting.pop(0))
