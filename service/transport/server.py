"""Listening, and stopping in bounded time."""

import asyncio
import signal
import socket

from sanic.server.async_server import AsyncioServer

from service.address import AddressError
from service.transport.app import Health, Transport
from service.transport.drain import Drain
from service.transport.engine.websocket import HandoverProtocol
from service.transport.link import CloseReason
from service.transport.tls import ReloadingContext

_IDLE_CHECK_S = 0.02
RECEIVE_BUFFER_BYTES = 65_536
"""What the system may hold of a client that sends faster than we read; it takes twice that. picows' buffers, which
grow to what one read brings, are bounded by it too."""

BACKLOG = 1024
"""Connections that may wait to be accepted: a reconnect storm comes in one second."""


def listen(host: str, port: int, unacknowledged_s: float, set_with: str = "PORT and HOST") -> socket.socket:
    """Take the address.

    Connections inherit what is set here: no delay for small packets, an end of those whose client has not
    acknowledged anything for `unacknowledged_s`, and a bound on what the system reads ahead for a client.

    Raises:
        AddressError: somebody else has it, or it is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise AddressError(host, port, error, set_with) from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(unacknowledged_s * 1000))
    return listener


async def serve(
    transport: Transport,
    listener: socket.socket,
    *,
    tls: ReloadingContext | None,
    health: Health,
    drain: Drain,
    shutdown_timeout_s: float,
) -> None:
    """Serve until SIGTERM or SIGINT, or until somebody else begins the drain; then stop. A second signal forces it."""
    stop = asyncio.Event()
    force = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, force, drain)
    if tls is not None:
        loop.add_signal_handler(signal.SIGHUP, tls.reload)
    server = await transport.app.create_server(
        sock=listener,
        ssl=None if tls is None else tls.context,
        protocol=HandoverProtocol,
        return_asyncio_server=True,
        access_log=False,
    )
    if server is None:
        raise RuntimeError("Sanic made no server")
    await server.startup()  # type: ignore[no-untyped-call] # Sanic
    await server.start_serving()  # type: ignore[no-untyped-call] # Sanic
    health.ready = True
    await drain.begun.wait()
    ending = asyncio.ensure_future(_end(transport, server, drain))
    forced = asyncio.ensure_future(force.wait())
    await asyncio.wait({ending, forced}, timeout=shutdown_timeout_s, return_when=asyncio.FIRST_COMPLETED)
    if ending.done():
        ending.result()
    for task in (ending, forced):
        task.cancel()
    server.close()  # type: ignore[no-untyped-call] # Sanic
    for connection in tuple(server.connections):
        connection.abort()
    for client in transport.engine:
        client.abort()


def _on_signal(stop: asyncio.Event, force: asyncio.Event, drain: Drain) -> None:
    (force if stop.is_set() else stop).set()
    drain.begin()


async def _end(transport: Transport, server: AsyncioServer, drain: Drain) -> None:
    await drain.clear()
    for client in transport.engine:  # those who have not connected to the namespace, or only just
        client.close(CloseReason.SHUTDOWN)
    await transport.engine.emptied()
    server.close()  # type: ignore[no-untyped-call] # Sanic
    while server.connections:  # answers under way; Sanic has no signal for their end
        for connection in tuple(server.connections):
            connection.close_if_idle()
        await asyncio.sleep(_IDLE_CHECK_S)
