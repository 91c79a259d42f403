"""What trust costs: `python -m bench.trusted`.

This server with authentication, limits and sessions that survive their connection all off, with each of them on, and
with all on; in turn, never together, each in a fresh process, under the same load, observed as it is delivered. The
limits are set so high that everything is counted and nobody is refused.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence

import jwt
import orjson
import uvloop

from bench.figures import Figures
from bench.load.client import LoadError
from bench.measure import CPU_A_CALL, CPU_A_CONNECT, MEMORY, Load, Peer, Turn, turn
from bench.server import OURS

FIGURES = (CPU_A_CALL, CPU_A_CONNECT, MEMORY)
BUSY = 0.9
"""Above this share of a core the generator may have been what was measured."""

SECRET = "the long secret that this benchmark has made up"  # noqa: S105 - of a server that lives for a minute
TOKEN_LIFE_S = 3600
NOTHING = "all off"
AUTHENTICATION = {"AUTH_JWT_SECRETS": SECRET}
LIMITS = {
    "LIMIT_CONNECTS": "1000000/1s",
    "LIMIT_EVENTS": "1000000/1s",
    "LIMIT_EVENTS_PER_ADDRESS": "10000000/1s",
    "LIMIT_LOOKUPS": "1000000/1s",
    "LIMIT_CALL_INITIATE": "1000000/1s",
    "MAX_CONNECTIONS": "1000000",
    "MAX_CONNECTIONS_PER_ADDRESS": "1000000",
}
GRACE = {"RECONNECT_GRACE_S": "10"}
QUICK = Load(calls=300, pairs=8, connections=200, warm_calls=300, many=0, storm=0)


def token_of(user: str) -> bytes:
    """What a user sends with CONNECT: a token as a backend issues it, HS256."""
    now = int(time.time())
    token = jwt.encode({"sub": user, "iat": now, "exp": now + TOKEN_LIFE_S}, SECRET, "HS256")
    return orjson.dumps({"token": token})


def variants() -> tuple[Peer, ...]:
    """The servers to measure. The first is the one that the others are set against."""
    return (
        Peer(NOTHING, OURS, observed=True),
        Peer("authentication", OURS, observed=True, settings=AUTHENTICATION, proof=token_of),
        Peer("limits", OURS, observed=True, settings=LIMITS),
        Peer("sessions", OURS, observed=True, settings=GRACE),
        Peer("all on", OURS, observed=True, settings={**AUTHENTICATION, **LIMITS, **GRACE}, proof=token_of),
    )


async def measure(load: Load, rounds: int) -> dict[str, list[Turn]]:
    """The turns of each variant."""
    turns: dict[str, list[Turn]] = {}
    for number in range(rounds):
        for peer in variants():
            print(f"round {number + 1} of {rounds}: {peer.name}", file=sys.stderr)
            turns.setdefault(peer.name, []).append(await turn(peer, load, {}))
    return turns


def table(rounds: Mapping[str, Sequence[Figures]]) -> str:
    """Markdown: medians, and the median of what each round says that a variant adds to `NOTHING`."""
    names = list(rounds)
    lines = [f"| figure | {' | '.join(names)} |", f"|---{'|--:' * len(names)}|"]
    for figure in FIGURES:
        base = [each[figure] for each in rounds[NOTHING]]
        cells = [f"{statistics.median(base):.3g}"]
        for name in names[1:]:
            values = [each[figure] for each in rounds[name]]
            added = statistics.median(value - before for value, before in zip(values, base, strict=True))
            cells.append(f"{statistics.median(values):.3g} ({added:+.2g})")
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join(lines)


def report(load: Load, turns: Mapping[str, Sequence[Turn]]) -> str:
    """What is printed."""
    size = f"{len(turns[NOTHING])} rounds, {load.calls} calls, {load.pairs} pairs, {load.connections} idle connections"
    lines = [size, "", table({name: [one.figures for one in each] for name, each in turns.items()})]
    busiest = max(share for each in turns.values() for one in each for share in one.shares.values())
    lines += ["", f"the generator took {busiest:.2f} of a core at the most"]
    if busiest > BUSY:
        lines.append("that is too busy: its own limit may be among the figures")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=5)
    add("--calls", type=int, default=6000, help="in each run")
    add("--pairs", type=int, default=32, help="that call")
    add("--connections", type=int, default=2000, help="idle ones, for their memory")
    add("--quick", action="store_true", help="one small round: does it work, not how much")
    chosen = parser.parse_args(arguments)
    load = QUICK._replace(calls=chosen.calls, pairs=chosen.pairs, connections=chosen.connections, warm_calls=1000)
    rounds, load = (1, QUICK) if chosen.quick else (chosen.rounds, load)
    try:
        turns = uvloop.run(measure(load, rounds))
    except LoadError as error:
        print(f"bench.trusted: {error}", file=sys.stderr)
        return 1
    print(report(load, turns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
