"""What is measured of one server: each phase in a fresh process, under load that is the same for all."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.figures import Figures, percentile
from bench.load.client import Proof, join_all, no_proof
from bench.load.crowd import Crowd, Run
from bench.load.herd import JOINS_AT_ONCE, herd
from bench.load.probe import Probe
from bench.server import OURS, Process, free_port, node_command, running

CPU_A_CALL = "CPU a call at saturation, ms"
CPU_A_CONNECT = "CPU a connect and join, ms"
MEMORY = "memory of an idle connection, kB"
SATURATION = "cores in use at saturation"
WARM_CONNECTIONS = 200
UNLIMITED = {
    "LIMIT_CONNECTS": "0",
    "LIMIT_EVENTS": "0",
    "LIMIT_LOOKUPS": "0",
    "LIMIT_CALL_INITIATE": "0",
    "MAX_CONNECTIONS_PER_ADDRESS": "0",
    "MAX_CONNECTIONS": "0",
    "RECONNECT_GRACE_S": "0",
}
"""All clients come from the same few addresses, and many at a time. Node has no such limits, and keeps no call."""


class Load(NamedTuple):
    """How much to ask for."""

    calls: int
    pairs: int
    connections: int
    """Idle ones, for their memory."""
    warm_calls: int = 1000
    """Before anything is measured: a fresh process is slower."""
    few: int = 100
    """Open connections, to compare with many."""
    many: int = 20_000
    """Open connections, for the cost of a call among them. 0: not measured."""
    among_s: float = 25.0
    """How long that takes. Every connection is pinged once in 25 s, and that is part of the cost."""
    storm: int = 2_000
    """Clients that come back at once. 0: not measured."""


class Turn(NamedTuple):
    """What one turn of one server gave."""

    figures: Figures
    shares: Figures
    """Of one core, by what the generator was doing."""

    def __or__(self, other: "Turn") -> "Turn":
        return Turn({**self.figures, **other.figures}, {**self.shares, **other.shares})


class Peer(NamedTuple):
    """A server to measure."""

    name: str
    command: Sequence[str]
    observed: bool = False
    collects: bool = False
    """Whether it takes SIGUSR2 as the wish to collect its garbage."""
    whole: bool = True
    """Whether it is a server that connections stay with and health checks ask."""
    settings: Mapping[str, str] = {}
    """Of ours, besides `UNLIMITED`."""
    proof: Proof = no_proof
    """What its users prove themselves with."""

    @contextlib.contextmanager
    def running(self) -> Iterator[Process]:
        """Start it afresh, with whatever it reports to."""
        with contextlib.ExitStack() as stack:
            settings = {}
            if self.observed:
                sink = stack.enter_context(running((sys.executable, "-m", "bench.sink")))
                endpoint = f"http://127.0.0.1:{sink.port}"
                settings = {"METRICS_PORT": str(free_port()), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **UNLIMITED}
                settings |= self.settings
            yield stack.enter_context(running(self.command, **settings))


def ours() -> Peer:
    """This server, as it is delivered."""
    return Peer("ours", OURS, observed=True)


def node() -> Peer:
    """The server that it replaces.

    Raises:
        FileNotFoundError: Node or its packages are not installed.
    """
    return Peer("Node", node_command(), collects=True)


FURTHER = {name: Peer(name, (sys.executable, "-m", f"bench.peers.{name}"), whole=False) for name in ("stock", "floor")}
"""Others to set beside the two: what they can be expected to be better than, and what nobody can be better than."""


async def saturation(peer: Peer, load: Load) -> float:
    """Calls a second that the server makes when it is given as many as it takes."""
    with peer.running() as server:
        crowd = await Crowd.connect(server.port, load.pairs)
        await crowd.saturate(load.warm_calls)
        run = await crowd.saturate(load.calls)
        await crowd.leave()
    return run.calls / run.seconds


async def turn(peer: Peer, load: Load, rates: Mapping[str, float]) -> Turn:
    """All figures of one server. `rates` are calls a second, by what they are called."""
    with peer.running() as server:
        measured = await _calls(server, load, rates, peer.proof)
    with peer.running() as server:
        measured |= await _connections(server, load.connections, peer)
    if peer.whole and load.many:
        with peer.running() as server:
            measured |= await _among_many(server, load)
    if peer.whole and load.storm:
        with peer.running() as server:
            measured |= await _storm(server, load.storm)
    return measured


async def cpu_ms_a_call(peer: Peer, load: Load) -> float:
    """Milliseconds of the server's CPU for a call at saturation, and nothing else."""
    with peer.running() as server:
        measured = await _calls(server, load, {}, peer.proof)
    return measured.figures[CPU_A_CALL]


async def _calls(server: Process, load: Load, rates: Mapping[str, float], proof: Proof) -> Turn:
    crowd = await Crowd.connect(server.port, load.pairs, proof)
    await crowd.saturate(load.warm_calls)
    used = server.cpu_s()
    full = await crowd.saturate(load.calls)
    used = server.cpu_s() - used
    figures = {
        "calls a second at saturation": full.calls / full.seconds,
        SATURATION: used / full.seconds,
        CPU_A_CALL: used / full.calls * 1e3,
    }
    shares = {"at saturation": full.generator_share}
    for name, rate in rates.items():
        used = server.cpu_s()
        steady = await crowd.at_rate(load.calls, rate)
        figures[f"calls a second {name}"] = steady.calls / steady.seconds
        figures[f"CPU a call {name}, ms"] = (server.cpu_s() - used) / steady.calls * 1e3
        figures |= _latencies(name, steady)
        shares[name] = steady.generator_share
    await crowd.leave()
    return Turn(figures, shares)


def _latencies(rate: str, run: Run) -> Figures:
    return {
        f"{name} p{share * 100:.0f} {rate}, ms": percentile(times, share) * 1e3
        for name, times in (("set-up", run.times.set_up), ("relay", run.times.relay))
        for share in (0.5, 0.99)
    }


async def _connections(server: Process, connections: int, peer: Peer) -> Turn:
    warm, idle = _users("warm", WARM_CONNECTIONS), _users("idle", connections)
    clients = await join_all(server.port, warm, JOINS_AT_ONCE, proof=peer.proof)
    held = await server.settled_bytes(peer.collects)
    used, wall, own = server.cpu_s(), time.perf_counter(), time.process_time()
    clients += await join_all(server.port, idle, JOINS_AT_ONCE, proof=peer.proof)
    used, wall, own = server.cpu_s() - used, time.perf_counter() - wall, time.process_time() - own
    grown = await server.settled_bytes(peer.collects) - held
    await asyncio.gather(*(client.leave() for client in clients))
    figures = {
        "connects and joins a second": connections / wall,
        CPU_A_CONNECT: used / connections * 1e3,
        MEMORY: grown / connections / 1e3,
    }
    return Turn(figures, {"connecting": own / wall})


def _users(kind: str, number: int) -> list[str]:
    return [f"{kind}-{n}" for n in range(number)]


async def _among_many(server: Process, load: Load) -> Turn:
    crowd = await Crowd.connect(server.port, load.pairs)
    await crowd.saturate(load.warm_calls)
    costs, shares = [], {}
    async with contextlib.AsyncExitStack() as herds:
        for more, all_of_them in ((load.few, load.few), (load.many - load.few, load.many)):
            await herds.enter_async_context(herd(server.port, more, f"herd{all_of_them}"))
            used = server.cpu_s()
            run = await crowd.saturate_for(load.among_s)
            costs.append((server.cpu_s() - used) / run.calls * 1e3)
            shares[f"among {all_of_them} connections"] = run.generator_share
        await crowd.leave()
    figures = {
        f"CPU a call among {load.few} connections, ms": costs[0],
        f"CPU a call among {load.many} connections, ms": costs[1],
        "the latter over the former": costs[1] / costs[0],
    }
    return Turn(figures, shares)


async def _storm(server: Process, clients: int) -> Turn:
    async with herd(server.port, clients, "storm") as them, Probe(server.port) as probe:
        back = await them.again()
    figures = {
        f"until {clients} clients are back, s": back.seconds,
        "slowest health check meanwhile, ms": probe.slowest_s * 1e3,
    }
    return Turn(figures, {"in the storm": back.generator_share})
