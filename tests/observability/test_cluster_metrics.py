"""The metrics of Redis and the inboxes: by themselves, and of nodes that share a real Redis."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from observability.catalogue import CLUSTER_METRICS, OTHER
from observability.cluster_catalogue import COMMANDS
from observability.cluster_metrics import ClusterMetrics
from service.adapters.redis.scripts import SCRIPTS
from service.ports import RedisWatch
from tests.front.support import fetch
from tests.observability.node import ObservedNode
from tests.support.redis import RedisServer, eventually, running_redis
from tests.support.server import Server, running_server


def samples(server: Server) -> dict[str, float]:
    found = {}
    for line in fetch(server.metrics_url).splitlines():
        if line.startswith("signalling_"):
            name, _, value = line.removeprefix("signalling_").rpartition(" ")
            found[name] = float(value)
    return found


def test_commands_are_scripts() -> None:
    assert set(COMMANDS) - {script.name for script in SCRIPTS} == {OTHER}


async def test_a_node_alone_says_nothing_of_redis(node: ObservedNode) -> None:
    text = node.openmetrics()
    assert not [metric.full_name for metric in CLUSTER_METRICS if metric.full_name in text]
    assert type(node.telemetry.redis_watch) is RedisWatch


def test_what_is_seen_is_counted() -> None:
    node = ObservedNode(shared=True)
    watch = node.telemetry.redis_watch
    watch.redis_reached()
    watch.reconnected()
    watch.nodes_living(3)
    for command, outcome in (("seat", "ok"), ("register", "refused"), ("PING", "unknown")):
        watch.command_done(command, 0.002, outcome)
    for messages in (1, 4):
        watch.batch_sent(messages)
    watch.batch_received(7, 0.003)
    watch.poison_ignored("version")
    watch.messages_lost(5)
    watch.delivery_missed()
    watch.fenced()
    watch.session_reaped()
    for result in ("ours", "theirs", "over"):
        watch.call_restored(result)
    seen = node.scrape()
    watch.redis_lost()
    after = node.scrape()
    node.close()
    wanted = {
        "redis_up": 1,
        "redis_reconnects_total": 1,
        "cluster_nodes": 3,
        'redis_command_duration_seconds_count{command="seat"}': 1,
        'redis_command_duration_seconds_count{command="_OTHER"}': 2,
        'redis_commands_failed_total{outcome="refused"}': 1,
        'redis_commands_failed_total{outcome="unknown"}': 1,
        'inbox_messages_total{direction="out"}': 5,
        'inbox_messages_total{direction="in"}': 7,
        "inbox_batch_size_count": 2,
        "inbox_lag_seconds_count": 1,
        'inbox_problems_total{problem="version"}': 1,
        'inbox_problems_total{problem="lost"}': 5,
        'inbox_problems_total{problem="undelivered"}': 1,
        "leases_lost_total": 1,
        "sessions_reaped_total": 1,
        'calls_recovered_total{result="rewritten"}': 1,
        'calls_recovered_total{result="newer"}': 1,
        'calls_recovered_total{result="over"}': 1,
    }
    assert {name: seen.get(name) for name in wanted} == wanted
    assert "redis_up" not in after


def test_an_observer_of_redis_that_breaks_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: ClusterMetrics, _count: int) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ClusterMetrics, "nodes_living", broken)
    node = ObservedNode(shared=True)
    node.telemetry.redis_watch.nodes_living(1)
    seen = node.scrape()
    node.close()
    assert seen['observer_failures_total{observer="cluster_metrics"}'] == 1


async def shows(server: Server, **wanted: float) -> None:
    """Wait until a node says so."""

    async def holds() -> bool:
        seen = await asyncio.to_thread(samples, server)
        return {name: seen[name] for name in wanted} == wanted

    await eventually(holds)


async def test_nodes_say_when_redis_goes_and_comes(tmp_path: Path, redis_server: RedisServer) -> None:
    settings = {"REDIS_URL": redis_server.url, "NODE_LEASE_S": "4"}
    with running_server(tmp_path, **settings) as one, running_server(tmp_path, **settings) as other:
        for server in (one, other):
            await shows(server, redis_up=1, cluster_nodes=2)
        redis_server.kill()
        await shows(one, redis_up=0)
        redis_server.start()
        await shows(one, redis_up=1, cluster_nodes=2)
        seen = samples(one)
    assert seen["redis_reconnects_total"] >= 1
    assert seen['redis_command_duration_seconds_count{command="renew"}'] >= 1
    assert seen['redis_command_duration_seconds_count{command="_OTHER"}'] >= 1


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server
