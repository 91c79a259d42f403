"""`signalling probe`: a whole call between two users of its own, every few seconds, each step timed and bounded."""

import asyncio
import random
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from observability.catalogue import PROBE_LAST_SUCCESS, PROBE_METRICS, PROBE_RUNS, PROBE_STEP_DURATION
from observability.exposition import Exposition
from observability.instruments import Instruments
from service.address import AddressError
from service.errors import UnavailableError
from synthetic.client import Client, RefusedError, SyntheticError
from synthetic.dialogue import Exchange, Pair
from synthetic.options import ProbeOptions, UsageError
from synthetic.together import together

CANDIDATES = 4
EXIT_FAILED = 1
HANGUP = "hangup"


class Run(NamedTuple):
    """What came of one call: the time that each finished step took, and the step that failed.

    `result` is a value of the metric of runs.
    """

    steps_s: dict[str, float]
    failed_step: str | None = None
    why: str = ""
    result: str = "ok"

    def __str__(self) -> str:
        """One line for people and log files."""
        if self.failed_step is not None:
            return f"probe failed at {self.failed_step}: {self.why}"
        steps = ", ".join(f"{step} {took * 1000:.0f}" for step, took in self.steps_s.items())
        return f"probe ok: {sum(self.steps_s.values()) * 1000:.0f} ms ({steps})"


def main(options: ProbeOptions) -> int:
    """Probe once, or until stopped; returns the exit code."""
    if options.once:
        run = asyncio.run(probe(options.url, options.timeout_s))
        _say(str(run))
        return 0 if run.failed_step is None else EXIT_FAILED
    instruments = Instruments(PROBE_METRICS)
    try:
        place = options.metrics_host, options.metrics_port
        exposition = Exposition(instruments.registry(), *place, "--metrics-port and --metrics-host")
    except AddressError as error:
        raise UsageError(str(error)) from None
    try:
        asyncio.run(_repeat(options, instruments))
    finally:
        exposition.close()
    return 0


async def probe(url: str, timeout_s: float) -> Run:
    """Place one call. Each step has `timeout_s` seconds. Users and call are new each time."""
    call = _ProbeCall(url, timeout_s)
    try:
        await call.run()
    except SyntheticError as error:
        is_known = isinstance(error, RefusedError) and error.code == UnavailableError.code
        return Run(call.steps_s, call.step, str(error), "unavailable" if is_known else "failed")
    finally:
        await call.close()
    return Run(call.steps_s)


class _ProbeCall:
    def __init__(self, url: str, timeout_s: float) -> None:
        self.steps_s: dict[str, float] = {}
        self.step = "connect"
        self._timeout_s = timeout_s
        # The two ways in that clients use: websocket at once, and polling with an upgrade.
        self._caller = Client(url, f"probe-{secrets.token_hex(8)}", ("websocket",))
        self._callee = Client(url, f"probe-{secrets.token_hex(8)}", ("polling", "websocket"))

    async def run(self) -> None:
        clients = (self._caller, self._callee)
        pair = Pair(self._caller, self._callee, self._timeout_s)
        media = Exchange(self._caller, self._callee, "audio", self._timeout_s)
        chance = random.Random()  # noqa: S311 - filler, not cryptography
        async with self._timed("connect"):
            for client in clients:
                await client.connect(self._timeout_s)
        async with self._timed("join"):
            await together(*(client.join(self._timeout_s) for client in clients))
        async with self._timed("ring"):
            call_id = await pair.ring("audio")
        async with self._timed("accept"):
            await pair.accept(call_id)
        async with self._timed("offer"):
            await media.offer(chance)
        async with self._timed("answer"):
            await media.answer(chance)
        async with self._timed("candidate"):
            await media.candidates(chance, CANDIDATES, CANDIDATES)
            await pair.connected(call_id)
        async with self._timed("hang_up"):
            code = await pair.end(self._caller, "call:end", {"callId": call_id})
            if code != HANGUP:
                raise SyntheticError(f"the call ended with the code {code}")

    async def close(self) -> None:
        await together(*(self._leave(client) for client in (self._caller, self._callee)))

    async def _leave(self, client: Client) -> None:
        try:
            if client.connected:
                await client.hang_up(self._timeout_s)
        except SyntheticError:
            await client.cut()
        await client.say_goodbye()

    @asynccontextmanager
    async def _timed(self, step: str) -> AsyncIterator[None]:
        self.step = step
        started_at = time.perf_counter()
        yield
        self.steps_s[step] = time.perf_counter() - started_at


async def _repeat(options: ProbeOptions, instruments: Instruments) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    before: str | None = "none yet"
    while not stop.is_set():
        next_at = loop.time() + options.interval_s
        run = await probe(options.url, options.timeout_s)
        _record(run, instruments)
        if run.failed_step is not None or before is not None:  # a good call after a good one is no news
            _say(str(run))
        before = run.failed_step
        try:
            async with asyncio.timeout(max(0.0, next_at - loop.time())):
                await stop.wait()
        except TimeoutError:
            continue


def _record(run: Run, instruments: Instruments) -> None:
    for step, took_s in run.steps_s.items():
        instruments.histogram(PROBE_STEP_DURATION, step).observe(took_s)
    instruments.counter(PROBE_RUNS, run.result).value += 1
    if run.failed_step is None:
        instruments.gauge(PROBE_LAST_SUCCESS).value = time.time()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command line
