"""Deadlines in Redis: whichever node is there wakes a call, and only once."""

from collections import Counter
from typing import Any

from msgspec.structs import replace

from service.domain.call import Call, step
from service.domain.events import Accept
from service.domain.ids import CallId
from tests.domain.playbook import BOB, ringing
from tests.support.redis import Member, RedisServer, eventually, members, until

CALLS = [CallId(f"{number:032x}") for number in range(60)]


def count_wakings(nodes: list[Member]) -> Counter[CallId]:
    woken: Counter[CallId] = Counter()

    async def wake(call_id: CallId) -> None:
        woken[call_id] += 1

    for node in nodes:
        node.timers.attach(wake)
    return woken


async def settled(redis: RedisServer) -> None:
    """Wait until no deadline is left."""

    async def none_left() -> bool:
        async with redis.client() as client:
            return not await client.exists("test:deadlines")

    await eventually(none_left)


async def test_a_deadline_that_three_nodes_know_wakes_once(redis: RedisServer) -> None:
    async with members(redis.url, 3) as nodes:
        woken = count_wakings(nodes)
        for call_id in CALLS:
            for node in nodes:
                node.timers.set(call_id, node.clock.now() + 0.2)
        await until(lambda: set(woken) == set(CALLS))
        await settled(redis)
        assert set(woken.values()) == {1}


async def test_the_deadlines_of_a_dead_node_wake_once_on_another(redis: RedisServer) -> None:
    async with members(redis.url, 3) as nodes:
        woken = count_wakings(nodes[1:])
        for call_id in CALLS:
            nodes[0].timers.set(call_id, nodes[0].clock.now() + 1.0)

        async def written() -> bool:
            async with redis.client() as client:
                return int(await client.zcard("test:deadlines")) == len(CALLS)

        await eventually(written)
        await nodes[0].die()
        await until(lambda: set(woken) == set(CALLS))
        await settled(redis)
        assert set(woken.values()) == {1}


async def deadlines(redis: RedisServer) -> dict[str, float]:
    async with redis.client() as client:
        found: Any = await client.zrange("test:deadlines", 0, -1, withscores=True)
        return dict(found)


def ringing_until(when_s: float) -> Call:
    return replace(ringing(), ring_until_s=when_s)


async def test_a_call_is_stored_together_with_its_deadline(redis: RedisServer) -> None:
    async with members(redis.url, 1) as (node,):
        now_s = node.clock.now()
        call = ringing_until(now_s + 30)
        await node.directory.commit(call, ())
        assert await deadlines(redis) == {call.id: node.cluster.membership.time.to_ms(now_s + 30)}
        accepted = step(call, Accept(by=BOB), now_s).call
        await node.directory.commit(accepted, ())
        assert await deadlines(redis) == {}


async def test_a_node_that_dies_right_after_storing_a_call_leaves_its_deadline(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        woken = count_wakings(nodes[1:])
        call = ringing_until(nodes[0].clock.now() + 0.2)
        await nodes[0].directory.commit(call, ())
        await nodes[0].die()
        await until(lambda: call.id in woken)
        await settled(redis)
        assert woken == {call.id: 1}


async def test_a_deadline_that_is_stored_is_not_written_twice(redis: RedisServer) -> None:
    async with members(redis.url, 1) as (node,):
        woken = count_wakings([node])
        now_s = node.clock.now()
        call = ringing_until(now_s + 0.1)
        await node.directory.commit(call, ())
        node.timers.set(call.id, call.ring_until_s)
        await until(lambda: call.id in woken)
        assert ("deadlines", "ok") not in node.tally.commands
        node.timers.set(call.id, now_s + 60)
        await until(lambda: ("deadlines", "ok") in node.tally.commands)
        assert await deadlines(redis) == {call.id: node.cluster.membership.time.to_ms(now_s + 60)}


async def test_a_deadline_cleared_on_another_node_does_not_wake(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (one, other):
        woken = count_wakings([one, other])
        one.timers.set(CALLS[0], one.clock.now() + 0.5)

        async def is_written() -> bool:
            async with redis.client() as client:
                return bool(await client.exists("test:deadlines"))

        await eventually(is_written)
        other.timers.clear(CALLS[0])
        one.timers.set(CALLS[1], one.clock.now() + 0.8)
        await until(lambda: CALLS[1] in woken)
        assert set(woken) == {CALLS[1]}


async def test_a_deadline_comes_although_redis_is_away_and_is_written_again_when_it_is_back(
    redis: RedisServer,
) -> None:
    async with members(redis.url, 2) as nodes:
        woken = count_wakings(nodes)
        redis.kill()
        nodes[0].timers.set(CALLS[0], nodes[0].clock.now() + 0.1)
        nodes[0].timers.set(CALLS[1], nodes[0].clock.now() + 60)
        await until(lambda: CALLS[0] in woken)
        redis.start()

        async def is_written() -> bool:
            async with redis.client() as client:
                return list(await client.zrange("test:deadlines", 0, -1)) == [CALLS[1]]

        await eventually(is_written)
        assert woken == {CALLS[0]: 1}
