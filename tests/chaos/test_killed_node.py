"""A node of three dies in the middle of a negotiation, or stands still for too long. The others have a call."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.footprint import returned, settled
from tests.chaos.healthy import HealthyCall, talking
from tests.chaos.nodes import User, answer, answered, nothing_left, relay, ring
from tests.interop.py_client import PyClient, py_client
from tests.interop.raw_client import hear, raw_user
from tests.support.redis import RedisServer, eventually, running_redis, until
from tests.support.server import Server, running_server

HEARD_BEFORE = 10
KEPT = 40
PACE_S = 0.01
"""Between two candidates."""

SETTINGS = {"NODE_LEASE_S": "1", "LIMIT_EVENTS": "0"}


class Stream:
    """Numbered candidates from one party to the other, one after the other, and which of them the server took."""

    def __init__(self, sender: PyClient, receiver: PyClient) -> None:
        self._sender = sender
        self._receiver = receiver
        self._is_stopping = False
        self.sent = 0
        self.refused: list[int] = []

    async def flow(self) -> None:
        """Until it is stopped."""
        while not self._is_stopping:
            number, self.sent = self.sent, self.sent + 1
            payload = {"candidate": {"n": number}, "to": self._receiver.name}
            answer = await self._sender.ask("ice:candidate", payload)
            if not answer["ok"]:
                assert answer["error"]["code"] == "receiver_not_found"
                self.refused.append(number)
            await asyncio.sleep(PACE_S)

    def stop(self) -> None:
        self._is_stopping = True


class Nodes(NamedTuple):
    """Three nodes on one Redis."""

    one: Server
    other: Server
    doomed: Server
    redis: RedisServer


@contextlib.asynccontextmanager
async def three_nodes(directory: Path, grace_s: str) -> AsyncIterator[tuple[Nodes, HealthyCall]]:
    """One of which is for the test to hurt, and a call between the others. Who lives returns to what he held."""
    settings = {**SETTINGS, "RECONNECT_GRACE_S": grace_s}
    with (
        running_redis(directory) as redis,
        running_server(directory, REDIS_URL=redis.url, **settings) as one,
        running_server(directory, REDIS_URL=redis.url, **settings) as other,
        running_server(directory, REDIS_URL=redis.url, **settings) as doomed,
    ):
        before = {server: await settled(server) for server in (one, other, doomed)}
        async with (
            raw_user(one.url, "websocket", "well-caller") as caller,
            raw_user(other.url, "websocket", "well-callee") as callee,
            talking(caller, callee) as call,
        ):
            yield Nodes(one, other, doomed, redis), call
        for server, footprint in before.items():
            if server.process.poll() is None:
                await returned(server, footprint)
        await nothing_left(redis)


async def call_to(alice: PyClient, bob: PyClient) -> str:
    """A call that was answered, and an offer in it."""
    call_id = str((await alice.ask("call:initiate", {"to": bob.name, "callType": "video"}))["callId"])
    await bob.ask("call:accept", {"callId": call_id, "from": alice.name})
    assert [(await alice.next())[0] for _ in range(2)] == ["call:initiated", "call:accepted"]
    assert [(await bob.next())[0] for _ in range(2)] == ["call:incoming", "call:accepted"]
    await alice.emit("call:offer", {"offer": {"sdp": "o"}, "to": bob.name})
    assert (await bob.next())[0] == "call:offer"
    return call_id


async def hears_at_last(alice: PyClient, awaited: tuple[str, Any]) -> int:
    """Wait until she is told this. Returns how often she was told before that he could not be reached."""
    refusals = 0
    while (heard := await alice.next()) != awaited:
        assert (heard[0], heard[1]["code"], heard[1]["event"]) == ("error", "receiver_not_found", "ice:candidate")
        refusals += 1
    return refusals


async def test_the_party_comes_back_elsewhere_and_lost_only_what_was_sent_until_then(tmp_path: Path) -> None:
    """Until the loss was noticed, that is; everything later is kept."""
    async with (
        three_nodes(tmp_path, "10") as (nodes, healthy),
        py_client(nodes.one.url, "websocket", "alice") as alice,
        contextlib.AsyncExitStack() as ends,
    ):
        bob, again = PyClient("bob"), PyClient("bob")
        for each in (bob, again):
            ends.push_async_callback(each.close)
        await bob.connect(nodes.doomed.url, "websocket")
        call_id = await call_to(alice, bob)
        stream = Stream(alice, bob)
        flowing = asyncio.create_task(stream.flow())
        before = [number_in(await bob.next()) for _ in range(HEARD_BEFORE)]
        nodes.doomed.process.kill()
        nodes.doomed.process.wait()
        told = await hears_at_last(alice, ("call:peer-reconnecting", {"callId": call_id, "userId": bob.name}))
        noticed = stream.sent
        await until(lambda: stream.sent >= noticed + KEPT or flowing.done())
        stream.stop()
        await flowing
        while (heard := await bob.next())[0] != "disconnect":
            before.append(number_in(heard))
        again.name = bob.name
        joined = await again.connect(nodes.other.url, "websocket")
        assert joined["call"]["callId"] == call_id
        after = [number_in(await again.next())]
        while after[-1] < stream.sent - 1:
            after.append(number_in(await again.next()))
        assert before == list(range(len(before)))
        assert after == list(range(after[0], stream.sent))
        assert len(before) <= after[0] <= noticed
        # in between: first what was on its way to a node that seemed to live, then what she was told of
        assert stream.refused == list(range(after[0] - len(stream.refused), after[0]))
        told += await hears_at_last(alice, ("call:peer-reconnected", {"callId": call_id, "userId": bob.name}))
        assert told == len(stream.refused)
        await answer_and_end(alice, again, call_id)
        await healthy.whole_turn()


def number_in(heard: tuple[str, dict[str, Any]]) -> int:
    event, payload = heard
    assert event == "ice:candidate"
    return int(payload["candidate"]["n"])


async def answer_and_end(alice: PyClient, bob: PyClient, call_id: str) -> None:
    """The negotiation goes on where it was, and the call ends as any."""
    await bob.emit("call:answer", {"answer": {"sdp": "a"}, "to": alice.name})
    assert await alice.next() == ("call:answer", {"answer": {"sdp": "a"}, "from": bob.name})
    assert (await bob.ask("call:end", {"callId": call_id}))["ok"]
    for party in (alice, bob):
        assert (await party.next())[0] == "call:ended"


async def test_a_node_that_stands_still_beyond_its_lease_costs_only_its_own_calls(tmp_path: Path) -> None:
    async with (
        three_nodes(tmp_path, "0") as (nodes, healthy),
        raw_user(nodes.one.url, "websocket", "alice") as alice,
        raw_user(nodes.doomed.url, "websocket", "bob") as bob,
    ):
        call_id = await answered(alice, bob)
        await relay(alice, bob)
        nodes.doomed.process.send_signal(signal.SIGSTOP)
        await hears_of_the_loss(alice, call_id)
        await healthy.whole_turn()
        nodes.doomed.process.send_signal(signal.SIGCONT)
        await hears_of_the_loss(bob, call_id)
        await healthy.whole_turn()

        async def is_seated_again() -> bool:
            return bool((await answer(alice[0], "user:status", {"userId": bob[1]}))[1]["isOnline"])

        await eventually(is_seated_again)
        await ring(alice[0], *bob)


async def hears_of_the_loss(party: User, call_id: str) -> None:
    event, told = await hear(party[0])
    assert (event, told["callId"], told["code"]) == ("call:ended", call_id, "connection_lost")
