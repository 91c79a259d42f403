"""Handshakes without end, connections without purpose, and addresses that are claimed."""

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.chaos.clients import POLLING, WEBSOCKET, event, guest, member, stranger
from tests.chaos.conftest import ATTACKED
from tests.chaos.footprint import counted, scrape, until
from tests.chaos.healthy import healthy_call
from tests.interop.conformance_clients import Client, Polling, Socket, kept_alive, receive
from tests.interop.conformance_frames import CLOSE, Reply, connected, frame, reply, request, websocket
from tests.interop.raw_client import Closed
from tests.support.server import Server, running_server

BURST = 30
"""Handshakes in a second that `30/1s` allows."""
FLOOD = 200
FULL_RETRY_S = "10"
POLICY = 1008
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ADDRESSES = {"polling": POLLING, "websocket": WEBSOCKET}


async def knock(server: Server, transport: str, forwarded: str | None = None) -> Reply:
    """One handshake. A websocket that is accepted says goodbye, so that its answer ends like any other."""
    headers = dict(HANDSHAKE) if transport == "websocket" else {}
    if forwarded is not None:
        headers["X-Forwarded-For"] = forwarded
    async with connected(server.port) as wire:
        await wire.write(request("GET", ADDRESSES[transport], headers=headers))
        if transport == "websocket":
            await wire.write(frame(CLOSE))
        return await reply(wire)


def check_turned_away(answer: Reply, status: int, code: str) -> None:
    assert answer.status == status
    assert json.loads(answer.body)["code"] == code
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_flood_of_handshakes_is_answered_429(tmp_path: Path, transport: str) -> None:
    settings = {**ATTACKED, "LIMIT_CONNECTS": f"{BURST}/1s", "JOIN_TIMEOUT_S": "1"}
    with running_server(tmp_path, **settings) as server:
        async with healthy_call(server):
            began = time.monotonic()
            answers = await asyncio.gather(*(knock(server, transport) for _ in range(FLOOD)))
            allowed = BURST * (1 + time.monotonic() - began)
            refused = [answer for answer in answers if answer.status == 429]
            for answer in refused:
                check_turned_away(answer, 429, "rate_limited")
            assert {answer.status for answer in answers} == {429, 200 if transport == "polling" else 101}
            assert len(answers) - len(refused) <= allowed
            told = (await scrape(server)).sum("connects_total", result="rate_limited", transport=transport)
            assert told == len(refused)

            async def is_let_in() -> bool:
                return (await knock(server, transport)).status != 429

            await until(is_let_in, "who waits is let in again")


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_full_server_answers_503(tmp_path: Path, transport: str) -> None:
    with running_server(tmp_path, **ATTACKED, MAX_CONNECTIONS="10", JOIN_TIMEOUT_S="0") as server:
        async with healthy_call(server), contextlib.AsyncExitStack() as held:
            for _ in range(8):
                await held.enter_async_context(stranger(server, transport))
            for _ in range(FLOOD):
                answer = await knock(server, transport)
                check_turned_away(answer, 503, "server_full")
                assert answer.headers["Retry-After"] == FULL_RETRY_S
            await held.aclose()

            async def has_room() -> bool:
                return (await knock(server, "websocket")).status == 101

            await until(has_room, "there is room again")
            told = (await scrape(server)).sum("connects_total", result="server_full", transport=transport)
            assert told >= FLOOD


PER_ADDRESS = 5
OF_THE_CALL = 2
"""The healthy call's two connections, which come from 127.0.0.1 without any proxy."""


@pytest.mark.parametrize(
    ("proxies", "mine", "others"),
    [
        (0, ["1.1.1.1", "2.2.2.2", "127.0.0.9", "x"], []),
        (1, ["9.9.9.9", "1.1.1.1, 9.9.9.9", "9.9.9.8,\t9.9.9.9", "2.2.2.2, 3.3.3.3, 9.9.9.9"], ["9.9.9.9, 1.1.1.1"]),
        (2, ["9.9.9.9, 5.5.5.5", "1.1.1.1, 9.9.9.9, 6.6.6.6", ",,9.9.9.9, 5.5.5.5"], ["9.9.9.9, 1.1.1.1, 5.5.5.5"]),
    ],
)
async def test_claimed_addresses_do_not_help(tmp_path: Path, proxies: int, mine: list[str], others: list[str]) -> None:
    settings = {"MAX_CONNECTIONS_PER_ADDRESS": str(PER_ADDRESS), "TRUSTED_PROXIES": str(proxies)}
    with running_server(tmp_path, **ATTACKED, **settings) as server:
        async with healthy_call(server), contextlib.AsyncExitStack() as held:
            for at in range(PER_ADDRESS - (0 if proxies else OF_THE_CALL)):
                await held.enter_async_context(from_address(server, mine[at % len(mine)]))
            for claimed in mine:
                for transport in ADDRESSES:
                    check_turned_away(await knock(server, transport, claimed), 429, "too_many_connections")
            for other in others:
                await held.enter_async_context(from_address(server, other))


def from_address(server: Server, forwarded: str) -> contextlib.AbstractAsyncContextManager[object]:
    headers: Mapping[str, str] = {"X-Forwarded-For": forwarded}
    return websocket(server.port, WEBSOCKET, headers)


IDLERS = 20


async def end_of_idler(client: Client) -> int:
    """Answer pings and say nothing else, until the server closes; the status or code with which it does."""
    if isinstance(client, Polling):
        with contextlib.suppress(Closed):
            raise AssertionError(await receive(client))
        return (await client.poll()).status
    assert isinstance(client, Socket)
    while (got := await client.frames.receive()).opcode != CLOSE:
        assert got.payload == b"2", got
        await client.send("3")
    await client.frames.send(frame(CLOSE, got.payload))
    assert await client.frames.wire.read_to_end() == b""
    return int.from_bytes(got.payload[:2])


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("connects", [False, True], ids=["never CONNECT", "never join"])
async def test_idlers_are_gone_and_members_stay(impatient: Server, transport: str, connects: bool) -> None:
    before = (await scrape(impatient)).sum("connects_total", result="abandoned")
    closed = (await scrape(impatient)).sum("disconnects_total", reason="idle")
    async with healthy_call(impatient), contextlib.AsyncExitStack() as stack:
        here, _ = await stack.enter_async_context(member(impatient, transport))
        heard = await stack.enter_async_context(kept_alive(here))
        idle = guest if connects else stranger
        clients = [await stack.enter_async_context(idle(impatient, transport)) for _ in range(IDLERS)]
        codes = await asyncio.gather(*map(end_of_idler, clients))
        assert set(codes) == {400 if transport == "polling" else POLICY}
        await here.send(event("user:status", {"userId": "nobody"}))
        async with asyncio.timeout(10):
            assert str(await heard.get()).startswith('42["user:status",')
    if connects:
        await counted(impatient, closed + IDLERS, "disconnects_total", reason="idle")
    else:
        await counted(impatient, before + IDLERS, "connects_total", result="abandoned")
