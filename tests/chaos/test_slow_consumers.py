"""Clients that are sent more than they read: the server gives them up, not its memory."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.clients import called, member
from tests.chaos.conftest import ATTACKED
from tests.chaos.footprint import counted, resident_bytes, scrape
from tests.chaos.healthy import healthy_call
from tests.interop.conformance_clients import Client, Polling, Socket, kept_alive, packets_of
from tests.interop.conformance_frames import CLOSE
from tests.support.server import Server, running_server

SLOW_CONSUMER = 4008
MAX_OUTGOING = 65_536
MEMORY = 8_000_000
"""What a slow consumer may cost at the most, whatever it is sent."""
PIECE = "x" * 200_000
SENT_AT_MOST = 500
"""Pieces; the system's own buffers take some megabytes before the server's begin to fill."""
GIVEN_UP_S = 5.0


@contextlib.asynccontextmanager
async def server_with_little_room(directory: Path) -> AsyncIterator[Server]:
    with running_server(directory, **ATTACKED, MAX_OUTGOING_BYTES=str(MAX_OUTGOING)) as server:
        yield server


async def talk_until_told(talker: Client, heard: "asyncio.Queue[str | bytes]", victim_id: str) -> list[object]:
    """Relay large pieces, each when the one before has passed, until the server says something else: what it says."""
    for number in range(SENT_AT_MOST):
        name = "call:offer" if number % 2 else "ice:candidate"
        relay = json.dumps([name, {name.partition(":")[2]: PIECE, "to": victim_id}])
        await talker.send(f"42{number}{relay}")
        answer = str(await heard.get())
        if not answer.startswith(f"43{number}["):
            return list(json.loads(answer.removeprefix("42")))
    raise AssertionError("the server buffers without a limit")


@pytest.mark.parametrize("reads_again", [True, False])
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_slow_consumer_is_given_up(tmp_path: Path, transport: str, reads_again: bool) -> None:
    async with server_with_little_room(tmp_path) as server, healthy_call(server) as call:
        before = resident_bytes(server)
        async with member(server) as (talker, _), member(server, transport) as (victim, victim_id):
            call_id = await called(talker, victim, victim_id)
            async with kept_alive(talker) as heard:
                told = await talk_until_told(talker, heard, victim_id)
                ended = {"by": victim_id, "code": "connection_lost", "reason": "User disconnected"}
                assert told == ["call:ended", {"callId": call_id, **ended}]
                assert resident_bytes(server) - before < MEMORY
                if reads_again:
                    await check_end(victim)
                async with asyncio.timeout(GIVEN_UP_S):
                    await counted(server, 1, "disconnects_total", reason="slow_consumer")
                assert (await scrape(server)).sum("outbound_dropped_total", reason="slow_consumer") >= 1
                assert (await scrape(server)).sum("connections") == 3
                assert (await scrape(server)).sum("users_online") == 3
                await call.whole_turn()


async def check_end(victim: Client) -> None:
    """Who reads again finds out why it is over, after what had been on its way."""
    if isinstance(victim, Polling):
        answer = await victim.poll()
        assert (answer.status, packets_of(answer.body)) == (200, ["1"])
        assert (await victim.poll()).status == 400
        return
    assert isinstance(victim, Socket)
    while (last := await victim.frames.receive()).opcode != CLOSE:
        assert PIECE.encode() in last.payload
    assert int.from_bytes(last.payload[:2]) == SLOW_CONSUMER
