"""A stop with live calls: the parties are told and disconnected, and the process ends in bounded time."""

import asyncio
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.interop.client import Client
from tests.interop.js_client import Driver
from tests.interop.script import answered, ended, ring
from tests.interop.stage import MODES, stage
from tests.support.server import Server, running_server

LONG_S = "120"
"""A time that no test waits for."""

LATEST_MS = 1000
"""For as few clients as here."""


async def wait_for_exit(server: Server, timeout_s: float) -> int:
    """The exit code, once the process has ended."""
    return await asyncio.to_thread(server.process.wait, timeout_s)


async def lost(client: Client) -> bool:
    """Disconnected in a way after which the official client connects again by itself."""
    return await client.next() in (("disconnect", "transport close"), ("disconnect", "transport error"))


async def told_of_the_end(client: Client) -> None:
    """The client hears when it is to connect again."""
    event, told = await client.next()
    assert event == "server:draining"
    assert 0 <= told["reconnectInMs"] <= LATEST_MS


async def told_and_disconnected(call_id: str, *clients: Client) -> None:
    for client in clients:
        await told_of_the_end(client)
        assert await client.next() == ended(call_id, None, "server_shutdown", "Server shutting down")
        assert await lost(client)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_stop_with_live_calls(driver: Driver, tmp_path: Path, number: signal.Signals) -> None:
    with running_server(tmp_path) as server:
        async with AsyncExitStack() as stack:
            calls: list[tuple[str, Client, Client]] = []
            for mode in MODES:
                clients = await stack.enter_async_context(stage(driver, server.url, mode))
                alice, bob, carol, dave = await clients.join("alice", "bob", "carol", "dave")
                calls.append((await answered(alice, bob), alice, bob))
                calls.append((await ring(carol, dave), carol, dave))
            server.process.send_signal(number)
            for call_id, caller, callee in calls:
                await told_and_disconnected(call_id, caller, callee)
            assert await wait_for_exit(server, 20) == 0
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("mode", ["websocket", "polling", "upgrade"])
async def test_client_outside_of_a_call_is_disconnected(driver: Driver, tmp_path: Path, mode: str) -> None:
    with running_server(tmp_path) as server:
        async with stage(driver, server.url, mode) as clients:
            (alice,) = await clients.join("alice")
            server.process.send_signal(signal.SIGTERM)
            await told_of_the_end(alice)
            assert await lost(alice)
            assert await wait_for_exit(server, 20) == 0


def half_a_request(server: Server) -> socket.socket:
    """A connection whose request never ends, and so never becomes idle."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(b"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
    return connection


async def test_second_signal_forces_the_end(driver: Driver, tmp_path: Path) -> None:
    with running_server(tmp_path, SHUTDOWN_TIMEOUT_S=LONG_S) as server, half_a_request(server):
        async with stage(driver, server.url, "websocket") as clients:
            (alice,) = await clients.join("alice")
            server.process.send_signal(signal.SIGTERM)
            await told_of_the_end(alice)
            assert await lost(alice)
            assert server.process.poll() is None
            server.process.send_signal(signal.SIGTERM)
            assert await wait_for_exit(server, 20) == 0


async def test_stop_is_bounded_whatever_clients_do(tmp_path: Path) -> None:
    with running_server(tmp_path, SHUTDOWN_TIMEOUT_S="1") as server, half_a_request(server):
        server.process.send_signal(signal.SIGTERM)
        assert await wait_for_exit(server, 20) == 0


async def test_idle_server_stops(tmp_path: Path) -> None:
    with running_server(tmp_path, SHUTDOWN_TIMEOUT_S=LONG_S) as server:
        server.process.send_signal(signal.SIGTERM)
        assert await wait_for_exit(server, 20) == 0
        assert "Traceback" not in server.log.read_text()
