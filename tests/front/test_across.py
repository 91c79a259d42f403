"""Two nodes that share their users over Redis, through HAProxy."""

import asyncio
from pathlib import Path

import pytest

from tests.front.support import HANDSHAKE, Site, running_site, until
from tests.interop.client import Client
from tests.interop.js_client import Driver
from tests.interop.script import answered
from tests.interop.stage import stage
from tests.support.redis import RedisServer

PAIRS = 4


def node_of(site: Site, before: tuple[int, int]) -> int:
    """Which node the client that came last is on."""
    left, right = site.counts()
    return 0 if (left, right) == (before[0] + 1, before[1]) else 1


@pytest.mark.parametrize("callee_mode", ["websocket", "polling", "upgrade"])
async def test_calls_across_nodes(driver: Driver, tmp_path: Path, mode: str, callee_mode: str) -> None:
    redis = RedisServer(tmp_path)
    redis.start()
    try:
        with running_site(tmp_path, REDIS_URL=redis.url) as site:
            async with (
                stage(driver, site.front.url, mode) as callers,
                stage(driver, site.front.url, callee_mode) as callees,
            ):
                places: list[list[Client]] = [[], []]
                for number in range(2 * PAIRS):
                    before = site.counts()
                    (client,) = await (callers, callees)[number % 2].join(f"user{number}")
                    places[node_of(site, before)].append(client)
                pairs = list(zip(*places, strict=False))
                assert pairs
                for caller, callee in pairs:
                    call_id = await answered(caller, callee)
                    for n in range(10):
                        caller.emit(
                            "ice:candidate",
                            {
                                "callId": call_id,
                                "to": callee.name,
                                "candidate": {"candidate": f"candidate:{n}", "sdpMid": "0"},
                            },
                        )
                    for n in range(10):
                        event, told = await callee.next()
                        assert (event, told["candidate"]["candidate"]) == ("ice:candidate", f"candidate:{n}")
    finally:
        redis.kill()


async def test_without_redis_nobody_new_comes_in_and_those_who_are_there_stay(
    driver: Driver, tmp_path: Path, mode: str
) -> None:
    redis = RedisServer(tmp_path)
    redis.start()
    try:
        with running_site(tmp_path, REDIS_URL=redis.url) as site:
            async with stage(driver, site.front.url, mode) as clients:
                flock = await clients.join("ann", "ben", "cleo", "dan")
                spread = site.counts()
                redis.kill()
                await until(lambda: site.front.sees(NOLB=2))
                assert (await asyncio.to_thread(site.front.get, HANDSHAKE))[0] == 503
                assert site.counts() == spread
                redis.start()
                await until(lambda: site.front.sees(UP=2))
                assert site.counts() == spread
                await asyncio.gather(*(client.fence() for client in flock))
    finally:
        redis.kill()
