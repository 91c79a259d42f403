"""Into the inboxes of two nodes that have a call with each other, nodes of other versions write, and chance."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from redis.asyncio import Redis

from service.adapters.redis.wire import SCHEMA
from service.domain.call import State
from tests.adapters.redis.samples import recorded
from tests.chaos.footprint import counted, returned, scrape, settled
from tests.chaos.healthy import HealthyCall, talking
from tests.chaos.nodes import answer, node_of
from tests.interop.raw_client import RawClient, emit, hear, raw_user
from tests.support.privacy import assert_nothing_private
from tests.support.redis import RedisServer, running_redis
from tests.support.server import Server, running_server

SETTINGS = {"LIMIT_EVENTS": "0"}
SCHEMAS = range(1, SCHEMA + 1)
PROBLEMS = ("malformed", "version", "too_large", "duplicate", "lost", "undelivered")
MARK = b"mark-that-nobody-may-log"
NODE = "node-of-another-version"

Fields = dict[str, Any]


class Bystander(NamedTuple):
    """A user who hears what comes for him through the inbox of his node."""

    client: RawClient
    user: str
    session: str


class Pair(NamedTuple):
    """Two nodes with a call between them, and somebody on each beside it."""

    servers: tuple[Server, Server]
    redis: Redis
    call: HealthyCall
    bystanders: tuple[Bystander, Bystander]

    async def put(self, field: str, value: object) -> None:
        """An entry into both inboxes: bytes as they are, all else as MessagePack."""
        for bystander in self.bystanders:
            await self.put_one(bystander, value, field)

    async def put_one(self, bystander: Bystander, value: object, field: str = "b") -> None:
        """An entry into the inbox of his node."""
        packed = value if isinstance(value, bytes) else msgspec.msgpack.encode(value)
        await self.redis.xadd(f"signalling:inbox:{await node_of(self.redis, bystander.user)}", {field: packed})

    async def connections(self) -> list[str]:
        """The connections that Redis has; each reader of an inbox is one, and stays the same while it reads."""
        return sorted(each["id"] for each in await self.redis.client_list())


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@asynccontextmanager
async def pair(directory: Path, redis: RedisServer) -> AsyncIterator[Pair]:
    """All of it. Afterwards nodes and readers are the same, hold what they held, and have said nothing private."""
    with (
        running_server(directory, REDIS_URL=redis.url, **SETTINGS) as one,
        running_server(directory, REDIS_URL=redis.url, **SETTINGS) as other,
    ):
        before = [await settled(one), await settled(other)]
        async with (
            redis.client() as client,
            raw_user(one.url, "websocket", "caller") as caller,
            raw_user(other.url, "websocket", "callee") as callee,
            raw_user(one.url, "websocket", "near") as near,
            raw_user(other.url, "websocket", "far") as far,
            talking(caller, callee) as call,
        ):
            beside = (
                Bystander(*near, await session_of(client, near[1])),
                Bystander(*far, await session_of(client, far[1])),
            )
            both = Pair((one, other), client, call, beside)
            connections = await both.connections()
            yield both
            await call.whole_turn()
            assert await both.connections() == connections
        for server, footprint in zip((one, other), before, strict=True):
            await returned(server, footprint)
            assert_nothing_private(server)
            log = server.log.read_text()
            assert MARK.decode() not in log
            assert not [line for line in map(json.loads, log.splitlines()) if line["level"] == "error"]


async def session_of(redis: Redis, user: str) -> str:
    (session,) = (field[2:] for field in await redis.hgetall(f"signalling:user:{user}") if field[:2] == "s:")
    return str(session)


async def problems(server: Server) -> Counter[str]:
    """What a node has counted instead of carrying it out."""
    metrics = await scrape(server)
    return Counter({problem: int(metrics.sum("inbox_problems_total", problem=problem)) for problem in PROBLEMS})


def message(name: str, to: Bystander, schema: int = SCHEMA, **changes: object) -> Fields:
    """A message as a node of that schema writes it, for a bystander."""
    return {**msgspec.msgpack.decode(recorded(schema)[name]), "to": [to.session], **changes}


def batch(seq: int, *messages: object, schema: object = SCHEMA, **more: object) -> Fields:
    return {"schema": schema, "origin": NODE, "seq": seq, "messages": messages, **more}


def candidate(number: int) -> bytes:
    return b'{"n":%d}' % number


POISON: tuple[tuple[str, str, object], ...] = (
    ("malformed", "b", b"\xc1" + MARK),
    ("malformed", "b", b"x" + MARK * 1000),
    ("malformed", "b", {"schema": "one", "origin": NODE, "seq": 1, "messages": []}),
    ("malformed", "b", b"\x91" * 100_000),
    ("malformed", "c", MARK),
    ("malformed", "c", {"schema": SCHEMA, "call": {"id": MARK.decode()}, "routes": {}}),
    ("malformed", "e", b"\xff\xfe" + MARK),
    ("malformed", "field-of-the-future", MARK),
    ("version", "b", batch(1, {"type": "Ended", "to": []}, schema=SCHEMA + 1)),
    ("version", "b", batch(1, schema=0)),
    ("version", "c", {**msgspec.msgpack.decode(recorded(SCHEMA)["call (connected)"]), "schema": SCHEMA + 1}),
    ("too_large", "b", MARK * 50_000),
)
"""How each is counted, and the entry."""


async def test_what_cannot_be_read_is_counted_and_the_rest_is_carried_out(tmp_path: Path, redis: RedisServer) -> None:
    async with pair(tmp_path, redis) as nodes:
        before = [await problems(server) for server in nodes.servers]
        for _, field, value in POISON:
            await nodes.put(field, value)
        await nodes.call.whole_turn()
        near, far = nodes.bystanders
        unknown = {"type": "EffectOfTheFuture", "to": [near.session, far.session], "secret": MARK.decode()}
        word = {**message("Ended", near), "to": [near.session, far.session], "reason": "reason_of_the_future"}
        good = [
            {**message("RelayCandidate", near, candidate=candidate(n)), "to": [near.session, far.session], **more}
            for n, more in enumerate(({}, {"field_of_the_future": MARK.decode()}, {}))
        ]
        mixed = batch(1, good[0], unknown, good[1], word, [], good[2], field_of_the_future=[1])
        await nodes.put("b", mixed)
        await nodes.put("b", mixed)
        for bystander in nodes.bystanders:
            for number in range(3):
                name, heard = await hear(bystander.client)
                assert (name, heard["candidate"]) == ("ice:candidate", {"n": number})
        # of each good message one receiver is on the other node
        expected = Counter(kind for kind, _, _ in POISON) + Counter(malformed=3, duplicate=1, undelivered=3)
        for server, had in zip(nodes.servers, before, strict=True):
            await counted(server, had["duplicate"] + 1, "inbox_problems_total", problem="duplicate")
            assert await problems(server) - had == expected


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_an_older_node_is_understood(tmp_path: Path, redis: RedisServer, schema: int) -> None:
    """It knows no field that has a default, and writes none."""
    async with pair(tmp_path, redis) as nodes:
        before = [await problems(server) for server in nodes.servers]
        near, far = nodes.bystanders
        for bystander in nodes.bystanders:
            joined = message("Joined (free)", bystander, schema)
            for added_since in ("call", "ice", "kept"):
                joined.pop(added_since, None)
            await nodes.put_one(bystander, batch(1, joined, schema=schema))
            await nodes.put_one(bystander, batch(2, message("RelayCandidate", bystander, schema), schema=schema))
        for bystander in nodes.bystanders:
            assert [(await hear(bystander.client))[0] for _ in range(2)] == ["user:joined", "ice:candidate"]
        call_id = await ringing(near, far)
        await answer_as_an_older_node(redis, call_id, schema)
        _, status = await answer(near.client, "user:status", {"userId": far.user})
        assert (status["isOnline"], status["isInCall"]) == (True, True)
        await emit(near.client, "ice:candidate", {"candidate": {"n": 1}, "to": far.user})
        assert await hear(far.client) == ("ice:candidate", {"candidate": {"n": 1}, "from": near.user})
        await emit(near.client, "call:end", {"callId": call_id})
        for bystander in nodes.bystanders:  # what rang would be `cancelled`
            assert await hear(bystander.client) == (
                "call:ended",
                {"callId": call_id, "by": near.user, "code": "hangup"},
            )
        assert [await problems(server) for server in nodes.servers] == before


async def ringing(caller: Bystander, callee: Bystander) -> str:
    _, told = await answer(caller.client, "call:initiate", {"to": callee.user, "callType": "audio"})
    assert (await hear(callee.client))[0] == "call:incoming"
    return str(told["callId"])


async def answer_as_an_older_node(redis: RedisServer, call_id: str, schema: int) -> None:
    """Write that a call was answered, and tell its nodes of it."""
    key = f"signalling:call:{call_id}"
    async with Redis.from_url(redis.url) as store:
        values: list[Any] = await store.hmget(key, "d", "n")
        record, nodes = values
        stored = msgspec.msgpack.decode(record)
        call = {name: it for name, it in stored["call"].items() if it is not None}
        call |= {"state": State.CONNECTING, "version": 2, "answered_at_s": call["placed_at_s"] + 1}
        for party in ("caller", "callee"):
            call[party] = {name: it for name, it in call[party].items() if it is not None}
        answered = msgspec.msgpack.encode({**stored, "schema": schema, "call": call})
        await store.hset(key, mapping={"d": answered, "v": 2})
        for node in nodes.decode().split():
            await store.xadd(f"signalling:inbox:{node}", {"c": answered})
