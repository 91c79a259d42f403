"""This server against the Node server that it replaces: `python -m bench.compare`.

All servers run in turn, never together, each in a fresh process, under the same load. Ours runs as it is delivered,
with metrics, logs and traces (at the default ratio, sent to a local sink); the others run bare. The first turn is not
counted: it finds out what rates of calls to ask for.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence

import uvloop

from bench.figures import compare, table
from bench.load.call import EVENTS_A_CALL
from bench.load.client import LoadError
from bench.measure import FURTHER, SATURATION, Load, Peer, Turn, node, ours, saturation, turn
from bench.server import raise_file_limit

BUSY = 0.9
"""Above this share of a core the generator may have been what was measured."""

SATURATED = 0.9
"""Below this share of a core it was not the server that was measured at saturation."""

REACHED = 0.95
"""Below this share of a rate that was asked for, it was not carried. Random arrivals make up for the rest."""

SPARE_FILES = 500
"""What servers and clients open besides the idle connections."""

QUICK = Load(calls=300, pairs=8, connections=200, warm_calls=300, few=20, many=400, among_s=0.5, storm=100)

Rates = Mapping[str, float]
"""Calls a second, by what they are called."""


async def measure(load: Load, rounds: int, further: Sequence[str]) -> tuple[Rates, dict[str, list[Turn]]]:
    """The fixed rates, and the turns of each server."""
    first = (ours(), node())
    rates = fixed_rates(*[await saturation(peer, load) for peer in first])
    peers: list[Peer] = [*first, *(FURTHER[name] for name in further)]
    turns: dict[str, list[Turn]] = {peer.name: [] for peer in peers}
    for number in range(rounds):
        for peer in peers:
            print(f"round {number + 1} of {rounds}: {peer.name}", file=sys.stderr)
            turns[peer.name].append(await turn(peer, load, rates))
    return rates, turns


def fixed_rates(mine: float, nodes: float) -> Rates:
    """Half of Node's limit and, where ours is below Node's, half of ours: both have to carry that one."""
    rates = {"at half of Node's limit": nodes / 2}
    return {"at half of our limit": mine / 2, **rates} if mine < nodes else rates


def report(load: Load, rates: Rates, turns: Mapping[str, Sequence[Turn]]) -> str:
    """What is printed."""
    rows = compare({name: [one.figures for one in each] for name, each in turns.items()})
    medians = {row.name: row.medians for row in rows}
    size = f"{len(turns['ours'])} rounds, {load.calls} calls of {EVENTS_A_CALL} events, {load.pairs} pairs"
    lines = [f"{size}, {load.connections} idle connections", "", table(rows), ""]
    for rate, asked in rates.items():
        lines.append(f"{rate}: {asked:.0f} calls a second")
        for name, reached in medians[f"calls a second {rate}"].items():
            if reached < asked * REACHED:
                lines.append(f"{name} did not carry that: {reached:.0f}, and its latencies are those of an overload")
    lines += [
        f"{name} was not saturated ({cores:.2f} of a core): its limit is the generator's, or other work of the machine"
        for name, cores in medians[SATURATION].items()
        if cores < SATURATED
    ]
    for name, each in turns.items():
        lines += _business(name, each)
    return "\n".join(lines)


def _business(name: str, turns: Sequence[Turn]) -> list[str]:
    shares = {doing: statistics.median(one.shares[doing] for one in turns) for doing in turns[0].shares}
    told = ", ".join(f"{share:.2f} {doing}" for doing, share in shares.items())
    lines = [f"the generator's share of a core, {name}: {told}"]
    busy = [doing for doing, share in shares.items() if share > BUSY]
    if busy:
        lines.append(f"the generator was too busy {' and '.join(busy)}: its own limit may be among the figures")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    chosen = _parser().parse_args(arguments)
    rounds, load = chosen.rounds, QUICK
    if chosen.quick:
        rounds = 1
    else:
        load = Load(**{name: getattr(chosen, name) for name in Load._fields})
    load = load._replace(many=min(load.many, raise_file_limit() - SPARE_FILES))
    try:
        rates, turns = uvloop.run(measure(load, rounds, chosen.peers))
    except (LoadError, FileNotFoundError) as error:
        print(f"bench.compare: {error}", file=sys.stderr)
        return 1
    print(report(load, rates, turns))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=3)
    add("--peers", nargs="*", choices=list(FURTHER), default=list(FURTHER), help="beside ours and Node")
    add("--calls", type=int, default=6000, help="in each run")
    add("--pairs", type=int, default=32, help="that call")
    add("--connections", type=int, default=2000, help="idle ones, for their memory")
    add("--warm-calls", type=int, default=1000, help="before anything is measured")
    add("--few", type=int, default=100, help="open connections, to compare with many")
    add("--many", type=int, default=20_000, help="open connections, for the cost of a call among them (0: none)")
    add("--among-s", type=float, default=25.0, help="seconds of calls among them")
    add("--storm", type=int, default=2000, help="clients that come back at once (0: none)")
    add("--quick", action="store_true", help="one small round: does it work, not how fast")
    return parser


if __name__ == "__main__":
    sys.exit(main())
