"""What no client library sends: exact bytes, broken packets, events out of turn."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.interop.raw_client import RawClient, emit, hear, is_closed, raw_engine, raw_user
from tests.support.server import Server

ODD_VALUES = [
    '{ "b" : 1.0 ,\t"a":1e2, "a":-0.0,"big":12345678901234567890123456789, "tiny":1E-400 }',
    '{"b":1,"a":2,"\\u0041":"\\u00e9\\/\\ud83d\\ude00","é":"\u2028😀"}',
    "[ ]",
    '"v=0\\r\\n"',
    "1.50",
    "true",
    "null",
    '{"deep":' + "[" * 29 + "]" * 29 + "}",
]


@pytest.fixture(params=["websocket", "polling"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def pair(server: Server, transport: str) -> AsyncIterator[tuple[tuple[RawClient, str], tuple[RawClient, str]]]:
    """Two raw users in a ringing call, the caller first."""
    async with AsyncExitStack() as stack:
        caller, caller_id = await stack.enter_async_context(raw_user(server.url, transport, "alice"))
        callee, callee_id = await stack.enter_async_context(raw_user(server.url, transport, "bob"))
        await emit(caller, "call:initiate", {"to": callee_id, "callType": "audio"})
        assert (await hear(callee))[0] == "call:incoming"
        assert (await hear(caller))[0] == "call:initiated"
        yield (caller, caller_id), (callee, callee_id)


@pytest.mark.parametrize("value", ODD_VALUES)
async def test_opaque_parts_arrive_byte_for_byte(
    pair: tuple[tuple[RawClient, str], tuple[RawClient, str]], value: str
) -> None:
    (alice, alice_id), (bob, bob_id) = pair
    for event, field, rest in (
        ("call:offer", "offer", ',"callType":"audio"'),
        ("call:answer", "answer", ""),
        ("ice:candidate", "candidate", ""),
    ):
        await alice.send(f'42[ "{event}" , {{"to":"{bob_id}", "{field}" :{value} }} ]')
        assert await bob.receive() == f'42["{event}",{{"{field}":{value},"from":"{alice_id}"{rest}}}]'


async def test_many_packets_at_once_stay_in_order(pair: tuple[tuple[RawClient, str], tuple[RawClient, str]]) -> None:
    (alice, _), (bob, bob_id) = pair
    offer = json.dumps({"sdp": "x" * 90_000})
    candidates = [f'42["ice:candidate",{{"candidate":{number},"to":"{bob_id}"}}]' for number in range(200)]
    await alice.send(f'42["call:offer",{{"offer":{offer},"to":"{bob_id}"}}]', *candidates)
    event, payload = await hear(bob)
    assert (event, payload["offer"]) == ("call:offer", json.loads(offer))
    for number in range(200):
        assert (await hear(bob))[1]["candidate"] == number


MALFORMED = {
    "empty packet": "4",
    "no JSON": '42["user:status",{]',
    "cut short": '42["user:status",{"userId":"a"}',
    "no array": '42{"user:status":{}}',
    "no name": "42[]",
    "name is an object": '42[{},"x"]',
    "name is null": "42[null]",
    "ack id is no number": '42x["user:status",{}]',
    "ack id is negative": '42-1["user:status",{}]',
    "unknown packet type": '47["user:status",{}]',
    "trailing text": '42["user:status",{"userId":"a"}] and more',
    "lone surrogate in JSON cut short": '42["user:status",{"userId":"\\ud800',
    "too deep by far": '42["nothing",' + "[" * 100_000 + "]" * 100_000 + "]",
    "too deep by one": '42["nothing",' + "[" * 32 + "]" * 32 + "]",
}


@pytest.mark.parametrize("packet", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_packet_closes_its_connection_alone(server: Server, transport: str, packet: str) -> None:
    async with raw_user(server.url, transport, "alice") as (alice, _):
        async with raw_user(server.url, transport, "mallory") as (mallory, _):
            await mallory.send(packet)
            assert await is_closed(mallory)
        await emit(alice, "user:status", {"userId": "nobody"})
        assert (await hear(alice))[0] == "user:status"


async def test_malformed_packet_in_a_call_ends_the_call(server: Server, transport: str) -> None:
    async with raw_user(server.url, transport, "alice") as (alice, _):
        async with raw_user(server.url, transport, "mallory") as (mallory, mallory_id):
            await emit(alice, "call:initiate", {"to": mallory_id, "callType": "audio"})
            assert (await hear(alice))[0] == "call:initiated"
            assert (await hear(mallory))[0] == "call:incoming"
            await mallory.send("42{")
            assert await is_closed(mallory)
        event, payload = await hear(alice)
        assert (event, payload["by"], payload["code"]) == ("call:ended", mallory_id, "connection_lost")


async def test_event_before_connecting_closes_the_connection(server: Server, transport: str) -> None:
    async with raw_engine(server.url, transport) as early:
        await emit(early, "user:status", {"userId": "nobody"})
        assert await is_closed(early)


async def test_unknown_namespace_is_refused(server: Server, transport: str) -> None:
    async with raw_engine(server.url, transport) as client:
        await client.send("40/admin,")
        assert (await client.receive()).startswith("44/admin,")


@pytest.mark.parametrize("name", ["connect", "disconnect", "\\u0063onnect"])
async def test_reserved_names_do_not_reach_the_life_cycle(
    pair: tuple[tuple[RawClient, str], tuple[RawClient, str]], name: str
) -> None:
    (alice, alice_id), (bob, _) = pair
    await alice.send(f'427["{name}",{{}}]')
    plain = json.loads(f'"{name}"')
    error = {"message": "Reserved event name", "code": "reserved_event", "event": plain}
    assert await hear(alice) == ("error", error)
    assert json.loads((await alice.receive()).removeprefix("437")) == [{"ok": False, "error": error}]
    await emit(bob, "user:status", {"userId": alice_id})
    assert await hear(bob) == ("user:status", {"userId": alice_id, "isOnline": True, "isInCall": True})


@pytest.mark.parametrize("ack_id", ["0", "1", "999999999999999"])
async def test_acknowledgement_repeats_its_number(server: Server, transport: str, ack_id: str) -> None:
    async with raw_user(server.url, transport, "alice") as (alice, _):
        await alice.send(f'42{ack_id}["user:status",{{"userId":"nobody"}}]')
        report = '"userId":"nobody","isOnline":false,"isInCall":false}'
        assert await alice.receive() == f'42["user:status",{{{report}]'
        assert await alice.receive() == f'43{ack_id}[{{"ok":true,{report}]'


async def test_binary_payload_is_refused(server: Server) -> None:
    async with raw_user(server.url, "polling", "alice") as (alice, _):
        await alice.send('451-["call:offer",{"_placeholder":true,"num":0}]', "bAAEC")
        event, error = await hear(alice)
        assert (event, error["code"], error["event"]) == ("error", "invalid_payload", "call:offer")
        await emit(alice, "user:status", {"userId": "nobody"})
        assert (await hear(alice))[0] == "user:status"


async def test_message_that_is_too_large_closes_its_connection(server: Server) -> None:
    async with raw_user(server.url, "websocket", "alice") as (alice, _):
        async with raw_user(server.url, "websocket", "mallory") as (mallory, mallory_id):
            await emit(mallory, "call:offer", {"to": "x", "offer": "x" * 300_000})
            assert await is_closed(mallory)
        await emit(alice, "user:status", {"userId": mallory_id})
        assert (await hear(alice))[0] == "user:status"
