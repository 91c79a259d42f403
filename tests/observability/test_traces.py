import time
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from observability.spans import root_span_id
from observability.traces import MAX_KEPT_PER_S, MAX_QUEUED_SPANS
from service.domain.ids import CallId
from service.transport.link import CloseReason
from tests.observability.node import Client, ObservedNode

TREE = "call > call.setup > "


def tree(spans: Sequence[ReadableSpan]) -> list[str]:
    """Every span as the path from the root to it, in the order of their start."""
    by_id = {span.context.span_id: span for span in spans if span.context}

    def path(span: ReadableSpan) -> str:
        above = f"{path(by_id[span.parent.span_id])} > " if span.parent else ""
        return above + span.name

    return [path(span) for span in sorted(spans, key=lambda span: (span.start_time or 0, -(span.end_time or 0)))]


def named(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    (span,) = (span for span in spans if span.name == name)
    return span


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


async def two(node: ObservedNode) -> tuple[Client, Client]:
    return node.join("alice"), node.join("bob")


async def test_the_tree_of_a_completed_call(node: ObservedNode) -> None:
    alice, bob = await two(node)
    call_id = await node.connected_call(alice, bob, ("alice", "bob"))
    await node.passes(60)
    bob.say("call:end", callId=call_id)
    spans = await node.spans()
    assert sorted(tree(spans)) == sorted(
        [
            "call",
            "call > call.setup",
            TREE + "ring_delivery",
            TREE + "ringing",
            TREE + "negotiation",
            TREE + "media",
            TREE + "ice.trickle",
            TREE + "ice.trickle",
            TREE + "call:initiate",
            TREE + "call:accept",
            TREE + "call:offer",
            TREE + "call:answer",
            TREE + "call:connected",
            "call > call.connected",
            "call > call.connected > call:end",
            "call > call.hangup",
        ]
    )
    root = named(spans, "call")
    assert root.context is not None
    assert f"{root.context.trace_id:032x}" == call_id
    assert f"{root.context.span_id:016x}" == root_span_id(CallId(call_id))
    assert {span.context.trace_id for span in spans if span.context} == {int(call_id, 16)}
    assert len({span.context.span_id for span in spans if span.context}) == len(spans)
    durations = {name: seconds(named(spans, name)) for name in ("call", "ringing", "negotiation", "media")}
    assert durations == pytest.approx({"call": 62.75, "ringing": 2, "negotiation": 0.5, "media": 0.25})
    assert abs((root.end_time or 0) - time.time_ns() - 62.75e9) < 60e9
    offer = named(spans, "call:offer")
    assert offer.kind is SpanKind.SERVER
    assert offer.attributes is not None
    assert (offer.attributes["rpc.method"], offer.attributes["signalling.call.role"]) == ("call:offer", "caller")
    trickles = {
        span.attributes["signalling.call.role"]: span
        for span in spans
        if span.name == "ice.trickle" and span.attributes
    }
    assert {role: (span.attributes or {})["signalling.ice.candidates"] for role, span in trickles.items()} == {
        "caller": 3,
        "callee": 1,
    }
    assert root.attributes is not None
    assert root.attributes["signalling.call.fault"] == "none"
    assert root.status.status_code is StatusCode.UNSET
    assert root.resource.attributes["service.name"] == "hellotalk-signalling"


async def test_a_rejected_and_an_unanswered_call(node: ObservedNode) -> None:
    alice, bob = await two(node)
    bob.say("call:reject", callId=node.call(alice, "bob"))
    spans = await node.spans()
    assert sorted(tree(spans)) == sorted(
        ["call", "call > call.setup", "call > call.hangup"]
        + [TREE + name for name in ("ring_delivery", "ringing", "call:initiate", "call:reject")]
    )
    assert (named(spans, "call").attributes or {})["signalling.call.reason"] == "rejected"
    node.exporter.spans.clear()
    node.call(bob, "alice")
    await node.passes(30)
    spans = await node.spans()
    assert sorted(tree(spans)) == sorted(
        ["call", "call > call.setup", "call > call.hangup"]
        + [TREE + name for name in ("ring_delivery", "ringing", "call:initiate")]
    )
    assert seconds(named(spans, "ringing")) == pytest.approx(30)
    assert (named(spans, "call").attributes or {})["signalling.call.fault"] == "user"


@pytest.mark.parametrize("ratio", [0.0])
async def test_a_lost_call_is_kept_and_says_what_was_lost(node: ObservedNode) -> None:
    alice, bob = await two(node)
    await node.connected_call(alice, bob, ("alice", "bob"))
    await node.passes(10)
    assert await node.spans() == []
    bob.gone(CloseReason.TRANSPORT_LOST)
    spans = await node.spans()
    assert "call > call.connected" in tree(spans)
    root = named(spans, "call")
    assert root.status.status_code is StatusCode.ERROR
    assert (root.attributes or {})["signalling.call.fault"] == "network"
    assert node.scrape()['call_traces_total{decision="kept_fault"}'] == 1


async def test_absences_and_renegotiations_are_in_the_tree() -> None:
    node = ObservedNode(reconnect_grace_s=10)
    alice, bob = await two(node)
    call_id = await node.connected_call(alice, bob, ("alice", "bob"))
    await node.passes(5)
    bob.gone()
    await node.passes(4)
    bob = node.join("bob")
    bob.say("call:offer", offer="restart", to="alice")
    alice.say("call:end", callId=call_id)
    spans = await node.spans()
    node.close()
    assert "call > call.connected > call.reconnecting" in tree(spans)
    assert "call > call.connected > renegotiation" in tree(spans)
    assert seconds(named(spans, "call.reconnecting")) == pytest.approx(4)


async def test_an_hour_long_call_is_exported_in_two_bursts(node: ObservedNode) -> None:
    alice, bob = await two(node)
    call_id = await node.connected_call(alice, bob, ("alice", "bob"))
    setup = [span.name for span in await node.spans()]
    assert "call.setup" in setup
    assert "call" not in setup
    await node.passes(3600)
    alice.say("call:end", callId=call_id)
    spans = await node.spans()
    assert seconds(named(spans, "call.connected")) == pytest.approx(3602)
    assert len(spans) == len({span.context.span_id for span in spans if span.context})
    assert "call" in [span.name for span in spans]


@pytest.mark.parametrize("ratio", [0.0])
async def test_a_slow_set_up_is_kept_and_only_what_is_kept_has_exemplars(node: ObservedNode) -> None:
    alice, bob = await two(node)
    quick = await node.connected_call(alice, bob, ("alice", "bob"))
    alice.say("call:end", callId=quick)
    slow = node.call(alice, "bob")
    bob.say("call:accept", callId=slow)
    await node.passes(3.5)
    bob.say("call:connected", callId=slow)
    alice.say("call:end", callId=slow)
    spans = await node.spans()
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {slow}
    scrape = node.openmetrics()
    assert slow in scrape
    assert quick not in scrape
    seen = node.scrape()
    assert seen['call_traces_total{decision="kept_slow"}'] == 1
    assert seen['call_traces_total{decision="dropped_ratio"}'] == 1


@pytest.mark.parametrize("ratio", [0.5])
async def test_every_exemplar_has_its_trace(node: ObservedNode) -> None:
    alice, bob = await two(node)
    for _ in range(40):
        call_id = await node.connected_call(alice, bob, ("alice", "bob"))
        alice.say("call:end", callId=call_id)
    exported = {f"{span.context.trace_id:032x}" for span in await node.spans() if span.context}
    lines = node.openmetrics().splitlines()
    exemplars = {line.partition('# {trace_id="')[2][:32] for line in lines if "# {trace_id" in line}
    assert exemplars
    assert exemplars <= exported
    assert 5 < len(exported) < 35
    seen = node.scrape()
    kept, dropped = (seen[f'call_traces_total{{decision="{name}"}}'] for name in ("kept_ratio", "dropped_ratio"))
    assert (kept, kept + dropped) == (len(exported), 40)


@pytest.mark.parametrize("ratio", [0.0])
async def test_an_outage_cannot_flood_the_collector(node: ObservedNode) -> None:
    pairs = [(node.join(f"a{n}"), node.join(f"b{n}")) for n in range(MAX_KEPT_PER_S + 15)]
    for n, (caller, _) in enumerate(pairs):
        node.call(caller, f"b{n}")
    for caller, _ in pairs:
        caller.gone()
    roots = [span for span in await node.spans() if span.name == "call"]
    assert len(roots) == MAX_KEPT_PER_S
    assert node.scrape()['call_traces_total{decision="dropped_cap"}'] == 15


@pytest.mark.parametrize("ratio", [0.0])
async def test_a_call_with_an_event_that_we_failed_is_kept(node: ObservedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await two(node)
    call_id = node.call(alice, "bob")

    async def broken(*_: object) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(node.service.directory, "load", broken)
        bob.say("call:accept", callId=call_id)
    bob.say("call:reject", callId=call_id)
    spans = await node.spans()
    failed = named(spans, "call:accept")
    assert (failed.attributes or {})["error.type"] == "internal"
    assert failed.status.status_code is StatusCode.ERROR


async def test_a_clients_own_trace_is_linked(node: ObservedNode) -> None:
    alice, bob = await two(node)
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    call_id = node.call(alice, "bob", traceparent=traceparent)
    bob.say("call:reject", callId=call_id)
    (link,) = named(await node.spans(), "call").links
    assert f"{link.context.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert f"{link.context.span_id:016x}" == "00f067aa0ba902b7"


async def test_a_client_context_of_zeros_is_no_link(node: ObservedNode) -> None:
    alice, bob = await two(node)
    call_id = node.call(alice, "bob", traceparent=f"00-{'0' * 32}-{'0' * 16}-00")
    bob.say("call:reject", callId=call_id)
    assert list(named(await node.spans(), "call").links) == []


async def test_a_long_call_keeps_a_bounded_record(node: ObservedNode) -> None:
    alice, bob = await two(node)
    call_id = await node.connected_call(alice, bob, ("alice", "bob"))
    for _ in range(300):
        alice.say("call:offer", offer="again", to="bob")
    alice.say("call:end", callId=call_id)
    spans = await node.spans()
    assert len(spans) < 100
    assert (named(spans, "call").attributes or {})["signalling.call.events_not_kept"] == 300 + 1 + 5 - 64


async def test_a_collector_that_refuses_costs_nothing_but_counted_spans(node: ObservedNode) -> None:
    node.exporter.result = SpanExportResult.FAILURE
    alice, bob = await two(node)
    bob.say("call:reject", callId=node.call(alice, "bob"))
    spans = await node.spans()
    assert node.scrape()['trace_spans_exported_total{result="failed"}'] == len(spans)


async def test_a_collector_that_hangs_fills_a_bounded_queue_and_the_rest_is_counted(node: ObservedNode) -> None:
    node.exporter.gate.clear()
    alice, bob = await two(node)
    calls = MAX_QUEUED_SPANS // 7 + 50
    for _ in range(calls):
        bob.say("call:reject", callId=node.call(alice, "bob"))
    await node.passes(2)
    assert node.scrape()['trace_spans_exported_total{result="dropped"}'] == calls * 7 - MAX_QUEUED_SPANS
    node.exporter.gate.set()


async def test_what_is_open_is_exported_when_the_process_ends() -> None:
    node = ObservedNode()
    alice, bob = await two(node)
    bob.say("call:reject", callId=node.call(alice, "bob"))
    node.close()
    assert "call" in [span.name for span in node.exporter.spans]


async def test_without_a_collector_there_are_no_traces_and_no_exemplars() -> None:
    node = ObservedNode(traces=False)
    alice, bob = await two(node)
    call_id = await node.connected_call(alice, bob, ("alice", "bob"))
    alice.say("call:end", callId=call_id)
    await node.passes(2)
    scrape = node.openmetrics()
    node.close()
    assert "trace_id" not in scrape
    assert 'call_traces_total{decision="kept_ratio"} 0.0' in scrape
