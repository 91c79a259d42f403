"""Where the server does more than the original: call ids, glare, takeover, acknowledgements."""

import pytest

from tests.interop.client import Client
from tests.interop.script import all_hear, answered, ended, hear_nothing, rejected, ring, status
from tests.interop.stage import Stage, every_pair, some_pairs

ROUNDS = 10


async def test_call_ids_are_unique_and_say_nothing(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    seen: set[str] = set()
    for _ in range(ROUNDS):
        call_id = await ring(alice, bob)
        assert alice.name not in call_id
        assert bob.name not in call_id
        assert len(call_id) >= 22, "128 bits take 22 characters at the least"
        seen.add(call_id)
        alice.emit("call:end", {"callId": call_id})
        await all_hear(ended(call_id, alice, "cancelled"), alice, bob)
    assert len(seen) == ROUNDS
    positions = [{call_id[at] for call_id in seen} for at in range(22)]
    assert all(len(digits) > 1 for digits in positions), "no position is constant"


# --- acknowledgements ---------------------------------------------------------------------------------------


async def test_acknowledgements_of_a_call(clients: Stage) -> None:
    alice, bob = await clients.connect("alice"), await clients.connect("bob")
    for client in (alice, bob):
        joined = {"userId": client.name, "socketId": client.sid, "iceServers": []}
        assert await client.ask("user:join", {"userId": client.name}) == {"ok": True, **joined}
        assert await client.next() == ("user:joined", joined)
    report = {"userId": bob.name, "isOnline": True, "isInCall": False}
    assert await alice.ask("user:status", {"userId": bob.name}) == {"ok": True, **report}
    assert await alice.next() == ("user:status", report)
    answer = await alice.ask("call:initiate", {"to": bob.name, "callType": "video"})
    call_id = answer["callId"]
    assert answer == {"ok": True, "callId": call_id, "to": bob.name}
    assert await alice.next() == ("call:initiated", {"callId": call_id, "to": bob.name})
    assert await bob.next() == ("call:incoming", {"from": alice.name, "callType": "video", "callId": call_id})
    accepted = {"callId": call_id, "by": bob.name}
    assert await bob.ask("call:accept", {"callId": call_id, "from": alice.name}) == {"ok": True, **accepted}
    await all_hear(("call:accepted", accepted), alice, bob)
    for event, field in (("call:offer", "offer"), ("call:answer", "answer"), ("ice:candidate", "candidate")):
        assert await alice.ask(event, {field: {"x": 1}, "from": alice.name, "to": bob.name}) == {"ok": True}
        assert (await bob.next())[0] == event
    hung_up = {"callId": call_id, "by": alice.name, "code": "hangup"}
    assert await alice.ask("call:end", {"callId": call_id}) == {"ok": True, **hung_up}
    await all_hear(("call:ended", hung_up), alice, bob)
    await hear_nothing(alice, bob)


async def test_reports_on_media_are_acknowledged_and_told_to_nobody(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    pair = {"local": "srflx", "remote": "relay", "protocol": "udp"}
    report = {"stats": {"ice": "connected", "pair": pair, "roundTripTime": 0.04, "fractionLost": None}}
    call_id = await ring(alice, bob)
    error = {"message": "Call not found", "code": "call_not_found", "event": "call:quality", "callId": call_id}
    assert await bob.ask("call:quality", {"callId": call_id, **report}) == {"ok": False, "error": error}
    assert await bob.next() == ("error", error)
    assert (await bob.ask("call:accept", {"callId": call_id}))["ok"]
    await all_hear(("call:accepted", {"callId": call_id, "by": bob.name}), alice, bob)
    for party in (alice, bob, alice):
        assert await party.ask("call:quality", {"callId": call_id, **report}) == {"ok": True}
    (carol,) = await clients.join("carol")
    assert await carol.ask("call:quality", {"callId": call_id, **report}) == {"ok": False, "error": error}
    assert await carol.next() == ("error", error)
    await hear_nothing(alice, bob, carol)


async def test_acknowledgement_of_a_reject(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    heard = rejected(call_id, bob, "busy", "Busy")
    payload = {"callId": call_id, "from": alice.name, "code": "busy"}
    assert await bob.ask("call:reject", payload) == {"ok": True, **heard[1]}
    await all_hear(heard, alice, bob)


# --- glare --------------------------------------------------------------------------------------------------


@every_pair
@pytest.mark.parametrize("first", [0, 1])
async def test_calling_the_caller_back_answers_his_call(clients: Stage, first: int) -> None:
    pair = await clients.join("alice", "bob")
    early, late = pair[first], pair[1 - first]
    call_id = await ring(early, late)
    answer = await late.ask("call:initiate", {"to": early.name, "callType": "audio"})
    assert answer == {"ok": True, "callId": call_id, "to": early.name}
    accepted = ("call:accepted", {"callId": call_id, "by": late.name})
    assert await late.next() == ("call:initiated", {"callId": call_id, "to": early.name})
    await all_hear(accepted, early, late)
    late.emit("call:offer", {"offer": 1, "to": early.name})
    assert await early.next() == ("call:offer", {"offer": 1, "from": late.name, "callType": "video"})
    early.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, early, "hangup"), early, late)
    await hear_nothing(early, late)


async def one_call_of_two_nodes(alice: Client, bob: Client) -> None:
    """Between nodes the second caller is rung in time, or not at all: never when he has answered."""
    alice.emit("call:initiate", {"to": bob.name, "callType": "video"})
    bob.emit("call:initiate", {"to": alice.name, "callType": "video"})
    heard = {client.name: [await client.next()] for client in (alice, bob)}
    for client in (alice, bob):
        while heard[client.name][-1][0] != "call:accepted":
            heard[client.name].append(await client.next())
    accepted = heard[alice.name][-1]
    late, early = (alice, bob) if accepted[1]["by"] == alice.name else (bob, alice)
    call_id = accepted[1]["callId"]
    assert accepted == ("call:accepted", {"callId": call_id, "by": late.name})
    assert heard[early.name] == [("call:initiated", {"callId": call_id, "to": late.name}), accepted]
    answer = [("call:initiated", {"callId": call_id, "to": early.name}), accepted]
    rung = ("call:incoming", {"from": early.name, "callType": "video", "callId": call_id})
    assert heard[late.name] in ([rung, *answer], answer)
    await hear_nothing(alice, bob)
    alice.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, alice, "hangup"), alice, bob)


@every_pair
async def test_calling_each_other_at_once_becomes_one_call(clients: Stage, place: str) -> None:
    alice, bob = await clients.join("alice", "bob")
    if place != "one-node":
        for _ in range(ROUNDS):
            await one_call_of_two_nodes(alice, bob)
        return
    for _ in range(ROUNDS):
        alice.emit("call:initiate", {"to": bob.name, "callType": "video"})
        bob.emit("call:initiate", {"to": alice.name, "callType": "video"})
        heard = {client.name: [await client.next(), await client.next()] for client in (alice, bob)}
        names = {name: [event for event, _ in events] for name, events in heard.items()}
        late = alice if "call:incoming" in names[alice.name] else bob
        early = bob if late is alice else alice
        call_id = heard[early.name][0][1]["callId"]
        accepted = ("call:accepted", {"callId": call_id, "by": late.name})
        assert heard[early.name] == [("call:initiated", {"callId": call_id, "to": late.name}), accepted]
        assert heard[late.name] == [
            ("call:incoming", {"from": early.name, "callType": "video", "callId": call_id}),
            ("call:initiated", {"callId": call_id, "to": early.name}),
        ]
        assert await late.next() == accepted
        alice.emit("call:end", {"callId": call_id})
        await all_hear(ended(call_id, alice, "hangup"), alice, bob)
    await hear_nothing(alice, bob)


# --- takeover -----------------------------------------------------------------------------------------------


async def replaced(old: Client) -> None:
    """The old socket is disconnected by the server, and hears nothing else."""
    assert await old.next() == ("disconnect", "io server disconnect")


async def test_second_join_takes_over_outside_of_a_call(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    again = await clients.connect("again")
    again.emit("user:join", {"userId": bob.name})
    assert await again.next() == ("user:joined", {"userId": bob.name, "socketId": again.sid, "iceServers": []})
    await replaced(bob)
    assert await status(alice, bob.name) == (True, False)
    alice.emit("call:initiate", {"to": bob.name, "callType": "audio"})
    assert (await again.next())[0] == "call:incoming"


@some_pairs
@pytest.mark.parametrize("who", [0, 1], ids=["caller", "callee"])
@pytest.mark.parametrize("connected", [False, True], ids=["connecting", "connected"])
async def test_second_join_takes_the_call_over(clients: Stage, who: int, connected: bool) -> None:
    pair = await clients.join("alice", "bob")
    old, peer = pair[who], pair[1 - who]
    call_id = await answered(pair[0], pair[1])
    if connected:
        assert await peer.ask("call:connected", {"callId": call_id}) == {"ok": True}
    new = await clients.connect("new")
    new.emit("user:join", {"userId": old.name})
    call = {
        "callId": call_id,
        "callType": "video",
        "role": ("caller", "callee")[who],
        "peer": peer.name,
        "state": "connected" if connected else "connecting",
    }
    assert await new.next() == (
        "user:joined",
        {"userId": old.name, "socketId": new.sid, "iceServers": [], "call": call},
    )
    assert await old.next() == ended(call_id, old, "replaced", "Continued on another connection")
    await replaced(old)
    await hear_nothing(peer, new)
    assert await status(peer, old.name) == (True, True)
    peer.emit("ice:candidate", {"candidate": "for the new one", "to": old.name})
    assert await new.next() == ("ice:candidate", {"candidate": "for the new one", "from": peer.name})
    new.emit("call:offer", {"offer": "restart", "from": old.name, "to": peer.name, "callType": "video"})
    assert await peer.next() == ("call:offer", {"offer": "restart", "from": old.name, "callType": "video"})
    new.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, old, "hangup"), peer, new)


async def test_callee_takes_over_while_it_rings(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    new = await clients.connect("new")
    new.emit("user:join", {"userId": bob.name})
    call = {"callId": call_id, "callType": "video", "role": "callee", "peer": alice.name, "state": "ringing"}
    assert await new.next() == (
        "user:joined",
        {"userId": bob.name, "socketId": new.sid, "iceServers": [], "call": call},
    )
    assert await new.next() == ("call:incoming", {"from": alice.name, "callType": "video", "callId": call_id})
    assert await bob.next() == ended(call_id, bob, "replaced", "Continued on another connection")
    await replaced(bob)
    await alice.fence()
    new.emit("call:accept", {"callId": call_id, "from": alice.name})
    await all_hear(("call:accepted", {"callId": call_id, "by": bob.name}), alice, new)


async def test_caller_takes_over_while_it_rings(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    call_id = await ring(alice, bob)
    new = await clients.connect("new")
    new.emit("user:join", {"userId": alice.name})
    call = {"callId": call_id, "callType": "video", "role": "caller", "peer": bob.name, "state": "ringing"}
    assert await new.next() == (
        "user:joined",
        {"userId": alice.name, "socketId": new.sid, "iceServers": [], "call": call},
    )
    assert await alice.next() == ended(call_id, alice, "replaced", "Continued on another connection")
    await replaced(alice)
    await bob.fence()
    bob.emit("call:accept", {"callId": call_id, "from": alice.name})
    await all_hear(("call:accepted", {"callId": call_id, "by": bob.name}), bob, new)


async def test_one_socket_speaks_for_one_user(clients: Stage) -> None:
    alice, bob = await clients.join("alice", "bob")
    answer = await alice.ask("user:join", {"userId": bob.name})
    error = {"message": "Failed to join", "code": "already_joined", "event": "user:join"}
    assert answer == {"ok": False, "error": error}
    assert await alice.next() == ("error", error)
    await ring(alice, bob)
