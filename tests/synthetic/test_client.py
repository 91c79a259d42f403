import asyncio
import re

import aiohttp
import pytest
from engineio import base_client

from synthetic.client import CallOverError, Client, GoneError, MissingError, RefusedError
from synthetic.probe import probe
from synthetic.together import together
from tests.support.server import Server

TIMEOUT_S = 5.0
TRANSPORTS = pytest.mark.parametrize(
    "transports", [("websocket",), ("polling",), ("polling", "websocket")], ids=["websocket", "polling", "upgrade"]
)


async def joined(server: Server, user: str, transports: tuple[str, ...] = ("websocket",)) -> Client:
    client = Client(server.url, user, transports)
    await client.connect(TIMEOUT_S)
    await client.join(TIMEOUT_S)
    return client


async def ringing(server: Server, name: str) -> tuple[Client, Client]:
    caller, callee = await joined(server, f"{name}-a"), await joined(server, f"{name}-b")
    await caller.request("call:initiate", {"to": callee.user, "callType": "audio"}, TIMEOUT_S)
    await callee.expect("call:incoming", timeout_s=TIMEOUT_S)
    return caller, callee


@TRANSPORTS
async def test_nothing_is_left_of_a_connection(quick_server: Server, transports: tuple[str, ...]) -> None:
    for _ in range(3):
        await (await joined(quick_server, "leaver", transports)).say_goodbye()
        await (await joined(quick_server, "loser", transports)).cut()
    assert (await probe(quick_server.url, TIMEOUT_S)).failed_step is None
    async with asyncio.timeout(TIMEOUT_S):
        while base_client.connected_clients or len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0.01)


@TRANSPORTS
async def test_a_goodbye_ends_the_call_at_once(quick_server: Server, transports: tuple[str, ...]) -> None:
    caller, callee = await joined(quick_server, "bye-a"), await joined(quick_server, "bye-b", transports)
    await caller.request("call:initiate", {"to": "bye-b", "callType": "audio"}, TIMEOUT_S)
    await callee.say_goodbye()
    assert (await caller.expect("call:ended", timeout_s=TIMEOUT_S)).data["code"] == "connection_lost"
    assert caller.call_id is None
    await caller.say_goodbye()


async def goodbyes(server: Server) -> float:
    async with aiohttp.ClientSession() as http, http.get(server.metrics_url) as answer:
        (counted,) = re.findall(r'(?m)^signalling_disconnects_total\{reason="goodbye"\} (\S+)$', await answer.text())
    return float(counted)


@TRANSPORTS
async def test_a_goodbye_arrives_as_one(quick_server: Server, transports: tuple[str, ...]) -> None:
    before = await goodbyes(quick_server)
    for number in range(5):
        await (await joined(quick_server, f"polite-{number}", transports)).say_goodbye()
    async with asyncio.timeout(TIMEOUT_S):
        while await goodbyes(quick_server) < before + 5:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


async def test_refusals_are_raised_and_counted_once(quick_server: Server) -> None:
    codes: list[str] = []
    client = Client(quick_server.url, "refused", ("websocket",), on_error=codes.append)
    await client.connect(TIMEOUT_S)
    with pytest.raises(RefusedError, match=r"call:initiate \(not_joined\)"):
        await client.request("call:initiate", {"to": "x", "callType": "audio"}, TIMEOUT_S)
    assert codes == ["not_joined"]
    await client.say_goodbye()


async def test_what_does_not_come_is_missed(quick_server: Server) -> None:
    client = await joined(quick_server, "patient")
    with pytest.raises(MissingError, match=r"no call:incoming or call:offer within 0\.05 s"):
        await client.expect("call:incoming", "call:offer", timeout_s=0.05)
    await client.say_goodbye()


async def test_an_early_end_is_told_to_whoever_waits(quick_server: Server) -> None:
    caller, callee = await ringing(quick_server, "early")
    waiting = asyncio.ensure_future(caller.expect("call:accepted", timeout_s=TIMEOUT_S))
    await callee.request("call:reject", {"callId": callee.call_id}, TIMEOUT_S)
    with pytest.raises(CallOverError) as over:
        await waiting
    assert over.value.code == "rejected"
    await together(caller.say_goodbye(), callee.say_goodbye())


async def test_a_lost_connection_is_told_to_whoever_waits(quick_server: Server) -> None:
    gone: list[Client] = []
    client = Client(quick_server.url, "replaced", ("websocket",), on_gone=gone.append)
    await client.connect(TIMEOUT_S)
    await client.join(TIMEOUT_S)
    waiting = asyncio.ensure_future(client.expect("call:incoming", timeout_s=TIMEOUT_S))
    successor = await joined(quick_server, "replaced")
    with pytest.raises(GoneError):
        await waiting
    with pytest.raises(GoneError):
        await client.request("user:status", {"userId": "x"}, TIMEOUT_S)
    assert gone == [client]
    await client.cut()
    await successor.say_goodbye()


async def test_who_joins_again_ends_the_call_that_was_left_behind(quick_server: Server) -> None:
    caller, callee = await ringing(quick_server, "behind")
    again = await joined(quick_server, caller.user)
    assert (await callee.expect("call:ended", timeout_s=TIMEOUT_S)).data["code"] == "cancelled"
    assert again.call_id is None
    await together(caller.say_goodbye(), callee.say_goodbye(), again.say_goodbye())


async def test_the_first_failure_ends_the_other_steps() -> None:
    ended: list[str] = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise MissingError("first")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waits")

    with pytest.raises(MissingError, match="first"):
        await together(waits(), fails())
    assert ended == ["waits"]
