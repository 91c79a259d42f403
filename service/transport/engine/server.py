"""The Engine.IO server: all connections of one path."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator

from service.transport.engine.connection import Connection, EngineOptions, Handler
from service.transport.engine.websocket import Cork
from service.transport.engine.wheel import Wheel

SID_BYTES = 15
MAX_STEP_S = 0.1
STEPS_PER_BEAT = 50
"""How fine the one timer is: a ping may be early by a fiftieth of the interval."""


def new_sid() -> str:
    """120 random bits, 20 characters. Who knows a sid has the connection, so it is never shown to anybody else."""
    return secrets.token_urlsafe(SID_BYTES)


class EngineServer:
    """See the module. `handler` has to be set before the first request."""

    handler: Handler

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.cork = Cork()
        self._connections: dict[str, Connection] = {}
        self._wheel: Wheel | None = None
        self._empty = asyncio.Event()
        self.on_forgotten: Callable[[Connection], None] = lambda _connection: None
        """Called when nothing of a connection is left."""

    @property
    def wheel(self) -> Wheel:
        """The timer of all connections; made on the loop that serves them."""
        if self._wheel is None:
            beat_s = min(self.options.heartbeat)
            self._wheel = Wheel(min(MAX_STEP_S, beat_s / STEPS_PER_BEAT))
        return self._wheel

    def __len__(self) -> int:
        """The number of connections, closing ones included."""
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        """The connections as of now. From any thread."""
        return iter(tuple(self._connections.values()))

    def most_waiting_bytes(self) -> int:
        """What waits for the client that reads most slowly. From any thread."""
        return max((connection.waiting_bytes for connection in self), default=0)

    def get(self, sid: str) -> Connection | None:
        """The connection with this sid."""
        return self._connections.get(sid)

    def new_connection(self, address: str) -> Connection:
        """A connection for a handshake from this address, still to be begun on its transport."""
        connection = Connection(new_sid(), self.handler, self, time.monotonic())
        connection.address = address
        self._connections[connection.sid] = connection
        return connection

    def forget(self, connection: Connection) -> None:
        """See `Keeper.forget`. Repeatable."""
        if self._connections.pop(connection.sid, None) is not None:
            self.on_forgotten(connection)
            if not self._connections:
                self._empty.set()

    async def emptied(self) -> None:
        """Wait until no connection is left."""
        while self._connections:
            self._empty.clear()
            await self._empty.wait()
