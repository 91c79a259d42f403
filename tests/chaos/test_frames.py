"""Broken, endless and oversized frames against the gateway, before CONNECT and after joining."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.chaos.clients import event, guest, member, stranger
from tests.chaos.footprint import counted, resident_bytes, scrape, unread_bytes, until
from tests.chaos.healthy import healthy_call
from tests.interop.conformance_clients import Socket
from tests.interop.conformance_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frames, closing, frame
from tests.support.server import Server

PROTOCOL_ERROR, INVALID_TEXT, POLICY, TOO_BIG, PING_TIMEOUT = 1002, 1007, 1008, 1009, 4010
LIMIT = 262_144
"""The default of MAX_MESSAGE_BYTES."""
HOSTILE = 50
HELD = LIMIT * 7 // 2
"""The most that one hostile connection may cost: its unfinished message, a read buffer of twice the limit (both are
measured to be 2.9 times the limit together), and some room."""

REFUSED_EVENTS = 400
"""As large as may be, which is 100 MB in all."""
KEPT_OF_THEM = 20_000_000


def long(size: int) -> bytes:
    """A length in 64 bits."""
    return struct.pack("!BQ", 127, size)


STATUS = event("user:status", {"userId": "nobody"}).encode()
BROKEN_TEXT = "ü€😀".encode()[:-1]

BROKEN: dict[str, tuple[Sequence[bytes], int]] = {
    "one byte too many": ([frame(TEXT, b"4" * (LIMIT + 1))], TOO_BIG),
    "one byte too many, announced": ([frame(TEXT, length=long(LIMIT + 1))], TOO_BIG),
    "binary, one byte too many": ([frame(BINARY, length=long(LIMIT + 1))], TOO_BIG),
    "2 GB": ([frame(TEXT, length=long(2**31))], TOO_BIG),
    "2**62 bytes": ([frame(BINARY, length=long(2**62))], TOO_BIG),
    "2**63 bytes": ([frame(BINARY, length=long(2**63))], PROTOCOL_ERROR),
    "fragments beyond the limit": (
        [frame(TEXT, b"4" * LIMIT, fin=False), frame(CONTINUATION, b"x")], TOO_BIG,
    ),
    "100,000 fragments of a byte": (
        [frame(TEXT, b"4", fin=False), frame(CONTINUATION, b"x", fin=False) * 100_000], TOO_BIG,
    ),
    "100,000 fragments of nothing": (
        [frame(TEXT, b"4", fin=False), frame(CONTINUATION, b"", fin=False) * 100_000], TOO_BIG,
    ),
    "a message inside a message": ([frame(TEXT, b"4", fin=False), frame(TEXT, STATUS)], PROTOCOL_ERROR),
    "a binary inside a text": ([frame(TEXT, b"4", fin=False), frame(BINARY, b"x", fin=False)], PROTOCOL_ERROR),
    "a continuation of nothing": ([frame(CONTINUATION, STATUS)], PROTOCOL_ERROR),
    **{f"reserved bit {bit}": ([frame(TEXT, STATUS, reserved=bit)], PROTOCOL_ERROR) for bit in (1, 2, 4)},
    **{f"reserved opcode {code}": ([frame(code, b"x")], PROTOCOL_ERROR) for code in (3, 7, 11, 15)},
    "not masked": ([frame(TEXT, STATUS, masked=False)], PROTOCOL_ERROR),
    "length not the shortest": ([frame(TEXT, STATUS, length=long(len(STATUS)))], PROTOCOL_ERROR),
    "broken text": ([frame(TEXT, b"4\xff\xfe")], INVALID_TEXT),
    "broken text in fragments": (
        [frame(TEXT, b"4" + BROKEN_TEXT[:3], fin=False), frame(CONTINUATION, BROKEN_TEXT[3:])], INVALID_TEXT,
    ),
    "a surrogate in the text": ([frame(TEXT, b"4\xed\xa0\x80")], INVALID_TEXT),
    "a ping in fragments": ([frame(PING, b"x", fin=False)], PROTOCOL_ERROR),
    "a ping of 126 bytes": ([frame(PING, b"x" * 126)], PROTOCOL_ERROR),
    "half a close code": ([frame(CLOSE, b"\x03")], PROTOCOL_ERROR),
    "a close code that is never sent": ([frame(CLOSE, closing(1005))], PROTOCOL_ERROR),
}  # fmt: skip


@contextlib.asynccontextmanager
async def attacker(server: Server, stage: str) -> AsyncIterator[Frames]:
    """A websocket before CONNECT, after it, or after joining."""
    if stage == "before CONNECT":
        async with stranger(server) as client:
            assert isinstance(client, Socket)
            yield client.frames
    elif stage == "connected":
        async with guest(server) as client:
            assert isinstance(client, Socket)
            yield client.frames
    else:
        async with member(server) as (client, _):
            assert isinstance(client, Socket)
            yield client.frames


async def code_of_end(frames: Frames) -> int:
    return int.from_bytes((await frames.receive_end())[:2])


@pytest.mark.parametrize("stage", ["before CONNECT", "connected", "joined"])
async def test_broken_frames_close_their_connection_with_this_code(attacked: Server, stage: str) -> None:
    good = {"event": "user:status", "outcome": "ok"}
    before = (await scrape(attacked)).sum("events_total", **good)
    wrong = {}
    async with healthy_call(attacked):
        for name, (frames, code) in BROKEN.items():
            async with attacker(attacked, stage) as websocket:
                await websocket.send(*frames)
                try:
                    assert await code_of_end(websocket) == code
                except Exception as error:  # noqa: BLE001 - all cases are told, not the first only
                    wrong[name] = repr(error)
    assert wrong == {}
    assert (await scrape(attacked)).sum("events_total", **good) == before


@pytest.mark.parametrize("stage", ["connected", "joined"])
async def test_characters_split_over_fragments_arrive(attacked: Server, stage: str) -> None:
    packet = '42["user:status",{"userId":"ü€😀"}]'.encode()
    async with healthy_call(attacked), attacker(attacked, stage) as websocket:
        first, *others = (packet[at : at + 1] for at in range(len(packet)))
        *others, last = others
        middle = [frame(CONTINUATION, part, fin=False) for part in others]
        await websocket.send(frame(TEXT, first, fin=False), *middle, frame(PING, b"between"))
        assert (await websocket.receive()).opcode == PONG
        await websocket.send(frame(CONTINUATION, last))
        assert "ü€😀" in (await websocket.receive()).payload.decode()


HALF = {
    "half a head": frame(TEXT, b"x" * 1000)[:3],
    "half a frame": frame(TEXT, b"4" * 100_000)[:50_000],
    "half a message": frame(TEXT, b"4" * 100_000, fin=False),
    "fragments and half a frame": frame(TEXT, b"4" * 100_000, fin=False) + frame(CONTINUATION, b"4" * 50_000)[:999],
}


async def closed_in_the_middle(server: Server, stage: str, half: bytes) -> int:
    """Send a part of something and nothing more; the code with which the server closes after its pings."""
    async with attacker(server, stage) as websocket:
        await websocket.send(half)
        while (last := await websocket.receive()).opcode != CLOSE:
            assert last.payload == b"2", last
        assert await websocket.wire.read_to_end() == b""
        return int.from_bytes(last.payload[:2])


async def test_half_a_frame_is_waited_for_until_the_heartbeat_ends(impatient: Server) -> None:
    lost = (await scrape(impatient)).sum("disconnects_total", reason="ping_timeout")
    async with healthy_call(impatient):
        codes = await asyncio.gather(*(closed_in_the_middle(impatient, "joined", half) for half in HALF.values()))
    assert codes == [PING_TIMEOUT] * len(HALF)
    await counted(impatient, lost + len(HALF), "disconnects_total", reason="ping_timeout")


@pytest.mark.parametrize("stage", ["before CONNECT", "connected"])
async def test_half_a_frame_before_joining_is_waited_for_until_the_join_timeout(impatient: Server, stage: str) -> None:
    async with healthy_call(impatient):
        codes = await asyncio.gather(*(closed_in_the_middle(impatient, stage, half) for half in HALF.values()))
    assert codes == [POLICY] * len(HALF)


async def fence(frames: Frames, name: bytes) -> None:
    """Wait until what was sent before has been read."""
    await frames.send(frame(PING, name))
    while (got := await frames.receive()).opcode != PONG or got.payload != name:
        assert got.opcode != CLOSE, got


async def hold_all(frames: Frames) -> None:
    """Let the read buffer grow, then leave a message unfinished that is as large as may be, and a frame too."""
    await frames.send(frame(TEXT, event("nothing", "x" * (LIMIT - 20)).encode()) * 4)
    await fence(frames, b"grown")
    parts = [b"x" * (LIMIT // 1000)] * 1000
    await frames.send(frame(TEXT, parts[0], fin=False), *(frame(CONTINUATION, it, fin=False) for it in parts[1:]))
    await fence(frames, b"held")
    await frames.send(frame(CONTINUATION, b"x" * LIMIT)[:-1])


async def all_is_read(server: Server) -> bool:
    return unread_bytes(server) == 0


@pytest.mark.parametrize("stage", ["connected", "joined"])
async def test_hostile_connections_hold_a_bounded_memory(attacked: Server, stage: str) -> None:
    async with healthy_call(attacked) as call:
        before = resident_bytes(attacked)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(HOSTILE):
                await hold_all(await stack.enter_async_context(attacker(attacked, stage)))
            await until(lambda: all_is_read(attacked), "what was sent is read")
            await call.whole_turn()
            assert (resident_bytes(attacked) - before) / HOSTILE < HELD


async def test_nothing_is_kept_of_refused_events(attacked: Server) -> None:
    refused = [event(name, "x" * (LIMIT - 40)).encode() for name in ("nothing", "user:status", "disconnect")]
    async with healthy_call(attacked), attacker(attacked, "joined") as websocket:
        before = resident_bytes(attacked)
        for number in range(REFUSED_EVENTS):
            await websocket.send(frame(TEXT, refused[number % len(refused)]))
            await fence(websocket, b"%d" % number)
        assert resident_bytes(attacked) - before < KEPT_OF_THEM
