"""A node that is cut off from Redis beyond its lease, without any connection breaking, and comes back."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chaos.footprint import returned, settled
from tests.chaos.healthy import talking
from tests.chaos.nodes import answer, answered, node_of, nothing_left, relay, ring
from tests.interop.raw_client import emit, hear, raw_user
from tests.support.redis import RedisServer, eventually, running_redis
from tests.support.server import Server, running_server
from tests.support.wire import Wire, wire_to

LEASE_S = "1"
SETTINGS = {"NODE_LEASE_S": LEASE_S, "LIMIT_EVENTS": "0"}


class Divided(NamedTuple):
    """A node that can be cut off, and one that cannot."""

    cut: Server
    well: Server
    wire: Wire
    redis: RedisServer


@pytest.fixture(params=["0", "30"])
def grace_s(request: pytest.FixtureRequest) -> str:
    """How long parties that are taken for lost are waited for."""
    return str(request.param)


@pytest.fixture
def divided(tmp_path: Path, grace_s: str) -> Iterator[Divided]:
    settings = {**SETTINGS, "RECONNECT_GRACE_S": grace_s}
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(running_redis(tmp_path))
        wire = stack.enter_context(wire_to(redis.port))
        far = f"redis://127.0.0.1:{wire.port}/0"
        cut = stack.enter_context(running_server(tmp_path, REDIS_URL=far, **settings))
        well = stack.enter_context(running_server(tmp_path, REDIS_URL=redis.url, **settings))
        yield Divided(cut, well, wire, redis)


async def test_a_node_cut_off_beyond_its_lease_is_fenced_and_comes_back(divided: Divided, grace_s: str) -> None:
    before = [await settled(divided.cut), await settled(divided.well)]
    async with (
        raw_user(divided.cut.url, "websocket", "cut-a") as cut_a,
        raw_user(divided.cut.url, "websocket", "cut-b") as cut_b,
        raw_user(divided.well.url, "websocket", "well-a") as well_a,
        raw_user(divided.well.url, "websocket", "well-b") as well_b,
        raw_user(divided.cut.url, "websocket", "lone") as (lone, lone_id),
        raw_user(divided.well.url, "websocket", "asker") as (asker, _),
        talking(well_a, well_b) as well_call,
        divided.redis.client() as redis,
    ):
        call_id = await answered(cut_a, cut_b)
        cut_node = await node_of(redis, lone_id)
        epoch = await redis.hget("signalling:epochs", cut_node)
        divided.wire.hold()

        async def given_up() -> bool:
            _, told = await answer(asker, "user:status", {"userId": lone_id})
            return not told["isOnline"] and await redis.hget("signalling:epochs", cut_node) is None

        await eventually(given_up)
        refusal, told = await answer(lone, "call:initiate", {"to": well_a[1], "callType": "audio"})
        assert (refusal, told["code"]) == ("error", "unavailable")
        await relay(cut_a, cut_b)
        await relay(cut_b, cut_a)
        await well_call.whole_turn()
        divided.wire.release()

        async def registered_again() -> bool:
            _, told = await answer(asker, "user:status", {"userId": lone_id})
            return bool(told["isOnline"])

        await eventually(registered_again)
        assert await redis.hget("signalling:epochs", cut_node) not in (None, epoch)
        await ring(asker, lone, lone_id)
        if grace_s == "0":
            for client, _ in (cut_a, cut_b):  # the others had ended it when the lease was over
                event, told = await hear(client)
                assert (event, told["callId"], told["code"]) == ("call:ended", call_id, "connection_lost")
        else:
            await relay(cut_a, cut_b)
            await relay(cut_b, cut_a)
            await emit(cut_a[0], "call:end", {"callId": call_id})
            for client, _ in (cut_a, cut_b):
                assert (await hear(client))[0] == "call:ended"
        await ring(cut_a[0], *cut_b)
        await well_call.whole_turn()
    for server, footprint in zip((divided.cut, divided.well), before, strict=True):
        await returned(server, footprint)
    await nothing_left(divided.redis)


async def test_poison_in_an_inbox_does_not_disturb_a_call_between_nodes(divided: Divided) -> None:
    before = [await settled(divided.cut), await settled(divided.well)]
    async with (
        raw_user(divided.cut.url, "websocket", "caller") as caller,
        raw_user(divided.well.url, "websocket", "callee") as callee,
        talking(caller, callee) as call,
        divided.redis.client() as redis,
    ):
        for user in (caller[1], callee[1]):
            inbox = f"signalling:inbox:{await node_of(redis, user)}"
            for field in ("b", "c", "unknown"):
                for poison in ("garbage", '{"v":0}', "x" * 1_000_000):
                    await redis.xadd(inbox, {field: poison})
            await call.whole_turn()
    for server, footprint in zip((divided.cut, divided.well), before, strict=True):
        await returned(server, footprint)
        assert "Traceback" not in server.log.read_text()
