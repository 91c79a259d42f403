"""What one node puts into another's inbox, and what does not belong there."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from service.adapters.redis.wire import encode_batch, encode_message
from service.domain.effects import Effect, PeerReconnected, RelayCandidate
from service.domain.ids import CallId, SessionId, UserId
from tests.support.redis import Member, RedisServer, members, until

ALICE, BOB = SessionId("alice-1"), SessionId("bob-1")
CALL = CallId("c" * 32)


class Sockets:
    """Sockets of a node that note what they are told."""

    def __init__(self, *sessions: SessionId) -> None:
        self._sessions = sessions
        self.told: list[tuple[SessionId, Effect]] = []
        self.dismissed: list[SessionId] = []

    def deliver(self, session: SessionId, effect: Effect) -> bool:
        """See `service.ports.Outlet`."""
        if session not in self._sessions:
            return False
        self.told.append((session, effect))
        return True

    def dismiss(self, session: SessionId) -> None:
        """See `service.ports.Outlet`."""
        self.dismissed.append(session)


def candidate(number: int, *to: SessionId, size: int = 0) -> RelayCandidate:
    return RelayCandidate(to=to or (BOB,), sender=UserId("alice"), candidate=b"%d" % number + b" " * size)


def numbers(sockets: Sockets) -> list[int]:
    return [int(effect.candidate) for _, effect in sockets.told if isinstance(effect, RelayCandidate)]


def two(nodes: list[Member]) -> tuple[Member, Member, Sockets]:
    """One node that knows where Bob is, and the one where he is."""
    near, far = nodes
    near.attach(Sockets(ALICE))
    sockets = Sockets(BOB)
    far.attach(sockets)
    near.directory.routes.learn({BOB: far.name})
    return near, far, sockets


async def put(redis: RedisServer, node: Member, fields: dict[Any, Any]) -> None:
    async with redis.client() as client:
        await client.xadd(f"test:inbox:{node.name}", fields)


async def test_what_is_sent_in_one_tick_is_one_entry(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        near, far, sockets = two(nodes)
        results = await asyncio.gather(*(near.router.send((candidate(number),)) for number in range(50)))
        assert set(results) == {frozenset()}
        await until(lambda: len(sockets.told) == 50)
        assert numbers(sockets) == list(range(50))
        assert near.tally.sent == [50]
        assert far.tally.received == [50]
        assert [command for command, _ in near.tally.commands].count("send") == 1


async def test_what_stays_on_the_node_does_not_touch_redis(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        near, _far, _sockets = two(nodes)
        before = len(near.tally.commands)
        work = near.router.send((candidate(1, ALICE),))
        with pytest.raises(StopIteration):  # it does not wait for anything
            work.send(None)
        assert len(near.tally.commands) == before


async def test_a_message_that_is_too_large_for_one_entry_with_others_gets_its_own(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        near, far, sockets = two(nodes)
        await near.router.send(tuple(candidate(number, size=150_000) for number in range(5)))
        await until(lambda: len(sockets.told) == 5)
        assert numbers(sockets) == list(range(5))
        assert len(near.tally.sent) == 5
        assert far.tally.poison == []


async def test_the_sender_is_told_of_a_node_that_is_not_there(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        near, far, sockets = two(nodes)
        near.directory.routes.learn({SessionId("carol-1"): "nobody", SessionId("dave-1"): near.name})
        to = (BOB, SessionId("carol-1"), SessionId("dave-1"), SessionId("erin-1"))
        assert await near.router.send((candidate(1, *to),)) == set(to[1:])
        await until(lambda: len(sockets.told) == 1)
        await far.cluster.stop()
        assert await near.router.send((candidate(2),)) == {BOB}


async def test_the_sender_is_told_while_redis_is_away(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        near, _far, sockets = two(nodes)
        redis.freeze()
        assert await near.router.send((candidate(1),)) == {BOB}
        redis.thaw()
        await until(lambda: near.cluster.is_ready)
        assert await near.router.send((candidate(2),)) == frozenset()
        await until(lambda: bool(sockets.told))
        assert numbers(sockets) == [2]  # the first was told to have failed, and must not come late


async def test_reading_and_sending_go_on_where_they_were_when_connections_are_killed(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes, redis.client() as client:
        near, far, sockets = two(nodes)
        for number in range(400):
            assert await near.router.send((candidate(number),)) == frozenset()
            if number % 40 == 20:
                await client.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: len(sockets.told) >= 400)
        assert numbers(sockets) == list(range(400))
        assert near.tally.reconnects >= 1
        assert far.tally.lost == 0


async def test_poison_is_ignored_and_counted(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        near, far, sockets = two(nodes)
        good = encode_message(candidate(1))
        unknown = msgspec.msgpack.encode({"type": "FromTheFuture", "to": [BOB]})
        newer = {"schema": 99, "origin": "x", "seq": 1, "messages": []}
        for fields in (
            {"b": b"\xc1garbage"},
            {"b": msgspec.msgpack.encode(newer)},
            {"b": b"x" * 1_000_000},
            {"c": b"garbage"},
            {"e": b"\xff\xfe"},
            {"z": "unknown"},
            {"b": msgspec.msgpack.encode({"schema": 1, "origin": "x", "seq": "one", "messages": []})},
            {"b": encode_batch("x", 1, [unknown, msgspec.msgpack.encode([1]), good])},
        ):
            await put(redis, far, fields)
        await until(lambda: bool(sockets.told))
        assert numbers(sockets) == [1]
        kinds = Counter(far.tally.poison)
        assert kinds == {"malformed": 7, "version": 1, "too_large": 1}
        assert await near.router.send((candidate(2),)) == frozenset()
        await until(lambda: numbers(sockets) == [1, 2])


async def test_an_entry_is_carried_out_once_and_a_gap_is_counted(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        _near, far, sockets = two(nodes)
        for seq in (1, 1, 2, 1, 5):
            await put(redis, far, {"b": encode_batch("x", seq, [encode_message(candidate(seq))])})
        await until(lambda: 5 in numbers(sockets))
        assert numbers(sockets) == [1, 2, 5]
        assert far.tally.poison == ["duplicate", "duplicate"]
        assert far.tally.lost == 2


async def test_a_message_of_an_older_version_is_read(redis: RedisServer) -> None:
    """A field that was added since has its default."""
    async with members(redis.url, 2) as nodes:
        _near, far, sockets = two(nodes)
        joined = {"type": "Joined", "to": [BOB], "user": "bob", "session": BOB}
        newer = {"type": "PeerReconnected", "to": [BOB], "call_id": CALL, "user": "alice", "added_later": 1}
        messages = [msgspec.msgpack.encode(joined), msgspec.msgpack.encode(newer)]
        await put(redis, far, {"b": encode_batch("x", 1, messages)})
        await until(lambda: len(sockets.told) == 2)
        assert sockets.told[1] == (BOB, PeerReconnected(to=(BOB,), call_id=CALL, user=UserId("alice")))


async def test_a_message_for_a_socket_that_has_gone_is_counted(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        near, far, _sockets = two(nodes)
        near.directory.routes.learn({SessionId("gone"): far.name})
        assert await near.router.send((candidate(1, SessionId("gone")),)) == frozenset()
        await until(lambda: far.tally.missed == 1)


async def test_what_was_told_last_arrives_before_the_node_leaves(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        near, _, sockets = two(nodes)
        near.router.tell([candidate(number) for number in range(50)])
        await near.cluster.stop()
        await near.die()
        await until(lambda: len(sockets.told) == 50)
        assert numbers(sockets) == list(range(50))
