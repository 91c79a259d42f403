"""A node that is cut off from Redis beyond its lease, without any connection breaking, and comes back."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from tests.chaos.footprint import returned, settled
from tests.chaos.healthy import talking
from tests.interop.raw_client import RawClient, emit, hear, raw_user
from tests.support.redis import RedisServer, eventually, running_redis
from tests.support.server import Server, running_server
from tests.support.wire import Wire, wire_to

LEASE_S = "1"
BOUND_S = 2.0
"""Far more than the 0.5 s that a client may wait on Redis, far less than for ever."""

CANDIDATES = 20
SETTINGS = {"NODE_LEASE_S": LEASE_S, "LIMIT_EVENTS": "0"}
RETURNS = ("call:peer-reconnecting", "call:peer-reconnected")


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


async def answer(client: RawClient, event: str, payload: dict[str, object]) -> tuple[str, dict[str, Any]]:
    """What is heard next after an event, within the bound."""
    async with asyncio.timeout(BOUND_S):
        await emit(client, event, payload)
        return await hear(client)


async def node_of(redis: Redis, user: str) -> str:
    """The node on which a user is seated, as Redis has it."""
    (node,) = (name for field, name in (await redis.hgetall(f"signalling:user:{user}")).items() if field[:2] == "s:")
    return str(node)


async def ring(caller: RawClient, callee: RawClient, callee_id: str) -> None:
    """Place a call and end it: both hear of it."""
    event, told = await answer(caller, "call:initiate", {"to": callee_id, "callType": "audio"})
    assert event == "call:initiated"
    assert (await hear(callee))[0] == "call:incoming"
    await emit(caller, "call:end", {"callId": told["callId"]})
    for party in (caller, callee):
        assert (await hear(party))[0] == "call:ended"


async def answered(caller: tuple[RawClient, str], callee: tuple[RawClient, str]) -> str:
    """Place a call and accept it; gives its id."""
    _, told = await answer(caller[0], "call:initiate", {"to": callee[1], "callType": "audio"})
    call_id = str(told["callId"])
    assert (await hear(callee[0]))[0] == "call:incoming"
    await emit(callee[0], "call:accept", {"callId": call_id, "from": caller[1]})
    for client, _ in (caller, callee):
        assert await hear(client) == ("call:accepted", {"callId": call_id, "by": callee[1]})
    return call_id


async def relay(sender: tuple[RawClient, str], receiver: tuple[RawClient, str]) -> None:
    """Candidates get through within the bound, complete and in order."""
    for number in range(CANDIDATES):
        await emit(sender[0], "ice:candidate", {"candidate": {"n": number}, "to": receiver[1]})
    async with asyncio.timeout(BOUND_S):
        for number in range(CANDIDATES):
            while (heard := await hear(receiver[0]))[0] in RETURNS:
                pass
            assert heard == ("ice:candidate", {"candidate": {"n": number}, "from": sender[1]})


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


async def test_poison_in_an_inbox_does_not_disturb_a_call_between_nodes(divided: Divided) -> None:
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
    for server in (divided.cut, divided.well):
        assert "Traceback" not in server.log.read_text()
