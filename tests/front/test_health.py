"""Nodes that are stopping, full, not ready or dead, and what becomes of their clients."""

import asyncio
import itertools
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.front.support import (
    HANDSHAKE,
    LEFT,
    RIGHT,
    Site,
    connections,
    fetch,
    node,
    running_front,
    running_site,
    until,
)
from tests.interop.client import Client
from tests.interop.js_client import Driver
from tests.interop.stage import stage
from tests.support.server import free_port

FLOCK = ("ann", "ben", "cleo", "dan", "eve", "fred")
PERSISTENT: dict[str, Any] = {"reconnection": True, "reconnectionDelay": 50, "reconnectionDelayMax": 200}


async def fenced(flock: list[Client], times: int = 10) -> None:
    """All are connected as they were, and stay so over some requests."""
    for _ in range(times):
        await asyncio.gather(*(client.fence() for client in flock))


async def test_node_that_is_not_ready_keeps_its_clients_and_gets_no_new_ones(
    driver: Driver, tmp_path: Path, mode: str
) -> None:
    with running_site(tmp_path) as site:
        async with stage(driver, site.front.url, mode) as clients:
            old = await clients.join(*FLOCK)
            left, right = site.counts()
            site.left.process.send_signal(signal.SIGUSR1)
            await until(lambda: site.front.sees(UP=1, NOLB=1))
            new = await clients.join(*FLOCK)
            assert site.counts() == (left, right + len(new))
            await fenced([*old, *new])
            site.left.process.send_signal(signal.SIGUSR2)
            await until(lambda: site.front.sees(UP=2, NOLB=0))
            await clients.join("gil")
            assert site.counts() == (left + 1, right + len(new))


async def test_without_a_ready_node_nobody_comes_in_and_nobody_is_lost(driver: Driver, tmp_path: Path) -> None:
    with running_site(tmp_path) as site:
        async with stage(driver, site.front.url, "polling") as clients:
            old = await clients.join(*FLOCK)
            assert site.front.get("/readyz")[0] == 200
            for server in (site.left, site.right):
                server.process.send_signal(signal.SIGUSR1)
            await until(lambda: site.front.sees(NOLB=2))
            assert site.front.get("/readyz")[0] == 503
            assert site.front.get(HANDSHAKE)[0] == 503
            await fenced(old)


async def came_back(client: Client) -> None:
    """The client has lost its connection, of which an orderly end is announced, and made another."""
    heard, told = await client.next()
    if heard == "server:draining":
        heard, told = await client.next()
    assert heard == "disconnect"
    assert told in ("transport close", "transport error")
    heard, _ = await client.next()
    assert heard == "connect"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
async def test_clients_of_a_node_that_ends_come_back_on_the_other(
    driver: Driver, tmp_path: Path, mode: str, number: signal.Signals
) -> None:
    with running_site(tmp_path) as site:
        async with stage(driver, site.front.url, mode) as clients:
            flock = list(await asyncio.gather(*(clients.connect(name, **PERSISTENT) for name in FLOCK)))
            left, right = site.counts()
            assert min(left, right) >= 1
            site.left.process.send_signal(number)
            waiting = [asyncio.ensure_future(came_back(client)) for client in flock]
            for back in itertools.islice(asyncio.as_completed(waiting), left):
                await back
            assert connections(site.right) == len(flock)
            for others in waiting:
                others.cancel()
            await fenced(flock)


async def test_client_whom_a_full_node_turns_away_gets_the_other(driver: Driver, tmp_path: Path, mode: str) -> None:
    port = free_port()
    with (
        node(tmp_path, LEFT, port, MAX_CONNECTIONS="1") as left,
        node(tmp_path, RIGHT, port) as right,
        running_front(tmp_path, port, LEFT, RIGHT) as front,
    ):
        async with stage(driver, front.url, mode) as clients:
            flock = await clients.join(*FLOCK)
            assert Site(front, left, right).counts() == (1, len(flock) - 1)
            await fenced(flock)


async def test_answer_of_full_nodes_reaches_the_client(tmp_path: Path) -> None:
    with running_site(tmp_path, MAX_CONNECTIONS="1") as site:
        answers = [site.front.get(HANDSHAKE) for _ in range(3)]
        assert [code for code, _ in answers] == [200, 200, 503]
        assert json.loads(answers[2][1])["code"] == "server_full"


async def test_metrics_of_nodes_are_not_for_clients_and_those_of_the_front_are_elsewhere(site: Site) -> None:
    for path in ("/metrics", "/healthz", "//metrics", "/%6detrics", "/socket.io/../metrics"):
        code, body = site.front.get(path)
        assert (code, b"signalling_" in body, b"haproxy_" in body) == (404, False, False), path
    assert "haproxy_server_status" in fetch(site.front.metrics_url)
    assert fetch(site.front.metrics_url.replace("/metrics", "/readyz")) == ""


async def test_what_the_front_writes_names_no_client(site: Site, driver: Driver) -> None:
    async with stage(driver, site.front.url, "polling") as clients:
        await clients.join(*FLOCK)
    code, body = site.front.get(HANDSHAKE, source="127.0.0.77")
    assert code == 200
    log = site.front.log.read_text()
    assert "nodes" in log
    for private in ("127.0.0.77", json.loads(body[1:])["sid"], "sid=", *FLOCK):
        assert private not in log
