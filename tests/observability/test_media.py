"""What clients report of their media: in the metrics by exact numbers, in the trace and in the log."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from tests.observability.node import Client, ObservedNode

DIRECT = {"local": "host", "remote": "srflx", "protocol": "udp"}
RELAYED = {"local": "relay", "remote": "host", "protocol": "tls"}


async def answered_call(node: ObservedNode) -> tuple[Client, Client, str]:
    alice, bob = node.join("alice"), node.join("bob")
    return alice, bob, await node.connected_call(alice, bob, ("alice", "bob"))


def report(client: Client, call_id: str, **stats: object) -> None:
    client.say("call:quality", callId=call_id, stats=stats)


def media(node: ObservedNode) -> dict[str, float]:
    return {
        name: value
        for name, value in node.scrape().items()
        if name.startswith(("ice_", "media_")) and "_bucket" not in name
    }


async def test_each_party_counts_once_for_each_thing_that_ice_came_to(node: ObservedNode) -> None:
    alice, bob, call_id = await answered_call(node)
    report(alice, call_id, ice="connected", pair=DIRECT)
    report(alice, call_id, ice="connected", pair=RELAYED)
    report(bob, call_id, ice="connected", pair=RELAYED)
    for _ in range(3):
        report(bob, call_id, ice="disconnected")
        report(bob, call_id, ice="failed", failedIn="connected")
    report(bob, call_id, ice="connected")
    report(alice, call_id, ice="failed")
    assert media(node) == {
        'ice_outcomes_total{result="connected"}': 2,
        'ice_outcomes_total{result="disconnected"}': 1,
        'ice_outcomes_total{result="failed"}': 2,
        'ice_failures_total{stage="connected"}': 1,
        'ice_failures_total{stage="unknown"}': 1,
        'ice_selected_pairs_total{path="reflexive",protocol="udp"}': 1,
        'ice_selected_pairs_total{path="relay",protocol="tls"}': 1,
    }
    assert node.scrape()['events_total{event="call:quality",outcome="ok"}'] == 11


async def test_every_measure_of_a_report_is_observed_in_base_units(node: ObservedNode) -> None:
    alice, bob, call_id = await answered_call(node)
    report(bob, call_id, roundTripTime=0.5)
    report(alice, call_id, pair=RELAYED, roundTripTime=0.25, jitter=0.5, fractionLost=0.25, inboundBitrate=80_000)
    report(alice, call_id, roundTripTime=0.75, outboundBitrate=160_000, fractionLost=0)
    assert media(node) == {
        'media_rtt_seconds_count{path="unknown"}': 1,
        'media_rtt_seconds_sum{path="unknown"}': 0.5,
        'media_rtt_seconds_count{path="relay"}': 2,
        'media_rtt_seconds_sum{path="relay"}': 1,
        "media_jitter_seconds_count": 1,
        "media_jitter_seconds_sum": 0.5,
        "media_loss_ratio_count": 2,
        "media_loss_ratio_sum": 0.25,
        'media_throughput_bytes_per_second_count{direction="in"}': 1,
        'media_throughput_bytes_per_second_sum{direction="in"}': 10_000,
        'media_throughput_bytes_per_second_count{direction="out"}': 1,
        'media_throughput_bytes_per_second_sum{direction="out"}': 20_000,
    }
    seen = node.scrape()
    assert seen['media_loss_ratio_bucket{le="0.0"}'] == 1
    assert seen['media_rtt_seconds_bucket{le="0.25",path="relay"}'] == 1


async def test_what_is_refused_is_counted_as_refused_and_nothing_else(node: ObservedNode) -> None:
    alice, _bob, call_id = await answered_call(node)
    report(alice, call_id, roundTripTime=61)
    report(alice, "f" * 32, roundTripTime=1)
    report(node.join("carol"), call_id, roundTripTime=1)
    seen = node.scrape()
    assert media(node) == {}
    assert seen['events_total{event="call:quality",outcome="invalid_payload"}'] == 1
    assert seen['events_total{event="call:quality",outcome="call_not_found"}'] == 2


async def test_measures_have_exemplars_where_the_trace_is_kept(node: ObservedNode) -> None:
    alice, _bob, call_id = await answered_call(node)
    report(alice, call_id, roundTripTime=0.25)
    assert any("media_rtt" in line and call_id in line for line in node.openmetrics().splitlines())


def quality(spans: list[ReadableSpan]) -> dict[str, ReadableSpan]:
    return {
        str(span.attributes["signalling.call.role"]): span
        for span in spans
        if span.name == "media.quality" and span.attributes
    }


async def test_the_trace_of_a_call_says_how_its_media_fared(node: ObservedNode) -> None:
    alice, bob, call_id = await answered_call(node)
    report(alice, call_id, ice="connected", pair=DIRECT)
    await node.passes(10)
    report(alice, call_id, roundTripTime=0.25, jitter=0.5, fractionLost=0.25, outboundBitrate=8000)
    await node.passes(10)
    report(alice, call_id, pair=RELAYED, roundTripTime=0.75)
    report(bob, call_id, ice="failed", failedIn="connected")
    alice.say("call:end", callId=call_id)
    spans = await node.spans()
    (root,) = (span for span in spans if span.name == "call")
    told = quality(spans)
    assert set(told) == {"caller", "callee"}
    assert dict(told["caller"].attributes or {}) == {
        "signalling.call.role": "caller",
        "signalling.media.reports": 3,
        "signalling.media.round_trip_time.mean": 0.5,
        "signalling.media.round_trip_time.max": 0.75,
        "signalling.media.jitter.mean": 0.5,
        "signalling.media.jitter.max": 0.5,
        "signalling.media.fraction_lost.mean": 0.25,
        "signalling.media.fraction_lost.max": 0.25,
        "signalling.media.outbound_bitrate.mean": 8000,
        "signalling.media.outbound_bitrate.max": 8000,
        "signalling.ice.local": "relay",
        "signalling.ice.remote": "host",
        "signalling.ice.protocol": "tls",
        "signalling.ice.path": "relay",
    }
    (connected,) = told["caller"].events
    assert (connected.name, dict(connected.attributes or {})) == (
        "ice.connected",
        {
            "signalling.ice.local": "host",
            "signalling.ice.remote": "srflx",
            "signalling.ice.protocol": "udp",
            "signalling.ice.path": "reflexive",
        },
    )
    (failed,) = told["callee"].events
    assert (failed.name, dict(failed.attributes or {})) == ("ice.failed", {"signalling.ice.stage": "connected"})
    for span in told.values():
        assert span.parent is not None
        assert root.context is not None
        assert span.parent.span_id == root.context.span_id
    start, end = told["caller"].start_time, told["caller"].end_time
    assert start == connected.timestamp
    assert end is not None
    assert end - start == pytest.approx(20e9)
    assert "call:quality" not in {span.name for span in spans}, "a report is no span of its own"


async def test_reports_do_not_crowd_out_the_events_of_a_long_call(node: ObservedNode) -> None:
    alice, _bob, call_id = await answered_call(node)
    for _ in range(200):
        report(alice, call_id, roundTripTime=0.25)
    alice.say("call:end", callId=call_id)
    spans = await node.spans()
    assert "call:end" in {span.name for span in spans}
    assert (quality(spans)["caller"].attributes or {})["signalling.media.reports"] == 200


async def test_a_call_without_reports_has_no_span_of_them(node: ObservedNode) -> None:
    alice, _bob, call_id = await answered_call(node)
    alice.say("call:end", callId=call_id)
    assert quality(await node.spans()) == {}


async def test_trouble_with_ice_has_a_line_in_the_log(node: ObservedNode) -> None:
    alice, bob, call_id = await answered_call(node)
    report(alice, call_id, ice="connected", pair=DIRECT)
    report(alice, call_id, ice="disconnected")
    report(bob, call_id, ice="failed", failedIn="checking")
    report(bob, call_id, ice="failed", failedIn="checking")
    told = [line for line in node.lines() if str(line["message"]).startswith("ice")]
    assert [{name: line.get(name) for name in ("message", "trace_id", "stage")} for line in told] == [
        {"message": "ice disconnected", "trace_id": call_id, "stage": None},
        {"message": "ice failed", "trace_id": call_id, "stage": "checking"},
    ]
