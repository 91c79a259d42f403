"""Every client stays on its node, in every way of transport, and both nodes get clients."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.front.support import HANDSHAKE, LEFT, RIGHT, Site, node, running_front, running_site, until
from tests.interop.client import Client
from tests.interop.js_client import Driver
from tests.interop.script import answered, status
from tests.interop.stage import Stage, stage
from tests.support.backend import http
from tests.support.server import free_port

FLOCK = ("ann", "ben", "cleo", "dan", "eve", "fred")
REQUESTS = 30


async def no_one_is_left(site: Site) -> None:
    """The clients of an earlier test are gone."""
    await until(lambda: site.counts() == (0, 0))


async def on_one_node(flock: list[Client]) -> tuple[Client, Client]:
    """Two who see each other: without Redis, only those on one node do."""
    first, *others = flock
    for other in others:
        online, _ = await status(first, other.name)
        if online:
            return first, other
    raise AssertionError("alone on its node")


async def test_clients_are_spread_and_stay_where_they_are(clients: Stage, site: Site, mode: str) -> None:
    await no_one_is_left(site)
    flock = await clients.join(*FLOCK)
    transport = {"upgrade": "websocket"}.get(mode, mode)
    spread = site.counts(transport)
    assert sum(spread) == len(flock)
    assert min(spread) >= 1
    for _ in range(REQUESTS):
        await asyncio.gather(*(client.fence() for client in flock))
    assert site.counts(transport) == spread
    assert {await client.transport() for client in flock} == {transport}


async def test_a_call(clients: Stage, site: Site) -> None:
    await no_one_is_left(site)
    caller, callee = await on_one_node(await clients.join(*FLOCK))
    call_id = await answered(caller, callee)
    for number in range(REQUESTS):
        candidate = {"candidate": f"candidate:{number}", "sdpMid": "0"}
        caller.emit("ice:candidate", {"callId": call_id, "to": callee.name, "candidate": candidate})
    for number in range(REQUESTS):
        event, told = await callee.next()
        assert (event, told["candidate"]["candidate"]) == ("ice:candidate", f"candidate:{number}")


async def test_idle_poll_lasts_from_ping_to_ping(driver: Driver, tmp_path: Path) -> None:
    with running_site(tmp_path, PING_INTERVAL_S="1", PING_TIMEOUT_S="1") as site:
        async with stage(driver, site.front.url, "polling") as clients:
            flock = await clients.join(*FLOCK)
            spread = site.counts()
            await asyncio.sleep(3)  # the condition is that nothing happens: three pings, with a poll before each
            await asyncio.gather(*(client.fence() for client in flock))
            assert site.counts() == spread


BODY = b'0{"sid":"in-pieces","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}'
PAUSE_S = 0.1


@contextlib.asynccontextmanager
async def slow_node(host: str, port: int, cut: bytes, asked: list[str]) -> AsyncIterator[None]:
    """Answers in two pieces, the second of which begins with `cut` and comes later. Notes who was asked."""
    first, second = http(BODY, headers="Connection: close\r\n").split(cut)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
            if "/readyz" not in line:
                asked.append(host)
            writer.write(first)
            await asyncio.sleep(PAUSE_S)
            writer.write(cut + second)
            await writer.drain()

    server = await asyncio.start_server(serve, host, port)
    try:
        yield
    finally:
        server.close()


@pytest.mark.parametrize("cut", [b'0{"s', b'-pieces","upg', b'000,"pingTimeout'], ids=["head", "sid", "after"])
async def test_handshake_may_come_in_pieces(tmp_path: Path, cut: bytes) -> None:
    port = free_port()
    asked: list[str] = []
    async with slow_node(LEFT, port, cut, asked), slow_node(RIGHT, port, cut, asked):
        with contextlib.ExitStack() as stack:
            opening = running_front(tmp_path, port, LEFT, RIGHT)
            front = await asyncio.to_thread(stack.enter_context, opening)
            assert (await asyncio.to_thread(front.get, HANDSHAKE)) == (200, BODY)
            for _ in range(10):
                await asyncio.to_thread(front.get, f"{HANDSHAKE}&sid=in-pieces")
    assert asked == [asked[0]] * 11


async def test_reload_leaves_websockets_alone(driver: Driver, tmp_path: Path) -> None:
    with running_site(tmp_path) as site:
        async with stage(driver, site.front.url, "upgrade") as clients:
            flock = await clients.join(*FLOCK)
            spread = site.counts()
            before = site.front.processes()
            site.front.process.send_signal(signal.SIGUSR2)
            await until(lambda: site.front.processes() != before and site.front.sees(UP=2))
            await clients.join("gil")
            await asyncio.gather(*(client.fence() for client in flock))
            assert sum(site.counts("websocket")) == sum(spread) + 1


async def test_session_that_nobody_knows(site: Site) -> None:
    code, body = await asyncio.to_thread(site.front.get, f"{HANDSHAKE}&sid=nobody-knows-it")
    assert (code, json.loads(body)["message"]) == (400, "Session ID unknown")


async def test_node_found_later_gets_clients_and_takes_none(driver: Driver, tmp_path: Path) -> None:
    port = free_port()
    with node(tmp_path, LEFT, port) as left, running_front(tmp_path, port, LEFT) as front:
        async with stage(driver, front.url, "polling") as clients:
            early = await clients.join(*FLOCK)
            with node(tmp_path, RIGHT, port) as right:
                front.names.addresses = (LEFT, RIGHT)
                await until(lambda: front.sees(UP=2))
                late = await clients.join(*FLOCK)
                site = Site(front, left, right)
                assert site.counts()[1] >= 1
                spread = site.counts()
                for _ in range(REQUESTS):
                    await asyncio.gather(*(client.fence() for client in (*early, *late)))
                assert site.counts() == spread
