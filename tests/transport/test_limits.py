"""What the gateway holds its clients to: the rate of events, and the life of a token."""

import json
import time
from typing import Any

import pytest

from service.domain.budget import UNLIMITED, Rate, Scope
from service.domain.ids import UserId
from service.errors import TokenExpiredError
from service.ports import Identity
from service.supervisor import Supervisor
from service.transport.gateway import MAX_DEBT, EventLimits, Gateway
from service.transport.link import CloseReason
from tests.control.harness import Rig
from tests.transport.test_gateway import RecordingLink, Watch

GRACE_S = 20.0
STATUS = '2["user:status",{"userId":"nobody"}]'


class Issuer:
    """Tokens that say what they stand for: `<user>` or `<user>:<seconds to live>`; an empty one has run out."""

    async def authenticate(self, credentials: object) -> Identity:
        """See `Authenticator.authenticate`."""
        assert isinstance(credentials, dict)
        user, _, lives_s = credentials["token"].partition(":")
        if not user:
            raise TokenExpiredError
        return Identity(UserId(user), time.time() + float(lives_s) if lives_s else None)


class Node:
    """A gateway with limits, on a clock moved by hand."""

    def __init__(self, events: Rate, addresses: Rate = UNLIMITED) -> None:
        self.rig = Rig()
        self.watch = Watch()
        self.issuer = Issuer()
        self.gateway = Gateway(
            control=self.rig.control,
            authenticator=self.issuer,
            observer=self.watch,
            supervisor=Supervisor(),
            clock=self.rig.clock,
            event_backlog=10,
            limits=EventLimits(events, addresses, GRACE_S),
        )
        self.rig.deliver = self.gateway.deliver  # type: ignore[method-assign]

    async def connect(self, token: str, name: str = "socket", address: str = "192.0.2.1") -> RecordingLink:
        """A client that has connected with a token."""
        link = RecordingLink(f"{name} of {token}", address)
        self.gateway.opened(link, await self.issuer.authenticate({"token": token}), 0.0)
        return link

    def ask(self, link: RecordingLink, event: str, payload: object) -> Any:
        """The acknowledgement of an event."""
        self.gateway.receive(link.id, f"27{json.dumps([event, payload])}")
        return next(heard["7"] for heard in link.take() if isinstance(heard, dict))


# --- the rate of events ---


async def test_events_beyond_their_rate_are_refused_with_the_time_to_wait() -> None:
    node = Node(Rate(3, 1.5))
    link = await node.connect("alice")
    for _ in range(5):
        node.gateway.receive(link.id, STATUS)
    heard = link.take()
    assert [name for name, _ in heard] == ["user:status"] * 3 + ["error"] * 2
    error = {"message": "Too many requests", "code": "rate_limited", "event": "user:status", "retryAfterMs": 500}
    assert heard[-1][1] == error
    assert [record.outcome for record in node.watch.events] == ["ok"] * 3 + ["rate_limited"] * 2
    node.rig.clock.advance(0.5)
    node.gateway.receive(link.id, STATUS)
    assert [name for name, _ in link.take()] == ["user:status"]
    assert link.closed == []


async def test_who_does_not_slow_down_is_disconnected() -> None:
    node = Node(Rate(1, 3600.0))
    link = await node.connect("alice")
    for _ in range(1 + MAX_DEBT):
        node.gateway.receive(link.id, STATUS)
    assert link.closed == []
    node.gateway.receive(link.id, STATUS)
    assert link.closed == [("abort", CloseReason.FLOODING)]


async def test_who_slows_down_is_forgiven() -> None:
    node = Node(Rate(1, 1.0))
    link = await node.connect("alice")
    for _ in range(3 * MAX_DEBT):  # one too many, then one in time
        node.gateway.receive(link.id, STATUS)
        node.gateway.receive(link.id, STATUS)
        node.rig.clock.advance(1.0)
    assert link.closed == []


async def test_what_is_broken_is_broken_beyond_the_rate_too() -> None:
    node = Node(Rate(1, 3600.0))
    link = await node.connect("alice")
    node.gateway.receive(link.id, STATUS)
    node.gateway.receive(link.id, "2[")
    assert link.closed == [("abort", CloseReason.PROTOCOL_ERROR)]


async def test_without_a_limit_nothing_is_counted() -> None:
    node = Node(Rate(0, 1.0))
    link = await node.connect("alice")
    for _ in range(1000):
        node.gateway.receive(link.id, STATUS)
    assert {name for name, _ in link.take()} == {"user:status"}


def taken(node: Node, link: RecordingLink, times: int) -> int:
    """How many of so many events are answered."""
    for _ in range(times):
        node.gateway.receive(link.id, STATUS)
    return sum(name == "user:status" for name, _ in link.take())


def refused_for(node: Node) -> set[Scope]:
    """Whose limits were met so far."""
    return set(node.watch.limited)


async def test_a_user_finds_his_rate_as_he_left_it_when_he_connects_again() -> None:
    node = Node(Rate(10, 3600.0))
    total = 0
    for number in range(20):
        link = await node.connect("alice", f"socket {number}")
        total += taken(node, link, 3)
        node.gateway.closed(link.id, CloseReason.TRANSPORT_LOST)
    assert total == 10
    assert refused_for(node) == {Scope.USER}
    assert taken(node, await node.connect("bob"), 3) == 3


async def test_all_sockets_of_a_user_share_his_rate() -> None:
    node = Node(Rate(10, 3600.0))
    links = [await node.connect("alice", f"socket {number}") for number in range(4)]
    assert sum(taken(node, link, 4) for link in links) == 10


async def test_who_names_himself_at_the_join_has_the_rate_of_that_user_from_then_on() -> None:
    node = Node(Rate(5, 3600.0))
    total = 0
    for number in range(3):
        link = RecordingLink(f"socket {number}")
        node.gateway.opened(link, Identity(), 0.0)
        assert node.ask(link, "user:join", {"userId": "alice"})["ok"]
        total += taken(node, link, 3)
        node.gateway.closed(link.id, CloseReason.GOODBYE)
    assert total == 5


async def test_a_socket_that_speaks_for_nobody_has_a_rate_of_its_own() -> None:
    node = Node(Rate(2, 3600.0))
    for number in range(3):
        link = RecordingLink(f"socket {number}")
        node.gateway.opened(link, Identity(), 0.0)
        assert taken(node, link, 3) == 2
    assert refused_for(node) == {Scope.SOCKET}


async def test_fifty_sockets_of_one_address_share_its_rate() -> None:
    node = Node(Rate(10, 3600.0), Rate(20, 3600.0))
    links = [await node.connect(f"user-{number}") for number in range(50)]
    assert sum(taken(node, link, 2) for link in links) == 20
    assert refused_for(node) == {Scope.ADDRESS}
    assert taken(node, await node.connect("neighbour", address="192.0.2.2"), 2) == 2
    for link in links:
        node.gateway.closed(link.id, CloseReason.GOODBYE)
    assert taken(node, await node.connect("user-51"), 2) == 0


async def test_what_a_user_may_not_send_is_not_taken_from_his_neighbours() -> None:
    node = Node(Rate(5, 3600.0), Rate(20, 3600.0))
    assert taken(node, await node.connect("alice"), 50) == 5
    assert taken(node, await node.connect("bob"), 5) == 5


async def test_an_address_can_have_a_rate_where_a_user_has_none() -> None:
    node = Node(UNLIMITED, Rate(3, 3600.0))
    assert taken(node, await node.connect("alice"), 5) == 3


# --- the life of a token ---


async def test_a_token_that_has_run_out_closes_its_connection_after_a_grace() -> None:
    node = Node(Rate(0, 1.0))
    link = await node.connect("alice:60")
    node.rig.clock.advance(60 + GRACE_S - 1)
    assert link.closed == []
    node.rig.clock.advance(1)
    assert link.closed == [("close", CloseReason.TOKEN_EXPIRED)]


async def test_a_fresh_token_keeps_the_connection() -> None:
    node = Node(Rate(0, 1.0))
    link = await node.connect("alice:60")
    assert node.ask(link, "auth:refresh", {"token": "alice:1000"}) == {"ok": True}
    node.rig.clock.advance(999)
    assert link.closed == []
    node.rig.clock.advance(1 + GRACE_S)
    assert link.closed == [("close", CloseReason.TOKEN_EXPIRED)]


async def test_a_token_without_an_end_keeps_it_for_ever() -> None:
    node = Node(Rate(0, 1.0))
    link = await node.connect("alice:60")
    assert node.ask(link, "auth:refresh", {"token": "alice"}) == {"ok": True}
    node.rig.clock.advance(10 * 365 * 86_400)
    assert link.closed == []


async def test_a_token_that_has_run_out_already_does_not_help() -> None:
    node = Node(Rate(0, 1.0))
    link = await node.connect("alice:60")
    answer = node.ask(link, "auth:refresh", {"token": ""})
    assert answer["error"]["code"] == "token_expired"
    node.rig.clock.advance(60 + GRACE_S)
    assert link.closed == [("close", CloseReason.TOKEN_EXPIRED)]


@pytest.mark.parametrize("joined", [False, True])
async def test_a_token_of_somebody_else_changes_nothing(joined: bool) -> None:
    node = Node(Rate(0, 1.0))
    link = await node.connect("alice:60")
    if joined:
        node.ask(link, "user:join", {})
    assert node.ask(link, "auth:refresh", {"token": "mallory:1000"})["error"]["code"] == "unauthorized"
    node.rig.clock.advance(60 + GRACE_S)
    assert link.closed == [("close", CloseReason.TOKEN_EXPIRED)]


async def test_nothing_is_closed_that_is_gone() -> None:
    node = Node(Rate(0, 1.0))
    link = await node.connect("alice:60")
    node.gateway.closed(link.id, CloseReason.GOODBYE)
    node.rig.clock.advance(60 + GRACE_S)
    assert link.closed == []


async def test_a_token_says_who_joins() -> None:
    node = Node(Rate(0, 1.0))
    link = await node.connect("alice")
    assert node.ask(link, "user:join", {})["userId"] == "alice"
    other = await node.connect("bob")
    assert node.ask(other, "user:join", {"userId": "alice"})["error"]["code"] == "already_joined"
