"""Ten thousand packets that were valid until a few of their bytes were changed. The same ones in every run.

A failure names the number of the mutation; `mutated(number)` is what was sent.
"""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator

from tests.chaos.clients import event, member, stranger
from tests.chaos.footprint import scrape
from tests.chaos.healthy import healthy_call
from tests.interop.conformance_clients import Client, Polling, Socket, packets_of
from tests.interop.conformance_frames import CLOSE, TEXT, frame
from tests.interop.raw_client import SEPARATOR
from tests.support.server import Server

SEED = 20_251
MUTATIONS = 10_000
WORKERS = 8
CLOSE_CODES = (1000, 1002, 1007)
"""Goodbye (a mutation can become one), broken protocol, broken text."""

HOLE = '{"_placeholder":true,"num":0}'
PACKETS = [
    event("user:join", {"userId": "mallory"}),
    event("user:status", {"userId": "nobody"}),
    event("call:initiate", {"to": "nobody", "callType": "video"}),
    event("call:accept", {"callId": "0123456789abcdef0123456789abcdef", "from": "nobody"}),
    event("call:reject", {"callId": "0123456789abcdef0123456789abcdef", "code": "busy"}),
    event("call:offer", {"offer": {"type": "offer", "sdp": "v=0\r\n" * 20}, "to": "nobody", "callType": "audio"}),
    event("call:answer", {"answer": {"type": "answer", "sdp": "v=0\r\n" * 20}, "to": "nobody"}),
    event("ice:candidate", {"candidate": {"candidate": "candidate:1 1 udp 1", "sdpMid": "0"}, "to": "nobody"}),
    event("call:connected", {"callId": "0123456789abcdef0123456789abcdef"}),
    event("call:end", {"callId": "0123456789abcdef0123456789abcdef"}),
    '42123["user:status",{"userId":"nobody"}]',
    '437[{"ok":true}]',
    f'451-["user:status",{HOLE}]',
    f"461-7[{HOLE}]",
    '40/admin,{"token":"x"}',
    "41",
    "3",
]
CONNECTS = ["40", '40{"token":"abc","nested":{"a":[1,2,{"b":null}]}}', "40/admin,"]
TOKENS = [
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"[" * 33,
    b"{" * 33,
    b'"',
    b"\\",
    b"4",
    b"/",
    b"-",
]

Way = Callable[[random.Random, bytearray], None]


def flip(chance: random.Random, data: bytearray) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def cut(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data) + 1)
    del data[at : at + chance.randint(1, 8)]


def repeat(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = data[at : at + chance.randint(1, 40)]


def insert(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.choice(TOKENS)


def overwrite(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data) + 1)
    token = chance.choice(TOKENS)
    data[at : at + len(token)] = token


def truncate(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data) + 1) :]


WAYS: list[Way] = [flip, flip, cut, repeat, insert, overwrite, truncate]


def mutated(number: int, packets: list[str]) -> bytes:
    """A packet with one to four changes, the same for the same number."""
    chance = random.Random(f"{SEED}-{number}")
    data = bytearray(chance.choice(packets).encode())
    for _ in range(chance.randint(1, 4)):
        chance.choice(WAYS)(chance, data)
    return bytes(data)


async def ends_well(client: Client, data: bytes, fence: str) -> bool:
    """Send something and then a question. True if that is answered, False if the connection is closed instead."""
    if isinstance(client, Polling):
        return await ends_well_on_polling(client, data, fence)
    assert isinstance(client, Socket)
    await client.frames.send(frame(TEXT, data), frame(TEXT, event("user:status", {"userId": fence}).encode()))
    while True:
        got = await client.frames.receive()
        if got.opcode == CLOSE:
            assert int.from_bytes(got.payload[:2]) in CLOSE_CODES, got
            await client.frames.send(frame(CLOSE, got.payload))
            assert await client.frames.wire.read_to_end() == b""
            return False
        assert got.opcode == TEXT, got
        if got.payload.startswith(b'42["user:status",{"userId":"%b"' % fence.encode()):
            return True
        assert got.payload.startswith((b"42[", b"43", b"44", b"40", b"41")), got


async def ends_well_on_polling(client: Polling, data: bytes, fence: str) -> bool:
    answer = await client.post_bytes(data + SEPARATOR.encode() + event("user:status", {"userId": fence}).encode())
    assert answer.status in (200, 400), answer
    while (answer := await client.poll()).status == 200:
        if any(str(packet).startswith(f'42["user:status",{{"userId":"{fence}"') for packet in packets_of(answer.body)):
            return True
    assert answer.status == 400, answer
    return False


@contextlib.asynccontextmanager
async def numbered(number: int) -> AsyncIterator[None]:
    """Add the number of the mutation to what goes wrong with it."""
    try:
        async with asyncio.timeout(30):
            yield
    except Exception as error:
        error.add_note(f"mutation {number} of seed {SEED}")
        raise


async def attack_as_member(server: Server, transport: str, numbers: Iterator[int]) -> None:
    """Send mutations on one connection for as long as it lives."""
    async with member(server, transport) as (client, _):
        for number in numbers:
            async with numbered(number):
                if not await ends_well(client, mutated(number, PACKETS), f"fence-{number}"):
                    return


async def attack_as_stranger(server: Server, transport: str, number: int) -> None:
    """Send one mutation of a first packet."""
    async with stranger(server, transport) as client, numbered(number):
        await ends_well(client, mutated(number, CONNECTS), f"fence-{number}")


async def attack(server: Server, transport: str, numbers: "list[int]") -> None:
    every_tenth = [number for number in numbers if number % 10 == 0]
    others = iter([number for number in numbers if number % 10])
    while (number := next(others, None)) is not None:
        await attack_as_member(server, transport, itertools.chain([number], others))
    for number in every_tenth:
        await attack_as_stranger(server, transport, number)


async def test_mutations_are_answered_or_closed(attacked: Server) -> None:
    before = await scrape(attacked)
    async with healthy_call(attacked), asyncio.TaskGroup() as attackers:
        for worker in range(WORKERS):
            transport = "polling" if worker == 0 else "websocket"
            attackers.create_task(attack(attacked, transport, list(range(worker, MUTATIONS, WORKERS))))
    after = await scrape(attacked)
    assert after.sum("events_total", outcome="internal") == before.sum("events_total", outcome="internal")
    levels = {json.loads(line)["level"] for line in attacked.log.read_text().splitlines()}
    assert levels <= {"info", "warning"}


def test_mutations_differ_and_can_be_made_again() -> None:
    first = [mutated(number, PACKETS) for number in range(1000)]
    assert first == [mutated(number, PACKETS) for number in range(1000)]
    assert len(set(first)) > 900
    assert sum(data.decode(errors="replace") in PACKETS for data in first) < 50
