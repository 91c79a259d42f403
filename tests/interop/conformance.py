"""A server for protocol test suites, made of the classes that serve clients: `python -m tests.interop.conformance`.

`/engine.io/` echoes messages. `/socket.io/`, with the namespaces `/` and `/custom`, says `auth` with what it was
sent on CONNECT, answers `message` with `message-back` and acknowledges `message-with-ack`, each with the same
arguments. `/ws-echo` echoes websocket messages through the frame layer alone.
"""

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any

import uvloop
from sanic import Request, Sanic

from service.supervisor import Supervisor
from service.transport.admission import Admission, AdmissionLimits
from service.transport.app import bare_app
from service.transport.engine.connection import Connection, EngineOptions
from service.transport.engine.http import EngineRoutes
from service.transport.engine.server import EngineServer
from service.transport.engine.session import Heartbeat
from service.transport.engine.websocket import Cork, HandoverProtocol, WebSocket, hand_over
from service.transport.link import CloseReason
from service.transport.origins import Origins
from service.transport.server import listen
from service.transport.strict import StrictServer

MAX_PAYLOAD = 1_000_000
MAX_OUTGOING = 4_000_000
NAMESPACES = ("/", "/custom")


class Echo:
    """The handler of the bare engine."""

    def turned_away(self, transport: str, code: str) -> None:
        """See `Handler`."""

    def connected(self, connection: Connection) -> None:
        """See `Handler`."""

    def confirmed(self, connection: Connection) -> bool:
        """See `Handler`."""
        return True

    def message(self, connection: Connection, text: str) -> None:
        """See `Handler`."""
        connection.send(text.encode())

    def binary_message(self, connection: Connection, data: bytes) -> None:
        """See `Handler`."""
        connection.send_binary(data)

    def upgraded(self, connection: Connection) -> None:
        """See `Handler`."""

    def answered_ping(self, connection: Connection, round_trip_s: float) -> None:
        """See `Handler`."""

    def dropped(self, connection: Connection, reason: str, messages: int) -> None:
        """See `Handler`."""

    def disconnected(self, connection: Connection, reason: CloseReason, rule: str | None) -> None:
        """See `Handler`."""


class FrameEcho:
    """The receiver of a bare websocket."""

    def __init__(self) -> None:
        self.websocket = WebSocket(self, MAX_PAYLOAD, MAX_OUTGOING, Cork())

    def opened(self) -> None:
        """See `Receiver`."""

    def text(self, text: str) -> None:
        """See `Receiver`."""
        self.websocket.send_text(text.encode())

    def binary(self, data: bytes) -> None:
        """See `Receiver`."""
        self.websocket.send_binary(data)

    def broken(self, _rule: str) -> None:
        """See `Receiver`."""

    def overflowed(self) -> None:
        """See `Receiver`."""
        self.websocket.abort()

    def lost(self) -> None:
        """See `Receiver`."""


def _add_events(server: StrictServer, supervisor: Supervisor, namespace: str) -> None:
    async def connect(sid: str, _environ: object, auth: object = None) -> None:
        greeting = server.emit("auth", auth or {}, to=sid, namespace=namespace)
        supervisor.spawn("say auth, after CONNECT has been answered", greeting)

    async def message(sid: str, *arguments: object) -> None:
        await server.emit("message-back", arguments, to=sid, namespace=namespace)

    async def message_with_ack(_sid: str, *arguments: object) -> tuple[object, ...]:
        return arguments

    for name, handler in (("connect", connect), ("message", message), ("message-with-ack", message_with_ack)):
        server.on(name, handler, namespace=namespace)


def _serve_engine(app: Sanic[Any, Any], path: str, engine: EngineServer) -> None:
    EngineRoutes(engine, Origins(["*"]), Admission(AdmissionLimits()), 0).add_to(app, path)


async def _run(options: argparse.Namespace) -> None:
    heartbeat = Heartbeat(options.ping_interval_ms / 1000, options.ping_timeout_ms / 1000)
    engine_options = EngineOptions(heartbeat, MAX_PAYLOAD, MAX_OUTGOING, 256, options.upgrade_timeout_ms / 1000)
    app = bare_app(engine_options)
    echo = EngineServer(engine_options)
    echo.handler = Echo()
    _serve_engine(app, "/engine.io/", echo)
    engine = EngineServer(engine_options)
    timeout_s = options.connect_timeout_ms / 1000
    supervisor = Supervisor()
    server = StrictServer(engine, supervisor, connect_timeout_s=timeout_s, namespaces=list(NAMESPACES))
    for namespace in NAMESPACES:
        _add_events(server, supervisor, namespace)
    _serve_engine(app, "/socket.io/", engine)

    async def ws_echo(request: Request) -> None:
        hand_over(request, FrameEcho().websocket, MAX_PAYLOAD)

    ws_echo.is_websocket = True  # type: ignore[attr-defined] # Sanic: it returns nothing
    app.add_route(ws_echo, "/ws-echo")
    listener = listen("127.0.0.1", options.port, sum(heartbeat))
    serving = await app.create_server(sock=listener, protocol=HandoverProtocol, access_log=False)
    assert serving is not None
    await serving.startup()  # type: ignore[no-untyped-call] # Sanic
    await serving.start_serving()  # type: ignore[no-untyped-call] # Sanic
    print(f"listening on {listener.getsockname()[1]}", flush=True)  # noqa: T201 - for whoever started it
    await asyncio.Event().wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--ping-interval-ms", type=float, default=300)
    parser.add_argument("--ping-timeout-ms", type=float, default=200)
    parser.add_argument("--upgrade-timeout-ms", type=float, default=10_000)
    parser.add_argument("--connect-timeout-ms", type=float, default=45_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
