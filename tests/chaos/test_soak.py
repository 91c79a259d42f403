"""Thousands of calls between two nodes leave nothing behind: no key, no task, no descriptor, no memory."""

from pathlib import Path

from bench.load.crowd import Crowd
from tests.chaos.footprint import resident_bytes, settled
from tests.support.redis import RedisServer, running_redis
from tests.support.server import running_server

CALLS = 1500
BATCHES = 4
GROWTH_BYTES = 2_000_000
"""In memory, from the second batch to the last: 0.4 kB a call. What a node keeps of an ended call takes 7 kB."""

SETTINGS = {"LIMIT_EVENTS": "0", "LIMIT_CALL_INITIATE": "0", "TRACE_RATIO": "1"}
LASTING = "signalling:over:"
"""For a minute."""


async def keys(redis: RedisServer) -> set[str]:
    """What is in Redis, but for what goes by itself."""
    async with redis.client() as store:
        return {str(key) for key in await store.keys("*") if not str(key).startswith(LASTING)}


async def test_calls_leave_nothing_behind(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as redis,
        running_server(tmp_path, REDIS_URL=redis.url, **SETTINGS) as one,
        running_server(tmp_path, REDIS_URL=redis.url, **SETTINGS) as other,
    ):
        crowd = await Crowd.connect(one.port, 8, callees_port=other.port)
        kept, footprints, memory = [], [], []
        for _ in range(BATCHES):
            await crowd.saturate(CALLS)
            footprints.append([await settled(one), await settled(other)])
            kept.append(await keys(redis))
            memory.append([resident_bytes(one), resident_bytes(other)])
        await crowd.leave()
    assert all(each == kept[0] for each in kept)
    assert all(each == footprints[0] for each in footprints)
    grown = [last - second for second, last in zip(memory[1], memory[-1], strict=True)]
    assert max(grown) < GROWTH_BYTES, memory
