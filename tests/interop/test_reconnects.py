"""Connections that are lost in a call and come back: what was relayed meanwhile is there, once and in order."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from service.domain.missed import MAX_MESSAGES
from tests.interop.client import Client, Heard
from tests.interop.js_client import Driver
from tests.interop.places import TwoNodes, two_nodes, urls_of
from tests.interop.script import all_hear, answered, ended, hear_nothing, refused, status
from tests.interop.stage import AT_ONCE, Stage, every_pair_at_once, some_pairs, stage
from tests.support.server import Server, running_server

OK = {"ok": True}
WATCHFUL = {"PING_INTERVAL_S": "1", "PING_TIMEOUT_S": "1"}
HASTY = {"RECONNECT_GRACE_S": "0.3"}


at_once = pytest.mark.parametrize("mode", AT_ONCE)


@pytest.fixture(scope="module")
def watchful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Misses a silent client within two seconds; the grace is the default."""
    with running_server(tmp_path_factory.mktemp("reconnects"), **WATCHFUL) as running:
        yield running


@pytest.fixture(scope="module")
def watchful_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    with two_nodes(tmp_path_factory.mktemp("reconnects-nodes"), **WATCHFUL) as running:
        yield running


@pytest.fixture
async def clients(
    request: pytest.FixtureRequest, driver: Driver, place: str, mode: str, pair: str
) -> AsyncIterator[Stage]:
    async with stage(driver, urls_of(request, place, "watchful", "watchful_nodes"), mode, pair) as opened:
        yield opened


@pytest.fixture(scope="module")
def short_grace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("grace"), **HASTY) as running:
        yield running


@pytest.fixture(scope="module")
def short_grace_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    with two_nodes(tmp_path_factory.mktemp("grace-nodes"), **HASTY) as running:
        yield running


@pytest.fixture
async def hasty_clients(
    request: pytest.FixtureRequest, driver: Driver, place: str, mode: str, pair: str
) -> AsyncIterator[Stage]:
    async with stage(driver, urls_of(request, place, "short_grace", "short_grace_nodes"), mode, pair) as opened:
        yield opened


async def lose(client: Client, peer: Client, call_id: str, user: str | None = None) -> None:
    """The client's connection is lost, and its peer hears of it. On polling only silence shows that."""
    if await client.transport() == "polling":
        client.fall_silent()
    else:
        client.close_engine()
    assert await peer.next() == ("call:peer-reconnecting", {"callId": call_id, "userId": user or client.name})


async def back(stage: Stage, lost: Client, peer: Client, call_id: str, role: str, missed: int = 0) -> Client:
    """A new connection on which the user of a lost one has joined and has found the call."""
    again = await stage.connect("again")
    again.emit("user:join", {"userId": lost.name})
    call = {"callId": call_id, "callType": "video", "role": role, "peer": peer.name, "state": "connecting"}
    told = {**call, "missed": missed} if missed else call
    joined: dict[str, Any] = {"userId": lost.name, "socketId": again.sid, "iceServers": [], "call": told}
    assert await again.next() == ("user:joined", joined)
    return again


async def hears_back(peer: Client, lost: Client, call_id: str) -> None:
    """The peer hears that the lost party is there again."""
    assert await peer.next() == ("call:peer-reconnected", {"callId": call_id, "userId": lost.name})


async def send(sender: Client, receiver: Client, *numbers: int) -> None:
    """Send numbered candidates, each of which is taken."""
    for number in numbers:
        assert await sender.ask("ice:candidate", {"candidate": {"number": number}, "to": receiver.name}) == OK


async def get(client: Client, sender: Client, *numbers: int) -> None:
    """Hear numbered candidates, and nothing in between."""
    for number in numbers:
        heard: Heard = ("ice:candidate", {"candidate": {"number": number}, "from": sender.name})
        assert await client.next() == heard


@some_pairs
@pytest.mark.parametrize("who", [0, 1], ids=["caller", "callee"])
async def test_what_is_relayed_meanwhile_arrives_after_the_join_in_order(clients: Stage, who: int) -> None:
    pair = await clients.join("alice", "bob")
    leaver, stayer = pair[who], pair[1 - who]
    call_id = await answered(pair[0], pair[1])
    await lose(leaver, stayer, call_id)
    offer = {"type": "offer", "sdp": "a=\u00e9\r\n" * 1000}
    answer = {"type": "answer", "sdp": "x"}
    assert await stayer.ask("call:offer", {"offer": offer, "to": leaver.name, "callType": "video"}) == OK
    await send(stayer, leaver, *range(20))
    assert await stayer.ask("call:answer", {"answer": answer, "to": leaver.name}) == OK
    again = await back(clients, leaver, stayer, call_id, ("caller", "callee")[who])
    assert await again.next() == ("call:offer", {"offer": offer, "from": stayer.name, "callType": "video"})
    await get(again, stayer, *range(20))
    assert await again.next() == ("call:answer", {"answer": answer, "from": stayer.name})
    await hears_back(stayer, leaver, call_id)
    await send(again, stayer, 20)
    await get(stayer, leaver, 20)
    await send(stayer, leaver, 21)
    await get(again, stayer, 21)
    again.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, leaver, "hangup"), again, stayer)
    await hear_nothing(again, stayer)


@every_pair_at_once
async def test_a_party_that_is_lost_twice(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await answered(alice, bob)
    await lose(bob, alice, call_id)
    await send(alice, bob, 1)
    second = await back(clients, bob, alice, call_id, "callee")
    await get(second, alice, 1)
    await hears_back(alice, bob, call_id)
    await lose(second, alice, call_id, user=bob.name)
    await send(alice, bob, 2, 3)
    third = await back(clients, bob, alice, call_id, "callee")
    await get(third, alice, 2, 3)
    await hears_back(alice, bob, call_id)
    await hear_nothing(alice, third)


@at_once
async def test_both_are_lost(clients: Stage) -> None:
    alice, bob, onlooker = await clients.join("alice", "bob", "onlooker")
    call_id = await answered(alice, bob)
    await lose(bob, alice, call_id)
    await send(alice, bob, 1)
    alice.close_engine()
    while await status(onlooker, alice.name) != (False, True):
        pass
    bob_again = await back(clients, bob, alice, call_id, "callee")
    await get(bob_again, alice, 1)
    await send(bob_again, alice, 2)
    alice_again = await back(clients, alice, bob, call_id, "caller")
    await get(alice_again, bob, 2)
    await hears_back(bob_again, alice, call_id)
    alice_again.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, alice, "hangup"), alice_again, bob_again)


@at_once
async def test_more_than_can_be_kept(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await answered(alice, bob)
    await lose(bob, alice, call_id)
    await send(alice, bob, *range(MAX_MESSAGES))
    for _ in range(2):
        alice.emit("ice:candidate", {"candidate": {"number": -1}, "to": bob.name})
        assert await alice.next() == refused("ice:candidate", "Receiver not found", "receiver_not_found")
    again = await back(clients, bob, alice, call_id, "callee", missed=2)
    await get(again, alice, *range(MAX_MESSAGES))
    await hears_back(alice, bob, call_id)
    await send(alice, bob, MAX_MESSAGES)
    await get(again, alice, MAX_MESSAGES)
    await hear_nothing(alice, again)


@at_once
async def test_another_device_takes_over_and_gets_nothing_twice(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await answered(alice, bob)
    await lose(bob, alice, call_id)
    await send(alice, bob, 1)
    phone = await back(clients, bob, alice, call_id, "callee")
    await get(phone, alice, 1)
    await hears_back(alice, bob, call_id)
    laptop = await back(clients, bob, alice, call_id, "callee")
    assert await phone.next() == ended(call_id, bob, "replaced", "Continued on another connection")
    await send(alice, bob, 2)
    await get(laptop, alice, 2)
    await hear_nothing(alice, laptop)


@every_pair_at_once
async def test_nobody_comes_back_in_time(hasty_clients: Stage) -> None:
    alice, bob = await hasty_clients.join("alice", "bob")
    call_id = await answered(alice, bob)
    await lose(bob, alice, call_id)
    assert await alice.next() == ended(call_id, bob, "connection_lost", "User disconnected")
    late = await hasty_clients.connect("late")
    late.emit("user:join", {"userId": bob.name})
    assert await late.next() == ("user:joined", {"userId": bob.name, "socketId": late.sid, "iceServers": []})
    await hear_nothing(alice, late)
