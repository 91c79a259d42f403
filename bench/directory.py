"""A directory of many users in Redis: `python -m bench.directory`.

Two nodes without a transport, in this process, share one Redis. Users are seated on the one until there are as many as
asked for. Before, and at some numbers on the way, calls between the nodes are placed and cancelled one after the other:
what a commit takes must not depend on how many users there are.
"""

import argparse
import asyncio
import contextlib
import itertools
import shutil
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import redis
import uvloop

from bench.figures import percentile
from bench.server import REDIS, Process, running
from service.adapters.memory.clock import LoopClock
from service.adapters.redis.cluster import Cluster, RedisOptions
from service.domain.call import Call, Party, step
from service.domain.events import HangUp, Media
from service.domain.ids import CallId, SessionId, UserId
from service.ports import Free, Unchanged
from service.supervisor import Supervisor

AT_ONCE = 500
"""Joins that are under way at a time."""

STEPS = (0.1, 1.0)
"""At which shares of the users calls are placed, besides at none."""

RING_S = 30.0
START_TIMEOUT_S = 10.0


class Load(NamedTuple):
    """How much to ask for."""

    users: int = 1_000_000
    calls: int = 2000


class Found(NamedTuple):
    """What was measured with so many users online."""

    users: int
    bytes_a_user: float
    """Of Redis. Not a number without users."""
    seated_a_second: float
    commits_s: list[float]


@contextlib.asynccontextmanager
async def two_nodes(port: int) -> AsyncIterator[tuple[Cluster, Cluster]]:
    """Two nodes on the Redis at this port.

    Raises:
        TimeoutError: they do not get there.
    """
    supervisor = Supervisor()
    clock = LoopClock(asyncio.get_running_loop())
    nodes = [Cluster(RedisOptions(f"redis://127.0.0.1:{port}/0"), clock, supervisor.spawn) for _ in range(2)]
    try:
        for node in nodes:
            node.start()
        async with asyncio.timeout(START_TIMEOUT_S):
            while not all(node.is_ready for node in nodes):  # noqa: ASYNC110 - once, at the start
                await asyncio.sleep(0.01)
        yield nodes[0], nodes[1]
    finally:
        await supervisor.close()


async def seat(node: Cluster, first: int, last: int) -> float:
    """Seat the users of these numbers. Returns how many a second."""
    numbers = iter(range(first, last))

    async def join_some() -> None:
        for number in numbers:
            await node.directory.seat(UserId(f"user-{number}"), SessionId(f"session-{number:020}"))

    begun_s = time.perf_counter()
    await asyncio.gather(*(join_some() for _ in range(AT_ONCE)))
    return (last - first) / (time.perf_counter() - begun_s)


async def commit_times(near: Cluster, far: Cluster, calls: int) -> list[float]:
    """Place and cancel calls from a user of the one node to one of the other. Returns the seconds of each commit."""
    times: list[float] = []
    caller, callee = Party(UserId("caller"), (SessionId("c"),)), Party(UserId("callee"), (SessionId("d"),))
    await near.directory.seat(caller.user, caller.sessions[0])
    await far.directory.seat(callee.user, callee.sessions[0])
    await near.directory.presence(callee.user)
    for number in range(calls):
        now_s = asyncio.get_running_loop().time()
        placed = Call(
            id=CallId(f"{number + 1:032x}"),
            media=Media.AUDIO,
            caller=caller,
            callee=callee,
            placed_at_s=now_s,
            ring_until_s=now_s + RING_S,
            reconnect_grace_s=0.0,
        )
        cancelled = step(placed, HangUp(by=caller.sessions[0]), now_s).call
        grounds = Unchanged(placed.id, 0), Free(caller.user), Free(callee.user)
        for call, preconditions in ((placed, grounds), (cancelled, (Unchanged(placed.id, placed.version),))):
            begun_s = time.perf_counter()
            await near.directory.commit(call, preconditions)
            times.append(time.perf_counter() - begun_s)
    await near.directory.vacate(caller.user, caller.sessions[0])
    await far.directory.vacate(callee.user, callee.sessions[0])
    return times


async def measure(load: Load, server: Process) -> list[Found]:
    """What there is to tell at each number of users."""

    def used_bytes() -> int:
        with redis.Redis(port=server.port) as client:
            return int(client.info("memory")["used_memory"])

    found: list[Found] = []
    async with two_nodes(server.port) as (near, far):
        await commit_times(near, far, load.calls // 4)  # the first ones load code
        found.append(Found(0, float("nan"), float("nan"), await commit_times(near, far, load.calls)))
        empty_bytes = used_bytes()
        for before, users in itertools.pairwise((0, *(round(load.users * share) for share in STEPS))):
            rate = await seat(near, before, users)
            bytes_a_user = (used_bytes() - empty_bytes) / users
            found.append(Found(users, bytes_a_user, rate, await commit_times(near, far, load.calls)))
    return found


def report(load: Load, found: Sequence[Found]) -> str:
    """What is printed."""
    lines = [
        f"{2 * load.calls} commits at each number of users",
        "",
        "| users online | Redis, bytes a user | joins a second | commit p50, ms | commit p99, ms |",
        "|--:|--:|--:|--:|--:|",
    ]
    for each in found:
        p50, p99 = (percentile(each.commits_s, share) * 1e3 for share in (0.5, 0.99))
        of_users = f"{each.bytes_a_user:.0f} | {each.seated_a_second:.0f}" if each.users else "- | -"
        lines.append(f"| {each.users} | {of_users} | {p50:.3g} | {p99:.3g} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=Load().users, help="online at the end")
    parser.add_argument("--calls", type=int, default=Load().calls, help="at each number of users")
    parser.add_argument("--quick", action="store_true", help="a small run: does it work, not how fast")
    chosen = parser.parse_args(arguments)
    load = Load(2000, 40) if chosen.quick else Load(chosen.users, chosen.calls)
    if shutil.which("redis-server") is None:
        print("bench.directory: needs redis-server", file=sys.stderr)
        return 1
    with running(REDIS) as server:
        found = uvloop.run(measure(load, server))
    print(report(load, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
