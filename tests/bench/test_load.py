import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from bench.load.call import CANDIDATES, Pair, Times
from bench.load.client import Client, LoadError, join, join_all
from bench.load.crowd import Crowd
from bench.server import Process, free_port, running
from tests.bench.faulty import FaultyServer

PATIENCE_S = 20.0


async def one_pair(port: int) -> Pair:
    return Pair(await join(port, "ann"), await join(port, "bob"))


async def one_call(pair: Pair) -> Times:
    """The times of one call, or the first thing that was wrong with it."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    times = Times([], [])

    def failed(error: LoadError) -> None:
        if not over.done():
            over.set_exception(error)

    pair.freed, pair.failed = lambda _pair: over.set_result(None), failed
    pair.call(0.0, times)
    await asyncio.wait_for(over, PATIENCE_S)
    return times


async def test_at_saturation_every_call_is_made_whole(relay: Process) -> None:
    crowd = await Crowd.connect(relay.port, 3)
    run = await crowd.saturate(20)
    await crowd.leave()
    assert run.calls == len(run.times.set_up) == 20
    assert len(run.times.relay) == 20 * 2 * CANDIDATES
    assert min(run.times.relay) > 0
    assert run.generator_share > 0


async def test_at_a_rate_calls_wait_for_a_free_pair_and_are_all_made(relay: Process) -> None:
    crowd = await Crowd.connect(relay.port, 1)
    run = await crowd.at_rate(10, 100_000.0)
    await crowd.leave()
    assert len(run.times.set_up) == 10
    assert sum(run.times.set_up) > run.seconds, "a call that had to wait counts from when it was due"


async def test_calls_at_a_rate_come_at_that_rate(relay: Process) -> None:
    crowd = await Crowd.connect(relay.port, 2)
    run = await crowd.at_rate(20, 40.0)
    await crowd.leave()
    assert run.calls == 20
    assert run.seconds >= 20 / 40.0


async def test_a_rate_that_cannot_be_carried_ends_in_time_with_the_calls_that_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.load.crowd.LATE_S", 0.1)
    async with FaultyServer() as server:
        crowd = await Crowd.connect(server.port, 1)
        run = await crowd.at_rate(50_000, 500_000.0)
        await crowd.leave()
    assert 0 < run.calls == len(run.times.set_up) < 50_000


async def test_saturation_for_a_time_ends_with_whole_calls(relay: Process) -> None:
    crowd = await Crowd.connect(relay.port, 2)
    run = await crowd.saturate_for(0.2)
    await crowd.leave()
    assert 0 < run.calls == len(run.times.set_up)
    assert run.seconds >= 0.2


async def test_a_crowd_can_run_again(relay: Process) -> None:
    crowd = await Crowd.connect(relay.port, 2)
    first, second = await crowd.saturate(5), await crowd.saturate(5)
    await crowd.leave()
    assert len(first.times.set_up) == len(second.times.set_up) == 5


async def test_all_join(relay: Process) -> None:
    clients = await join_all(relay.port, [f"idle-{n}" for n in range(20)], at_once=4)
    assert {client.user for client in clients} == {f"idle-{n}" for n in range(20)}
    await asyncio.gather(*(client.leave() for client in clients))


async def test_an_answer_that_is_an_error_is_a_failure(peer: Process) -> None:
    pair = Pair(await join(peer.port, "ann"), Client("nobody"))
    with pytest.raises(LoadError, match="ann expected call:initiated, got error"):
        await one_call(pair)
    await pair.leave()


async def test_a_faultless_relay_passes() -> None:
    async with FaultyServer() as server:
        pair = await one_pair(server.port)
        times = await one_call(pair)
        await pair.leave()
    assert len(times.relay) == 2 * CANDIDATES


def swapped(sent: list[tuple[str, dict[str, Any]]]) -> None:
    sent[-1], sent[-2] = sent[-2], sent[-1]


def changed(sent: list[tuple[str, dict[str, Any]]]) -> None:
    sent[-1] = (sent[-1][0], {**sent[-1][1], "candidate": {}})


def doubled(sent: list[tuple[str, dict[str, Any]]]) -> None:
    sent.append(sent[-1])


@pytest.mark.parametrize("calls_before", [0, 1], ids=["first call", "second call"])
@pytest.mark.parametrize("fault", [swapped, changed, doubled])
async def test_what_arrives_wrong_is_a_failure(
    fault: Callable[[list[tuple[str, dict[str, Any]]]], None], calls_before: int
) -> None:
    async with FaultyServer() as server:
        pair = await one_pair(server.port)
        for _ in range(calls_before):
            await one_call(pair)
        server.fault = fault
        with pytest.raises(LoadError, match=r"(ann|bob) (expected|got)"):
            await one_call(pair)
        await pair.leave()


async def test_a_lost_message_is_a_failure_that_says_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.load.crowd.PATIENCE_S", 0.5)
    async with FaultyServer(lambda sent: sent.clear()) as server:
        crowd = await Crowd.connect(server.port, 1)
        with pytest.raises(LoadError, match=r"1 calls did not finish; .*caller-0 for ice:candidate"):
            await crowd.saturate(1)
        await crowd.leave()


async def test_a_lost_connection_is_a_failure() -> None:
    async with FaultyServer() as server:
        pair = await one_pair(server.port)
        server.drop()
        with pytest.raises(LoadError, match=r"the connection of (ann|bob) was lost"):
            await one_call(pair)


async def test_nobody_there_is_an_error() -> None:
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await join(free_port(), "ann")


async def test_a_refusal_is_a_failure() -> None:
    with (
        running((sys.executable, "-m", "bench.sink")) as sink,
        pytest.raises(LoadError, match=r"ann was refused: .*501"),
    ):
        await join(sink.port, "ann")
