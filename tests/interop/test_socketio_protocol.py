"""Socket.IO v5 on top of Engine.IO: namespaces, events, acknowledgements, attachments, and what closes a connection."""

import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.interop.conformance_clients import (
    SOCKET,
    Client,
    Packet,
    ends,
    opened,
    receive,
    receive_all,
)
from tests.interop.conformance_server import Conformance
from tests.interop.raw_client import Closed

MAX_ATTACHMENTS = 10
TIMER_S = 0.02
"""How much sooner than told a timer may fire: timers have a granularity."""


@pytest.fixture(params=["polling", "websocket", "upgrade"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def stranger(conformance: Conformance, transport: str) -> AsyncIterator[Client]:
    """A connection on which nothing has been said yet."""
    async with opened(conformance, transport, SOCKET) as client:
        yield client


@pytest.fixture
async def client(stranger: Client) -> Client:
    """A connection that is in the main namespace."""
    await connect(stranger, "40", "")
    return stranger


async def connect(client: Client, packet: str, namespace: str, payload: object = None) -> str:
    """Connect to a namespace; the server repeats the payload. Gives the id of the socket."""
    await client.send(packet)
    answer = json_of(await receive(client), f"40{namespace}")
    assert set(answer) == {"sid"}
    assert isinstance(answer["sid"], str)
    assert json_of(await receive(client), f"42{namespace}") == ["auth", payload or {}]
    return answer["sid"]


def json_of(packet: Packet, head: str) -> Any:
    assert isinstance(packet, str)
    assert packet.startswith(head), packet
    return json.loads(packet.removeprefix(head))


async def works(client: Client, namespace: str = "") -> None:
    """The namespace answers, and nothing else has been said before."""
    await client.send(f'42{namespace}["message","are you there?"]')
    assert json_of(await receive(client), f"42{namespace}") == ["message-back", "are you there?"]


async def test_connect_to_the_main_namespace(stranger: Client) -> None:
    await connect(stranger, "40", "")
    await works(stranger)


async def test_connect_with_a_payload(stranger: Client) -> None:
    await connect(stranger, '40{"token":"123"}', "", {"token": "123"})
    await works(stranger)


@pytest.mark.parametrize("packet", ["40/custom,", "40/custom"])
async def test_connect_to_a_custom_namespace(stranger: Client, packet: str) -> None:
    await connect(stranger, packet, "/custom,")
    await works(stranger, "/custom,")


async def test_connect_to_a_custom_namespace_with_a_payload(stranger: Client) -> None:
    await connect(stranger, '40/custom,{"token":"abc"}', "/custom,", {"token": "abc"})
    await works(stranger, "/custom,")


async def test_socket_id_is_not_the_key_to_the_session(stranger: Client) -> None:
    main = await connect(stranger, "40", "")
    custom = await connect(stranger, "40/custom,", "/custom,")
    assert len({main, custom, stranger.handshake["sid"]}) == 3


@pytest.mark.parametrize("packet", ["40/random,", "40/random", '40/random,{"token":"1"}'])
async def test_unknown_namespace_is_refused_with_an_object(stranger: Client, packet: str) -> None:
    await stranger.send(packet)
    error = json_of(await receive(stranger), "44/random,")
    assert error["message"] == "Invalid namespace"
    assert set(error) <= {"message", "data"}
    await connect(stranger, "40", "")
    await works(stranger)


async def test_refused_namespace_is_not_joined(stranger: Client) -> None:
    await stranger.send("40/random,")
    await receive(stranger)
    await say(stranger, '42/random,["message","hello"]')
    await ends(stranger)


GARBAGE = {
    "letters": "4abc",
    "empty": "4",
    "an event": '42["message","hello"]',
    "an event of a custom namespace": '42/custom,["message","hello"]',
    "an acknowledgement": "430[]",
    "a goodbye": "41",
    "an error": '44{"message":"no"}',
    "a binary event": '451-["message",{"_placeholder":true,"num":0}]',
    "broken JSON": '40{"token":',
    "text after the payload": '40{"token":"1"}{}',
    "a payload that is an array": '40["token"]',
    "a payload that is a text": '40"token"',
    "a payload that is a number": "401",
    "bytes": b"\x01\x02",
}


@pytest.mark.parametrize("packet", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_before_connecting_closes(stranger: Client, packet: Packet) -> None:
    await say(stranger, packet, *([b"\x01"] if isinstance(packet, str) and packet.startswith("45") else []))
    await ends(stranger)


async def say(client: Client, *packets: Packet) -> None:
    """Send packets to a server that may hang up on the first of them."""
    with contextlib.suppress(Closed):
        for packet in packets:
            await client.send(packet)


INVALID = {
    "unknown type 7": '47["message","hello"]',
    "type is a letter": '4x["message","hello"]',
    "no type": "4",
    "no payload": "42",
    "payload is an object": '42{"message":"hello"}',
    "payload is a text": '42"message"',
    "payload is a number": "421",
    "payload is null": "42null",
    "payload is empty": "42[]",
    "name is an object": '42[{"a":1},"hello"]',
    "name is null": '42[null,"hello"]',
    "name is a list": '42[["message"],"hello"]',
    "name is a truth": '42[true,"hello"]',
    "broken JSON": '42["message","hello"',
    "text after the payload": '42["message","hello"]x',
    "ack id of letters": '42abc["message-with-ack","hello"]',
    "ack id half of letters": '421x["message-with-ack","hello"]',
    "ack id is negative": '42-1["message-with-ack","hello"]',
    "ack id has a point": '421.5["message-with-ack","hello"]',
    "acknowledgement is no array": '430{"a":1}',
    "goodbye with a payload": '41{"reason":"tired"}',
    "second CONNECT": "40",
    "second CONNECT with a payload": '40{"token":"123"}',
    "CONNECT_ERROR": '44{"message":"no"}',
    "CONNECT_ERROR of another namespace": '44/custom,{"message":"no"}',
    "event to a namespace that was not joined": '42/custom,["message","hello"]',
    "goodbye to a namespace that was not joined": "41/custom,",
    "event to an unknown namespace": '42/random,["message","hello"]',
    "acknowledgement to a namespace that was not joined": "43/custom,0[]",
    "attachment without a header": b"\x01\x02\x03",
}


@pytest.mark.parametrize("packet", INVALID.values(), ids=INVALID.keys())
async def test_invalid_packet_closes(client: Client, packet: Packet) -> None:
    await say(client, packet)
    await ends(client)


@pytest.mark.parametrize(
    "name", ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
)
async def test_reserved_name_runs_nothing(client: Client, name: str) -> None:
    with contextlib.suppress(Closed):  # the name may be refused in this way too
        await client.send(f'42["{name}",{{"token":"forged"}}]')
        for fence in ("first", "second"):  # what a handler says of its own accord may come behind the first
            await client.send(f'42["message","{fence}"]')
            assert json_of(await receive(client), "42") == ["message-back", fence]


async def test_leaving_one_namespace_keeps_the_other(client: Client) -> None:
    await connect(client, "40/custom,", "/custom,")
    await client.send("41/custom,")
    await works(client)
    await connect(client, "40/custom,", "/custom,")
    await client.send("41")
    await works(client, "/custom,")


async def test_event_to_a_namespace_that_was_left_closes(client: Client) -> None:
    await connect(client, "40/custom,", "/custom,")
    await client.send("41/custom,")
    await say(client, '42/custom,["message","hello"]')
    await ends(client)


async def test_leaving_the_only_namespace_leaves_the_connection_open(client: Client) -> None:
    await client.send("41")
    await connect(client, "40", "")
    await works(client)


ARGUMENTS = ['1,"2",{"3":[true]}', '"hello"', "null", '"ü€😀\\u2028\\\\"', '{"deep":[[[[{"a":{}}]]]]},1.5,-1,true']


@pytest.mark.parametrize("arguments", ARGUMENTS)
async def test_event_comes_back(client: Client, arguments: str) -> None:
    await client.send(f'42["message",{arguments}]')
    assert json_of(await receive(client), "42") == json.loads(f'["message-back",{arguments}]')


@pytest.mark.parametrize("ack_id", [0, 1, 456, 999_999_999])
@pytest.mark.parametrize("arguments", ARGUMENTS[:2])
async def test_acknowledgement_repeats_its_number(client: Client, arguments: str, ack_id: int) -> None:
    await client.send(f'42{ack_id}["message-with-ack",{arguments}]')
    assert json_of(await receive(client), f"43{ack_id}") == json.loads(f"[{arguments}]")


async def test_acknowledgement_in_a_custom_namespace(client: Client) -> None:
    await connect(client, "40/custom,", "/custom,")
    await client.send('42/custom,789["message-with-ack","hello"]')
    assert json_of(await receive(client), "43/custom,789") == ["hello"]


async def test_acknowledgement_that_nobody_asked_for_is_ignored(client: Client) -> None:
    await client.send('4399["hello"]')
    await works(client)


async def test_events_stay_in_order(client: Client) -> None:
    await client.send(*(f'42["message",{number}]' for number in range(50)))
    heard = [json_of(packet, "42") for packet in await receive_all(client, 50)]
    assert heard == [["message-back", number] for number in range(50)]


def placeholders(count: int) -> list[dict[str, object]]:
    return [{"_placeholder": True, "num": number} for number in range(count)]


def binary(head: str, name: str, count: int) -> str:
    return head + json.dumps([name, *placeholders(count)], separators=(",", ":"))


@pytest.mark.parametrize("count", [1, 2, MAX_ATTACHMENTS])
async def test_binary_event_comes_back(client: Client, count: int) -> None:
    attachments: list[Packet] = [bytes([number, 255]) for number in range(count)]
    await client.send(binary(f"45{count}-", "message", count), *attachments)
    assert json_of(await receive(client), f"45{count}-") == ["message-back", *placeholders(count)]
    assert await receive_all(client, count) == attachments
    await works(client)


@pytest.mark.parametrize("count", [1, 2, MAX_ATTACHMENTS])
async def test_binary_event_is_acknowledged(client: Client, count: int) -> None:
    attachments: list[Packet] = [bytes([number, 255]) for number in range(count)]
    await client.send(binary(f"45{count}-789", "message-with-ack", count), *attachments)
    assert json_of(await receive(client), f"46{count}-789") == placeholders(count)
    assert await receive_all(client, count) == attachments


async def test_binary_event_in_a_custom_namespace(client: Client) -> None:
    await connect(client, "40/custom,", "/custom,")
    await client.send(binary("451-/custom,", "message", 1), b"")
    assert json_of(await receive(client), "451-/custom,") == ["message-back", *placeholders(1)]
    assert await receive(client) == b""


async def test_attachment_deep_inside(client: Client) -> None:
    await client.send('451-["message",{"file":{"parts":[{"_placeholder":true,"num":0}]},"name":"x"}]', b"\x07")
    heard = json_of(await receive(client), "451-")
    assert heard == ["message-back", {"file": {"parts": placeholders(1)}, "name": "x"}]
    assert await receive(client) == b"\x07"


async def test_binary_acknowledgement_that_nobody_asked_for_is_ignored(client: Client) -> None:
    await client.send('461-99[{"_placeholder":true,"num":0}]', b"\x01")
    await works(client)


ATTACHED: dict[str, list[Packet]] = {
    "more than allowed": [binary(f"45{MAX_ATTACHMENTS + 1}-", "message", MAX_ATTACHMENTS + 1)],
    "very many": ['45999999999999-["message",{"_placeholder":true,"num":0}]'],
    "number is missing": ['45-["message",{"_placeholder":true,"num":0}]', b"\x01"],
    "number is of letters": ['45x-["message",{"_placeholder":true,"num":0}]', b"\x01"],
    "number is negative": ['45-1-["message",{"_placeholder":true,"num":0}]', b"\x01"],
    "dash is missing": ['451["message",{"_placeholder":true,"num":0}]', b"\x01"],
    "text in the place of an attachment": [binary("452-", "message", 2), b"\x01", '42["message","hello"]'],
    "one too many": [binary("451-", "message", 1), b"\x01", b"\x02"],
    "placeholder beyond the attachments": ['451-["message",{"_placeholder":true,"num":5}]', b"\x01"],
    "placeholder is negative": ['451-["message",{"_placeholder":true,"num":-1}]', b"\x01"],
    "placeholder is no number": ['451-["message",{"_placeholder":true,"num":"0"}]', b"\x01"],
    "payload is no array": ['451-{"_placeholder":true,"num":0}', b"\x01"],
    "too many in an acknowledgement": [f"46{MAX_ATTACHMENTS + 1}-0{json.dumps(placeholders(MAX_ATTACHMENTS + 1))}"],
    "for a namespace that was not joined": [binary("451-/custom,", "message", 1), b"\x01"],
}


@pytest.mark.parametrize("packets", ATTACHED.values(), ids=ATTACHED.keys())
async def test_attachments_out_of_turn_close(client: Client, packets: list[Packet]) -> None:
    await say(client, *packets)
    heard = await until_closed(client)
    assert len(heard) <= 2, heard  # "one too many" answers the whole event first


async def until_closed(client: Client) -> list[Packet]:
    """All that the server says, pings apart, before it closes the connection."""
    heard: list[Packet] = []
    with contextlib.suppress(Closed):
        while True:
            heard.append(await receive(client))
    return heard


async def test_client_that_does_not_connect_is_closed(hasty: Conformance, transport: str) -> None:
    began = time.monotonic()
    async with opened(hasty, transport, SOCKET) as stranger:
        assert await answered_pings(stranger) > 0
        assert time.monotonic() - began >= hasty.deadlines.connect_timeout_ms / 1000 - TIMER_S


async def answered_pings(client: Client) -> int:
    """How many pings came, and nothing else, before the server closed the connection."""
    count = 0
    with contextlib.suppress(Closed):
        while True:
            assert await client.next() == "2"
            await client.send("3")
            count += 1
    return count


async def test_refusal_does_not_count_as_connecting(hasty: Conformance, transport: str) -> None:
    async with opened(hasty, transport, SOCKET) as stranger:
        await stranger.send("40/random,")
        assert str(await receive(stranger)).startswith("44/random,")
        await ends(stranger)


async def test_client_that_connects_in_time_stays(hasty: Conformance, transport: str) -> None:
    beats = hasty.deadlines.connect_timeout_ms // hasty.deadlines.ping_interval_ms + 1
    async with opened(hasty, transport, SOCKET) as stranger:
        await connect(stranger, "40", "")
        for _ in range(beats):
            assert await stranger.next() == "2"
            await stranger.send("3")
        await works(stranger)
