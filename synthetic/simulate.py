"""`signalling simulate`: places the planned calls on a running server and compares what came of them."""

import asyncio
import json
import random
import secrets
import signal
import sys
import time
from collections.abc import Coroutine
from typing import Any

from service.supervisor import Supervisor
from synthetic.call import BROKEN, STOPPED, Limits, Played, play
from synthetic.client import Client, SyntheticError
from synthetic.options import SimulateOptions
from synthetic.plan import PlannedCall, plan, transports_of
from synthetic.population import Population
from synthetic.progress import Progress
from synthetic.summary import Tally, as_text

STEP_TIMEOUT_S = 10.0
EXIT_UNEXPECTED = 1
LATE_S = 0.25
"""A call that waits longer than this for two free users counts as delayed."""


def main(options: SimulateOptions) -> int:
    """Run the simulation; returns the exit code."""
    tally = Tally()
    try:
        asyncio.run(_run(options, tally))
    except SyntheticError as error:
        print(f"signalling: {options.url}: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return EXIT_UNEXPECTED
    report = tally.report()
    print(json.dumps(report, indent=2) if options.json else as_text(report))  # noqa: T201 - a command line
    return EXIT_UNEXPECTED if tally.unexpected else 0


async def _run(options: SimulateOptions, tally: Tally) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    simulation = Simulation(options, tally)
    try:
        await _until(stop, simulation.run())
    finally:
        await simulation.close()


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, or as much of it as there is time for."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
    try:
        await working
    except asyncio.CancelledError:
        if not stop.is_set():
            raise


class Simulation:
    """The users, the calls that are on, and the arrival of new ones."""

    def __init__(self, options: SimulateOptions, tally: Tally) -> None:
        self._options = options
        self._tally = tally
        self._limits = Limits(STEP_TIMEOUT_S, options.patience_s)
        self._calls = Supervisor()
        self._background = Supervisor()
        self._all_over = asyncio.Event()
        chance = random.Random(options.seed)  # noqa: S311 - traffic, not cryptography
        self._population = Population(self._background, chance, STEP_TIMEOUT_S)

    async def run(self) -> None:
        """Connect the users, place every planned call, and wait for the last to be over.

        Raises:
            SyntheticError: nobody can connect.
        """
        await self._population.arrive(self._clients())
        self._background.spawn("show progress", Progress(self._tally).run())
        started_at = time.monotonic()
        for call in plan(self._options.seed, self._options.traffic):
            due_at = started_at + call.at_s
            await asyncio.sleep(max(0.0, due_at - time.monotonic()))
            caller, callee = await self._population.pair()
            self._tally.besides["delayed"] += time.monotonic() - due_at > LATE_S
            self._tally.begin(call)
            self._calls.spawn("a call", self._place(call, caller, callee))
        while self._tally.over < self._tally.placed:
            self._all_over.clear()
            await self._all_over.wait()

    async def close(self) -> None:
        """Hang up what is open and say goodbye."""
        await self._calls.close()
        await self._background.close()
        await self._population.leave()
        self._tally.besides["reconnects"] = self._population.reconnects

    def _clients(self) -> list[Client]:
        run = secrets.token_hex(3)  # two simulations with the same seed must not share users
        transports = transports_of(self._options.seed, self._options.users, self._options.transport)
        return [
            Client(
                self._options.url,
                f"sim-{run}-{number}",
                transport,
                on_error=self._count_error,
                on_gone=self._population.gone,
            )
            for number, transport in enumerate(transports)
        ]

    async def _place(self, call: PlannedCall, caller: Client, callee: Client) -> None:
        played = Played(BROKEN, problem="the simulator itself failed")
        try:
            played = await play(call, caller, callee, self._limits)
        except asyncio.CancelledError:
            played = Played(STOPPED)
            raise
        finally:
            self._tally.end(call, played)
            self._all_over.set()
        await self._population.release(caller, call.caller_leaves_for_s)
        await self._population.release(callee)

    def _count_error(self, code: str) -> None:
        self._tally.errors[code] += 1
