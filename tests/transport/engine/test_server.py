import asyncio
import re

import pytest

from service.transport.engine.server import MAX_STEP_S, new_sid
from service.transport.engine.session import Heartbeat
from service.transport.link import CloseReason
from tests.transport.engine.harness import PATIENCE_S, Bench


def test_a_sid_has_120_bits_and_can_stand_in_an_address() -> None:
    sids = {new_sid() for _ in range(1000)}
    assert len(sids) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{20}", sid) for sid in sids)


async def test_connections_are_found_by_their_sid_until_they_are_forgotten(bench: Bench) -> None:
    one, other = bench.polling(), bench.polling()
    assert len(bench.engine) == 2
    assert set(bench.engine) == {one, other}
    assert bench.engine.get(one.sid) is one
    assert one.address == "192.0.2.1"
    bench.engine.forget(one)
    assert bench.engine.get(one.sid) is None
    assert bench.engine.get(other.sid) is other
    assert set(bench.engine) == {other}


async def test_the_connections_of_now_may_be_closed_while_they_are_gone_through(bench: Bench) -> None:
    for _ in range(3):
        bench.polling()
    for connection in bench.engine:
        connection.abort()
    assert len(bench.engine) == 0
    assert len(bench.forgotten) == 3


async def test_forgetting_is_told_once(bench: Bench) -> None:
    connection = bench.polling()
    bench.engine.forget(connection)
    bench.engine.forget(connection)
    connection.abort()
    assert bench.forgotten == [connection.sid]


async def test_a_closing_connection_counts_until_it_is_forgotten(bench: Bench) -> None:
    connection = bench.polling()
    connection.close(CloseReason.SHUTDOWN)
    assert len(bench.engine) == 1
    await connection.polled()
    assert len(bench.engine) == 0


async def test_waiting_for_the_last_connection(bench: Bench) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await bench.engine.emptied()
    first, last = bench.polling(), bench.polling()
    emptied = asyncio.ensure_future(bench.engine.emptied())
    await asyncio.sleep(0)
    bench.engine.forget(first)
    await asyncio.sleep(0)
    assert not emptied.done()
    bench.engine.forget(last)
    async with asyncio.timeout(PATIENCE_S):
        await emptied


async def test_who_comes_while_the_last_one_leaves_is_waited_for_too(bench: Bench) -> None:
    first = bench.polling()
    emptied = asyncio.ensure_future(bench.engine.emptied())
    await asyncio.sleep(0)
    bench.engine.forget(first)
    late = bench.polling()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not emptied.done()
    bench.engine.forget(late)
    async with asyncio.timeout(PATIENCE_S):
        await emptied


async def test_the_slowest_reader_is_the_measure(bench: Bench) -> None:
    assert bench.engine.most_waiting_bytes() == 0
    keeps_up, slow, slower = bench.polling(), bench.polling(), bench.polling()
    slow.send(b"x" * 100)
    slower.send(b"x" * 200)
    assert bench.engine.most_waiting_bytes() == 201
    await slower.polled()
    assert bench.engine.most_waiting_bytes() == 101
    slow.abort()
    assert bench.engine.most_waiting_bytes() == keeps_up.waiting_bytes == 0


@pytest.mark.parametrize(
    ("heartbeat", "step_s"),
    [(Heartbeat(25.0, 20.0), MAX_STEP_S), (Heartbeat(1.0, 20.0), 0.02), (Heartbeat(25.0, 0.1), 0.002)],
)
async def test_one_timer_that_is_fine_enough_for_the_heartbeat(heartbeat: Heartbeat, step_s: float) -> None:
    engine = Bench(heartbeat).engine
    assert engine.wheel.step_s == pytest.approx(step_s)
    assert engine.wheel is engine.wheel
