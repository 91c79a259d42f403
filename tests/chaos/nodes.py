"""What clients of several nodes say and hear while something is wrong with the nodes."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from tests.interop.raw_client import RawClient, emit, hear
from tests.support.redis import PATIENCE_S, RedisServer, eventually

BOUND_S = 2.0
"""Far more than the 0.5 s that a client may wait on Redis, far less than for ever."""

CANDIDATES = 20
LASTING = ("signalling:born", "signalling:epoch", "signalling:over:", "signalling:nodes")
"""What stays in Redis while nodes live, besides their inboxes; the ids of calls that are over for a minute."""

RETURNS = ("call:peer-reconnecting", "call:peer-reconnected")

User = tuple[RawClient, str]


async def answer(client: RawClient, event: str, payload: dict[str, object]) -> tuple[str, dict[str, Any]]:
    """What is heard next after an event, within the bound."""
    async with asyncio.timeout(BOUND_S):
        await emit(client, event, payload)
        return await hear(client)


async def node_of(redis: Redis, user: str) -> str:
    """The node on which a user is seated, as Redis has it."""
    (node,) = (name for field, name in (await redis.hgetall(f"signalling:user:{user}")).items() if field[:2] == "s:")
    return str(node)


async def ring(caller: RawClient, callee: RawClient, callee_id: str) -> None:
    """Place a call and end it: both hear of it."""
    event, told = await answer(caller, "call:initiate", {"to": callee_id, "callType": "audio"})
    assert event == "call:initiated"
    assert (await hear(callee))[0] == "call:incoming"
    await emit(caller, "call:end", {"callId": told["callId"]})
    for party in (caller, callee):
        assert (await hear(party))[0] == "call:ended"


async def answered(caller: User, callee: User) -> str:
    """Place a call and accept it; gives its id."""
    _, told = await answer(caller[0], "call:initiate", {"to": callee[1], "callType": "audio"})
    call_id = str(told["callId"])
    assert (await hear(callee[0]))[0] == "call:incoming"
    await emit(callee[0], "call:accept", {"callId": call_id, "from": caller[1]})
    for client, _ in (caller, callee):
        assert await hear(client) == ("call:accepted", {"callId": call_id, "by": callee[1]})
    return call_id


async def relay(sender: User, receiver: User) -> None:
    """Candidates get through within the bound, complete and in order."""
    for number in range(CANDIDATES):
        await emit(sender[0], "ice:candidate", {"candidate": {"n": number}, "to": receiver[1]})
    async with asyncio.timeout(BOUND_S):
        for number in range(CANDIDATES):
            while (heard := await hear(receiver[0]))[0] in RETURNS:
                pass
            assert heard == ("ice:candidate", {"candidate": {"n": number}, "from": sender[1]})


async def nothing_left(redis: RedisServer) -> None:
    """Wait until Redis holds nothing of users and calls, and nothing of nodes that have died."""

    async def left() -> set[str]:
        async with redis.client() as client:
            inboxes = [f"signalling:inbox:{node!s}" for node in await client.zrange("signalling:nodes", 0, -1)]
            return {key for key in map(str, await client.keys("*")) if not key.startswith((*LASTING, *inboxes))}

    async def is_empty() -> bool:
        return not await left()

    try:
        await eventually(is_empty, 2 * PATIENCE_S)
    except TimeoutError:
        raise AssertionError(f"left behind: {await left()}") from None
