"""Redis dies and is back with nothing in it, stands still, is replaced by its replica, or loses its connections."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chaos.footprint import returned, scrape, settled
from tests.chaos.healthy import HealthyCall, talking
from tests.chaos.nodes import BOUND_S, User, answer, answered, nothing_left, relay, ring
from tests.interop.raw_client import emit, hear, raw_user
from tests.support.redis import RedisServer, running_redis, running_sentinel
from tests.support.server import Server, running_server

DEAF_S = 2.0
"""How long after the return of Redis nodes may not hear each other."""

FAILOVER_S = 30.0
"""How long Sentinel may take. Only an upper bound."""

PACE_S = 0.1
KILLED_TIMES = 20
SETTINGS = {"LIMIT_EVENTS": "0", "PING_INTERVAL_S": "120"}


class Calls(NamedTuple):
    """A call on one node, one between that and another, and somebody on the other who is in none."""

    near: HealthyCall
    far_a: User
    far_b: User
    idle: User

    async def go_on_as_far_as_they_can(self) -> None:
        """That of one node goes on; who sends to the other node is told, and nobody waits."""
        await self.near.whole_turn()
        event, told = await answer(self.far_a[0], "ice:candidate", {"candidate": {}, "to": self.far_b[1]})
        assert (event, told["code"]) == ("error", "receiver_not_found")

    async def hear_each_other_again(self, within_s: float) -> None:
        """Wait until each node can ask for users of the other: both are back. Then all that is sent arrives."""
        async with asyncio.timeout(within_s):
            for asker, user in ((self.far_a, self.idle), (self.far_b, self.far_a)):
                while (await answer(asker[0], "user:status", {"userId": user[1]}))[1].get("isOnline") is not True:
                    pass
        await relay(self.far_a, self.far_b)
        await relay(self.far_b, self.far_a)
        await self.near.whole_turn()


@contextlib.asynccontextmanager
async def two_nodes(
    directory: Path, redis: RedisServer, url: str = "", **settings: str
) -> AsyncIterator[tuple[Server, Server]]:
    """They return to what they held, and so does the Redis that they have then."""
    options = {**SETTINGS, "REDIS_URL": url or redis.url, **settings}
    with running_server(directory, **options) as one, running_server(directory, **options) as other:
        before = [await settled(one), await settled(other)]
        yield one, other
        for server, footprint in zip((one, other), before, strict=True):
            await returned(server, footprint)
        await nothing_left(redis)


@contextlib.asynccontextmanager
async def calls(one: Server, other: Server) -> AsyncIterator[Calls]:
    """They live through what happens here, and end as calls do; then others can be placed."""
    async with (
        raw_user(one.url, "websocket", "near-a") as near_a,
        raw_user(one.url, "websocket", "near-b") as near_b,
        raw_user(one.url, "websocket", "far-a") as far_a,
        raw_user(other.url, "websocket", "far-b") as far_b,
        raw_user(other.url, "websocket", "idle") as idle,
        talking(near_a, near_b) as near,
    ):
        call_id = await answered(far_a, far_b)
        yield Calls(near, far_a, far_b, idle)
        await emit(far_a[0], "call:end", {"callId": call_id})
        for client, _ in (far_a, far_b):
            assert (await hear(client))[0] == "call:ended"
        await ring(far_a[0], *idle)


@pytest.mark.parametrize(
    ("fault", "outage_s", "lease_s"), [("killed", 3, 10), ("killed", 60, 10), ("frozen", 3, 10), ("frozen", 3, 1)]
)
async def test_redis_is_away_and_comes_back(tmp_path: Path, fault: str, outage_s: float, lease_s: float) -> None:
    with running_redis(tmp_path) as redis:
        async with two_nodes(tmp_path, redis, NODE_LEASE_S=str(lease_s)) as nodes, calls(*nodes) as going_on:
            away, back = (redis.kill, redis.start) if fault == "killed" else (redis.freeze, redis.thaw)
            away()
            until = time.monotonic() + outage_s
            while time.monotonic() < until:
                await going_on.go_on_as_far_as_they_can()
                await asyncio.sleep(PACE_S)
            back()
            await going_on.hear_each_other_again(DEAF_S + BOUND_S)


async def test_redis_is_replaced_by_its_replica(tmp_path: Path) -> None:
    with running_sentinel(tmp_path) as redis:
        async with two_nodes(tmp_path, redis.replica, redis.url) as nodes, calls(*nodes) as going_on:
            redis.master.kill()
            await going_on.go_on_as_far_as_they_can()
            await going_on.hear_each_other_again(FAILOVER_S)


@pytest.mark.parametrize("whose", ["readers", "all"])
async def test_a_call_between_nodes_loses_nothing_when_connections_to_redis_are_killed(
    tmp_path: Path, whose: str
) -> None:
    with running_redis(tmp_path) as redis:
        async with two_nodes(tmp_path, redis) as (one, other):
            async with (
                raw_user(one.url, "websocket", "caller") as caller,
                raw_user(other.url, "websocket", "callee") as callee,
                talking(caller, callee) as call,
            ):
                for _ in range(KILLED_TIMES):
                    assert await killed(redis, whose) >= len((one, other))
                    await call.whole_turn()
            for server in (one, other):
                assert (await scrape(server)).sum("inbox_problems_total", problem="lost") == 0


async def killed(redis: RedisServer, whose: str) -> int:
    """Break connections of nodes, those that read inboxes or all; gives how many."""
    async with redis.client() as client:
        found = [each for each in await client.client_list() if whose == "all" or each["cmd"] == "xread"]
        broken = [await client.client_kill_filter(_id=each["id"], skipme=True) for each in found]
        return sum(broken)
