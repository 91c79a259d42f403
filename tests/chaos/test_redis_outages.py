"""Redis dies, and is back after some time, with nothing in it."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.chaos.footprint import returned, settled
from tests.chaos.healthy import talking
from tests.chaos.nodes import BOUND_S, answer, answered, relay, ring
from tests.interop.raw_client import emit, hear, raw_user
from tests.support.redis import eventually, running_redis
from tests.support.server import running_server

DEAF_S = 2.0
"""How long after the return of Redis nodes may not hear each other."""

PACE_S = 0.1
SETTINGS = {"LIMIT_EVENTS": "0", "PING_INTERVAL_S": "120"}
LASTING = ("signalling:born", "signalling:epoch", "signalling:over:", "signalling:nodes", "signalling:inbox:")
"""What stays while nodes live, and for a minute the ids of calls that are over."""


@pytest.mark.parametrize("outage_s", [3, 60])
async def test_redis_is_away_and_comes_back_empty(tmp_path: Path, outage_s: float) -> None:
    with (
        running_redis(tmp_path) as redis,
        running_server(tmp_path, REDIS_URL=redis.url, **SETTINGS) as one,
        running_server(tmp_path, REDIS_URL=redis.url, **SETTINGS) as other,
    ):
        before = [await settled(one), await settled(other)]
        async with (
            raw_user(one.url, "websocket", "near-a") as near_a,
            raw_user(one.url, "websocket", "near-b") as near_b,
            raw_user(one.url, "websocket", "far-a") as far_a,
            raw_user(other.url, "websocket", "far-b") as far_b,
            raw_user(other.url, "websocket", "idle") as idle,
            talking(near_a, near_b) as near_call,
        ):
            call_id = await answered(far_a, far_b)
            redis.kill()
            until = time.monotonic() + outage_s
            while time.monotonic() < until:  # calls of one node go on, who sends to the other is told
                await near_call.whole_turn()
                event, told = await answer(far_a[0], "ice:candidate", {"candidate": {}, "to": far_b[1]})
                assert (event, told["code"]) == ("error", "receiver_not_found")
                await asyncio.sleep(PACE_S)
            redis.start()
            async with asyncio.timeout(DEAF_S + BOUND_S):
                while (await answer(far_a[0], "user:status", {"userId": idle[1]}))[1].get("isOnline") is not True:
                    pass
            await relay(far_a, far_b)
            await relay(far_b, far_a)
            await near_call.whole_turn()
            await emit(far_a[0], "call:end", {"callId": call_id})
            for client, _ in (far_a, far_b):
                assert (await hear(client))[0] == "call:ended"
            await ring(far_a[0], *idle)
        for server, footprint in zip((one, other), before, strict=True):
            await returned(server, footprint)
        async with redis.client() as store:

            async def is_empty() -> bool:
                return all(str(key).startswith(LASTING) for key in await store.keys("*"))

            await eventually(is_empty)
