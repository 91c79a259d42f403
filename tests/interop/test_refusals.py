"""Every error of the original with its exact text, in the order of the checks; told to the sender alone."""

from typing import Any

import pytest

from tests.interop.client import Client, Heard
from tests.interop.js_client import JsClient
from tests.interop.script import (
    all_hear,
    answered,
    ended,
    hear_nothing,
    invalid,
    refused,
    rejected,
    ring,
    status,
)
from tests.interop.stage import Stage, every_pair

UNKNOWN = "no-such-call"
NOT_JOINED = "User not authenticated"
EXPIRED = "Call not found or expired"

RELAYS: dict[str, dict[str, Any]] = {
    "call:offer": {"offer": {"sdp": "x"}, "callType": "video"},
    "call:answer": {"answer": {"sdp": "x"}},
    "ice:candidate": {"candidate": {"candidate": "x"}},
}
TEXTS = {
    "user:join": "Failed to join",
    "user:status": "Failed to get user status",
    "call:initiate": "Failed to initiate call",
    "call:accept": "Failed to accept call",
    "call:reject": "Failed to reject call",
    "call:offer": "Failed to send offer",
    "call:answer": "Failed to send answer",
    "ice:candidate": "Failed to send ICE candidate",
    "call:end": "Failed to end call",
    "call:connected": "Failed to mark the call as connected",
    "call:quality": "Failed to report call quality",
}
IN_CALL = ("call:accept", "call:reject", "call:end", "call:connected")


async def check(client: Client, event: str, payload: object, error: Heard) -> None:
    """The event is refused with this error, without an acknowledgement and with one; the socket stays open."""
    client.emit(event, payload)
    assert await client.next() == error
    assert await client.ask(event, payload) == {"ok": False, "error": error[1]}
    assert await client.next() == error
    await client.fence()


# --- nobody has joined --------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [{}, {"userId": ""}, {"userId": None}], ids=str)
async def test_join_without_a_user_id(clients: Stage, payload: object) -> None:
    alice = await clients.connect("alice")
    error = refused(
        "user:join",
        "User ID is required",
        "invalid_payload",
        field="userId",
        detail="a string of 1 to 128 characters is required",
    )
    await check(alice, "user:join", payload, error)


@pytest.mark.parametrize("event", IN_CALL)
async def test_call_events_before_joining(clients: Stage, event: str) -> None:
    stranger = await clients.connect("stranger")
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    for named in (call_id, UNKNOWN):
        payload = {"callId": named, "from": alice.name}
        await check(stranger, event, payload, refused(event, NOT_JOINED, "not_joined", callId=named))
    await hear_nothing(alice, bob)


async def test_initiate_before_joining(clients: Stage) -> None:
    stranger = await clients.connect("stranger")
    (bob,) = await clients.join("bob")
    for to in (bob.name, "nobody"):
        payload = {"to": to, "callType": "audio"}
        await check(stranger, "call:initiate", payload, refused("call:initiate", NOT_JOINED, "not_joined"))
    await bob.fence()


@pytest.mark.parametrize("event", RELAYS)
async def test_relays_before_joining(clients: Stage, event: str) -> None:
    stranger = await clients.connect("stranger")
    alice, bob = await clients.join("alice", "bob")
    await answered(alice, bob)
    for sender in (alice.name, stranger.name, None):
        payload = {**RELAYS[event], "to": bob.name, **({} if sender is None else {"from": sender})}
        await check(stranger, event, payload, refused(event, "Unauthorized", "unauthorized"))
    await hear_nothing(alice, bob)


# --- initiating ---------------------------------------------------------------------------------------------


async def test_initiate_while_in_a_call(clients: Stage) -> None:
    alice, bob, carol = await clients.join("alice", "bob", "carol")
    busy = refused("call:initiate", "Already in a call", "already_in_call")
    await ring(alice, bob)
    for to in (bob, carol):
        await check(alice, "call:initiate", {"to": to.name, "callType": "audio"}, busy)
    await check(alice, "call:initiate", {"to": "nobody", "callType": "audio"}, busy)
    await check(bob, "call:initiate", {"to": carol.name, "callType": "audio"}, busy)
    await hear_nothing(alice, bob, carol)


async def test_initiate_to_the_peer_of_an_answered_call(clients: Stage) -> None:
    alice, bob = pair = await clients.join("alice", "bob")
    await answered(alice, bob)
    for caller, callee in (pair, pair[::-1]):
        payload = {"to": callee.name, "callType": "audio"}
        await check(caller, "call:initiate", payload, refused("call:initiate", "Already in a call", "already_in_call"))
    await hear_nothing(alice, bob)


async def test_initiate_to_a_user_who_is_not_there(clients: Stage) -> None:
    alice, gone = await clients.join("alice", "gone")
    gone.disconnect()
    await gone.next()
    absent = refused("call:initiate", "User not found", "user_not_found")
    while (await status(alice, gone.name))[0]:
        pass
    for to in (gone.name, "nobody"):
        await check(alice, "call:initiate", {"to": to, "callType": "audio"}, absent)
    assert await status(alice, alice.name) == (True, False)


@every_pair
async def test_initiate_to_a_user_in_a_call(clients: Stage) -> None:
    alice, bob, carol = await clients.join("alice", "bob", "carol")
    busy = refused("call:initiate", "User is not available", "user_not_available")
    call_id = await ring(alice, bob)
    for to in (alice, bob):
        await check(carol, "call:initiate", {"to": to.name, "callType": "audio"}, busy)
    bob.emit("call:accept", {"callId": call_id, "from": alice.name})
    await all_hear(("call:accepted", {"callId": call_id, "by": bob.name}), alice, bob)
    for to in (alice, bob):
        await check(carol, "call:initiate", {"to": to.name, "callType": "audio"}, busy)
    await hear_nothing(alice, bob)
    assert await status(carol, carol.name) == (True, False)


async def test_initiate_to_oneself(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    payload = {"to": alice.name, "callType": "audio"}
    await check(alice, "call:initiate", payload, refused("call:initiate", "Cannot call yourself", "self_call"))
    assert await status(alice, alice.name) == (True, False)
    await ring(alice, bob)


# --- events in a call ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", IN_CALL)
async def test_call_that_does_not_exist(clients: Stage, event: str) -> None:
    (alice,) = await clients.join("alice")
    text = EXPIRED if event in ("call:accept", "call:reject") else "Call not found"
    payload = {"callId": UNKNOWN, "from": "nobody"}
    await check(alice, event, payload, refused(event, text, "call_not_found", callId=UNKNOWN))


@pytest.mark.parametrize("event", IN_CALL)
async def test_strangers_learn_nothing_of_a_call(clients: Stage, event: str) -> None:
    alice, bob, mallory = await clients.join("alice", "bob", "mallory")
    text = EXPIRED if event in ("call:accept", "call:reject") else "Call not found"
    call_id = await ring(alice, bob)
    payload = {"callId": call_id, "from": alice.name}
    await check(mallory, event, payload, refused(event, text, "call_not_found", callId=call_id))
    await hear_nothing(alice, bob)
    bob.emit("call:accept", payload)
    await all_hear(("call:accepted", {"callId": call_id, "by": bob.name}), alice, bob)
    await check(mallory, event, payload, refused(event, text, "call_not_found", callId=call_id))
    await hear_nothing(alice, bob)
    alice.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, alice, "hangup"), alice, bob)


@pytest.mark.parametrize("event", ["call:accept", "call:reject"])
async def test_only_the_callee_of_a_ringing_call_answers_it(clients: Stage, event: str) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    expired = refused(event, EXPIRED, "call_not_found", callId=call_id)
    payload = {"callId": call_id, "from": alice.name}
    await check(alice, event, payload, expired)
    await bob.fence()
    bob.emit("call:accept", payload)
    await all_hear(("call:accepted", {"callId": call_id, "by": bob.name}), alice, bob)
    await check(bob, event, payload, expired)
    await check(alice, event, payload, expired)
    await hear_nothing(alice, bob)


@pytest.mark.parametrize("event", IN_CALL)
async def test_call_that_is_over(clients: Stage, event: str) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    bob.emit("call:reject", {"callId": call_id, "from": alice.name})
    await all_hear(rejected(call_id, bob, "rejected"), alice, bob)
    text = EXPIRED if event in ("call:accept", "call:reject") else "Call not found"
    for party in (alice, bob):
        error = refused(event, text, "call_not_found", callId=call_id)
        await check(party, event, {"callId": call_id, "from": alice.name}, error)
    await hear_nothing(alice, bob)


async def test_connected_before_the_answer(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    error = refused("call:connected", "Call not found", "call_not_found", callId=call_id)
    for party in (alice, bob):
        await check(party, "call:connected", {"callId": call_id}, error)
    await hear_nothing(alice, bob)


# --- relays -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", RELAYS)
async def test_relay_in_the_name_of_another(clients: Stage, event: str) -> None:
    alice, bob, mallory = await clients.join("alice", "bob", "mallory")
    await answered(alice, bob)
    for to in (bob.name, "nobody"):
        payload = {**RELAYS[event], "from": alice.name, "to": to}
        await check(mallory, event, payload, refused(event, "Unauthorized", "unauthorized"))
    payload = {**RELAYS[event], "from": bob.name, "to": bob.name}
    await check(alice, event, payload, refused(event, "Unauthorized", "unauthorized"))
    await hear_nothing(alice, bob)


@pytest.mark.parametrize("event", RELAYS)
async def test_relay_outside_of_a_call(clients: Stage, event: str) -> None:
    alice, bob, mallory, carol = await clients.join("alice", "bob", "mallory", "carol")
    call_id = await answered(alice, bob)
    missing = refused(event, "Receiver not found", "receiver_not_found")
    for sender, to in (
        (mallory, bob.name),
        (mallory, carol.name),
        (mallory, mallory.name),
        (mallory, "nobody"),
        (alice, carol.name),
        (alice, alice.name),
        (alice, "nobody"),
    ):
        await check(sender, event, {**RELAYS[event], "from": sender.name, "to": to}, missing)
    await hear_nothing(alice, bob, carol)
    alice.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, alice, "hangup"), alice, bob)
    await check(alice, event, {**RELAYS[event], "from": alice.name, "to": bob.name}, missing)
    await bob.fence()


# --- payloads -----------------------------------------------------------------------------------------------


LONG = "x" * 129
SENDER = {"to": "bob", "from": "alice"}
INVALID: list[tuple[str, object, str | None]] = [
    ("user:join", {"userId": 7}, "userId"),
    ("user:join", {"userId": LONG}, "userId"),
    ("user:join", {"userId": ["a"]}, "userId"),
    ("user:join", "alice", None),
    ("user:join", None, None),
    ("user:join", ["alice"], None),
    ("user:status", {}, "userId"),
    ("user:status", {"userId": ""}, "userId"),
    ("user:status", {"userId": LONG}, "userId"),
    ("user:status", 1, None),
    ("call:initiate", {"callType": "audio"}, "to"),
    ("call:initiate", {"to": None, "callType": "audio"}, "to"),
    ("call:initiate", {"to": "", "callType": "audio"}, "to"),
    ("call:initiate", {"to": "bob"}, "callType"),
    ("call:initiate", {"to": "bob", "callType": "smell"}, "callType"),
    ("call:initiate", {"to": "bob", "callType": True}, "callType"),
    ("call:accept", {"from": "alice"}, "callId"),
    ("call:accept", {"callId": 1, "from": "alice"}, "callId"),
    ("call:accept", {"callId": LONG}, "callId"),
    ("call:accept", {"callId": "x", "from": 1}, "from"),
    ("call:reject", {}, "callId"),
    ("call:reject", {"callId": "x", "code": "bored"}, "code"),
    ("call:offer", {**SENDER}, "offer"),
    ("call:offer", {"offer": {}, "from": "alice"}, "to"),
    ("call:offer", {**SENDER, "offer": {}, "callType": "smell"}, "callType"),
    ("call:offer", {**SENDER, "offer": {}, "from": 1}, "from"),
    ("call:answer", {**SENDER}, "answer"),
    ("call:answer", {"answer": {}, "to": {}}, "to"),
    ("ice:candidate", {**SENDER}, "candidate"),
    ("ice:candidate", {"candidate": None, "to": []}, "to"),
    ("call:end", {}, "callId"),
    ("call:end", {"callId": None}, "callId"),
    ("call:end", {"callId": "x", "code": "bored"}, "code"),
    ("call:connected", {"callId": {}}, "callId"),
    ("call:quality", {"callId": "x"}, "stats"),
    ("call:quality", {"callId": "x", "stats": {"roundTripTime": 61}}, "stats.roundTripTime"),
    ("call:quality", {"callId": "x", "stats": {"address": "192.0.2.7"}}, "stats"),
    ("call:end", "x", None),
]


@pytest.mark.parametrize("joined", [False, True], ids=["stranger", "joined"])
async def test_invalid_payloads(clients: Stage, joined: bool) -> None:
    alice = (await clients.join("alice"))[0] if joined else await clients.connect("alice")
    for event, payload, field in INVALID:
        await check(alice, event, payload, invalid(event, TEXTS[event], field))
    assert await status(alice, alice.name) == (joined, False)


@pytest.mark.parametrize("event", TEXTS)
async def test_event_without_a_payload(clients: Stage, event: str) -> None:
    alice = await clients.connect("alice")
    alice.emit(event)
    assert await alice.next() == invalid(event, TEXTS[event], None)
    answer = await alice.ask(event)
    assert answer == {"ok": False, "error": invalid(event, TEXTS[event], None)[1]}
    assert await alice.next() == ("error", answer["error"])
    await alice.fence()


async def test_invalid_payloads_leave_a_call_alone(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await answered(alice, bob)
    for event, payload, field in INVALID:
        alice.emit(event, payload)
        assert await alice.next() == invalid(event, TEXTS[event], field)
    await hear_nothing(alice, bob)
    bob.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, bob, "hangup"), alice, bob)


async def test_further_fields_and_arguments_are_ignored(clients: Stage) -> None:
    alice = await clients.connect("alice")
    alice.emit("user:join", {"userId": alice.name, "name": "Alice", "device": {"os": 1}}, "more", 7)
    assert await alice.next() == ("user:joined", {"userId": alice.name, "socketId": alice.sid, "iceServers": []})


# --- names --------------------------------------------------------------------------------------------------


async def test_unknown_event(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    await answered(alice, bob)
    for event in ("call:hold", "", "CALL:END", "error", "message", "\u2028\U0001f44b"):
        await check(alice, event, {"callId": "x"}, refused(event, "Unknown event", "unknown_event"))
    alice.emit("e" * 1000, {})
    assert await alice.next() == refused("e" * 64, "Unknown event", "unknown_event")
    await hear_nothing(alice, bob)


@pytest.mark.parametrize(
    "event", ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
)
async def test_reserved_event(clients: Stage, event: str) -> None:
    alice, bob = await clients.join("alice", "bob")
    await answered(alice, bob)
    assert isinstance(alice, JsClient)
    alice.send_packet(f'2["{event}",{{}}]')
    assert await alice.next() == refused(event, "Reserved event name", "reserved_event")
    await hear_nothing(alice, bob)
    assert await status(bob, alice.name) == (True, True)
