"""Rolling deploys: nodes go one after the other, and the calls on them go on."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import socketio

from tests.chaos.footprint import returned, settled
from tests.front.moving import MovingClient
from tests.front.support import LEFT, PATIENCE_S, RIGHT, Front, connections, node, running_front, running_site, until
from tests.support.redis import RedisServer, eventually, running_redis
from tests.support.server import Server, free_port

CALLS = 200
PACE_S = 0.5
"""Between two candidates of a party."""

ROUNDS_AT_LEAST = 3
LASTING = ("signalling:born", "signalling:epoch", "signalling:over:", "signalling:nodes", "signalling:inbox:")


class Talk:
    """Two parties in a call that send each other numbered candidates until they are told to stop."""

    def __init__(self, caller: MovingClient, callee: MovingClient) -> None:
        self.parties = (caller, callee)
        self.call_id = ""
        self.rounds = 0

    async def begin(self) -> None:
        caller, callee = self.parties
        await caller.say("call:initiate", {"to": callee.user, "callType": "video"})
        self.call_id = (await callee.hears("call:incoming"))[0]["callId"]
        await callee.say("call:accept", {"callId": self.call_id})
        await caller.hears("call:accepted")

    async def go_on(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for sender, receiver in (self.parties, self.parties[::-1]):
                await sender.say("ice:candidate", {"to": receiver.user, "candidate": {"n": self.rounds}})
            self.rounds += 1
            await asyncio.sleep(PACE_S)

    async def check(self) -> None:
        """All that was sent has arrived, once and in order, and nobody was told of an end or an error."""
        assert self.rounds >= ROUNDS_AT_LEAST
        for party in self.parties:
            heard = await party.hears("ice:candidate", self.rounds)
            assert [payload["candidate"]["n"] for payload in heard] == list(range(self.rounds))
            assert not {"call:ended", "call:rejected", "error"} & set(party.told)
            assert set(party.resumed) <= {self.call_id}

    async def end(self) -> None:
        caller, callee = self.parties
        await caller.say("call:end", {"callId": self.call_id})
        for party in (caller, callee):
            assert [told["code"] for told in await party.hears("call:ended")] == ["hangup"]


async def keys(redis: RedisServer) -> list[str]:
    """What there is of users and calls in Redis."""
    async with redis.client() as client:
        return sorted(str(key) for key in await client.keys("*") if not str(key).startswith(LASTING))


async def nodes_known(redis: RedisServer) -> int:
    async with redis.client() as client:
        return int(await client.zcard("signalling:nodes"))


async def drained(server: Server, clients: list[MovingClient]) -> None:
    """Stop a node: all of its clients are told, it ends in time and they are back with their calls."""
    here = connections(server)
    before = sum(client.told["server:draining"] for client in clients), sum(len(each.resumed) for each in clients)
    server.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.process.wait, PATIENCE_S) == 0
    assert here >= CALLS / 2

    def moved() -> bool:
        told = sum(client.told["server:draining"] for client in clients) - before[0]
        return (told, sum(len(client.resumed) for client in clients) - before[1]) == (here, here)

    await until(moved)
    assert "Traceback" not in server.log.read_text()


async def test_every_node_goes_in_turn_under_live_calls(tmp_path: Path) -> None:
    port = free_port()
    with running_redis(tmp_path) as redis, contextlib.ExitStack() as nodes:
        settings = {"REDIS_URL": redis.url, "RECONNECT_GRACE_S": "10"}
        left = nodes.enter_context(node(tmp_path, LEFT, port, **settings))
        right = nodes.enter_context(node(tmp_path, RIGHT, port, **settings))
        before = await settled(left)
        with running_front(tmp_path, port, LEFT, RIGHT) as front:
            async with talking(front) as clients:
                await drained(left, clients)
                again = tmp_path / "again"
                again.mkdir()
                new_left = nodes.enter_context(node(again, LEFT, port, **settings))
                await until(lambda: front.sees(UP=2))
                await drained(right, clients)

        async def nothing_left() -> bool:
            return (await keys(redis), await nodes_known(redis)) == ([], 1)

        await eventually(nothing_left)
        await returned(new_left, before)


@contextlib.asynccontextmanager
async def talking(front: Front) -> AsyncIterator[list[MovingClient]]:
    """So many calls beside what happens here, each of which is checked in the end."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        talks = [Talk(MovingClient(http, front.url), MovingClient(http, front.url)) for _ in range(CALLS)]
        clients = [party for talk in talks for party in talk.parties]
        stop = asyncio.Event()
        await asyncio.gather(*(client.joined() for client in clients))
        await asyncio.gather(*(talk.begin() for talk in talks))
        going_on = [asyncio.create_task(talk.go_on(stop)) for talk in talks]
        try:
            yield clients
        finally:
            stop.set()
            await asyncio.gather(*going_on)
        for talk in talks:
            await talk.check()
            await talk.end()
        await asyncio.gather(*(client.leave() for client in clients))


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="-".join)
async def test_python_clients_come_back_on_the_other_node_by_themselves(tmp_path: Path, transports: list[str]) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    with running_site(tmp_path) as site:
        async with aiohttp.ClientSession() as http:
            client = socketio.AsyncClient(reconnection_delay=0.1, http_session=http)
            for event in ("connect", "server:draining", "disconnect"):
                client.on(event, lambda *_, event=event: heard.put_nowait(event))
            await client.connect(site.front.url, transports=transports)
            stopped, other = (site.left, site.right) if connections(site.left) else (site.right, site.left)
            stopped.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                assert [await heard.get() for _ in range(4)] == ["connect", "server:draining", "disconnect", "connect"]
            assert connections(other) == 1
            assert await asyncio.to_thread(stopped.process.wait, PATIENCE_S) == 0
            await client.disconnect()
