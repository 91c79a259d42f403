"""A stop with live calls: the parties are told and disconnected, and the process ends in bounded time."""

import asyncio
import contextlib
import json
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.interop.client import PATIENCE_S, Client
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


class Half(NamedTuple):
    """A connection with a request of which the server has only a part and waits for the rest."""

    connection: socket.socket
    rest: bytes

    def send_the_rest(self) -> bytes:
        """Finish the request. Gives the status line of the answer."""
        self.connection.sendall(self.rest)
        return read_until(self.connection, b"\r\n").partition(b"\r\n")[0]

    def heard(self) -> bytes:
        """All that the server says until it ends the connection."""
        return read_until(self.connection, None)


def read_until(connection: socket.socket, end: bytes | None) -> bytes:
    """What comes up to some bytes, or up to the end of the connection."""
    read = b""
    with contextlib.suppress(ConnectionResetError):
        while (end is None or end not in read) and (more := connection.recv(4096)):
            read += more
    return read


def half_a_header(server: Server, connection: socket.socket) -> Half:
    """The second of two requests that are sent together. The first is answered, so both have been read."""
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    connection.sendall(request + request[:20])
    assert b"alive" in read_until(connection, b"}")
    return Half(connection, request[20:])


def half_a_body(server: Server, connection: socket.socket) -> Half:
    """A POST on a session of its own. The server asks for the body when it begins to wait for it."""
    with urllib.request.urlopen(f"{server.url}/socket.io/?EIO=4&transport=polling") as answer:  # noqa: S310 - loopback
        sid = json.loads(answer.read()[1:])["sid"]
    address = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
    headers = "Host: x\r\nContent-Length: 2\r\nExpect: 100-continue"
    connection.sendall(f"POST {address} HTTP/1.1\r\n{headers}\r\n\r\n".encode())
    assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    connection.sendall(b"4")
    return Half(connection, b"0")


Part = Callable[[Server, socket.socket], Half]
in_every_part = pytest.mark.parametrize("part", [half_a_header, half_a_body])


@contextlib.contextmanager
def half_a_request(server: Server, part: Part) -> Iterator[Half]:
    """A request that is not sent to its end, so that its connection is not idle."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as connection:
        yield part(server, connection)


async def only_answers(server: Server) -> None:
    """The server has left its clients and its port, and lives on for the requests that it has."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port)).close()
            except ConnectionRefusedError:
                break
            await asyncio.sleep(0.01)
    assert server.process.poll() is None


@in_every_part
async def test_request_that_has_begun_is_answered(tmp_path: Path, part: Part) -> None:
    with running_server(tmp_path, SHUTDOWN_TIMEOUT_S=LONG_S) as server, half_a_request(server, part) as half:
        server.process.send_signal(signal.SIGTERM)
        await only_answers(server)
        assert half.send_the_rest() == b"HTTP/1.1 200 OK"
        assert await wait_for_exit(server, 20) == 0
        assert "Traceback" not in server.log.read_text()


@in_every_part
async def test_second_signal_forces_the_end(driver: Driver, tmp_path: Path, part: Part) -> None:
    with running_server(tmp_path, SHUTDOWN_TIMEOUT_S=LONG_S) as server:
        async with stage(driver, server.url, "websocket") as clients:
            (alice,) = await clients.join("alice")
            with half_a_request(server, part) as half:
                server.process.send_signal(signal.SIGTERM)
                await told_of_the_end(alice)
                assert await lost(alice)
                await only_answers(server)
                server.process.send_signal(signal.SIGTERM)
                assert half.heard() == b"", "cut off, and not answered for its own lateness"
                assert await wait_for_exit(server, 20) == 0
        assert "Traceback" not in server.log.read_text()


@in_every_part
async def test_stop_is_bounded_whatever_clients_do(tmp_path: Path, part: Part) -> None:
    with running_server(tmp_path, SHUTDOWN_TIMEOUT_S="1") as server, half_a_request(server, part) as half:
        server.process.send_signal(signal.SIGTERM)
        assert half.heard() == b"", "cut off, and not answered for its own lateness"
        assert await wait_for_exit(server, 20) == 0
        assert "Traceback" not in server.log.read_text()


async def test_idle_server_stops(tmp_path: Path) -> None:
    with running_server(tmp_path, SHUTDOWN_TIMEOUT_S=LONG_S) as server:
        server.process.send_signal(signal.SIGTERM)
        assert await wait_for_exit(server, 20) == 0
        assert "Traceback" not in server.log.read_text()
