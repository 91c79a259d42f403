import asyncio

import pytest

from observability.catalogue import Milestone
from observability.ledger import Ledger
from observability.metrics import CallMetrics
from observability.record import CallRecord
from observability.traces import Tracer
from service.ports import CallStepped
from tests.observability.node import ObservedNode


async def test_an_observer_that_breaks_is_counted_and_the_call_still_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Ledger, _record: CallStepped) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Ledger, "call_stepped", broken)
    node = ObservedNode()
    alice, bob = node.join("alice"), node.join("bob")
    call_id = node.call(alice, "bob")
    bob.say("call:accept", callId=call_id)
    seen = node.scrape()
    node.close()
    assert bob.last("call:accepted") == {"callId": call_id, "by": "bob"}
    assert seen['observer_failures_total{observer="call_ledger"}'] == 1
    assert seen['events_total{event="call:accept",outcome="ok"}'] == 1
    assert "observer call_ledger failed" in node.stream.getvalue()


async def test_a_watcher_of_calls_that_breaks_leaves_the_others_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: CallMetrics, _record: CallRecord, _milestone: Milestone) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(CallMetrics, "reached", broken)
    node = ObservedNode()
    alice, bob = node.join("alice"), node.join("bob")
    bob.say("call:reject", callId=node.call(alice, "bob"))
    spans = await node.spans()
    seen = node.scrape()
    node.close()
    assert "call" in [span.name for span in spans]
    assert seen['observer_failures_total{observer="call_metrics"}'] == 1
    assert [line["message"] for line in node.lines() if "call " in line["message"]][-1] == "call ended"


async def test_what_is_looked_up_at_each_scrape() -> None:
    node = ObservedNode()
    node.telemetry.watch_node(
        is_ready=lambda: node.service.health.ready,
        is_draining=lambda: node.service.health.draining,
        users_online=node.service.directory.users_online,
        watches=node.service.presence.watches,
        events_in_progress=lambda: node.service.gateway.events_in_progress,
        outbound_buffer_bytes=node.service.transport.engine.most_waiting_bytes,
        background_tasks=lambda: node.service.supervisor.running,
    )
    alice = node.join("alice")
    node.join("alice")
    node.join("bob")
    node.service.health.ready = True
    looked_up = ("ready", "users_online", "background_tasks")
    assert {name: value for name, value in node.scrape().items() if name in looked_up} == {
        "ready": 1,
        "users_online": 2,
    }
    waiting = node.service.supervisor.spawn("waits", asyncio.sleep(3600))
    assert node.scrape()["background_tasks"] == 1
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert "background_tasks" not in node.scrape()
    alice.gone()
    node.service.health.ready, node.service.health.draining = False, True
    seen = node.scrape()
    node.close()
    assert "ready" not in seen
    assert (seen["draining"], seen["users_online"]) == (1, 2)
    assert any(name.startswith("build_info{") for name in seen)


async def test_exemplars_end_with_the_tracer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Tracer, _record: CallRecord) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Tracer, "setup_settled", broken)
    node = ObservedNode()
    alice, bob = node.join("alice"), node.join("bob")
    call_id = await node.connected_call(alice, bob, ("alice", "bob"))
    await node.passes(2)
    before = node.openmetrics().count(call_id)
    alice.say("call:end", callId=call_id)
    after = node.openmetrics().count(call_id)
    node.close()
    assert before == after > 0
