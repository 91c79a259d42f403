"""Traces of a real server, over OTLP, at a real socket."""

import asyncio
import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import socketio

from observability.spans import root_span_id
from service.domain.ids import CallId
from tests.observability.collector import Collector
from tests.support.server import running_server


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


async def a_call(url: str, then: Callable[[], object] | None = None) -> str:
    """Place and answer a call over websockets, hang up unless something else is to happen `then`; give its id."""
    clients = [socketio.AsyncClient() for _ in range(2)]
    for client, user in zip(clients, ("anna", "otto"), strict=True):
        await client.connect(url, transports=["websocket"])
        await client.call("user:join", {"userId": user})
    caller, callee = clients
    call_id: str = (await caller.call("call:initiate", {"to": "otto", "callType": "audio"}))["callId"]
    await callee.call("call:accept", {"callId": call_id})
    await caller.call("call:offer", {"offer": {"sdp": "v=0"}, "to": "otto"})
    await callee.call("call:answer", {"answer": {"sdp": "v=0"}, "to": "anna"})
    await callee.call("call:connected", {"callId": call_id})
    if then is None:
        await callee.call("call:end", {"callId": call_id})
    else:
        await asyncio.to_thread(then)
    for client in clients:
        await client.disconnect()
    return call_id


def scraped(url: str) -> list[str]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode()).splitlines()


async def test_a_whole_call_arrives_at_the_collector(collector: Collector, tmp_path: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "TRACE_RATIO": "1", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with running_server(tmp_path, **settings, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test") as server:
        call_id = await a_call(server.url)
        spans = {span.name: span for span in collector.wait_for("call")}
        log = server.log.read_text()
    root = spans["call"]
    assert root.trace_id.hex() == call_id
    assert root.span_id.hex() == root_span_id(CallId(call_id))
    assert spans["call.setup"].parent_span_id == root.span_id
    assert spans["call:offer"].parent_span_id == spans["call.setup"].span_id
    assert spans["call.connected"].parent_span_id == root.span_id
    assert abs(root.start_time_unix_nano / 1e9 - time.time()) < 120
    assert collector.resource["service.name"] == "hellotalk-signalling"
    assert collector.resource["deployment.environment.name"] == "test"
    ended = next(line for line in map(json.loads, log.splitlines()) if line["message"] == "call ended")
    assert (ended["trace_id"], ended["span_id"]) == (call_id, root.span_id.hex())


async def test_what_is_queued_is_sent_when_the_server_stops(collector: Collector, tmp_path: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "TRACE_RATIO": "0", "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with running_server(tmp_path, **settings) as server:
        await a_call(server.url, then=partial(server.stop, signal.SIGTERM))
    root = next(span for span in collector.spans if span.name == "call")
    reason = next(pair.value.string_value for pair in root.attributes if pair.key == "signalling.call.reason")
    assert reason == "server_shutdown"


async def test_a_dead_collector_costs_nothing_but_counted_spans(tmp_path: Path) -> None:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "TRACE_RATIO": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with running_server(tmp_path, **settings, OTEL_EXPORTER_OTLP_TIMEOUT="1") as server:
        await a_call(server.url)
        deadline = time.monotonic() + 30
        failed = 0.0
        while not failed and time.monotonic() < deadline:
            scrape = await asyncio.to_thread(scraped, server.metrics_url)
            failed = next(float(line.split()[1]) for line in scrape if 'exported_total{result="failed"}' in line)
        assert failed > 5
        assert server.stop(signal.SIGTERM) == 0
        assert "Traceback" not in server.log.read_text()
