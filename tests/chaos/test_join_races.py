"""Many sockets that join as the same user at once: one has the seat, the others are told, and nobody fights on."""

import asyncio
import json
from contextlib import AsyncExitStack

from tests.chaos.clients import event, guest
from tests.chaos.footprint import returned, settled
from tests.interop.conformance_clients import Client, receive
from tests.interop.raw_client import Closed
from tests.support.server import Server

SOCKETS = 50
ROUNDS = 20
"""1,000 joins in all."""


async def said(client: Client) -> list[str]:
    """What a socket hears, up to its end or to the answer to its last question."""
    heard: list[str] = []
    try:
        while not heard or "user:status" not in heard[-1]:
            heard.append(str(await receive(client)))
    except Closed:
        heard.append("closed")
    return heard


async def test_one_seat_after_a_thousand_joins(attacked: Server) -> None:
    before = await settled(attacked)
    for round_ in range(ROUNDS):
        user = f"wanted-{round_}"
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(guest(attacked)) for _ in range(SOCKETS)]
            ask = event("user:status", {"userId": user})
            await asyncio.gather(*(socket.send(event("user:join", {"userId": user}), ask) for socket in sockets))
            heard = await asyncio.gather(*map(said, sockets))
            alive = [each for each in heard if each[-1] != "closed"]
            left = [socket for socket, each in zip(sockets, heard, strict=True) if each[-1] != "closed"]
            ends = await asyncio.gather(*(_last_word(socket, user) for socket in left))
            assert ends.count("seated") == 1, "one of them has the seat"
            assert ends.count("41") + len(heard) - len(alive) == SOCKETS - 1, "all the others were told to go"
            for each in heard:
                if each[-1] == "closed":
                    assert "41" in each, "who was sent away was told so, and so does not connect again by itself"
    await returned(attacked, before)


async def _last_word(socket: Client, user: str) -> str:
    """Whether a socket still has its seat: it is told of itself, or was told to go."""
    try:
        await socket.send(event("user:status", {"userId": user}))
        answer = str(await receive(socket))
    except Closed:
        return "closed"
    if answer == "41":
        return "41"
    assert json.loads(answer.removeprefix("42"))[1]["isOnline"] is True
    return "seated"
