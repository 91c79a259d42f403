"""From polling to a websocket: what the engine does that a client cannot see, and the order of what it sees."""

import aiohttp
import pytest

from service.transport.engine.codes import CloseCode
from service.transport.engine.connection import Connection
from service.transport.link import CloseReason
from tests.transport.engine.harness import Bench, Client, Serving, connect, open_poll, poll


async def probed(connection: Connection, serving: Serving, http: aiohttp.ClientSession) -> Client:
    client = await connect(serving, http, connection.sid)
    await client.websocket.send_str("2probe")
    assert await client.next() == "3probe"
    return client


async def test_what_waits_comes_on_the_new_transport_first_and_in_order(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection = bench.polling()
        client = await probed(connection, serving, http)
        connection.send(b"one")
        connection.send_binary(b"\x02")
        connection.send(b"three")
        assert connection.transport == "polling"
        await client.websocket.send_str("5")
        await bench.handler.hears("upgraded", "websocket")
        connection.send(b"four")
        assert [await client.next() for _ in range(4)] == ["4one", b"\x02", "4three", "4four"]
        assert connection.waiting_bytes == 0
        assert not connection.is_polling()
        assert bench.handler.take() == [("upgraded", "websocket")]


async def test_what_the_handler_says_of_the_upgrade_comes_after_what_waits(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection = bench.polling()
        client = await probed(connection, serving, http)
        connection.send(b"before")
        bench.handler.greeting = b"upgraded"
        await client.websocket.send_str("5")
        assert [await client.next() for _ in range(2)] == ["4before", "4upgraded"]


async def test_polls_are_let_go_by_the_probe_and_during_the_upgrade(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection = bench.polling()
        waiting = await open_poll(connection)
        client = await probed(connection, serving, http)
        assert await waiting == ["6"]
        assert await poll(connection) == ["6"]
        waiting = await open_poll(connection)
        await client.websocket.send_str("5")
        assert await waiting == ["6"]


async def test_a_session_that_is_closed_while_it_upgrades_takes_its_websocket_with_it(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection = bench.polling()
        client = await probed(connection, serving, http)
        connection.close(CloseReason.DISMISSED)
        assert await client.close_code() == CloseCode.POLICY_VIOLATION
        assert await poll(connection) == ["1"]
        assert bench.handler.take() == [("disconnected", CloseReason.DISMISSED, None)]


@pytest.mark.parametrize("wrong", ["4hello", "5", b"\x01"])
async def test_a_wrong_word_ends_the_upgrade_and_not_the_session(bench: Bench, wrong: str | bytes) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection = bench.polling()
        client = await connect(serving, http, connection.sid)
        await (client.websocket.send_str(wrong) if isinstance(wrong, str) else client.websocket.send_bytes(wrong))
        assert await client.close_code() == CloseCode.PROTOCOL_ERROR
        await probed(connection, serving, http)  # there may be another one now
        assert bench.handler.take() == []


async def test_a_websocket_that_goes_away_or_breaks_a_rule_ends_the_upgrade_and_not_the_session(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection = bench.polling()
        lost = await probed(connection, serving, http)
        await lost.websocket.close()
        broken = await probed(connection, serving, http)
        await broken.websocket.send_frame(b"\xff", aiohttp.WSMsgType.TEXT)
        assert await broken.close_code() == CloseCode.INVALID_TEXT
        await probed(connection, serving, http)
        assert bench.handler.take() == []
        assert connection.transport == "polling"


async def test_an_upgrade_takes_its_time_and_not_more(bench: Bench) -> None:
    bench.engine.options = bench.options._replace(upgrade_timeout_s=0.01)
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection = bench.polling()
        client = await connect(serving, http, connection.sid)
        assert await client.close_code() == CloseCode.POLICY_VIOLATION
        assert bench.handler.take() == []
        assert connection.is_polling()


async def test_a_second_websocket_comes_too_late(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        connection = bench.polling()
        first = await probed(connection, serving, http)
        second = await connect(serving, http, connection.sid)
        assert await second.close_code() == CloseCode.POLICY_VIOLATION
        await first.websocket.send_str("5")
        await bench.handler.hears("upgraded", "websocket")
        third = await connect(serving, http, connection.sid)
        assert await third.close_code() == CloseCode.POLICY_VIOLATION
        connection.send(b"still here")
        assert await first.next() == "4still here"
