"""Many pairs, kept as busy as asked: at a rate that does not wait for the server, or as fast as it allows."""

import asyncio
import itertools
import random
import sys
import time
from collections import deque
from typing import NamedTuple

from bench.load.call import Pair, Times
from bench.load.client import LoadError, Proof, join_all, no_proof

PATIENCE_S = 60.0
"""How long a run may still take when no more calls are begun, or when all are that it was to make."""

LATE = 1.25
LATE_S = 1.0
"""A run at a rate begins no more calls when it has taken this share and this long more than planned."""


class Run(NamedTuple):
    """What came of a run."""

    calls: int
    """At a rate that the server cannot carry these are fewer than asked for."""
    seconds: float
    times: Times
    generator_share: float
    """Of one core, over the run. Near 1 the generator, not the server, was measured."""


class Crowd:
    """Pairs of joined clients. One run at a time."""

    def __init__(self, pairs: list[Pair]) -> None:
        self._pairs = pairs
        self._free: deque[Pair] = deque()
        self._due: deque[float] = deque()
        """Calls that no pair was free for: they are late, and their lateness counts."""
        self._to_place = 0
        self._placed = 0
        self._finished = 0
        self._saturate = False
        self._times = Times([], [])
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for pair in pairs:
            pair.freed, pair.failed = self._freed, self._failed

    @classmethod
    async def connect(cls, port: int, pairs: int, proof: Proof = no_proof, callees_port: int | None = None) -> "Crowd":
        """Let twice as many users join; the callees at a node of their own, where one is named."""
        ports = {"caller": port, "callee": port if callees_port is None else callees_port}
        clients = {
            client.user: client
            for role, where in ports.items()
            for client in await join_all(where, [f"{role}-{number}" for number in range(pairs)], 16, proof=proof)
        }
        return cls([Pair(clients[f"caller-{n}"], clients[f"callee-{n}"]) for n in range(pairs)])

    async def saturate(self, calls: int) -> Run:
        """Make this many calls; each pair begins the next one as soon as the last is over."""
        return await self._run(calls, None, None)

    async def saturate_for(self, seconds: float) -> Run:
        """The same, for a time."""
        return await self._run(sys.maxsize, None, seconds)

    async def at_rate(self, calls: int, rate: float, seed: int = 7) -> Run:
        """Make this many calls, `rate` a second on average, at random times that depend on the seed alone.

        If the server cannot carry that, the run ends soon after its time, with the calls that it could.
        """
        arrivals = _arrivals(calls, rate, seed)
        return await self._run(calls, arrivals, arrivals[-1] * LATE + LATE_S)

    async def leave(self) -> None:
        """Close all connections."""
        for pair in self._pairs:
            pair.failed = _whatever
        await asyncio.gather(*(pair.leave() for pair in self._pairs))

    async def _run(self, calls: int, arrivals: list[float] | None, seconds: float | None) -> Run:
        loop = asyncio.get_running_loop()
        self._free, self._due = deque(self._pairs), deque()
        self._to_place, self._placed, self._finished, self._times = calls, 0, 0, Times([], [])
        self._saturate, self._over = arrivals is None, loop.create_future()
        wall, cpu = time.perf_counter(), time.process_time()
        timers = [loop.call_later(offset, self._call_due) for offset in arrivals or ()]
        if seconds is not None:
            timers.append(loop.call_later(seconds, self._enough))
        for _ in range(min(calls, len(self._pairs)) if self._saturate else 0):
            self._place(wall)
        try:
            await asyncio.wait_for(self._over, (seconds or 0) + PATIENCE_S)
        except TimeoutError:
            stuck = [pair.where() for pair in self._pairs if pair.calling]
            left = self._placed - self._finished
            raise LoadError(f"{left} calls did not finish; waiting: {'; '.join(stuck[:3])}") from None
        finally:
            for timer in timers:
                timer.cancel()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return Run(self._finished, wall, self._times, cpu / wall)

    def _call_due(self) -> None:
        now = time.perf_counter()
        if self._free:
            self._place(now)
        else:
            self._due.append(now)

    def _place(self, since: float) -> None:
        self._to_place -= 1
        self._placed += 1
        self._free.popleft().call(since, self._times)

    def _freed(self, pair: Pair) -> None:
        self._free.append(pair)
        self._finished += 1
        if not self._to_place and self._finished == self._placed:
            if not self._over.done():
                self._over.set_result(None)
        elif self._due:
            self._place(self._due.popleft())
        elif self._saturate and self._to_place:
            self._place(time.perf_counter())

    def _enough(self) -> None:
        """Begin no more calls: the run is over when the last one is."""
        self._to_place = 0
        self._due.clear()
        if self._finished == self._placed and not self._over.done():
            self._over.set_result(None)

    def _failed(self, error: LoadError) -> None:
        if not self._over.done():
            self._over.set_exception(error)


def _arrivals(calls: int, rate: float, seed: int) -> list[float]:
    chance = random.Random(seed)  # noqa: S311 - traffic, not cryptography
    times = list(itertools.accumulate(chance.expovariate(1) for _ in range(calls)))
    scale = calls / rate / times[-1]  # chance would make a short run's rate another one
    return [at * scale for at in times]


def _whatever(_error: LoadError) -> None:
    """Once everybody leaves, nothing is wrong any more."""
