"""Everything at once: a slow consumer, fifty attackers and a flood, and a call that does not notice."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from tests.chaos.clients import POLLING, called, event, guest, member, stranger
from tests.chaos.footprint import counted
from tests.chaos.healthy import healthy_call
from tests.interop.conformance_clients import NEVER_A_SID, SOCKET, Socket, kept_alive, target
from tests.interop.conformance_frames import CONTINUATION, TEXT, Refused, ask, connected, frame, reply, request
from tests.interop.raw_client import Closed
from tests.support.server import Server, running_server

ATTACKERS = 50
TURNS_UNDER_ATTACK = 10
SEED = 20_252
SETTINGS = {"RECONNECT_GRACE_S": "0", "LIMIT_CONNECTS": "60/1s", "MAX_OUTGOING_BYTES": "65536", "JOIN_TIMEOUT_S": "2"}
"""All limits are on: what they keep away is a part of what is tested."""

Attack = Callable[[Server], Awaitable[None]]


async def flood(server: Server) -> None:
    """Handshakes that nothing follows."""
    await ask(server.port, "GET", POLLING)


async def bomb(server: Server) -> None:
    """A large body for nobody."""
    unknown = target(SOCKET, transport="polling", sid=NEVER_A_SID)
    async with connected(server.port) as wire:
        await wire.write(request("POST", unknown, headers={"Content-Length": "95000000"}) + b"x" * 100_000)
        await reply(wire, "POST")


async def garble(server: Server) -> None:
    """A packet that is none."""
    async with stranger(server) as client:
        await client.send('42["user:status",{]')
        with contextlib.suppress(Closed):
            await client.next()


async def splinter(server: Server) -> None:
    """A message in more fragments than anybody needs."""
    async with guest(server) as client:
        assert isinstance(client, Socket)
        await client.frames.send(frame(TEXT, b"4", fin=False), frame(CONTINUATION, b"x", fin=False) * 2000)
        with contextlib.suppress(Closed):
            await client.next()


async def chatter(server: Server) -> None:
    """More events than one socket may send."""
    async with member(server) as (client, _):
        await client.send(*[event("call:initiate", {"to": "nobody", "callType": "audio"})] * 600)
        with contextlib.suppress(Closed):
            for _ in range(600):
                await client.next()


ATTACKS: list[Attack] = [flood, bomb, garble, splinter, chatter]


async def attack(server: Server, number: int, over: asyncio.Event) -> int:
    """One attack after the other; how many came to their end. Being turned away is one."""
    chance = random.Random(f"{SEED}-{number}")
    for done in itertools.count():
        if over.is_set():
            return done
        with contextlib.suppress(Closed, Refused):
            await chance.choice(ATTACKS)(server)
    raise AssertionError


@contextlib.asynccontextmanager
async def starving(server: Server) -> AsyncIterator["asyncio.Task[None]"]:
    """A party that does not read, and its peer, who sends until it is told that the other is gone."""
    async with member(server) as (talker, _), member(server) as (victim, victim_id):
        await called(talker, victim, victim_id)

        async def talk() -> None:
            async with kept_alive(talker) as heard:
                said = "430["
                while said.startswith("430["):
                    await talker.send(f'420["ice:candidate",{{"candidate":"{"x" * 200_000}","to":"{victim_id}"}}]')
                    said = str(await heard.get())
                assert said.startswith('42["call:ended",')

        yield asyncio.create_task(talk())


async def test_healthy_call_does_not_notice(tmp_path: Path) -> None:
    with running_server(tmp_path, **SETTINGS) as server:
        async with healthy_call(server) as call, starving(server) as until_given_up:
            over = asyncio.Event()
            attackers = [asyncio.create_task(attack(server, number, over)) for number in range(ATTACKERS)]
            await until_given_up
            for _ in range(TURNS_UNDER_ATTACK):
                await call.whole_turn()
            over.set()
            assert sum(await asyncio.gather(*attackers)) > ATTACKERS
            await counted(server, 1, "disconnects_total", reason="slow_consumer")
            await counted(server, 1, "connects_total", result="rate_limited")
