"""Listening, and stopping in bounded time."""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable

from sanic import Sanic
from sanic.server.async_server import AsyncioServer

from service.address import AddressError
from service.transport.app import Health
from service.transport.gateway import Gateway

_log = logging.getLogger(__name__)
_IDLE_CHECK_S = 0.02
BACKLOG = 1024
"""Connections that may wait to be accepted: a reconnect storm comes in one second."""


def listen(host: str, port: int) -> socket.socket:
    """Take the address.

    Raises:
        AddressError: somebody else has it, or it is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise AddressError(host, port, error, "PORT and HOST") from None


async def serve(
    app: Sanic,  # type: ignore[type-arg]
    listener: socket.socket,
    *,
    gateway: Gateway,
    health: Health,
    end_calls: Callable[[], Awaitable[None]],
    shutdown_timeout_s: float,
) -> None:
    """Serve until SIGTERM or SIGINT, then stop: no new clients, calls ended, clients told, connections closed.

    A second signal ends it at once.
    """
    stop = asyncio.Event()
    force = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, force)
    server = await app.create_server(sock=listener, return_asyncio_server=True, access_log=False)
    if server is None:
        raise RuntimeError("Sanic made no server")
    await server.startup()  # type: ignore[no-untyped-call] # Sanic
    await server.start_serving()  # type: ignore[no-untyped-call] # Sanic
    health.ready = True
    await stop.wait()
    health.ready, health.draining = False, True
    _log.info("stopping: %d clients are told", len(gateway))
    app.ctx.socket_server.closing = True
    ending = asyncio.ensure_future(_end(app, server, gateway, end_calls))
    forced = asyncio.ensure_future(force.wait())
    await asyncio.wait({ending, forced}, timeout=shutdown_timeout_s, return_when=asyncio.FIRST_COMPLETED)
    if ending.done():
        ending.result()
    for task in (ending, forced):
        task.cancel()
    server.close()  # type: ignore[no-untyped-call] # Sanic
    for connection in tuple(server.connections):
        connection.abort()


def _on_signal(stop: asyncio.Event, force: asyncio.Event) -> None:
    (force if stop.is_set() else stop).set()


async def _end(
    app: Sanic,  # type: ignore[type-arg]
    server: AsyncioServer,
    gateway: Gateway,
    end_calls: Callable[[], Awaitable[None]],
) -> None:
    await end_calls()
    gateway.dismiss_all()
    await app.ctx.socket_server.emptied()
    server.close()  # type: ignore[no-untyped-call] # Sanic
    while server.connections:  # answers under way; Sanic has no signal for their end
        for connection in tuple(server.connections):
            connection.close_if_idle()
        await asyncio.sleep(_IDLE_CHECK_S)
