"""Engine.IO v4: messages, heartbeats, the end of a session, and its limits."""

import asyncio
import time

import pytest

from tests.interop.conformance_clients import (
    ENGINE,
    SOCKET,
    Client,
    Packet,
    ends,
    opened,
    packets_of,
    polling,
    receive,
    receive_all,
    socket,
    upgraded,
)
from tests.interop.conformance_frames import BINARY, CONTINUATION, PING, TEXT, frame
from tests.interop.conformance_server import MAX_PAYLOAD_BYTES, Conformance
from tests.interop.raw_client import PATIENCE_S, Closed

TRANSPORTS = ["polling", "websocket", "upgrade"]
MAX_PACKETS_IN, MAX_PACKETS_OUT = 256, 16
MEASURE_S = 0.02
"""How much sooner than told a timer may fire: timers have a granularity."""


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("packet", ["4hello", "4", "4ü€😀\x00\t\n", b"\x01\x02\x03\x04", b"\xff\x00", b""])
async def test_message_is_echoed(conformance: Conformance, transport: str, packet: Packet) -> None:
    async with opened(conformance, transport) as client:
        await client.send(packet)
        assert await receive(client) == packet


async def test_payload_of_several_packets(conformance: Conformance) -> None:
    async with polling(conformance) as session:
        answer = await session.post("4one", b"\x01\x02\x03\x04", "4", "4two")
        assert (answer.status, answer.body) == (200, "ok")
        answer = await session.poll()
        assert answer.body.removeprefix("2\x1e") == "4one\x1ebAQIDBA==\x1e4\x1e4two"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_messages_stay_in_order(conformance: Conformance, transport: str) -> None:
    messages: list[Packet] = [f"4{number}" if number % 3 else bytes([number]) for number in range(60)]
    async with opened(conformance, transport) as client:
        for begin in range(0, 60, 10):
            await client.send(*messages[begin : begin + 10])
        assert await receive_all(client, 60) == messages


async def test_message_releases_an_open_poll(conformance: Conformance) -> None:
    async with polling(conformance) as session, session.open_poll() as poll:
        await session.send("4hello")
        answer = await poll.reply()
        assert answer.body in ("4hello", "2")


@pytest.mark.parametrize("count", [17, 20, MAX_PACKETS_IN])
async def test_many_packets_in_one_request(conformance: Conformance, count: int) -> None:
    messages: list[Packet] = [f"4candidate {number}" for number in range(count)]
    async with polling(conformance) as session:
        await session.send(*messages)
        assert await receive_all(session, count) == messages


@pytest.mark.parametrize("path", [ENGINE, SOCKET])
async def test_too_many_packets_in_one_request_close_the_session(conformance: Conformance, path: str) -> None:
    async with polling(conformance, path) as session:
        assert (await session.post(*["40"] * (MAX_PACKETS_IN + 1))).status in (400, 413)
        assert (await session.poll()).status == 400


async def test_answers_to_polls_hold_few_packets(calm: Conformance) -> None:
    messages: list[Packet] = [f"4{number}" for number in range(100)]
    async with polling(calm) as session:
        await session.send(*messages)
        heard: list[Packet] = []
        while len(heard) < len(messages):
            packets = packets_of((await session.poll()).body)
            assert len(packets) <= MAX_PACKETS_OUT
            heard += packets
        assert heard == messages


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_largest_message_passes(calm: Conformance, transport: str) -> None:
    largest = "4" + "x" * (MAX_PAYLOAD_BYTES - 1)
    async with opened(calm, transport) as client:
        await client.send(largest)
        assert await receive(client) == largest


async def test_message_beyond_the_limit_closes_a_websocket(calm: Conformance) -> None:
    async with socket(calm) as direct:
        await direct.send("4" + "x" * MAX_PAYLOAD_BYTES)
        assert (await direct.frames.receive_end())[:2] == (1009).to_bytes(2)


INVALID = {"unknown type": "abc", "unknown digit": "7", "empty": "", "a ping from the client": "2"}


@pytest.mark.parametrize("path", [ENGINE, SOCKET])
@pytest.mark.parametrize("packet", INVALID.values(), ids=INVALID.keys())
@pytest.mark.parametrize("transport", ["websocket", "upgrade"])
async def test_invalid_packet_closes_a_websocket(
    conformance: Conformance, transport: str, packet: str, path: str
) -> None:
    async with opened(conformance, transport, path) as client:
        await client.send(packet)
        await ends(client)


BODIES = {
    **{name: packet.encode() for name, packet in INVALID.items()},
    "broken base64": b"b!!!",
    "broken UTF-8": b"4\xff\xfe",
    "after a good one": b"40\x1eabc",
    "before a good one": b"abc\x1e40",
    "separator at the end": b"40\x1e",
}


@pytest.mark.parametrize("path", [ENGINE, SOCKET])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_invalid_packet_closes_a_polling_session(conformance: Conformance, body: bytes, path: str) -> None:
    async with polling(conformance, path) as session:
        try:
            answer = await session.post_bytes(body)
        except Closed:
            pass  # hanging up says the same
        else:
            assert answer.status == 400
        assert (await session.poll()).status == 400
        assert (await session.post("40")).status == 400


async def test_invalid_packet_releases_an_open_poll(calm: Conformance) -> None:
    async with polling(calm) as session, session.open_poll() as poll:
        await session.post("abc")
        answer = await poll.reply()
        assert (answer.status, answer.body) in ((200, "6"), (200, "1")) or answer.status == 400


async def test_second_poll_closes_the_session(conformance: Conformance) -> None:
    async with polling(conformance) as session, session.open_poll() as first:
        assert (await session.poll()).status in (400, 500)
        answer = await first.reply()
        assert (answer.status, answer.body) == (200, "1")
        assert (await session.poll()).status == 400
        assert (await session.post("4hello")).status == 400


async def test_goodbye_closes_and_releases_the_open_poll(conformance: Conformance) -> None:
    async with polling(conformance) as session, session.open_poll() as poll:
        assert (await session.post("1")).body == "ok"
        answer = await poll.reply()
        assert (answer.status, answer.body) == (200, "6")
        assert (await session.poll()).status == 400


@pytest.mark.parametrize("transport", ["websocket", "upgrade"])
async def test_goodbye_closes_a_websocket(conformance: Conformance, transport: str) -> None:
    async with opened(conformance, transport) as client:
        await client.send("1")
        await ends(client)


@pytest.mark.parametrize("path", [ENGINE, SOCKET])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_pings_come_at_the_interval_and_pongs_keep_alive(brisk: Conformance, transport: str, path: str) -> None:
    rounds, began = 3, time.monotonic()
    async with opened(brisk, transport, path) as client:
        for _ in range(rounds):
            assert await client.next() == "2"
            await client.send("3")
        waited = time.monotonic() - began
        assert waited >= rounds * (brisk.deadlines.ping_interval_ms / 1000 - MEASURE_S)
        await client.send("40")
        assert str(await receive(client)).startswith("40")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_silent_client_is_closed(brisk: Conformance, transport: str) -> None:
    began = time.monotonic()
    async with opened(brisk, transport) as client:
        assert await client.next() == "2"
        with pytest.raises(Closed):
            await client.next()
        waited = time.monotonic() - began
        limit_ms = brisk.deadlines.ping_interval_ms + brisk.deadlines.ping_timeout_ms
        assert waited >= limit_ms / 1000 - 2 * MEASURE_S


async def test_session_of_a_silent_client_is_gone(brisk: Conformance) -> None:
    async with polling(brisk) as session:
        assert await session.next() == "2"
        with pytest.raises(Closed):
            await session.next()
        assert (await session.poll()).status == 400
        assert (await session.post("3")).status == 400


async def test_client_that_never_polls_is_closed(brisk: Conformance) -> None:
    async with polling(brisk) as session:
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await session.post("4I talk and do not listen")).status == 200:
                pass
        assert answer.status == 400


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_messages_are_no_pong(brisk: Conformance, transport: str) -> None:
    async with opened(brisk, transport) as client:
        with pytest.raises(Closed):
            async with asyncio.timeout(PATIENCE_S):
                await talk_without_pong(client)


async def talk_without_pong(client: Client) -> None:
    while True:
        await client.send("4hello")
        while await client.next() != "4hello":
            pass


BAD_FRAMES = {
    "not masked": frame(TEXT, b"4hello", masked=False),
    "reserved bit": frame(TEXT, b"4hello", reserved=4),
    "reserved opcode": frame(0x3, b"4hello"),
    "continuation of nothing": frame(CONTINUATION, b"4hello"),
    "ping in fragments": frame(PING, b"", fin=False),
    "broken UTF-8": frame(TEXT, b"4\xff"),
}


@pytest.mark.parametrize("bad", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
async def test_invalid_frame_closes_the_connection_alone(conformance: Conformance, bad: bytes) -> None:
    async with upgraded(conformance) as (_, other), socket(conformance) as direct:
        await direct.frames.send(bad)
        await ends(direct)
        await other.send("4hello")
        assert await receive(other) == "4hello"


async def test_message_in_fragments_is_one_message(conformance: Conformance) -> None:
    async with socket(conformance) as direct:
        await direct.frames.send(
            frame(TEXT, b"4hel", fin=False),
            frame(CONTINUATION, b"lo ", fin=False),
            frame(CONTINUATION, b"you"),
            frame(BINARY, b"\x01", fin=False),
            frame(CONTINUATION, b"\x02"),
        )
        assert await receive_all(direct, 2) == ["4hello you", b"\x01\x02"]
