"""Clients whose process stands still: their sockets stay open, the system acknowledges for them, nobody answers."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from tests.chaos.clients import event, member
from tests.chaos.footprint import counted, scrape
from tests.chaos.healthy import healthy_call
from tests.interop.conformance_clients import receive
from tests.support.needs import ROOT
from tests.support.server import Server

PING_TIMEOUT = 4010


@contextlib.asynccontextmanager
async def frozen_client(server: Server, transport: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "tests.chaos.frozen_client", str(server.port), transport]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().strip()


@pytest.mark.parametrize("transport", ["websocket", "polling", "upgraded"])
async def test_peer_of_a_frozen_client_is_told(impatient: Server, transport: str) -> None:
    lost = (await scrape(impatient)).sum("disconnects_total", reason="ping_timeout")
    async with (
        healthy_call(impatient) as call,
        frozen_client(impatient, transport) as frozen,
        member(impatient) as (alice, _),
    ):
        bob_id = await line_of(frozen)
        await alice.send(event("call:initiate", {"to": bob_id, "callType": "video"}))
        call_id = json.loads(str(await receive(alice)).removeprefix("42"))[1]["callId"]
        assert str(await receive(alice)).startswith('42["call:accepted",')
        assert await line_of(frozen) == "accepted"
        frozen.send_signal(signal.SIGSTOP)
        told = json.loads(str(await receive(alice)).removeprefix("42"))
        ended = {"by": bob_id, "code": "connection_lost", "reason": "User disconnected"}
        assert told == ["call:ended", {"callId": call_id, **ended}]
        await counted(impatient, lost + 1, "disconnects_total", reason="ping_timeout")
        assert (await scrape(impatient)).sum("users_online") == 3
        assert (await scrape(impatient)).sum("calls") == 1
        await call.whole_turn()
        frozen.send_signal(signal.SIGCONT)
        assert await line_of(frozen) == str(0 if transport == "polling" else PING_TIMEOUT)
