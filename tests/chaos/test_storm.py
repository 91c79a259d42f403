"""Two thousand clients that are lost at once and come back at once."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.clients import WEBSOCKET, event
from tests.chaos.conftest import ATTACKED
from tests.chaos.footprint import scrape, until
from tests.chaos.healthy import healthy_call
from tests.interop.conformance_frames import TEXT, Frames, ask, frame, websocket
from tests.support.server import Server, running_server

CLIENTS = 2000
CALLS = 100
"""How many of them are in calls, two by two, which they find again."""
OF_THE_CALL = 2
"""The healthy call's parties, who stay."""


class Crowd:
    """Clients of which each has a user of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connections = contextlib.AsyncExitStack()
        self._frames: dict[str, Frames] = {}

    async def arrive(self, users: Sequence[str]) -> dict[str, dict[str, object]]:
        """Connect and join all at once; what each was told on joining."""
        told = await asyncio.gather(*map(self._join, users))
        return dict(zip(users, told, strict=True))

    async def vanish(self) -> None:
        """Lose all connections at once, without a word."""
        await self._connections.aclose()
        self._connections, self._frames = contextlib.AsyncExitStack(), {}

    async def say(self, user: str, packet: str) -> None:
        await self._frames[user].send(frame(TEXT, packet.encode()))

    async def hear(self, user: str) -> tuple[str, dict[str, object]]:
        name, payload = json.loads((await self._frames[user].receive()).payload.removeprefix(b"42"))
        return name, payload

    async def _join(self, user: str) -> dict[str, object]:
        frames = await self._connections.enter_async_context(websocket(self._server.port, WEBSOCKET))
        self._frames[user] = frames
        assert (await frames.receive()).payload.startswith(b"0{")
        await frames.send(frame(TEXT, b"40"))
        assert (await frames.receive()).payload.startswith(b'40{"sid"')
        await self.say(user, event("user:join", {"userId": user}))
        name, payload = await self.hear(user)
        assert (name, payload["userId"]) == ("user:joined", user)
        return payload


async def call_each_other(crowd: Crowd, caller: str, callee: str) -> str:
    await crowd.say(caller, event("call:initiate", {"to": callee, "callType": "audio"}))
    name, incoming = await crowd.hear(callee)
    assert name == "call:incoming"
    assert (await crowd.hear(caller))[0] == "call:initiated"
    await crowd.say(callee, event("call:accept", {"callId": incoming["callId"]}))
    for party in (caller, callee):
        assert (await crowd.hear(party))[0] == "call:accepted"
    return str(incoming["callId"])


async def watch(server: Server, over: asyncio.Event) -> int:
    """Ask for health, again and again; how often it was answered."""
    answered = 0
    while not over.is_set():
        assert (await ask(server.port, "GET", "/livez")).status == 200
        answered += 1
    return answered


async def test_storm_of_reconnects(tmp_path: Path) -> None:
    settings = {**ATTACKED, "RECONNECT_GRACE_S": "60"}
    users = [f"storm-{number}" for number in range(CLIENTS)]
    with running_server(tmp_path, **settings) as server:
        async with healthy_call(server) as call, contextlib.AsyncExitStack() as stack:
            crowd = Crowd(server)
            stack.push_async_callback(crowd.vanish)
            await crowd.arrive(users)
            pairs = [(users[at], users[at + 1]) for at in range(0, 2 * CALLS, 2)]
            call_ids = [await call_each_other(crowd, *pair) for pair in pairs]
            over = asyncio.Event()
            watching = asyncio.create_task(watch(server, over))
            await crowd.vanish()
            told = await crowd.arrive(users)
            over.set()
            assert await watching >= 1

            async def all_are_counted_once() -> bool:
                metrics = await scrape(server)
                return metrics.sum("connections") == metrics.sum("users_online") == CLIENTS + OF_THE_CALL

            await until(all_are_counted_once, "everybody is here, once")
            for pair, call_id in zip(pairs, call_ids, strict=True):
                for user, peer in (pair, pair[::-1]):
                    found = told[user]["call"]
                    assert isinstance(found, dict)
                    assert (found["callId"], found["peer"]) == (call_id, peer)
            assert not any("call" in told[user] for user in users[2 * CALLS :])
            await call.whole_turn()
            for (caller, callee), call_id in zip(pairs, call_ids, strict=True):
                await crowd.say(caller, event("call:end", {"callId": call_id}))
                for party in (caller, callee):
                    await until_ended(crowd, party, {"callId": call_id, "by": caller, "code": "hangup"})


async def until_ended(crowd: Crowd, user: str, ended: dict[str, object]) -> None:
    """Skip what a party is told of the other's return."""
    while (heard := await crowd.hear(user)) != ("call:ended", ended):
        assert heard[0] in ("call:peer-reconnecting", "call:peer-reconnected"), heard
