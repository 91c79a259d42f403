"""Redis restarts empty, stands still, or takes a node for dead."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace
from redis.exceptions import ResponseError

from service.adapters.redis.scripts import SEAT
from service.domain.call import Call, step
from service.domain.effects import Ended, Reason
from service.domain.events import Accept, HangUp
from service.domain.ids import CallId, SessionId, UserId
from service.domain.placing import Presence
from service.ports import ConflictError, Free, OutOfReachError, Seated, Unchanged
from tests.adapters.redis.test_inbox import Sockets
from tests.domain.playbook import ALICE, ALICE_2, ALICE_ID, BOB, BOB_ID, CALL, ringing
from tests.support.redis import Member, RedisServer, eventually, members, running_redis, until

CAROL, CAROL_ID = SessionId("carol-1"), UserId("carol")
BOUND_S = 2.0
"""Far more than anybody may wait on Redis, far less than for ever."""


async def place(node: Member, call: Call) -> Call:
    """Commit a new call, after a look at its parties as call control does."""
    for party in (call.caller, call.callee):
        await node.directory.presence(party.user)
    grounds = (Unchanged(call.id, 0), Free(call.caller.user), Free(call.callee.user))
    await node.directory.commit(call, grounds)
    return call


def call_at(node: Member) -> Call:
    """A call from Alice to Bob that rings from now on."""
    call = ringing()
    later = round(node.clock.now(), 3) - call.placed_at_s
    return replace(call, placed_at_s=call.placed_at_s + later, ring_until_s=call.ring_until_s + later)


async def test_an_empty_redis_is_written_again(redis: RedisServer) -> None:
    async with members(redis.url, 3) as (one, other, third):
        await one.directory.seat(ALICE_ID, ALICE)
        await other.directory.seat(BOB_ID, BOB)
        call = await place(one, call_at(one))
        redis.kill()
        await until(lambda: not one.cluster.is_ready and not other.cluster.is_ready)
        redis.start()
        await until(lambda: all(node.cluster.is_ready for node in (one, other, third)))
        assert (await third.directory.presence(ALICE_ID)).sessions == (ALICE,)
        assert (await third.directory.presence(BOB_ID)).sessions == (BOB,)
        found = await third.directory.load(CALL)
        assert found is not None
        assert (found.version, found.state) == (call.version, call.state)
        assert sorted(one.tally.restored + other.tally.restored) == ["ours", "theirs"]
        accepted = step(call, Accept(by=BOB), call.placed_at_s).call
        await other.directory.commit(accepted, (Unchanged(CALL, 1),))
        await until(lambda: any(copy.call.version == 2 for copy in one.directory.copies))


async def test_what_was_decided_on_one_node_meanwhile_is_written(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (one, other):
        await one.directory.seat(ALICE_ID, ALICE)
        await one.directory.seat(BOB_ID, BOB)
        call = await place(one, call_at(one))
        redis.kill()
        await until(lambda: not one.cluster.is_ready)
        accepted = step(call, Accept(by=BOB), call.placed_at_s).call
        await one.directory.commit(accepted, (Unchanged(CALL, 1),))
        with pytest.raises(ConflictError):
            await one.directory.commit(accepted, (Unchanged(CALL, 1),))
        redis.start()
        await until(lambda: one.cluster.is_ready and other.cluster.is_ready)
        found = await other.directory.load(CALL)
        assert found is not None
        assert found.version == 2


async def test_what_ended_and_who_left_meanwhile_is_gone(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (one, other):
        await one.directory.seat(ALICE_ID, ALICE)
        await one.directory.seat(BOB_ID, BOB)
        call = await place(one, call_at(one))
        redis.freeze()
        ended = step(call, HangUp(by=ALICE), call.placed_at_s).call
        await one.directory.commit(ended, (Unchanged(CALL, 1),))
        assert await one.directory.vacate(ALICE_ID, ALICE)
        redis.thaw()
        await until(lambda: one.cluster.is_ready and other.cluster.is_ready)
        assert await other.directory.load(CALL) is None
        assert (await other.directory.presence(ALICE_ID)).sessions == ()
        assert (await other.directory.presence(BOB_ID)).sessions == (BOB,)


async def test_nothing_that_needs_the_others_is_decided_without_redis(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (one, other):
        await one.directory.seat(ALICE_ID, ALICE)
        await other.directory.seat(BOB_ID, BOB)
        call = await place(one, call_at(one))
        redis.freeze()
        accepted = step(call, Accept(by=BOB), call.placed_at_s).call
        async with asyncio.timeout(BOUND_S):
            for work in (
                one.directory.seat(CAROL_ID, CAROL),
                one.directory.presence(BOB_ID),
                one.directory.load(CallId("f" * 32)),
                other.directory.commit(accepted, (Unchanged(CALL, 1),)),
            ):
                with pytest.raises(OutOfReachError):
                    await work
        assert one.directory.users_online() == 1
        redis.thaw()
        await until(lambda: one.cluster.is_ready and other.cluster.is_ready)
        # what was told to have failed has not happened, although Redis found it in its buffers
        assert (await other.directory.presence(CAROL_ID)).sessions == ()
        found = await one.directory.load(CALL)
        assert found is not None
        assert found.version == 1


async def test_a_node_that_was_taken_for_dead_is_fenced_and_writes_its_seats_again(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (one, other), redis.client() as client:
        await one.directory.seat(ALICE_ID, ALICE)
        epoch = str(await client.hget("test:epochs", one.name))
        await client.hdel("test:epochs", one.name)  # as whoever takes it for dead does
        await client.delete("test:user:alice", f"test:own:{one.name}")
        await one.directory.seat(BOB_ID, BOB)
        assert one.tally.fences >= 1
        assert (await other.directory.presence(ALICE_ID)).sessions == (ALICE,)
        assert (await other.directory.presence(BOB_ID)).sessions == (BOB,)
        later = str(await client.hget("test:epochs", one.name))
        assert int(later) > int(epoch)
        far_future_ms = 10**15
        with pytest.raises(ResponseError, match="FENCED"):
            await client.eval(SEAT.source, 0, "test:", one.name, epoch, far_future_ms, CAROL_ID, CAROL)


async def test_a_call_of_one_node_lives_on_although_it_was_taken_for_dead(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (one, other), redis.client() as client:
        over: list[Call] = []
        one.directory.on_over = over.append
        await one.directory.seat(ALICE_ID, ALICE)
        await one.directory.seat(BOB_ID, BOB)
        await place(one, call_at(one))
        await client.hdel("test:epochs", one.name)
        await client.delete("test:user:alice", "test:user:bob", f"test:call:{CALL}", f"test:own:{one.name}")
        await one.directory.seat(CAROL_ID, CAROL)
        found = await other.directory.presence(BOB_ID)
        assert (found.sessions, found.call and found.call.id) == ((BOB,), CALL)
        assert over == []


async def test_a_call_that_the_others_ended_is_over_for_a_node_that_returns(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (one, other), redis.client() as client:
        over: list[Call] = []
        one.directory.on_over = over.append
        await one.directory.seat(ALICE_ID, ALICE)
        await other.directory.seat(BOB_ID, BOB)
        call = await place(one, call_at(one))
        await client.hdel("test:epochs", one.name)
        await client.delete("test:user:alice", f"test:own:{one.name}", f"test:inbox:{one.name}")
        ended = step(call, HangUp(by=BOB), call.placed_at_s).call
        await other.directory.commit(ended, (Unchanged(CALL, 1),))
        await one.directory.seat(CAROL_ID, CAROL)
        assert [call.id for call in over] == [CALL]
        assert await one.directory.presence(ALICE_ID) == Presence(ALICE_ID, (ALICE,))


async def test_a_user_who_went_elsewhere_meanwhile_stays_there(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (one, other), redis.client() as client:
        displaced: list[SessionId] = []
        one.directory.on_displaced = displaced.append
        await one.directory.seat(ALICE_ID, ALICE)
        await client.hdel("test:epochs", one.name)
        await client.delete("test:user:alice", f"test:own:{one.name}", f"test:inbox:{one.name}")
        await other.directory.seat(ALICE_ID, ALICE_2)
        await one.directory.seat(CAROL_ID, CAROL)
        assert displaced == [ALICE]
        assert (await one.directory.presence(ALICE_ID)).sessions == (ALICE_2,)


async def test_the_sessions_of_a_dead_node_are_cleared_up_once(redis: RedisServer) -> None:
    async with members(redis.url, 3, lease_s=1.0) as (one, other, third):
        lost: list[tuple[str, UserId, SessionId]] = []

        def watch(node: Member) -> None:
            async def on_lost(user: UserId, session: SessionId) -> None:
                lost.append((node.name, user, session))
                await node.directory.vacate(user, session)

            node.cluster._reaper.attach(on_lost)

        watch(other)
        watch(third)
        users = [(UserId(f"user{number}"), SessionId(f"user{number}-1")) for number in range(120)]
        for user, session in users:
            await one.directory.seat(user, session)
        await one.die()
        async with redis.client() as client:

            async def is_gone() -> bool:
                return await client.zscore("test:nodes", one.name) is None

            await eventually(is_gone)
            assert sorted((user, session) for _, user, session in lost) == sorted(users)
            assert [key for key in await client.keys("test:*") if one.name in str(key)] == []
            assert await client.keys("test:user:*") == []
        await until(lambda: third.tally.living == 2)


async def test_an_interrupted_commit_is_done_once(redis: RedisServer) -> None:
    """Connections are killed all the time; every commit holds, and each version is there once."""
    async with members(redis.url, 2) as (one, _other), redis.client() as client:
        await one.directory.seat(ALICE_ID, ALICE)
        await one.directory.seat(BOB_ID, BOB)
        call = await place(one, call_at(one))
        for number in range(2, 200):
            call = replace(call, version=number)
            await one.directory.commit(call, (Unchanged(CALL, number - 1), Seated(ALICE_ID, ALICE)))
            if number % 10 == 0:
                await client.client_kill_filter(_type="normal", skipme=True)
        stored = await client.hget(f"test:call:{CALL}", "v")
        assert stored == "199"
        assert one.tally.reconnects >= 1


async def test_scripts_that_redis_has_forgotten_are_loaded_again(redis: RedisServer) -> None:
    async with members(redis.url, 1) as (one,), redis.client() as client:
        await client.script_flush()
        await one.directory.seat(ALICE_ID, ALICE)
        assert one.cluster.is_ready


async def test_a_redis_that_was_emptied_under_a_quiet_node_is_written_again(redis: RedisServer) -> None:
    async with members(redis.url, 2, lease_s=1.0) as (one, other), redis.client() as client:
        await one.directory.seat(ALICE_ID, ALICE)
        await client.flushall()

        async def is_back() -> bool:
            return await client.exists("test:user:alice", f"test:inbox:{other.name}") == 2

        await eventually(is_back)
        await until(lambda: one.cluster.is_ready and other.cluster.is_ready)
        assert (await other.directory.presence(ALICE_ID)).sessions == (ALICE,)


async def test_a_node_waits_while_somebody_clears_up_after_it(redis: RedisServer) -> None:
    async with members(redis.url, 2, lease_s=1.0) as (one, other), redis.client() as client:
        await one.directory.seat(ALICE_ID, ALICE)
        await client.set(f"test:reap:{one.name}", other.name)
        await client.hdel("test:epochs", one.name)
        await until(lambda: not one.cluster.is_ready)
        with pytest.raises(OutOfReachError):
            await one.directory.seat(BOB_ID, BOB)
        await client.delete(f"test:reap:{one.name}")
        await until(lambda: one.cluster.is_ready)
        assert (await other.directory.presence(ALICE_ID)).sessions == (ALICE,)


async def test_a_node_that_is_fenced_again_and_again_has_no_more_tasks_than_before(redis: RedisServer) -> None:
    async with members(redis.url, 1, lease_s=60.0) as (one,), redis.client() as client:
        one.attach(Sockets())
        await one.directory.seat(ALICE_ID, ALICE)
        before = one.supervisor.running
        for fences in range(1, 6):
            await client.hdel("test:epochs", one.name)
            await one.directory.seat(ALICE_ID, ALICE)
            assert one.tally.fences >= fences
        await until(lambda: one.supervisor.running <= before)


async def test_the_parties_here_are_told_of_a_call_that_the_others_ended(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (one, other), redis.client() as client:
        sockets = Sockets(ALICE)
        one.attach(sockets)
        await one.directory.seat(ALICE_ID, ALICE)
        await other.directory.seat(BOB_ID, BOB)
        await place(one, call_at(one))
        await client.hdel("test:epochs", one.name)
        await client.delete(f"test:call:{CALL}")
        await one.directory.seat(CAROL_ID, CAROL)
        over = Ended(to=(ALICE, BOB), call_id=CALL, by=None, reason=Reason.CONNECTION_LOST)
        assert sockets.told == [(ALICE, over)]


async def test_a_join_that_failed_leaves_the_seat_as_it_was(redis: RedisServer) -> None:
    async with members(redis.url, 1) as (one,):
        await one.directory.seat(ALICE_ID, ALICE)
        redis.kill()
        with pytest.raises(OutOfReachError):
            await one.directory.seat(ALICE_ID, ALICE_2)
        assert await one.directory.presence(ALICE_ID) == Presence(ALICE_ID, (ALICE,))


async def test_the_lease_is_given_up_although_redis_is_away(redis: RedisServer) -> None:
    async with members(redis.url, 1) as (one,):
        redis.kill()
        await until(lambda: not one.cluster.is_ready)
        await one.cluster.stop()


async def test_a_join_of_which_nobody_knows_whether_it_came_about_did_not(redis: RedisServer) -> None:
    """Redis carries it out, and the answer is lost."""
    async with members(redis.url, 2) as (one, other), redis.client() as client:
        await one.directory.seat(ALICE_ID, ALICE)
        await client.set(f"test:reap:{one.name}", "nobody")  # keeps the node out until this test is done with Redis
        redis.freeze()
        with pytest.raises(OutOfReachError):
            await one.directory.seat(ALICE_ID, ALICE_2)
        redis.thaw()
        await client.hset("test:user:alice", f"s:{ALICE_2}", one.name)
        await client.hset(f"test:own:{one.name}", ALICE_2, ALICE_ID)
        await client.hdel("test:user:alice", f"s:{ALICE}")
        await client.delete(f"test:reap:{one.name}")
        await until(lambda: one.cluster.is_ready)
        assert (await other.directory.presence(ALICE_ID)).sessions == (ALICE,)
        assert await client.hgetall(f"test:own:{one.name}") == {ALICE: ALICE_ID}


async def test_a_master_that_becomes_a_replica_is_not_used(redis: RedisServer, tmp_path: Path) -> None:
    with running_redis(tmp_path) as master:
        async with members(redis.url, 1) as (node,), redis.client() as client:
            await client.replicaof("127.0.0.1", master.port)
            await until(lambda: not node.cluster.is_ready)
            await client.replicaof("NO", "ONE")
            await until(lambda: node.cluster.is_ready)
            assert (await node.directory.seat(ALICE_ID, ALICE)).displaced == ()
