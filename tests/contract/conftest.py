"""One suite for each port. An adapter joins by adding itself to the parameters of its port's fixture."""

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from msgspec.structs import replace

from service.adapters.memory.directory import MemoryDirectory
from service.domain.call import Call
from service.domain.ids import CallId, UserId
from service.domain.placing import Presence
from service.ports import Directory
from tests.support.redis import Member, RedisServer, members, running_redis


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the tests of a module."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@contextlib.asynccontextmanager
async def fresh_members(redis: RedisServer, count: int) -> AsyncIterator[list[Member]]:
    """So many nodes on a Redis that was empty."""
    async with redis.client() as client:
        await client.flushall()
    async with members(redis.url, count) as nodes:
        yield nodes


class Across:
    """One directory on two nodes: whatever one of them writes, the other one reads."""

    def __init__(self, writer: Directory, reader: Directory) -> None:
        self.seat, self.vacate, self.commit = writer.seat, writer.vacate, writer.commit
        self.users_online, self.live_calls = writer.users_online, writer.live_calls
        self.call_at_hand, self.hold = writer.call_at_hand, writer.hold
        self.follow, self.unfollow, self.attach = writer.follow, writer.unfollow, writer.attach
        self.collect = reader.collect
        self._reader = reader

    async def presence(self, user: UserId) -> Presence:
        """See `Directory.presence`."""
        presence = await self._reader.presence(user)
        return replace(presence, call=in_round_times(presence.call))

    async def load(self, call_id: CallId) -> Call | None:
        """See `Directory.load`."""
        return in_round_times(await self._reader.load(call_id))


def in_round_times(call: Call | None) -> Call | None:
    """Two nodes agree on a time as well as each knows the time of Redis."""
    if call is None:
        return None
    answered = None if call.answered_at_s is None else round(call.answered_at_s, 1)
    placed, until = round(call.placed_at_s, 1), round(call.ring_until_s, 1)
    return replace(call, placed_at_s=placed, ring_until_s=until, answered_at_s=answered)


@pytest.fixture(params=["memory", "redis", "across nodes"])
async def directory(request: pytest.FixtureRequest) -> AsyncIterator[Directory]:
    """An empty directory of each kind."""
    if request.param == "memory":
        yield MemoryDirectory()
        return
    async with fresh_members(request.getfixturevalue("redis"), 2) as (one, other):
        yield one.directory if request.param == "redis" else Across(one.directory, other.directory)
