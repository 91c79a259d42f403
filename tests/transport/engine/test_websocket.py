"""Connections that are on a websocket, over sockets of the loopback. RFC 6455 itself is held by `tests.interop`."""

import asyncio
import json

import aiohttp
import pytest

from service.transport.engine.codes import CloseCode
from service.transport.engine.packets import ProtocolError
from service.transport.engine.session import Heartbeat
from service.transport.link import CloseReason
from tests.transport.engine.harness import PATIENCE_S, Bench, connect, direct, gone


async def test_a_websocket_opens_with_the_handshake(bench: Bench) -> None:
    bench.handler.greeting = b"hello"
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        client = await connect(serving, http)
        opened = await client.next()
        assert isinstance(opened, str)
        assert json.loads(opened[1:])["upgrades"] == []
        assert await client.next() == "4hello"
        assert bench.handler.take() == [("connected", "websocket")]


async def test_messages_both_ways_on_a_websocket(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection, client = await direct(bench, serving, http)
        for packet in ("4one", "6"):
            await client.websocket.send_str(packet)
        await client.websocket.send_bytes(b"\x01\x02")
        await bench.handler.hears("message", b"\x01\x02")
        assert bench.handler.take() == [("message", "one"), ("message", b"\x01\x02")]
        connection.send(b"three")
        connection.send_binary(b"\x03")
        assert [await client.next(), await client.next()] == ["4three", b"\x03"]
        assert connection.waiting_bytes == 0


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (CloseReason.DISMISSED, CloseCode.NORMAL),
        (CloseReason.GOODBYE, CloseCode.NORMAL),
        (CloseReason.TRANSPORT_LOST, CloseCode.NORMAL),
        (CloseReason.SHUTDOWN, CloseCode.GOING_AWAY),
        (CloseReason.PROTOCOL_ERROR, CloseCode.PROTOCOL_ERROR),
        (CloseReason.IDLE, CloseCode.POLICY_VIOLATION),
        (CloseReason.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER),
        (CloseReason.PING_TIMEOUT, CloseCode.PING_TIMEOUT),
    ],
)
async def test_every_reason_has_its_close_code_after_what_was_said_before(
    bench: Bench, reason: CloseReason, code: CloseCode
) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection, client = await direct(bench, serving, http)
        connection.send(b"last words")
        connection.close(reason)
        connection.send(b"too late")
        connection.send_binary(b"too late")
        assert bench.handler.take() == [("disconnected", reason, None)]
        assert await client.next() == "4last words"
        assert await client.close_code() == code
        await gone(bench)
        assert bench.handler.take() == []


@pytest.mark.parametrize("refusal", ["packet", "text", "binary"])
async def test_a_broken_rule_closes_a_websocket(bench: Bench, refusal: str) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        _, client = await direct(bench, serving, http)
        if refusal == "packet":
            rule = "a client sends pong, message, close or noop"
            await client.websocket.send_str("x")
        else:
            rule = "a rule of the layer above"
            bench.handler.refuses = ProtocolError(rule)
            await (client.websocket.send_str("4") if refusal == "text" else client.websocket.send_bytes(b""))
        assert await client.close_code() == CloseCode.PROTOCOL_ERROR
        await gone(bench)
        assert bench.handler.take()[-1] == ("disconnected", CloseReason.PROTOCOL_ERROR, rule)


async def test_a_goodbye_on_a_websocket(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        _, client = await direct(bench, serving, http)
        await client.websocket.send_str("1")
        assert await client.close_code() == CloseCode.NORMAL
        assert bench.handler.take() == [("disconnected", CloseReason.GOODBYE, None)]


async def test_a_websocket_that_is_lost(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection, client = await direct(bench, serving, http)
        transport = client.websocket.get_extra_info("socket")
        assert transport is not None
        await http.close()
        await gone(bench)
        assert bench.handler.take() == [("disconnected", CloseReason.TRANSPORT_LOST, None)]
        assert bench.forgotten == [connection.sid]


async def test_a_websocket_that_is_cut(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection, client = await direct(bench, serving, http)
        connection.abort()
        await gone(bench)
        assert await client.close_code() is not None
        assert bench.handler.take() == [("disconnected", CloseReason.TRANSPORT_LOST, None)]


async def test_a_client_that_does_not_read_its_websocket_is_given_up_at_the_bound(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection, _ = await direct(bench, serving, http)
        waited = 0
        while not connection.closed:
            connection.send(b"x" * 100_000)
            await asyncio.sleep(0)
            waited = max(waited, connection.waiting_bytes, bench.engine.most_waiting_bytes())
        assert bench.handler.take() == [
            ("dropped", "slow_consumer", 1),
            ("disconnected", CloseReason.SLOW_CONSUMER, "what is sent is read"),
        ]
        assert connection.waiting_bytes == 0


async def test_pings_come_at_the_interval_also_where_clients_have_longer_to_answer() -> None:
    bench = Bench(Heartbeat(0.05, 100 * PATIENCE_S))
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        _, client = await direct(bench, serving, http)
        for _ in range(3):
            assert await client.next() == "2"
            await client.websocket.send_str("3")
            await bench.handler.hears("answered", "websocket", True)
            bench.handler.take()
