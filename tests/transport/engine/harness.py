"""An engine whose handler is the test: in process, and on a socket of the loopback where a client is needed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from sanic import Sanic

from service.transport.admission import Admission, AdmissionLimits
from service.transport.app import bare_app
from service.transport.engine.connection import Connection, EngineOptions
from service.transport.engine.http import EngineRoutes
from service.transport.engine.server import EngineServer
from service.transport.engine.session import Heartbeat
from service.transport.engine.websocket import HandoverProtocol
from service.transport.link import CloseReason
from service.transport.origins import Origins
from service.transport.server import listen

PATIENCE_S = 10.0
INTERVAL_S, TIMEOUT_S = 25.0, 20.0
MAX_MESSAGE_BYTES, MAX_OUTGOING_BYTES, MAX_PACKETS = 2000, 1000, 20
PATH = "/engine.io/"


class Recorder:
    """`service.transport.engine.connection.Handler` that notes what it is told, apart from connections it opens."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.greeting: bytes | None = None
        self.confirm_at_s: float | None = None
        self.is_confirmed = True
        self.refuses: Exception | None = None
        self._news = asyncio.Event()

    def take(self) -> list[tuple[object, ...]]:
        """What was told since it was last asked."""
        told, self.told = self.told, []
        return told

    async def hears(self, *told: object) -> None:
        """Wait until this has been told."""
        async with asyncio.timeout(PATIENCE_S):
            while told not in self.told:
                self._news.clear()
                await self._news.wait()

    def _note(self, *told: object) -> None:
        self.told.append(told)
        self._news.set()

    def turned_away(self, transport: str, code: str) -> None:
        """See `Handler`."""
        self._note("turned away", transport, code)

    def connected(self, connection: Connection) -> float | None:
        """See `Handler`."""
        self._note("connected", connection.transport)
        if self.greeting is not None:
            connection.send(self.greeting)
        return self.confirm_at_s

    def confirmed(self, connection: Connection) -> bool:
        """See `Handler`."""
        self._note("confirmed?", connection.transport)
        return self.is_confirmed

    def message(self, connection: Connection, text: str) -> None:
        """See `Handler`."""
        self._heard(connection, text)

    def binary_message(self, connection: Connection, data: bytes) -> None:
        """See `Handler`."""
        self._heard(connection, data)

    def _heard(self, connection: Connection, message: str | bytes) -> None:
        assert not connection.closed
        self._note("message", message)
        if self.refuses is not None:
            raise self.refuses

    def upgraded(self, connection: Connection) -> None:
        """See `Handler`."""
        self._note("upgraded", connection.transport)
        if self.greeting is not None:
            connection.send(self.greeting)

    def answered_ping(self, connection: Connection, round_trip_s: float) -> None:
        """See `Handler`."""
        self._note("answered", connection.transport, round_trip_s >= 0)

    def dropped(self, connection: Connection, reason: str, messages: int) -> None:
        """See `Handler`."""
        del connection
        self._note("dropped", reason, messages)

    def disconnected(self, connection: Connection, reason: CloseReason, rule: str | None) -> None:
        """See `Handler`."""
        assert connection.closed
        self._note("disconnected", reason, rule)


class Bench:
    """An engine, its handler, and which connections it has forgotten."""

    def __init__(self, heartbeat: Heartbeat | None = None, max_outgoing_bytes: int = MAX_OUTGOING_BYTES) -> None:
        self.options = EngineOptions(
            heartbeat=heartbeat or Heartbeat(INTERVAL_S, TIMEOUT_S),
            max_message_bytes=MAX_MESSAGE_BYTES,
            max_outgoing_bytes=max_outgoing_bytes,
            max_packets_per_payload=MAX_PACKETS,
            upgrade_timeout_s=PATIENCE_S,
        )
        self.engine = EngineServer(self.options)
        self.handler = Recorder()
        self.engine.handler = self.handler
        self.forgotten: list[str] = []
        self.engine.on_forgotten = lambda connection: self.forgotten.append(connection.sid)

    def polling(self) -> Connection:
        """A connection on polling, whose first answer has gone out."""
        connection = self.engine.new_connection("192.0.2.1")
        connection.begin_on_polling()
        self.handler.take()
        return connection

    @asynccontextmanager
    async def serving(
        self, limits: AdmissionLimits | None = None, origins: tuple[str, ...] = ("*",), trusted_proxies: int = 0
    ) -> AsyncIterator["Serving"]:
        """The engine at `PATH` on a port of its own."""
        Sanic.test_mode = True  # Sanic rewrites its own methods for an application, and may do so again for another
        app = bare_app(self.options)
        routes = EngineRoutes(self.engine, Origins(origins), Admission(limits or AdmissionLimits()), trusted_proxies)
        released = self.engine.on_forgotten

        def forgotten(connection: Connection) -> None:
            self.forgotten.append(connection.sid)
            released(connection)

        self.engine.on_forgotten = forgotten
        routes.add_to(app, PATH)
        listener = listen("127.0.0.1", 0, PATIENCE_S)
        server = await app.create_server(sock=listener, protocol=HandoverProtocol, access_log=False)
        assert server is not None
        await server.startup()  # type: ignore[no-untyped-call] # Sanic
        await server.start_serving()  # type: ignore[no-untyped-call] # Sanic
        try:
            yield Serving(listener.getsockname()[1], routes)
        finally:
            for connection in self.engine:
                connection.abort()
            async with asyncio.timeout(PATIENCE_S):
                await self.engine.emptied()
            for kept_alive in tuple(server.connections):
                kept_alive.abort()
            await server.close()  # type: ignore[no-untyped-call] # Sanic


class Serving:
    """An engine that listens."""

    def __init__(self, port: int, routes: EngineRoutes) -> None:
        self.port = port
        self.routes = routes

    def url(self, **query: str) -> str:
        """An address of version 4 of the protocol, unless the query says otherwise."""
        pairs = "&".join(f"{name}={value}" for name, value in {"EIO": "4", **query}.items())
        return f"http://127.0.0.1:{self.port}{PATH}?{pairs}"


async def poll(connection: Connection) -> list[str]:
    async with asyncio.timeout(PATIENCE_S):
        return (await connection.polled()).decode().split("\x1e")


async def open_poll(connection: Connection) -> "asyncio.Task[list[str]]":
    """A poll that waits."""
    waiting = asyncio.create_task(poll(connection))
    await asyncio.sleep(0)
    assert not waiting.done()
    return waiting


class Client:
    """A websocket of aiohttp."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self.websocket = websocket

    async def next(self) -> str | bytes:
        message = await self.websocket.receive(timeout=PATIENCE_S)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        assert isinstance(message.data, str | bytes)
        return message.data

    async def close_code(self) -> int | None:
        message = await self.websocket.receive(timeout=PATIENCE_S)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), message
        return self.websocket.close_code


async def connect(serving: Serving, http: aiohttp.ClientSession, sid: str | None = None) -> Client:
    query = {"transport": "websocket"} if sid is None else {"transport": "websocket", "sid": sid}
    return Client(await http.ws_connect(serving.url(**query)))


async def direct(bench: Bench, serving: Serving, http: aiohttp.ClientSession) -> tuple[Connection, Client]:
    """A connection that is on a websocket from the start."""
    client = await connect(serving, http)
    opened = await client.next()
    assert isinstance(opened, str)
    connection = bench.engine.get(json.loads(opened[1:])["sid"])
    assert connection is not None
    bench.handler.take()
    return connection, client


async def gone(bench: Bench) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await bench.engine.emptied()
