"""A node dies between an offer and its answer, with candidates on their way."""

import asyncio
from pathlib import Path
from typing import Any

from tests.interop.py_client import PyClient, py_client
from tests.support.redis import running_redis
from tests.support.server import running_server

CANDIDATES = 40
SETTINGS = {"NODE_LEASE_S": "1", "RECONNECT_GRACE_S": "10"}


async def candidates(sender: PyClient, receiver: PyClient, numbers: range) -> list[int]:
    """Send numbered candidates, all under way at once; gives those that the server took."""
    asked = (sender.ask("ice:candidate", {"candidate": {"n": n}, "to": receiver.name}) for n in numbers)
    answers: list[Any] = await asyncio.gather(*asked)
    return [n for n, answer in zip(numbers, answers, strict=True) if answer["ok"]]


async def test_the_party_comes_back_elsewhere_and_hears_everything_once(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as redis,
        running_server(tmp_path, REDIS_URL=redis.url, **SETTINGS) as one,
        running_server(tmp_path, REDIS_URL=redis.url, **SETTINGS) as other,
    ):
        async with py_client(one.url, "websocket", "alice") as alice:
            bob = PyClient("bob")
            await bob.connect(other.url, "websocket")
            call_id = (await alice.ask("call:initiate", {"to": bob.name, "callType": "video"}))["callId"]
            await bob.ask("call:accept", {"callId": call_id, "from": alice.name})
            assert [(await alice.next())[0] for _ in range(2)] == ["call:initiated", "call:accepted"]
            assert [(await bob.next())[0] for _ in range(2)] == ["call:incoming", "call:accepted"]
            await alice.emit("call:offer", {"offer": {"sdp": "o"}, "to": bob.name})
            assert (await bob.next())[0] == "call:offer"
            sending = asyncio.create_task(candidates(alice, bob, range(CANDIDATES)))
            other.process.kill()
            other.process.wait()
            await sending  # to a dead node, which is the documented window: lost, or heard before
            assert await alice.next() == ("call:peer-reconnecting", {"callId": call_id, "userId": bob.name})
            kept = await candidates(alice, bob, range(CANDIDATES, 2 * CANDIDATES))
            assert kept == list(range(CANDIDATES, 2 * CANDIDATES))
            again = PyClient("bob")
            again.name = bob.name
            joined = await again.connect(one.url, "websocket")
            assert joined["call"]["callId"] == call_id
            assert [(await again.next())[1]["candidate"]["n"] for _ in kept] == kept
            assert await alice.next() == ("call:peer-reconnected", {"callId": call_id, "userId": bob.name})
            await again.emit("call:answer", {"answer": {"sdp": "a"}, "to": alice.name})
            assert await alice.next() == ("call:answer", {"answer": {"sdp": "a"}, "from": bob.name})
            assert (await again.ask("call:end", {"callId": call_id}))["ok"]
            for party in (alice, again):
                assert (await party.next())[0] == "call:ended"
            await again.close()
            async with asyncio.timeout(10):
                while (await alice.ask("user:status", {"userId": bob.name}))["isOnline"]:
                    pass
            await bob.close()
