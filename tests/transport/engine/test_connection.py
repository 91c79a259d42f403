import asyncio
import itertools
import json
import time

import pytest

from service.transport.engine import connection as module
from service.transport.engine.connection import Connection
from service.transport.engine.packets import MAX_PACKETS_PER_ANSWER, ProtocolError
from service.transport.engine.session import Heartbeat
from service.transport.link import CloseReason
from tests.transport.engine.harness import (
    INTERVAL_S,
    MAX_MESSAGE_BYTES,
    MAX_OUTGOING_BYTES,
    PATIENCE_S,
    TIMEOUT_S,
    Bench,
    open_poll,
    poll,
)

CLOSED_LATER = (CloseReason.DISMISSED, CloseReason.SLOW_CONSUMER)
LINGERING = (*CLOSED_LATER, CloseReason.SHUTDOWN)
AT_ONCE = (CloseReason.TRANSPORT_LOST, CloseReason.PING_TIMEOUT, CloseReason.PROTOCOL_ERROR, CloseReason.IDLE)


def beats(connection: Connection, seconds: float) -> float | None:
    """The timer comes, this long after the connection was opened."""
    return connection.wake(connection.opened_at_s + seconds)


# --- polling: opening, messages in ---------------------------------------------------------------------------


async def test_polling_opens_with_the_handshake_and_what_the_handler_says_at_once(bench: Bench) -> None:
    bench.handler.greeting = b"hello"
    connection = bench.engine.new_connection("192.0.2.1")
    opened, greeting = connection.begin_on_polling().decode().split("\x1e")
    assert json.loads(opened[1:]) == {
        "sid": connection.sid,
        "upgrades": ["websocket"],
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": MAX_MESSAGE_BYTES,
    }
    assert greeting == "4hello"
    assert bench.handler.take() == [("connected", "polling")]
    assert connection.transport == "polling"
    assert connection.waiting_bytes == 0


async def test_packets_of_a_post_are_taken_in_order(bench: Bench) -> None:
    connection = bench.polling()
    connection.posted(["4one", "bAQI=", "6", "3", "4", "4two"])
    assert bench.handler.take() == [("message", it) for it in ("one", b"\x01\x02", "", "two")]


async def test_nothing_after_a_goodbye_is_looked_at(bench: Bench) -> None:
    connection = bench.polling()
    connection.posted(["4one", "1", "4two", "no packet at all"])
    assert bench.handler.take() == [("message", "one"), ("disconnected", CloseReason.GOODBYE, None)]
    assert bench.forgotten == [connection.sid]


@pytest.mark.parametrize(
    ("packet", "rule"),
    [("x", "a client sends pong, message, close or noop"), ("b!", "a binary packet is base64")],
)
async def test_a_broken_packet_closes(bench: Bench, packet: str, rule: str) -> None:
    connection = bench.polling()
    with pytest.raises(ProtocolError, match=rule):
        connection.posted(["4one", packet, "4two"])
    assert bench.handler.take() == [("message", "one"), ("disconnected", CloseReason.PROTOCOL_ERROR, rule)]
    assert not connection.is_polling()


@pytest.mark.parametrize(("packet", "message"), [("4one", "one"), ("bAQI=", b"\x01\x02")])
async def test_what_the_handler_refuses_closes(bench: Bench, packet: str, message: str | bytes) -> None:
    connection = bench.polling()
    bench.handler.refuses = ProtocolError("a rule of the layer above")
    with pytest.raises(ProtocolError, match="a rule of the layer above"):
        connection.posted([packet, "4two"])
    disconnected = ("disconnected", CloseReason.PROTOCOL_ERROR, "a rule of the layer above")
    assert bench.handler.take() == [("message", message), disconnected]


async def test_a_failing_handler_is_not_the_clients_fault(bench: Bench) -> None:
    connection = bench.polling()
    bench.handler.refuses = LookupError()
    with pytest.raises(LookupError):
        connection.posted(["4one"])
    assert not connection.closed


# --- polling: messages out -----------------------------------------------------------------------------------


async def test_what_waits_is_answered_at_once_and_in_order(bench: Bench) -> None:
    connection = bench.polling()
    connection.send(b"one")
    connection.send_binary(b"\x01\x02")
    connection.send(b"two")
    assert connection.waiting_bytes == len("4onebAQI=4two")
    assert await poll(connection) == ["4one", "bAQI=", "4two"]
    assert connection.waiting_bytes == 0


async def test_a_poll_waits_for_something_to_answer(bench: Bench) -> None:
    connection = bench.polling()
    waiting = await open_poll(connection)
    connection.send(b"one")
    connection.send(b"two")
    assert await waiting == ["4one", "4two"]


async def test_a_poll_that_was_hung_up_loses_nothing_and_makes_room_for_the_next(bench: Bench) -> None:
    connection = bench.polling()
    waiting = await open_poll(connection)
    waiting.cancel()
    await asyncio.wait((waiting,))
    connection.send(b"one")
    assert await poll(connection) == ["4one"]


async def test_an_answer_holds_as_many_packets_as_clients_accept(bench: Bench) -> None:
    connection = bench.polling()
    messages = [f"4{number}" for number in range(2 * MAX_PACKETS_PER_ANSWER + 1)]
    for message in messages:
        connection.send(message[1:].encode())
    answers = [await poll(connection) for _ in range(3)]
    assert [len(answer) for answer in answers] == [MAX_PACKETS_PER_ANSWER, MAX_PACKETS_PER_ANSWER, 1]
    assert list(itertools.chain(*answers)) == messages
    assert not connection.closed


async def test_one_poll_at_a_time(bench: Bench) -> None:
    connection = bench.polling()
    waiting = await open_poll(connection)
    with pytest.raises(ProtocolError, match="one poll at a time"):
        await connection.polled()
    assert await waiting == ["1"]
    assert bench.handler.take() == [("disconnected", CloseReason.PROTOCOL_ERROR, "one poll at a time")]
    assert bench.forgotten == [connection.sid]


async def test_a_client_that_does_not_fetch_is_given_up_at_the_bound(bench: Bench) -> None:
    connection = bench.polling()
    connection.send(b"x" * 499)
    connection.send(b"x" * 499)
    assert bench.handler.take() == []
    assert connection.waiting_bytes == MAX_OUTGOING_BYTES
    connection.send(b"")
    assert bench.handler.take() == [
        ("dropped", "slow_consumer", 3),
        ("disconnected", CloseReason.SLOW_CONSUMER, "what is sent is read"),
    ]
    assert await poll(connection) == ["1"]
    assert bench.handler.take() == []
    assert bench.forgotten == [connection.sid]


async def test_what_was_given_up_does_not_wait_any_more(bench: Bench) -> None:
    connection = bench.polling()
    connection.send(b"x" * 900)
    connection.send(b"x" * 900)
    assert connection.waiting_bytes <= len("1")


async def test_pings_are_no_messages_that_were_dropped(bench: Bench) -> None:
    connection = bench.polling()
    beats(connection, INTERVAL_S)
    connection.send(b"x" * 900)
    connection.send(b"x" * 900)
    assert bench.handler.take()[0] == ("dropped", "slow_consumer", 2)


async def test_the_bound_is_of_what_waits_and_not_of_what_was_sent(bench: Bench) -> None:
    connection = bench.polling()
    for _ in range(10):
        connection.send(b"x" * 900)
        await poll(connection)
    assert bench.handler.take() == []


# --- polling: the end ----------------------------------------------------------------------------------------


async def test_at_a_stop_the_last_words_can_be_fetched_and_nothing_says_that_it_is_for_good(bench: Bench) -> None:
    connection = bench.polling()
    connection.send(b"last words")
    connection.close(CloseReason.SHUTDOWN)
    assert bench.handler.take() == [("disconnected", CloseReason.SHUTDOWN, None)]
    assert connection.is_polling()
    assert await poll(connection) == ["4last words", "6"]
    assert bench.forgotten == [connection.sid]
    assert not connection.is_polling()
    assert bench.handler.take() == []


async def test_an_open_poll_is_answered_at_a_stop(bench: Bench) -> None:
    connection = bench.polling()
    waiting = await open_poll(connection)
    connection.close(CloseReason.SHUTDOWN)
    assert await waiting == ["6"]
    assert bench.forgotten == [connection.sid]


@pytest.mark.parametrize("reason", CLOSED_LATER)
async def test_the_last_words_can_still_be_fetched_and_the_close_comes_alone(bench: Bench, reason: CloseReason) -> None:
    connection = bench.polling()
    connection.send(b"last words")
    connection.close(reason)
    assert bench.handler.take() == [("disconnected", reason, None)]
    assert connection.is_polling()
    assert bench.forgotten == []
    assert await poll(connection) == ["4last words"]
    assert bench.forgotten == []
    assert await poll(connection) == ["1"]
    assert bench.forgotten == [connection.sid]
    assert not connection.is_polling()
    assert bench.handler.take() == []


@pytest.mark.parametrize("reason", LINGERING)
async def test_a_client_that_does_not_fetch_its_last_words_is_not_waited_for(
    bench: Bench, reason: CloseReason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER_S", 0.01)
    connection = bench.polling()
    connection.send(b"one")
    connection.send_binary(b"two")
    connection.close(reason)
    async with asyncio.timeout(PATIENCE_S):
        await bench.engine.emptied()
    assert bench.handler.take() == [("disconnected", reason, None), ("dropped", "unfetched", 2)]
    assert bench.forgotten == [connection.sid]


@pytest.mark.parametrize("reason", AT_ONCE)
async def test_other_ends_are_at_once(bench: Bench, reason: CloseReason) -> None:
    connection = bench.polling()
    beats(connection, INTERVAL_S)
    connection.send(b"one")
    connection.close(reason, "a rule")
    assert bench.handler.take() == [("disconnected", reason, "a rule"), ("dropped", "unfetched", 1)]
    assert bench.forgotten == [connection.sid]
    assert not connection.is_polling()


@pytest.mark.parametrize("reason", [*CLOSED_LATER, *AT_ONCE])
async def test_an_open_poll_hears_of_the_end(bench: Bench, reason: CloseReason) -> None:
    connection = bench.polling()
    waiting = await open_poll(connection)
    connection.close(reason)
    assert await waiting == ["1"]
    assert bench.forgotten == [connection.sid]


async def test_an_open_poll_of_a_client_that_leaves_is_released(bench: Bench) -> None:
    connection = bench.polling()
    waiting = await open_poll(connection)
    connection.posted(["1"])
    assert await waiting == ["6"]
    assert bench.forgotten == [connection.sid]


async def test_a_poll_that_came_before_the_end_gets_what_was_said_before_it(bench: Bench) -> None:
    connection = bench.polling()
    waiting = await open_poll(connection)
    connection.send(b"last words")
    connection.close(CloseReason.DISMISSED)
    assert await waiting == ["4last words"]
    assert await poll(connection) == ["1"]


async def test_a_closed_connection_says_and_hears_nothing_more(bench: Bench) -> None:
    connection = bench.polling()
    connection.close(CloseReason.DISMISSED)
    bench.handler.take()
    connection.send(b"one")
    connection.send_binary(b"two")
    connection.posted(["4three"])
    connection.close(CloseReason.SHUTDOWN)
    assert beats(connection, 1000.0) is None
    assert await poll(connection) == ["1"]
    assert bench.handler.take() == []


async def test_what_is_cut_is_gone_at_once(bench: Bench) -> None:
    connection = bench.polling()
    waiting = await open_poll(connection)
    connection.abort()
    connection.abort()
    assert await waiting == ["6"]
    assert bench.handler.take() == [("disconnected", CloseReason.TRANSPORT_LOST, None)]
    assert bench.forgotten == [connection.sid]


# --- time ----------------------------------------------------------------------------------------------------


async def test_pings_and_pongs(bench: Bench) -> None:
    connection = bench.polling()
    step_s = bench.engine.wheel.step_s
    assert beats(connection, INTERVAL_S - 2 * step_s) == pytest.approx(connection.opened_at_s + INTERVAL_S)
    assert connection.waiting_bytes == 0
    assert beats(connection, INTERVAL_S) == pytest.approx(connection.opened_at_s + INTERVAL_S + TIMEOUT_S)
    assert await poll(connection) == ["2"]
    connection.posted(["3"])
    assert [told[:2] for told in bench.handler.take()] == [("answered", "polling")]
    connection.posted(["3"])
    assert bench.handler.take() == []


async def test_a_silent_client_is_closed(bench: Bench) -> None:
    connection = bench.polling()
    beats(connection, INTERVAL_S)
    await poll(connection)
    assert beats(connection, INTERVAL_S + TIMEOUT_S - 0.01) is not None
    assert beats(connection, INTERVAL_S + TIMEOUT_S) is None
    assert bench.handler.take() == [("disconnected", CloseReason.PING_TIMEOUT, None)]


async def test_a_silent_client_is_found_out_by_its_next_request_too() -> None:
    bench = Bench(Heartbeat(1e-6, 1e-6))
    connection = bench.polling()
    assert connection.is_polling()  # a request sends no ping, however late it is
    beats(connection, 2e-6)
    bench.handler.take()
    assert not connection.is_polling()
    assert bench.handler.take()[0] == ("disconnected", CloseReason.PING_TIMEOUT, None)


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_connection_has_to_become_what_it_is_for(bench: Bench, *, confirmed: bool) -> None:
    bench.handler.confirm_at_s = time.monotonic() + 10.0
    bench.handler.is_confirmed = confirmed
    connection = bench.polling()
    assert connection.wake(bench.handler.confirm_at_s - 1.0) == bench.handler.confirm_at_s
    assert bench.handler.take() == []
    next_s = connection.wake(bench.handler.confirm_at_s)
    if confirmed:
        assert next_s == pytest.approx(connection.opened_at_s + INTERVAL_S)
        assert bench.handler.take() == [("confirmed?", "polling")]
        connection.wake(bench.handler.confirm_at_s + 1.0)
        assert bench.handler.take() == []
    else:
        assert next_s is None
        assert bench.handler.take() == [
            ("confirmed?", "polling"),
            ("disconnected", CloseReason.IDLE, "nothing was joined in time"),
        ]
