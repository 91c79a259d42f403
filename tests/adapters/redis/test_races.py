"""Two nodes that want the same at the same time, a thousand times: one wins, and the other is told."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

from service.control.control import CallControl
from service.control.outcome import Outcome
from service.control.presence import PresenceControl
from service.control.session import Session
from service.domain.call import Call, Policy, State
from service.domain.effects import Effect, RelayCandidate
from service.domain.events import Accept, Candidate, HangUp, Media
from service.domain.ids import CallId, SessionId, UserId
from service.domain.requests import InCall, Initiate, Join, Relay
from service.errors import SignallingError
from service.ports import Authoriser, Identity, Observer
from service.supervisor import Supervisor
from tests.support.redis import Member, RedisServer, members, until

RACES = 1000
AT_ONCE = 20


class Node:
    """A node with call control and sockets that note what they hear."""

    def __init__(self, member: Member, number: int, policy: Policy) -> None:
        self.member = member
        self.heard: dict[SessionId, list[Effect]] = {}
        self.dismissed: set[SessionId] = set()
        ids = itertools.count(1)
        self.control = CallControl(
            directory=member.directory,
            router=member.router,
            timers=member.timers,
            clock=member.clock,
            observer=Observer(),
            new_call_id=lambda: CallId(f"{number:016x}{next(ids):016x}"),
            policy=policy,
            presence=PresenceControl(
                directory=member.directory,
                router=member.router,
                clock=member.clock,
                spawn=Supervisor().spawn,
                observer=Observer(),
                authoriser=Authoriser(),
                hide_presence=False,
                max_watched=1,
            ),
        )
        member.cluster.attach(self, on_due=self.control.wake, on_lost=self._lost, on_returned=self.control.settle)

    async def _lost(self, user: UserId, session_id: SessionId) -> None:
        session = Session(session_id, Identity())
        session.user = user
        await self.control.left(session, goodbye=False)

    def deliver(self, session: SessionId, effect: Effect) -> bool:
        """See `service.ports.Outlet`."""
        if session not in self.heard:
            return False
        self.heard[session].append(effect)
        return True

    def dismiss(self, session: SessionId) -> None:
        """See `service.ports.Outlet`."""
        if session in self.heard:
            self.dismissed.add(session)

    def live_calls(self) -> Sequence[Call]:
        """What the node knows of calls, without asking Redis."""
        return tuple(copy.call for copy in self.member.directory.copies)

    async def join(self, user: str, socket: str) -> Session:
        """A new socket that joins."""
        session = Session(SessionId(f"{user}-{socket}"), Identity())
        self.heard[session.id] = []
        await self.control.handle(session, Join(UserId(user)))
        return session

    async def ask(self, session: Session, request: Initiate | InCall) -> Outcome | SignallingError:
        """Ask, and give the refusal too."""
        try:
            return await self.control.handle(session, request)
        except SignallingError as refusal:
            return refusal


class Pair(NamedTuple):
    """Two nodes on one Redis."""

    one: Node
    other: Node


def pair(nodes: Sequence[Member], policy: Policy | None = None) -> Pair:
    """Put call control on them."""
    one, other = (Node(member, number, policy or Policy()) for number, member in enumerate(nodes))
    return Pair(one, other)


async def in_turns(race: "Race", count: int = RACES) -> None:
    """Run so many races, some of them at the same time."""
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*(race.run(number) for number in range(start, start + AT_ONCE)))


@asynccontextmanager
async def call_beside(nodes: Pair) -> AsyncIterator[None]:
    """A call between the nodes while they race, of which all arrives, once and in order."""
    sessions = [await node.join(f"beside{number}", "1") for number, node in enumerate(nodes)]
    placed = await nodes.one.ask(sessions[0], Initiate(UserId("beside1"), Media.AUDIO))
    assert isinstance(placed, Outcome)
    assert placed.call_id is not None
    accept = InCall(placed.call_id, Accept(by=sessions[1].id))
    await until(lambda: bool(nodes.other.heard[sessions[1].id]))
    assert isinstance(await nodes.other.ask(sessions[1], accept), Outcome)
    over = asyncio.Event()
    talking = asyncio.gather(*(talk(node, session, over) for node, session in zip(nodes, sessions, strict=True)))
    try:
        yield
    finally:
        over.set()
        said = await talking
    for node, session, numbers in zip(nodes, sessions, reversed(said), strict=True):
        await until(partial(has_heard, node, session, numbers))
    assert isinstance(await nodes.one.ask(sessions[0], InCall(placed.call_id, HangUp(by=sessions[0].id))), Outcome)
    for node, session in zip(nodes, sessions, strict=True):
        await node.control.left(session, goodbye=True)


async def talk(node: Node, session: Session, over: asyncio.Event) -> list[int]:
    """Relay numbered candidates to the other one until it is over; gives what was sent."""
    peer = UserId("beside1" if session.user == "beside0" else "beside0")
    numbers: list[int] = []
    while not over.is_set():
        numbers.append(len(numbers))
        await node.control.handle(session, Relay(peer, None, Candidate(session.id, b"%d" % numbers[-1])))
    return numbers


def has_heard(node: Node, session: Session, numbers: list[int]) -> bool:
    """Whether these are the candidates that a session was told, in order."""
    return [int(told.candidate) for told in node.heard[session.id] if isinstance(told, RelayCandidate)] == numbers


class Race(ABC):
    """Something that two nodes do at the same time."""

    def __init__(self, nodes: Pair) -> None:
        self.one, self.other = nodes

    @abstractmethod
    async def run(self, number: int) -> None:
        """One race."""


class JoinRace(Race):
    """Two sockets on two nodes join as one user."""

    async def run(self, number: int) -> None:
        user = UserId(f"user{number}")
        first, second = await asyncio.gather(self.one.join(user, "1"), self.other.join(user, "2"))
        await until(lambda: bool({first.id, second.id} & (self.one.dismissed | self.other.dismissed)))
        (seated,) = (await self.one.member.directory.presence(user)).sessions
        assert (await self.other.member.directory.presence(user)).sessions == (seated,)
        assert {first.id, second.id} - (self.one.dismissed | self.other.dismissed) == {seated}


async def test_a_user_who_joins_on_two_nodes_has_one_seat(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        one, other = both = pair(nodes)
        async with call_beside(both):
            await in_turns(JoinRace(both))
        assert one.member.directory.users_online() + other.member.directory.users_online() == RACES
        async with redis.client() as client:
            owned = [await client.hlen(f"test:own:{node.name}") for node in nodes]
            assert sum(owned) == RACES


class Glare(Race):
    """Two users on two nodes call each other."""

    async def run(self, number: int) -> None:
        here, there = f"here{number}", f"there{number}"
        alice, bob = await asyncio.gather(self.one.join(here, "1"), self.other.join(there, "1"))
        outcomes = await asyncio.gather(
            self.one.ask(alice, Initiate(UserId(there), Media.AUDIO)),
            self.other.ask(bob, Initiate(UserId(here), Media.AUDIO)),
        )
        assert all(isinstance(outcome, Outcome) for outcome in outcomes), outcomes
        (call_id,) = {outcome.call_id for outcome in outcomes if isinstance(outcome, Outcome)}
        assert call_id is not None

        def accepted(node: Node) -> bool:
            return any(call.id == call_id and call.state is State.CONNECTING for call in node.live_calls())

        await until(lambda: accepted(self.one) and accepted(self.other))
        await self.one.ask(alice, InCall(call_id, HangUp(by=alice.id)))


async def test_two_users_who_call_each_other_are_in_one_call(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        one, other = both = pair(nodes)
        async with call_beside(both):
            await in_turns(Glare(both))
        await until(lambda: not one.live_calls() and not other.live_calls())
        async with redis.client() as client:
            assert await client.keys("test:call:*") == []


class AcceptAgainstCancel(Race):
    """The callee accepts while the caller hangs up."""

    winners: set[str]

    async def run(self, number: int) -> None:
        here, there = f"here{number}", f"there{number}"
        alice, bob = await asyncio.gather(self.one.join(here, "1"), self.other.join(there, "1"))
        placed = await self.one.ask(alice, Initiate(UserId(there), Media.AUDIO))
        assert isinstance(placed, Outcome)
        assert placed.call_id is not None
        cancelled, accepted = await asyncio.gather(
            self.one.ask(alice, InCall(placed.call_id, HangUp(by=alice.id))),
            self.other.ask(bob, InCall(placed.call_id, Accept(by=bob.id))),
        )
        assert isinstance(cancelled, Outcome)  # before or after the answer, a hang-up ends the call
        self.winners.add(type(accepted).__name__)
        assert await self.one.member.directory.load(placed.call_id) is None


async def test_accept_against_cancel(redis: RedisServer) -> None:
    async with members(redis.url, 2) as nodes:
        one, other = both = pair(nodes)
        race = AcceptAgainstCancel(both)
        race.winners = set()
        async with call_beside(both):
            await in_turns(race, 200)
        await until(lambda: not one.live_calls() and not other.live_calls())
        assert race.winners <= {"Outcome", "CallExpiredError"}
