import asyncio
import json
from typing import Any

import pytest

from service.adapters.memory.authenticator import OpenAuthenticator
from service.adapters.memory.directory import MemoryDirectory
from service.control.control import CallControl
from service.control.outcome import Outcome
from service.domain.budget import Scope
from service.domain.effects import RelayCandidate
from service.domain.ids import CallId, SessionId, UserId
from service.domain.missed import Missed
from service.domain.requests import Join
from service.errors import NotJoinedError
from service.ports import EventHandled, Identity, LinkClosed, LinkOpened, Observer, Seat
from service.supervisor import Supervisor
from service.transport.gateway import OTHER_EVENT, PASSING_S, Gateway
from service.transport.link import CloseReason
from tests.control.harness import Rig


class RecordingLink:
    """A socket whose client is the test."""

    transport = "websocket"

    def __init__(self, name: str, address: str = "192.0.2.1") -> None:
        self.id = SessionId(name)
        self.address = address
        self.sent: list[bytes] = []
        self.closed: list[tuple[str, CloseReason]] = []

    def send(self, packet: bytes) -> None:
        """See `Link.send`."""
        self.sent.append(packet)

    def close(self, reason: CloseReason) -> None:
        """See `Link.close`."""
        self.closed.append(("close", reason))

    def abort(self, reason: CloseReason, rule: str) -> None:
        """See `Link.abort`."""
        self.closed.append(("abort", reason))

    def take(self) -> list[Any]:
        """What was sent since it was last asked: events as [name, payload], acks as {id: payload}."""
        packets = [packet.decode() for packet in self.sent]
        self.sent.clear()
        return [
            json.loads(packet[1:]) if packet[0] == "2" else {packet[1]: json.loads(packet[2:])[0]} for packet in packets
        ]


class Watch(Observer):
    """Keeps what the gateway lets an observer see."""

    def __init__(self) -> None:
        self.events: list[EventHandled] = []
        self.links: list[LinkOpened | LinkClosed] = []
        self.limited: list[Scope] = []

    def rate_limited(self, scope: Scope) -> None:
        """See `service.ports.Observer`."""
        self.limited.append(scope)

    def event_handled(self, record: EventHandled) -> None:
        """See `service.ports.Observer`."""
        self.events.append(record)

    def link_opened(self, record: LinkOpened) -> None:
        """See `service.ports.Observer`."""
        self.links.append(record)

    def link_closed(self, record: LinkClosed) -> None:
        """See `service.ports.Observer`."""
        self.links.append(record)


class Node:
    """A gateway on a call control with memory adapters."""

    def __init__(self, rig: Rig | None = None, backlog: int = 10) -> None:
        self.rig = rig or Rig()
        self.watch = Watch()
        self.gateway = Gateway(
            control=self.rig.control,
            authenticator=OpenAuthenticator(),
            observer=self.watch,
            supervisor=Supervisor(),
            clock=self.rig.clock,
            event_backlog=backlog,
        )
        self.rig.deliver = self.gateway.deliver  # type: ignore[method-assign]
        self.rig.dismiss = self.gateway.dismiss  # type: ignore[method-assign]

    def connect(self, name: str) -> RecordingLink:
        """A client that has connected."""
        link = RecordingLink(name)
        self.gateway.opened(link, Identity(), 0.25)
        return link

    def say(self, link: RecordingLink, event: str, payload: object, ack: str = "") -> None:
        """The client sends an event."""
        self.gateway.receive(link.id, f"2{ack}{json.dumps([event, payload])}")

    def join(self, user: str) -> RecordingLink:
        """A client that has joined."""
        link = self.connect(f"{user}-1")
        self.say(link, "user:join", {"userId": user})
        link.take()
        return link


async def test_a_packet_goes_in_and_bytes_come_out_at_both_parties() -> None:
    node = Node()
    alice, bob = node.join("alice"), node.join("bob")
    node.say(alice, "call:initiate", {"to": "bob", "callType": "audio"}, ack="5")
    call_id = "0" * 31 + "1"
    assert bob.take() == [["call:incoming", {"from": "alice", "callType": "audio", "callId": call_id}]]
    initiated = {"callId": call_id, "to": "bob"}
    assert alice.take() == [["call:initiated", initiated], {"5": {"ok": True, **initiated}}]
    node.say(bob, "call:accept", {"callId": call_id, "from": "alice"})
    assert alice.take() == bob.take() == [["call:accepted", {"callId": call_id, "by": "bob"}]]


async def test_a_refusal_is_an_error_event_and_an_ack_with_the_same_error() -> None:
    node = Node()
    link = node.connect("x")
    node.say(link, "call:end", {"callId": "c1"}, ack="0")
    error = {"message": "User not authenticated", "code": "not_joined", "event": "call:end", "callId": "c1"}
    assert link.take() == [["error", error], {"0": {"ok": False, "error": error}}]
    assert link.closed == []


async def test_unknown_reserved_and_invalid_events_are_refused_before_anything_runs() -> None:
    node = Node()
    link = node.connect("x")
    node.say(link, "z" * 100, {})
    node.say(link, "disconnect", {})
    node.say(link, "user:join", {"userId": ["alice"]})
    codes = [payload["code"] for _, payload in link.take()]
    assert codes == ["unknown_event", "reserved_event", "invalid_payload"]
    assert [(e.event, e.outcome) for e in node.watch.events] == [
        (OTHER_EVENT, "unknown_event"),
        (OTHER_EVENT, "reserved_event"),
        ("user:join", "invalid_payload"),
    ]


async def test_the_echo_of_an_unknown_name_is_bounded() -> None:
    node = Node()
    link = node.connect("x")
    node.say(link, "z" * 200, {})
    assert link.take()[0][1]["event"] == "z" * 64


@pytest.mark.parametrize("packet", ["2", "2{}", '2["user:join",{"userId":"a"}', '2["zap"'])
async def test_what_is_no_packet_aborts_the_link(packet: str) -> None:
    node = Node()
    link = node.connect("x")
    node.gateway.receive(link.id, packet)
    assert link.closed == [("abort", CloseReason.PROTOCOL_ERROR)]
    assert link.sent == []


async def test_a_failing_event_is_answered_logged_and_harmless(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node()
    link = node.connect("x")

    async def broken(user: UserId, session: SessionId) -> Seat:
        raise RuntimeError("the directory is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(node.rig.directory, "seat", broken)
        node.say(link, "user:join", {"userId": "alice"}, ack="1")
    error = {"message": "Failed to join", "code": "internal", "event": "user:join"}
    assert link.take() == [["error", error], {"1": {"ok": False, "error": error}}]
    assert isinstance(node.watch.events[-1].error, RuntimeError)
    assert "event user:join failed: RuntimeError" in caplog.text
    node.say(link, "user:join", {"userId": "alice"})
    assert link.take()[0][0] == "user:joined"


async def test_events_of_a_socket_that_must_wait_queue_in_order_up_to_the_backlog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node(backlog=1)
    link = node.connect("x")
    gate = asyncio.Event()
    handle = node.rig.control.handle

    async def slow(session: Any, request: Any) -> Any:
        if isinstance(request, Join):
            await gate.wait()
        return await handle(session, request)

    monkeypatch.setattr(CallControl, "handle", staticmethod(slow))
    node.say(link, "user:join", {"userId": "alice"})
    node.say(link, "user:status", {"userId": "alice"})
    node.say(link, "user:status", {"userId": "bob"}, ack="2")
    refused = {"message": "Too many events are waiting", "code": "backlog_full", "event": "user:status"}
    assert link.take() == [["error", refused], {"2": {"ok": False, "error": refused}}]
    node.rig.clock.advance(2.5)
    gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert [name for name, _ in link.take()] == ["user:joined", "user:status"]
    outcomes = [(e.event, e.outcome) for e in node.watch.events]
    assert outcomes == [("user:status", "backlog_full"), ("user:join", "ok"), ("user:status", "ok")]
    assert node.watch.events[-1].waited_s == 2.5


async def test_a_closed_link_is_offline_and_deaf() -> None:
    node = Node()
    alice, bob = node.join("alice"), node.join("bob")
    node.gateway.closed(alice.id, CloseReason.TRANSPORT_LOST)
    node.gateway.closed(alice.id, CloseReason.TRANSPORT_LOST)
    node.say(alice, "user:status", {"userId": "bob"})
    node.say(bob, "user:status", {"userId": "alice"})
    assert alice.take() == []
    assert bob.take() == [["user:status", {"userId": "alice", "isOnline": False, "isInCall": False}]]
    assert len(node.gateway) == 1


async def test_links_are_observed_from_opening_to_closing() -> None:
    node = Node()
    link = node.connect("x")
    node.gateway.closed(link.id, CloseReason.GOODBYE)
    opened, closed = node.watch.links
    assert opened == LinkOpened(link.id, "websocket", 0.25)
    assert isinstance(closed, LinkClosed)
    assert (closed.reason, closed.lasted_s >= 0) == ("goodbye", True)


async def test_a_second_join_dismisses_the_first_link() -> None:
    node = Node()
    first = node.join("alice")
    second = node.connect("alice-2")
    node.say(second, "user:join", {"userId": "alice"})
    assert first.closed == [("close", CloseReason.DISMISSED)]
    node.gateway.dismiss(SessionId("gone"))
    assert second.closed == []


async def test_everybody_is_admitted_by_default() -> None:
    assert await Node().gateway.admit({"token": "whatever"}) == Identity()


async def test_a_handled_event_names_its_call() -> None:
    node = Node()
    alice, _bob = node.join("alice"), node.join("bob")
    node.say(alice, "call:initiate", {"to": "bob", "callType": "audio"})
    node.say(alice, "ice:candidate", {"to": "bob", "candidate": None})
    assert [event.call_id for event in node.watch.events[-2:]] == ["0" * 31 + "1"] * 2


async def test_a_leave_that_fails_is_logged_and_harmless(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node()
    alice = node.join("alice")

    async def broken(user: UserId, session: SessionId) -> bool:
        raise RuntimeError("the directory is on fire")

    monkeypatch.setattr(node.rig.directory, "vacate", broken)
    node.gateway.closed(alice.id, CloseReason.TRANSPORT_LOST)
    assert "leaving failed: RuntimeError" in caplog.text
    assert len(node.gateway) == 0


# --- a stop ------------------------------------------------------------------------------------------------


async def test_clients_are_told_when_their_connection_ends() -> None:
    node = Node()
    alice, bob = node.join("alice"), node.connect("x")
    assert node.gateway.sessions() == [alice.id, bob.id]
    node.gateway.announce_end(alice.id, 1.5)
    node.gateway.announce_end(bob.id, 0.0)
    node.gateway.announce_end(SessionId("gone"), 1.0)
    assert alice.take() == [["server:draining", {"reconnectInMs": 1500}]]
    assert bob.take() == [["server:draining", {"reconnectInMs": 0}]]


async def test_who_is_in_a_call() -> None:
    node = Node()
    alice, bob, carol, nobody = node.join("alice"), node.join("bob"), node.join("carol"), node.connect("x")
    node.say(alice, "call:initiate", {"to": "bob", "callType": "audio"})
    assert [node.gateway.is_in_call(link.id) for link in (alice, bob, carol, nobody)] == [True, True, False, False]
    assert not node.gateway.is_in_call(SessionId("gone"))


async def test_a_retired_client_hears_what_is_on_its_way_and_is_missed_before_it_is_closed() -> None:
    node = Node(Rig(grace_s=10))
    alice, bob = node.join("alice"), node.join("bob")
    node.say(alice, "call:initiate", {"to": "bob", "callType": "audio"})
    call_id = "0" * 31 + "1"
    alice.take(), bob.take()
    node.gateway.retire(alice.id)
    node.gateway.retire(SessionId("gone"))
    assert bob.take() == [["call:peer-reconnecting", {"callId": call_id, "userId": "alice"}]]
    late = RelayCandidate(to=(alice.id,), sender=UserId("bob"), candidate=b'"on its way"')
    assert node.gateway.deliver(alice.id, late)
    node.say(bob, "ice:candidate", {"to": "alice", "candidate": "kept"})
    assert alice.take() == [["ice:candidate", {"candidate": "on its way", "from": "bob"}]]
    assert alice.closed == []
    await node.rig.passes(PASSING_S)
    assert alice.closed == [("close", CloseReason.SHUTDOWN)]
    node.gateway.closed(alice.id, CloseReason.SHUTDOWN)
    back = node.connect("alice-2")
    node.say(back, "user:join", {"userId": "alice"})
    joined, missed = back.take()
    assert (joined[0], joined[1]["call"]["callId"]) == ("user:joined", call_id)
    assert missed == ["ice:candidate", {"candidate": "kept", "from": "bob"}]


class SlowDirectory(MemoryDirectory):
    """Gives out what was missed when it is let, as one across a network may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_collect = asyncio.Event()

    async def collect(self, call_id: CallId, user: UserId) -> Missed:
        """See `service.ports.Directory.collect`."""
        await self.may_collect.wait()
        return await super().collect(call_id, user)


async def test_nothing_overtakes_what_was_missed() -> None:
    directory = SlowDirectory()
    node = Node(Rig(grace_s=10, directory=directory))
    alice, bob = node.join("alice"), node.join("bob")
    node.say(alice, "call:initiate", {"to": "bob", "callType": "audio"})
    node.gateway.closed(alice.id, CloseReason.TRANSPORT_LOST)
    for number in (1, 2):
        node.say(bob, "ice:candidate", {"to": "alice", "candidate": number})
    back = node.connect("alice-2")
    node.say(back, "user:join", {"userId": "alice"}, ack="0")
    node.say(bob, "ice:candidate", {"to": "alice", "candidate": 3})
    assert back.take() == []
    directory.may_collect.set()
    for _ in range(10):
        await asyncio.sleep(0)
    joined, *candidates, acknowledged = back.take()
    assert joined[0] == "user:joined"
    assert candidates == [["ice:candidate", {"candidate": number, "from": "bob"}] for number in (1, 2, 3)]
    assert list(acknowledged) == ["0"]


async def test_what_came_during_a_join_that_fails_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    alice, _bob = node.join("alice"), node.join("bob")
    late = RelayCandidate(to=(alice.id,), sender=UserId("bob"), candidate=b"1")

    async def broken(session: object, request: object) -> Outcome:
        node.gateway.deliver(alice.id, late)
        raise NotJoinedError

    monkeypatch.setattr(node.rig.control, "handle", broken)
    node.say(alice, "user:join", {"userId": "alice"})
    assert [packet[0] for packet in alice.take()] == ["ice:candidate", "error"]
