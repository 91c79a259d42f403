"""Code written for the original server, on official clients, in every mode of transport: the way of a call."""

import asyncio
import itertools
from collections.abc import Callable
from operator import methodcaller

import pytest

from tests.interop.client import Client
from tests.interop.js_client import JsClient
from tests.interop.py_client import PyClient
from tests.interop.script import all_hear, answered, ended, hear_nothing, rejected, ring, status
from tests.interop.stage import Stage, every_pair, some_pairs

OFFER = {"type": "offer", "sdp": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n"}
ANSWER = {"type": "answer", "sdp": "v=0\r\n"}
CANDIDATE = {"candidate": "candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
UNICODE = (
    "\U0001f44b\U0001f3fd e\u0301 \u05e9\u05dc\u05d5\u05dd \u202e\u2028\u2029 \U00020000 \\ \" ' </script> \u0000 \x1e"
)


@every_pair
async def test_clients_and_transports_are_those_of_the_case(clients: Stage, pair: str, mode: str) -> None:
    ways = {"websocket": "websocket", "polling": "polling", "upgrade": "websocket"}
    libraries: dict[str, type[Client]] = {"js": JsClient, "py": PyClient}
    for library, way in zip(pair.split("-"), itertools.cycle(mode.split("+"))):
        client = await clients.connect("alice")
        assert isinstance(client, libraries[library])
        assert await client.transport() == ways[way]
        await client.fence()


@every_pair
async def test_whole_call(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await answered(alice, bob)
    alice.emit("call:offer", {"offer": OFFER, "from": alice.name, "to": bob.name, "callType": "video"})
    assert await bob.next() == ("call:offer", {"offer": OFFER, "from": alice.name, "callType": "video"})
    bob.emit("call:answer", {"answer": ANSWER, "from": bob.name, "to": alice.name})
    assert await alice.next() == ("call:answer", {"answer": ANSWER, "from": bob.name})
    for sender, receiver in ((alice, bob), (bob, alice)):
        for candidate in (CANDIDATE, None):
            sender.emit("ice:candidate", {"candidate": candidate, "from": sender.name, "to": receiver.name})
            assert await receiver.next() == ("ice:candidate", {"candidate": candidate, "from": sender.name})
    bob.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, bob, "hangup"), alice, bob)
    assert await status(alice, bob.name) == (True, False)
    await hear_nothing(alice, bob)


async def test_join_answers_with_the_socket_id(clients: Stage) -> None:
    alice = await clients.connect("alice")
    alice.emit("user:join", {"userId": alice.name})
    assert await alice.next() == ("user:joined", {"userId": alice.name, "socketId": alice.sid, "iceServers": []})
    alice.emit("user:join", {"userId": alice.name})
    assert await alice.next() == ("user:joined", {"userId": alice.name, "socketId": alice.sid, "iceServers": []})
    await alice.fence()


async def test_status_of_a_user_through_his_life(clients: Stage) -> None:
    stranger = await clients.connect("stranger")
    bob = await clients.connect("bob")
    assert await status(stranger, bob.name) == (False, False)
    bob.emit("user:join", {"userId": bob.name})
    await bob.next()
    assert await status(stranger, bob.name) == (True, False)
    (alice,) = await clients.join("alice")
    call_id = await ring(alice, bob)
    assert await status(stranger, bob.name) == (True, True)
    assert await status(stranger, alice.name) == (True, True)
    bob.emit("call:reject", {"callId": call_id, "from": alice.name})
    await all_hear(rejected(call_id, bob, "rejected"), alice, bob)
    assert await status(stranger, bob.name) == (True, False)
    bob.disconnect()
    assert await bob.next() == ("disconnect", "io client disconnect")
    async with asyncio.timeout(5):
        while await status(stranger, bob.name) != (False, False):
            pass


@pytest.mark.parametrize("call_type", ["audio", "video"])
async def test_call_type_reaches_the_callee(clients: Stage, call_type: str) -> None:
    alice, bob = await clients.join("alice", "bob")
    await ring(alice, bob, call_type)
    alice.emit("call:offer", {"offer": OFFER, "to": bob.name})
    assert await bob.next() == ("call:offer", {"offer": OFFER, "from": alice.name, "callType": call_type})


async def test_call_type_of_an_offer_is_the_senders(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    await ring(alice, bob, "audio")
    alice.emit("call:offer", {"offer": OFFER, "from": alice.name, "to": bob.name, "callType": "video"})
    assert await bob.next() == ("call:offer", {"offer": OFFER, "from": alice.name, "callType": "video"})


@every_pair
async def test_reject(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    bob.emit("call:reject", {"callId": call_id, "from": alice.name})
    await all_hear(rejected(call_id, bob, "rejected"), alice, bob)
    assert await status(alice, alice.name) == (True, False)
    await hear_nothing(alice, bob)


async def test_reject_as_busy(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    bob.emit("call:reject", {"callId": call_id, "from": alice.name, "code": "busy"})
    await all_hear(rejected(call_id, bob, "busy", "Busy"), alice, bob)


async def test_cancel_while_it_rings(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    alice.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, alice, "cancelled"), alice, bob)


async def test_callee_hangs_up_while_it_rings(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    bob.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, bob, "rejected"), alice, bob)


@pytest.mark.parametrize("who", [0, 1])
async def test_end_because_no_media_came_about(clients: Stage, who: int) -> None:
    pair = alice, bob = await clients.join("alice", "bob")
    call_id = await answered(alice, bob)
    pair[who].emit("call:end", {"callId": call_id, "code": "failed"})
    await all_hear(ended(call_id, pair[who], "failed", "Connection failed"), alice, bob)


async def test_connected_is_confirmed_by_the_acknowledgement_alone(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await answered(alice, bob)
    for party in (alice, bob, alice):
        assert await party.ask("call:connected", {"callId": call_id}) == {"ok": True}
    await hear_nothing(alice, bob)
    phone = await clients.connect("phone")
    phone.emit("user:join", {"userId": bob.name})
    event, joined = await phone.next()
    assert event == "user:joined"
    assert joined["call"]["state"] == "connected"


@some_pairs
async def test_nobody_answers(impatient_clients: Stage) -> None:
    alice, bob = await impatient_clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    await all_hear(rejected(call_id, bob, "no_answer", "No answer"), alice, bob)
    assert await status(alice, bob.name) == (True, False)
    assert await status(bob, alice.name) == (True, False)


async def test_an_answered_call_rings_no_more(impatient_clients: Stage) -> None:
    alice, bob, carol, dave = await impatient_clients.join("alice", "bob", "carol", "dave")
    await answered(alice, bob)
    later = await ring(carol, dave)
    await all_hear(rejected(later, dave, "no_answer", "No answer"), carol, dave)
    await hear_nothing(alice, bob)


@some_pairs
@pytest.mark.parametrize("who", [0, 1], ids=["caller", "callee"])
@pytest.mark.parametrize("leave", [methodcaller("disconnect"), methodcaller("close_engine")], ids=["goodbye", "engine"])
async def test_a_party_leaves_a_call(impatient_clients: Stage, who: int, leave: Callable[[Client], None]) -> None:
    pair = await impatient_clients.join("alice", "bob")
    leaver, stayer = pair[who], pair[1 - who]
    call_id = await answered(pair[0], pair[1])
    leave(leaver)
    assert await stayer.next() == ended(call_id, leaver, "connection_lost", "User disconnected")
    assert await status(stayer, stayer.name) == (True, False)
    assert await status(stayer, leaver.name) == (False, False)
    await stayer.fence()


@pytest.mark.parametrize("who", [0, 1], ids=["caller", "callee"])
async def test_a_party_leaves_while_it_rings(clients: Stage, who: int) -> None:
    pair = await clients.join("alice", "bob")
    leaver, stayer = pair[who], pair[1 - who]
    call_id = await ring(pair[0], pair[1])
    leaver.disconnect()
    assert await stayer.next() == ended(call_id, leaver, "connection_lost", "User disconnected")
    await stayer.fence()


async def test_a_user_who_leaves_outside_of_a_call_disturbs_nobody(clients: Stage) -> None:
    alice, bob, carol = await clients.join("alice", "bob", "carol")
    await answered(alice, bob)
    carol.disconnect()
    assert await carol.next() == ("disconnect", "io client disconnect")
    await hear_nothing(alice, bob)


@every_pair
async def test_many_candidates_follow_a_large_offer_in_order(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    await ring(alice, bob)
    offer = {"type": "offer", "sdp": "a=candidate \u00e9\r\n" * 6000}
    assert len(offer["sdp"]) >= 90_000
    alice.emit("call:offer", {"offer": offer, "from": alice.name, "to": bob.name, "callType": "video"})
    for number in range(200):
        candidate = {**CANDIDATE, "number": number}
        alice.emit("ice:candidate", {"candidate": candidate, "from": alice.name, "to": bob.name})
    assert await bob.next() == ("call:offer", {"offer": offer, "from": alice.name, "callType": "video"})
    for number in range(200):
        assert await bob.next() == ("ice:candidate", {"candidate": {**CANDIDATE, "number": number}, "from": alice.name})
    await hear_nothing(alice, bob)


async def test_events_during_the_upgrade_keep_their_order(clients: Stage) -> None:
    (alice,) = await clients.join("alice")
    carol = await clients.connect("carol", "upgrade", waitForUpgrade=False)
    carol.emit("user:join", {"userId": carol.name})
    assert await carol.next() == ("user:joined", {"userId": carol.name, "socketId": carol.sid, "iceServers": []})
    await ring(alice, carol)
    for number in range(50):
        alice.emit("ice:candidate", {"candidate": number, "to": carol.name})
        carol.emit("ice:candidate", {"candidate": number, "to": alice.name})
    for number in range(50):
        assert await carol.next() == ("ice:candidate", {"candidate": number, "from": alice.name})
        assert await alice.next() == ("ice:candidate", {"candidate": number, "from": carol.name})
    await hear_nothing(alice, carol)


@some_pairs
async def test_unicode_arrives_unchanged(clients: Stage) -> None:
    alice, bob = await clients.connect("alice"), await clients.connect("bob")
    caller, callee = f"{UNICODE} {alice.name}", f"{UNICODE} {bob.name}"
    for client, user in ((alice, caller), (bob, callee)):
        client.emit("user:join", {"userId": user})
        assert await client.next() == ("user:joined", {"userId": user, "socketId": client.sid, "iceServers": []})
    alice.emit("call:initiate", {"to": callee, "callType": "audio"})
    event, incoming = await bob.next()
    assert (event, incoming["from"]) == ("call:incoming", caller)
    offer = {"sdp": UNICODE, UNICODE: [UNICODE]}
    alice.emit("call:offer", {"offer": offer, "from": caller, "to": callee, "callType": "audio"})
    assert await bob.next() == ("call:offer", {"offer": offer, "from": caller, "callType": "audio"})
