"""What a healthy call feels of an attack: `python -m bench.attack`.

One server with its limits as delivered; calls at a steady rate, first undisturbed, then beside each attack in turn.
The attackers are a process of their own, with addresses of their own.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence

import uvloop

from bench.figures import percentile
from bench.load.attackers import attackers
from bench.load.client import LoadError
from bench.load.crowd import Crowd, Run
from bench.server import OURS, Process, free_port, running

ATTACKS = {"attackers": 50, "flood": 10, "slow consumer": 1}
"""How many of each kind."""

UNDISTURBED = "undisturbed"
CALLERS_MAY = {"LIMIT_CALL_INITIATE": "0"}
"""The few callers of the benchmark call more often than people do. All other limits are as delivered."""

Figures = Mapping[str, float]


async def measure(calls: int, rate: float, rounds: int) -> dict[str, list[Figures]]:
    """The figures of each round, by what went on."""
    found: dict[str, list[Figures]] = {}
    for number in range(rounds):
        with running(OURS, METRICS_PORT=str(free_port()), **CALLERS_MAY) as server:
            crowd = await Crowd.connect(server.port, 16)
            await crowd.at_rate(calls, rate)
            for kind in (UNDISTURBED, *ATTACKS):
                print(f"round {number + 1} of {rounds}: {kind}", file=sys.stderr)
                found.setdefault(kind, []).append(await _beside(server, crowd, kind, calls, rate))
            await crowd.leave()
    return found


async def _beside(server: Process, crowd: Crowd, kind: str, calls: int, rate: float) -> Figures:
    used = server.cpu_s()
    if kind == UNDISTURBED:
        run, attacks = await crowd.at_rate(calls, rate), 0
    else:
        async with attackers(server.port, kind, ATTACKS[kind]) as end:
            run = await crowd.at_rate(calls, rate)
            attacks = await end()
    return _figures(run, attacks, server.cpu_s() - used)


def _figures(run: Run, attacks: int, cpu_s: float) -> Figures:
    return {
        "attacks a second": attacks / run.seconds,
        "server's cores": cpu_s / run.seconds,
        "relay p50, ms": percentile(run.times.relay, 0.5) * 1e3,
        "relay p99, ms": percentile(run.times.relay, 0.99) * 1e3,
        "set-up p99, ms": percentile(run.times.set_up, 0.99) * 1e3,
    }


def table(found: Mapping[str, Sequence[Figures]]) -> str:
    """Markdown: a row for each attack, medians over the rounds."""
    names = list(found[UNDISTURBED][0])
    lines = [f"| beside | {' | '.join(names)} |", f"|---|{'--:|' * len(names)}"]
    for kind, rounds in found.items():
        cells = (f"{statistics.median(each[name] for each in rounds):.3g}" for name in names)
        lines.append(f"| {kind if kind == UNDISTURBED else f'{ATTACKS[kind]} of: {kind}'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1000, help="beside each attack")
    parser.add_argument("--rate", type=float, default=100.0, help="calls a second")
    chosen = parser.parse_args(arguments)
    try:
        found = uvloop.run(measure(chosen.calls, chosen.rate, chosen.rounds))
    except LoadError as error:
        print(f"bench.attack: {error}", file=sys.stderr)
        return 1
    print(f"{chosen.rounds} rounds, {chosen.calls} calls at {chosen.rate:g} a second\n\n{table(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
