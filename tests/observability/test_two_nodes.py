"""A call between two real nodes on one Redis: one trace, and every milestone once."""

import asyncio
import contextlib
import re
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.spans import root_span_id
from service.domain.ids import CallId
from tests.interop.py_client import PyClient, py_client
from tests.observability.collector import Collector
from tests.support.redis import RedisServer, eventually, running_redis
from tests.support.server import Server, running_server

SETTINGS = {
    "TRACE_RATIO": "1",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
    "SHUTDOWN_TIMEOUT_S": "3",
}
LEASE_S = "2"
"""Of nodes that are killed: so long until it is noticed."""
FRAME = ["call", "call.setup", "call.connected", "call.hangup"]
SETUP = "call > call.setup > "
FUNNEL = dict.fromkeys(("attempted", "ringing", "answered", "negotiated", "connected", "ended"), 1.0)


class Site(NamedTuple):
    """Two nodes, and what they tell."""

    left: Server
    right: Server
    redis: RedisServer
    collector: Collector

    def stop(self) -> list[Span]:
        """Stop the nodes that still run; gives every span that was ever sent."""
        for server in (self.left, self.right):
            if server.process.poll() is None:
                assert server.stop(signal.SIGTERM) == 0
                assert "Traceback" not in server.log.read_text()
        return list(self.collector.spans)

    def counts(self, name: str, label: str, *servers: Server) -> Counter[str]:
        """The sum of a metric over nodes, by a label."""
        counts = Counter[str]()
        for server in servers or (self.left, self.right):
            with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:  # noqa: S310 - loopback
                text = answer.read().decode()
            for value, number in re.findall(rf'(?m)^signalling_{name}\{{.*?{label}="(\w+)".*?\}} (\S+)$', text):
                counts[value] += float(number)  # type: ignore[assignment] # a sum of what Prometheus has
        return +counts


@contextlib.contextmanager
def running_site(directory: Path, **settings: str) -> Iterator[Site]:
    with contextlib.closing(Collector()) as collector, running_redis(directory) as redis:
        given = {**SETTINGS, **settings, "REDIS_URL": redis.url, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with running_server(directory, **given) as left, running_server(directory, **given) as right:
            yield Site(left, right, redis, collector)


async def connected(alice: PyClient, bob: PyClient) -> str:
    """A call with media."""
    call_id: str = (await alice.ask("call:initiate", {"to": bob.name, "callType": "video"}))["callId"]
    assert (await bob.next())[0] == "call:incoming"
    await bob.ask("call:accept", {"callId": call_id})
    await heard(alice, "call:accepted")
    await alice.ask("call:offer", {"offer": {"sdp": "v=0"}, "to": bob.name})
    for number in range(3):
        await alice.ask("ice:candidate", {"candidate": {"n": number}, "to": bob.name})
    await heard(bob, "call:offer")
    await bob.ask("call:answer", {"answer": {"sdp": "v=0"}, "to": alice.name})
    await bob.ask("ice:candidate", {"candidate": {"n": 0}, "to": alice.name})
    await heard(alice, "call:answer")
    for party in (alice, bob):
        assert (await party.ask("call:connected", {"callId": call_id}))["ok"]
    return call_id


async def heard(client: PyClient, event: str) -> None:
    while (await client.next())[0] != event:
        pass


def tree(spans: Sequence[Span], call_id: str) -> list[str]:
    """Every span as the path from the root to it. Fails where one is missing, or there twice."""
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans)
    assert {span.trace_id.hex() for span in spans} == {call_id}

    def path(span: Span) -> str:
        above = f"{path(by_id[span.parent_span_id])} > " if span.parent_span_id else ""
        return above + span.name

    return sorted(path(span) for span in spans)


def facts(span: Span) -> dict[str, str | bool]:
    return {
        pair.key: pair.value.bool_value if pair.value.HasField("bool_value") else pair.value.string_value
        for pair in span.attributes
    }


@pytest.mark.parametrize("ending", ["caller", "callee"])
async def test_a_call_between_two_nodes_is_one_trace_and_counts_once(tmp_path: Path, ending: str) -> None:
    with running_site(tmp_path) as site:
        async with (
            py_client(site.left.url, "websocket", "alice") as alice,
            py_client(site.right.url, "websocket", "bob") as bob,
        ):
            call_id = await connected(alice, bob)
            live = site.counts("calls", "state", site.left), site.counts("calls", "state", site.right)
            who, other = (alice, bob) if ending == "caller" else (bob, alice)
            await who.ask("call:end", {"callId": call_id})
            await heard(other, "call:ended")
            funnel = site.counts("call_milestones_total", "milestone")
            ends = site.counts("calls_ended_total", "fault")
            left = site.counts("calls", "state")
        spans = site.stop()
    assert (live, left) == (({"connected": 1}, {}), {})
    assert (funnel, ends) == (FUNNEL, {"none": 1})
    assert tree(spans, call_id) == sorted(
        ["call", "call > call.setup", "call > call.connected", "call > call.hangup"]
        + [SETUP + name for name in ("ring_delivery", "ringing", "negotiation", "media")]
        + [SETUP + "ice.trickle"] * 2
        + [SETUP + name for name in ("call:initiate", "call:accept", "call:offer", "call:answer", "call:connected")]
        + ["call > call.connected > call:connected", "call > call.connected > call:end"]
    )
    origin = {span.name: site.collector.origins[span.span_id] for span in spans}
    assert origin["call:initiate"] == origin["call:offer"] != origin["call:accept"] == origin["call:answer"]
    ender = origin["call:initiate"] if ending == "caller" else origin["call:accept"]
    assert {origin[name] for name in FRAME} == {ender}
    (root,) = (span for span in spans if span.name == "call")
    assert root.span_id.hex() == root_span_id(CallId(call_id))
    assert facts(root)["signalling.call.fault"] == "none"
    assert "signalling.call.node_lost" not in facts(root)


async def test_a_call_whose_node_is_killed_is_ended_and_told_once(tmp_path: Path) -> None:
    with running_site(tmp_path, RECONNECT_GRACE_S="0", NODE_LEASE_S=LEASE_S) as site:
        async with py_client(site.left.url, "websocket", "alice") as alice:
            bob = PyClient("bob")
            await bob.connect(site.right.url, "websocket")
            call_id = await connected(alice, bob)
            site.right.stop(signal.SIGKILL)
            await heard(alice, "call:ended")
            recovered = site.counts("calls_recovered_total", "result", site.left)
            ends = site.counts("calls_ended_total", "reason", site.left)
            live = site.counts("calls", "state", site.left)
            await bob.close()
        spans = site.stop()
    assert (recovered, ends, live) == ({"ended": 1}, {"connection_lost": 1}, {})
    (root,) = (span for span in spans if span.name == "call")
    assert facts(root)["signalling.call.node_lost"] is True
    assert facts(root)["signalling.call.fault"] == "network"
    paths = tree(spans, call_id)
    assert set(paths) >= {
        "call > call.setup",
        "call > call.connected",
        "call > call.hangup",
        "call > call.connected > call.node_lost",
        SETUP + "call:initiate",
        SETUP + "call:offer",
    }
    assert len({site.collector.origins[span.span_id] for span in spans if span.name in FRAME}) == 1


async def test_a_party_that_comes_back_on_the_other_node_is_one_absence(tmp_path: Path) -> None:
    with running_site(tmp_path, RECONNECT_GRACE_S="30", NODE_LEASE_S=LEASE_S) as site:
        async with py_client(site.left.url, "websocket", "alice") as alice:
            bob = PyClient("bob")
            await bob.connect(site.right.url, "websocket")
            call_id = await connected(alice, bob)
            site.right.stop(signal.SIGKILL)
            await heard(alice, "call:peer-reconnecting")
            again = PyClient("bob")
            again.name = bob.name
            await again.connect(site.left.url, "websocket")
            await heard(alice, "call:peer-reconnected")
            recovered = site.counts("calls_recovered_total", "result", site.left)
            resumed = site.counts("resumes_total", "result", site.left)
            await again.ask("call:end", {"callId": call_id})
            ends = site.counts("calls_ended_total", "reason", site.left)
            await again.close()
            await bob.close()
        spans = site.stop()
    assert (recovered, resumed, ends) == ({"waiting": 1}, {"returned": 1}, {"hangup": 1})
    paths = tree(spans, call_id)
    assert paths.count("call > call.connected > call.reconnecting") == 1
    assert paths.count("call > call.connected > call.node_lost") == 1


async def test_a_lost_call_is_kept_by_both_nodes(tmp_path: Path) -> None:
    with running_site(tmp_path, TRACE_RATIO="0", RECONNECT_GRACE_S="0.5") as site:
        async with py_client(site.left.url, "websocket", "alice") as alice:
            bob = PyClient("bob")
            await bob.connect(site.right.url, "websocket")
            call_id = await connected(alice, bob)
            await bob.drop()
            await heard(alice, "call:ended")

            async def decided() -> bool:
                return bool(await asyncio.to_thread(site.counts, "call_traces_total", "decision"))

            await eventually(decided)
            decisions = site.counts("call_traces_total", "decision")
        spans = site.stop()
    assert decisions == {"kept_fault": 1}
    paths = tree(spans, call_id)
    assert {SETUP + "call:initiate", SETUP + "call:accept", "call > call.connected > call.reconnecting"} <= set(paths)
    assert len({site.collector.origins[span.span_id] for span in spans}) == 2


async def test_a_refused_call_leaves_nothing_behind_on_either_node(tmp_path: Path) -> None:
    with running_site(tmp_path) as site:
        async with (
            py_client(site.left.url, "websocket", "alice") as alice,
            py_client(site.right.url, "websocket", "bob") as bob,
        ):
            first = (await alice.ask("call:initiate", {"to": bob.name, "callType": "audio"}))["callId"]
            await heard(bob, "call:incoming")
            await bob.ask("call:reject", {"callId": first})
            await heard(alice, "call:rejected")
            second = (await bob.ask("call:initiate", {"to": alice.name, "callType": "audio"}))["callId"]
            await heard(alice, "call:incoming")
            await bob.ask("call:end", {"callId": second})
            await heard(alice, "call:ended")
            funnel = site.counts("call_milestones_total", "milestone")
            ends = site.counts("calls_ended_total", "reason")
            assert site.counts("calls", "state") == {}
        spans = site.stop()
    assert funnel == {"attempted": 2, "ringing": 2, "ended": 2}
    assert ends == {"rejected": 1, "cancelled": 1}
    for call_id in (first, second):
        mine = [span for span in spans if span.trace_id.hex() == call_id]
        assert tree(mine, call_id).count("call") == 1
