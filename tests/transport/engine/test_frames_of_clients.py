"""What frames of clients come to, told to the handler. What they see themselves is held by `tests.interop`."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.transport.engine import websocket as module
from service.transport.engine.codes import CloseCode
from service.transport.engine.connection import Connection
from service.transport.link import CloseReason
from tests.interop.conformance_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frames,
    closing,
    frame,
    websocket,
)
from tests.interop.raw_client import Closed
from tests.transport.engine.harness import MAX_MESSAGE_BYTES, PATH, Bench, Recorder, gone

TARGET = f"{PATH}?EIO=4&transport=websocket"


@pytest.fixture
async def frames(bench: Bench) -> AsyncIterator[Frames]:
    """A client whose frames the test makes, behind its handshake."""
    async with bench.serving() as serving, websocket(serving.port, TARGET) as frames:
        assert (await frames.receive()).payload.startswith(b"0{")
        assert bench.handler.take() == [("connected", "websocket")]
        yield frames


@pytest.fixture
def connection(bench: Bench, frames: Frames) -> Connection:
    del frames  # it is there first
    (connection,) = bench.engine
    return connection


async def test_fragments_are_a_message_also_with_a_ping_between_them(bench: Bench, frames: Frames) -> None:
    await frames.send(
        frame(TEXT, "4über".encode()[:2], fin=False),
        frame(PING, b"are you there"),
        frame(CONTINUATION, "4über".encode()[2:]),
        frame(BINARY, b"\x01", fin=False),
        frame(CONTINUATION, b"\x02"),
    )
    assert (await frames.receive()).payload == b"are you there"
    await bench.handler.hears("message", b"\x01\x02")
    assert bench.handler.take() == [("message", "über"), ("message", b"\x01\x02")]


OFFENCES = {
    "reserved bit": (frame(TEXT, b"4", reserved=4), CloseCode.PROTOCOL_ERROR, "reserved bits are zero"),
    "broken text": (frame(TEXT, b"4\xff"), CloseCode.INVALID_TEXT, "a text message is UTF-8"),
    "continuation of nothing": (frame(CONTINUATION, b"4"), CloseCode.PROTOCOL_ERROR, "a continuation continues"),
    "two at once": (frame(TEXT, b"4", fin=False) + frame(TEXT, b"4"), CloseCode.PROTOCOL_ERROR, "one message ends"),
    "too large in pieces": (
        frame(BINARY, b"x" * MAX_MESSAGE_BYTES, fin=False) + frame(CONTINUATION, b"x"),
        CloseCode.MESSAGE_TOO_BIG,
        "the fragments of a message exceed the limit",
    ),
    "close code that nobody may send": (frame(CLOSE, closing(1005)), CloseCode.PROTOCOL_ERROR, ""),
    "close code that means nothing": (frame(CLOSE, closing(5000)), CloseCode.PROTOCOL_ERROR, "a close code is one"),
    "no mask": (frame(TEXT, b"4", masked=False), CloseCode.PROTOCOL_ERROR, ""),
    "too large": (frame(TEXT, b"4" * (MAX_MESSAGE_BYTES + 1)), CloseCode.MESSAGE_TOO_BIG, ""),
}


@pytest.mark.parametrize(("bad", "code", "rule"), OFFENCES.values(), ids=OFFENCES)
async def test_an_offence_closes_with_its_code_and_is_told_once_with_its_rule(
    bench: Bench, frames: Frames, bad: bytes, code: CloseCode, rule: str
) -> None:
    await frames.send(bad, frame(TEXT, b"4too late"))
    assert (await frames.receive_end())[:2] == code.to_bytes(2)
    await gone(bench)
    (told,) = bench.handler.take()
    assert told[:2] == ("disconnected", CloseReason.PROTOCOL_ERROR)
    assert str(told[2]).startswith(rule)
    assert "RFC 6455" in str(told[2]) or "limit" in str(told[2])


@pytest.mark.parametrize(
    ("goodbye", "answer"), [(frame(CLOSE, closing(1000, b"bye")), 1000), (frame(CLOSE, closing(4999)), 4999)]
)
async def test_a_goodbye_is_a_lost_transport_after_what_was_said_before_it(
    bench: Bench, frames: Frames, goodbye: bytes, answer: int
) -> None:
    """Only a packet of Engine.IO or Socket.IO says that the client means to leave."""
    await frames.send(frame(TEXT, b"4last words"), goodbye, frame(TEXT, b"4too late"))
    assert await frames.receive_end() == answer.to_bytes(2)
    await gone(bench)
    assert bench.handler.take() == [("message", "last words"), ("disconnected", CloseReason.TRANSPORT_LOST, None)]


class AnswersLate(Recorder):
    """Answers each message in the next turn of the loop."""

    def message(self, connection: Connection, text: str) -> None:
        """See `Handler`."""
        super().message(connection, text)
        asyncio.get_running_loop().call_soon(connection.send, b"late")
        asyncio.get_running_loop().call_soon(connection.send_binary, b"late")


async def test_nothing_is_said_after_the_answer_to_a_goodbye(bench: Bench) -> None:
    bench.engine.handler = bench.handler = AnswersLate()
    async with bench.serving() as serving, websocket(serving.port, TARGET) as frames:
        await frames.receive()
        await frames.send(frame(TEXT, b"4hello") + frame(CLOSE, closing(1000)))
        assert await frames.receive_end() == CloseCode.NORMAL.to_bytes(2)
        await gone(bench)
        assert bench.handler.take()[1:] == [
            ("message", "hello"),
            ("disconnected", CloseReason.TRANSPORT_LOST, None),
        ]


async def test_a_goodbye_without_a_code(bench: Bench, frames: Frames) -> None:
    await frames.send(frame(CLOSE, b""))
    assert (await frames.receive_end())[:2] in (b"", CloseCode.NORMAL.to_bytes(2))
    await gone(bench)
    assert bench.handler.take() == [("disconnected", CloseReason.TRANSPORT_LOST, None)]


async def test_a_client_that_is_told_to_go_and_does_not_is_cut(
    bench: Bench, frames: Frames, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_GRACE_S", 0.01)
    connection.close(CloseReason.DISMISSED)
    assert (await frames.receive()).payload[:2] == CloseCode.NORMAL.to_bytes(2)
    with pytest.raises(Closed):
        await frames.receive()
    await gone(bench)


async def test_what_comes_after_the_close_is_not_looked_at(
    bench: Bench, frames: Frames, connection: Connection
) -> None:
    connection.close(CloseReason.DISMISSED)
    await frames.send(frame(TEXT, b"4too late"), frame(PING, b"too late"), frame(CLOSE, closing(1000)))
    await gone(bench)
    assert bench.handler.take() == [("disconnected", CloseReason.DISMISSED, None)]


async def test_a_pong_of_the_websocket_is_nothing(bench: Bench, frames: Frames) -> None:
    await frames.send(frame(PONG, b"x"), frame(TEXT, b"4hello"))
    await bench.handler.hears("message", "hello")
    assert bench.handler.take() == [("message", "hello")]


@pytest.mark.parametrize("kind", [TEXT, BINARY])
async def test_a_failing_handler_closes_and_is_logged_without_what_was_sent(
    bench: Bench, frames: Frames, kind: int, caplog: pytest.LogCaptureFixture
) -> None:
    bench.handler.refuses = LookupError()
    await frames.send(frame(kind, b"4what-the-client-says"))
    await frames.receive_end()
    await gone(bench)
    assert [told[0] for told in bench.handler.take()] == ["message", "disconnected"]
    assert "a websocket failed on a message" in caplog.text
    assert "LookupError" in caplog.text
    assert "what-the-client-says" not in caplog.text


async def test_a_client_that_reads_again_in_time_keeps_its_connection() -> None:
    bench = Bench(max_outgoing_bytes=100_000_000)
    async with bench.serving() as serving, websocket(serving.port, TARGET) as frames:
        await frames.receive()
        (connection,) = bench.engine
        bench.handler.take()
        sent = 0
        while not connection.waiting_bytes:
            connection.send(b"x" * 60_000)
            sent += 1
            await asyncio.sleep(0)
        connection.send(b"the last one")
        while (await frames.receive()).payload != b"4the last one":
            sent -= 1
        assert sent == 0
        connection.send(b"and on")
        assert (await frames.receive()).payload == b"4and on"
        assert connection.waiting_bytes == 0
        assert bench.handler.take() == []
