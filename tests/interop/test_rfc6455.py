"""RFC 6455, sections 5 to 8, on the bare frame layer: `/ws-echo` echoes messages and nothing else stands between."""

import struct
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.interop.conformance_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    Frames,
    closing,
    frame,
    websocket,
)
from tests.interop.conformance_server import MAX_PAYLOAD_BYTES, Conformance

PATH = "/ws-echo"
PROTOCOL_ERROR, INVALID_DATA, TOO_BIG, POLICY = 1002, 1007, 1009, 1008
TEXTS = "ü€😀"


@pytest.fixture
async def frames(calm: Conformance) -> AsyncIterator[Frames]:
    async with websocket(calm.port, PATH) as opened:
        yield opened


async def code_of_end(frames: Frames) -> int:
    """The code of the close frame that comes next; the server hangs up behind it."""
    payload = await frames.receive_end()
    payload[2:].decode()
    return int.from_bytes(payload[:2])


async def works(frames: Frames) -> None:
    """The websocket echoes, and nothing was said before."""
    await frames.send(frame(TEXT, b"are you there?"))
    assert await frames.receive() == Frame(TEXT, b"are you there?")


# 5.2: lengths, reserved bits, opcodes.


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536, MAX_PAYLOAD_BYTES])
async def test_message_comes_back(frames: Frames, opcode: int, size: int) -> None:
    await frames.send(frame(opcode, b"x" * size))
    assert await frames.receive() == Frame(opcode, b"x" * size)


async def test_every_byte_comes_back(frames: Frames) -> None:
    await frames.send(frame(BINARY, bytes(range(256))), frame(TEXT, f"\0\x7f{TEXTS}\U0010ffff".encode()))
    assert await frames.receive() == Frame(BINARY, bytes(range(256)))
    assert await frames.receive() == Frame(TEXT, f"\0\x7f{TEXTS}\U0010ffff".encode())


async def test_frames_may_be_cut_anywhere(frames: Frames) -> None:
    for byte in frame(TEXT, b"x" * 200):
        await frames.send(bytes([byte]))
    assert await frames.receive() == Frame(TEXT, b"x" * 200)


async def test_many_frames_at_once_stay_in_order(frames: Frames) -> None:
    await frames.send(*(frame(TEXT, b"%d" % number) for number in range(500)))
    for number in range(500):
        assert await frames.receive() == Frame(TEXT, b"%d" % number)


async def test_extension_is_not_agreed_on(calm: Conformance) -> None:
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    async with websocket(calm.port, PATH, offer) as frames:
        assert "Sec-WebSocket-Extensions" not in frames.headers
        await works(frames)


@pytest.mark.parametrize("reserved", [1, 2, 4, 7])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
async def test_reserved_bits_are_refused(frames: Frames, opcode: int, reserved: int) -> None:
    await frames.send(frame(opcode, b"", reserved=reserved))
    assert await code_of_end(frames) == PROTOCOL_ERROR


async def test_reserved_bits_of_a_continuation_are_refused(frames: Frames) -> None:
    await frames.send(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b", reserved=4))
    assert await code_of_end(frames) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"hello"])
async def test_reserved_opcodes_are_refused(frames: Frames, opcode: int, payload: bytes) -> None:
    await frames.send(frame(opcode, payload))
    assert await code_of_end(frames) == PROTOCOL_ERROR


LONG_FORMS = {
    "5 in 16 bits": struct.pack("!BH", 126, 5),
    "5 in 64 bits": struct.pack("!BQ", 127, 5),
    "300 in 64 bits": struct.pack("!BQ", 127, 300),
}


@pytest.mark.parametrize("length", LONG_FORMS.values(), ids=LONG_FORMS.keys())
async def test_length_that_is_not_the_shortest_is_refused(frames: Frames, length: bytes) -> None:
    await frames.send(frame(BINARY, b"x" * int.from_bytes(length[1:]), length=length))
    assert await code_of_end(frames) == PROTOCOL_ERROR


@pytest.mark.parametrize("size", [2**62, 2**63, 2**64 - 1, 2**32, 2**31])
async def test_absurd_length_is_refused_at_once(frames: Frames, size: int) -> None:
    await frames.send(frame(BINARY, b"x", length=struct.pack("!BQ", 127, size)))
    assert await code_of_end(frames) in (PROTOCOL_ERROR, TOO_BIG)


# 5.1: masking.


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
@pytest.mark.parametrize("payload", [b"", b"hello"])
async def test_unmasked_frame_is_refused(frames: Frames, opcode: int, payload: bytes) -> None:
    await frames.send(frame(opcode, payload, masked=False))
    assert await code_of_end(frames) == PROTOCOL_ERROR


# 5.4: fragmentation.


def fragments(opcode: int, parts: Sequence[bytes]) -> list[bytes]:
    """One message in as many frames."""
    last = len(parts) - 1
    return [frame(CONTINUATION if at else opcode, part, fin=at == last) for at, part in enumerate(parts)]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("parts", [[b"a", b"b"], [b"", b""], [b"", b"a", b"", b"b", b""], [b"x" * 70_000] * 3])
async def test_fragments_come_back_whole(frames: Frames, opcode: int, parts: list[bytes]) -> None:
    await frames.send(*fragments(opcode, parts))
    assert await frames.receive() == Frame(opcode, b"".join(parts))
    await works(frames)


async def test_control_frames_between_fragments(frames: Frames) -> None:
    first, second, third = fragments(TEXT, [b"a", b"b", b"c"])
    await frames.send(first, frame(PING, b"one"), second, frame(PONG, b"x"), frame(PING, b"two"), third)
    assert await frames.receive() == Frame(PONG, b"one")
    assert await frames.receive() == Frame(PONG, b"two")
    assert await frames.receive() == Frame(TEXT, b"abc")


async def test_close_between_fragments(frames: Frames) -> None:
    await frames.send(frame(TEXT, b"a", fin=False), frame(CLOSE, closing(1000)))
    assert await code_of_end(frames) == 1000


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("payload", [b"", b"hello"])
async def test_continuation_of_nothing_is_refused(frames: Frames, payload: bytes, *, fin: bool) -> None:
    await frames.send(frame(CONTINUATION, payload, fin=fin))
    assert await code_of_end(frames) == PROTOCOL_ERROR


async def test_continuation_of_a_finished_message_is_refused(frames: Frames) -> None:
    await frames.send(*fragments(TEXT, [b"a", b"b"]))
    assert await frames.receive() == Frame(TEXT, b"ab")
    await frames.send(frame(CONTINUATION, b"c"))
    assert await code_of_end(frames) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
async def test_message_inside_a_message_is_refused(frames: Frames, opcode: int, *, fin: bool) -> None:
    await frames.send(frame(TEXT, b"a", fin=False), frame(opcode, b"b", fin=fin))
    assert await code_of_end(frames) == PROTOCOL_ERROR


# 5.5: control frames.


@pytest.mark.parametrize("payload", [b"", b"hello", bytes(range(125))])
async def test_ping_is_answered_with_its_payload(frames: Frames, payload: bytes) -> None:
    await frames.send(frame(PING, payload))
    assert await frames.receive() == Frame(PONG, payload)


async def test_pong_that_nobody_asked_for_is_ignored(frames: Frames) -> None:
    await frames.send(frame(PONG), frame(PONG, b"hello"))
    await works(frames)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_fragmented_control_frame_is_refused(frames: Frames, opcode: int) -> None:
    await frames.send(frame(opcode, b"", fin=False))
    assert await code_of_end(frames) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("size", [126, 65_536])
async def test_long_control_frame_is_refused(frames: Frames, opcode: int, size: int) -> None:
    await frames.send(frame(opcode, closing(1000) + b"x" * (size - 2)))
    assert await code_of_end(frames) == PROTOCOL_ERROR


# 8.1: UTF-8.

BROKEN = {
    "no UTF-8 byte": b"a\xff",
    "continuation byte alone": b"\x80a",
    "overlong": b"\xc0\xaf",
    "surrogate": b"\xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "cut off": TEXTS.encode()[:-1],
    "cut off after the lead": b"hello\xe2",
}


@pytest.mark.parametrize("payload", BROKEN.values(), ids=BROKEN.keys())
async def test_broken_text_is_refused(frames: Frames, payload: bytes) -> None:
    await frames.send(frame(TEXT, payload))
    assert await code_of_end(frames) == INVALID_DATA


@pytest.mark.parametrize("payload", BROKEN.values(), ids=BROKEN.keys())
async def test_broken_text_in_fragments_is_refused(frames: Frames, payload: bytes) -> None:
    await frames.send(*fragments(TEXT, [payload[at : at + 1] for at in range(len(payload))]))
    assert await code_of_end(frames) == INVALID_DATA


@pytest.mark.parametrize("payload", BROKEN.values(), ids=BROKEN.keys())
async def test_bytes_need_not_be_text(frames: Frames, payload: bytes) -> None:
    await frames.send(frame(BINARY, payload), *fragments(BINARY, [payload[:1], payload[1:]]))
    assert await frames.receive() == await frames.receive() == Frame(BINARY, payload)


@pytest.mark.parametrize("at", range(1, len(TEXTS.encode())))
async def test_characters_may_be_split_over_fragments(frames: Frames, at: int) -> None:
    whole = TEXTS.encode()
    await frames.send(*fragments(TEXT, [whole[:at], b"", whole[at:]]))
    assert await frames.receive() == Frame(TEXT, whole)


# 10.4: limits.


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_message_beyond_the_limit_is_refused(frames: Frames, opcode: int) -> None:
    await frames.send(frame(opcode, b"x" * (MAX_PAYLOAD_BYTES + 1)))
    assert await code_of_end(frames) == TOO_BIG


async def test_message_beyond_the_limit_is_refused_before_it_is_sent(frames: Frames) -> None:
    await frames.send(frame(BINARY, b"", length=struct.pack("!BQ", 127, MAX_PAYLOAD_BYTES + 1)))
    assert await code_of_end(frames) == TOO_BIG


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("sizes", [[MAX_PAYLOAD_BYTES, 1], [600_000, 400_001], [250_000] * 5])
async def test_fragments_beyond_the_limit_are_refused(frames: Frames, opcode: int, sizes: list[int]) -> None:
    await frames.send(*fragments(opcode, [b"x" * size for size in sizes]))
    assert await code_of_end(frames) == TOO_BIG


async def test_fragments_up_to_the_limit_pass(frames: Frames) -> None:
    await frames.send(*fragments(BINARY, [b"x" * (MAX_PAYLOAD_BYTES // 4)] * 4))
    assert await frames.receive() == Frame(BINARY, b"x" * MAX_PAYLOAD_BYTES)


@pytest.mark.parametrize("part", [b"", b"x"])
async def test_endless_fragments_are_refused(frames: Frames, part: bytes) -> None:
    await frames.send(frame(TEXT, b"", fin=False), frame(CONTINUATION, part, fin=False) * 100_000)
    assert await code_of_end(frames) in (POLICY, TOO_BIG)


# 5.5.1 and 7: the end.


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
@pytest.mark.parametrize("reason", [b"", b"bye"])
async def test_goodbye_is_answered_with_its_code(frames: Frames, code: int, reason: bytes) -> None:
    await frames.send(frame(CLOSE, closing(code, reason)))
    assert await code_of_end(frames) == code


async def test_goodbye_with_the_longest_reason(frames: Frames) -> None:
    await frames.send(frame(CLOSE, closing(1000, b"x" * 123)))
    assert await code_of_end(frames) == 1000


async def test_goodbye_without_a_code(frames: Frames) -> None:
    await frames.send(frame(CLOSE))
    assert await frames.receive_end() in (b"", closing(1000))


async def test_goodbye_with_half_a_code_is_refused(frames: Frames) -> None:
    await frames.send(frame(CLOSE, b"\x03"))
    assert await code_of_end(frames) == PROTOCOL_ERROR


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
async def test_goodbye_with_an_invalid_code_is_refused(frames: Frames, code: int) -> None:
    await frames.send(frame(CLOSE, closing(code)))
    assert await code_of_end(frames) == PROTOCOL_ERROR


@pytest.mark.parametrize("reason", [b"\xff", TEXTS.encode()[:-1]])
async def test_goodbye_with_a_broken_reason_is_refused(frames: Frames, reason: bytes) -> None:
    await frames.send(frame(CLOSE, closing(1000, reason)))
    assert await code_of_end(frames) == INVALID_DATA


AFTERWARDS = {
    "a message": frame(TEXT, b"hello"),
    "a ping": frame(PING, b"hello"),
    "a second goodbye": frame(CLOSE, closing(1001)),
    "an invalid frame": frame(3, b"hello", masked=False),
    "much data": frame(BINARY, b"x" * 100_000) * 3,
}


@pytest.mark.parametrize("more", AFTERWARDS.values(), ids=AFTERWARDS.keys())
async def test_nothing_is_answered_after_the_goodbye(frames: Frames, more: bytes) -> None:
    await frames.send(frame(CLOSE, closing(1000)), more)
    assert await code_of_end(frames) in (1000, PROTOCOL_ERROR), "what came in one read with it is looked at as well"


@pytest.mark.parametrize("more", AFTERWARDS.values(), ids=AFTERWARDS.keys())
async def test_nothing_is_answered_after_an_offence(frames: Frames, more: bytes) -> None:
    await frames.send(frame(CONTINUATION, b"x"), more)
    assert await code_of_end(frames) == PROTOCOL_ERROR


async def test_what_came_before_the_goodbye_is_answered(frames: Frames) -> None:
    await frames.send(frame(TEXT, b"last words"), frame(CLOSE, closing(1000)))
    assert await frames.receive() == Frame(TEXT, b"last words")
    assert await code_of_end(frames) == 1000


OFFENCES = {
    "reserved opcode": frame(3),
    "broken text": frame(TEXT, b"\xff"),
    "continuation of nothing": frame(CONTINUATION),
    "not masked": frame(PING, masked=False),
}


@pytest.mark.parametrize("bad", OFFENCES.values(), ids=OFFENCES.keys())
async def test_nothing_follows_the_close_frame(frames: Frames, bad: bytes) -> None:
    await frames.send(frame(TEXT, b"a"), frame(TEXT, b"b"), bad, frame(TEXT, b"c"))
    said = await frames.receive()
    while said.opcode != CLOSE:
        assert said.payload in (b"a", b"b")
        said = await frames.receive()
    await frames.send(frame(CLOSE))
    assert await frames.wire.read_to_end() == b""


async def test_server_hangs_up_on_a_client_that_does_not_say_goodbye(frames: Frames) -> None:
    await frames.send(frame(CONTINUATION, b"x"))
    assert (await frames.receive()).opcode == CLOSE
    assert await frames.wire.read_to_end() == b""


async def test_offender_does_not_disturb_others(calm: Conformance, frames: Frames) -> None:
    async with websocket(calm.port, PATH) as other:
        await other.send(frame(TEXT, b"\xff"))
        assert await code_of_end(other) == INVALID_DATA
    await works(frames)
