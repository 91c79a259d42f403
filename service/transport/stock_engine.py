"""python-engineio's sockets and Sanic's websocket, as far as they must be mended and watched.

Private hooks of the pinned versions, held by the tests of `tests/interop/`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Protocol

from engineio.async_drivers.sanic import WebSocket as StockWebSocket
from engineio.async_socket import AsyncSocket
from engineio.packet import NOOP, PONG
from engineio.packet import Packet as EnginePacket
from sanic.exceptions import WebsocketClosed

LAST_WORDS_S = 0.02
"""How long the next of several messages may take that came at once with the close of the connection."""


class Watcher(Protocol):
    """Who is told what a socket goes through."""

    def upgraded(self) -> None:
        """The socket is on a websocket from here on."""

    def answered_ping(self, transport: str, round_trip_s: float) -> None:
        """The client has answered a ping."""


def transport_of(socket: AsyncSocket) -> str:
    """`polling` or `websocket`, as of now."""
    return "websocket" if socket.upgraded else "polling"


class WholeWebSocket(StockWebSocket):  # type: ignore[misc] # python-engineio has no types
    """The stock driver's websocket, to the last message.

    When a client closes, Sanic cancels whoever reads, and what came just before is lost: the goodbye of a client
    that says it and closes, and the `call:end` before it. `last_words` still has them.
    """

    _reading: "asyncio.Task[str | bytes] | None" = None

    async def wait(self) -> str | bytes:
        """The next message.

        Raises:
            WebsocketClosed: the connection is closed.
        """
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sock.recv_cancel = closed  # Sanic cancels it when the close frame comes or the connection is lost
        reading = self._next()
        await asyncio.wait((reading, closed), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            raise WebsocketClosed
        self._reading = None
        return reading.result()

    async def last_words(self) -> AsyncIterator[str | bytes]:
        """What has arrived and was not read before the connection was closed."""
        while True:
            reading = self._next()
            await asyncio.wait((reading,), timeout=LAST_WORDS_S)
            if not reading.done():
                reading.cancel()
                return
            self._reading = None
            yield reading.result()

    def _next(self) -> "asyncio.Task[str | bytes]":
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._sock.assembler.get())
        return self._reading


class WatchedSocket(AsyncSocket):  # type: ignore[misc] # python-engineio has no types
    """A socket of the stock engine that tells of its upgrade and of answered heartbeats.

    The engine makes its sockets itself; each is turned into one of these as soon as it is there.
    """

    told = False
    """Whether the gateway has heard of this connection, as a link or as a refusal."""

    link: Watcher | None = None
    websocket: WholeWebSocket | None = None

    def __setattr__(self, name: str, value: object) -> None:
        was_polling = name == "upgraded" and value and not self.upgraded and self.connected
        super().__setattr__(name, value)
        if was_polling and self.link is not None:
            self.link.upgraded()

    async def receive(self, pkt: EnginePacket) -> None:
        """Time the answer to a ping, then go on as before."""
        if pkt.packet_type == PONG and self.last_ping and self.link is not None:
            self.link.answered_ping(transport_of(self), max(0.0, time.time() - self.last_ping))
        await super().receive(pkt)

    async def _websocket_handler(self, ws: WholeWebSocket) -> None:
        self.websocket = ws
        await super()._websocket_handler(ws)

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """Hear a client out that has closed its websocket, then go on as before."""
        try:
            if reason == self.server.reason.TRANSPORT_CLOSE and self.websocket is not None and not self.closing:
                async for message in self.websocket.last_words():
                    await self.receive(EnginePacket(encoded_packet=message))
        finally:
            await super().close(wait=wait, abort=abort, reason=reason)
            if not self.upgraded:
                self.queue.put_nowait(EnginePacket(NOOP))  # answers a poll that is still open
