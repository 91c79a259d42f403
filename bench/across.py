"""Calls between two nodes, this server against Node: `python -m bench.across`.

Two processes of each share one Redis. Callers are on the one, callees on the other, so that every message of a call
crosses over. Node's are Socket.IO with its Redis adapter; they look up whether the receiver of a relay is there, as the
original does, or save themselves that. The same calls with both parties on one of our two nodes show what the way
across costs. All run in turn, each with fresh processes.
"""

import argparse
import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import redis
import uvloop

from bench.figures import Figures, compare, percentile, table
from bench.load.client import LoadError
from bench.load.crowd import Crowd, Run
from bench.measure import UNLIMITED
from bench.server import OURS, REDIS, Process, free_port, node_command, running

TENTH = "at a tenth"
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

    def cpu_s(self) -> float:
        """Seconds of CPU of both nodes."""
        return sum(node.cpu_s() for node in self.nodes)

    def commands(self) -> float:
        """What Redis was asked so far: a script counts once, and so does each command that runs in it."""
        with redis.Redis(port=self.redis.port) as client:
            stats = client.info("commandstats")
        return float(sum(each["calls"] for name, each in stats.items() if name not in ASKING))


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
            first, second = (
                stack.enter_context(running(self.command, **settings, METRICS_PORT=str(free_port()))) for _ in range(2)
            )
            yield Cluster((first, second), shared)


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
        used, asked, theirs = cluster.cpu_s(), cluster.commands(), cluster.redis.cpu_s()
        full = await crowd.saturate(load.calls)
        figures = {
            "calls a second at saturation": full.calls / full.seconds,
            "CPU of both nodes a call at saturation, ms": (cluster.cpu_s() - used) / full.calls * 1e3,
            "CPU of Redis a call at saturation, ms": (cluster.redis.cpu_s() - theirs) / full.calls * 1e3,
            "commands of Redis a call at saturation": (cluster.commands() - asked) / full.calls,
        }
        used, asked, theirs = cluster.cpu_s(), cluster.commands(), cluster.redis.cpu_s()
        steady = await crowd.at_rate(load.calls, rate)
        figures |= {
            f"CPU of both nodes a call {TENTH}, ms": (cluster.cpu_s() - used) / steady.calls * 1e3,
            f"CPU of Redis a call {TENTH}, ms": (cluster.redis.cpu_s() - theirs) / steady.calls * 1e3,
            f"commands of Redis a call {TENTH}": (cluster.commands() - asked) / steady.calls,
            **_latencies(steady),
        }
        await crowd.leave()
    return figures, full.generator_share


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
