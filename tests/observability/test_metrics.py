import time

import pytest

from service.control.control import CallControl
from service.domain.missed import MAX_MESSAGES
from service.ports import Identity
from service.transport.link import CloseReason
from tests.observability.node import ObservedNode


async def test_a_known_script_of_calls_gives_exactly_those_numbers(node: ObservedNode) -> None:
    """Completed, rejected, unanswered, lost; then everything is back at zero."""
    alice, bob = node.join("alice"), node.join("bob")
    completed = await node.connected_call(alice, bob, ("alice", "bob"))
    await node.passes(60)
    alice.say("call:end", callId=completed)
    rejected = node.call(alice, "bob", "audio")
    await node.passes(1)
    bob.say("call:reject", callId=rejected)
    node.call(bob, "alice")
    await node.passes(30)
    await node.connected_call(alice, bob, ("alice", "bob"))
    await node.passes(5)
    bob.gone()

    seen = node.scrape()
    assert {name: value for name, value in seen.items() if name.startswith(("call_attempts", "call_milestones"))} == {
        'call_attempts_total{media="audio"}': 1,
        'call_attempts_total{media="video"}': 3,
        'call_milestones_total{milestone="attempted"}': 4,
        'call_milestones_total{milestone="ringing"}': 4,
        'call_milestones_total{milestone="answered"}': 2,
        'call_milestones_total{milestone="negotiated"}': 2,
        'call_milestones_total{milestone="connected"}': 2,
        'call_milestones_total{milestone="ended"}': 4,
    }
    assert {name: value for name, value in seen.items() if name.startswith("calls_ended")} == {
        'calls_ended_total{fault="none",phase="connected",reason="hangup"}': 1,
        'calls_ended_total{fault="user",phase="ringing",reason="rejected"}': 1,
        'calls_ended_total{fault="user",phase="ringing",reason="no_answer"}': 1,
        'calls_ended_total{fault="network",phase="connected",reason="connection_lost"}': 1,
    }
    assert seen["call_duration_seconds_count"] == 2
    assert seen["call_duration_seconds_sum"] == pytest.approx(60.75 + 5.75)


async def test_the_phases_of_a_call_are_timed(node: ObservedNode) -> None:
    alice, bob = node.join("alice"), node.join("bob")
    await node.connected_call(alice, bob, ("alice", "bob"))
    seen = node.scrape()
    sums = {
        phase: seen.get(f'call_phase_duration_seconds_sum{{phase="{phase}"}}', 0.0)
        for phase in ("ring_delivery", "ringing", "negotiation", "media", "setup_server", "setup_total")
    }
    assert sums == pytest.approx(
        {"ring_delivery": 0, "ringing": 2, "negotiation": 0.5, "media": 0.25, "setup_server": 0, "setup_total": 0.75}
    )
    counts = {name: value for name, value in seen.items() if name.startswith("call_phase_duration_seconds_count")}
    assert set(counts.values()) == {1}
    assert len(counts) == 6


async def test_events_are_counted_by_outcome_and_timed(node: ObservedNode) -> None:
    alice = node.join("alice")
    alice.say("call:initiate", to="bob", callType="audio")
    alice.say("call:initiate", to="bob")
    alice.say("no:such:event")
    alice.say("disconnect")
    seen = node.scrape()
    assert {name: value for name, value in seen.items() if name.startswith("events_total")} == {
        'events_total{event="user:join",outcome="ok"}': 1,
        'events_total{event="call:initiate",outcome="user_not_found"}': 1,
        'events_total{event="call:initiate",outcome="invalid_payload"}': 1,
        'events_total{event="_OTHER",outcome="unknown_event"}': 1,
        'events_total{event="_OTHER",outcome="reserved_event"}': 1,
    }
    assert seen['event_duration_seconds_count{event="call:initiate"}'] == 2
    assert seen["event_queue_delay_seconds_count"] == 5
    assert seen['messages_total{direction="in"}'] == 5
    assert seen['messages_total{direction="out"}'] == 5


async def test_live_gauges_follow_the_calls_and_return_to_zero(node: ObservedNode) -> None:
    alice, bob, carol, dave = (node.join(name) for name in ("alice", "bob", "carol", "dave"))
    first = node.call(alice, "bob")
    await node.passes(3)
    second = node.call(carol, "dave")
    seen = node.scrape()
    assert (seen['calls{state="ringing"}'], seen["calls_peak"], seen["oldest_call_seconds"]) == (2, 2, 3)
    bob.say("call:accept", callId=first)
    dave.say("call:accept", callId=second)
    dave.say("call:connected", callId=second)
    seen = node.scrape()
    assert (seen['calls{state="connecting"}'], seen['calls{state="connected"}']) == (1, 1)
    for client in (alice, carol):
        client.gone()
    seen = node.scrape()
    assert not [name for name in seen if name.startswith(("calls{", "oldest"))]
    assert seen["calls_peak"] == 2


async def test_connections_by_transport_from_opening_to_closing(node: ObservedNode) -> None:
    alice, bob = node.join("alice"), node.join("bob")
    node.service.gateway.refused("polling", "abandoned")
    node.service.gateway.answered_ping("websocket", 0.04)
    alice.gone(CloseReason.GOODBYE)
    seen = node.scrape()
    assert seen['connections{transport="websocket"}'] == 1
    assert seen['connects_total{result="ok",transport="websocket"}'] == 2
    assert seen['connects_total{result="abandoned",transport="polling"}'] == 1
    assert seen['connect_duration_seconds_sum{transport="websocket"}'] == pytest.approx(0.04)
    assert seen['disconnects_total{reason="goodbye"}'] == 1
    assert seen['client_rtt_seconds_count{transport="websocket"}'] == 1
    bob.gone()
    assert 'connections{transport="websocket"}' not in node.scrape()


async def test_an_upgrade_moves_a_connection_from_polling_to_websocket(node: ObservedNode) -> None:
    client = node.connect("polled")
    node.service.gateway.closed(client.id, CloseReason.GOODBYE)
    client.transport = "polling"
    node.service.gateway.opened(client, Identity(), 0.1)
    assert node.scrape()['connections{transport="polling"}'] == 1
    node.service.gateway.upgraded(client.id)
    seen = node.scrape()
    assert seen['connections{transport="websocket"}'] == 1
    assert 'connections{transport="polling"}' not in seen


async def test_glare_renegotiation_and_takeover_are_counted(node: ObservedNode) -> None:
    alice, bob = node.join("alice"), node.join("bob")
    call_id = node.call(alice, "bob")
    bob.say("call:initiate", to="alice", callType="video")
    alice.say("call:offer", offer=1, to="bob")
    bob.say("call:answer", answer=1, to="alice")
    alice.say("call:offer", offer=2, to="bob")
    node.join("bob")
    seen = node.scrape()
    assert (seen["glare_total"], seen["renegotiations_total"]) == (1, 1)
    assert seen['resumes_total{result="replaced"}'] == 1
    assert call_id


@pytest.mark.parametrize(("comes_back", "result"), [(True, "returned"), (False, "expired")])
async def test_resumes(comes_back: bool, result: str) -> None:
    node = ObservedNode(reconnect_grace_s=10)
    alice, bob = node.join("alice"), node.join("bob")
    await node.connected_call(alice, bob, ("alice", "bob"))
    bob.gone()
    await node.passes(4)
    if comes_back:
        node.join("bob")
    await node.passes(20)
    seen = node.scrape()
    node.close()
    assert seen[f'resumes_total{{result="{result}"}}'] == 1


async def test_what_a_party_that_is_away_misses_is_counted() -> None:
    node = ObservedNode(reconnect_grace_s=10)
    alice, bob = node.join("alice"), node.join("bob")
    await node.connected_call(alice, bob, ("alice", "bob"))
    bob.gone()
    for number in range(MAX_MESSAGES + 3):
        alice.say("ice:candidate", candidate=number, to="bob")
    before = node.scrape()
    node.join("bob")
    after = node.scrape()
    node.close()
    kept, overflowed, delivered = (
        f'missed_messages_total{{result="{result}"}}' for result in ("kept", "overflowed", "delivered")
    )
    assert (before[kept], before[overflowed]) == (MAX_MESSAGES, 3)
    assert delivered not in before
    assert (after[kept], after[overflowed], after[delivered]) == (MAX_MESSAGES, 3, MAX_MESSAGES)


@pytest.mark.parametrize(
    ("end", "fault", "reason"),
    [
        ("goodbye", "user", "connection_lost"),
        ("gave_up", "client", "hangup"),
        ("failed", "network", "failed"),
    ],
)
async def test_whose_fault_an_end_is(node: ObservedNode, end: str, fault: str, reason: str) -> None:
    alice, bob = node.join("alice"), node.join("bob")
    call_id = node.call(alice, "bob")
    bob.say("call:accept", callId=call_id)
    if end == "goodbye":
        bob.gone(CloseReason.GOODBYE)
    else:
        alice.say("call:end", callId=call_id, **({"code": "failed"} if end == "failed" else {}))
    assert node.scrape()[f'calls_ended_total{{fault="{fault}",phase="connecting",reason="{reason}"}}'] == 1


async def test_an_exception_of_ours_is_counted_by_type(node: ObservedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise LookupError("with something private in it")

    alice = node.join("alice")
    with monkeypatch.context() as patch:
        patch.setattr(CallControl, "handle", broken)
        alice.say("user:status", userId="bob")
    seen = node.scrape()
    assert seen['event_exceptions_total{error_type="LookupError",event="user:status"}'] == 1
    assert seen['events_total{event="user:status",outcome="internal"}'] == 1


async def test_ten_thousand_hostile_names_leave_the_series_within_the_budget() -> None:
    node = ObservedNode()
    alice = node.join("alice")
    for number in range(10_000):
        alice.say(f"hostile:{number}", userId=f"user-{number}")
        if number % 10 == 0:
            alice.say("user:status", userId=f"user-{number}")
            alice.say("call:accept", callId=f"call-{number}")
    series = [line for line in node.openmetrics().splitlines() if not line.startswith("#")]
    assert len(series) <= 1500
    assert node.scrape()['events_total{event="_OTHER",outcome="unknown_event"}'] == 10_000
    node.close()


async def test_watches_and_what_is_pushed_to_them_are_counted(node: ObservedNode) -> None:
    node.telemetry.watch_node(
        is_ready=lambda: True,
        is_draining=lambda: False,
        users_online=node.service.directory.users_online,
        watches=node.service.presence.watches,
        events_in_progress=lambda: 0,
        outbound_buffer_bytes=lambda: 0,
        background_tasks=lambda: 0,
    )
    alice, bob = node.join("alice"), node.join("bob")
    for client in (alice, bob):
        client.say("user:watch", userIds=["carol", "dave"])
    node.join("carol")
    await node.passes(1)
    seen = node.scrape()
    assert (seen["watches"], seen["status_pushes_total"]) == (4, 2)
    assert seen['events_total{event="user:watch",outcome="ok"}'] == 2
    alice.gone()
    bob.say("user:unwatch", userIds=["dave"])
    assert node.scrape()["watches"] == 1


async def test_what_is_refused_for_its_rate_says_whose_limit_it_was() -> None:
    node = ObservedNode(limit_events="6/1h", limit_lookups="1/1h", limit_call_initiate="3/1h")
    stranger = node.connect()
    for _ in range(8):
        stranger.say("user:status", userId="bob")
    alice = node.join("alice")
    for _ in range(2):
        alice.say("user:status", userId="bob")
    for callee in ("bob", "bob", "bob", "carol", "dave"):
        alice.say("call:initiate", to=callee, callType="audio")
    for user in ("carol", "dave", "erin"):
        node.join(user)
    node.service.gateway.refused("websocket", "rate_limited")
    limited = {name: value for name, value in node.scrape().items() if name.startswith("rate_limited")}
    node.close()
    assert limited == {
        'rate_limited_total{scope="socket"}': 2,
        'rate_limited_total{scope="lookup"}': 5 + 1,
        'rate_limited_total{scope="pair"}': 1,
        'rate_limited_total{scope="user"}': 1,
        'rate_limited_total{scope="connect"}': 1,
    }


async def test_what_came_of_asking_others_is_counted(node: ObservedNode) -> None:
    observer = node.telemetry.observer
    assert node.scrape().get("jwks_last_success_timestamp_seconds", 0) == 0
    before = time.time()
    for result in ("timeout", "ok"):
        observer.keys_fetched(result)
    for result in ("allowed", "allowed", "unusable"):
        observer.leave_asked(result, 0.004)
    seen = node.scrape()
    assert before <= seen["jwks_last_success_timestamp_seconds"] <= time.time()
    assert (seen['jwks_fetches_total{result="ok"}'], seen['jwks_fetches_total{result="timeout"}']) == (1, 1)
    assert seen['authorisations_total{result="allowed"}'] == 2
    assert seen['authorisations_total{result="unusable"}'] == 1
    assert seen["authorisation_duration_seconds_sum"] == pytest.approx(0.012)
