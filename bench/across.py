"""Calls between two nodes, this server against Node: `python -m bench.across`.

Two processes of each share one Redis. Callers are on the one, callees on the other, so that every message of a call
crosses over. Node's are Socket.IO with its Redis adapter; they look up whether the receiver of a relay is there, as the
original does, or save themselves that. The same calls with both parties on one of our two nodes show what the way
across costs. All run in turn, each with fresh processes.
"""

import argparse
import contextlib
import math
import re
import shutil
import sys
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import NamedTuple

import redis
import uvloop

from bench.figures import Figures, compare, percentile, table
from bench.load.client import LoadError
from bench.load.crowd import Crowd, Run
from bench.measure import UNLIMITED
from bench.server import OURS, REDIS, Process, free_port, node_command, running, scrape

TENTH = "at a tenth"
ENTRIES = re.compile(r"(?m)^signalling_inbox_batch_size_count (\S+)$")
MESSAGES = re.compile(r"(?m)^signalling_inbox_batch_size_sum (\S+)$")
ASKING = frozenset({"cmdstat_info"})
"""Commands of the benchmark's own."""


class Load(NamedTuple):
    """How much to ask for."""

    calls: int = 3000
    pairs: int = 32
    warm_calls: int = 500


class Cluster(NamedTuple):
    """Two nodes and the Redis between them."""

    nodes: tuple[Process, Process]
    redis: Process
    metrics: tuple[str, ...] = ()
    """Where the nodes say how they are, if they do."""

    def cpu_s(self) -> float:
        """Seconds of CPU of both nodes."""
        return sum(node.cpu_s() for node in self.nodes)

    def commands(self) -> float:
        """What Redis was asked so far: a script counts once, and so does each command that runs in it."""
        with redis.Redis(port=self.redis.port) as client:
            stats = client.info("commandstats")
        return float(sum(each["calls"] for name, each in stats.items() if name not in ASKING))

    def entries(self) -> tuple[float, float]:
        """How many entries for each other the nodes have written so far, and how many messages were in them."""
        told = "\n".join(map(scrape, self.metrics))
        return _sum(ENTRIES, told), _sum(MESSAGES, told)


class Peer(NamedTuple):
    """What is measured."""

    name: str
    command: Sequence[str]
    across: bool = True
    observed: bool = False
    settings: Mapping[str, str] = {}

    @contextlib.contextmanager
    def running(self) -> Iterator[Cluster]:
        """Start two nodes on a Redis of their own."""
        with contextlib.ExitStack() as stack:
            shared = stack.enter_context(running(REDIS))
            settings = {"REDIS_URL": f"redis://127.0.0.1:{shared.port}/0", **self.settings}
            if self.observed:
                sink = stack.enter_context(running((sys.executable, "-m", "bench.sink")))
                settings |= {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.port}", **UNLIMITED}
            ports = free_port(), free_port()
            first, second = (
                stack.enter_context(running(self.command, **settings, METRICS_PORT=str(port))) for port in ports
            )
            metrics = tuple(f"http://127.0.0.1:{port}/metrics" for port in ports if self.observed)
            yield Cluster((first, second), shared, metrics)


def peers() -> tuple[Peer, ...]:
    """This server across two nodes, Node across two, and this one within one of two.

    Raises:
        FileNotFoundError: Redis, Node or its packages are not installed.
    """
    if shutil.which("redis-server") is None:
        raise FileNotFoundError("calls between nodes need redis-server")
    return (
        Peer("ours", OURS, observed=True),
        Peer("Node", node_command("across.mjs")),
        Peer("Node, no look-ups", node_command("across.mjs"), settings={"LOOK_UP_RECEIVERS": "false"}),
        Peer("ours within a node", OURS, across=False, observed=True),
    )


async def measure(load: Load, rounds: int) -> tuple[float, dict[str, list[Figures]], dict[str, list[float]]]:
    """The rate of the steady calls, the figures of each peer, and how busy the generator was."""
    every = peers()
    limits = [await _limit(peer, load) for peer in every]
    rate = min(limits) / 10
    found: dict[str, list[Figures]] = {peer.name: [] for peer in every}
    busy: dict[str, list[float]] = {peer.name: [] for peer in every}
    for number in range(rounds):
        for peer in every:
            print(f"round {number + 1} of {rounds}: {peer.name}", file=sys.stderr)
            figures, share = await _turn(peer, load, rate)
            found[peer.name].append(figures)
            busy[peer.name].append(share)
    return rate, found, busy


async def _crowd(peer: Peer, cluster: Cluster, load: Load) -> Crowd:
    first, second = cluster.nodes
    crowd = await Crowd.connect(first.port, load.pairs, callees_port=second.port if peer.across else None)
    await crowd.saturate(load.warm_calls)
    return crowd


async def _limit(peer: Peer, load: Load) -> float:
    with peer.running() as cluster:
        crowd = await _crowd(peer, cluster, load)
        run = await crowd.saturate(load.calls)
        await crowd.leave()
    return run.calls / run.seconds


async def _turn(peer: Peer, load: Load, rate: float) -> tuple[Figures, float]:
    with peer.running() as cluster:
        crowd = await _crowd(peer, cluster, load)
        full, figures = await _used(cluster, "at saturation", crowd.saturate(load.calls))
        steady, at_a_tenth = await _used(cluster, TENTH, crowd.at_rate(load.calls, rate))
        await crowd.leave()
    of_full = {"calls a second at saturation": full.calls / full.seconds}
    return {**of_full, **figures, **at_a_tenth, **_latencies(steady)}, full.generator_share


async def _used(cluster: Cluster, when: str, work: Awaitable[Run]) -> tuple[Run, Figures]:
    """A run, and what it took."""
    used, asked, theirs, before = cluster.cpu_s(), cluster.commands(), cluster.redis.cpu_s(), cluster.entries()
    run = await work
    nodes, shared = cluster.cpu_s() - used, cluster.redis.cpu_s() - theirs
    entries, messages = (now - then for now, then in zip(cluster.entries(), before, strict=True))
    return run, {
        f"CPU of both nodes a call {when}, ms": nodes / run.calls * 1e3,
        f"CPU of Redis a call {when}, ms": shared / run.calls * 1e3,
        f"CPU of all three a call {when}, ms": (nodes + shared) / run.calls * 1e3,
        f"commands of Redis a call {when}": (cluster.commands() - asked) / run.calls,
        f"messages an entry {when}": messages / entries if entries else math.nan,
    }


def _sum(values: re.Pattern[str], text: str) -> float:
    return sum(map(float, values.findall(text)))


def _latencies(run: Run) -> Figures:
    return {
        f"{name} p{share * 100:.0f} {TENTH}, ms": percentile(times, share) * 1e3
        for name, times in (("set-up", run.times.set_up), ("relay", run.times.relay))
        for share in (0.5, 0.99)
    }


def report(load: Load, rate: float, found: Mapping[str, Sequence[Figures]], busy: Mapping[str, Sequence[float]]) -> str:
    """What is printed."""
    rounds = len(found["ours"])
    shares = ", ".join(f"{max(each):.2f} beside {name}" for name, each in busy.items())
    return "\n".join(
        [
            f"{rounds} rounds, {load.calls} calls, {load.pairs} pairs; {TENTH}: {rate:.0f} calls a second",
            "",
            table(compare(found)),
            "",
            f"the generator's share of a core at saturation, at the most: {shares}",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=Load().calls, help="in each run")
    parser.add_argument("--pairs", type=int, default=Load().pairs, help="that call")
    parser.add_argument("--quick", action="store_true", help="one small round: does it work, not how fast")
    chosen = parser.parse_args(arguments)
    load = Load(100, 4, 50) if chosen.quick else Load(chosen.calls, chosen.pairs)
    try:
        rate, found, busy = uvloop.run(measure(load, 1 if chosen.quick else chosen.rounds))
    except (LoadError, FileNotFoundError) as error:
        print(f"bench.across: {error}", file=sys.stderr)
        return 1
    print(report(load, rate, found, busy))
    return 0


if __name__ == "__main__":
    sys.exit(main())
