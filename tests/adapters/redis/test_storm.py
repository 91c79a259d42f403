"""Many users on three nodes do what users do, while Redis is hurt in every way; afterwards nothing is left behind."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from service.control.session import Session
from service.domain.call import Policy
from service.domain.effects import Ended, Incoming
from service.domain.events import Accept, Candidate, HangUp, Media, Offer
from service.domain.ids import CallId, UserId
from service.domain.requests import InCall, Initiate, Relay
from service.errors import SignallingError
from tests.adapters.redis.test_races import Node
from tests.support.redis import PATIENCE_S, Member, RedisServer, eventually, members, until

USERS = 24
ROUNDS = 12
BOUND_S = 60.0
"""Many times what a storm takes, so that what hangs is seen."""

LEFT = ("test:born", "test:epoch", "test:nodes", "test:inbox:", "test:over:")


class Person:
    """A user who joins somewhere, calls somebody, answers who calls, and leaves."""

    def __init__(self, name: str, nodes: list[Node], chance: random.Random) -> None:
        self.name = name
        self._nodes = nodes
        self._chance = chance
        self.reached = 0

    async def live(self) -> None:
        for number in range(ROUNDS):
            node, session = await self._joined(number)
            with suppress(SignallingError):
                await self._talk(node, session)
            del node.heard[session.id]
            if node in self._nodes:  # else it died
                await node.control.left(session, goodbye=self._chance.random() < 0.5)

    async def _joined(self, number: int) -> tuple[Node, Session]:
        for attempt in itertools.count():
            node = self._chance.choice(self._nodes)
            try:
                return node, await node.join(self.name, f"{number}.{attempt}")
            except SignallingError:
                await asyncio.sleep(0.05)
        raise AssertionError

    async def _talk(self, node: Node, session: Session) -> None:
        callee = UserId(f"user{self._chance.randrange(USERS)}")
        with suppress(SignallingError):
            outcome = await node.control.handle(session, Initiate(callee, Media.AUDIO))
            assert outcome.call_id is not None
            await self._relay(node, session, callee)
            await self._hang_up(node, session, outcome.call_id)
        await asyncio.sleep(self._chance.random() * 0.05)
        for effect in list(node.heard[session.id]):
            if isinstance(effect, Incoming):
                await node.control.handle(session, InCall(effect.call_id, Accept(by=session.id)))
                self.reached += 1
                await self._relay(node, session, effect.caller)
                await self._hang_up(node, session, effect.call_id)

    async def _relay(self, node: Node, session: Session, to: UserId) -> None:
        await node.control.handle(session, Relay(to, None, Offer(session.id, b"{}")))
        for _ in range(5):
            await node.control.handle(session, Relay(to, None, Candidate(session.id, b"{}")))

    async def _hang_up(self, node: Node, session: Session, call_id: CallId) -> None:
        await asyncio.sleep(self._chance.random() * 0.05)
        if self._chance.random() < 0.7:
            await node.control.handle(session, InCall(call_id, HangUp(by=session.id)))


@asynccontextmanager
async def weather(redis: RedisServer, chance: random.Random, kinds: tuple[str, ...]) -> AsyncIterator[None]:
    """Hurt Redis, again and again, until the block ends; then it is well."""

    calm = asyncio.Event()

    async def blow() -> None:
        while not calm.is_set():
            await asyncio.sleep(0.2)
            kind = chance.choice(kinds)
            if kind == "connections":
                with suppress(OSError):
                    async with redis.client() as client:
                        await client.client_kill_filter(_type="normal", skipme=True)
            elif kind == "freeze":
                redis.freeze()
                await asyncio.sleep(chance.random())
                redis.thaw()
            else:
                redis.kill()
                await asyncio.sleep(chance.random())
                redis.start()

    storm = asyncio.create_task(blow())
    try:
        yield
    finally:
        calm.set()
        await storm


@pytest.mark.parametrize("grace_s", [0.0, 0.3])
@pytest.mark.parametrize("kinds", [("none",), ("connections",), ("freeze",), ("restart", "connections", "freeze")])
async def test_nothing_is_left_behind(redis: RedisServer, kinds: tuple[str, ...], grace_s: float) -> None:
    chance = random.Random(f"{kinds}{grace_s}")
    policy = Policy(ring_timeout_s=2.0, reconnect_grace_s=grace_s)
    async with members(redis.url, 3) as homes:
        nodes = [Node(member, number, policy) for number, member in enumerate(homes)]
        tasks = tasks_at_rest(homes)
        people = [Person(f"user{number}", nodes, random.Random(chance.random())) for number in range(USERS)]
        if kinds == ("none",):
            await asyncio.gather(*(person.live() for person in people))
        else:
            async with weather(redis, chance, kinds), asyncio.timeout(BOUND_S):
                await asyncio.gather(*(person.live() for person in people))
        await until(lambda: all(node.member.cluster.is_ready for node in nodes))
        assert sum(person.reached for person in people) > 0

        await nothing_is_left(redis, nodes, tasks)


def tasks_at_rest(homes: list[Member]) -> int:
    """How many tasks a node has while nothing happens."""
    return max(home.supervisor.running for home in homes)


async def nothing_is_left(redis: RedisServer, nodes: list[Node], tasks: int) -> None:
    """Wait until there is no user, no call and no deadline, in Redis and on the nodes, and no more tasks than so."""

    async def left() -> list[str]:
        async with redis.client() as client:
            return [str(key) for key in await client.keys("test:*") if not str(key).startswith(LEFT)]

    async def nothing_left() -> bool:
        return await left() == []

    try:
        await eventually(nothing_left, 2 * PATIENCE_S)
    except TimeoutError:
        pytest.fail(f"left behind: {await left()}")
    await until(lambda: not any(node.live_calls() for node in nodes))
    assert {node.member.directory.users_online() for node in nodes} == {0}
    await until(lambda: all(node.member.supervisor.running <= tasks for node in nodes))


@pytest.mark.parametrize("grace_s", [0.0, 0.3])
async def test_nothing_is_left_behind_of_nodes_that_die(redis: RedisServer, grace_s: float) -> None:
    chance = random.Random(grace_s)
    policy = Policy(ring_timeout_s=60.0, reconnect_grace_s=grace_s)
    async with members(redis.url, 4, lease_s=1.0) as homes:
        nodes = [Node(member, number, policy) for number, member in enumerate(homes)]
        tasks = tasks_at_rest(homes)
        dead = nodes[:2]
        people = [Person(f"user{number}", nodes, random.Random(chance.random())) for number in range(USERS)]

        residents = [await node.join(f"resident{number}", "1") for number, node in enumerate(nodes)]
        gone, here = residents[0], residents[3]
        assert gone.user is not None
        await nodes[3].control.handle(here, Initiate(gone.user, Media.AUDIO))
        home = nodes[3]

        async def die() -> None:
            for node in dead:
                await asyncio.sleep(0.3)
                nodes.remove(node)
                await node.member.die()

        async with asyncio.timeout(BOUND_S):
            await asyncio.gather(die(), *(person.live() for person in people))
        await until(lambda: any(isinstance(effect, Ended) for effect in home.heard[here.id]))
        for node, resident in zip(nodes, residents[2:], strict=True):
            await node.control.left(resident, goodbye=True)
        await nothing_is_left(redis, nodes, tasks)
        assert sum(node.member.tally.reaped for node in nodes) >= len(dead)
        async with redis.client() as client:
            assert sorted(await client.zrange("test:nodes", 0, -1)) == sorted(node.member.name for node in nodes)
