"""This server against the Node server that it replaces: `python -m bench.compare`.

The two run in turn, never together, each in a fresh process, under the same load. Ours runs as it is delivered, with
metrics, logs and traces (at the default ratio, sent to a local sink); Node runs bare. The first turn of each is not
counted: it finds out what rate of calls both can carry.
"""

import argparse
import asyncio
import contextlib
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import uvloop

from bench.figures import Figures, compare, percentile, table
from bench.load.call import EVENTS_A_CALL
from bench.load.client import LoadError, join_all
from bench.load.crowd import Crowd, Run
from bench.server import OURS, Process, free_port, node_command, running

WARM_CONNECTIONS = 200
JOINS_AT_ONCE = 32
BUSY = 0.9
"""Above this share of a core the generator may have been what was measured."""


class Load(NamedTuple):
    """How much to ask for."""

    calls: int
    pairs: int
    connections: int
    warm_calls: int = 1000
    """Before anything is measured: a fresh process is slower."""


class Turn(NamedTuple):
    """What one turn of one server gave."""

    figures: Figures
    shares: Figures
    """Of one core, by what the generator was doing."""


class Peer(NamedTuple):
    """A server to measure."""

    name: str
    command: Sequence[str]
    observed: bool
    collects: bool

    @contextlib.contextmanager
    def running(self) -> Iterator[Process]:
        """Start it afresh, with whatever it reports to."""
        with contextlib.ExitStack() as stack:
            settings = {}
            if self.observed:
                sink = stack.enter_context(running((sys.executable, "-m", "bench.sink")))
                endpoint = f"http://127.0.0.1:{sink.port}"
                settings = {"METRICS_PORT": str(free_port()), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
            yield stack.enter_context(running(self.command, **settings))


async def saturation(peer: Peer, load: Load) -> float:
    """Calls a second that the server makes when it is given as many as it takes."""
    with peer.running() as server:
        crowd = await Crowd.connect(server.port, load.pairs)
        await crowd.saturate(load.warm_calls)
        run = await crowd.saturate(load.calls)
        await crowd.leave()
    return run.calls / run.seconds


async def turn(peer: Peer, load: Load, rate: float) -> Turn:
    """All figures of one server."""
    with peer.running() as server:
        calls = await _calls(server, load, rate)
    with peer.running() as server:
        connections = await _connections(server, load.connections, peer.collects)
    return Turn({**calls.figures, **connections.figures}, {**calls.shares, **connections.shares})


async def _calls(server: Process, load: Load, rate: float) -> Turn:
    crowd = await Crowd.connect(server.port, load.pairs)
    await crowd.saturate(load.warm_calls)
    before = server.cpu_s()
    full = await crowd.saturate(load.calls)
    between = server.cpu_s()
    steady = await crowd.at_rate(load.calls, rate)
    after = server.cpu_s()
    await crowd.leave()
    figures = {
        "calls a second at saturation": full.calls / full.seconds,
        "CPU a call at saturation, ms": (between - before) / full.calls * 1e3,
        "CPU a call at the fixed rate, ms": (after - between) / steady.calls * 1e3,
        **_latencies(steady),
    }
    return Turn(figures, {"saturation": full.generator_share, "fixed rate": steady.generator_share})


def _latencies(run: Run) -> Figures:
    named = (("set-up", run.times.set_up), ("relay", run.times.relay))
    return {
        f"{name} p{share:.0%}, ms".replace("%", ""): percentile(times, share) * 1e3
        for name, times in named
        for share in (0.5, 0.99)
    }


async def _connections(server: Process, connections: int, collects: bool) -> Turn:
    clients = await join_all(server.port, [f"warm-{n}" for n in range(WARM_CONNECTIONS)], JOINS_AT_ONCE)
    held = await server.settled_bytes(collects)
    used, wall, own = server.cpu_s(), time.perf_counter(), time.process_time()
    clients += await join_all(server.port, [f"idle-{n}" for n in range(connections)], JOINS_AT_ONCE)
    used, wall, own = server.cpu_s() - used, time.perf_counter() - wall, time.process_time() - own
    grown = await server.settled_bytes(collects) - held
    await asyncio.gather(*(client.leave() for client in clients))
    figures = {
        "connects and joins a second": connections / wall,
        "CPU a connect and join, ms": used / connections * 1e3,
        "memory of an idle connection, kB": grown / connections / 1e3,
    }
    return Turn(figures, {"connecting": own / wall})


async def measure(load: Load, rounds: int) -> tuple[float, dict[str, list[Turn]]]:
    """The fixed rate, and the turns of each server."""
    ours = Peer("ours", OURS, observed=True, collects=False)
    peers = (ours, Peer("Node", node_command(), observed=False, collects=True))
    rate = min([await saturation(peer, load) for peer in peers]) / 2
    turns: dict[str, list[Turn]] = {peer.name: [] for peer in peers}
    for number in range(rounds):
        for peer in peers:
            print(f"round {number + 1} of {rounds}: {peer.name}", file=sys.stderr)
            turns[peer.name].append(await turn(peer, load, rate))
    return rate, turns


def report(load: Load, rate: float, turns: dict[str, list[Turn]]) -> str:
    """What is printed."""
    rows = compare(*([each.figures for each in turns[name]] for name in ("ours", "Node")))
    size = f"{len(turns['ours'])} rounds, {load.calls} calls of {EVENTS_A_CALL} events, {load.pairs} pairs"
    lines = [f"{size}, {load.connections} idle connections, fixed rate {rate:.0f} calls a second", "", table(rows), ""]
    for name, each in turns.items():
        shares = {doing: statistics.median(one.shares[doing] for one in each) for doing in each[0].shares}
        told = ", ".join(f"{share:.2f} {doing}" for doing, share in shares.items())
        lines.append(f"the generator's share of a core, {name}: {told}")
        if max(shares.values()) > BUSY:
            lines.append("the generator was too busy: its own limit may be among the figures")
    return "\n".join(lines)


def raise_file_limit() -> None:
    """Every connection is a file here, and in the servers, which inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3000, help="in each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=2000, help="idle ones")
    parser.add_argument("--pairs", type=int, default=32, help="that call")
    parser.add_argument("--warm-calls", type=int, default=1000, help="before anything is measured")
    parser.add_argument("--quick", action="store_true", help="one small round: does it work, not how fast")
    chosen = parser.parse_args(arguments)
    load = Load(chosen.calls, chosen.pairs, chosen.connections, chosen.warm_calls)
    rounds = chosen.rounds
    if chosen.quick:
        load, rounds = Load(300, 8, 200, 300), 1
    raise_file_limit()
    try:
        rate, turns = uvloop.run(measure(load, rounds))
    except (LoadError, FileNotFoundError) as error:
        print(f"bench.compare: {error}", file=sys.stderr)
        return 1
    print(report(load, rate, turns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
