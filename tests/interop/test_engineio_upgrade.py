"""Engine.IO v4: from polling to a websocket, with nothing lost and nothing said twice."""

import time

import pytest

from tests.interop.conformance_clients import (
    SOCKET,
    Packet,
    ends,
    kept_alive,
    packets_of,
    polling,
    probe,
    receive,
    receive_all,
    second_socket,
    socket,
    upgraded,
)
from tests.interop.conformance_frames import Refused
from tests.interop.conformance_server import Conformance

POLL_PACE_S = 0.1
TIMER_S = 0.02
"""How much sooner than told a timer may fire: timers have a granularity."""


async def test_open_poll_is_released_and_messages_flow(conformance: Conformance) -> None:
    async with polling(conformance) as old, old.open_poll() as poll, second_socket(conformance, old.sid) as new:
        await probe(new)
        answer = await poll.reply()
        assert (answer.status, answer.body) in ((200, "6"), (200, "2"))
        await new.send("5", "4hello", b"\x01")
        assert await receive_all(new, 2) == ["4hello", b"\x01"]


async def test_poll_that_is_open_at_the_upgrade_is_released(calm: Conformance) -> None:
    async with polling(calm) as old, old.open_poll() as poll, second_socket(calm, old.sid) as new:
        await new.send("2probe", "5", "4hello")
        assert await receive_all(new, 2) == ["3probe", "4hello"]
        answer = await poll.reply()
        assert (answer.status, answer.body) == (200, "6")


async def test_polls_during_the_upgrade_are_answered_at_a_pace(calm: Conformance) -> None:
    polls = 6
    async with polling(calm) as old, second_socket(calm, old.sid) as new:
        await probe(new)
        began = time.monotonic()
        for _ in range(polls):
            assert (await old.poll()).body == "6"
        # The first may come at any time of the first pause.
        assert time.monotonic() - began >= (polls - 1) * (POLL_PACE_S - TIMER_S)
        await new.send("5", "4hello")
        assert await receive(new) == "4hello"


async def test_messages_come_once_and_in_order(conformance: Conformance) -> None:
    messages: list[Packet] = [f"4{number}" if number % 2 else bytes([number]) for number in range(40)]
    async with polling(conformance) as old, second_socket(conformance, old.sid) as new:
        await old.send(*messages[:10])
        heard = await receive_all(old, 10)
        await probe(new)
        async with old.open_poll() as poll:
            await old.send(*messages[10:20])
            heard += [packet for packet in packets_of((await poll.reply()).body) if packet not in ("2", "6")]
        await new.send("5", *messages[20:])
        heard += await receive_all(new, len(messages) - len(heard))
        assert heard == messages
        await new.send("4and no more")
        assert await receive(new) == "4and no more"


async def test_messages_that_nobody_polled_come_on_the_websocket(conformance: Conformance) -> None:
    messages: list[Packet] = [f"4{number}" for number in range(40)]
    async with polling(conformance) as old, second_socket(conformance, old.sid) as new:
        await old.send(*messages[:20])
        await probe(new)
        await old.send(*messages[20:])
        await new.send("5")
        assert await receive_all(new, len(messages)) == messages


async def test_noop_does_not_stray_to_the_websocket(calm: Conformance) -> None:
    async with polling(calm) as old, second_socket(calm, old.sid) as new:
        await probe(new)
        assert (await old.poll()).body == "6"
        await new.send("5", "4first", "4second")
        assert [await new.next(), await new.next()] == ["4first", "4second"]


@pytest.mark.parametrize("path", ["/engine.io/", SOCKET])
async def test_old_transport_is_refused(conformance: Conformance, path: str) -> None:
    async with upgraded(conformance, path) as (old, new):
        await new.send("40")
        assert str(await receive(new)).startswith("40")
        assert (await old.poll()).status == 400
        assert (await old.post("4hello")).status == 400


async def test_heart_goes_on_beating(brisk: Conformance) -> None:
    async with polling(brisk) as old:
        assert await old.next() == "2"
        async with second_socket(brisk, old.sid) as new:
            await probe(new)
            await new.send("5", "3")
            for _ in range(3):
                assert await new.next() == "2"
                await new.send("3", "4hello")
                assert await new.next() == "4hello"


async def is_turned_away(server: Conformance, sid: str) -> bool:
    """Whether a further websocket for a session is refused, or closed as soon as it is used."""
    try:
        async with second_socket(server, sid) as intruder:
            await intruder.send("2probe", "5", "4intruder")
            await ends(intruder)
    except Refused:
        return True
    return True


async def test_second_websocket_after_the_upgrade_is_closed(conformance: Conformance) -> None:
    async with upgraded(conformance) as (old, new):
        await new.send("4first")
        assert await receive(new) == "4first"
        assert await is_turned_away(conformance, old.sid)
        await new.send("4still here")
        assert await receive(new) == "4still here"


async def test_second_websocket_during_the_upgrade_is_closed(conformance: Conformance) -> None:
    async with polling(conformance) as old, second_socket(conformance, old.sid) as new:
        await probe(new)
        assert await is_turned_away(conformance, old.sid)
        await new.send("5", "4still here")
        assert await receive(new) == "4still here"


async def test_second_websocket_for_a_websocket_is_closed(conformance: Conformance) -> None:
    async with socket(conformance) as direct:
        assert await is_turned_away(conformance, direct.handshake["sid"])
        await direct.send("4still here")
        assert await receive(direct) == "4still here"


@pytest.mark.parametrize("wrong", ["2", "2other", "4hello", "3probe", "abc", "", b"\x01"])
async def test_websocket_that_does_not_probe_is_closed(conformance: Conformance, wrong: Packet) -> None:
    async with polling(conformance) as old:
        async with second_socket(conformance, old.sid) as new:
            await new.send(wrong)
            await ends(new)
        await old.send("4goes on")
        assert await receive(old) == "4goes on"


async def test_websocket_that_says_something_else_after_the_probe_is_closed(conformance: Conformance) -> None:
    async with polling(conformance) as old:
        async with second_socket(conformance, old.sid) as new:
            await probe(new)
            await new.send("4too early")
            await ends(new)
        await old.send("4goes on")
        assert await receive(old) == "4goes on"


async def test_upgrade_can_be_tried_again(conformance: Conformance) -> None:
    async with polling(conformance) as old:
        async with second_socket(conformance, old.sid) as lost:
            await probe(lost)
        await old.send("4goes on")
        assert await receive(old) == "4goes on"
        await upgrade_again(conformance, old.sid)


async def upgrade_again(server: Conformance, sid: str) -> None:
    async with second_socket(server, sid) as new:
        await probe(new)
        await new.send("5", "4hello")
        assert await receive(new) == "4hello"


@pytest.mark.parametrize("probes", [True, False])
async def test_upgrade_is_given_up(hasty: Conformance, *, probes: bool) -> None:
    began = time.monotonic()
    async with polling(hasty) as old, kept_alive(old) as heard, second_socket(hasty, old.sid) as new:
        if probes:
            await probe(new)
        await ends(new)
        assert time.monotonic() - began >= hasty.deadlines.upgrade_timeout_ms / 1000 - TIMER_S
        await old.send("4goes on")
        assert await heard.get() == "4goes on"
