"""The drain of a node with real time, as short as it gets: who is told what, and who is closed when."""

import asyncio
import json
from typing import Any

import pytest

from service.adapters.memory.clock import LoopClock
from service.bootstrap import Node, compose
from service.config import Settings
from service.domain.ids import SessionId
from service.ports import Identity, Observer
from service.transport import drain as module
from service.transport.drain import RETURNS_PER_S, SPREAD_SHARE, Drain
from service.transport.link import CloseReason

TIMEOUT_S = 0.4
SPREAD_MS = 1000 * SPREAD_SHARE * TIMEOUT_S
MANY = round(2 * SPREAD_SHARE * TIMEOUT_S * RETURNS_PER_S)
"""Clients who would take twice the time that there is."""


class Crowd:
    """The clients of a composed node, and all that happens to them in one list: (who, what, payload)."""

    def __init__(self, **settings: Any) -> None:
        chosen = {"shutdown_timeout_s": TIMEOUT_S, **settings}
        clock = LoopClock(asyncio.get_running_loop())
        self.node: Node = compose(Settings(_env_file=None, **chosen), clock, Observer())  # type: ignore[call-arg] # pydantic-settings takes it
        self.clock = clock
        self.seen: list[tuple[str, str, Any]] = []

    def add(self, name: str) -> str:
        """A client that has joined."""
        self.node.gateway.opened(_CrowdLink(name, self), Identity(), 0.0)
        self.say(name, "user:join", {"userId": name})
        return name

    def say(self, name: str, event: str, payload: object) -> None:
        """A client sends an event."""
        self.node.gateway.receive(SessionId(name), f"2{json.dumps([event, payload])}")

    def call(self, caller: str, callee: str) -> None:
        """One calls the other."""
        self.say(caller, "call:initiate", {"to": callee, "callType": "audio"})

    def of(self, what: str) -> dict[str, Any]:
        """To whom something has happened, in that order, and with which payload."""
        return {who: payload for who, seen, payload in self.seen if seen == what}

    def drain(self, *, calls_move: bool) -> Drain:
        """Another drain of the node than its own."""
        node = self.node
        return Drain(
            transport=node.transport,
            gateway=node.gateway,
            control=node.control,
            health=node.health,
            clock=self.clock,
            calls_move=calls_move,
            shutdown_timeout_s=TIMEOUT_S,
        )


class _CrowdLink:
    """See `service.transport.link.Link`."""

    transport = "websocket"
    address = ""

    def __init__(self, name: str, crowd: Crowd) -> None:
        self.id = SessionId(name)
        self._crowd = crowd

    def send(self, packet: bytes) -> None:
        """See `Link.send`."""
        event, payload = json.loads(packet[1:])
        self._crowd.seen.append((self.id, event, payload))

    def close(self, reason: CloseReason) -> None:
        """See `Link.close`."""
        self._crowd.seen.append((self.id, "closed", reason))
        self._crowd.node.gateway.closed(self.id, reason)

    def abort(self, reason: CloseReason, rule: str) -> None:
        """See `Link.abort`."""
        raise AssertionError(reason, rule)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that telling them takes several turns of the loop."""
    monkeypatch.setattr(module, "TOLD_AT_ONCE", 10)


def delays(crowd: Crowd) -> dict[str, int]:
    """What each client was told, in the order in which they were told."""
    return {who: told["reconnectInMs"] for who, told in crowd.of("server:draining").items()}


async def test_clients_are_spread_evenly_over_the_time_and_closed_in_the_order_of_their_times() -> None:
    crowd = Crowd()
    names = [crowd.add(f"user{number}") for number in range(MANY)]
    crowd.node.drain.begin()
    await crowd.node.drain.clear()
    told = delays(crowd)
    assert sorted(told) == sorted(names)
    assert list(told) != names
    step_ms = SPREAD_MS / MANY
    for place, delay_ms in enumerate(sorted(told.values())):
        assert place * step_ms - 1 <= delay_ms <= (place + 1) * step_ms + 1
    closed = crowd.of("closed")
    assert set(closed.values()) == {CloseReason.SHUTDOWN}
    assert [told[who] for who in closed] == sorted(told.values())
    assert len(crowd.node.gateway) == 0


async def test_the_order_is_another_one_each_time() -> None:
    orders = []
    for _ in range(2):
        crowd = Crowd()
        for number in range(50):
            crowd.add(f"user{number}")
        crowd.node.drain.begin()
        await crowd.node.drain.clear()
        orders.append(list(crowd.of("closed")))
    assert orders[0] != orders[1]


async def test_few_clients_are_not_kept_waiting() -> None:
    crowd = Crowd(shutdown_timeout_s=300)
    crowd.add("alice"), crowd.add("bob")
    crowd.node.drain.begin()
    await crowd.node.drain.clear()
    assert max(delays(crowd).values()) <= 2 / RETURNS_PER_S * 1000


async def test_without_clients_there_is_nothing_to_wait_for() -> None:
    crowd = Crowd(shutdown_timeout_s=300)
    crowd.node.drain.begin()
    async with asyncio.timeout(10):
        await crowd.node.drain.clear()


async def test_it_begins_once() -> None:
    crowd = Crowd()
    node = crowd.node
    node.health.ready = True
    for name in ("alice", "bob"):
        crowd.add(name)
    assert not node.drain.begun.is_set()
    node.drain.begin()
    assert (node.health.ready, node.health.draining, node.transport.routes.closing) == (False, True, True)
    crowd.call("alice", "bob")
    node.drain.begin()
    await node.drain.clear()
    assert crowd.of("error")["alice"]["code"] == "unavailable"
    assert crowd.of("error")["alice"]["retryAfterMs"] >= 1000
    assert [what for who, what, _ in crowd.seen if who == "bob"] == ["user:joined", "server:draining", "closed"]


async def test_calls_that_cannot_move_are_the_last_to_go_and_end_before_their_clients_are_closed() -> None:
    crowd = Crowd()
    for number in range(MANY):
        crowd.add(f"user{number}")
    crowd.call("user0", "user1")
    node = crowd.node
    node.drain.begin()
    await node.drain.clear()
    told = delays(crowd)
    assert told["user0"] == told["user1"] == round(SPREAD_MS)
    assert max(told.values()) == round(SPREAD_MS)
    assert set(list(crowd.of("closed"))[-2:]) == {"user0", "user1"}
    for who in ("user0", "user1"):
        heard = [(what, payload) for seen, what, payload in crowd.seen if seen == who][-2:]
        assert [what for what, _ in heard] == ["call:ended", "closed"]
        assert heard[0][1]["code"] == "server_shutdown"
    assert "call:peer-reconnecting" not in {what for _, what, _ in crowd.seen}


async def test_calls_whose_parties_have_all_gone_before_end_too() -> None:
    crowd = Crowd()
    for name in ("alice", "bob"):
        crowd.add(name)
    crowd.call("alice", "bob")
    for name in ("alice", "bob"):
        crowd.node.gateway.closed(SessionId(name), CloseReason.TRANSPORT_LOST)
    crowd.node.drain.begin()
    await crowd.node.drain.clear()
    assert list(await crowd.node.directory.live_calls()) == []


async def test_calls_that_move_do_not_end_and_their_parties_go_with_the_others() -> None:
    crowd = Crowd()
    for number in range(20):
        crowd.add(f"user{number}")
    for number in range(0, 20, 2):
        crowd.call(f"user{number}", f"user{number + 1}")
    drain = crowd.drain(calls_move=True)
    drain.begin()
    await drain.clear()
    assert len(set(delays(crowd).values())) > 10
    assert "call:ended" not in {what for _, what, _ in crowd.seen}
    assert len(crowd.of("call:peer-reconnecting")) == 10
    assert len(await crowd.node.directory.live_calls()) == 10
    assert len(crowd.node.gateway) == 0


async def test_those_who_leave_by_themselves_are_let_go() -> None:
    crowd = Crowd()
    for name in ("alice", "bob"):
        crowd.add(name)
    crowd.node.drain.begin()
    crowd.node.gateway.closed(SessionId("alice"), CloseReason.TRANSPORT_LOST)
    await crowd.node.drain.clear()
    assert list(crowd.of("closed")) == ["bob"]
